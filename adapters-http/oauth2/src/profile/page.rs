//! The description of a profile for people, in Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use grantry_domain::connector::ProfileId;
use grantry_domain::provider::CallbackPath;

use super::file::{Profile, ProfileFile};
use super::rules::{Absent, IdentitySource, LifetimeRules, Pkce, RefreshTokens, RefreshedWith, RevokedKind, Wire};
use super::{InvalidProfile, Profiles};

/// A profile in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileSummary {
    /// The connector type, such as `.github`.
    pub id: String,
    /// The name of the product.
    pub title: String,
    /// The day of the last comparison with the vendor's documentation, such as `2026-01-31`.
    pub verified_on: String,
    /// The day on which the vendor ends the service, if that is announced.
    pub sunset: Option<String>,
    /// Paths of fields that the vendor's documentation does not state.
    pub unverified: Vec<String>,
}

impl From<&Profile> for ProfileSummary {
    fn from(profile: &Profile) -> Self {
        Self {
            id: profile.id.as_str().to_owned(),
            title: profile.file.title.clone(),
            verified_on: profile.file.verified_on.clone(),
            sunset: profile.file.sunset.clone(),
            unverified: profile.file.unverified.clone(),
        }
    }
}

impl Profiles {
    /// All profiles, those of the operator included, by id.
    pub fn summaries(&self) -> Vec<ProfileSummary> {
        self.known.values().map(ProfileSummary::from).collect()
    }

    /// The summary of one profile of an operator, given by file name and text. A profile whose service ended before `today`, a
    /// day such as `2026-01-31`, is not valid.
    pub fn summary_of(name: &str, text: &str, today: &str) -> Result<ProfileSummary, InvalidProfile> {
        Ok(ProfileSummary::from(&Profile::read_whole(name, text, Some(today))?))
    }

    /// The description of a profile in Markdown: set-up, settings, behaviour, notes, and what is not verified. `None` for
    /// `.oauth2` and for an unknown id.
    pub fn page(&self, id: &ProfileId) -> Option<String> {
        self.known.get(id).map(page)
    }
}

fn page(profile: &Profile) -> String {
    let file = &profile.file;
    let mut out = Page(format!("# {}\n", file.title));
    out.paragraph(&format!(
        "Connector type `{}`. Last compared with the [documentation of the vendor]({}) on {}.",
        file.id, file.source, file.verified_on
    ));
    if let Some(sunset) = &file.sunset {
        out.paragraph(&format!("**The vendor ends the service that this profile describes on {sunset}.**"));
    }
    out.heading("Set-up");
    let redirect_uri = match profile.callback {
        CallbackPath::Profiles => "the shared redirect URI of the deployment, `…/_oauth_profile_callback`",
        CallbackPath::PerConnector | CallbackPath::Issuers => {
            "the redirect URI of the connector, which it has once it is created"
        }
    };
    for (index, step) in file.setup.steps.iter().enumerate() {
        let step = step.replacen("{redirect_uri}", &format!("the redirect URI ({redirect_uri})"), 1);
        out.line(&format!("{}. {step}", index + 1));
    }
    out.paragraph(&format!("Clients are registered at <{}>.", file.setup.console_url));
    if let Some(scopes) = &file.setup.scopes_url {
        out.paragraph(&format!("The scopes are listed at <{scopes}>."));
    }
    settings(&mut out, file);
    out.heading("Behaviour");
    out.line("| | |");
    out.line("|---|---|");
    for (name, value) in behaviour(profile) {
        out.line(&format!("| {name} | {value} |"));
    }
    list(&mut out, "Notes", &file.notes, str::to_owned);
    list(&mut out, "Not verified", &file.unverified, |path| format!("`{path}`"));
    out.0
}

struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        self.0.push('\n');
        self.line(text);
    }

    fn heading(&mut self, text: &str) {
        self.paragraph(&format!("## {text}"));
        self.0.push('\n');
    }
}

fn list(out: &mut Page, heading: &str, items: &[String], form: impl Fn(&str) -> String) {
    if items.is_empty() {
        return;
    }
    out.heading(heading);
    for item in items {
        out.line(&format!("- {}", form(item)));
    }
}

fn settings(out: &mut Page, file: &ProfileFile) {
    if file.variables.is_empty() {
        return;
    }
    out.heading("Settings");
    out.line("| setting | meaning | values | default |");
    out.line("|---|---|---|---|");
    for (name, variable) in &file.variables {
        let values = quoted(&variable.values);
        let default = variable.default.as_ref().map_or_else(|| "required".to_owned(), |value| format!("`{value}`"));
        out.line(&format!("| `{name}` | {}: {} | {values} | {default} |", variable.label, variable.help));
    }
}

fn behaviour(profile: &Profile) -> Vec<(&'static str, String)> {
    let ProfileFile { endpoints, client, api, wire, grant_values, .. } = &profile.file;
    let code = |text: &str| format!("`{text}`");
    let mut rows =
        vec![("authorization endpoint", code(&endpoints.authorization)), ("token endpoint", code(&endpoints.token))];
    if let Some(refresh) = &endpoints.refresh {
        rows.push(("refresh endpoint", code(refresh)));
    }
    let revocation = match &endpoints.revocation {
        Some(url) => format!("{}, {}", code(url), revoked(wire)),
        None => "none: a connection is removed here, and the tokens end at the provider by themselves".to_owned(),
    };
    rows.push(("revocation", revocation));
    rows.push(("client authentication", code(client.authentication.as_str())));
    let pkce = match wire.authorize.pkce {
        Pkce::Required => "S256",
        Pkce::Off => "off, because the provider rejects the parameters",
    };
    rows.push(("PKCE", pkce.to_owned()));
    rows.push(("default scopes", scopes(wire)));
    rows.push(("access tokens", lifetime(&wire.token.access_lifetime)));
    rows.push(("refresh", refresh(wire)));
    let account = match (wire.identity.source, &endpoints.userinfo) {
        (IdentitySource::TokenResponse, _) => "named by the token response".to_owned(),
        (IdentitySource::Userinfo, Some(url)) => format!("named by {}", code(url)),
        (IdentitySource::Userinfo, None) => "not known".to_owned(),
    };
    rows.push(("account", account));
    let mut base = code(&api.base_url);
    if !grant_values.is_empty() {
        let names: Vec<String> = grant_values.keys().cloned().collect();
        write!(base, ", where the provider names {} at the consent", quoted(&names)).unwrap_or_default();
    }
    rows.push(("API", base));
    if let Some(probe) = profile.file.probe() {
        rows.push(("a call that succeeds with every token", code(probe)));
    }
    let modes = if client.client_credentials { "per user, or shared with the client credentials grant" } else { "per user" };
    rows.push(("connectors", modes.to_owned()));
    rows
}

fn quoted(items: &[String]) -> String {
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}

fn scopes(wire: &Wire) -> String {
    let all: Vec<String> = wire.scopes.default.iter().chain(&wire.scopes.always).cloned().collect();
    if all.is_empty() { "none".to_owned() } else { quoted(&all) }
}

fn revoked(wire: &Wire) -> String {
    let names: Vec<&str> = wire
        .revocation
        .order
        .iter()
        .map(|kind| match kind {
            RevokedKind::Refresh => "the refresh token",
            RevokedKind::Access => "the access token",
        })
        .collect();
    let order = names.join(", then ");
    if wire.revocation.per_user { format!("{order}; it ends every connection of the same client and user") } else { order }
}

fn lifetime(rules: &LifetimeRules) -> String {
    match (rules.assumed_seconds, rules.absent) {
        (Some(seconds), _) => format!("{}, unless the response states another lifetime", span(seconds)),
        (None, Absent::Never) => "do not expire, unless the response states a lifetime".to_owned(),
        (None, Absent::Unknown) => "expire as the response states".to_owned(),
    }
}

fn refresh(wire: &Wire) -> String {
    let rules = &wire.refresh;
    let mut text = match (rules.token, rules.tokens) {
        (RefreshedWith::AccessToken, _) => "the access token is exchanged for a new one before it expires".to_owned(),
        (_, None | Some(RefreshTokens::None)) => return "no refresh tokens".to_owned(),
        (_, Some(RefreshTokens::Kept)) => "the refresh token stays the same".to_owned(),
        (_, Some(RefreshTokens::Rolling)) => "a refresh may return a new refresh token".to_owned(),
        (_, Some(RefreshTokens::SingleUse)) => "each refresh token is used once".to_owned(),
    };
    if let Some(seconds) = rules.margin_seconds {
        write!(text, "; not earlier than {} before the expiry", span(seconds)).unwrap_or_default();
    }
    if let Some(seconds) = wire.token.refresh_lifetime.assumed_seconds {
        write!(text, "; a refresh token lasts {}", span(seconds)).unwrap_or_default();
    }
    if let Some(seconds) = rules.idle_seconds {
        write!(text, "; it ends after {} without use", span(seconds)).unwrap_or_default();
    }
    if let Some(seconds) = rules.absolute_seconds {
        write!(text, "; a new consent is needed after {}", span(seconds)).unwrap_or_default();
    }
    text
}

/// A span in its largest whole unit.
fn span(seconds: u64) -> String {
    let units = [(Duration::from_hours(24), "day"), (Duration::from_hours(1), "hour"), (Duration::from_mins(1), "minute")];
    for (unit, name) in units {
        let size = unit.as_secs();
        if seconds >= size && seconds.is_multiple_of(size) {
            let count = seconds / size;
            return format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        }
    }
    format!("{seconds} seconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_in_their_largest_whole_unit() {
        let spans = [1, 90, 60, 3600, 86_400, 5_184_000].map(span);
        assert_eq!(spans, ["1 seconds", "90 seconds", "1 minute", "1 hour", "1 day", "60 days"]);
    }
}

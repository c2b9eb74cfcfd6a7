//! The wire rules of a provider: its deviations from the standards as data. The defaults follow the standards.
//!
//! Each struct is a section of a profile file. Unknown fields are errors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grantry_domain::ports::TokenKind;
use grantry_domain::provider::{ClientAuthentication, Scopes};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// The rules for requests to a provider and for its responses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wire {
    /// Additional header fields of every request to the provider.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) authorize: AuthorizeRules,
    pub(crate) scopes: ScopeRules,
    pub(crate) token: TokenRules,
    pub(crate) refresh: RefreshRules,
    pub(crate) revocation: RevocationRules,
    pub(crate) identity: IdentityRules,
}

/// `[authorize]`: the authorization URL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuthorizeRules {
    /// Additional parameters. Reserved names are errors.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The provider does not accept `response_type`.
    pub(crate) drop_response_type: bool,
    /// The name of `client_id` if it differs, here and in token requests.
    pub(crate) client_id_parameter: Option<String>,
    /// Whether PKCE is used.
    pub(crate) pkce: Pkce,
}

/// PKCE uses S256 or is off. `plain` is not supported (RFC 9700 §2.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pkce {
    #[default]
    Required,
    /// The provider does not accept the parameters.
    Off,
}

/// `[scopes]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScopeRules {
    /// The name of the request parameter.
    pub(crate) parameter: String,
    /// The separator of scopes in a request.
    pub(crate) separator: String,
    /// Requested if the connector sets no scopes.
    pub(crate) default: Vec<String>,
    /// Always requested.
    pub(crate) always: Vec<String>,
    /// Never included in responses: their absence does not mean that they were not granted.
    pub(crate) unreported: Vec<String>,
    /// Scopes that include others. Responses contain only the wider scope.
    pub(crate) implies: BTreeMap<String, Vec<String>>,
    /// The name of the response member.
    pub(crate) response_field: String,
    /// The separator of scopes in a response, besides white space.
    pub(crate) response_separator: String,
    /// The response may contain a list of scopes instead of a text.
    pub(crate) response_list: bool,
}

/// Scopes of the protocols: requests contain them, and many responses do not.
const PROTOCOL_SCOPES: [&str; 9] =
    ["openid", "profile", "email", "address", "phone", "offline_access", "online_access", "offline", "refresh_token"];
/// Stands for all permissions of a resource (Microsoft Entra). Responses name the permissions.
const ALL_OF_RESOURCE: &str = ".default";

/// Whether a scope stands for all permissions of a resource. Only scopes of the protocols are requested together with it.
pub(crate) fn is_all_of_resource(scope: &str) -> bool {
    scope.rsplit('/').next() == Some(ALL_OF_RESOURCE)
}

/// Whether a scope is one of the protocols.
pub(crate) fn is_protocol_scope(scope: &str) -> bool {
    PROTOCOL_SCOPES.contains(&scope)
}

/// The scopes that responses name when they are granted, unless a profile states another rule.
pub fn reported_scopes(requested: &Scopes) -> Scopes {
    ScopeRules::default().reported(requested)
}

impl Default for ScopeRules {
    fn default() -> Self {
        Self {
            parameter: "scope".to_owned(),
            separator: " ".to_owned(),
            default: Vec::new(),
            always: Vec::new(),
            unreported: PROTOCOL_SCOPES.map(str::to_owned).to_vec(),
            implies: BTreeMap::new(),
            response_field: "scope".to_owned(),
            response_separator: " ".to_owned(),
            response_list: false,
        }
    }
}

impl ScopeRules {
    /// The value of the request parameter.
    pub(crate) fn join(&self, scopes: &Scopes) -> String {
        scopes.iter().collect::<Vec<_>>().join(&self.separator)
    }

    /// Splits the scopes of a setting.
    pub(crate) fn split<'a>(separator: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
        text.split(separator).flat_map(str::split_whitespace)
    }

    /// The scopes that responses name when they are granted.
    pub(crate) fn reported(&self, scopes: &Scopes) -> Scopes {
        let is_unreported =
            |scope: &str| is_all_of_resource(scope) || self.unreported.iter().any(|name| name.eq_ignore_ascii_case(scope));
        Scopes::new(scopes.iter().filter(|scope| !is_unreported(scope)))
    }

    /// Splits the scopes of a response. Providers separate them in another way than in requests.
    pub(crate) fn split_granted<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        text.split(&self.response_separator).flat_map(Scopes::words)
    }

    /// The granted scopes and all scopes that they include.
    pub(crate) fn granted<'a>(&self, named: impl Iterator<Item = &'a str>) -> Scopes {
        let mut pending: Vec<&str> = named.collect();
        let mut all = BTreeSet::new();
        while let Some(scope) = pending.pop() {
            if all.insert(scope.to_owned()) {
                let included = self.implies.iter().filter(|(wider, _)| wider.eq_ignore_ascii_case(scope));
                let included = included.flat_map(|(_, included)| included).map(String::as_str);
                pending.extend(included.filter(|scope| !all.contains(*scope)));
            }
        }
        Scopes::new(all)
    }
}

/// `[token]`: requests to the token endpoint and their responses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokenRules {
    /// The format of requests.
    pub(crate) request_format: RequestFormat,
    /// Additional parameters of a code exchange. Reserved names are errors.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The format of responses.
    pub(crate) response_format: ResponseFormat,
    /// Errors are returned with status 200.
    pub(crate) error_in_200: bool,
    /// Responses may omit `token_type`.
    pub(crate) token_type_optional: bool,
    /// Responses contain another word in `token_type`, and the token is a bearer token all the same.
    pub(crate) token_type_ignored: bool,
    /// The path of the member that contains the tokens, if they are not at top level.
    pub(crate) nested_in: Option<String>,
    /// Vendor error codes and the equivalent code of RFC 6749 §5.2.
    pub(crate) errors: BTreeMap<String, String>,
    /// The lifetime of access tokens.
    #[serde(deserialize_with = "access_lifetime")]
    pub(crate) access_lifetime: LifetimeRules,
    /// The lifetime of refresh tokens.
    #[serde(deserialize_with = "refresh_lifetime")]
    pub(crate) refresh_lifetime: LifetimeRules,
}

impl Default for TokenRules {
    fn default() -> Self {
        Self {
            request_format: RequestFormat::default(),
            parameters: BTreeMap::new(),
            response_format: ResponseFormat::default(),
            error_in_200: false,
            token_type_optional: false,
            token_type_ignored: false,
            nested_in: None,
            errors: BTreeMap::new(),
            access_lifetime: LifetimeRules::of_access_tokens(),
            refresh_lifetime: LifetimeRules::of_refresh_tokens(),
        }
    }
}

/// The format of a request to the token endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RequestFormat {
    #[default]
    Form,
    /// An object whose members are the parameters.
    Json,
}

/// The format of a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ResponseFormat {
    #[default]
    Json,
    /// A form or JSON, depending on `Content-Type`.
    JsonOrForm,
}

/// `[token.access_lifetime]`, `[token.refresh_lifetime]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LifetimeRules {
    /// Members with the lifetime. The first one present is used.
    pub(crate) fields: Vec<String>,
    /// What the members contain.
    pub(crate) unit: TimeUnit,
    /// The meaning of an absent member.
    pub(crate) absent: Absent,
    /// The lifetime in seconds if the member is absent. Takes precedence over `absent`.
    pub(crate) assumed_seconds: Option<u64>,
    /// Zero means that the token does not expire.
    pub(crate) zero_means_never: bool,
}

/// A section as it is written. What is left out has the default of the kind of token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedLifetime {
    fields: Option<Vec<String>>,
    #[serde(default)]
    unit: TimeUnit,
    #[serde(default)]
    absent: Absent,
    assumed_seconds: Option<u64>,
    zero_means_never: Option<bool>,
}

impl StatedLifetime {
    fn or(self, default: LifetimeRules) -> LifetimeRules {
        let Self { fields, unit, absent, assumed_seconds, zero_means_never } = self;
        LifetimeRules {
            fields: fields.unwrap_or(default.fields),
            unit,
            absent,
            assumed_seconds,
            zero_means_never: zero_means_never.unwrap_or(default.zero_means_never),
        }
    }
}

fn access_lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LifetimeRules, D::Error> {
    StatedLifetime::deserialize(deserializer).map(|stated| stated.or(LifetimeRules::of_access_tokens()))
}

fn refresh_lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LifetimeRules, D::Error> {
    StatedLifetime::deserialize(deserializer).map(|stated| stated.or(LifetimeRules::of_refresh_tokens()))
}

impl LifetimeRules {
    fn of_access_tokens() -> Self {
        Self { fields: vec!["expires_in".to_owned()], ..Self::default() }
    }

    fn of_refresh_tokens() -> Self {
        let fields = ["refresh_token_expires_in", "refresh_expires_in"].map(str::to_owned).to_vec();
        Self { fields, zero_means_never: true, ..Self::default() }
    }

    /// The assumed lifetime, if the profile has one.
    pub(crate) fn assumed(&self) -> Option<Duration> {
        self.assumed_seconds.map(Duration::from_secs)
    }
}

/// What a lifetime member contains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TimeUnit {
    /// The seconds that are left.
    #[default]
    Seconds,
    /// The milliseconds that are left.
    Milliseconds,
    /// The time of expiry, in seconds since the Unix epoch.
    UnixSeconds,
    /// The time of expiry, in milliseconds since the Unix epoch.
    UnixMilliseconds,
}

/// The meaning of an absent lifetime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Absent {
    #[default]
    Unknown,
    Never,
}

/// `[refresh]`: refresh tokens, and how tokens are refreshed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RefreshRules {
    /// What happens to a refresh token when it is used. Every profile states it.
    pub(crate) tokens: Option<RefreshTokens>,
    /// What is presented for a new access token.
    pub(crate) token: RefreshedWith,
    /// The value of `grant_type`, if it is not `refresh_token`.
    pub(crate) grant_type: Option<String>,
    /// The name of the parameter with the token, if it is not `refresh_token`.
    pub(crate) token_parameter: Option<String>,
    /// Additional parameters. Reserved names are errors.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The path of the member that contains the tokens, if it differs from that of a code exchange. Empty for the top level.
    pub(crate) nested_in: Option<String>,
    /// The provider refuses to refresh earlier than so many seconds before the access token expires.
    pub(crate) margin_seconds: Option<u64>,
    /// A refresh token that is not used for so many seconds ends.
    pub(crate) idle_seconds: Option<u64>,
    /// Refresh tokens end so many seconds after the consent.
    pub(crate) absolute_seconds: Option<u64>,
    /// Send the granted scopes.
    pub(crate) send_scope: bool,
    /// Send the redirect URI.
    pub(crate) send_redirect_uri: bool,
    /// Error codes that mean `invalid_grant` at a refresh. Besides `token.errors`; connectors can add more.
    pub(crate) errors: Vec<String>,
}

/// What happens to a refresh token when it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RefreshTokens {
    /// The provider issues none.
    None,
    /// It can be used again.
    Kept,
    /// A new one may be issued; the former one remains valid for some time.
    Rolling,
    /// It ends, and a new one is issued.
    SingleUse,
}

/// What is presented for a new access token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RefreshedWith {
    #[default]
    RefreshToken,
    /// The access token itself.
    AccessToken,
}

/// `[revocation]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RevocationRules {
    /// The revocation request.
    pub(crate) style: RevocationStyle,
    /// How the client authenticates, if it differs from the token endpoint.
    #[serde(deserialize_with = "authentication")]
    pub(crate) authentication: Option<ClientAuthentication>,
    /// The method of [`RevocationStyle::Bearer`].
    pub(crate) method: BearerMethod,
    /// The name of the parameter with the token.
    pub(crate) token_parameter: String,
    /// The name of the parameter with the client id, if it differs from that at the token endpoint.
    pub(crate) client_id_parameter: Option<String>,
    /// The name of the parameter with the client secret.
    pub(crate) client_secret_parameter: Option<String>,
    /// Send `token_type_hint`.
    pub(crate) send_hint: bool,
    /// Additional parameters. Reserved names are errors.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The tokens to revoke, in this order.
    pub(crate) order: Vec<RevokedKind>,
    /// Revoking one token ends every grant of the same client and user.
    pub(crate) per_user: bool,
    /// Additional statuses that mean success.
    pub(crate) success_statuses: Vec<u16>,
}

impl Default for RevocationRules {
    fn default() -> Self {
        Self {
            style: RevocationStyle::default(),
            authentication: None,
            method: BearerMethod::default(),
            token_parameter: "token".to_owned(),
            client_id_parameter: None,
            client_secret_parameter: None,
            send_hint: true,
            parameters: BTreeMap::new(),
            order: vec![RevokedKind::Refresh, RevokedKind::Access],
            per_user: false,
            success_statuses: Vec::new(),
        }
    }
}

fn authentication<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ClientAuthentication>, D::Error> {
    let name = String::deserialize(deserializer)?;
    ClientAuthentication::parse(&name).map(Some).ok_or_else(|| D::Error::custom("must be basic, post or none"))
}

/// The revocation request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RevocationStyle {
    /// RFC 7009.
    #[default]
    Rfc7009,
    /// RFC 7009 with a JSON object in place of the form.
    Json,
    /// The token itself authenticates the request, which has no body.
    Bearer,
    /// The token itself authenticates the request, and its form is that of RFC 7009.
    BearerForm,
    /// `DELETE` with Basic client credentials and `{"access_token": …}`.
    DeleteBasicJson,
}

/// The method of a revocation that the token authenticates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum BearerMethod {
    #[default]
    Post,
    Delete,
    Get,
}

/// A token type in `order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RevokedKind {
    Refresh,
    Access,
}

impl From<RevokedKind> for TokenKind {
    fn from(kind: RevokedKind) -> Self {
        match kind {
            RevokedKind::Refresh => Self::Refresh,
            RevokedKind::Access => Self::Access,
        }
    }
}

/// `[identity]`: the members of userinfo, token response or ID token that identify the account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IdentityRules {
    /// The response that names the account, unless there is an ID token.
    pub(crate) source: IdentitySource,
    /// The method of the request to userinfo.
    pub(crate) method: UserinfoMethod,
    /// The JSON body of the request to userinfo, for [`UserinfoMethod::Post`].
    pub(crate) body: Option<String>,
    /// The paths of the stable id. The first member present is used.
    pub(crate) subject: Vec<String>,
    /// The paths of the name that users recognize. The first member present is used.
    pub(crate) label: Vec<String>,
}

/// The response that names the account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IdentitySource {
    #[default]
    Userinfo,
    TokenResponse,
}

/// The method of the request to userinfo.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum UserinfoMethod {
    #[default]
    Get,
    Post,
}

impl Default for IdentityRules {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            source: IdentitySource::default(),
            method: UserinfoMethod::default(),
            body: None,
            subject: names(&["sub", "id"]),
            label: names(&["email", "preferred_username", "login", "name"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r13_a_wider_scope_includes_the_narrower_ones() {
        let mut rules = ScopeRules::default();
        rules.implies.insert("admin".to_owned(), vec!["write".to_owned()]);
        rules.implies.insert("write".to_owned(), vec!["read".to_owned(), "admin".to_owned()]);
        assert_eq!(rules.granted(["admin", "x"].into_iter()).to_record(), "admin read write x");
        assert_eq!(rules.granted(["Admin"].into_iter()).to_record(), "Admin admin read write", "without case");
        assert_eq!(rules.granted(["read"].into_iter()).to_record(), "read");
        assert!(rules.granted(std::iter::empty()).is_empty());
    }

    #[test]
    fn r13_protocol_scopes_are_not_expected_in_responses() {
        let requested = Scopes::from_record(
            "openid Profile email offline_access refresh_token https://graph.microsoft.com/.default .default files.read mail",
        );
        assert_eq!(ScopeRules::default().reported(&requested).to_record(), "files.read mail");
        let all = ScopeRules { unreported: Vec::new(), ..ScopeRules::default() };
        assert_eq!(all.reported(&Scopes::new(["openid"])).to_record(), "openid");
    }

    #[test]
    fn r13_granted_scopes_are_separated_in_any_way() {
        let rules = ScopeRules { response_separator: "+".to_owned(), ..ScopeRules::default() };
        for text in ["a,b", "a b", " a,, b, ", "a+b", "a+,b"] {
            assert_eq!(rules.split_granted(text).collect::<Vec<_>>(), ["a", "b"], "{text}");
        }
    }

    #[test]
    fn scopes_are_split_at_their_separator_and_at_white_space() {
        let split = |separator, text| ScopeRules::split(separator, text).collect::<Vec<_>>();
        assert_eq!(split(" ", " a  b "), ["a", "b"]);
        assert_eq!(split(",", "a,b, c"), ["a", "b", "c"]);
        assert_eq!(split(" ", "a,b"), ["a,b"]);
        assert!(split(" ", "").is_empty());
    }
}

//! The state of the provider: sessions, consents, codes, grants, tokens. Pure: the time is an argument.

mod tokens;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Moment;
use super::secret::{Digest, random, random_of_length};

/// The whole state; also the content of the state file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct State {
    /// The offset of the clock that tests set, in milliseconds.
    pub(super) clock_offset_ms: u64,
    /// PKCS#8 of the ID token key, base64.
    pub(super) signing_key: Option<String>,
    /// Log-ins at the provider: digest of the cookie → username.
    pub(super) sessions: HashMap<Digest, String>,
    /// Scopes by `username client_id`.
    pub(super) consents: BTreeMap<String, BTreeSet<String>>,
    pub(super) grants: BTreeMap<u64, GrantRecord>,
    /// Pushed authorization requests: `request_uri` → request.
    pushed: HashMap<String, Timed<AuthorizationRequest>>,
    /// Requests whose log-in or consent page is open.
    interactions: HashMap<String, Timed<AuthorizationRequest>>,
    codes: HashMap<Digest, Timed<CodeRecord>>,
    access_tokens: HashMap<Digest, Timed<AccessRecord>>,
    refresh_tokens: HashMap<Digest, RefreshRecord>,
    last_number: u64,
}

/// Lifetime of an open log-in or consent page and of a pushed request.
const INTERACTION_TTL: Duration = Duration::from_mins(10);
/// How long expired codes and access tokens stay distinguishable from unknown ones.
const KEEP_EXPIRED: Duration = Duration::from_hours(1);

/// A record with an expiry.
#[derive(Debug, Serialize, Deserialize)]
struct Timed<T> {
    until: Moment,
    record: T,
}

/// A validated authorization request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AuthorizationRequest {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) scope: Vec<String>,
    pub(super) state: Option<String>,
    pub(super) code_challenge: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) prompt: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CodeRecord {
    request: AuthorizationRequest,
    username: String,
    scope: Vec<String>,
    /// The grant created from it; a second use of the code ends the grant.
    redeemed: Option<u64>,
}

/// One consent of a user to one client; its tokens refer to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct GrantRecord {
    pub(super) client_id: String,
    /// Absent for client credentials.
    pub(super) username: Option<String>,
    pub(super) scope: Vec<String>,
    pub(super) ended: Option<GrantEnd>,
}

/// Why a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantEnd {
    /// The client revoked its refresh token (RFC 7009).
    Revoked,
    /// A used refresh token was presented again (RFC 9700 §4.14.2).
    RefreshTokenReused,
    /// An authorization code was presented again (RFC 6749 §4.1.2).
    CodeReused,
    /// The user, or a test on behalf of the user, withdrew the access at the provider.
    Withdrawn,
}

#[derive(Debug, Serialize, Deserialize)]
struct AccessRecord {
    grant: u64,
    number: u64,
    scope: Vec<String>,
    revoked: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct RefreshRecord {
    grant: u64,
    until: Option<Moment>,
    spent: Option<Moment>,
}

/// The tokens that a successful token request issues.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) scope: Vec<String>,
    pub(super) username: Option<String>,
    pub(super) nonce: Option<String>,
}

/// A valid access token, for the API.
#[derive(Debug)]
pub(super) struct Bearer {
    pub(super) client_id: String,
    pub(super) username: Option<String>,
    pub(super) scope: Vec<String>,
    pub(super) token_number: u64,
}

/// The parameters of a code exchange.
#[derive(Debug)]
pub(super) struct Presented<'r> {
    pub(super) code: &'r str,
    pub(super) client_id: &'r str,
    pub(super) redirect_uri: Option<&'r str>,
    pub(super) code_verifier: Option<&'r str>,
}

/// A refusal of `invalid_grant`, with its description.
pub(super) type Refused = &'static str;

impl State {
    /// Stores a pushed request and returns its `request_uri` (RFC 9126 §2.2) and lifetime.
    pub(super) fn push(&mut self, request: AuthorizationRequest, now: Moment) -> (String, Duration) {
        let life = Duration::from_mins(1);
        let uri = random("urn:ietf:params:oauth:request_uri:");
        self.pushed.insert(uri.clone(), Timed { until: now.after(life), record: request });
        (uri, life)
    }

    /// Takes a pushed request, which can be used once.
    pub(super) fn take_pushed(&mut self, uri: &str, now: Moment) -> Option<AuthorizationRequest> {
        self.pushed.remove(uri).filter(|pushed| now < pushed.until).map(|pushed| pushed.record)
    }

    /// Stores a request while its user logs in and decides; returns the id for the pages.
    pub(super) fn begin_interaction(&mut self, request: AuthorizationRequest, now: Moment) -> String {
        let id = random("");
        self.interactions.insert(id.clone(), Timed { until: now.after(INTERACTION_TTL), record: request });
        id
    }

    /// The request of a page.
    pub(super) fn interaction(&self, id: &str, now: Moment) -> Option<&AuthorizationRequest> {
        self.interactions.get(id).filter(|timed| now < timed.until).map(|timed| &timed.record)
    }

    /// Ends an interaction and returns its request.
    pub(super) fn end_interaction(&mut self, id: &str, now: Moment) -> Option<AuthorizationRequest> {
        self.interactions.remove(id).filter(|timed| now < timed.until).map(|timed| timed.record)
    }

    /// Records that the log-in which `prompt=login` requires has taken place.
    pub(super) fn log_in_done(&mut self, id: &str) {
        if let Some(interaction) = self.interactions.get_mut(id) {
            interaction.record.prompt.retain(|prompt| prompt != "login" && prompt != "select_account");
        }
    }

    /// Logs a user in and returns the value for the session cookie.
    pub(super) fn log_in(&mut self, username: &str) -> String {
        let cookie = random("");
        self.sessions.insert(Digest::of(&cookie), username.to_owned());
        cookie
    }

    /// Whether this user has granted all these scopes to this client before.
    pub(super) fn has_consented(&self, username: &str, client_id: &str, scope: &[String]) -> bool {
        self.consents
            .get(&consent_key(username, client_id))
            .is_some_and(|granted| scope.iter().all(|wanted| granted.contains(wanted)))
    }

    /// Records the consent and creates a code for it.
    pub(super) fn issue_code(
        &mut self,
        request: AuthorizationRequest,
        username: &str,
        scope: Vec<String>,
        length: usize,
        until: Moment,
    ) -> String {
        self.consents.entry(consent_key(username, &request.client_id)).or_default().extend(scope.iter().cloned());
        let code = random_of_length("code_", length);
        let record = CodeRecord { request, username: username.to_owned(), scope, redeemed: None };
        self.codes.insert(Digest::of(&code), Timed { until, record });
        code
    }

    /// The user and scopes of an access token, unless it is unknown, expired or revoked.
    pub(super) fn bearer(&self, token: &str, now: Moment) -> Option<Bearer> {
        let access = self.access_tokens.get(&Digest::of(token))?;
        let grant = self.grants.get(&access.record.grant)?;
        (now < access.until && !access.record.revoked && grant.ended.is_none()).then(|| Bearer {
            client_id: grant.client_id.clone(),
            username: grant.username.clone(),
            scope: access.record.scope.clone(),
            token_number: access.record.number,
        })
    }

    /// The grant of a code that was redeemed, or of an access or refresh token, whether or not it is still valid.
    pub(super) fn grant_of(&self, secret: &str) -> Option<(u64, &GrantRecord)> {
        let digest = Digest::of(secret);
        let of_code = || self.codes.get(&digest)?.record.redeemed;
        let of_access = || Some(self.access_tokens.get(&digest)?.record.grant);
        let of_refresh = || Some(self.refresh_tokens.get(&digest)?.grant);
        let number = of_code().or_else(of_access).or_else(of_refresh)?;
        Some((number, self.grants.get(&number)?))
    }

    /// Whether this refresh token would be accepted now.
    pub(super) fn accepts_refresh_token(&self, token: &str, now: Moment) -> bool {
        self.refresh_tokens.get(&Digest::of(token)).is_some_and(|record| {
            record.spent.is_none()
                && record.until.is_none_or(|until| now < until)
                && self.grants.get(&record.grant).is_some_and(|grant| grant.ended.is_none())
        })
    }

    /// Ends a grant with all its tokens. The first reason is kept.
    pub(super) fn end_grant(&mut self, grant: u64, why: GrantEnd) {
        if let Some(grant) = self.grants.get_mut(&grant) {
            grant.ended.get_or_insert(why);
        }
    }

    /// Ends every grant that `username` gave to `client_id` (or to any client) and removes the consent.
    pub(super) fn withdraw(&mut self, username: &str, client_id: Option<&str>) {
        let wanted = |client: &str| client_id.is_none_or(|id| id == client);
        for grant in self.grants.values_mut() {
            if grant.username.as_deref() == Some(username) && wanted(&grant.client_id) {
                grant.ended.get_or_insert(GrantEnd::Withdrawn);
            }
        }
        self.consents
            .retain(|key, _| key.split_once(' ').is_none_or(|(owner, client)| owner != username || !wanted(client)));
    }

    /// Removes records that no response depends on, so that a long-lived state file stays small.
    pub(super) fn prune(&mut self, now: Moment) {
        self.pushed.retain(|_, timed| now < timed.until);
        self.interactions.retain(|_, timed| now < timed.until);
        self.codes.retain(|_, timed| now < timed.until.after(KEEP_EXPIRED));
        self.access_tokens.retain(|_, timed| now < timed.until.after(KEEP_EXPIRED));
    }
}

fn consent_key(username: &str, client_id: &str) -> String {
    format!("{username} {client_id}")
}

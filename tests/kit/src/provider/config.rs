//! The settings of a provider: accounts, clients and policies.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// A user with an account at the provider.
#[derive(Clone, Debug)]
pub struct User {
    /// Log-in name.
    pub username: String,
    /// Log-in password. These accounts protect no real data.
    pub password: String,
    /// `sub` of ID token and userinfo: stable and opaque.
    pub subject: String,
    /// Email address. The API also returns it to identify the user of a token.
    pub email: String,
    /// Name for display.
    pub name: String,
}

impl User {
    /// An account with subject `sub-{username}`, address `{username}@example.test` and the given password.
    pub fn new(username: &str, password: &str) -> Self {
        let mut letters = username.chars();
        let name = letters.next().map(|first| first.to_uppercase().chain(letters).collect());
        Self {
            username: username.to_owned(),
            password: password.to_owned(),
            subject: format!("sub-{username}"),
            email: format!("{username}@example.test"),
            name: name.unwrap_or_default(),
        }
    }

    /// Sets the address.
    #[must_use]
    pub fn email(mut self, email: &str) -> Self {
        email.clone_into(&mut self.email);
        self
    }

    /// Sets the name for display.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
}

/// How a client authenticates (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Only `Authorization: Basic`.
    Basic,
    /// Only `client_id` and `client_secret` in the body.
    Post,
    /// Either of the two, but not both in one request.
    Either,
    /// A public client, which sends only `client_id` in the body.
    Public,
}

/// How a redirect URI is compared with a registered one. RFC 9700 §4.1.3 requires the exact string; other servers compare in
/// the other ways, after the normalization of RFC 3986 §6.2.2 (`/../` is resolved).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectMatching {
    /// By exact string.
    Exact,
    /// The same origin, and the same path or one below it.
    SubPath,
    /// The registered URI is a prefix.
    Prefix,
    /// `*` in the registered URI stands for any text.
    Wildcard,
}

impl RedirectMatching {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exact, Self::SubPath, Self::Prefix, Self::Wildcard];

    fn accepts(self, registered: &str, uri: &str) -> bool {
        let (Ok(known), Ok(asked)) = (Url::parse(registered), Url::parse(uri)) else { return false };
        let origin = (known.scheme(), known.host(), known.port()) == (asked.scheme(), asked.host(), asked.port());
        match self {
            Self::Exact => registered == uri,
            Self::SubPath => {
                let below = asked.path().strip_prefix(known.path().trim_end_matches('/'));
                origin && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Prefix => asked.as_str().starts_with(known.as_str()),
            Self::Wildcard => matches_pattern(known.as_str(), asked.as_str()),
        }
    }
}

/// Whether a text matches a pattern in which `*` stands for any text.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    (0..=text.len()).filter_map(|start| text.get(start..)).any(|tail| matches_pattern(rest, tail))
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; empty for a public client.
    pub secret: String,
    /// Name on the consent page.
    pub name: String,
    /// Redirect URIs. A request must contain one that matches one of them.
    pub redirect_uris: Vec<String>,
    /// How they are compared; by exact string unless set.
    pub redirect_matching: RedirectMatching,
    /// The authentication method.
    pub auth: ClientAuth,
}

impl Client {
    /// A confidential client without redirect URIs that may authenticate by either method.
    pub fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            name: id.to_owned(),
            redirect_uris: Vec::new(),
            redirect_matching: RedirectMatching::Exact,
            auth: ClientAuth::Either,
        }
    }

    /// Adds a redirect URI.
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Sets how redirect URIs are compared.
    #[must_use]
    pub const fn redirect_matching(mut self, matching: RedirectMatching) -> Self {
        self.redirect_matching = matching;
        self
    }

    /// Whether this matches one of the redirect URIs.
    pub(super) fn allows_redirect_to(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|known| self.redirect_matching.accepts(known, uri))
    }

    /// Sets the authentication method.
    #[must_use]
    pub const fn auth(mut self, auth: ClientAuth) -> Self {
        self.auth = auth;
        self
    }

    /// Sets the name on the consent page.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
}

/// How refresh tokens are rotated (RFC 9700 §4.14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Every refresh issues a new token. Reuse of a used token ends the whole grant.
    Strict,
    /// Every refresh issues a new token. A used token works for this long; reuse after that ends the whole grant.
    Grace(Duration),
    /// No rotation: the first token stays valid, and later responses contain no refresh token.
    None,
}

/// Which grants get a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshTokens {
    /// Every grant of a user.
    Always,
    /// Only with scope `offline_access`.
    OfflineAccess,
    /// No grant.
    Never,
}

/// Whether a flow requires PKCE (RFC 7636). `plain` is always refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pkce {
    /// A challenge with S256 is required.
    Required,
    /// A missing challenge is accepted.
    Optional,
    /// A request with a challenge is refused, as by servers that refuse parameters they do not support.
    Refused,
}

/// The settings that the builder collects.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) title: String,
    pub(super) users: Vec<User>,
    pub(super) scopes: Vec<(String, String)>,
    pub(super) access_ttl: Duration,
    pub(super) refresh_ttl: Option<Duration>,
    pub(super) code_ttl: Duration,
    pub(super) code_length: usize,
    pub(super) token_length: usize,
    pub(super) rotation: Rotation,
    pub(super) refresh_tokens: RefreshTokens,
    pub(super) pkce: Pkce,
    pub(super) require_par: bool,
    pub(super) announce_iss: bool,
    pub(super) remember_consent: bool,
    pub(super) ledger_limit: Option<usize>,
    pub(super) state_file: Option<PathBuf>,
}

impl Settings {
    /// Whether a grant of these scopes gets a refresh token.
    pub(super) fn issues_refresh_token(&self, scope: &[String]) -> bool {
        match self.refresh_tokens {
            RefreshTokens::Always => true,
            RefreshTokens::OfflineAccess => scope.iter().any(|scope| scope == "offline_access"),
            RefreshTokens::Never => false,
        }
    }

    /// The account with this log-in name.
    pub(super) fn user(&self, username: &str) -> Option<&User> {
        self.users.iter().find(|user| user.username == username)
    }
}

impl Default for Settings {
    fn default() -> Self {
        let scopes = [
            ("openid", "See who you are"),
            ("profile", "See your name"),
            ("email", "See your email address"),
            ("offline_access", "Stay connected while you are away"),
            ("files.read", "Read your files"),
            ("files.write", "Change your files"),
        ];
        Self {
            title: "Mock provider".to_owned(),
            users: Vec::new(),
            scopes: scopes.map(|(scope, text)| (scope.to_owned(), text.to_owned())).into(),
            access_ttl: Duration::from_mins(5),
            refresh_ttl: None,
            code_ttl: Duration::from_mins(1),
            code_length: 0,
            token_length: 0,
            rotation: Rotation::Strict,
            refresh_tokens: RefreshTokens::Always,
            pkce: Pkce::Required,
            require_par: false,
            announce_iss: true,
            remember_consent: false,
            ledger_limit: None,
            state_file: None,
        }
    }
}

//! The settings of a provider: accounts, clients and policies.

use std::path::PathBuf;
use std::time::Duration;

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

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; empty for a public client.
    pub secret: String,
    /// Name on the consent page.
    pub name: String,
    /// Redirect URIs. A request must contain one of them, compared by exact string (RFC 9700 §4.1.3).
    pub redirect_uris: Vec<String>,
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
            auth: ClientAuth::Either,
        }
    }

    /// Adds a redirect URI.
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Whether this is one of the redirect URIs, compared by exact string.
    pub(super) fn allows_redirect_to(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|known| known == uri)
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

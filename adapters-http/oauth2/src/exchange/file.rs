//! The format of `<id>.exchange.toml`.

use std::collections::BTreeMap;
use std::time::Duration;

use grantry_domain::ports::{Lifetime, ProviderErrorKind, RevocationResponse, TokenKind};
use serde::Deserialize;

/// What a provider sends, and the expected results.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    /// The connector's `config`.
    pub(super) config: String,
    pub(super) callback: ExpectedCallback,
    pub(super) expected_scopes: Vec<String>,
    /// Parameters of the redirect besides those of the standards.
    #[serde(default)]
    pub(super) callback_parameters: BTreeMap<String, String>,
    /// The base URL of the API, if each grant brings it.
    pub(super) base_url: Option<String>,
    pub(super) authorization: AuthorizationUrl,
    pub(super) token: Vec<TokenCall>,
    pub(super) identity: Option<IdentityCall>,
    pub(super) revocation: Option<Revocation>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ExpectedCallback {
    Profiles,
    PerConnector,
}

/// The authorization URL. The parameters that every flow sets are always checked and not listed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthorizationUrl {
    pub(super) endpoint: String,
    /// Whether the code challenge (RFC 7636 §4.3) is one of the parameters that every flow sets.
    #[serde(default = "yes")]
    pub(super) pkce: bool,
    pub(super) parameters: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenCall {
    pub(super) grant: Grant,
    #[serde(default)]
    pub(super) request: ExpectedRequest,
    pub(super) response: Response,
    pub(super) tokens: Option<Tokens>,
    pub(super) error: Option<ErrorKind>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grant {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
}

/// What must be in a request; a member that is not given is not checked.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExpectedRequest {
    pub(super) method: Option<String>,
    pub(super) url: Option<String>,
    /// Parameters of the form, or members of the JSON object.
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Response {
    #[serde(default = "ok")]
    pub(super) status: u16,
    #[serde(default)]
    pub(super) content_type: String,
    #[serde(default)]
    pub(super) body: String,
}

fn ok() -> u16 {
    200
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tokens {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) access_lifetime: ExpectedLifetime,
    #[serde(default)]
    pub(super) refresh_lifetime: ExpectedLifetime,
    /// Absent: the response does not report scopes.
    pub(super) granted_scopes: Option<Vec<String>>,
    /// The account, if the response names it.
    pub(super) account: Option<ExpectedAccount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedAccount {
    pub(super) subject: String,
    pub(super) label: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ExpectedLifetime {
    #[default]
    Unknown,
    Never,
    #[serde(untagged)]
    Seconds(u64),
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ErrorKind {
    InvalidGrant,
    ClientRefused,
    OtherOauthError,
    Refused,
    Malformed,
    NoResponse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityCall {
    #[serde(default)]
    pub(super) request: ExpectedRequest,
    pub(super) response: Response,
    pub(super) subject: String,
    pub(super) label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revocation {
    pub(super) order: Vec<Kind>,
    pub(super) calls: Vec<RevocationCall>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevocationCall {
    pub(super) token: Kind,
    #[serde(default)]
    pub(super) request: ExpectedRequest,
    /// Absent: no request is sent.
    pub(super) response: Option<Response>,
    pub(super) outcome: RevocationOutcome,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Access,
    Refresh,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RevocationOutcome {
    Done,
    NotSupported,
    #[serde(untagged)]
    Error(ErrorKind),
}

impl From<Kind> for TokenKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Access => Self::Access,
            Kind::Refresh => Self::Refresh,
        }
    }
}

impl From<ErrorKind> for ProviderErrorKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidGrant => Self::InvalidGrant,
            ErrorKind::ClientRefused => Self::ClientRefused,
            ErrorKind::OtherOauthError => Self::OtherOauthError,
            ErrorKind::Refused => Self::Refused,
            ErrorKind::Malformed => Self::Malformed,
            ErrorKind::NoResponse => Self::NoResponse,
        }
    }
}

impl From<&RevocationOutcome> for Result<RevocationResponse, ProviderErrorKind> {
    fn from(outcome: &RevocationOutcome) -> Self {
        match outcome {
            RevocationOutcome::Done => Ok(RevocationResponse::Done),
            RevocationOutcome::NotSupported => Ok(RevocationResponse::NotSupported),
            RevocationOutcome::Error(kind) => Err((*kind).into()),
        }
    }
}

impl From<&ExpectedLifetime> for Lifetime {
    fn from(lifetime: &ExpectedLifetime) -> Self {
        match lifetime {
            ExpectedLifetime::Unknown => Self::Unknown,
            ExpectedLifetime::Never => Self::Never,
            ExpectedLifetime::Seconds(seconds) => Self::For(Duration::from_secs(*seconds)),
        }
    }
}

//! The endpoints, by which the ledger sorts and faults are addressed.

/// A place at the provider where a request can arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `GET /authorize`, by a browser.
    Authorization,
    /// `POST /log-in` and the other pages, by a browser.
    Pages,
    /// `POST /consent`, by a browser; its answer is the way back to the client.
    Consent,
    /// `POST /token`.
    Token,
    /// `POST /revoke`.
    Revocation,
    /// `POST /par`.
    PushedAuthorization,
    /// `GET /userinfo`.
    Userinfo,
    /// Both well-known metadata documents.
    Metadata,
    /// `GET /jwks`.
    Jwks,
    /// Everything below `/api/`.
    Api,
    /// Any other path.
    Unknown,
}

impl Endpoint {
    /// Is it called by the client itself, not by a browser?
    pub const fn is_back_channel(self) -> bool {
        match self {
            Self::Authorization | Self::Pages | Self::Consent => false,
            Self::Token
            | Self::Revocation
            | Self::PushedAuthorization
            | Self::Userinfo
            | Self::Metadata
            | Self::Jwks
            | Self::Api
            | Self::Unknown => true,
        }
    }
}

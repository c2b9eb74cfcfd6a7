//! The endpoints of the provider. The ledger filters by endpoint, and faults are set per endpoint.

/// An endpoint of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `GET /authorize`, by a browser.
    Authorization,
    /// `POST /log-in` and the other pages, by a browser.
    Pages,
    /// `POST /consent`, by a browser; the response redirects to the client.
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
    /// All paths below `/api/`.
    Api,
    /// Any other path.
    Unknown,
}

impl Endpoint {
    /// Whether the client itself calls it, not a browser.
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

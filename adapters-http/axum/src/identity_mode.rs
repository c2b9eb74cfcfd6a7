//! The names of the ways in which users sign in.

use utoipa::ToSchema;

/// How users sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(as = IdentityMode, rename_all = "kebab-case")]
pub(crate) enum IdentityModeName {
    /// Accounts of this deployment.
    Accounts,
    /// A proxy in front signs users in.
    ProxyHeader,
    /// The application that contains this one signs users in.
    Host,
}

impl IdentityModeName {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::ProxyHeader => "proxy-header",
            Self::Host => "host",
        }
    }
}

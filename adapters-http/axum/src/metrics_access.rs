//! Access to `/metrics`.

use grantry_domain::secret::equal_in_constant_time;
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::auth::bearer;

/// Who may read `/metrics`.
#[derive(Clone)]
pub enum MetricsAccess {
    /// No client: the path does not exist.
    Closed,
    /// Every client that reaches the listener.
    Open,
    /// A client that presents this bearer token, by its SHA-256.
    Bearer([u8; 32]),
}

/// Why metrics are not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricsRefused {
    /// They do not exist here.
    NotFound,
    /// The token is missing or wrong.
    Unauthorized,
}

impl MetricsAccess {
    /// Access with this token.
    pub fn bearer(token: &str) -> Self {
        Self::Bearer(Sha256::digest(token.as_bytes()).into())
    }

    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), MetricsRefused> {
        match self {
            Self::Closed => Err(MetricsRefused::NotFound),
            Self::Open => Ok(()),
            Self::Bearer(expected) => {
                let mut presented = headers.get_all(header::AUTHORIZATION).iter();
                let only = presented.next().filter(|_| presented.next().is_none());
                let token = only.and_then(|value| value.to_str().ok()).and_then(bearer).unwrap_or_default();
                let is_right = equal_in_constant_time(expected, &Sha256::digest(token.as_bytes()));
                if is_right { Ok(()) } else { Err(MetricsRefused::Unauthorized) }
            }
        }
    }
}

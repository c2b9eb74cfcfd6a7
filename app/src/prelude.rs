//! The types that most hosts use: `use grantry::prelude::*;`.

pub use grantry_crypto_aes_gcm::{KeySource, Keyring};
pub use grantry_domain::identity::{Actor, ConnectionName, Role, SpaceId, UserId};
pub use grantry_domain::ports::{Directory, DirectoryError, Membership, UserStatus};
pub use grantry_http_axum::{
    AgentKey, AgentPrincipal, AuthenticationError, Authenticator, PasswordVerifier, Principal, PublicBaseUrl, SpaceView,
    UserDirectory, UserView,
};
pub use grantry_provider_oauth2::EgressPolicy;

pub use crate::app::{App, Identity};
pub use crate::jobs::{Jobs, Periods};
pub use crate::serve::{Server, listen};
pub use crate::store::AppStore;

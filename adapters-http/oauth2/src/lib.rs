//! OAuth 2.0 client: requests, responses, provider profiles.
//!
//! [`Profiles`] parses connector settings, [`Oauth2Server`] sends requests to authorization servers, [`ApiCaller`] calls
//! APIs with a user's token. All of them send through [`HttpTransport`], a port of this crate, and check every URL against
//! [`EgressPolicy`] before each use.
//!
//! **Architecture invariant:** this crate opens no socket and reads no system clock. It uses no OAuth library, because
//! providers deviate from the standards in ways that profiles describe as data, and because token responses must not pass
//! through parsers that leave copies of secrets in memory.

mod api;
mod codec;
mod egress;
mod exchange;
#[cfg(test)]
mod fake_transport;
mod profile;
mod server;
mod transport;

pub use self::api::ApiCaller;
pub use self::egress::{AddressScope, AllowedUrl, EgressPolicy, InvalidEgress, UrlRefused};
pub use self::exchange::{InvalidExchange, check_exchange};
pub use self::profile::{
    ConnectorType, ConnectorTypeField, ConnectorTypeSetup, InvalidProfile, ProfileOptions, ProfileSummary, Profiles,
    reported_scopes,
};
pub use self::server::Oauth2Server;
pub use self::transport::{HttpRequest, HttpResponse, HttpTransport, StreamRequest, StreamResponse, TransportError};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! OAuth 2.0 on the wire: requests, responses, provider profiles.
//!
//! [`Profiles`] understands connectors, [`Oauth2Server`] speaks to authorization servers, [`ApiCaller`] calls APIs with a
//! user's token. All of them send through [`HttpTransport`], a port of this crate, and ask [`EgressPolicy`] about every URL
//! before each use.
//!
//! **Architecture invariant:** this crate opens no socket and reads no clock of its own. The codec is written here and not
//! taken from a library, because providers depart from the standards in ways that are described as data in profiles, and
//! because token responses must not pass through parsers that leave copies of secrets behind.

mod api;
mod codec;
mod egress;
#[cfg(test)]
mod fake_transport;
mod profile;
mod server;
mod transport;

pub use self::api::ApiCaller;
pub use self::egress::{AddressScope, AllowedUrl, EgressPolicy, InvalidEgress, UrlRefused};
pub use self::profile::{ConnectorType, ConnectorTypeField, InvalidProfile, ProfileOptions, Profiles};
pub use self::server::Oauth2Server;
pub use self::transport::{HttpRequest, HttpResponse, HttpTransport, TransportError};

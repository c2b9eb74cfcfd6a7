//! The `HttpTransport` port over reqwest: the only component that opens outbound connections.
//!
//! **Architecture invariant:** a request is sent only to an address that the egress policy allows at the moment of
//! connecting. Environment variables have no effect. Redirects are not followed, requests are not retried, compression is
//! not requested, and cookies are not stored. Errors of reqwest are never passed on, because they contain URLs.

mod body;
mod classification;
mod concurrency_limit;
mod decoding;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod progress;
mod resolver;
mod stream;
mod tls;
mod transport;

pub use self::tls::TransportSetupError;
pub use self::transport::{Limits, ReqwestTransport};

#[cfg(test)]
mod tests;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! The `HttpTransport` port over reqwest: the only place of the system that opens connections to the outside.
//!
//! **Architecture invariant:** a request leaves only for an address that the egress policy allows at the moment of
//! connecting; nothing of it depends on the environment; nothing is followed, repeated, decompressed or remembered
//! (R66–R71). Errors are ours alone: reqwest's own print URLs (R78).

mod body;
mod concurrency_limit;
mod limits;
mod resolver;
mod tls;
mod transport;

pub use self::limits::Limits;
pub use self::transport::{ReqwestTransport, TransportSetupError};

#[cfg(test)]
mod tests;

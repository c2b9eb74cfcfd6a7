//! Test doubles of Grantry: deterministic ports, a mock authorization server, contracts for adapters.

#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "doubles")]
pub mod doubles;
pub mod provider;

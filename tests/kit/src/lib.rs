//! Test doubles of Grantry: deterministic ports, a mock authorization server, contracts for adapters.

pub mod contract;
pub mod doubles;
pub mod provider;

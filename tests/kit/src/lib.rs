//! Test doubles of Grantry: deterministic ports, a mock authorization server, contracts for adapters.
#![cfg_attr(feature = "contract", doc = "")]
#![cfg_attr(feature = "contract", doc = include_str!("../README.md"))]

#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "doubles")]
pub mod doubles;
pub mod provider;

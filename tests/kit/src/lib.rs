//! Test doubles of Grantry.

pub mod provider;

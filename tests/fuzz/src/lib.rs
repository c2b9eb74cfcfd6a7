//! Fuzz targets for every parser: a function from bytes to assertions for each.
//!
//! `cargo xtask fuzz` runs them with libFuzzer; the test of this crate runs them over their corpora. A target asserts what holds
//! for every input: a result that a second parser confirms, an output that is bounded by the input, a canonical form that stays
//! as it is, and no text of the input in an error.
//!
//! In most targets the first byte of an input chooses a variant, and lines or the byte zero separate its parts, so that a corpus
//! can be read.

mod address;
mod configuration;
mod input;
mod json;
mod provider;
mod request;
mod sealed;

use std::path::PathBuf;

/// A fuzz target.
pub struct Target {
    /// Its name, which is that of the folder with its corpus.
    pub name: &'static str,
    /// Runs it. It panics if an assertion does not hold.
    pub run: fn(&[u8]),
    /// The longest input in bytes: the limit of the parser, or enough for every branch of one that has none.
    pub longest: usize,
}

impl Target {
    /// The folder with its corpus.
    pub fn corpus(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }
}

const fn target(name: &'static str, longest: usize, run: fn(&[u8])) -> Target {
    Target { name, run, longest }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target("account_claims", 8192, provider::userinfo::account_claims),
    target("callback_parameters", 8192, request::callback_parameters),
    target("client_address", 1024, request::client_address),
    target("configuration", 8192, configuration::configuration),
    target("connector_settings", 16_384, provider::settings::connector_settings),
    target("content_encoding", 8192, request::content_encoding),
    target("cookies", 4096, request::cookies),
    target("egress_url", 4096, address::egress_url),
    target("envelope", 2048, sealed::envelope),
    target("error_response", 8192, provider::tokens::error_response),
    target("execute_path", 4096, address::execute_path),
    target("form_body", 8192, provider::tokens::form_body),
    target("id_token", 8192, provider::id_token::id_token),
    target("key_set", 16_384, provider::id_token::key_set),
    target("key_source", 256, sealed::key_source),
    target("metadata", 8192, provider::metadata::metadata),
    target("network", 128, address::network),
    target("profile_file", 8192, provider::settings::profile_file),
    target("public_base_url", 512, address::public_base_url),
    target("request_body", 16_384, request::request_body),
    target("request_headers", 4096, request::request_headers),
    target("request_query", 4096, request::request_query),
    target("return_url", 2100, request::return_url),
    target("sealed_fields", 4096, sealed::sealed_fields),
    target("token_response", 32_768, provider::tokens::token_response),
];

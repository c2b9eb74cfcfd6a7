//! The entries of the catalogue, in the order in which combined faults act: settings, errors instead of a response, changes
//! of a response from its members to its bytes, and time.

use std::time::Duration;

use serde_json::json;

use super::{CatalogueEntry, Effect, FaultPlace, FaultValue};
use crate::provider::config::{Pkce, RefreshTokens, Rotation};
use crate::provider::fault::Fault;

/// The greatest number of bytes that a fault adds to a body.
const MAX_BYTES: u32 = 64 * 1024 * 1024;
/// The longest time in seconds that a response announces.
const MAX_SECONDS: u32 = 24 * 60 * 60;
/// The longest delay of a response, in milliseconds.
const MAX_DELAY: u32 = 10 * 60 * 1000;

const fn entry(name: &'static str, about: &'static str, effect: Effect) -> CatalogueEntry {
    CatalogueEntry { name, about, value: None, effect }
}

impl CatalogueEntry {
    const fn taking(self, meaning: &'static str, default: u32, max: u32) -> Self {
        Self { value: Some(FaultValue { meaning, default, max }), ..self }
    }
}

pub(super) const ENTRIES: &[CatalogueEntry] = &[
    entry(
        "rotation",
        "Every refresh issues a new refresh token; reuse of a used one ends the grant (the default)",
        Effect::Setting(|settings, _| settings.rotation = Rotation::Strict),
    ),
    entry(
        "grace",
        "Like rotation, but a used refresh token still works for some time",
        Effect::Setting(|settings, value| settings.rotation = Rotation::Grace(seconds(value))),
    )
    .taking("seconds for which a used refresh token works", 30, MAX_SECONDS),
    entry(
        "no-rotation",
        "The first refresh token stays valid and is never sent again",
        Effect::Setting(|settings, _| settings.rotation = Rotation::None),
    ),
    entry(
        "no-refresh-token",
        "No grant gets a refresh token",
        Effect::Setting(|settings, _| settings.refresh_tokens = RefreshTokens::Never),
    ),
    entry(
        "pkce-refused",
        "An authorization request with a code_challenge is refused with invalid_request",
        Effect::Setting(|settings, _| settings.pkce = Pkce::Refused),
    ),
    entry(
        "no-iss",
        "Authorization responses contain no iss, and the metadata announces none",
        Effect::Setting(|settings, _| settings.announce_iss = false),
    ),
    entry(
        "wrong-iss",
        "Authorization responses contain the iss of another server",
        Effect::Redirect(|| Fault::iss("https://other.example")),
    ),
    entry("no-state", "Authorization responses contain no state", Effect::Redirect(Fault::stateless)),
    entry(
        "other-account",
        "Userinfo describes another account than the one that granted access",
        Effect::At(&[FaultPlace::Userinfo], Fault::other_account),
    ),
    entry(
        "evicted-client",
        "The client was removed after the code exchange: refresh and revocation fail with 401 invalid_client",
        Effect::At(&[FaultPlace::Refresh, FaultPlace::Revocation], || Fault::oauth_error("invalid_client")),
    ),
    entry("drop-request", "The connection ends before the request is processed", Effect::Response(|_| Fault::DropRequest)),
    entry("unavailable", "503 with Retry-After", Effect::Response(Fault::unavailable)).taking(
        "seconds in Retry-After",
        5,
        MAX_SECONDS,
    ),
    entry("throttled", "429 with Retry-After", Effect::Response(Fault::throttled)).taking(
        "seconds in Retry-After",
        5,
        MAX_SECONDS,
    ),
    entry("server-error", "500 without a body", Effect::Response(|_| Fault::status(500))),
    entry(
        "redirect",
        "307 to /elsewhere; a client that follows it sends its secrets there",
        Effect::Response(|_| Fault::redirect("/elsewhere")),
    ),
    entry("invalid-grant", "400 with the error invalid_grant", Effect::Response(|_| Fault::oauth_error("invalid_grant"))),
    entry(
        "error-200",
        "200 with the error invalid_grant in the body",
        Effect::Response(|_| Fault::ok_with_error("invalid_grant")),
    ),
    entry("no-expiry", "The response without expires_in", Effect::Response(|_| Fault::without("expires_in"))),
    entry("text-expiry", "expires_in is a string", Effect::Response(|_| Fault::with("expires_in", json!("300")))),
    entry(
        "huge",
        "The JSON response with a member of many bytes",
        Effect::Response(|bytes| Fault::huge_body(usize::try_from(bytes).unwrap_or(usize::MAX))),
    )
    .taking("bytes of the member", 8 * 1024 * 1024, MAX_BYTES),
    entry("nested", "The JSON response is in the member authed_user", Effect::Response(|_| Fault::nested("authed_user"))),
    entry("form-encoded", "The response is form-encoded instead of JSON", Effect::Response(|_| Fault::form_encoded())),
    entry("empty", "200 without a body; the request was processed", Effect::Response(|_| Fault::empty_body())),
    entry("not-json", "An HTML page with the content type of JSON", Effect::Response(|_| Fault::not_json())),
    entry("byte-order-mark", "The response begins with a byte order mark", Effect::Response(|_| Fault::byte_order_mark())),
    entry("gzip", "The response is compressed with gzip, asked for or not", Effect::Response(|_| Fault::gzip())),
    entry(
        "deflate",
        "The response is compressed with deflate, asked for or not",
        Effect::Response(|_| Fault::deflate(true)),
    ),
    entry(
        "gzip-bomb",
        "The response is compressed with gzip and very long once it is decompressed",
        Effect::Response(|blanks| Fault::gzip_bomb(usize::try_from(blanks).unwrap_or(usize::MAX))),
    )
    .taking("bytes after the response", 16 * 1024 * 1024, MAX_BYTES),
    entry(
        "slow",
        "The request is processed at once, and the response is sent later",
        Effect::Response(|value| Fault::DelayResponse(Duration::from_millis(value.into()))),
    )
    .taking("milliseconds of delay", 3000, MAX_DELAY),
    entry(
        "cut",
        "The connection ends after some bytes of the body; the request was processed",
        Effect::Response(|bytes| Fault::CutBody(usize::try_from(bytes).unwrap_or(usize::MAX))),
    )
    .taking("bytes of the body", 10, MAX_BYTES),
    entry("endless", "The body never ends", Effect::Response(|_| Fault::EndlessBody)),
    entry(
        "drop-response",
        "The request is processed, and the connection ends without a response",
        Effect::Response(|_| Fault::DropResponse),
    ),
];

fn seconds(value: u32) -> Duration {
    Duration::from_secs(value.into())
}

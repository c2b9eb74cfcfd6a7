//! Classifies error responses (RFC 6749 §5.2, RFC 6585 §4, RFC 9110 §15).

use std::collections::BTreeMap;
use std::time::Duration;

use grantry_domain::ports::ProviderError;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use crate::codec::{BodyText, Object, json};
use crate::transport::{HttpResponse, TransportError};

/// Maximum accepted value of `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

impl From<TransportError> for ProviderError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::NotAllowed => Self::NotAllowed,
            TransportError::NotSent => Self::NotSent,
            TransportError::Cut => Self::NoResponse,
            TransportError::TooLarge => Self::Malformed,
        }
    }
}

/// Classifies a response by its status, which is the same for every endpoint. `None` if the body decides.
pub(crate) fn from_status(status: StatusCode, headers: &HeaderMap) -> Option<ProviderError> {
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Some(ProviderError::Throttled { retry_after: retry_after(headers), unprocessed: true });
    }
    if status == StatusCode::SERVICE_UNAVAILABLE && headers.contains_key(RETRY_AFTER) {
        return Some(ProviderError::Throttled { retry_after: retry_after(headers), unprocessed: false });
    }
    if status.is_server_error() {
        return Some(ProviderError::NoResponse);
    }
    // Redirects are never followed, and no status below 400 is an OAuth error.
    (!status.is_client_error()).then_some(ProviderError::Malformed)
}

/// Classifies an error response of the token or revocation endpoint. `aliases` maps vendor codes to standard codes.
pub(crate) fn from_response(response: &HttpResponse, aliases: &BTreeMap<String, String>) -> ProviderError {
    if let Some(error) = from_status(response.status, &response.headers) {
        return error;
    }
    let text = BodyText::of(&response.body);
    match json::parse_tolerant(&text).ok().and_then(|body| error_code(&body)) {
        Some(code) => from_code(&code, aliases),
        None if response.status == StatusCode::UNAUTHORIZED => ProviderError::ClientRefused,
        None => ProviderError::Malformed,
    }
}

/// The `error` member, if it is well formed (RFC 6749 §5.2).
pub(crate) fn error_code(body: &Object<'_>) -> Option<String> {
    // Of two errors it is not determined which one counts.
    let code = body.string("error").ok().flatten().filter(|_| !body.repeats("error"))?;
    let plain = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b'"' && byte != b'\\';
    (!code.is_empty() && code.len() <= 128 && code.bytes().all(plain)).then_some(code)
}

/// Whether the `error` member is a code of RFC 6749 §4.1.2.1 and §5.2, or of the profile.
pub(crate) fn is_registered(body: &Object<'_>, aliases: &BTreeMap<String, String>) -> bool {
    const CODES: [&str; 10] = [
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
    ];
    body.repeats("error") || error_code(body).is_some_and(|code| CODES.contains(&code.as_str()) || aliases.contains_key(&code))
}

/// Classifies an error code.
pub(crate) fn from_code(code: &str, aliases: &BTreeMap<String, String>) -> ProviderError {
    match aliases.get(code).map_or(code, String::as_str) {
        "invalid_grant" => ProviderError::InvalidGrant,
        "invalid_client" | "unauthorized_client" | "unsupported_grant_type" => ProviderError::ClientRefused,
        _ => ProviderError::OtherOauthError,
    }
}

/// `Retry-After` in seconds. The date form (RFC 9110 §10.2.3) is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use zeroize::Zeroizing;

    use super::*;

    fn classify(status: u16, retry_after: Option<&'static str>, body: &str) -> ProviderError {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        }
        let body = Zeroizing::new(body.as_bytes().to_vec());
        let aliases = [("bad_refresh_token".to_owned(), "invalid_grant".to_owned())].into();
        from_response(&HttpResponse { status: StatusCode::from_u16(status).unwrap(), headers, body }, &aliases)
    }

    #[test]
    fn r39_only_a_well_formed_invalid_grant_ends_a_grant() {
        use ProviderError::{ClientRefused, InvalidGrant, Malformed, NoResponse, OtherOauthError};
        for (status, body, meaning) in [
            (400, r#"{"error":"invalid_grant"}"#, InvalidGrant),
            (401, r#"{"error":"invalid_grant"}"#, InvalidGrant),
            (403, r#"{"error":"invalid_grant","error_description":"x"}"#, InvalidGrant),
            (400, r#"{"error":"bad_refresh_token"}"#, InvalidGrant),
            (400, r#"{"error":"invalid_client"}"#, ClientRefused),
            (401, r#"{"error":"invalid_client"}"#, ClientRefused),
            (400, r#"{"error":"unauthorized_client"}"#, ClientRefused),
            (400, r#"{"error":"unsupported_grant_type"}"#, ClientRefused),
            (401, "", ClientRefused),
            (401, "<html>", ClientRefused),
            (400, r#"{"error":"invalid_request"}"#, OtherOauthError),
            (400, r#"{"error":"invalid_scope"}"#, OtherOauthError),
            (400, r#"{"error":"something_new"}"#, OtherOauthError),
            (500, r#"{"error":"invalid_grant"}"#, NoResponse),
            (502, "", NoResponse),
            (503, "", NoResponse),
            (504, "", NoResponse),
            (400, "", Malformed),
            (400, "invalid_grant", Malformed),
            (400, r#"{"error":{"code":"invalid_grant"}}"#, Malformed),
            (400, r#"{"error":""}"#, Malformed),
            (400, r#"{"error":"invalid_grant","error":"x"}"#, Malformed),
            (403, "<html>blocked", Malformed),
            (404, "", Malformed),
            (301, r#"{"error":"invalid_grant"}"#, Malformed),
            (307, "", Malformed),
        ] {
            assert_eq!(classify(status, None, body), meaning, "{status} {body}");
        }
    }

    #[test]
    fn r50_throttling_reports_the_wait_and_whether_the_request_was_processed() {
        let wait = |seconds| Some(Duration::from_secs(seconds));
        for (status, header, retry_after, unprocessed) in [
            (429, None, None, true),
            (429, Some("7"), wait(7), true),
            (429, Some("999999999"), Some(MAX_RETRY_AFTER), true),
            (429, Some("-1"), None, true),
            (503, Some("30"), wait(30), false),
            (503, Some("Wed, 21 Oct 2026 07:28:00 GMT"), None, false),
        ] {
            let body = r#"{"error":"invalid_grant"}"#;
            assert_eq!(classify(status, header, body), ProviderError::Throttled { retry_after, unprocessed }, "{header:?}");
        }
    }

    #[test]
    fn transport_errors_preserve_whether_the_outcome_is_known() {
        let known = |error: TransportError| ProviderError::from(error).outcome_is_known();
        assert!(known(TransportError::NotAllowed));
        assert!(known(TransportError::NotSent));
        assert!(!known(TransportError::Cut));
        assert!(!known(TransportError::TooLarge));
    }
}

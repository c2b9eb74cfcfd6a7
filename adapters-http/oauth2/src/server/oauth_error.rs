//! Classifies error responses (RFC 6749 §5.2, RFC 6585 §4, RFC 9110 §15).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use grantry_domain::ports::{ProviderError, ProviderErrorKind};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use crate::codec::{BodyText, Object, Value, json};
use crate::transport::{HttpResponse, TransportError};

/// Error codes of RFC 6749 §4.1.2.1 and §5.2, 6750 §3.1, 7009 §2.2.1, 8628 §3.5, 8707 §2, 9101 §10, 9126 §2.3, 9449 §12.2, 9470 §3 and
/// `OpenID` Connect Core §3.1.2.6.
const REGISTERED: [&str; 28] = [
    "access_denied",
    "account_selection_required",
    "authorization_pending",
    "consent_required",
    "expired_token",
    "insufficient_scope",
    "insufficient_user_authentication",
    "interaction_required",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_scope",
    "invalid_target",
    "invalid_token",
    "login_required",
    "request_not_supported",
    "request_uri_not_supported",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "unsupported_token_type",
    "use_dpop_nonce",
];
/// Maximum accepted value of `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

impl From<TransportError> for ProviderError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::NotAllowed => ProviderErrorKind::NotAllowed
                .because("the egress policy does not allow the address that the host resolves to"),
            TransportError::NotSent => ProviderErrorKind::NotSent
                .because("no connection: check the name, the port, the certificate and the way out of the network"),
            TransportError::Cut => {
                ProviderErrorKind::NoResponse.because("the connection was interrupted, or the response took too long")
            }
            TransportError::TooLarge => ProviderErrorKind::Malformed.because("the response exceeds the size limit"),
        }
    }
}

/// Classifies a response by its status, which is the same for every endpoint. `None` if the body decides.
pub(crate) fn from_status(status: StatusCode, headers: &HeaderMap) -> Option<ProviderError> {
    let at = |kind: ProviderErrorKind| Some(ProviderError::from(kind).with_status(status.as_u16()));
    let throttled = |unprocessed| at(ProviderErrorKind::Throttled { retry_after: retry_after(headers), unprocessed });
    let asks_to_wait = headers.contains_key(RETRY_AFTER);
    match status {
        // RFC 8470 §5.2: the server did not process the request.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY => throttled(true),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT if asks_to_wait => throttled(false),
        StatusCode::REQUEST_TIMEOUT => at(ProviderErrorKind::NoResponse),
        _ if status.is_server_error() => at(ProviderErrorKind::NoResponse),
        _ if status.is_client_error() => None,
        // Redirects are never followed, and no status below 400 is an OAuth error.
        _ => at(ProviderErrorKind::Malformed)
            .map(|error| error.because("this status is neither a success nor an error; redirects are not followed")),
    }
}

/// Classifies an error response of the token or revocation endpoint. `aliases` maps vendor codes to standard codes.
pub(crate) fn from_response(response: &HttpResponse, aliases: &BTreeMap<String, String>) -> ProviderError {
    if let Some(error) = from_status(response.status, &response.headers) {
        return error;
    }
    let text = BodyText::of(&response.body);
    let error = match json::parse_tolerant(&text).ok().and_then(|body| readable_code(&body, aliases)) {
        Some(code) => from_code(&code, aliases),
        None if response.status == StatusCode::UNAUTHORIZED => ProviderErrorKind::ClientRefused
            .because("401 without an OAuth error: check the client id, the client secret and how the client authenticates"),
        None => {
            ProviderErrorKind::Refused.because("the error response contains no OAuth error; check the URL of the endpoint")
        }
    };
    error.with_status(response.status.as_u16())
}

/// The code of an error response: `error` (RFC 6749 §5.2), else a known code elsewhere. A code of profile or connector, and
/// `invalid_grant`, take precedence over a general one such as `invalid_request`.
fn readable_code(body: &Object<'_>, aliases: &BTreeMap<String, String>) -> Option<String> {
    let codes = codes(body);
    let is_precise = |code: &&String| *code == "invalid_grant" || aliases.contains_key(*code);
    let precise = codes.iter().find(is_precise).cloned();
    let registered = || codes.iter().find(|code| REGISTERED.contains(&code.as_str())).cloned();
    precise.or_else(|| error_code(body)).or_else(registered)
}

/// How deep codes are nested at most: `errors[].extensions.code`.
const NESTED: usize = 2;

/// Every text and number that may be the code of an error response, `error` (RFC 6749 §5.2) first. Providers also have codes in
/// other members, and nest them in `error`, `errors` or, in GraphQL, `extensions`.
pub(super) fn codes(body: &Object<'_>) -> Vec<String> {
    const MEMBERS: [&str; 9] =
        ["error", "code", "type", "reason", "status", "error_code", "errorCode", "error_type", "errorType"];
    const CONTAINERS: [&str; 3] = ["error", "errors", "extensions"];
    fn add(codes: &mut Vec<String>, object: &Object<'_>, depth: usize) {
        let once =
            |names: &'static [&str]| names.iter().filter(|name| !object.repeats(name)).filter_map(|name| object.get(name));
        codes.extend(once(&MEMBERS).filter_map(Value::as_scalar).map(Cow::into_owned));
        for value in once(&CONTAINERS).filter(|_| depth < NESTED) {
            for item in value.as_list().unwrap_or(std::slice::from_ref(value)) {
                match item.as_object() {
                    Some(object) => add(codes, object, depth + 1),
                    None => codes.extend(item.as_text().map(|text| text.decode().into_owned())),
                }
            }
        }
    }
    let mut codes = Vec::new();
    add(&mut codes, body, 0);
    codes
}

/// The `error` member, if it is well formed (RFC 6749 §5.2).
pub(crate) fn error_code(body: &Object<'_>) -> Option<String> {
    // Of two errors it is not determined which one counts.
    let code = body.string("error").ok().flatten().filter(|_| !body.repeats("error"))?;
    let plain = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b'"' && byte != b'\\';
    (!code.is_empty() && code.len() <= 128 && code.bytes().all(plain)).then_some(code)
}

/// Whether the `error` member is a registered code, or one that profile or connector name.
pub(crate) fn is_registered(body: &Object<'_>, aliases: &BTreeMap<String, String>) -> bool {
    error_code(body).is_some_and(|code| printable(&code, aliases).is_some())
}

/// Classifies an error code.
pub(crate) fn from_code(code: &str, aliases: &BTreeMap<String, String>) -> ProviderError {
    let kind = match aliases.get(code).map_or(code, String::as_str) {
        "invalid_grant" => ProviderErrorKind::InvalidGrant,
        "invalid_client" => ProviderErrorKind::ClientRefused,
        "unauthorized_client" | "unsupported_grant_type" => ProviderErrorKind::GrantTypeRefused,
        // RFC 6749 §4.1.2.1 and RFC 8628 §3.5 define them as "try again later".
        "temporarily_unavailable" | "slow_down" => ProviderErrorKind::Throttled { retry_after: None, unprocessed: true },
        "server_error" => ProviderErrorKind::NoResponse,
        _ => ProviderErrorKind::OtherOauthError,
    };
    let mut error = ProviderError::from(kind);
    error.diagnosis.oauth_error = printable(code, aliases);
    error.diagnosis.problem = advice(code).map(Cow::Borrowed);
    error
}

/// A code that may be shown: a registered one, or one that profile or connector name. Any other is text of the provider.
fn printable(code: &str, aliases: &BTreeMap<String, String>) -> Option<Cow<'static, str>> {
    let registered = REGISTERED.iter().find(|known| **known == code).copied().map(Cow::Borrowed);
    registered.or_else(|| aliases.get_key_value(code).map(|(named, _)| Cow::Owned(named.clone())))
}

/// What the operator can do about a code.
fn advice(code: &str) -> Option<&'static str> {
    match code {
        "invalid_client" => Some("check the client id, the client secret and how the client authenticates"),
        "unauthorized_client" => Some("check at the provider that the client may use this grant type"),
        "unsupported_grant_type" => Some("check the URL of the token endpoint"),
        "invalid_scope" => Some("check the scopes of the connector"),
        "invalid_target" => Some("check the resource of the connector"),
        "use_dpop_nonce" | "invalid_dpop_proof" => Some("the provider requires DPoP, which is not supported"),
        _ => None,
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

    fn classify(status: u16, retry_after: Option<&'static str>, body: &str) -> ProviderErrorKind {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        }
        let body = Zeroizing::new(body.as_bytes().to_vec());
        let aliases = ["bad_refresh_token", "20064"].map(|code| (code.to_owned(), "invalid_grant".to_owned())).into();
        from_response(&HttpResponse { status: StatusCode::from_u16(status).unwrap(), headers, body }, &aliases).kind
    }

    #[test]
    fn r39_only_a_well_formed_invalid_grant_ends_a_grant() {
        use ProviderErrorKind::{
            ClientRefused, GrantTypeRefused, InvalidGrant, Malformed, NoResponse, OtherOauthError, Refused,
        };
        for (status, body, meaning) in [
            (400, r#"{"error":"invalid_grant"}"#, InvalidGrant),
            (401, r#"{"error":"invalid_grant"}"#, InvalidGrant),
            (403, r#"{"error":"invalid_grant","error_description":"x"}"#, InvalidGrant),
            (400, r#"{"error":"bad_refresh_token"}"#, InvalidGrant),
            (400, r#"{"error":"invalid_client"}"#, ClientRefused),
            (401, r#"{"error":"invalid_client"}"#, ClientRefused),
            (400, r#"{"error":"unauthorized_client"}"#, GrantTypeRefused),
            (400, r#"{"error":"unsupported_grant_type"}"#, GrantTypeRefused),
            (401, "", ClientRefused),
            (401, "<html>", ClientRefused),
            (400, r#"{"error":"invalid_request"}"#, OtherOauthError),
            (400, r#"{"error":"invalid_scope"}"#, OtherOauthError),
            (400, r#"{"error":"something_new"}"#, OtherOauthError),
            (500, r#"{"error":"invalid_grant"}"#, NoResponse),
            (502, "", NoResponse),
            (503, "", NoResponse),
            (504, "", NoResponse),
            (400, r#"{"errors":["invalid_grant"]}"#, InvalidGrant),
            (400, r#"{"errors":[{"code":"other"},{"error":"invalid_grant"}]}"#, InvalidGrant),
            (401, r#"{"errors":[{"errorType":"invalid_grant","message":"x"}],"success":false}"#, InvalidGrant),
            (400, r#"{"error":{"code":"invalid_grant"}}"#, InvalidGrant),
            (400, r#"{"error":"invalid_request","errors":[{"code":"invalid_grant"}]}"#, InvalidGrant),
            (401, r#"{"error_code":"bad_refresh_token"}"#, InvalidGrant),
            (400, r#"{"code":20064,"message":"x"}"#, InvalidGrant),
            (401, r#"{"errors":[{"code":"invalid_client"}]}"#, ClientRefused),
            (401, r#"{"error":"invalid_request"}"#, OtherOauthError),
            (401, r#"{"code":401,"message":"invalid_grant"}"#, ClientRefused),
            (400, "", Refused),
            (400, "invalid_grant", Refused),
            (400, r#"{"error":""}"#, Refused),
            (400, r#"{"error":"invalid_grant","error":"x"}"#, Refused),
            (400, r#"{"error_code":"refresh_token_not_found"}"#, Refused),
            (403, "<html>blocked", Refused),
            (404, "", Refused),
            (408, r#"{"error":"invalid_grant"}"#, NoResponse),
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
            (425, None, None, true),
            (408, Some("3"), wait(3), false),
            (503, Some("30"), wait(30), false),
            (503, Some("Wed, 21 Oct 2026 07:28:00 GMT"), None, false),
        ] {
            let body = r#"{"error":"invalid_grant"}"#;
            assert_eq!(
                classify(status, header, body),
                ProviderErrorKind::Throttled { retry_after, unprocessed },
                "{header:?}"
            );
        }
    }

    #[test]
    fn a_diagnosis_contains_registered_and_configured_codes_and_no_other_text() {
        let aliases = [("bad_refresh_token".to_owned(), "invalid_grant".to_owned())].into();
        for (code, shown) in [
            ("invalid_client", Some("invalid_client")),
            ("use_dpop_nonce", Some("use_dpop_nonce")),
            ("bad_refresh_token", Some("bad_refresh_token")),
            ("secret-of-the-provider", None),
        ] {
            let body = Zeroizing::new(format!(r#"{{"error":"{code}","error_description":"text"}}"#).into_bytes());
            let response = HttpResponse { status: StatusCode::BAD_REQUEST, headers: HeaderMap::new(), body };
            let diagnosis = from_response(&response, &aliases).diagnosis;
            assert_eq!(diagnosis.oauth_error.as_deref(), shown);
            assert_eq!(diagnosis.http_status, Some(400));
            assert!(diagnosis.problem.is_none_or(|problem| !problem.contains("text")));
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

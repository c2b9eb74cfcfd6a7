//! Responses of the token endpoint, and the forms that are sent to it.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantry_domain::ports::{AuthorizationServer as _, CodeExchange, Lifetime, ProviderErrorKind, TokenKind, TokenResponse};
use grantry_domain::provider::{ClientAuthentication, Scopes};
use grantry_domain::secret::Secret;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use url::form_urlencoded;

use super::{CLIENT_ID, Lab, REDIRECT_URI, assert_own_text, client, ready};
use crate::input::{line, text, variant};
use crate::json;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");

fn code_exchange(code: &str, verifier: &str) -> CodeExchange {
    CodeExchange { code: Secret::from_text(code), verifier: Secret::from_text(verifier), parameters: Vec::new() }
}

/// The limits of a token response.
const LONGEST_TOKEN: usize = 24 * 1024;
const LONGEST_ID_TOKEN: usize = 1024 * 1024;
const LONGEST_LIFETIME: Duration = Duration::from_hours(24 * 3653);
const MOST_ANOMALIES: usize = 16;

/// A success response, in the formats of three providers.
pub(crate) fn token_response(data: &[u8]) {
    let (variant, body) = variant(data);
    Lab::with(|lab| {
        let provider = lab.provider_of(variant);
        let is_form = variant & 0x40 == 0;
        let headers = if is_form { HeaderMap::from_iter([(CONTENT_TYPE, FORM)]) } else { HeaderMap::new() };
        lab.respond([(200, headers, body.to_vec())]);
        match ready(lab.server.exchange(&provider, &client(), &code_exchange("code", "code"))) {
            Ok(response) => {
                assert_within_limits(&response, body.len());
                if variant % 3 != 1 || !is_form {
                    assert_json_confirms(&response, body, (variant % 3 == 2).then_some("authed_user"));
                }
            }
            Err(error) => assert_own_text(&error),
        }
    });
}

fn assert_within_limits(response: &TokenResponse, length: usize) {
    let access = response.access_token.expose();
    assert!((1..=LONGEST_TOKEN.min(length)).contains(&access.len()) && access.iter().all(u8::is_ascii_graphic));
    assert!(["bearer", "dpop"].contains(&response.token_type.to_ascii_lowercase().as_str()), "{}", response.token_type);
    if let Some(refresh) = &response.refresh_token {
        let refresh = refresh.expose_text().expect("a text");
        assert!(!refresh.trim().is_empty() && refresh.len() <= LONGEST_TOKEN && !refresh.chars().any(char::is_control));
    }
    if let Some(token) = &response.id_token {
        let token = token.expose();
        assert!(token.len() <= LONGEST_ID_TOKEN && token.iter().all(u8::is_ascii_graphic));
        assert_eq!(token.split(|byte| *byte == b'.').count(), 3);
    }
    for lifetime in [response.lifetime, response.refresh_lifetime] {
        assert!(!matches!(lifetime, Lifetime::For(span) if span.is_zero() || span > LONGEST_LIFETIME));
    }
    if let Some(scopes) = &response.scopes {
        assert!(scopes.iter().all(|scope| scope.bytes().all(|byte| byte.is_ascii_graphic())));
        // The scopes that a profile implies are some hundred bytes.
        assert!(scopes.to_record().len() <= length + 1000);
        assert_eq!(&Scopes::from_record(&scopes.to_record()), scopes);
    }
    let distinct: BTreeSet<_> = response.anomalies.iter().collect();
    assert!(response.anomalies.len() <= MOST_ANOMALIES && distinct.len() == response.anomalies.len());
    for anomaly in &response.anomalies {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        assert!(anomaly.member.as_str().len() <= 40 && anomaly.member.as_str().bytes().all(plain));
    }
}

/// The library reads the same tokens, as far as it reads the body at all.
fn assert_json_confirms(response: &TokenResponse, body: &[u8], nested_in: Option<&str>) {
    let Some(mut members) = json::object(body) else { return };
    if let Some(Value::Object(nested)) = nested_in.and_then(|name| members.get(name)) {
        // A repeated member has another first value than last one.
        if json::structure(&text(body)).is_some_and(|found| !found.repeated.is_empty()) {
            return;
        }
        members = nested.clone().into_iter().collect();
    } else if nested_in.is_some() {
        return;
    }
    let token = members.get("access_token").and_then(Value::as_str).map(str::as_bytes);
    assert_eq!(token, Some(response.access_token.expose()));
    if let Some(refresh) = &response.refresh_token {
        assert_eq!(members.get("refresh_token").and_then(Value::as_str), refresh.expose_text());
    }
}

/// An error response, to each kind of request.
pub(crate) fn error_response(data: &[u8]) {
    const STATUSES: [u16; 8] = [400, 401, 403, 408, 429, 503, 200, 302];
    let (variant, rest) = variant(data);
    let (retry_after, body) = line(rest);
    let status = STATUSES[usize::from(variant >> 2 & 7)];
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(retry_after)
        && !value.is_empty()
    {
        headers.insert(RETRY_AFTER, value);
    }
    Lab::with(|lab| {
        let provider = lab.provider_of(variant & 3);
        lab.respond([(status, headers, body.to_vec())]);
        let token = Secret::from_text("token");
        let error = match variant >> 5 & 3 {
            0 => ready(lab.server.exchange(&provider, &client(), &code_exchange("token", "token"))).err(),
            1 => ready(lab.server.refresh(&provider, &client(), &token, &Scopes::default())).err(),
            2 => ready(lab.server.client_credentials(&provider, &client(), &Scopes::default())).err(),
            _ => ready(lab.server.revoke(&provider, &client(), &token, TokenKind::Access)).err(),
        };
        let Some(error) = error else { return };
        assert_own_text(&error);
        if error.kind == ProviderErrorKind::InvalidGrant {
            assert_invalid_grant(status, body);
        }
        if let ProviderErrorKind::Throttled { retry_after, unprocessed } = error.kind {
            assert!([408, 429, 503].contains(&status) && unprocessed == (status == 429) || status == 200 || status < 408);
            assert!(retry_after.is_none_or(|wait| wait <= Duration::from_hours(24)));
        }
    });
}

/// Only a code in the body ends a grant.
fn assert_invalid_grant(status: u16, body: &[u8]) {
    const CODES: [&str; 5] = ["invalid_grant", "token_revoked", "20064", "bad_verification_code", "bad_refresh_token"];
    assert!([200, 400, 401, 403].contains(&status), "{status}");
    let mut found = BTreeSet::new();
    // The library reads fewer bodies.
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
    json::scalars(&value, &mut found);
    let is_repeated = json::structure(&text(body)).is_some_and(|found| !found.repeated.is_empty());
    assert!(is_repeated || found.iter().any(|code| CODES.contains(&code.as_str())), "no code ends the grant");
}

/// A form as a response, and a form as a request.
pub(crate) fn form_body(data: &[u8]) {
    let (variant, data) = variant(data);
    if variant & 1 == 0 { form_response(data) } else { form_request(data, variant & 2 == 0) }
}

fn form_response(body: &[u8]) {
    Lab::with(|lab| {
        let provider = lab.provider_of(1);
        lab.respond([(200, HeaderMap::from_iter([(CONTENT_TYPE, FORM)]), body.to_vec())]);
        let response = match ready(lab.server.exchange(&provider, &client(), &code_exchange("code", "code"))) {
            Ok(response) => response,
            Err(error) => return assert_own_text(&error),
        };
        assert_within_limits(&response, body.len());
        let body = text(body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body));
        let values = |name: &str| {
            let pairs = form_urlencoded::parse(body.trim_end_matches(['\r', '\n']).as_bytes());
            pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(values("access_token"), [response.access_token.expose_text().expect("a text")]);
        if let Some(refresh) = &response.refresh_token {
            assert_eq!(values("refresh_token"), [refresh.expose_text().expect("a text")]);
        }
    });
}

/// The form that is sent contains each value once and as it is.
fn form_request(data: &[u8], in_body: bool) {
    let (code, rest) = line(data);
    let (verifier, secret) = line(rest);
    let [code, verifier, mut secret] = [code, verifier, secret].map(text);
    // An empty secret is refused.
    secret.push('s');
    Lab::with(|lab| {
        let mut provider = lab.provider_of(0);
        provider.authentication = if in_body { ClientAuthentication::Post } else { ClientAuthentication::Basic };
        lab.respond([(400, HeaderMap::new(), Vec::new())]);
        let credentials = grantry_domain::ports::ClientCredentials { secret: Some(Secret::from_text(&secret)), user: None };
        let response = ready(lab.server.exchange(&provider, &credentials, &code_exchange(&code, &verifier)));
        assert!(response.is_err());
        let [sent] = <[_; 1]>::try_from(lab.sent()).ok().expect("one request");
        let mut form: Vec<(String, String)> = form_urlencoded::parse(&sent.body).into_owned().collect();
        form.sort();
        let mut expected = vec![
            ("code", code.as_str()),
            ("code_verifier", &verifier),
            ("grant_type", "authorization_code"),
            ("redirect_uri", REDIRECT_URI),
        ];
        match sent.authorization {
            None => expected.extend([("client_id", CLIENT_ID), ("client_secret", secret.as_str())]),
            Some(field) => {
                let credentials = field.strip_prefix(b"Basic ").and_then(|text| STANDARD.decode(text).ok()).expect("Basic");
                let (id, password) = line_at(&credentials, b':');
                let decoded = |value: &[u8]| {
                    form_urlencoded::parse(&[value, b"="].concat())
                        .next()
                        .map(|(name, _)| name.into_owned())
                        .unwrap_or_default()
                };
                assert_eq!((decoded(id).as_str(), decoded(password)), (CLIENT_ID, secret.clone()));
            }
        }
        expected.sort_unstable();
        assert!(form.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected), "{form:?}");
    });
}

fn line_at(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == separator).expect("a separator");
    (&bytes[..end], &bytes[end + 1..])
}

/// A token response with this ID token.
pub(super) fn response_with(id_token: Option<&[u8]>) -> TokenResponse {
    TokenResponse {
        access_token: Secret::from_text("at-1"),
        token_type: "Bearer".to_owned(),
        refresh_token: None,
        lifetime: Lifetime::Unknown,
        refresh_lifetime: Lifetime::Unknown,
        scopes: None,
        id_token: id_token.map(|token| Secret::new(token.to_vec())),
        account: None,
        api_base: None,
        anomalies: Vec::new(),
    }
}

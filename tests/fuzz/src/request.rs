//! What clients and browsers send: queries, header fields and bodies.

use std::collections::BTreeMap;
use std::net::IpAddr;

use grantry_domain::authorization::AuthorizationId;
use grantry_domain::usecase::{AuthorizationResponse, MOST_FLOW_COOKIES};
use grantry_http_axum::{Network, Problem, PublicBaseUrl, fuzzing};
use http::header::{CONTENT_ENCODING, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::{Url, form_urlencoded};

use crate::input::{assert_clean, is_canary_in, line, text, variant};
use crate::json;

/// The longest response to a refused request: names of fields are repeated, and values are not.
const LONGEST_REFUSAL: usize = 16 * 1024;

fn public() -> PublicBaseUrl {
    PublicBaseUrl::new("https://connect.example/oauth").expect("a base URL")
}

/// Asserts that a response contains no value of the request.
fn assert_refusal(problem: Problem) {
    let text = fuzzing::refusal(problem);
    assert_clean(&text);
    assert!(text.len() <= LONGEST_REFUSAL, "a long response: {text}");
}

/// The query of a callback.
pub(crate) fn callback_parameters(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else { return };
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        values.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    let once = |name: &str| match values.get(name).map(Vec::as_slice) {
        Some([single]) => Some(single.as_str()),
        _ => None,
    };
    let parsed = fuzzing::callback(query);
    let reversed: Vec<&str> = query.split('&').rev().collect();
    assert_eq!(fuzzing::callback(&reversed.join("&")).is_ok(), parsed.is_ok(), "the order matters");
    let callback = match parsed {
        Ok(callback) => callback,
        Err(problem) => return assert_refusal(problem),
    };
    for name in values.keys() {
        let is_list = ["code[", "state[", "error[", "iss["].iter().any(|start| name.starts_with(start));
        assert!(!is_list, "a list was accepted");
    }
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    let state = callback.state.as_ref().map(|state| state.expose_text().expect("a text"));
    assert_eq!(state, once("state").filter(|state| !state.is_empty()));
    assert_eq!(callback.issuer.as_deref(), once("iss"));
    assert!(state.is_none_or(is_plain) && callback.issuer.as_deref().is_none_or(is_plain));
    match callback.response {
        AuthorizationResponse::Code(code) => {
            assert_eq!(once("code"), code.expose_text());
            assert!(state.is_some() && !values.contains_key("error") && code.expose_text().is_some_and(is_plain));
        }
        AuthorizationResponse::Error { denied } => {
            assert_eq!(once("error").map(|error| error == "access_denied"), Some(denied));
            assert!(!values.contains_key("code"));
        }
    }
}

/// The name of a parameter of an API, and a query.
pub(crate) fn request_query(data: &[u8]) {
    let (name, query) = line(data);
    let (name, query) = (text(name), text(query));
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    match fuzzing::query(&query, &name) {
        Ok(value) => {
            assert!(pairs.len() <= 1 && pairs.iter().all(|(key, _)| *key == name));
            assert_eq!(value.as_deref(), pairs.first().map(|(_, value)| value.as_ref()).filter(|value| !value.is_empty()));
        }
        Err(problem) if is_canary_in(&name) => drop(problem),
        Err(problem) => assert_refusal(problem),
    }
}

/// The lines of an input as values of one header field.
fn fields(name: &HeaderName, lines: &[u8]) -> HeaderMap {
    let values = lines.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let mut headers = HeaderMap::new();
    for value in values.take(64) {
        headers.append(name, value);
    }
    headers
}

/// `Cookie` fields. Only blanks and tabs separate a name from what is before it (RFC 6265 §4.2.1): a browser checks the prefix
/// of a name with any other character in front as a part of the name.
pub(crate) fn cookies(data: &[u8]) {
    let headers = fields(&COOKIE, data);
    let mut pairs: Vec<(&[u8], &[u8])> = Vec::new();
    for pair in headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';')) {
        let is_blank = |byte: &u8| b" \t".contains(byte);
        let start = pair.iter().position(|byte| !is_blank(byte)).unwrap_or(pair.len());
        let end = pair.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
        let pair = &pair[start..end];
        if let Some(middle) = pair.iter().position(|byte| *byte == b'=')
            && std::str::from_utf8(pair).is_ok()
        {
            pairs.push((&pair[..middle], &pair[middle + 1..]));
        }
    }
    for name in ["__Host-grantry_session", "grantry_language", "a"] {
        let mut values = pairs.iter().filter(|(key, _)| *key == name.as_bytes()).map(|(_, value)| *value);
        let single = values.next().filter(|_| values.next().is_none());
        assert_eq!(fuzzing::cookie(&headers, name).map(str::as_bytes), single, "{name}");
    }
    let (flows, surplus) = fuzzing::flow_cookies(&public(), &headers);
    for (id, secret) in &flows {
        let name = format!("__Host-grantry_flow_{id}");
        assert!(pairs.iter().any(|(key, value)| *key == name.as_bytes() && *value == secret.expose()), "{name}");
        assert_eq!(AuthorizationId::parse(&id.to_string()), Some(*id));
    }
    assert!(flows.len() <= pairs.len() && surplus.len() == (flows.len() + 1).saturating_sub(MOST_FLOW_COOKIES));
    assert!(["en", "de"].contains(&fuzzing::language(&headers)));
}

/// A header section, a field in each line.
pub(crate) fn request_headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for field in data.split(|byte| *byte == b'\n').take(64) {
        let end = field.iter().position(|byte| *byte == b':').unwrap_or(field.len());
        let value = field.get(end + 1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&field[..end]), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    assert!(["en", "de"].contains(&fuzzing::language(&headers)));
    let content_type = headers.get("content-type").map(|value| text(value.as_bytes()));
    let is_json = content_type.as_ref().is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
    assert!(is_json || !fuzzing::is_json(&headers) || content_type.is_some_and(|kind| kind.starts_with([' ', '\t'])));
    for value in headers.values().filter_map(|value| value.to_str().ok()) {
        let token = fuzzing::bearer(value);
        assert!(token.is_none_or(|token| value.len() > token.len() + 6 && value[..7].eq_ignore_ascii_case("bearer ")));
        if fuzzing::is_correlation_id(value) {
            assert!(value.len() == 16 && value.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
    if let Some(path) = headers.get("path").and_then(|path| path.to_str().ok()) {
        let public_path = fuzzing::public_path(&public(), path);
        assert!(public_path.starts_with("/oauth") && public_path.ends_with(path.strip_prefix("/oauth").unwrap_or(path)));
    }
}

/// A body of one of the requests.
pub(crate) fn request_body(data: &[u8]) {
    let (variant, body) = variant(data);
    let is_execute = variant % 8 == 0;
    let structure = std::str::from_utf8(body).ok().and_then(json::structure);
    let names_canary = structure.as_ref().is_some_and(|found| found.names.iter().any(|name| is_canary_in(name)));
    match fuzzing::body(variant, body) {
        Ok(draft) => {
            let found = structure.expect("the body is JSON");
            let is_query =
                |path: &Vec<String>| is_execute && path.len() == 3 && path.starts_with(&["params".into(), "query".into()]);
            assert!(found.repeated.iter().all(is_query), "a field is given twice: {:?}", found.repeated);
            assert!(found.depth <= if is_execute { 130 } else { 16 }, "{}", found.depth);
            if let Some(draft) = draft {
                let settings = json::structure(&draft.settings).expect("the settings are JSON");
                assert!(settings.repeated.is_empty() && draft.settings.len() <= 16 * 1024);
            }
        }
        Err(_) if names_canary => {}
        Err(problem) => assert_refusal(problem),
    }
    if let Ok(members) = fuzzing::object(body) {
        assert_eq!(json::object(body), Some(members.into_iter().collect()));
    }
}

/// The trusted networks, the peer, and `X-Forwarded-For` fields.
pub(crate) fn client_address(data: &[u8]) {
    let (trusted, rest) = line(data);
    let (peer, rest) = line(rest);
    let trusted: Vec<Network> = text(trusted).split(',').filter_map(|network| network.parse().ok()).collect();
    let Ok(peer) = text(peer).parse::<IpAddr>() else { return };
    let name = HeaderName::from_static("x-forwarded-for");
    let headers = fields(&name, rest);
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let client = fuzzing::client(peer, &headers, &trusted);
    if !is_trusted(peer) {
        assert_eq!(client, peer, "an address of an untrusted peer");
    }
    if !is_trusted(client) {
        // What a client sends is before what the first trusted proxy adds.
        for forged in ["6.6.6.6", "6.6.6.6, 10.0.0.1", "unknown", "[::1]:80", ""] {
            let mut with_forged = HeaderMap::new();
            with_forged.append(&name, HeaderValue::from_static(forged));
            for value in headers.get_all(&name) {
                with_forged.append(&name, value.clone());
            }
            let reached_forged = headers.get_all(&name).iter().all(|value| value.as_bytes().trim_ascii().is_empty());
            assert!(reached_forged || fuzzing::client(peer, &with_forged, &trusted) == client, "{forged} was believed");
        }
    }
    let site = Network::of_client(client);
    assert!(site.contains(client) && site.to_string().parse() == Ok(site));
}

/// A return URL.
pub(crate) fn return_url(data: &[u8]) {
    let Ok(url) = std::str::from_utf8(data) else { return };
    let public = public();
    let Some(path) = fuzzing::return_path(url, &public) else { return };
    assert!(path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/\\"), "{path}");
    assert!(path.len() <= 3 * url.len(), "{path}");
    assert!(path.is_ascii() && !path.bytes().any(|byte| byte.is_ascii_control() || byte == b' '), "{path:?}");
    let again = fuzzing::return_path(&path, &public);
    assert!(path.len() > 2048 || again.as_deref() == Some(&path), "{path} becomes {again:?}");
    let result = [("oauth_authorization", "error"), ("error", "access_denied"), ("connector_id", "c-1")];
    let emitted = fuzzing::with_result(&path, &public, &result).expect("a reduced path takes a result");
    let emitted = Url::parse(&emitted).expect("a URL");
    assert_eq!(emitted.origin().ascii_serialization(), "https://connect.example");
    assert!(emitted.username().is_empty() && emitted.password().is_none() && !emitted.path().starts_with("//"));
    for (name, value) in result {
        let values: Vec<_> = emitted.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value).collect();
        assert_eq!(values, [value], "{name}");
    }
}

/// The encodings of a response body in the first line, and the body.
pub(crate) fn content_encoding(data: &[u8]) {
    const LIMIT: usize = 64 * 1024;
    let (encodings, body) = line(data);
    let Ok(encodings) = HeaderValue::from_bytes(encodings) else { return };
    let mut headers = HeaderMap::from_iter([(CONTENT_ENCODING, encodings)]);
    let Ok(decoded) = grantry_http_reqwest::fuzzing::decode(&mut headers, body, LIMIT) else { return };
    if headers.contains_key(CONTENT_ENCODING) {
        assert_eq!(decoded.as_slice(), body, "a body that is not decoded stays as it is");
    } else {
        assert!(decoded.len() <= LIMIT.max(body.len()));
    }
}

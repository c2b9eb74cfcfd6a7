//! Joins a caller's path and query to a base URL so that the result stays below it.
//!
//! The path is sent as it is written: an escaped slash or dot is part of a segment (RFC 3986 §2.2). What could leave the base
//! URL is refused before the URL library or a server can interpret it.

use std::borrow::Cow;

use grantry_domain::display::acts_on_output;
use grantry_domain::ports::{ApiQuery, ApiRequestRefused};
use grantry_domain::provider::Origin;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use crate::codec::form::has_complete_escapes;
use crate::egress::{EgressPolicy, UrlRefused};

/// Characters of names and values that are escaped: all but the unreserved ones (RFC 3986 §2.3). A blank becomes `%20`, which
/// every server understands.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Characters that no query contains (RFC 3986 §3.4). They are escaped also where the caller has encoded the query.
const NOT_IN_QUERIES: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// How often a path is decoded in search of dot segments: some servers decode more than once.
const MAX_DECODINGS: usize = 5;

/// Characters that some servers replace by `.`, `/` or `\`: compatibility forms (Unicode NFKC) and look-alikes.
const REPLACED: [(char, &str); 13] = [
    ('\u{2024}', "."),
    ('\u{2025}', ".."),
    ('\u{3002}', "."),
    ('\u{fe52}', "."),
    ('\u{ff0e}', "."),
    ('\u{ff61}', "."),
    ('\u{2044}', "/"),
    ('\u{2215}', "/"),
    ('\u{29f8}', "/"),
    ('\u{ff0f}', "/"),
    ('\u{2216}', "\\"),
    ('\u{fe68}', "\\"),
    ('\u{ff3c}', "\\"),
];

/// Joins, or returns the reason why not. Paths are checked before the URL library can reinterpret them.
pub(super) fn join(
    policy: &EgressPolicy,
    base_url: &str,
    path: &str,
    query: &ApiQuery,
) -> Result<(String, Origin), ApiRequestRefused> {
    let in_path = |problem| ApiRequestRefused { field: "params.path", problem };
    let in_query = |problem| ApiRequestRefused { field: "params.query", problem };
    let in_base = |problem| ApiRequestRefused { field: "config.baseUrl", problem };
    let base = policy.check(base_url).map_err(|_| in_base("is not a URL that may be called"))?;
    if base.as_url().query().is_some() {
        return Err(in_base("must not contain a query"));
    }
    let (path, query_of_path) = path.split_once('?').unwrap_or((path, ""));
    check_path(path).and_then(|()| check_query(query_of_path)).map_err(in_path)?;
    let query = encoded(query);
    check_query(&query).map_err(in_query)?;

    let mut url = base.as_url().clone();
    let prefix = url.path().trim_end_matches('/').to_owned();
    let below = path.strip_prefix('/').unwrap_or(path);
    if !below.is_empty() {
        url.set_path(&format!("{prefix}/{below}"));
    }
    let query: Vec<&str> = [query_of_path, &query].into_iter().filter(|query| !query.is_empty()).collect();
    if !query.is_empty() {
        let query = query.join("&");
        url.set_query(Some(&utf8_percent_encode(&query, NOT_IN_QUERIES).to_string()));
    }
    // Defence in depth: check the result as well.
    let inside = url.path() == base.as_url().path() || url.path().starts_with(&format!("{prefix}/"));
    let joined = match policy.check(url.as_str()) {
        Err(UrlRefused::TooLong) => return Err(in_path("is too long together with the base URL and the query")),
        checked => checked.ok().filter(|_| inside && url.origin() == base.as_url().origin()),
    };
    let origin = joined.and_then(|joined| joined.origin()).ok_or_else(|| in_path("leaves the base URL"))?;
    Ok((url.into(), origin))
}

fn encoded(query: &ApiQuery) -> Cow<'_, str> {
    match query {
        ApiQuery::Encoded(text) => Cow::Borrowed(text),
        ApiQuery::Pairs(pairs) => {
            let pair = |(name, value): &(String, String)| {
                format!("{}={}", utf8_percent_encode(name, VALUE), utf8_percent_encode(value, VALUE))
            };
            Cow::Owned(pairs.iter().map(pair).collect::<Vec<_>>().join("&"))
        }
    }
}

fn check_query(query: &str) -> Result<(), &'static str> {
    if query.chars().any(char::is_control) {
        Err("must not contain control characters")
    } else if query.contains('#') {
        Err("must not contain a fragment; write `#` as `%23`")
    } else if !has_complete_escapes(query) {
        Err("contains an incomplete percent escape; write `%` as `%25`")
    } else {
        Ok(())
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if path.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    if path.contains('#') {
        return Err("must not contain a fragment; write `#` as `%23`");
    }
    if !has_complete_escapes(path) {
        return Err("contains an incomplete percent escape; write `%` as `%25`");
    }
    if is_url(path) {
        return Err("must be a path below the base URL, not a URL");
    }
    let mut text = path.as_bytes().to_vec();
    for decodings in 0..=MAX_DECODINGS {
        if decodings <= 1 && text.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\') {
            return Err("must not contain backslashes or escaped control characters");
        }
        if text.iter().any(|byte| *byte == b'.' || !byte.is_ascii()) && has_dot_segment(&text) {
            return Err("must not contain dot segments");
        }
        let decoded: Vec<u8> = percent_decode(&text).collect();
        if decoded == text {
            return Ok(());
        }
        text = decoded;
    }
    Err("is escaped too many times")
}

/// Whether a path is an absolute URL, or a URL without its scheme. Neither is a path below the base URL.
fn is_url(path: &str) -> bool {
    let is_scheme = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    path.starts_with("//") || path.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
}

/// Whether a whole segment is `.` or `..`, also with parameters after it, which some servers remove, with what a server that
/// decodes more than once reads as a query or fragment, or with characters that are not visible.
fn has_dot_segment(text: &[u8]) -> bool {
    as_lenient_servers_read(text).split(['/', '\\']).any(|segment| {
        let name = segment.split([';', '?', '#', '\0']).next().unwrap_or_default();
        let visible: String = name.chars().filter(|character| !is_invisible(*character)).collect();
        matches!(visible.as_str(), "." | "..")
    })
}

fn is_invisible(character: char) -> bool {
    acts_on_output(character) || character.is_whitespace()
}

/// The text with every encoding of an ASCII character that UTF-8 forbids and some servers decode, and with the characters of
/// [`REPLACED`], as these servers read them. Other bytes that are no UTF-8 become U+FFFD.
fn as_lenient_servers_read(mut text: &[u8]) -> String {
    let mut read = String::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        let continuation = match first {
            0xc0..=0xdf => 1,
            0xe0..=0xef => 2,
            0xf0..=0xf7 => 3,
            0xf8..=0xfb => 4,
            0xfc..=0xfd => 5,
            _ => 0,
        };
        let lead = if continuation == 0 { u64::from(*first) } else { u64::from(first & (0x3f >> continuation)) };
        let bytes = rest.get(..continuation);
        let value = bytes.map(|bytes| bytes.iter().fold(lead, |value, byte| value << 6 | u64::from(byte & 0x3f)));
        let well_formed = text.get(..=continuation).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let length = match (value, well_formed.and_then(|text| text.chars().next())) {
            (_, Some(character)) => {
                match REPLACED.iter().find(|(replaced, _)| *replaced == character) {
                    Some((_, replacement)) => read.push_str(replacement),
                    None => read.push(character),
                }
                1 + continuation
            }
            (Some(value @ 0..0x80), None) => {
                read.push(u8::try_from(value).map_or(char::REPLACEMENT_CHARACTER, char::from));
                1 + continuation
            }
            (_, None) => {
                read.push(char::REPLACEMENT_CHARACTER);
                1
            }
        };
        text = &text[length..];
    }
    read
}

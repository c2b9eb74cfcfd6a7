//! The header fields that are passed on in requests and responses.

use grantry_domain::ports::{ApiRequestRefused, HOP_BY_HOP_FIELDS, RESERVED_FIELDS};
use http::header::{CONNECTION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::server::AGENT;

/// Maximum number of fields in a request.
const MAX_FIELDS: usize = 64;

/// The header fields of a request. Fails if the caller must not set one of them.
pub(super) fn request_headers<N: AsRef<str>, V>(
    fields: impl ExactSizeIterator<Item = (N, V)>,
) -> Result<HeaderMap, ApiRequestRefused>
where
    HeaderValue: TryFrom<V>,
{
    let refused = |problem| ApiRequestRefused { field: "params.headers", problem };
    if fields.len() > MAX_FIELDS {
        return Err(refused("contains more than 64 fields"));
    }
    let mut headers = HeaderMap::with_capacity(fields.len() + 1);
    for (name, value) in fields {
        let name = HeaderName::try_from(name.as_ref()).map_err(|_| refused("contains a field with an invalid name"))?;
        let value = HeaderValue::try_from(value).map_err(|_| refused("contains a field with an invalid value"))?;
        if HOP_BY_HOP_FIELDS.contains(&name.as_str()) || RESERVED_FIELDS.contains(&name.as_str()) {
            return Err(refused("contains a field that a caller must not set"));
        }
        headers.append(name, value);
    }
    headers.entry(USER_AGENT).or_insert(AGENT);
    Ok(headers)
}

/// The header fields of a response without hop-by-hop fields, the fields named in `Connection`, and cookies.
pub(super) fn response_headers(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let passes = |name: &str| {
        !HOP_BY_HOP_FIELDS.contains(&name) && !name.starts_with("set-cookie") && !named.iter().any(|hop| hop == name)
    };
    headers
        .iter()
        .filter(|(name, _)| passes(name.as_str()))
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}

//! A private parser, open to the fuzz targets of this repository. Not part of the API: it may change in every release.

use grantry_provider_oauth2::TransportError;
use http::HeaderMap;
use zeroize::Zeroizing;

/// Decodes a response body and removes the header fields of its encoding.
pub fn decode(headers: &mut HeaderMap, body: &[u8], limit: usize) -> Result<Zeroizing<Vec<u8>>, TransportError> {
    crate::decoding::decode(headers, Zeroizing::new(body.to_vec()), limit)
}

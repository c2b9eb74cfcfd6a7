//! Files in the encoding that the client prefers (RFC 9110 §12.5.3).
//!
//! A file is compressed once per process, when it is first requested, and kept in memory. So the files in the binary and in the
//! repository stay plain.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::negotiation::weight;

/// Smaller files gain nothing.
const SMALLEST: usize = 1024;
/// Files that are kept; more than any console has.
const MOST: usize = 512;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

impl Encoding {
    /// The best one first.
    const COMPRESSED: [Self; 2] = [Self::Brotli, Self::Gzip];

    fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }

    fn is_named(self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        name == self.name() || (self == Self::Gzip && name == "x-gzip")
    }

    /// The content in this encoding; `None` if it does not become shorter.
    fn of(self, content: &[u8]) -> Option<Bytes> {
        let mut shorter = Vec::new();
        match self {
            Self::Identity => return None,
            Self::Brotli => {
                let parameters = brotli::enc::BrotliEncoderParams { quality: 9, ..Default::default() };
                brotli::BrotliCompress(&mut &*content, &mut shorter, &parameters).ok()?;
            }
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(&mut shorter, flate2::Compression::best());
                encoder.write_all(content).ok()?;
                encoder.finish().ok()?;
            }
        }
        (shorter.len() < content.len()).then(|| Bytes::from(shorter))
    }
}

/// A file to serve.
pub(crate) struct File {
    pub(crate) content: Cow<'static, [u8]>,
    pub(crate) content_type: &'static str,
    /// Hash of the content, without quotes.
    pub(crate) etag: String,
    pub(crate) caching: &'static str,
}

/// Compressed files by their hash. `None` for one that does not become shorter.
#[derive(Default)]
pub(crate) struct CompressedFiles(Mutex<HashMap<(String, Encoding), Option<Bytes>>>);

impl CompressedFiles {
    /// The response to a request for a file.
    pub(crate) fn response(&self, file: &File, headers: &HeaderMap) -> Response {
        let is_compressible = is_compressible(file);
        let (encoding, body) = self.encoded(file, if is_compressible { preferred(headers) } else { Encoding::Identity });
        // Each encoding is another representation and needs another validator (RFC 9110 §8.8.3).
        let etag = match encoding {
            Encoding::Identity => format!("\"{}\"", file.etag),
            Encoding::Brotli | Encoding::Gzip => format!("\"{}-{}\"", file.etag, encoding.name()),
        };
        let is_known = is_known(headers, &etag);
        let common = [(header::CACHE_CONTROL, file.caching.to_owned()), (header::ETAG, etag)];
        let mut response = if is_known {
            (StatusCode::NOT_MODIFIED, common).into_response()
        } else {
            ([(header::CONTENT_TYPE, file.content_type)], common, body).into_response()
        };
        if is_compressible {
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        if encoding != Encoding::Identity && !is_known {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
        }
        response
    }

    fn encoded(&self, file: &File, encoding: Encoding) -> (Encoding, Bytes) {
        if encoding != Encoding::Identity
            && let Some(body) = self.compressed(file, encoding)
        {
            return (encoding, body);
        }
        let plain = match &file.content {
            Cow::Borrowed(content) => Bytes::from_static(content),
            Cow::Owned(content) => Bytes::copy_from_slice(content),
        };
        (Encoding::Identity, plain)
    }

    fn compressed(&self, file: &File, encoding: Encoding) -> Option<Bytes> {
        let key = (file.etag.clone(), encoding);
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        // Outside the lock: two first requests compress twice, and no request waits for another file.
        let body = encoding.of(&file.content);
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() < MOST {
            files.insert(key, body.clone());
        }
        body
    }
}

/// Text of some length. Images and fonts are compressed already.
fn is_compressible(file: &File) -> bool {
    let essence = file.content_type.split(';').next().unwrap_or_default().trim();
    let is_text = essence.starts_with("text/") || matches!(essence, "application/json" | "image/svg+xml");
    is_text && file.content.len() >= SMALLEST
}

/// The encoding with the highest weight, and the shortest one among equals. Without `Accept-Encoding`, and where no encoding
/// is acceptable, the file is sent as it is.
fn preferred(headers: &HeaderMap) -> Encoding {
    let fields: Vec<&str> =
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    let ranges: Vec<(&str, f32)> = fields
        .iter()
        .flat_map(|field| field.split(','))
        .map(|range| {
            let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
            (name.trim(), weight(parameters))
        })
        .collect();
    let named = |encoding: Encoding| ranges.iter().find(|(name, _)| encoding.is_named(name)).map(|(_, weight)| *weight);
    let any = ranges.iter().find(|(name, _)| *name == "*").map(|(_, weight)| *weight);
    // Identity is acceptable unless it is excluded, but a client that lists encodings prefers them.
    let mut best = (named(Encoding::Identity).unwrap_or(0.0), Encoding::Identity);
    for encoding in Encoding::COMPRESSED.into_iter().rev() {
        let weight = named(encoding).or(any).unwrap_or(0.0);
        if weight > 0.0 && weight >= best.0 {
            best = (weight, encoding);
        }
    }
    best.1
}

/// Whether the client has this representation (RFC 9110 §13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let fields = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = fields.flat_map(|field| field.split(',')).map(str::trim);
    known.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred_of(accept: &str) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, accept.parse().unwrap());
        preferred(&headers)
    }

    #[test]
    fn the_encoding_with_the_highest_weight_is_chosen() {
        for (accept, expected) in [
            ("gzip, deflate, br, zstd", Encoding::Brotli),
            ("gzip, deflate", Encoding::Gzip),
            ("x-gzip", Encoding::Gzip),
            ("BR", Encoding::Brotli),
            ("br;q=0.5, gzip;q=0.8", Encoding::Gzip),
            ("br;q=0, gzip", Encoding::Gzip),
            ("br;q=0, *;q=0.1", Encoding::Gzip),
            ("*", Encoding::Brotli),
            ("*;q=0", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("identity, br;q=0.5", Encoding::Identity),
            ("identity;q=0.5, gzip;q=0.5", Encoding::Gzip),
            ("br;q=0, gzip;q=0", Encoding::Identity),
            ("identity;q=0, br", Encoding::Brotli),
            ("", Encoding::Identity),
            ("deflate, zstd", Encoding::Identity),
            ("brotli", Encoding::Identity),
            ("br;q=nonsense", Encoding::Identity),
        ] {
            assert_eq!(preferred_of(accept), expected, "{accept}");
        }
        assert_eq!(preferred(&HeaderMap::new()), Encoding::Identity);
    }

    #[test]
    fn content_that_does_not_become_shorter_stays_as_it_is() {
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u8::try_from(state >> 56).unwrap()
        });
        let noise: Vec<u8> = noise.take(4096).collect();
        assert!(Encoding::COMPRESSED.iter().all(|encoding| encoding.of(&noise).is_none()));
    }
}

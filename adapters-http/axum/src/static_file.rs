//! Files in the encoding that the client prefers (RFC 9110 §12.5.3). They are compressed before, not for a request.

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::negotiation::weight;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

impl Encoding {
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
}

/// A file to serve.
pub(crate) struct StaticFile {
    pub(crate) content: Bytes,
    /// The content, compressed.
    pub(crate) brotli: Option<Bytes>,
    /// The content, compressed.
    pub(crate) gzip: Option<Bytes>,
    pub(crate) content_type: &'static str,
    /// Hash of the content, without quotes.
    pub(crate) etag: String,
    pub(crate) caching: &'static str,
}

impl StaticFile {
    /// The response to a request with these headers.
    pub(crate) fn response(self, headers: &HeaderMap) -> Response {
        let compressed = [(Encoding::Gzip, self.gzip), (Encoding::Brotli, self.brotli)];
        let compressed: Vec<(Encoding, Bytes)> =
            compressed.into_iter().filter_map(|(encoding, body)| Some((encoding, body?))).collect();
        let varies = !compressed.is_empty();
        let encoding = preferred(headers, compressed.iter().map(|(encoding, _)| *encoding));
        let body =
            compressed.into_iter().find(|(available, _)| *available == encoding).map_or(self.content, |(_, body)| body);
        // Each encoding is another representation and needs another validator (RFC 9110 §8.8.3).
        let etag = match encoding {
            Encoding::Identity => format!("\"{}\"", self.etag),
            Encoding::Brotli | Encoding::Gzip => format!("\"{}-{}\"", self.etag, encoding.name()),
        };
        let is_known = is_known(headers, &etag);
        let common = [(header::CACHE_CONTROL, self.caching.to_owned()), (header::ETAG, etag)];
        let mut response = if is_known {
            (StatusCode::NOT_MODIFIED, common).into_response()
        } else {
            ([(header::CONTENT_TYPE, self.content_type)], common, body).into_response()
        };
        if varies {
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        if encoding != Encoding::Identity && !is_known {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
        }
        response
    }
}

/// The available encoding with the highest weight, and the last one among equals. Without `Accept-Encoding`, and where no
/// encoding is acceptable, the file is sent as it is.
fn preferred(headers: &HeaderMap, available: impl Iterator<Item = Encoding>) -> Encoding {
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
    for encoding in available {
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

    const BOTH: [Encoding; 2] = [Encoding::Gzip, Encoding::Brotli];

    fn preferred_of(accept: &str) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, accept.parse().unwrap());
        preferred(&headers, BOTH.into_iter())
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
        assert_eq!(preferred(&HeaderMap::new(), BOTH.into_iter()), Encoding::Identity);
    }
}

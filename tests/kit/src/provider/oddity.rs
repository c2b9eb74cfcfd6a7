//! Oddities of providers in use: responses that deviate from the standards and contain usable tokens.

use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use serde_json::Value;

use super::fault::{Fault, QueryEdit, ScriptedResponse};

/// Compression level: fast.
const LEVEL: u8 = 1;

impl Fault {
    /// Processed, then the response with another status, such as 201.
    pub fn with_status(status: u16) -> Self {
        Self::transform(move |response| ScriptedResponse { status, ..response })
    }

    /// The JSON response after a byte order mark.
    pub fn byte_order_mark() -> Self {
        Self::rewritten(|body| [b"\xef\xbb\xbf", body].concat())
    }

    /// The JSON response with one more member, whose value is this JSON text as written: `3.6e3`, or bytes that are not
    /// UTF-8. A member of this name is replaced.
    pub fn written(member: &str, text: impl Into<Vec<u8>>) -> Self {
        let (name, text) = (Value::from(member).to_string(), text.into());
        let append = Self::rewritten(move |body| {
            let open = body.strip_suffix(b"}").unwrap_or(body);
            let comma: &[u8] = if open.ends_with(b"{") { b"" } else { b"," };
            [open, comma, name.as_bytes(), b":", &text, b"}"].concat()
        });
        Self::Several(vec![Self::without(member), append])
    }

    /// The response compressed with gzip, with the matching `Content-Encoding`.
    pub fn gzip() -> Self {
        Self::encoded("gzip", gzip)
    }

    /// The response compressed with deflate, with or without a zlib header: servers do either.
    pub fn deflate(zlib_header: bool) -> Self {
        let compress = if zlib_header { compress_to_vec_zlib } else { compress_to_vec };
        Self::encoded("deflate", move |body| compress(body, LEVEL))
    }

    /// The response with this many blanks after it, compressed with gzip to a fraction.
    pub fn gzip_bomb(blanks: usize) -> Self {
        Self::encoded("gzip", move |body| gzip(&[body, &vec![b' '; blanks]].concat()))
    }

    /// The redirect to the client without `state`.
    pub fn stateless() -> Self {
        Self::EditRedirect(QueryEdit::Remove("state".to_owned()))
    }

    fn encoded(name: &'static str, compress: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let labelled = Self::transform(move |response| response.header("content-encoding", name));
        Self::Several(vec![Self::rewritten(compress), labelled])
    }

    fn rewritten(change: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::transform(move |response| ScriptedResponse { body: change(&response.body), ..response })
    }
}

/// One gzip member (RFC 1952).
fn gzip(plain: &[u8]) -> Vec<u8> {
    let size = u32::try_from(plain.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff], compress_to_vec(plain, LEVEL).as_slice(), &crc32(plain).to_le_bytes(), &size]
        .concat()
}

/// The checksum of RFC 1952 §8.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_gzip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(gzip(b"{}")[..3], [0x1f, 0x8b, 8]);
    }
}

//! Decodes compressed response bodies (RFC 9110 §8.4). Requests ask for none, but some servers compress all the same.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_IGNORE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use zeroize::Zeroizing;

use grantry_provider_oauth2::TransportError;

/// The most encodings on one body. Servers use one; two occur behind a proxy that compresses again.
const MAX_ENCODINGS: usize = 4;

/// A supported encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Gzip,
    /// With a zlib header (RFC 1950), or without one: servers differ.
    Deflate,
}

/// Why a body was not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undecoded {
    /// Decoded, it would be larger than the limit.
    TooLarge,
    /// It does not have the encoding that its header field names.
    NotEncoded,
}

/// Decodes a body and removes the header fields that describe its encoded form. A body with an unknown encoding, or without
/// the encoding it is declared with, stays as it was received, header fields included: its reader decides.
pub(crate) fn decode(
    headers: &mut HeaderMap,
    body: Zeroizing<Vec<u8>>,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, TransportError> {
    let Some(encodings) = encodings(headers).filter(|encodings| !encodings.is_empty() && !body.is_empty()) else {
        return Ok(body);
    };
    let mut decoded: Option<Zeroizing<Vec<u8>>> = None;
    // The last one was applied last.
    for encoding in encodings.into_iter().rev() {
        let encoded = decoded.as_ref().unwrap_or(&body);
        match decode_one(encoding, encoded, limit) {
            Ok(plain) => decoded = Some(plain),
            Err(Undecoded::TooLarge) => return Err(TransportError::TooLarge),
            Err(Undecoded::NotEncoded) => return Ok(body),
        }
    }
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(decoded.unwrap_or(body))
}

/// The encodings in the order they were applied. `None` if one of them is unknown.
fn encodings(headers: &HeaderMap) -> Option<Vec<Encoding>> {
    let mut found = Vec::new();
    for field in headers.get_all(CONTENT_ENCODING) {
        for name in field.to_str().ok()?.split(',').map(str::trim) {
            match name.to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" => found.push(Encoding::Gzip),
                "deflate" => found.push(Encoding::Deflate),
                _ => return None,
            }
        }
    }
    (found.len() <= MAX_ENCODINGS).then_some(found)
}

fn decode_one(encoding: Encoding, body: &[u8], limit: usize) -> Result<Zeroizing<Vec<u8>>, Undecoded> {
    // The decoder writes into this buffer and keeps no window elsewhere.
    let mut out = Zeroizing::new(vec![0; limit]);
    let length = match encoding {
        Encoding::Gzip => gunzip(body, &mut out)?,
        Encoding::Deflate => match inflate(body, &mut out, TINFL_FLAG_PARSE_ZLIB_HEADER) {
            Err(Undecoded::NotEncoded) => inflate(body, &mut out, 0)?.1,
            with_header @ (Ok(_) | Err(Undecoded::TooLarge)) => with_header?.1,
        },
    };
    out.truncate(length);
    Ok(out)
}

/// Decodes every member of a gzip file (RFC 1952 §2.2). Bytes after the last one are padding and are ignored. Returns the
/// decoded length.
fn gunzip(body: &[u8], out: &mut [u8]) -> Result<usize, Undecoded> {
    const TRAILER: usize = 8;
    let mut rest = after_header(body).ok_or(Undecoded::NotEncoded)?;
    let mut written = 0;
    loop {
        let (consumed, length) = inflate(rest, &mut out[written..], 0)?;
        written += length;
        let trailer = rest.get(consumed..consumed + TRAILER).ok_or(Undecoded::NotEncoded)?;
        // ISIZE. The checksum before it is not compared: the transport protects the body.
        if trailer[4..] != u32::try_from(length).unwrap_or_default().to_le_bytes() {
            return Err(Undecoded::NotEncoded);
        }
        match after_header(&rest[consumed + TRAILER..]) {
            Some(next) => rest = next,
            None => return Ok(written),
        }
    }
}

/// What follows the header of a gzip member. `None` if there is no such header.
fn after_header(member: &[u8]) -> Option<&[u8]> {
    const HEADER_CHECKSUM: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, rest @ ..] = member else { return None };
    let mut rest = rest;
    if flags & EXTRA != 0 {
        let (length, after) = rest.split_at_checked(2)?;
        rest = after.get(usize::from(u16::from_le_bytes(length.try_into().ok()?))..)?;
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & HEADER_CHECKSUM != 0 { rest.get(2..) } else { Some(rest) }
}

/// Decodes one deflate stream (RFC 1951). Returns how many bytes it takes and how many it gives.
fn inflate(body: &[u8], out: &mut [u8], header: u32) -> Result<(usize, usize), Undecoded> {
    let flags = header | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF | TINFL_FLAG_IGNORE_ADLER32;
    let (status, consumed, written) = decompress(&mut DecompressorOxide::new(), body, out, 0, flags);
    match status {
        TINFLStatus::Done => Ok((consumed, written)),
        TINFLStatus::HasMoreOutput => Err(Undecoded::TooLarge),
        TINFLStatus::FailedCannotMakeProgress
        | TINFLStatus::BadParam
        | TINFLStatus::Adler32Mismatch
        | TINFLStatus::Failed
        | TINFLStatus::NeedsMoreInput => Err(Undecoded::NotEncoded),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = br#"{"access_token":"at-1","token_type":"Bearer"}"#;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
        out.extend(compress_to_vec(plain, 6));
        out.extend([0; 4]);
        out.extend(u32::try_from(plain.len()).unwrap().to_le_bytes());
        out
    }

    fn decoded(names: &[&'static str], body: &[u8], limit: usize) -> Result<(Vec<u8>, bool), TransportError> {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        let body = decode(&mut headers, Zeroizing::new(body.to_vec()), limit)?;
        Ok((body.to_vec(), !headers.contains_key(CONTENT_ENCODING)))
    }

    #[test]
    fn r28_every_common_encoding_is_decoded() {
        let (zipped, zlib, raw) = (gzip(TEXT), compress_to_vec_zlib(TEXT, 6), compress_to_vec(TEXT, 6));
        for (names, body) in [
            (&["gzip"][..], zipped.clone()),
            (&["x-gzip"], zipped.clone()),
            (&["GZip"], zipped.clone()),
            (&["identity, gzip"], zipped.clone()),
            (&["deflate"], zlib.clone()),
            (&["deflate"], raw),
            (&["gzip, gzip"], gzip(&zipped)),
            (&["deflate", "gzip"], gzip(&zlib)),
            (&["gzip"], [gzip(&TEXT[..7]), gzip(&TEXT[7..])].concat()),
            (&["gzip"], [&zipped[..], &[0; 5]].concat()),
        ] {
            assert_eq!(decoded(names, &body, 1000), Ok((TEXT.to_vec(), true)), "{names:?}");
        }
    }

    #[test]
    fn r28_every_field_of_a_gzip_header_is_skipped() {
        let zipped = gzip(TEXT);
        let mut full = zipped[..10].to_vec();
        full[3] = 0x1e;
        full.extend(b"\x03\0ext");
        full.extend(b"name\0comment\0\x01\x02");
        full.extend(&zipped[10..]);
        assert_eq!(decoded(&["gzip"], &full, 1000), Ok((TEXT.to_vec(), true)));
        for cut in 0..full.len() {
            assert_eq!(decoded(&["gzip"], &full[..cut], 1000), Ok((full[..cut].to_vec(), false)), "{cut}");
        }
    }

    #[test]
    fn r28_a_body_without_its_declared_encoding_stays_as_it_was() {
        for (names, body) in [
            (&["gzip"][..], TEXT),
            (&["deflate"], TEXT),
            (&["br"], TEXT),
            (&["gzip, br"], TEXT),
            (&["gzip"], b""),
            (&["gzip, gzip, gzip, gzip, gzip"], TEXT),
        ] {
            assert_eq!(decoded(names, body, 1000), Ok((body.to_vec(), false)), "{names:?}");
        }
        assert_eq!(decoded(&["identity"], TEXT, 1000), Ok((TEXT.to_vec(), false)));
    }

    #[test]
    fn r71_the_decoded_size_is_limited_to_the_byte() {
        let plain = vec![b'x'; 5_000_000];
        let bombs =
            [("gzip", gzip(&plain)), ("deflate", compress_to_vec_zlib(&plain, 6)), ("deflate", compress_to_vec(&plain, 6))];
        for (name, bomb) in bombs {
            assert!(bomb.len() < 50_000);
            assert_eq!(decoded(&[name], &bomb, 100_000), Err(TransportError::TooLarge), "{name}");
            assert_eq!(decoded(&[name], &bomb, plain.len() - 1), Err(TransportError::TooLarge), "{name}");
            assert_eq!(decoded(&[name], &bomb, plain.len()).map(|(body, _)| body.len()), Ok(plain.len()), "{name}");
        }
        assert_eq!(decoded(&["gzip, gzip"], &gzip(&gzip(&plain)), 100_000), Err(TransportError::TooLarge));
        let members = gzip(&plain[..600]).repeat(2);
        assert_eq!(decoded(&["gzip"], &members, 1000), Err(TransportError::TooLarge));
    }

    proptest! {
        #[test]
        fn r71_any_bytes_end_without_panic(body in proptest::collection::vec(any::<u8>(), 0..200), gzip: bool) {
            let start: &[u8] = if gzip { &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0] } else { &[] };
            let name = if gzip { "gzip" } else { "deflate" };
            drop(decoded(&[name], &[start, &body].concat(), 300));
        }
    }
}

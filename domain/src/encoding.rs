//! Encodings and the hash of the domain: base64url in URLs, tagged fields in sealed payloads and digests, SHA-256.
//!
//! Tagged fields are `u8 tag ‖ u32 length ‖ bytes`, integers big-endian, tags strictly ascending. Not JSON: a JSON parser
//! leaves copies of a secret in freed memory and quotes values in its errors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// SHA-256 (FIPS 180-4): of `state` and flow cookies, PKCE challenges, binding digests and access tokens.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Base64url without padding (RFC 4648 §5).
pub fn base64url(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes))
}

/// Decodes base64url without padding into exactly `N` bytes; `None` for anything else, non-canonical endings included.
pub fn from_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The decoder estimates its output in steps of three bytes, so the buffer is larger than `N`.
    let mut buffer = vec![0_u8; text.len()];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut buffer).ok()?;
    buffer.get(..length)?.try_into().ok()
}

/// Bytes that are not a valid sequence of tagged fields. The error contains none of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MalformedFields {
    /// The bytes end within a field.
    #[error("the sealed record ends within a field")]
    Cut,
    /// A tag is not greater than the one before it.
    #[error("the sealed record has a duplicate or unordered field")]
    Unordered,
    /// A tag that is unknown to this version.
    #[error("the sealed record has an unknown field")]
    Unknown,
    /// A required field is missing.
    #[error("the sealed record lacks a field")]
    Missing,
    /// A field is not of the type of its tag.
    #[error("a field of the sealed record is malformed")]
    Value,
    /// The payload version is newer than this program.
    #[error("the sealed record has an unknown version")]
    Version,
}

/// Writes tagged fields into memory that is wiped on drop.
///
/// Sizes are summed first, so that the buffer never grows: a growing vector leaves pieces of its content behind.
#[derive(Default)]
pub(crate) struct FieldWriter<'a> {
    fields: Vec<(u8, FieldValue<'a>)>,
}

enum FieldValue<'a> {
    Borrowed(&'a [u8]),
    Owned(Zeroizing<Vec<u8>>),
}

impl FieldValue<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl<'a> FieldWriter<'a> {
    pub(crate) fn bytes(mut self, tag: u8, value: &'a [u8]) -> Self {
        self.fields.push((tag, FieldValue::Borrowed(value)));
        self
    }

    pub(crate) fn optional(self, tag: u8, value: Option<&'a [u8]>) -> Self {
        match value {
            Some(value) => self.bytes(tag, value),
            None => self,
        }
    }

    pub(crate) fn owned(mut self, tag: u8, value: Zeroizing<Vec<u8>>) -> Self {
        self.fields.push((tag, FieldValue::Owned(value)));
        self
    }

    pub(crate) fn number(self, tag: u8, value: i64) -> Self {
        self.owned(tag, Zeroizing::new(value.to_be_bytes().to_vec()))
    }

    pub(crate) fn optional_number(self, tag: u8, value: Option<i64>) -> Self {
        match value {
            Some(value) => self.number(tag, value),
            None => self,
        }
    }

    pub(crate) fn texts<'t>(self, tag: u8, values: impl IntoIterator<Item = &'t str>) -> Self {
        let mut list = Zeroizing::new(Vec::new());
        for value in values {
            list.extend_from_slice(&length_of(value.len()));
            list.extend_from_slice(value.as_bytes());
        }
        self.owned(tag, list)
    }

    pub(crate) fn finish(self) -> Zeroizing<Vec<u8>> {
        debug_assert!(self.fields.windows(2).all(|pair| pair[0].0 < pair[1].0), "tags must ascend");
        let size = self.fields.iter().map(|(_, value)| 5 + value.bytes().len()).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(size));
        for (tag, value) in &self.fields {
            out.push(*tag);
            out.extend_from_slice(&length_of(value.bytes().len()));
            out.extend_from_slice(value.bytes());
        }
        out
    }
}

/// The big-endian length prefix of a field. Fields are kilobytes, so the conversion cannot fail in practice.
pub(crate) fn length_of(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// Reads tagged fields; `finish` refuses fields that were not read.
pub(crate) struct FieldReader<'a> {
    fields: Vec<(u8, &'a [u8])>,
}

impl<'a> FieldReader<'a> {
    pub(crate) fn new(mut bytes: &'a [u8]) -> Result<Self, MalformedFields> {
        let mut fields: Vec<(u8, &'a [u8])> = Vec::new();
        while let Some((&tag, rest)) = bytes.split_first() {
            let (value, rest) = take_prefixed(rest)?;
            if fields.last().is_some_and(|(last, _)| *last >= tag) {
                return Err(MalformedFields::Unordered);
            }
            fields.push((tag, value));
            bytes = rest;
        }
        Ok(Self { fields })
    }

    pub(crate) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        let position = self.fields.iter().position(|(have, _)| *have == tag)?;
        Some(self.fields.remove(position).1)
    }

    pub(crate) fn bytes(&mut self, tag: u8) -> Result<&'a [u8], MalformedFields> {
        self.optional(tag).ok_or(MalformedFields::Missing)
    }

    pub(crate) fn text(&mut self, tag: u8) -> Result<String, MalformedFields> {
        utf8(self.bytes(tag)?)
    }

    pub(crate) fn optional_text(&mut self, tag: u8) -> Result<Option<String>, MalformedFields> {
        self.optional(tag).map(utf8).transpose()
    }

    pub(crate) fn number(&mut self, tag: u8) -> Result<i64, MalformedFields> {
        integer(self.bytes(tag)?)
    }

    pub(crate) fn optional_number(&mut self, tag: u8) -> Result<Option<i64>, MalformedFields> {
        self.optional(tag).map(integer).transpose()
    }

    pub(crate) fn texts(&mut self, tag: u8) -> Result<Vec<String>, MalformedFields> {
        let mut list = self.bytes(tag)?;
        let mut texts = Vec::new();
        while !list.is_empty() {
            let (value, rest) = take_prefixed(list)?;
            texts.push(utf8(value)?);
            list = rest;
        }
        Ok(texts)
    }

    pub(crate) fn finish(self) -> Result<(), MalformedFields> {
        if self.fields.is_empty() { Ok(()) } else { Err(MalformedFields::Unknown) }
    }
}

fn take_prefixed(bytes: &[u8]) -> Result<(&[u8], &[u8]), MalformedFields> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(MalformedFields::Cut)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| MalformedFields::Cut)?;
    if rest.len() < length {
        return Err(MalformedFields::Cut);
    }
    Ok(rest.split_at(length))
}

fn utf8(bytes: &[u8]) -> Result<String, MalformedFields> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| MalformedFields::Value)
}

fn integer(bytes: &[u8]) -> Result<i64, MalformedFields> {
    bytes.try_into().map(i64::from_be_bytes).map_err(|_| MalformedFields::Value)
}

/// Lower-case hexadecimal, for ids in logs and errors.
pub fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64url_encodes_the_rfc_7636_example() {
        // RFC 7636, appendix B.
        let octets = [
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105, 214, 191, 240,
            91, 88, 5, 88, 83, 132, 141, 121,
        ];
        assert_eq!(base64url(&octets).as_str(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }

    proptest! {
        #[test]
        fn base64url_round_trips(bytes: [u8; 32], other: [u8; 24], odd: [u8; 16]) {
            prop_assert_eq!(from_base64url::<32>(&base64url(&bytes)), Some(bytes));
            prop_assert_eq!(from_base64url::<24>(&base64url(&other)), Some(other));
            prop_assert_eq!(from_base64url::<16>(&base64url(&odd)), Some(odd));
        }

        #[test]
        fn fields_round_trip_and_truncated_ones_are_refused(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let mut writer = FieldWriter::default();
            for (tag, value) in (0_u8..).zip(&values) {
                writer = writer.bytes(tag, value);
            }
            let bytes = writer.finish();
            let mut reader = FieldReader::new(&bytes).unwrap();
            for (tag, value) in (0_u8..).zip(&values) {
                prop_assert_eq!(reader.bytes(tag).unwrap(), value.as_slice());
            }
            prop_assert!(reader.finish().is_ok());
            if let Some((_, cut)) = bytes.split_last() {
                prop_assert!(FieldReader::new(cut).is_err());
            }
        }
    }

    #[test]
    fn doubled_unordered_and_unknown_fields_are_refused() {
        assert_eq!(FieldReader::new(&[1, 0, 0, 0, 0, 1, 0, 0, 0, 0]).err(), Some(MalformedFields::Unordered));
        assert_eq!(FieldReader::new(&[2, 0, 0, 0, 0, 1, 0, 0, 0, 0]).err(), Some(MalformedFields::Unordered));
        assert_eq!(FieldReader::new(&[9, 0, 0, 0, 0]).unwrap().finish(), Err(MalformedFields::Unknown));
    }
}

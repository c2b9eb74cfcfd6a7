//! Deviations in a token response that did not prevent its use.

use std::borrow::Cow;
use std::fmt;

use crate::named::named;

/// The most anomalies that are recorded of one response.
const MAX_ANOMALIES: usize = 16;

named!(
    /// How a member of a token response deviates.
    AnomalyKind {
        /// A value of another type than defined.
        WrongType = "wrong_type",
        /// The name occurs more than once.
        Repeated = "repeated",
        /// Longer than allowed.
        TooLong = "too_long",
        /// A text that cannot be interpreted.
        NotReadable = "not_readable",
        /// Bytes that are not UTF-8 text.
        NotText = "not_text",
        /// Absent, although required.
        Missing = "missing",
        /// `null` or an empty text.
        Empty = "empty",
        /// Contains characters that are not allowed.
        InvalidCharacters = "invalid_characters",
        /// A number that is not written as an integer.
        NotInteger = "not_integer",
        /// A number outside its range.
        OutOfRange = "out_of_range",
        /// A value that this program does not support.
        Unsupported = "unsupported",
        /// A signature for which there is no key.
        Unverified = "unverified",
        /// A signature whose keys could not be fetched.
        KeysUnavailable = "keys_unavailable",
        /// Not about the account of the ID token.
        OtherSubject = "other_subject",
        /// A byte order mark before the body.
        ByteOrderMark = "byte_order_mark",
    }
);

/// The name of a member of a token response, or `body` for the whole. Never contains other text of the provider: a name
/// with other characters than those of identifiers, or a long one, is replaced by `other`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberName(Cow<'static, str>);

impl MemberName {
    /// The response as a whole.
    pub const BODY: Self = Self(Cow::Borrowed("body"));

    /// The longest name that is kept.
    const MAX: usize = 40;

    /// A name as the provider writes it.
    pub fn new(name: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let is_plain = (1..=Self::MAX).contains(&name.len()) && name.bytes().all(plain);
        Self(if is_plain { Cow::Owned(name.to_owned()) } else { Cow::Borrowed("other") })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One deviation: the name of the member and the kind, never the value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Anomaly {
    /// The member.
    pub member: MemberName,
    /// How it deviates.
    pub kind: AnomalyKind,
}

impl Anomaly {
    /// A deviation of a member.
    pub fn new(member: &str, kind: AnomalyKind) -> Self {
        Self { member: MemberName::new(member), kind }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.member, self.kind)
    }
}

/// The deviations of one response, each once and of a limited number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anomalies(Vec<Anomaly>);

impl Anomalies {
    /// Adds one, unless it was added before or the limit is reached.
    pub fn add(&mut self, anomaly: Anomaly) {
        if self.0.len() < MAX_ANOMALIES && !self.0.contains(&anomaly) {
            self.0.push(anomaly);
        }
    }

    /// All of them, in the order they were found.
    pub fn into_vec(self) -> Vec<Anomaly> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r79_a_name_of_the_provider_is_kept_only_if_it_is_a_short_identifier() {
        for name in ["scope", "refresh_token_expires_in", "x-vendor.field", &"a".repeat(40)] {
            assert_eq!(MemberName::new(name).as_str(), name);
        }
        for name in ["", "a b", "a=b", "a\nb", "a\u{202e}", "\u{e4}", "<script>", &"a".repeat(41)] {
            assert_eq!(MemberName::new(name).as_str(), "other", "{name:?}");
        }
    }

    #[test]
    fn r28_the_anomalies_of_a_response_are_bounded() {
        let mut anomalies = Anomalies::default();
        for number in 0..100 {
            anomalies.add(Anomaly::new("scope", AnomalyKind::WrongType));
            anomalies.add(Anomaly::new(&format!("x{number}"), AnomalyKind::Repeated));
        }
        let found = anomalies.into_vec();
        assert_eq!((found.len(), found[0].to_string()), (MAX_ANOMALIES, "scope=wrong_type".to_owned()));
    }
}

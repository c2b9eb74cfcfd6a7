//! Reading the parts of an input, and assertions that several targets share.

/// A word in the corpora that stands for a secret. It must not occur in an error.
const CANARY: &str = "CANARY";

/// The first byte, which chooses a variant, and the rest.
pub(crate) fn variant(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// The first line, and the rest after it.
pub(crate) fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

/// Text of the input, with other bytes replaced.
pub(crate) fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// Asserts that an error contains nothing secret of the input, and nothing that falsifies a log line.
pub(crate) fn assert_clean(error: &str) {
    assert!(!error.contains(CANARY), "the error contains a value of the input: {error}");
    assert!(
        !error.chars().any(|letter| letter.is_control() && letter != '\n'),
        "the error contains a control character: {error:?}"
    );
}

/// Whether the input contains the word that stands for a secret as part of a name, which errors may repeat.
pub(crate) fn is_canary_in(text: &str) -> bool {
    text.contains(CANARY)
}

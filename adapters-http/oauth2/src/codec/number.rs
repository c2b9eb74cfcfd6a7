//! Numbers, in every form in which providers write them.

use std::time::Duration;

/// A number as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    /// The whole part: zero for a negative number, and the maximum for one that is larger.
    pub(crate) whole: u64,
    pub(crate) is_negative: bool,
    /// Whether it is written with digits alone.
    pub(crate) is_integer: bool,
}

impl Number {
    /// Reads a number with or without sign, fraction and exponent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self { whole: text.parse().unwrap_or(u64::MAX), is_negative: false, is_integer: true });
        }
        // Excludes the words that the library reads as numbers.
        let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        let number = text.bytes().all(plain).then(|| text.parse::<f64>().ok()).flatten();
        let number = number.filter(|number| !number.is_nan())?;
        let whole = Duration::try_from_secs_f64(number.max(0.0)).map_or(u64::MAX, |duration| duration.as_secs());
        Some(Self { whole, is_negative: number < 0.0, is_integer: false })
    }
}

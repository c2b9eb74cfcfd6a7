//! The value of a lifetime member, in every form in which providers write it.

use std::time::Duration;

use grantry_domain::ports::AnomalyKind;

use crate::codec::{Number, Value};

/// Maximum lifetime: ten years.
pub(super) const MAX_LIFETIME: Duration = Duration::from_hours(24 * 3653);

/// A lifetime as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seconds {
    /// More than zero, at most ten years.
    For(Duration),
    /// Zero.
    Zero,
    /// Below zero.
    Negative,
}

/// Reads a value: a lifetime and how its form deviates, or why it cannot be read.
pub(super) fn read(value: &Value<'_>) -> Result<(Seconds, Option<AnomalyKind>), AnomalyKind> {
    match value {
        Value::Number(digits) => number(digits),
        Value::Text(text) => {
            let text = text.decode();
            match text.trim() {
                "" => Err(AnomalyKind::Empty),
                trimmed => number(trimmed).map(|(seconds, kind)| (seconds, kind.or(Some(AnomalyKind::WrongType)))),
            }
        }
        Value::Null => Err(AnomalyKind::Empty),
        Value::Bool(_) | Value::List(_) | Value::Object(_) => Err(AnomalyKind::WrongType),
    }
}

/// Seconds. A fraction is dropped, and a number above ten years counts as ten years.
fn number(text: &str) -> Result<(Seconds, Option<AnomalyKind>), AnomalyKind> {
    let Number { whole: seconds, is_negative, is_integer } = Number::parse(text).ok_or(AnomalyKind::NotReadable)?;
    let longest = MAX_LIFETIME.as_secs();
    let kind = match seconds {
        _ if is_negative => Some(AnomalyKind::OutOfRange),
        seconds if seconds > longest => Some(AnomalyKind::OutOfRange),
        _ if !is_integer => Some(AnomalyKind::NotInteger),
        _ => None,
    };
    let read = match seconds {
        _ if is_negative => Seconds::Negative,
        0 => Seconds::Zero,
        seconds => Seconds::For(Duration::from_secs(seconds.min(longest))),
    };
    Ok((read, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r28_every_form_of_a_number_is_read() {
        let seconds = |seconds| Seconds::For(Duration::from_secs(seconds));
        let (float, range) = (Some(AnomalyKind::NotInteger), Some(AnomalyKind::OutOfRange));
        for (text, expected, kind) in [
            ("3600", seconds(3600), None),
            ("3600.9", seconds(3600), float),
            ("3600.", seconds(3600), float),
            ("3.6e3", seconds(3600), float),
            ("3.6E+3", seconds(3600), float),
            ("36000e-1", seconds(3600), float),
            ("+3600", seconds(3600), float),
            ("0", Seconds::Zero, None),
            ("00", Seconds::Zero, None),
            ("0.5", Seconds::Zero, float),
            ("1e-400", Seconds::Zero, float),
            ("-0", Seconds::Zero, float),
            ("-1", Seconds::Negative, range),
            ("-1e400", Seconds::Negative, range),
            ("-9223372036854775809", Seconds::Negative, range),
            ("315619200", seconds(315_619_200), None),
            ("315619201", seconds(315_619_200), range),
            ("18446744073709551616", seconds(315_619_200), range),
            ("1e20", seconds(315_619_200), range),
            ("1e400", seconds(315_619_200), range),
        ] {
            assert_eq!(number(text), Ok((expected, kind)), "{text}");
        }
        for bad in [
            "", "1h", "3,600", "-", ".", "e", "1e", "NaN", "nan", "inf", "Infinity", "-inf", "never", "0x10", "1_0",
            "\u{664}",
        ] {
            assert_eq!(number(bad), Err(AnomalyKind::NotReadable), "{bad}");
        }
    }
}

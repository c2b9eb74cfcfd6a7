//! The value of a lifetime member, in every form in which providers write it.

use std::time::Duration;

use grantry_domain::ports::AnomalyKind;

use crate::codec::{Number, Value};
use crate::profile::rules::TimeUnit;

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

/// Reads a value: a lifetime and how its form deviates, or why it cannot be read. `now` is in seconds since the Unix epoch.
pub(super) fn read(value: &Value<'_>, unit: TimeUnit, now: u64) -> Result<(Seconds, Option<AnomalyKind>), AnomalyKind> {
    match value {
        Value::Number(digits) => number(digits, unit, now),
        Value::Text(text) => {
            let text = text.decode();
            match text.trim() {
                "" => Err(AnomalyKind::Empty),
                trimmed => {
                    number(trimmed, unit, now).map(|(seconds, kind)| (seconds, kind.or(Some(AnomalyKind::WrongType))))
                }
            }
        }
        Value::Null => Err(AnomalyKind::Empty),
        Value::Bool(_) | Value::List(_) | Value::Object(_) => Err(AnomalyKind::WrongType),
    }
}

/// Seconds. A fraction is dropped, and a number above ten years counts as ten years.
fn number(text: &str, unit: TimeUnit, now: u64) -> Result<(Seconds, Option<AnomalyKind>), AnomalyKind> {
    let Number { whole, is_negative, is_integer } = Number::parse(text).ok_or(AnomalyKind::NotReadable)?;
    let end = match unit {
        TimeUnit::Seconds | TimeUnit::UnixSeconds => whole,
        TimeUnit::Milliseconds | TimeUnit::UnixMilliseconds => whole / 1000,
    };
    let is_absolute = matches!(unit, TimeUnit::UnixSeconds | TimeUnit::UnixMilliseconds);
    let is_negative = is_negative || (is_absolute && end != 0 && end <= now);
    let seconds = if is_absolute { end.saturating_sub(now) } else { end };
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

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn milliseconds_and_times_of_expiry_are_read() {
        let seconds = |seconds| Seconds::For(Duration::from_secs(seconds));
        let (milliseconds, at, at_millis) = (TimeUnit::Milliseconds, TimeUnit::UnixSeconds, TimeUnit::UnixMilliseconds);
        for (text, unit, expected, kind) in [
            ("3600500", milliseconds, seconds(3600), None),
            ("999", milliseconds, Seconds::Zero, None),
            ("1800003600", at, seconds(3600), None),
            ("1800003600999", at_millis, seconds(3600), None),
            ("0", at, Seconds::Zero, None),
            ("1800000000", at, Seconds::Negative, Some(AnomalyKind::OutOfRange)),
            ("1", at, Seconds::Negative, Some(AnomalyKind::OutOfRange)),
            ("9000000000", at, seconds(315_619_200), Some(AnomalyKind::OutOfRange)),
        ] {
            assert_eq!(number(text, unit, NOW), Ok((expected, kind)), "{text} {unit:?}");
        }
    }

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
            assert_eq!(number(text, TimeUnit::Seconds, NOW), Ok((expected, kind)), "{text}");
        }
        for bad in [
            "", "1h", "3,600", "-", ".", "e", "1e", "NaN", "nan", "inf", "Infinity", "-inf", "never", "0x10", "1_0",
            "\u{664}",
        ] {
            assert_eq!(number(bad, TimeUnit::Seconds, NOW), Err(AnomalyKind::NotReadable), "{bad}");
        }
    }
}

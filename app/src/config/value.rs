//! Values with a form of their own: durations such as `10m`, rates such as `20/10m`.

use std::num::NonZeroU32;
use std::time::Duration;

use grantry_runtime::Quota;

/// Reads a duration: a whole number and one of `s`, `m`, `h`, `d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?;
    if !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// Reads a rate: how many, a slash, and in which span.
pub(crate) fn rate(text: &str) -> Option<Quota> {
    let (times, span) = text.split_once('/')?;
    let times = times.bytes().all(|digit| digit.is_ascii_digit()).then(|| times.parse::<NonZeroU32>().ok())??;
    let per = duration(span).filter(|per| !per.is_zero())?;
    Some(Quota { times, per })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Some(Duration::from_mins(10)));
        assert_eq!(duration("8h"), Some(Duration::from_hours(8)));
        assert_eq!(duration("90d"), Some(Duration::from_hours(90 * 24)));
        for bad in
            ["", "10", "m", "-1m", "+1m", "1.5h", "1 m", "1M", "1w", "99999999999999999999d", "999999999999999999d", "ä"]
        {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn rates_are_a_number_in_a_span() {
        let quota = rate("20/10m").unwrap();
        assert_eq!((quota.times.get(), quota.per), (20, Duration::from_mins(10)));
        for bad in ["", "20", "/10m", "20/", "0/10m", "20/0s", "-1/1m", "+1/1m", "20/10", "20 / 10m"] {
            assert!(rate(bad).is_none(), "{bad:?}");
        }
    }
}

//! How values are written in responses.

use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use serde::Serializer;
use serde::ser::Error;

/// A point in time (RFC 3339, UTC).
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// The start of a day that is given in days since the Unix epoch.
pub(crate) fn rfc3339_day(day: i64) -> String {
    rfc3339(Timestamp::from_millis(day.saturating_mul(86_400_000)))
}

/// Writes a secret into one of the few responses that contain one, without another copy on the way.
pub(crate) fn secret<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    match secret.expose_text() {
        Some(text) => serializer.serialize_str(text),
        None => Err(S::Error::custom("not UTF-8")),
    }
}

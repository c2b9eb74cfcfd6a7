//! Values of settings that are written as text, and how serde reads and writes them.

use crate::store::StoreUrl;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use grantry_crypto_aes_gcm::KeySource;
use grantry_domain::connector::ProfileId;
use grantry_domain::encoding::hex;
use grantry_domain::identity::{Role, SpaceId, UserId};
use grantry_domain::usecase::OnAuditFailure;
use grantry_http_axum::{Network, PublicBaseUrl};
use grantry_provider_oauth2::Profiles;
use grantry_runtime::Quota;
use http::HeaderName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is written as text.
pub(crate) trait Value: Sized {
    /// Parses the text. The error is a predicate such as `must be an IP address`, without the text itself.
    fn parse(text: &str) -> Result<Self, String>;

    /// The text that parses to this value.
    fn text(&self) -> String;
}

/// `#[serde(with = "text")]`: one value.
pub(super) mod text {
    use super::{Deserialize, Deserializer, Serializer, Value};

    pub(crate) fn serialize<T: Value, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.text())
    }

    pub(crate) fn deserialize<'de, T: Value, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        T::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// `#[serde(with = "optional")]`: one value, absent if the text is empty.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Serializer, Value};

    #[expect(clippy::ref_option, reason = "the signature that serde requires")]
    pub(crate) fn serialize<T: Value, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.as_ref().map_or_else(String::new, Value::text))
    }

    pub(crate) fn deserialize<'de, T: Value, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() { Ok(None) } else { T::parse(&text).map(Some).map_err(serde::de::Error::custom) }
    }
}

/// `#[serde(with = "list")]`: a list of values.
pub(super) mod list {
    use super::{AsText, Deserialize, Deserializer, Serializer, Value};

    pub(crate) fn serialize<T: Value, S: Serializer>(values: &[T], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(Value::text))
    }

    pub(crate) fn deserialize<'de, T: Value, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
        Ok(Vec::<AsText<T>>::deserialize(from)?.into_iter().map(|value| value.0).collect())
    }
}

/// `#[serde(with = "optional_list")]`: a list of values that may be absent.
pub(super) mod optional_list {
    use super::{Deserializer, Serializer, Value, list};

    #[expect(clippy::ref_option, reason = "the signature that serde requires")]
    pub(crate) fn serialize<T: Value, S: Serializer>(values: &Option<Vec<T>>, to: S) -> Result<S::Ok, S::Error> {
        list::serialize(values.as_deref().unwrap_or_default(), to)
    }

    pub(crate) fn deserialize<'de, T: Value, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<T>>, D::Error> {
        list::deserialize(from).map(Some)
    }
}

/// `#[serde(with = "map")]`: a table of values.
pub(super) mod map {
    use std::collections::BTreeMap;

    use super::{AsText, Deserialize, Deserializer, Serializer, Value};

    pub(crate) fn serialize<K: Value, V: Value, S: Serializer>(map: &BTreeMap<K, V>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(map.iter().map(|(key, value)| (key.text(), value.text())))
    }

    pub(crate) fn deserialize<'de, K, V, D>(from: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Value + Ord,
        V: Value,
        D: Deserializer<'de>,
    {
        let parsed = BTreeMap::<String, AsText<V>>::deserialize(from)?.into_iter();
        let entries = parsed.map(|(key, value)| Ok((K::parse(&key)?, value.0)));
        entries.collect::<Result<_, String>>().map_err(serde::de::Error::custom)
    }
}

/// A value as an element of a list or table.
struct AsText<T>(T);

impl<'de, T: Value> Deserialize<'de> for AsText<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::deserialize(from).map(Self)
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Within<MIN, MAX> {
    /// A default.
    ///
    /// # Panics
    /// If it is out of bounds.
    pub(super) const fn new(value: u32) -> Self {
        assert!(MIN <= value && value <= MAX, "a default within its bounds");
        Self(value)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> Serialize for Within<MIN, MAX> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(self.0)
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Within<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = u32::try_from(i64::deserialize(from)?).ok().filter(|number| (MIN..=MAX).contains(number));
        number.map(Self).ok_or_else(|| D::Error::custom(format_args!("must be between {MIN} and {MAX}")))
    }
}

/// `N` bytes as lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest<const N: usize>(pub [u8; N]);

impl<const N: usize> Value for Digest<N> {
    fn parse(text: &str) -> Result<Self, String> {
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let digits: Option<Vec<u8>> = text.as_bytes().iter().map(digit).collect();
        let bytes = digits.filter(|digits| digits.len() == 2 * N).map(|digits| {
            let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
            bytes.try_into().ok()
        });
        bytes.flatten().map(Self).ok_or_else(|| format!("must be {} lower-case hex digits", 2 * N))
    }

    fn text(&self) -> String {
        hex(&self.0)
    }
}

impl Value for StoreUrl {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn text(&self) -> String {
        Self::text(self)
    }
}

/// How users sign in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IdentityMode {
    /// On a log-in page of this server.
    #[default]
    Accounts,
    /// At a proxy in front, which names the user in a header.
    ProxyHeader,
}

impl Value for IdentityMode {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "accounts" => Ok(Self::Accounts),
            "proxy-header" => Ok(Self::ProxyHeader),
            _ => Err("must be \"accounts\" or \"proxy-header\"".to_owned()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Accounts => "accounts".to_owned(),
            Self::ProxyHeader => "proxy-header".to_owned(),
        }
    }
}

impl Value for OnAuditFailure {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "continue" => Ok(Self::Continue),
            "refuse" => Ok(Self::Refuse),
            _ => Err("must be \"continue\" or \"refuse\"".to_owned()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Continue => "continue".to_owned(),
            Self::Refuse => "refuse".to_owned(),
        }
    }
}

/// Log directives that the log filter accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The directives.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl Value for LogFilter {
    fn parse(text: &str) -> Result<Self, String> {
        let is_known = text.split(',').all(is_directive) && tracing_subscriber::EnvFilter::builder().parse(text).is_ok();
        is_known.then(|| Self(text.to_owned())).ok_or_else(|| {
            format!("must be a level ({}) or a list of levels by module, such as \"info,grantry=debug\"", LEVELS.join(", "))
        })
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A level, or a module with its level. The log filter reads any other word as the name of a module.
fn is_directive(text: &str) -> bool {
    let (module, level) = text.rsplit_once('=').map_or((None, text), |(module, level)| (Some(module), level));
    let is_module = |module: &str| {
        !module.is_empty() && module.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-.".contains(&byte))
    };
    module.is_none_or(is_module) && LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known))
}

impl Value for Duration {
    /// A whole number and one of `s`, `m`, `h`, `d`.
    fn parse(text: &str) -> Result<Self, String> {
        duration(text)
            .filter(|span| !span.is_zero())
            .ok_or_else(|| "must be a duration, such as \"90s\", \"10m\", \"8h\" or \"90d\"".to_owned())
    }

    fn text(&self) -> String {
        let seconds = self.as_secs();
        let (unit, length) = UNITS.into_iter().rev().find(|(_, length)| seconds.is_multiple_of(*length)).unwrap_or(UNITS[0]);
        format!("{}{unit}", seconds / length)
    }
}

const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];

fn duration(text: &str) -> Option<Duration> {
    let last = text.chars().last()?;
    let (unit, length) = UNITS.into_iter().find(|(unit, _)| *unit == last)?;
    let number = text.strip_suffix(unit).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    number.parse::<u64>().ok()?.checked_mul(length).map(Duration::from_secs)
}

impl Value for Quota {
    /// A number, a slash and a duration.
    fn parse(text: &str) -> Result<Self, String> {
        let quota = || {
            let (times, per) = text.split_once('/')?;
            let times = times.bytes().all(|byte| byte.is_ascii_digit()).then(|| times.parse::<NonZeroU32>().ok())??;
            Some(Self { times, per: Duration::parse(per).ok()? })
        };
        quota().ok_or_else(|| "must be a number per duration, such as \"20/10m\"".to_owned())
    }

    fn text(&self) -> String {
        format!("{}/{}", self.times, self.per.text())
    }
}

impl Value for SocketAddr {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be an IP address and a port, such as \"127.0.0.1:8080\"".to_owned())
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for Network {
    fn parse(text: &str) -> Result<Self, String> {
        let network: Self = text.parse().map_err(|error: grantry_http_axum::InvalidNetwork| error.to_string())?;
        if network.is_everything() {
            return Err("must not contain every address; list the networks of your proxies".to_owned());
        }
        Ok(network)
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for PublicBaseUrl {
    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.problem.to_owned())
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for KeySource {
    fn parse(text: &str) -> Result<Self, String> {
        KeySource::parse(text).map_err(|error| format!("cannot be used: {error}"))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for SpaceId {
    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.problem.to_owned())
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for UserId {
    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| format!("{}; set it to the id that never changes", error.problem))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for Role {
    fn parse(text: &str) -> Result<Self, String> {
        let role = [Self::Viewer, Self::Editor, Self::Admin].into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| "must be \"viewer\", \"editor\" or \"admin\"".to_owned())
    }

    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Value for ProfileId {
    fn parse(text: &str) -> Result<Self, String> {
        let id = Self::new(text).ok().filter(Profiles::is_built_in);
        id.ok_or_else(|| "must be the id of a built-in profile, such as \".github\"".to_owned())
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for HeaderName {
    fn parse(text: &str) -> Result<Self, String> {
        Self::from_bytes(text.as_bytes())
            .map_err(|_| "is not a header name; set it to one such as \"x-forwarded-user\"".to_owned())
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, span) in [
            ("90s", Duration::from_secs(90)),
            ("10m", Duration::from_mins(10)),
            ("8h", Duration::from_hours(8)),
            ("90d", Duration::from_hours(90 * 24)),
        ] {
            assert_eq!(Duration::parse(text), Ok(span));
            assert_eq!(span.text(), text);
        }
        for bad in [
            "",
            "0s",
            "10",
            "m",
            "-1m",
            "+1m",
            "1.5h",
            "1 m",
            "1M",
            "1w",
            "99999999999999999999d",
            "999999999999999999d",
            "ä",
        ] {
            assert!(Duration::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn quotas_are_a_number_per_duration() {
        let quota = Quota::parse("20/10m").unwrap();
        assert_eq!((quota.times.get(), quota.per), (20, Duration::from_mins(10)));
        assert_eq!(quota.text(), "20/10m");
        for bad in ["", "20", "/10m", "20/", "0/10m", "20/0s", "-1/1m", "+1/1m", "20/10", "20 / 10m"] {
            assert!(Quota::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_log_filter_consists_of_levels() {
        for good in ["info", "OFF", "warn,grantry=debug", "info,grantry_http_axum::guard=trace,hyper=off", "debug,audit=off"]
        {
            assert!(LogFilter::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "loud", "grantry", "grantry=loud", "info,loud", "info,", "=info", "info,=debug", "a b=info", "7"] {
            let problem = LogFilter::parse(bad).unwrap_err();
            assert!(problem.starts_with("must be a level (off, error, warn, info, debug, trace) or"), "{bad}");
        }
    }
}

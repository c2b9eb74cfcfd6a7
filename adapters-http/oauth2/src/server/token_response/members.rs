//! The members of a token response.

use std::time::Duration;

use grantry_domain::ports::{Anomalies, Anomaly, AnomalyKind, Lifetime, MemberName, ProviderError};
use grantry_domain::provider::Scopes;
use grantry_domain::secret::Secret;

use super::lifetime::{self, MAX_LIFETIME, Seconds};
use super::malformed;
use crate::codec::{Object, Text, Value};
use crate::profile::rules::{Absent, LifetimeRules, ScopeRules, TokenRules};

/// Maximum length of an access token and of a refresh token in bytes.
pub(super) const MAX_TOKEN: usize = 24 * 1024;
/// Maximum length of an ID token in bytes.
pub(super) const MAX_ID_TOKEN: usize = 1024 * 1024;
/// The type of a token that no proof accompanies (RFC 6750).
const BEARER: &str = "Bearer";
/// Maximum length of the granted scopes in bytes.
const MAX_SCOPES: usize = 8 * 1024;

/// Reads the members and records what deviates.
pub(super) struct Members<'m, 'a> {
    set: &'m Object<'a>,
    anomalies: Anomalies,
}

impl<'m, 'a> Members<'m, 'a> {
    pub(super) fn of(set: &'m Object<'a>) -> Self {
        Self { set, anomalies: Anomalies::default() }
    }

    /// Records a deviation of a member.
    pub(super) fn found(&mut self, member: &str, kind: AnomalyKind) {
        self.anomalies.add(Anomaly::new(member, kind));
    }

    /// Records a deviation of the response as a whole.
    pub(super) fn found_in_body(&mut self, kind: AnomalyKind) {
        self.anomalies.add(Anomaly { member: MemberName::BODY, kind });
    }

    /// All deviations, and the repeated names.
    pub(super) fn finish(mut self) -> Vec<Anomaly> {
        for name in self.set.repeated_names() {
            self.anomalies.add(Anomaly::new(name, AnomalyKind::Repeated));
        }
        self.anomalies.into_vec()
    }

    /// Whether there is exactly one access token and it can be used.
    pub(super) fn has_access_token(&self) -> bool {
        self.access_token().is_ok()
    }

    /// Only visible ASCII is accepted, so that the token can be sent in a header field.
    pub(super) fn access_token(&self) -> Result<Secret, ProviderError> {
        let value = self.once("access_token")?.ok_or_else(|| malformed("access_token is missing"))?;
        let token = value.as_text().map(Text::to_secret).ok_or_else(|| malformed("access_token is not a text"))?;
        let is_valid = (1..=MAX_TOKEN).contains(&token.len()) && token.expose().iter().all(u8::is_ascii_graphic);
        if is_valid { Ok(token) } else { Err(malformed("access_token is empty, longer than 24 KiB or not visible ASCII")) }
    }

    /// The type (RFC 6749 §7.1, RFC 9449 §5), in the provider's spelling.
    pub(super) fn token_type(&mut self, rules: &TokenRules) -> Result<String, ProviderError> {
        let kind = match self.once("token_type")? {
            None | Some(Value::Null) => String::new(),
            Some(Value::Text(text)) => text.decode().trim().to_owned(),
            Some(Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_)) => {
                return Err(malformed("token_type is not a text"));
            }
        };
        if kind.eq_ignore_ascii_case("bearer") {
            return Ok(kind);
        }
        if kind.eq_ignore_ascii_case("dpop") {
            self.found("token_type", AnomalyKind::Unsupported);
            return Ok(kind);
        }
        if rules.token_type_ignored {
            return Ok(BEARER.to_owned());
        }
        if kind.is_empty() && rules.token_type_optional {
            self.found("token_type", AnomalyKind::Missing);
            return Ok(BEARER.to_owned());
        }
        Err(malformed(if kind.is_empty() { "token_type is missing" } else { "token_type is neither Bearer nor DPoP" }))
    }

    /// The refresh token. It is sent in forms only, which can contain every character.
    pub(super) fn refresh_token(&mut self) -> Result<Option<Secret>, ProviderError> {
        let is_valid = |text: &str| !text.chars().any(|letter| letter.is_control() || letter == char::REPLACEMENT_CHARACTER);
        let found = self.once("refresh_token")?;
        Ok(self.token("refresh_token", found, MAX_TOKEN, is_valid))
    }

    /// The ID token, if it can be a signed one (RFC 7515 §7.1). An encrypted or opaque one identifies no account.
    pub(super) fn id_token(&mut self) -> Option<Secret> {
        const NAME: &str = "id_token";
        let found = self.set.0.iter().find(|(name, _)| name == NAME).map(|(_, value)| value);
        if self.set.repeats(NAME) {
            return None;
        }
        let token = self.token(NAME, found, MAX_ID_TOKEN, |text| text.bytes().all(|byte| byte.is_ascii_graphic()))?;
        if token.expose().split(|byte| *byte == b'.').count() == 3 {
            return Some(token);
        }
        self.found(NAME, AnomalyKind::Unsupported);
        None
    }

    fn token(
        &mut self,
        name: &str,
        found: Option<&Value<'_>>,
        longest: usize,
        is_valid: fn(&str) -> bool,
    ) -> Option<Secret> {
        let kind = match found? {
            Value::Text(text) => {
                let token = text.to_secret();
                match token.expose_text() {
                    Some(text) if text.trim().is_empty() => AnomalyKind::Empty,
                    Some(text) if text.len() > longest => AnomalyKind::TooLong,
                    Some(text) if is_valid(text) => return Some(token),
                    Some(_) | None => AnomalyKind::InvalidCharacters,
                }
            }
            Value::Null => AnomalyKind::Empty,
            Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => AnomalyKind::WrongType,
        };
        self.found(name, kind);
        None
    }

    /// A lifetime, from the first member that can be read, or else the assumed one. `now` is in seconds since the Unix epoch.
    pub(super) fn lifetime(&mut self, rules: &LifetimeRules, assumed: Option<Duration>, now: u64) -> Lifetime {
        let assumed = assumed.map(|assumed| Lifetime::For(assumed.min(MAX_LIFETIME)));
        let mut is_present = false;
        for name in &rules.fields {
            let Some((_, value)) = self.set.0.iter().find(|(key, _)| key == name) else { continue };
            is_present |= !matches!(value, Value::Null);
            match lifetime::read(value, rules.unit, now) {
                Ok((seconds, kind)) => {
                    if let Some(kind) = kind {
                        self.found(name, kind);
                    }
                    match seconds {
                        Seconds::For(life) => return Lifetime::For(life),
                        Seconds::Zero if rules.zero_means_never => return Lifetime::Never,
                        // A token that is returned is not expired: the lifetime is not defined.
                        Seconds::Zero | Seconds::Negative => self.found(name, AnomalyKind::OutOfRange),
                    }
                }
                Err(kind) => self.found(name, kind),
            }
        }
        match (assumed, rules.absent) {
            (Some(assumed), _) => assumed,
            (None, Absent::Never) if !is_present => Lifetime::Never,
            (None, Absent::Never | Absent::Unknown) => Lifetime::Unknown,
        }
    }

    /// The granted scopes. `None` if the response does not contain them, which means as requested (RFC 6749 §5.1).
    pub(super) fn scopes(&mut self, rules: &ScopeRules) -> Option<Scopes> {
        let name = rules.response_field.as_str();
        let (_, value) = self.set.0.iter().find(|(key, _)| key == name)?;
        let texts = match value {
            Value::Text(text) => vec![text.decode()],
            Value::List(items) => {
                let texts: Vec<_> = items.iter().filter_map(Value::as_text).map(Text::decode).collect();
                if !rules.response_list || texts.len() < items.len() {
                    self.found(name, AnomalyKind::WrongType);
                }
                // A list of other values does not mean that no scope was granted.
                if texts.is_empty() && !items.is_empty() {
                    return None;
                }
                texts
            }
            Value::Null => {
                self.found(name, AnomalyKind::Empty);
                return None;
            }
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                self.found(name, AnomalyKind::WrongType);
                return None;
            }
        };
        if texts.iter().map(|text| text.len()).sum::<usize>() > MAX_SCOPES {
            self.found(name, AnomalyKind::TooLong);
            return None;
        }
        let named: Vec<&str> = texts.iter().flat_map(|text| rules.split_granted(text)).collect();
        let is_valid = |scope: &&str| scope.bytes().all(|byte| byte.is_ascii_graphic());
        if !named.iter().all(is_valid) {
            self.found(name, AnomalyKind::InvalidCharacters);
        }
        Some(rules.granted(named.into_iter().filter(is_valid)))
    }

    /// A member that may not occur twice, because it is not determined which one counts.
    fn once(&self, name: &str) -> Result<Option<&'m Value<'a>>, ProviderError> {
        if self.set.repeats(name) {
            return Err(malformed(format!("{name} occurs more than once")));
        }
        Ok(self.set.0.iter().find(|(key, _)| key == name).map(|(_, value)| value))
    }
}

//! Reads a connector's settings, a JSON object. Errors contain the name of the field and never its value.

use std::borrow::Cow;

use grantry_domain::ports::InvalidConfig;

use super::problem;
use crate::codec::{Object, Text, Value, json};

/// The setting with error codes of refreshes.
pub(super) const REFRESH_ERRORS: &str = "refreshErrors";
/// Maximum size of the settings in bytes.
const MAX_CONFIG: usize = 16 * 1024;

/// A connector's settings.
pub(crate) struct Config<'a>(Object<'a>);

impl<'a> Config<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, InvalidConfig> {
        if text.len() > MAX_CONFIG {
            return Err(problem("config", "is larger than 16 KiB"));
        }
        json::parse_object(text.as_bytes())
            .map(Self)
            .map_err(|_| problem("config", "must be a JSON object that names every field once"))
    }

    /// An error about one of the fields.
    #[expect(clippy::unused_self, reason = "called like the other methods of the settings")]
    pub(crate) fn problem(&self, name: &str, text: &str) -> InvalidConfig {
        problem(&format!("config.{name}"), text)
    }

    pub(crate) fn refuse_unknown(&self, known: &[&str]) -> Result<(), InvalidConfig> {
        match self.0.0.iter().find(|(name, _)| !known.contains(&name.as_ref())) {
            None => Ok(()),
            Some((name, _)) => {
                let shown: String = name.chars().filter(|letter| !letter.is_control()).take(64).collect();
                Err(self.problem(&shown, "is not known"))
            }
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    /// A text. An empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, InvalidConfig> {
        let text = self.0.string(name).map_err(|_| self.problem(name, "must be a text"))?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, InvalidConfig> {
        let read = |value: &Value<'_>| value.as_bool().ok_or_else(|| self.problem(name, "must be true or false"));
        self.0.get(name).map(read).transpose()
    }

    /// A flag that is off by default. A form sends it as text.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, InvalidConfig> {
        match self.0.get(name) {
            None => Ok(false),
            Some(Value::Text(text)) if text.decode().is_empty() => Ok(false),
            Some(Value::Text(text)) if ["true", "false"].contains(&text.decode().as_ref()) => Ok(text.decode() == "true"),
            Some(value) => value.as_bool().ok_or_else(|| self.problem(name, "must be true or false")),
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, InvalidConfig> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let items =
            value.as_list().map(|items| items.iter().map(|item| item.as_text().map(Text::decode).map(Cow::into_owned)));
        items
            .and_then(Iterator::collect::<Option<Vec<_>>>)
            .map(Some)
            .ok_or_else(|| self.problem(name, "must be a list of texts"))
    }

    /// A list of texts, or one text with words. Empty if it is absent.
    pub(crate) fn words_or_texts(&self, name: &str) -> Result<Vec<String>, InvalidConfig> {
        match self.0.get(name) {
            Some(Value::List(_)) => Ok(self.texts(name)?.unwrap_or_default()),
            Some(Value::Text(text)) => Ok(text.decode().split_whitespace().map(str::to_owned).collect()),
            None => Ok(Vec::new()),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                Err(self.problem(name, "must be a text or a list of texts"))
            }
        }
    }

    /// Error codes that mean `invalid_grant` at a refresh.
    pub(crate) fn refresh_errors(&self) -> Result<Vec<String>, InvalidConfig> {
        let texts = self.words_or_texts(REFRESH_ERRORS)?;
        let codes: Vec<String> = texts
            .iter()
            .flat_map(|text| text.split(','))
            .map(str::trim)
            .filter(|code| !code.is_empty())
            .map(str::to_owned)
            .collect();
        let plain = |code: &String| (1..=128).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_graphic());
        if codes.len() > 32 || !codes.iter().all(plain) {
            return Err(self.problem(REFRESH_ERRORS, "must contain at most 32 codes of visible ASCII characters"));
        }
        if codes.iter().any(|code| code == "invalid_client") {
            return Err(self.problem(REFRESH_ERRORS, "must not contain invalid_client, which is about the client"));
        }
        Ok(codes)
    }

    pub(crate) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, InvalidConfig> {
        let Some(value) = self.0.get(name) else { return Ok(Vec::new()) };
        let members = value.as_object().map(|members| members.0.iter());
        let pair = |(name, value): &(Cow<'_, str>, Value<'_>)| {
            value.as_text().map(|text| (name.clone().into_owned(), text.decode().into_owned()))
        };
        members
            .and_then(|members| members.map(pair).collect::<Option<Vec<_>>>())
            .ok_or_else(|| self.problem(name, "must be an object of texts"))
    }
}

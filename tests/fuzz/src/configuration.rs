//! The configuration: a file, and the environment on top.

use std::path::{Path, PathBuf};

use grantry::config::{Config, ConfigError};
use toml::Value;

use crate::input::{assert_clean, is_canary_in};

/// The text of the file, and after each byte zero a variable.
pub(crate) fn configuration(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0);
    let Ok(file) = std::str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let variables: Vec<(String, String)> = parts
        .filter_map(|variable| std::str::from_utf8(variable).ok()?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let parsed = Config::parse(file, Path::new("grantry.toml"), PathBuf::from("."), variables.clone());
    match parsed {
        Ok(config) => {
            assert!(config.spaces.first().is_some_and(grantry_domain::identity::SpaceId::is_default));
            assert!(config.settings.keys.read.iter().all(|key| key.to_string().contains(':')));
            assert!(config.trusted_proxies.iter().all(|network| !network.is_everything()));
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() <= 1000 * (data.len() + 1), "a long error");
            // Keys are repeated, values are not.
            let table = toml::from_str(file).map(Value::Table);
            let is_in_variables = |(name, value): &(String, String)| {
                is_canary_in(name) || value.trim_start().starts_with(['{', '[']) && is_canary_in(value)
            };
            let is_in_file = match &table {
                Ok(table) => names_canary(table),
                // A number that this parser does not read.
                Err(_) => matches!(error, ConfigError::Mistakes(_)),
            };
            let is_in_names = is_in_file || variables.iter().any(is_in_variables);
            if !is_in_names {
                assert!(!is_canary_in(&text), "a value is in the error: {text}");
            }
            match error {
                ConfigError::Mistakes(mistakes) => assert!(mistakes.iter().count() > 0),
                ConfigError::Syntax { line, column, .. } => {
                    assert!(table.is_err() && line <= 1 + file.matches('\n').count() && column <= 1 + file.len());
                    assert_clean(&text);
                }
                ConfigError::Unreadable { .. } | _ => panic!("no file is read"),
            }
        }
    }
}

/// Whether a key contains the word that stands for a secret.
fn names_canary(value: &Value) -> bool {
    match value {
        Value::Table(table) => table.iter().any(|(name, value)| is_canary_in(name) || names_canary(value)),
        Value::Array(items) => items.iter().any(names_canary),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => false,
    }
}

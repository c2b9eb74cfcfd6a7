//! The setting `requiredScopes`: the scopes without which a grant cannot be used.

use grantry_domain::ports::InvalidConfig;
use grantry_domain::provider::Scopes;

use super::checked_scopes;
use super::config::Config;
use super::rules::ScopeRules;

/// The name of the setting, for every profile.
pub(super) const SETTING: &str = "requiredScopes";

/// Reads the setting: a text with scopes separated by white space or commas, or a list. Scopes that responses do not name
/// are left out, because it cannot be determined whether they were granted.
pub(super) fn required_scopes(config: &Config<'_>, rules: &ScopeRules) -> Result<Scopes, InvalidConfig> {
    let texts = config.words_or_texts(SETTING)?;
    let words = checked_scopes("config.requiredScopes", texts.iter().flat_map(|text| Scopes::words(text)))?;
    Ok(rules.reported(&Scopes::new(words)))
}

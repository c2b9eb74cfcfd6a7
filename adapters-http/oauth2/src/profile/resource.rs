//! The setting `resource`: the APIs for which tokens are requested (RFC 8707).

use grantry_domain::ports::InvalidConfig;

use super::config::Config;

/// The name of the setting, for every profile.
pub(super) const SETTING: &str = "resource";

/// Maximum number of resources.
const MAX_RESOURCES: usize = 16;
/// Maximum length of a resource.
const MAX_LENGTH: usize = 1024;

/// Reads the setting: a text with one or more resources separated by white space, or a list. RFC 8707 §2 requires absolute
/// URIs; some servers use other identifiers, so only their characters are checked.
pub(super) fn resources(config: &Config<'_>) -> Result<Vec<String>, InvalidConfig> {
    let mut found: Vec<String> = Vec::new();
    for resource in config.words_or_texts(SETTING)? {
        let is_plain = (1..=MAX_LENGTH).contains(&resource.len()) && resource.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain || resource.contains('#') {
            return Err(config.problem(SETTING, "must be URIs of at most 1024 visible ASCII characters without a fragment"));
        }
        if !found.contains(&resource) {
            found.push(resource);
        }
    }
    if found.len() > MAX_RESOURCES {
        return Err(config.problem(SETTING, "contains more than 16 resources"));
    }
    Ok(found)
}

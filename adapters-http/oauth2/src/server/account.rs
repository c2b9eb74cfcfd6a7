//! The account in a response: its stable id and a name to show.

use grantry_domain::display::acts_on_output;
use grantry_domain::provider::Account;

use crate::codec::{Object, Value};
use crate::profile::rules::IdentityRules;

/// Maximum length of subject and label in characters.
const MAX_TEXT: usize = 255;

/// The claims of one source.
pub(super) struct AccountClaims {
    pub(super) subject: Option<String>,
    pub(super) label: Option<String>,
}

/// The account in a token response.
pub(super) fn account_in(body: &Object<'_>, rules: &IdentityRules) -> Option<Account> {
    let AccountClaims { subject, label } = account_claims(|path| body.at(path), rules);
    subject.map(|subject| Account { label: label.unwrap_or_else(|| subject.clone()), subject })
}

/// The claims at the paths of a profile.
pub(super) fn account_claims<'v, 'a: 'v>(
    find: impl Fn(&str) -> Option<&'v Value<'a>>,
    rules: &IdentityRules,
) -> AccountClaims {
    let first = |paths: &[String]| paths.iter().filter_map(|path| find(path)).find_map(display_text);
    AccountClaims { subject: first(&rules.subject), label: first(&rules.label) }
}

/// A non-empty text of limited length, without control and formatting characters that could falsify a page or a log line.
fn display_text(value: &Value<'_>) -> Option<String> {
    let text: String = value.as_scalar()?.chars().filter(|letter| !acts_on_output(*letter)).collect();
    let text: String = text.trim().chars().take(MAX_TEXT).collect();
    (!text.is_empty()).then_some(text)
}

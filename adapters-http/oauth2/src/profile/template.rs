//! Endpoint URLs with typed variables: `https://{tenant}.example.com/authorize`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A variable of a profile. It is a field of the connector's settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    /// Display name.
    pub(crate) label: String,
    /// One sentence of help.
    #[serde(default)]
    pub(crate) help: String,
    /// The kind of its values.
    pub(crate) kind: VariableKind,
    /// For [`VariableKind::Host`]: the vendor's domain suffix, such as `.example.com`, that values must end with.
    #[serde(default)]
    pub(crate) suffix: Option<String>,
    /// For [`VariableKind::OneOf`]: the values.
    #[serde(default)]
    pub(crate) values: Vec<String>,
    /// The value if the connector sets none.
    #[serde(default)]
    pub(crate) default: Option<String>,
}

/// The kind of a variable's values. No kind allows a character that ends the URL component it is used in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum VariableKind {
    /// One label of a host name.
    Label,
    /// A complete host name, in place of a complete host.
    Host,
    /// Letters, digits, `-` and `_`.
    Id,
    /// One of the listed values.
    OneOf,
}

impl Variable {
    /// Whether a value is valid for this variable.
    pub(crate) fn allows(&self, value: &str) -> bool {
        let is_label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
        };
        match self.kind {
            VariableKind::Label => is_label(value),
            VariableKind::Host => {
                let below = |suffix: &String| value.strip_suffix(suffix.as_str()).is_some_and(|rest| !rest.is_empty());
                value.len() <= 253 && value.split('.').all(is_label) && self.suffix.as_ref().is_none_or(below)
            }
            VariableKind::Id => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                (1..=64).contains(&value.len()) && value.bytes().all(plain)
            }
            VariableKind::OneOf => self.values.iter().any(|known| known == value),
        }
    }
}

/// Replaces `{name}` by values. `None` if a name is unknown or a brace is not closed.
pub(crate) fn fill<'a>(template: &str, value: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}')?;
        out.push_str(before);
        out.push_str(value(name)?);
        rest = tail;
    }
    out.push_str(rest);
    (!rest.contains('}')).then_some(out)
}

/// Whether every URL of this template belongs to the vendor: the host is fixed, or ends in a suffix that the profile sets.
/// Otherwise each connector needs a separate callback (RFC 9700 §4.4).
pub(crate) fn stays_within_vendor_domain(template: &str, variables: &BTreeMap<String, Variable>) -> bool {
    let authority = template.strip_prefix("https://").unwrap_or_default().split('/').next().unwrap_or_default();
    let Some((_, suffix)) = authority.rsplit_once('}') else { return !authority.is_empty() };
    let has_domain = |suffix: &str| suffix.starts_with('.') && suffix[1..].contains('.');
    let bound_to_suffix =
        |name: &str| variables.get(name).and_then(|variable| variable.suffix.as_deref()).is_some_and(has_domain);
    has_domain(suffix) || authority.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(bound_to_suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(kind: VariableKind) -> Variable {
        let (label, help) = ("Variable".to_owned(), String::new());
        Variable { label, help, kind, suffix: None, values: vec!["eu".to_owned()], default: None }
    }

    #[test]
    fn values_cannot_leave_their_url_component() {
        for kind in [VariableKind::Label, VariableKind::Host, VariableKind::Id, VariableKind::OneOf] {
            for bad in ["", "a/b", "a?b", "a#b", "a@b", "a:1", "a%2fb", "a\\b", "..", ".", "a b", "{a}", "\u{e4}", "a\n"] {
                assert!(!variable(kind).allows(bad), "{kind:?} {bad:?}");
            }
        }
        assert!(variable(VariableKind::Label).allows("my-tenant"));
        assert!(!variable(VariableKind::Label).allows("a.b"));
        assert!(variable(VariableKind::Host).allows("login.example.com"));
        assert!(variable(VariableKind::Id).allows("A_b-1"));
        assert!(variable(VariableKind::OneOf).allows("eu"));
        assert!(!variable(VariableKind::OneOf).allows("us"));
        let bound = Variable { suffix: Some(".example.com".to_owned()), ..variable(VariableKind::Host) };
        assert!(bound.allows("a.example.com"));
        assert!(!bound.allows("example.com") && !bound.allows("a.example.com.evil.test") && !bound.allows("aexample.com"));
    }

    #[test]
    fn r09_a_host_chosen_by_a_variable_does_not_belong_to_the_vendor() {
        let bound = Variable { suffix: Some(".example.com".to_owned()), ..variable(VariableKind::Host) };
        let variables =
            [("host", variable(VariableKind::Host)), ("bound", bound), ("tenant", variable(VariableKind::Label))]
                .map(|(name, variable)| (name.to_owned(), variable))
                .into();
        for own in ["https://example.com/{tenant}/x", "https://{tenant}.example.com/x", "https://{bound}/x"] {
            assert!(stays_within_vendor_domain(own, &variables), "{own}");
        }
        for outside in ["https://{host}/x", "https://{tenant}.com/x", "https://a.{tenant}/x", "https://x{tenant}/", "{host}"]
        {
            assert!(!stays_within_vendor_domain(outside, &variables), "{outside}");
        }
    }

    #[test]
    fn templates_are_filled_or_invalid() {
        let value = |name: &str| (name == "a").then_some("1");
        assert_eq!(fill("x{a}y{a}", value).as_deref(), Some("x1y1"));
        assert_eq!(fill("x", value).as_deref(), Some("x"));
        for bad in ["{b}", "{a", "a}", "{a}}"] {
            assert_eq!(fill(bad, value), None, "{bad}");
        }
    }
}

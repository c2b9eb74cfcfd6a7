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
    /// For [`VariableKind::Host`]: the vendor's domains, such as `.example.com`, one of which values must end with.
    #[serde(default)]
    pub(crate) suffixes: Vec<String>,
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
        match self.kind {
            VariableKind::Label => is_label(value),
            VariableKind::Host => {
                let below = |suffix: &String| value.strip_suffix(suffix.as_str()).is_some_and(|rest| !rest.is_empty());
                is_host(value) && (self.suffixes.is_empty() || self.suffixes.iter().any(below))
            }
            VariableKind::Id => is_id(value),
            VariableKind::OneOf => self.values.iter().any(|known| known == value),
        }
    }
}

/// One label of a host name, in lower case.
pub(crate) fn is_label(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
}

/// A complete host name, in lower case.
pub(crate) fn is_host(host: &str) -> bool {
    host.len() <= 253 && host.split('.').all(is_label)
}

/// Letters, digits, `-` and `_`.
pub(crate) fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
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

/// What is wrong with a template, whose names must be known.
pub(crate) fn problem(template: &str, is_known: impl Fn(&str) -> bool) -> Option<String> {
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, tail)) = after.split_once('}') else {
            return Some("has a brace that is not closed".to_owned());
        };
        if !is_known(name) {
            return Some(format!("names {{{name}}}, which is no variable of the profile"));
        }
        rest = tail;
    }
    rest.contains('}').then(|| "has a brace that is not opened".to_owned())
}

/// The host and port of a template; of one that is not https, what comes before its path.
pub(crate) fn authority(template: &str) -> &str {
    template.strip_prefix("https://").unwrap_or(template).split('/').next().unwrap_or_default()
}

/// The names in the host of a template; of one that is not https, the names before its path.
pub(crate) fn names_of_host(template: &str) -> impl Iterator<Item = &str> {
    authority(template).split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or_default())
}

/// Whether every URL of this template belongs to the vendor: the profile contains the possible hosts, or a domain that they end
/// in. Otherwise each connector needs a separate callback (RFC 9700 §4.4).
pub(crate) fn stays_within_vendor_domain(template: &str, variables: &BTreeMap<String, Variable>) -> bool {
    let authority = template.strip_prefix("https://").unwrap_or_default().split('/').next().unwrap_or_default();
    if authority.is_empty() {
        return false;
    }
    let is_listed = |name: &str| variables.get(name).is_some_and(|variable| variable.kind == VariableKind::OneOf);
    if names_of_host(template).all(is_listed) {
        return true;
    }
    let bound_to_suffix = |name: &str| {
        let suffixes = variables.get(name).map(|variable| variable.suffixes.as_slice()).unwrap_or_default();
        !suffixes.is_empty() && suffixes.iter().all(|suffix| is_domain_suffix(suffix))
    };
    authority.rsplit_once('}').is_some_and(|(_, suffix)| is_domain_suffix(suffix))
        || authority.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(bound_to_suffix)
}

/// Whether a suffix is a domain with a leading dot, such as `.example.com`. A top-level domain belongs to no vendor.
pub(crate) fn is_domain_suffix(suffix: &str) -> bool {
    suffix.strip_prefix('.').is_some_and(|domain| domain.contains('.') && is_host(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(kind: VariableKind) -> Variable {
        let (label, help) = ("Variable".to_owned(), String::new());
        Variable { label, help, kind, suffixes: Vec::new(), values: vec!["eu".to_owned()], default: None }
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
        let suffixes = [".example.com", ".example.org"].map(str::to_owned).to_vec();
        let bound = Variable { suffixes, ..variable(VariableKind::Host) };
        assert!(bound.allows("a.example.com") && bound.allows("a.b.example.org"));
        assert!(!bound.allows("example.com") && !bound.allows("a.example.com.evil.test") && !bound.allows("aexample.com"));
    }

    #[test]
    fn r09_a_host_chosen_by_a_variable_does_not_belong_to_the_vendor() {
        let with = |suffix: &str| Variable { suffixes: vec![suffix.to_owned()], ..variable(VariableKind::Host) };
        let variables = [
            ("host", variable(VariableKind::Host)),
            ("bound", with(".example.com")),
            ("top", with(".com")),
            ("region", variable(VariableKind::OneOf)),
            ("tenant", variable(VariableKind::Label)),
        ]
        .map(|(name, variable)| (name.to_owned(), variable))
        .into();
        for own in [
            "https://example.com/{tenant}/x",
            "https://{tenant}.example.com/x",
            "https://{bound}/x",
            "https://example.{region}/x",
            "https://{region}/x",
        ] {
            assert!(stays_within_vendor_domain(own, &variables), "{own}");
        }
        for outside in [
            "https://{host}/x",
            "https://{top}/x",
            "https://{tenant}.com/x",
            "https://a.{tenant}/x",
            "https://x{tenant}/",
            "https://{tenant}.example.{region}/x",
            "{host}",
        ] {
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

//! Scopes, and how requested ones are compared with granted ones.

use std::collections::BTreeSet;

/// A set of scopes (RFC 6749 §3.3). The profile defines their form in requests.
///
/// Scopes are compared with tolerance, because providers name them in another form than requests do: without case
/// (`user.read` and `User.Read`), with commas as further separators, and with or without the URI of a resource before the
/// name (`https://graph.microsoft.com/User.Read` and `User.Read`). Scopes of two different resources are never equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    /// Scopes from single tokens. Empty tokens are dropped.
    pub fn new(tokens: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(tokens.into_iter().map(Into::into).filter(|token| !token.is_empty()).collect())
    }

    /// The scopes in a text, separated by white space or commas in any number.
    pub fn words(text: &str) -> impl Iterator<Item = &str> {
        text.split(|letter: char| letter.is_whitespace() || letter == ',').filter(|word| !word.is_empty())
    }

    /// Scopes from the form of records: separated by one space.
    pub fn from_record(text: &str) -> Self {
        Self::new(text.split(' '))
    }

    /// The form of records: sorted, separated by one space.
    pub fn to_record(&self) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// The tokens, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether every scope of `required` is among them.
    pub fn covers(&self, required: &Self) -> bool {
        required.is_empty() || required.without(self).is_empty()
    }

    /// The scopes that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let other = Folded::of(other);
        Self::new(self.single_words().filter(|word| !other.contains(word)))
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this exact token is among them.
    pub fn contains(&self, token: &str) -> bool {
        self.0.contains(token)
    }

    /// The tokens without commas: a token of a request may be a list with commas where the provider requires that.
    fn single_words(&self) -> impl Iterator<Item = &str> {
        self.iter().flat_map(Self::words)
    }
}

/// Scopes in the form in which they are compared.
struct Folded {
    /// In lower case.
    full: BTreeSet<String>,
    /// Those with a resource, in lower case, without the resource.
    names: BTreeSet<String>,
}

impl Folded {
    fn of(scopes: &Scopes) -> Self {
        let full: BTreeSet<_> = scopes.single_words().map(str::to_ascii_lowercase).collect();
        let names = full.iter().filter_map(|scope| name_at_resource(scope)).map(str::to_owned).collect();
        Self { full, names }
    }

    fn contains(&self, scope: &str) -> bool {
        let scope = scope.to_ascii_lowercase();
        self.full.contains(&scope)
            || self.names.contains(&scope)
            || name_at_resource(&scope).is_some_and(|name| self.full.contains(name))
    }
}

/// The name of a scope that starts with the URI of a resource: what follows the last slash.
fn name_at_resource(scope: &str) -> Option<&str> {
    let (_, rest) = scope.split_once("://")?;
    rest.rsplit_once('/').map(|(_, name)| name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scopes_are_a_set() {
        let granted = Scopes::from_record("b a");
        assert_eq!(granted.to_record(), "a b");
        assert!(granted.covers(&Scopes::new(["a"])));
        assert!(!granted.covers(&Scopes::new(["a", "c"])));
        assert!(Scopes::from_record("").is_empty());
        assert_eq!(granted.and(&Scopes::new(["c", "a"])).to_record(), "a b c");
    }

    #[test]
    fn r13_scopes_are_separated_by_white_space_and_commas() {
        for text in ["a b", "a,b", "a, b", " a ,, b ", "a\tb\n", ",a b,"] {
            assert_eq!(Scopes::words(text).collect::<Vec<_>>(), ["a", "b"], "{text:?}");
        }
        assert_eq!(Scopes::words(" , ").count(), 0);
    }

    #[test]
    fn r13_a_granted_scope_may_be_named_in_another_form() {
        for (requested, granted) in [
            ("user.read", "User.Read"),
            ("r_liteprofile r_emailaddress", "r_emailaddress,r_liteprofile"),
            ("read,activity:read", "activity:read read"),
            ("https://graph.microsoft.com/user.read", "User.Read"),
            ("User.Read", "https://graph.microsoft.com/User.Read"),
            ("api://0f1e/Files.Read", "files.read"),
            ("HTTPS://Graph.Microsoft.com/User.Read", "https://graph.microsoft.com/user.read"),
        ] {
            let (requested, granted) = (Scopes::from_record(requested), Scopes::from_record(granted));
            assert!(granted.covers(&requested), "{requested:?} {granted:?}");
            assert!(requested.without(&granted).is_empty());
        }
        for (requested, granted) in [
            ("user.read", "user.readwrite"),
            ("insight:read", "insight:write"),
            ("https://a.example/read", "https://b.example/read"),
            ("https://a.example", "a.example"),
            ("https://mail.google.com/", ""),
            ("patient/observation.read", "observation.read"),
            ("read", "user/read"),
        ] {
            let (requested, granted) = (Scopes::from_record(requested), Scopes::from_record(granted));
            assert!(!granted.covers(&requested), "{requested:?} {granted:?}");
            assert_eq!(requested.without(&granted), requested, "a missing scope keeps its spelling");
        }
    }

    fn token() -> impl Strategy<Value = String> {
        "(https://[a-b]\\.example/)?[a-cA-C.:]{1,3}"
    }

    proptest! {
        /// Neither case, order, repetition nor separator of the granted scopes changes the result, and a resource may be
        /// left out.
        #[test]
        fn r13_the_form_of_granted_scopes_does_not_matter(
            tokens in prop::collection::vec((token(), any::<bool>(), any::<bool>()), 1..8),
            separators in prop::collection::vec(prop::sample::select(vec![" ", ",", ", ", "  "]), 8),
        ) {
            let requested = Scopes::new(tokens.iter().map(|(token, ..)| token.as_str()));
            let text: Vec<String> = tokens.iter().rev().zip(&separators).map(|((token, upper, short), separator)| {
                let named = if *short { name_at_resource(token).unwrap_or(token) } else { token };
                let named = if *upper { named.to_ascii_uppercase() } else { named.to_ascii_lowercase() };
                format!("{named}{separator}")
            }).collect();
            let text = text.concat();
            let granted = Scopes::new(Scopes::words(&text));
            prop_assert!(granted.covers(&requested), "{requested:?} {granted:?}");
        }

        /// What is missing is requested and not granted, and nothing else is missing.
        #[test]
        fn r13_missing_scopes_are_exactly_those_that_are_not_covered(
            requested in prop::collection::vec(token(), 0..8),
            granted in prop::collection::vec(token(), 0..8),
        ) {
            let (requested, granted) = (Scopes::new(requested), Scopes::new(granted));
            let missing = requested.without(&granted);
            prop_assert_eq!(missing.is_empty(), granted.covers(&requested));
            for scope in requested.iter() {
                let one = Scopes::new([scope]);
                prop_assert_eq!(missing.contains(scope), !granted.covers(&one));
                // Independent of the implementation: a scope without a resource is covered by this name only.
                let is_named = |other: &str| {
                    let (left, right) = (scope.to_ascii_lowercase(), other.to_ascii_lowercase());
                    left == right
                        || (left.contains("://") != right.contains("://")
                            && left.rsplit('/').next() == right.rsplit('/').next())
                };
                prop_assert_eq!(granted.covers(&one), granted.iter().any(is_named));
            }
            prop_assert!(missing.iter().all(|scope| requested.contains(scope)));
            prop_assert!(granted.and(&missing).covers(&requested));
        }
    }
}

//! The wire rules of a provider: where it departs from the standards, as data. Defaults are the standards.
//!
//! Each struct is a section of a profile file; an unknown field there is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grantry_domain::ports::TokenKind;
use grantry_domain::provider::Scopes;
use serde::Deserialize;

/// Everything that shapes requests to a provider and the reading of its responses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wire {
    pub(crate) authorize: AuthorizeRules,
    pub(crate) scopes: ScopeRules,
    pub(crate) token: TokenRules,
    pub(crate) refresh: RefreshRules,
    pub(crate) revocation: RevocationRules,
    pub(crate) identity: IdentityRules,
}

/// `[authorize]`: the authorization URL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuthorizeRules {
    /// Additional parameters; reserved names are refused.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The provider refuses `response_type`.
    pub(crate) drop_response_type: bool,
    /// Another name for `client_id`, here and in token requests.
    pub(crate) client_id_parameter: Option<String>,
    /// Whether the code is protected by PKCE.
    pub(crate) pkce: Pkce,
}

/// PKCE is S256 or absent; there is no `plain` (R02).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pkce {
    #[default]
    Required,
    /// The provider rejects the parameters.
    Off,
}

/// `[scopes]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScopeRules {
    /// Name of the request parameter.
    pub(crate) parameter: String,
    /// What stands between scopes in a request.
    pub(crate) separator: String,
    /// Asked for unless the connector says otherwise.
    pub(crate) default: Vec<String>,
    /// Asked for in any case.
    pub(crate) always: Vec<String>,
    /// Never repeated in responses, so that their absence means nothing.
    pub(crate) unreported: Vec<String>,
    /// Scopes that include others; responses name only the wider one.
    pub(crate) implies: BTreeMap<String, Vec<String>>,
    /// Name of the member in the response.
    pub(crate) response_field: String,
    /// What stands between scopes in a response, beside white space.
    pub(crate) response_separator: String,
    /// The response may hold a list of scopes instead of a text.
    pub(crate) response_list: bool,
}

impl Default for ScopeRules {
    fn default() -> Self {
        Self {
            parameter: "scope".to_owned(),
            separator: " ".to_owned(),
            default: Vec::new(),
            always: Vec::new(),
            unreported: ["openid", "profile", "email", "offline_access"].map(str::to_owned).to_vec(),
            implies: BTreeMap::new(),
            response_field: "scope".to_owned(),
            response_separator: " ".to_owned(),
            response_list: false,
        }
    }
}

impl ScopeRules {
    /// The request parameter's value.
    pub(crate) fn join(&self, scopes: &Scopes) -> String {
        scopes.iter().collect::<Vec<_>>().join(&self.separator)
    }

    /// Splits a response, or a setting that follows the same convention.
    pub(crate) fn split<'a>(separator: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
        text.split(separator).flat_map(str::split_whitespace)
    }

    /// Scopes as granted, with those that they include.
    pub(crate) fn granted<'a>(&self, named: impl Iterator<Item = &'a str>) -> Scopes {
        let mut open: Vec<&str> = named.collect();
        let mut all = BTreeSet::new();
        while let Some(scope) = open.pop() {
            if all.insert(scope.to_owned()) {
                let included = self.implies.get_key_value(scope).map(|(_, included)| included.iter());
                open.extend(
                    included
                        .into_iter()
                        .flatten()
                        .map(String::as_str)
                        .filter(|scope| !all.contains(*scope))
                        .collect::<Vec<_>>(),
                );
            }
        }
        Scopes::new(all)
    }
}

/// `[token]`: requests to the token endpoint and their responses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokenRules {
    /// How responses are written.
    pub(crate) response_format: ResponseFormat,
    /// Errors come with status 200.
    pub(crate) error_in_200: bool,
    /// Answers may lack `token_type`.
    pub(crate) token_type_optional: bool,
    /// The member that holds the token set, when it is not at top level.
    pub(crate) nested_in: Option<String>,
    /// Vendor error codes and what they mean in RFC 6749 §5.2.
    pub(crate) errors: BTreeMap<String, String>,
    /// Life of access tokens.
    pub(crate) access_lifetime: LifetimeRules,
    /// Life of refresh tokens.
    pub(crate) refresh_lifetime: LifetimeRules,
}

impl Default for TokenRules {
    fn default() -> Self {
        let fields = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            response_format: ResponseFormat::default(),
            error_in_200: false,
            token_type_optional: false,
            nested_in: None,
            errors: BTreeMap::new(),
            access_lifetime: LifetimeRules { fields: fields(&["expires_in"]), ..LifetimeRules::default() },
            refresh_lifetime: LifetimeRules {
                fields: fields(&["refresh_token_expires_in", "refresh_expires_in"]),
                zero_means_never: true,
                ..LifetimeRules::default()
            },
        }
    }
}

/// How a response is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ResponseFormat {
    #[default]
    Json,
    /// A form where `Content-Type` says so, else JSON.
    JsonOrForm,
}

/// `[token.access_lifetime]`, `[token.refresh_lifetime]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LifetimeRules {
    /// Members that may tell it, in seconds; the first one present counts.
    pub(crate) fields: Vec<String>,
    /// What absence means.
    pub(crate) absent: Absent,
    /// What absence means, when that is a number of seconds.
    pub(crate) assumed_seconds: Option<u64>,
    /// Zero is no life time but the lack of an end.
    pub(crate) zero_means_never: bool,
}

/// What the absence of a life time means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Absent {
    #[default]
    Unknown,
    Never,
}

impl LifetimeRules {
    /// The assumed life, if the profile names one.
    pub(crate) fn assumed(&self) -> Option<Duration> {
        self.assumed_seconds.map(Duration::from_secs)
    }
}

/// `[refresh]`: what a refresh request carries beside the token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RefreshRules {
    /// The granted scopes are repeated.
    pub(crate) send_scope: bool,
    /// The redirect URI is repeated.
    pub(crate) send_redirect_uri: bool,
}

/// `[revocation]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RevocationRules {
    /// Which call it takes.
    pub(crate) style: RevocationStyle,
    /// Which tokens, in which order.
    pub(crate) order: Vec<RevokedKind>,
    /// Revoking one token ends every grant of the same client and user (R51).
    pub(crate) per_user: bool,
    /// Further statuses that mean done.
    pub(crate) success_statuses: Vec<u16>,
}

impl Default for RevocationRules {
    fn default() -> Self {
        Self {
            style: RevocationStyle::default(),
            order: vec![RevokedKind::Refresh, RevokedKind::Access],
            per_user: false,
            success_statuses: Vec::new(),
        }
    }
}

/// Which call revokes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RevocationStyle {
    /// RFC 7009.
    #[default]
    Rfc7009,
    /// `DELETE` with Basic client credentials and `{"access_token": …}`.
    DeleteBasicJson,
}

/// A kind of token in `order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RevokedKind {
    Refresh,
    Access,
}

impl From<RevokedKind> for TokenKind {
    fn from(kind: RevokedKind) -> Self {
        match kind {
            RevokedKind::Refresh => Self::Refresh,
            RevokedKind::Access => Self::Access,
        }
    }
}

/// `[identity]`: which members of userinfo or ID token name the account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IdentityRules {
    /// The stable id: the first member present.
    pub(crate) subject: Vec<String>,
    /// What people recognise: the first member present.
    pub(crate) label: Vec<String>,
}

impl Default for IdentityRules {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self { subject: names(&["sub", "id"]), label: names(&["email", "preferred_username", "login", "name"]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r13_a_wider_scope_includes_the_narrower_ones() {
        let mut rules = ScopeRules::default();
        rules.implies.insert("admin".to_owned(), vec!["write".to_owned()]);
        rules.implies.insert("write".to_owned(), vec!["read".to_owned(), "admin".to_owned()]);
        assert_eq!(rules.granted(["admin", "x"].into_iter()).to_record(), "admin read write x");
        assert_eq!(rules.granted(["read"].into_iter()).to_record(), "read");
        assert!(rules.granted(std::iter::empty()).is_empty());
    }

    #[test]
    fn scopes_are_split_at_their_separator_and_at_white_space() {
        let split = |separator, text| ScopeRules::split(separator, text).collect::<Vec<_>>();
        assert_eq!(split(" ", " a  b "), ["a", "b"]);
        assert_eq!(split(",", "a,b, c"), ["a", "b", "c"]);
        assert_eq!(split(" ", "a,b"), ["a,b"]);
        assert!(split(" ", "").is_empty());
    }
}

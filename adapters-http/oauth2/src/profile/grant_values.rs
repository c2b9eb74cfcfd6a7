//! APIs that the provider names at the consent, such as the instance of the user's account.

use std::collections::BTreeMap;

use grantry_domain::provider::ApiBase;
use serde::Deserialize;
use url::Url;

use super::checked_url;
use super::template::{self, is_domain_suffix, is_host, is_id, is_label};
use crate::egress::EgressPolicy;

/// `[grant_values.<name>]`: a value that each grant brings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantValue {
    /// The response that contains it.
    pub(crate) from: GrantValueSource,
    /// The path of the member, or the name of the parameter.
    pub(crate) member: String,
    /// The kind of the value.
    pub(crate) kind: GrantValueKind,
    /// For [`GrantValueKind::Url`] and [`GrantValueKind::Host`]: domains of the vendor, such as `.example.com`. The host is one of
    /// them or below one of them.
    #[serde(default)]
    pub(crate) suffixes: Vec<String>,
}

/// The response that contains a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum GrantValueSource {
    /// The token response.
    TokenResponse,
    /// The authorization response: a parameter of the redirect.
    Callback,
    /// The response of the userinfo endpoint.
    Userinfo,
}

/// The kind of a value. No kind allows a character that ends the URL component it is used in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum GrantValueKind {
    /// An `https` URL without query. It is the start of the base URL.
    Url,
    /// A complete host name.
    Host,
    /// One label of a host name.
    Label,
    /// Letters, digits, `-` and `_`.
    Id,
}

/// The base URL of the API with values that each grant brings. The variables of the connector are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiTemplate {
    pub(crate) template: String,
    pub(crate) values: BTreeMap<String, GrantValue>,
}

/// Where the API of each grant is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ApiHost<'a> {
    /// At one host, which the template contains.
    Fixed(&'a str),
    /// At one of these domains or below one of them.
    Within(Vec<&'a str>),
}

impl ApiTemplate {
    /// The hosts that the template permits.
    pub(super) fn host(&self) -> ApiHost<'_> {
        let host = template::authority(&self.template);
        let Some((_, domain)) = host.rsplit_once('}') else { return ApiHost::Fixed(host) };
        let whole = host.strip_prefix('{').and_then(|name| self.values.get(name.strip_suffix('}')?));
        let suffixes = whole.map_or_else(|| vec![domain], |value| value.suffixes.iter().map(String::as_str).collect());
        ApiHost::Within(suffixes.into_iter().map(|suffix| suffix.strip_prefix('.').unwrap_or(suffix)).collect())
    }

    /// Whether userinfo contains the values. Otherwise, they are known after the code exchange.
    pub(crate) fn is_of_userinfo(&self) -> bool {
        self.values.values().any(|value| value.from == GrantValueSource::Userinfo)
    }

    /// The API of a grant. `None` if a value is missing, or not of its kind, or outside of the domains of the vendor, or if the
    /// operator does not allow the host.
    pub(crate) fn fill(&self, policy: &EgressPolicy, find: impl Fn(&GrantValue) -> Option<String>) -> Option<ApiBase> {
        let mut values = BTreeMap::new();
        for (name, rule) in &self.values {
            values.insert(name.as_str(), rule.checked(&find(rule)?)?);
        }
        let url = template::fill(&self.template, |name| values.get(name).map(String::as_str))?;
        let (url, origin) = checked_url(policy, "base_url", &url).ok()?;
        Some(ApiBase { url, origin })
    }
}

impl GrantValue {
    /// The value as it is used in a URL.
    fn checked(&self, value: &str) -> Option<String> {
        match self.kind {
            GrantValueKind::Url => {
                let url = Url::parse(value).ok()?;
                let is_plain = url.scheme() == "https"
                    && url.username().is_empty()
                    && url.password().is_none()
                    && url.port().is_none()
                    && url.query().is_none()
                    && url.fragment().is_none();
                let is_allowed = is_plain && self.is_of_vendor(url.host_str()?) && !url.path().contains('%');
                is_allowed.then(|| url.as_str().trim_end_matches('/').to_owned())
            }
            GrantValueKind::Host => (is_host(value) && self.is_of_vendor(value)).then(|| value.to_owned()),
            GrantValueKind::Label => is_label(value).then(|| value.to_owned()),
            GrantValueKind::Id => is_id(value).then(|| value.to_owned()),
        }
    }

    fn is_of_vendor(&self, host: &str) -> bool {
        is_host(host) && self.suffixes.iter().any(|suffix| host.ends_with(suffix.as_str()) || host == &suffix[1..])
    }

    /// What is wrong with the rule itself.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let has_host = matches!(self.kind, GrantValueKind::Url | GrantValueKind::Host);
        match (has_host, self.suffixes.is_empty()) {
            (true, true) => Some("a grant value of the kind url or host needs suffixes, such as \".example.com\""),
            (false, false) => Some("suffixes are for grant values of the kind url or host"),
            (true, false) if !self.suffixes.iter().all(|suffix| is_domain_suffix(suffix)) => {
                Some("a suffix of a grant value must be a domain with a leading dot, such as \".example.com\"")
            }
            (true | false, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(template: &str, kind: GrantValueKind) -> ApiTemplate {
        let suffixes = vec![".salesforce.example".to_owned(), ".force.example".to_owned()];
        let value = GrantValue { from: GrantValueSource::TokenResponse, member: "instance_url".to_owned(), kind, suffixes };
        ApiTemplate { template: template.to_owned(), values: [("instance".to_owned(), value)].into() }
    }

    fn filled(template: &ApiTemplate, value: &str) -> Option<String> {
        let policy = EgressPolicy::new(&["*"], &[]).unwrap();
        template.fill(&policy, |_| Some(value.to_owned())).map(|base| format!("{} {}", base.url, base.origin))
    }

    #[test]
    fn a_url_of_a_grant_stays_within_the_domains_of_the_vendor() {
        let url = template("{instance}/services", GrantValueKind::Url);
        for (value, expected) in [
            ("https://acme.salesforce.example", "https://acme.salesforce.example/services https://acme.salesforce.example"),
            ("https://acme.force.example/", "https://acme.force.example/services https://acme.force.example"),
            ("https://salesforce.example/a", "https://salesforce.example/a/services https://salesforce.example"),
        ] {
            assert_eq!(filled(&url, value).as_deref(), Some(expected));
        }
        for value in [
            "",
            "acme.salesforce.example",
            "http://acme.salesforce.example",
            "https://evil.example",
            "https://evilsalesforce.example",
            "https://salesforce.example.evil.example",
            "https://salesforce.example@evil.example",
            "https://evil.example/.salesforce.example",
            "https://evil.example#.salesforce.example",
            "https://a:b@acme.salesforce.example",
            "https://acme.salesforce.example:8443",
            "https://acme.salesforce.example?x=",
            "https://acme.salesforce.example/%2f",
            "https://10.0.0.1",
        ] {
            assert_eq!(filled(&url, value), None, "{value}");
        }
    }

    #[test]
    fn hosts_labels_and_ids_of_a_grant_stay_in_their_component() {
        let host = template("https://{instance}/v1", GrantValueKind::Host);
        let label = template("https://{instance}.api.example.com/3.0", GrantValueKind::Label);
        let id = template("https://api.example.com/company/{instance}", GrantValueKind::Id);
        assert!(filled(&host, "na1.force.example").is_some() && filled(&host, "na1.example").is_none());
        assert!(filled(&label, "us6").is_some() && filled(&id, "9130_A-1").is_some());
        for value in ["", "a/b", "a.b", "a?b", "a#b", "a@b", "a:1", "..", "a%2f", "a b", "\u{e4}"] {
            for template in [&host, &label, &id] {
                assert_eq!(filled(template, value), None, "{value}");
            }
        }
    }

    #[test]
    fn the_hosts_of_a_template_are_known_before_the_grant() {
        let vendor = || ApiHost::Within(vec!["salesforce.example", "force.example"]);
        for (text, kind, host) in [
            ("{instance}/services", GrantValueKind::Url, vendor()),
            ("{instance}", GrantValueKind::Url, vendor()),
            ("https://{instance}/v1", GrantValueKind::Host, vendor()),
            ("https://{instance}.api.example.com/3.0", GrantValueKind::Label, ApiHost::Within(vec!["api.example.com"])),
            ("https://api.example.com/company/{instance}", GrantValueKind::Id, ApiHost::Fixed("api.example.com")),
        ] {
            assert_eq!(template(text, kind).host(), host, "{text}");
        }
    }

    #[test]
    fn a_host_that_the_operator_does_not_allow_is_no_api() {
        let policy = EgressPolicy::new(&["login.salesforce.example"], &[]).unwrap();
        let url = template("{instance}", GrantValueKind::Url);
        assert!(url.fill(&policy, |_| Some("https://acme.salesforce.example".to_owned())).is_none());
    }
}

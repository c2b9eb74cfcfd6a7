//! URLs of the routes, and which URLs a browser may be sent to.

use grantry_domain::connector::{CallbackId, ConnectorKey};
use grantry_domain::identity::{ConnectionName, SpaceId};
use grantry_domain::ports::Urls;
use url::{Host, Url};

use crate::public_url::PublicBaseUrl;

/// Path of the callback that connectors in issuer mode share.
pub(crate) const CALLBACK: &str = "/api/actions/connector/_oauth_callback";

/// Path of the callback that connectors of profiles share. The callbacks are beside each other, and no path begins with another
/// one: a provider that accepts redirect URIs below or with the prefix of a registered one must not accept them for it.
const PROFILE_CALLBACK: &str = "/api/actions/connector/_oauth_profile_callback";

/// Path of the folder of the callbacks of single connectors.
const CONTEXT: &str = "/api/actions/connector/_oauth_context";

/// Path of the result pages.
pub(crate) const RESULT: &str = "/api/actions/connector/_oauth_callback_result";

/// The URLs that the use cases put into responses and authorization requests.
pub fn urls(public: &PublicBaseUrl) -> impl Urls + 'static {
    RouteUrls(public.clone())
}

struct RouteUrls(PublicBaseUrl);

impl Urls for RouteUrls {
    fn start_link(&self, connector: &ConnectorKey, connection: &ConnectionName) -> String {
        let page =
            format!("{}{}/api/actions/connector/{}/oauth/start", self.0, space_prefix(&connector.space), connector.id);
        with_connection(page, connection)
    }

    fn issuer_callback(&self) -> String {
        format!("{}{CALLBACK}", self.0)
    }

    fn profile_callback(&self) -> String {
        format!("{}{PROFILE_CALLBACK}", self.0)
    }

    fn connector_callback(&self, callback_id: CallbackId) -> String {
        format!("{}{CONTEXT}/{}", self.0, callback_id.to_text())
    }
}

/// A page for a connection. The default one needs no parameter; the characters of a name need no encoding.
pub(crate) fn with_connection(page: String, connection: &ConnectionName) -> String {
    if *connection == ConnectionName::default() { page } else { format!("{page}?connection={connection}") }
}

/// A page with a choice about the account; none if the choice is empty.
pub(crate) fn with_account(page: String, choice: &str) -> String {
    if choice.is_empty() {
        return page;
    }
    let separator = if page.contains('?') { '&' } else { '?' };
    format!("{page}{separator}account={choice}")
}

/// `/s/{space}`; empty for the default space.
pub(crate) fn space_prefix(space: &SpaceId) -> String {
    if space.is_default() { String::new() } else { format!("/s/{space}") }
}

/// The launch page of a connector.
pub(crate) fn launch_page(public: &PublicBaseUrl, key: &ConnectorKey) -> String {
    format!("{public}{}/connect/{}", space_prefix(&key.space), key.id)
}

/// An internal action of a connector, such as `_start_oauth_flow`.
pub(crate) fn internal_action(public: &PublicBaseUrl, key: &ConnectorKey, action: &str) -> String {
    format!("{public}{}/internal/actions/connector/{}/{action}", space_prefix(&key.space), key.id)
}

/// Path of the start page of a space. The root of a router that is mounted below a path has no trailing slash.
pub(crate) fn root_path(public: &PublicBaseUrl, space: &SpaceId) -> String {
    let prefix = public.path_prefix();
    match (space.is_default(), prefix.is_empty()) {
        (true, true) => "/".to_owned(),
        (true, false) => prefix.to_owned(),
        (false, _) => format!("{prefix}/s/{space}/"),
    }
}

/// The log-in page, which continues to `next`: a path of the public origin without a secret.
pub(crate) fn log_in_page(public: &PublicBaseUrl, next: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    format!("{public}/login?{query}")
}

/// Whether a path leads to a callback, which receives a code in its query.
pub(crate) fn is_callback(path: &str) -> bool {
    [CALLBACK, PROFILE_CALLBACK, CONTEXT].iter().any(|route| path.ends_with(route) || path.contains(&format!("{route}/")))
}

/// Whether a browser may be sent there: https, or http on loopback, which only an operator's egress entry permits.
pub(crate) fn may_be_opened(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(Host::Ipv6(address))) => address.is_loopback(),
        ("http", Some(Host::Domain(name))) => name == "localhost",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use grantry_domain::connector::ConnectorId;

    use super::*;

    #[test]
    fn urls_lead_to_the_routes() {
        let urls = urls(&PublicBaseUrl::new("https://connect.example/oauth").unwrap());
        let key = |space: &str| ConnectorKey { space: SpaceId::new(space).unwrap(), id: ConnectorId::new("drive").unwrap() };
        let base = "https://connect.example/oauth";
        assert_eq!(
            urls.start_link(&key("default"), &ConnectionName::default()),
            format!("{base}/api/actions/connector/drive/oauth/start")
        );
        assert_eq!(
            urls.start_link(&key("marketing"), &ConnectionName::new("work").unwrap()),
            format!("{base}/s/marketing/api/actions/connector/drive/oauth/start?connection=work")
        );
        assert_eq!(urls.issuer_callback(), format!("{base}/api/actions/connector/_oauth_callback"));
        assert_eq!(urls.profile_callback(), format!("{base}/api/actions/connector/_oauth_profile_callback"));
        let id = CallbackId([7; 16]);
        assert_eq!(urls.connector_callback(id), format!("{base}/api/actions/connector/_oauth_context/{}", id.to_text()));
    }

    #[test]
    fn r08_no_callback_begins_with_another_one() {
        let urls = urls(&PublicBaseUrl::new("https://connect.example/oauth").unwrap());
        let all = [urls.issuer_callback(), urls.profile_callback(), urls.connector_callback(CallbackId([7; 16]))];
        for (one, other) in [(0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)] {
            assert!(!all[one].starts_with(&all[other]), "{} {}", all[one], all[other]);
        }
    }

    #[test]
    fn callbacks_are_recognised_below_every_prefix() {
        for path in
            ["_oauth_callback", "_oauth_callback/", "_oauth_profile_callback", "_oauth_context/AAAA", "_oauth_context"]
        {
            for prefix in ["", "/oauth", "/s/marketing", "/oauth/s/marketing"] {
                let path = format!("{prefix}/api/actions/connector/{path}");
                assert!(is_callback(&path), "{path}");
            }
        }
        for path in
            ["/", RESULT, "/api/actions/connector/_oauth_callback_result/x", "/connect/oauth_context", "/a_oauth_context"]
        {
            assert!(!is_callback(path), "{path}");
        }
    }

    #[test]
    fn r63_browsers_are_sent_to_https_or_loopback_only() {
        for good in ["https://login.example/authorize?x=1", "http://127.0.0.1:9/a", "http://localhost:9/a", "http://[::1]/a"]
        {
            assert!(may_be_opened(good), "{good}");
        }
        let bad = [
            "",
            "http://login.example/a",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "//login.example",
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "ftp://127.0.0.1/",
            "JaVaScRiPt:alert(1)",
            "https:",
            "blob:https://login.example/x",
            "intent://x",
            "vscode://x",
        ];
        for bad in bad {
            assert!(!may_be_opened(bad), "{bad}");
        }
    }
}

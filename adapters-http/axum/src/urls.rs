//! Where a connector's launch page is, and where it may lead.

use grantry_domain::connector::ConnectorKey;
use url::{Host, Url};

/// Path of the launch page, without the prefix the router is mounted under.
pub(crate) fn path_of(key: &ConnectorKey) -> String {
    format!("{}/connect/{}", space_prefix(key), key.id)
}

/// `/s/{space}`, or nothing for the default space.
pub(crate) fn space_prefix(key: &ConnectorKey) -> String {
    if key.space.is_default() { String::new() } else { format!("/s/{}", key.space) }
}

/// Whether a browser may be sent there: https, or http on loopback, where only an operator's own entry can lead (R63).
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
    use super::*;

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

//! The URL under which a deployment is reached.

use std::fmt;

use thiserror::Error;
use url::Url;

/// An absolute URL without trailing slash: https, or http on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicBaseUrl(String);

/// A text that is no public base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the public base URL {problem}")]
pub struct InvalidPublicBaseUrl {
    /// What is wrong with it.
    pub problem: &'static str,
}

impl PublicBaseUrl {
    /// Checks a base URL: https, or http on loopback; no user info, query or fragment. Its path can be mounted in a router, and
    /// is not that of a space.
    pub fn new(url: &str) -> Result<Self, InvalidPublicBaseUrl> {
        let refused = |problem| Err(InvalidPublicBaseUrl { problem });
        let url = url.trim_end_matches('/');
        let (loopback_only, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => {
                return refused("must be an absolute https URL (http only on loopback)");
            }
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(literal) => literal.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        if host.split('.').any(str::is_empty)
            || rest.contains(['?', '#', '@', '\\', '"', '<', '>', '{', '}'])
            || rest.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return refused("must consist of scheme, host, and optional port and path");
        }
        if !is_as_browsers_write(url, authority, &rest[authority.len()..]) {
            return refused("must be written as browsers write it: host in ASCII, a valid port, no dot segments");
        }
        if authority.ends_with(":0") {
            return refused("must not have the port 0");
        }
        if loopback_only && !matches!(host, "127.0.0.1" | "::1" | "localhost") {
            return refused("must be https unless the host is loopback");
        }
        let mut segments = rest[authority.len()..].split('/').skip(1);
        if segments.clone().any(|segment| segment.is_empty() || segment.starts_with([':', '*'])) {
            return refused("must have a path without empty segments and without segments that begin with `:` or `*`");
        }
        // The routes of that space have the same path, with or without the prefix.
        if (segments.next(), segments.next().is_some(), segments.next()) == (Some("s"), true, None) {
            return refused("must not have the path of a space (`/s/ID`)");
        }
        Ok(Self(url.to_owned()))
    }

    /// The URL, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        let start = self.0.find("://").map_or(0, |position| position + 3);
        let end = self.0[start..].find('/').map_or(self.0.len(), |position| start + position);
        &self.0[..end]
    }

    /// Whether an `Origin` header names this origin. Browsers omit the default port.
    pub(crate) fn is_origin(&self, header: &[u8]) -> bool {
        let default_port = if self.is_https() { ":443" } else { ":80" };
        let origin = self.origin();
        origin.strip_suffix(default_port).unwrap_or(origin).as_bytes().eq_ignore_ascii_case(header)
    }

    /// The path under which the router is mounted: empty, or with a leading slash.
    pub fn path_prefix(&self) -> &str {
        &self.0[self.origin().len()..]
    }

    /// Whether cookies can be `Secure`.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

/// Whether a browser keeps host, port and path of a URL as they are, apart from upper case.
fn is_as_browsers_write(url: &str, authority: &str, path: &str) -> bool {
    let Ok(parsed) = Url::parse(url) else { return false };
    let host = parsed.host_str().unwrap_or_default();
    let (written, port) = authority.split_at_checked(host.len()).unwrap_or_default();
    let is_port = port.is_empty() || parsed.port_or_known_default().is_some_and(|number| port == format!(":{number}"));
    written.eq_ignore_ascii_case(host) && is_port && parsed.path().trim_end_matches('/') == path
}

impl fmt::Display for PublicBaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r07_the_public_base_url_is_https_or_loopback() {
        let base = PublicBaseUrl::new("https://connect.example.com/oauth/").unwrap();
        assert_eq!(
            (base.as_str(), base.origin(), base.path_prefix()),
            ("https://connect.example.com/oauth", "https://connect.example.com", "/oauth")
        );
        for good in [
            "http://127.0.0.1:8080",
            "http://localhost:1",
            "http://[::1]:80",
            "https://Connect.Example.com",
            "https://a:443/b/c",
            "https://a_b.example/%7Eb",
            "https://a/s",
            "https://a/s/x/oauth",
            "https://a/apps/s/x",
        ] {
            assert!(PublicBaseUrl::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://example.com",
            "ftp://a",
            "https://",
            "https://u@a",
            "https://a?x",
            "https://a#x",
            "http://127.0.0.1.evil.com",
            "https://a b",
            "https://a..b",
            "https://.a",
            "https://a.:8443/oauth",
            "https://a:x",
            "https://a:",
            "https://a:99999",
            "https://a:0443",
            "https://a:+443",
            "https://[::1",
            "https://[::1]x",
            "https://[a]",
            "https://[::0:1]",
            "https://1.2.3",
            "https://0x7f.0.0.1",
            "https://a%2eb",
            "https://\u{e4}.example",
            "https://a:0",
            "https://a//b",
            "https://a/:id",
            "https://a/b/*c",
            "https://a/s/x",
            "https://a/../b",
            "https://a/b/./c",
            "https://a/%2e%2e/b",
            "https://a/\u{e4}",
        ] {
            assert!(PublicBaseUrl::new(bad).is_err(), "{bad}");
        }
    }
}

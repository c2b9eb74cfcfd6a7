//! Parts of the URL of an endpoint, as text. Whether the URL is valid was checked when the connector was stored.

/// The URL up to its path: scheme, host and port.
pub(super) fn origin(url: &str) -> &str {
    let end = url.match_indices('/').nth(2).map_or(url.len(), |(position, _)| position);
    url.get(..end).unwrap_or(url)
}

/// The host of a URL, without user information and port.
pub(super) fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(literal) => &host[..literal.find(']')? + 2],
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r79_of_a_url_only_the_host_is_recorded() {
        for (url, expected) in [
            ("https://login.example.com/token?x=secret", Some("login.example.com")),
            ("https://user:secret@login.example.com:8443/token", Some("login.example.com")),
            ("http://127.0.0.1:8081", Some("127.0.0.1")),
            ("http://[::1]:8081/token", Some("[::1]")),
            ("https://?x", None),
            ("http://[::1", None),
            ("", None),
            ("secret", None),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }
}

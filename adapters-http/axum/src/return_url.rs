//! The return URL of a flow: a path on the public origin, and nothing that a browser could read as another URL.

use url::Url;

use crate::public_url::PublicBaseUrl;

/// Longest return URL, in bytes.
const LONGEST: usize = 2048;

/// Parameters of the result. The same names in the return URL are dropped, so that each occurs once.
const RESULT_NAMES: [&str; 4] = ["oauth_authorization", "connector_id", "error", "status_code"];

/// Reduces an absolute URL of the public origin, or a path, to path, query and fragment. `None` for everything else.
///
/// The URL is joined to the origin by the rules of the WHATWG, as a browser does. The result must be on that origin, with a
/// path that does not begin another host.
pub(crate) fn reduced(url: &str, public: &PublicBaseUrl) -> Option<String> {
    if url.is_empty() || url.len() > LONGEST || url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return None;
    }
    let base = Url::parse(public.origin()).ok()?;
    let joined = if url.starts_with('/') {
        if url.starts_with("//") {
            return None;
        }
        base.join(url).ok()?
    } else {
        // Absolute, and complete: browsers differ in how they read `https:/path` and the like.
        let absolute = Url::parse(url).ok()?;
        let (scheme, rest) = url.split_once("://")?;
        if !scheme.eq_ignore_ascii_case(base.scheme()) || rest.starts_with('/') {
            return None;
        }
        absolute
    };
    if joined.origin() != base.origin() || !joined.username().is_empty() || joined.password().is_some() {
        return None;
    }
    if joined.path().starts_with("//") {
        return None;
    }
    // Applications that route by fragment have their page there.
    Some(joined[url::Position::BeforePath..].to_owned())
}

/// The absolute URL of a reduced path, with the result of a flow in its query. The fragment stays behind the query.
pub(crate) fn with_result(path: &str, public: &PublicBaseUrl, result: &[(&str, &str)]) -> Option<String> {
    let mut url = Url::parse(public.origin()).ok()?.join(path).ok()?;
    if url.origin() != Url::parse(public.origin()).ok()?.origin() {
        return None;
    }
    let retained: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !RESULT_NAMES.contains(&name.as_ref()))
        .map(|(n, v)| (n.into(), v.into()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(retained).extend_pairs(result);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public() -> PublicBaseUrl {
        PublicBaseUrl::new("https://connect.example/oauth").unwrap()
    }

    #[test]
    fn r33_paths_and_urls_of_the_public_origin_are_reduced() {
        let cases = [
            ("/", "/"),
            ("/app/connectors?tab=2", "/app/connectors?tab=2"),
            ("https://connect.example/app?x=1#part", "/app?x=1#part"),
            ("/app#/connectors/drive?tab=2", "/app#/connectors/drive?tab=2"),
            ("/#//evil.example", "/#//evil.example"),
            ("/app?#", "/app?#"),
            ("/app#ö<>", "/app#%C3%B6%3C%3E"),
            ("HTTPS://CONNECT.example:443/app", "/app"),
            ("/a/../b", "/b"),
            ("/ä?q=ö", "/%C3%A4?q=%C3%B6"),
        ];
        for (url, expected) in cases {
            assert_eq!(reduced(url, &public()).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn r33_other_urls_are_refused() {
        let long = format!("/{}", "a".repeat(LONGEST));
        let refused = [
            "",
            "app",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/a\n",
            " /a",
            "https://evil.example/",
            "https://connect.example.evil.example/",
            "https://connect.example@evil.example/",
            "https://user:secret@connect.example/",
            "http://connect.example/",
            "https:/connect.example",
            "https:///connect.example",
            "https:connect.example",
            "https:\\\\connect.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "//connect.example:444/",
            "https://connect.example:444/",
            "/a/../..//evil.example",
            "/..//evil.example",
            "/.//evil.example",
            "/%2e%2e//evil.example",
            "?x=1",
            "#x",
            "..",
            long.as_str(),
        ];
        for url in refused {
            assert_eq!(reduced(url, &public()), None, "{url:?}");
        }
    }

    #[test]
    fn r33_the_result_replaces_forged_parameters() {
        let url = with_result(
            "/app?x=1&error=forged&connector_id=other",
            &public(),
            &[("connector_id", "c-1"), ("error", "access_denied")],
        );
        assert_eq!(url.as_deref(), Some("https://connect.example/app?x=1&connector_id=c-1&error=access_denied"));
    }

    #[test]
    fn the_fragment_of_a_return_url_is_kept_behind_the_result() {
        for (url, expected) in [
            ("/app#/drive", "/app?error=e#/drive"),
            ("/app?x=1#/drive?error=other&x=2", "/app?x=1&error=e#/drive?error=other&x=2"),
            ("https://connect.example/#a#b", "/?error=e#a#b"),
            ("/app#?oauth_authorization=success", "/app?error=e#?oauth_authorization=success"),
        ] {
            let path = reduced(url, &public()).unwrap();
            let emitted = with_result(&path, &public(), &[("error", "e")]);
            assert_eq!(emitted, Some(format!("https://connect.example{expected}")), "{url}");
        }
    }

    proptest! {
        /// A WHATWG parser places every emitted URL on the public origin.
        #[test]
        fn t07_r33_every_emitted_url_is_on_the_public_origin(url in "(/|//|https:|https://connect\\.example|http://x|[/\\\\.@:?#%a-z0-9]){0,12}") {
            if let Some(path) = reduced(&url, &public()) {
                prop_assert!(path.starts_with('/') && !path.starts_with("//"));
                let emitted = with_result(&path, &public(), &[("oauth_authorization", "success")]).unwrap();
                let emitted = Url::parse(&emitted).unwrap();
                prop_assert_eq!(emitted.origin().ascii_serialization(), "https://connect.example");
                prop_assert!(!emitted.path().starts_with("//"));
            }
        }
    }
}

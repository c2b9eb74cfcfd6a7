//! The path of the public base URL. A proxy in front may remove it from requests or keep it; both are accepted.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use http::Uri;
use http::uri::PathAndQuery;
use tower::util::MapRequest;

use crate::public_url::PublicBaseUrl;

/// The first segments of all routes and of the files of the console.
const ROOTS: [&str; 10] =
    ["api", "assets", "connect", "internal", "livez", "login", "metrics", "openapi.json", "readyz", "s"];

/// The router, also below the path of the public base URL.
pub(crate) fn mounted(router: Router, public: &PublicBaseUrl) -> Router {
    let prefix: Arc<str> = public.path_prefix().into();
    if prefix.is_empty() {
        return router;
    }
    let below = move |mut request: Request| {
        if let Some(uri) = uri_below(&prefix, request.uri()) {
            *request.uri_mut() = uri;
        }
        request
    };
    Router::new().fallback_service(MapRequest::new(router, below))
}

/// The path that browsers see for the path of a request.
pub(crate) fn public_path(public: &PublicBaseUrl, path: &str) -> String {
    let prefix = public.path_prefix();
    format!("{prefix}{}", path_below(prefix, path).unwrap_or(path))
}

/// A matched route without the path of the mount. Below the router of a host, a route begins with it.
pub(crate) fn route_below<'r>(public: &PublicBaseUrl, route: &'r str) -> &'r str {
    path_below(public.path_prefix(), route).unwrap_or(route)
}

fn uri_below(prefix: &str, uri: &Uri) -> Option<Uri> {
    let path = path_below(prefix, uri.path())?;
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.ok()?);
    Uri::from_parts(parts).ok()
}

/// The path without the prefix. `None` if it does not begin with the prefix, or if it only seems to: below `/connect`, the path
/// `/connect/drive` is a route whose prefix was removed.
fn path_below<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    if prefix.is_empty() {
        return None;
    }
    let below = path.strip_prefix(prefix)?;
    if below.is_empty() || below == "/" {
        return Some("/");
    }
    let first = below.strip_prefix('/')?.split('/').next()?;
    ROOTS.contains(&first).then_some(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_removed_only_before_a_route() {
        for (prefix, path, below) in [
            ("/oauth", "/oauth", Some("/")),
            ("/oauth", "/oauth/", Some("/")),
            ("/oauth", "/oauth/api/session", Some("/api/session")),
            ("/oauth", "/oauth/s/sales/", Some("/s/sales/")),
            ("/oauth", "/oauth/assets/index.js", Some("/assets/index.js")),
            ("/oauth", "/oauth/openapi.json", Some("/openapi.json")),
            ("/oauth", "/api/session", None),
            ("/oauth", "/oauthapi/session", None),
            ("/oauth", "/oauth/nowhere", None),
            ("/oauth", "/", None),
            ("/a/b", "/a/b/login", Some("/login")),
            ("/a/b", "/a/login", None),
            ("/connect", "/connect/drive", None),
            ("/connect", "/connect/connect/drive", Some("/connect/drive")),
            ("/api", "/api/session", None),
            ("/api", "/api/api/session", Some("/api/session")),
            ("", "/api/session", None),
        ] {
            assert_eq!(path_below(prefix, path), below, "{prefix} {path}");
        }
    }

    #[test]
    fn the_public_path_has_the_prefix_once() {
        let public = PublicBaseUrl::new("https://apps.example/oauth").unwrap();
        assert_eq!(public_path(&public, "/s/a/connect/drive"), "/oauth/s/a/connect/drive");
        assert_eq!(public_path(&public, "/oauth/s/a/connect/drive"), "/oauth/s/a/connect/drive");
        assert_eq!(public_path(&PublicBaseUrl::new("https://apps.example").unwrap(), "/login"), "/login");
    }

    #[test]
    fn the_first_segment_of_every_route_is_known() {
        let document: serde_json::Value = serde_json::from_str(&crate::openapi()).unwrap();
        for path in document["paths"].as_object().unwrap().keys().filter(|path| *path != "/") {
            assert!(ROOTS.contains(&path.split('/').nth(1).unwrap()), "{path}");
        }
    }
}

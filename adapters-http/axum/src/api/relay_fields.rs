//! Which header fields of a relayed request and of its response are passed on.

use grantry_domain::ports::{HOP_BY_HOP_FIELDS, RESERVED_FIELDS};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

/// Marks a response of the API. A response without it is one of this server.
const MARK: (HeaderName, HeaderValue) = (HeaderName::from_static("x-grantry-response"), HeaderValue::from_static("api"));

/// A page of the API that a browser shows runs no script and has no origin.
const POLICY: HeaderValue =
    HeaderValue::from_static("sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");

/// Keeps a proxy in front, such as nginx, from collecting a stream before it passes it on.
const UNBUFFERED: (HeaderName, HeaderValue) = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Fields of a request that are about this server: its page, its proxies, its credentials.
const OF_THIS_SERVER: [&str; 12] = [
    "origin",
    "referer",
    "forwarded",
    "via",
    "x-real-ip",
    "true-client-ip",
    "remote-user",
    "x-remote-user",
    "http2-settings",
    "x-correlation-id",
    "dnt",
    "max-forwards",
];
/// The same, by the beginning of their names. Proxies that sign users in, such as oauth2-proxy and those of the large clouds, add
/// the user and tokens of the user under the names from `cf-access-` on.
const OF_THIS_SERVER_BY_PREFIX: [&str; 12] = [
    "x-grantry-",
    "x-forwarded-",
    "sec-",
    "proxy-",
    "cf-access-",
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-pomerium-",
];

/// Fields of a response that act on the origin of this server, on its proxy, or on the log-in of a browser.
const ON_THIS_ORIGIN: [&str; 35] = [
    "accept-ch",
    "activate-storage-access",
    "age",
    "alt-svc",
    "cache-control",
    "clear-site-data",
    "content-security-policy",
    "content-security-policy-report-only",
    "critical-ch",
    "edge-control",
    "expect-ct",
    "expires",
    "nel",
    "origin-agent-cluster",
    "permissions-policy",
    "pragma",
    "public-key-pins",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-login",
    "sourcemap",
    "speculation-rules",
    "strict-transport-security",
    "surrogate-control",
    "timing-allow-origin",
    "use-as-dictionary",
    "variants",
    "www-authenticate",
    "x-frame-options",
    "x-lighttpd-send-file",
    "x-litespeed-location",
    "x-reproxy-url",
    "x-sendfile",
];
/// The same, by the beginning of their names.
const ON_THIS_ORIGIN_BY_PREFIX: [&str; 10] = [
    "access-control-",
    "attribution-reporting-",
    "cross-origin-",
    "document-policy",
    "proxy-",
    "sec-",
    "secure-session-",
    "set-cookie",
    "x-accel-",
    "x-grantry-",
];
/// The end of fields by which a content delivery network stores a response in spite of `no-store` (RFC 9213), such as
/// `CDN-Cache-Control`: the response of one user would be served to others.
const CDN_CACHE: &str = "cdn-cache-control";

/// The fields of a request that reach the API. `credentials` are further fields by which the host identifies callers.
pub(super) fn request_fields(headers: &HeaderMap, credentials: &[HeaderName]) -> Vec<(String, Vec<u8>)> {
    let hops = named_in_connection(headers);
    let passes = |name: &str| {
        !HOP_BY_HOP_FIELDS.contains(&name)
            && !RESERVED_FIELDS.contains(&name)
            && !OF_THIS_SERVER.contains(&name)
            && !OF_THIS_SERVER_BY_PREFIX.iter().any(|prefix| name.starts_with(prefix))
            && !hops.iter().any(|hop| hop == name)
            && !credentials.iter().any(|credential| credential == name)
    };
    let fields = headers.iter().filter(|(name, _)| passes(name.as_str()));
    fields.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// Fields of the connection that the request names (RFC 9110 §7.6.1).
fn named_in_connection(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase())).collect()
}

/// The fields of a response that reach the caller. A redirect to this server is not one of them: the API must not lead a
/// browser to a page here.
pub(super) fn response_headers(fields: Vec<(String, Vec<u8>)>, is_own: impl Fn(&Url) -> bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(fields.len() + 3);
    for (mut name, value) in fields {
        name.make_ascii_lowercase();
        let acts_here = ON_THIS_ORIGIN.contains(&name.as_str())
            || name.ends_with(CDN_CACHE)
            || ON_THIS_ORIGIN_BY_PREFIX.iter().any(|prefix| name.starts_with(prefix))
            || (name == header::LOCATION.as_str() && target(&value).is_none_or(|url| is_own(&url)));
        if acts_here {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers.extend([MARK, UNBUFFERED, (header::CONTENT_SECURITY_POLICY, POLICY)]);
    headers
}

fn target(location: &[u8]) -> Option<Url> {
    Url::parse(std::str::from_utf8(location).ok()?).ok()
}

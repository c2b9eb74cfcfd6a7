//! State changes come from our own pages or from no browser at all, and as JSON (R56).

use axum::body::HttpBody;
use axum::extract::Request;
use http::{HeaderMap, Method, header};

use crate::problem::{Code, Problem};

/// `https` tells whether our own pages are served so: the same name over plain http is another origin (RFC 6454 §4).
pub(super) fn same_origin_json(request: &Request, https: bool) -> Result<(), Problem> {
    if !changes_state(request.method()) {
        return Ok(());
    }
    if !is_same_origin(request, https) {
        return Err(Problem::new(Code::Forbidden).because("This request came from another site."));
    }
    if !request.body().is_end_stream() && !is_json(request.headers()) {
        return Err(Problem::new(Code::UnsupportedMediaType));
    }
    Ok(())
}

fn changes_state(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Browsers tell where a request comes from, and pages cannot forge it. A request that tells nothing comes from no browser
/// and is judged by its credentials.
fn is_same_origin(request: &Request, https: bool) -> bool {
    let headers = request.headers();
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    // The host was compared with the allowed ones before; `null` and lists have another scheme or host.
    let scheme = if https { "https://" } else { "http://" };
    let named = origin.to_str().ok().and_then(|origin| origin.strip_prefix(scheme));
    matches!((named, host), (Some(named), Some(host)) if named.eq_ignore_ascii_case(host))
}

/// Whether a body is declared as JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    essence
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

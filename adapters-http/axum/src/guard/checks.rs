//! Checks that every request passes before its handler runs.

use axum::body::HttpBody;
use axum::extract::Request;
use http::{HeaderMap, Method, header};

use crate::host::Limits;
use crate::operations::is_operation;
use crate::problem::{Code, Problem};
use crate::relay_routes::is_relay;
use crate::state::App;

/// Whether a request may reach its handler. The cheapest check comes first.
pub(super) fn check(app: &App, route: &str, request: &Request) -> Result<(), Problem> {
    within_limits(&app.api.limits, request)?;
    // Orchestrators ask by the address of a container, or without a host.
    if is_operation(route) {
        return if app.api.serves_operations { Ok(()) } else { Err(Problem::new(Code::NotFound)) };
    }
    allowed_host(app, request)?;
    if is_relay(route) {
        // Also a response that is only read is one of the API, under the origin of this server.
        return same_origin(app, request);
    }
    same_origin_json(app, request)
}

/// Bounds on the URL and the header section.
fn within_limits(limits: &Limits, request: &Request) -> Result<(), Problem> {
    let url = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if url > limits.url {
        return Err(Problem::new(Code::UrlTooLong).at("url", format!("is longer than {} bytes", limits.url)));
    }
    let (fields, bytes) = fields_and_bytes(request.headers());
    if fields > limits.header_fields {
        return Err(too_large(format!("are more than {} fields", limits.header_fields)));
    }
    if bytes > limits.headers {
        return Err(too_large(format!("are longer than {} bytes", limits.headers)));
    }
    Ok(())
}

/// Number and size of the header fields. In HTTP/2 a browser may send a `Cookie` field per cookie; they count as the one field
/// that they are joined to, with `; ` between the cookies (RFC 9113 §8.2.3).
fn fields_and_bytes(headers: &HeaderMap) -> (usize, usize) {
    let joined = headers.get_all(header::COOKIE).iter().count().saturating_sub(1);
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    (headers.len() - joined, bytes - joined * (header::COOKIE.as_str().len() - "; ".len()))
}

fn too_large(problem: String) -> Problem {
    Problem::new(Code::HeadersTooLarge).at("headers", problem)
}

/// Serves the configured hosts only. This defends against DNS rebinding and keeps foreign names out of links.
fn allowed_host(app: &App, request: &Request) -> Result<(), Problem> {
    if is_allowed_host(app, request) { Ok(()) } else { Err(Problem::new(Code::WrongHost)) }
}

/// Every host that the request names must be allowed, and it must name one.
fn is_allowed_host(app: &App, request: &Request) -> bool {
    let mut named = request.headers().get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
    let (first, second) = (named.next(), named.next());
    // HTTP/2 has the authority in the target; HTTP/1.1 may have it there as well.
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    if second.is_some() || (first.is_none() && authority.is_none()) {
        return false;
    }
    let default_port = if app.api.public.is_https() { ":443" } else { ":80" };
    first.into_iter().chain(authority).all(|host| {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(default_port).unwrap_or(&host);
        app.hosts.iter().any(|allowed| allowed.strip_suffix(default_port).unwrap_or(allowed) == host)
    })
}

/// Requests that change state must come from pages of the public origin or from clients other than browsers, as JSON.
fn same_origin_json(app: &App, request: &Request) -> Result<(), Problem> {
    if !changes_state(request.method()) {
        return Ok(());
    }
    same_origin(app, request)?;
    if !request.body().is_end_stream() && !is_json(request.headers()) {
        return Err(Problem::new(Code::UnsupportedMediaType));
    }
    Ok(())
}

fn same_origin(app: &App, request: &Request) -> Result<(), Problem> {
    if is_same_origin(app, request) {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden).because("This request came from another site."))
}

/// Whether the request names its site or its origin, as current browsers do.
pub(crate) fn names_its_site(headers: &HeaderMap) -> bool {
    headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN)
}

fn changes_state(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Browsers send the site or the origin of a request, and pages cannot forge either. A request without both is not from a
/// browser and depends on its credentials. The same name over plain http is another origin (RFC 6454 §4).
fn is_same_origin(app: &App, request: &Request) -> bool {
    let headers = request.headers();
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    // A proxy may send another name of this server as the host.
    if app.api.public.is_origin(origin.as_bytes()) {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    // The host was checked before. `null` and lists of origins differ in scheme or host.
    let scheme = if app.api.public.is_https() { "https://" } else { "http://" };
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

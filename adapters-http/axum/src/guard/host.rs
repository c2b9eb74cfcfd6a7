//! Only our own hosts are answered (R57): against DNS rebinding, and so that no link is built for somebody else's.

use axum::extract::Request;
use grantry_domain::usecase::PublicBaseUrl;
use http::header;

use crate::problem::{Code, Problem};
use crate::state::App;

/// The `Host` of a public base URL: without a port that the scheme implies.
pub(crate) fn host_of(public: &PublicBaseUrl) -> String {
    let authority = public.origin().split_once("://").map_or("", |(_, authority)| authority).to_ascii_lowercase();
    let implied = if public.is_https() { ":443" } else { ":80" };
    authority.strip_suffix(implied).map_or(authority.clone(), str::to_owned)
}

pub(super) fn allowed_host(app: &App, request: &Request) -> Result<(), Problem> {
    if is_allowed(request, app) { Ok(()) } else { Err(Problem::new(Code::WrongHost)) }
}

/// Every host the request names must be one of ours, and it must name one.
fn is_allowed(request: &Request, app: &App) -> bool {
    let mut named = request.headers().get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
    let (first, second) = (named.next(), named.next());
    // HTTP/2 has the authority in the target; HTTP/1.1 may have it there as well.
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    if second.is_some() || (first.is_none() && authority.is_none()) {
        return false;
    }
    let implied = if app.api.public.is_https() { ":443" } else { ":80" };
    first.into_iter().chain(authority).all(|host| {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(implied).unwrap_or(&host);
        app.hosts.iter().any(|allowed| allowed.strip_suffix(implied).unwrap_or(allowed) == host)
    })
}

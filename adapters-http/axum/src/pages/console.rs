//! The files of the built console, if there is one. Only files with hashed names are cached without an end.

use std::borrow::Cow;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::host::ConsoleAsset;
use crate::problem::{Code, Problem};
use crate::state::App;

/// Policy of the console's pages: files of this origin only, no inline code, no HTML from strings.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

/// A page of the console.
pub(super) fn page(app: &App, name: &str) -> Option<Response> {
    let asset = app.api.console.as_ref()?.get(name)?;
    let headers =
        [(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)), (header::CONTENT_SECURITY_POLICY, POLICY)];
    Some((headers, below_prefix(asset.bytes, app.api.public.path_prefix())).into_response())
}

/// Puts the path of the public base URL before the links of a page, which begin at the root. The scripts read the path from
/// their own URL.
fn below_prefix(page: Cow<'static, [u8]>, prefix: &str) -> Vec<u8> {
    match std::str::from_utf8(&page) {
        Ok(html) if !prefix.is_empty() => html.replace("=\"/assets/", &format!("=\"{prefix}/assets/")).into_bytes(),
        Ok(_) | Err(_) => page.into_owned(),
    }
}

/// Requests without a route: a file of the console, or not found.
pub(crate) async fn fallback(State(app): State<App>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let found = app.api.console.as_ref().filter(|_| is_file(path)).and_then(|console| console.get(path));
    match found {
        Some(asset) if matches!(*request.method(), Method::GET | Method::HEAD) => file(asset, request.headers()),
        Some(_) => Problem::new(Code::MethodNotAllowed).into_response(),
        None => Problem::new(Code::NotFound).into_response(),
    }
}

/// Pages are served only by their routes, and under no other path.
fn is_file(path: &str) -> bool {
    !path.is_empty() && path.rsplit_once('.').is_none_or(|(_, extension)| !extension.eq_ignore_ascii_case("html"))
}

fn file(asset: ConsoleAsset, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", asset.etag);
    let caching = if asset.immutable { "public, max-age=31536000, immutable" } else { "public, no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes());
    let common = [(header::CACHE_CONTROL, caching.to_owned()), (header::ETAG, etag)];
    if known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    ([(header::CONTENT_TYPE, asset.content_type)], common, asset.bytes.into_owned()).into_response()
}

//! The files of the built console, if there is one. Only files with hashed names are cached without an end.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, header};

use crate::host::ConsoleAsset;
use crate::pages::context::PageContext;
use crate::problem::{Code, Problem};
use crate::state::App;
use crate::static_file::StaticFile;

/// Policy of the console's pages: files of this origin only, no inline code, no HTML from strings.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

/// A page of the console, with the language and the colours that the user chose there.
pub(super) fn page(app: &App, name: &str, context: &PageContext) -> Option<Response> {
    let asset = app.api.console.as_ref()?.get(name)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::VARY, HeaderValue::from_static("accept-language, cookie")),
    ];
    let html = below_prefix(&String::from_utf8_lossy(&asset.content), app.api.public.path_prefix());
    Some((headers, with_appearance(&html, context)).into_response())
}

/// Puts the path of the public base URL before the links of a page, which begin at the root. The scripts read the path from
/// their own URL.
fn below_prefix(html: &str, prefix: &str) -> String {
    html.replace("=\"/assets/", &format!("=\"{prefix}/assets/"))
}

/// Browsers apply the colour scheme of the page before the first paint, and the script of the console applies the choice
/// only afterwards. A page without exactly these elements stays as it is.
fn with_appearance(html: &str, context: &PageContext) -> String {
    let root = format!("<html lang=\"{}\" data-theme=\"{}\">", context.language.tag(), context.theme.as_str());
    let scheme = format!("<meta name=\"color-scheme\" content=\"{}\">", context.theme.color_scheme());
    html.replacen("<html lang=\"en\">", &root, 1).replacen("<meta name=\"color-scheme\" content=\"light dark\">", &scheme, 1)
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
    let caching = if asset.immutable { "public, max-age=31536000, immutable" } else { "public, no-cache" };
    let ConsoleAsset { content, brotli, gzip, content_type, etag, immutable: _ } = asset;
    StaticFile { content, brotli, gzip, content_type, etag, caching }.response(headers)
}

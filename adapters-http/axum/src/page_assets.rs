//! Scripts and sheet of the pages. Each URL carries the hash of its content, so that it may be kept for ever.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use grantry_domain::encoding::hex;
use grantry_domain::usecase::PublicBaseUrl;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

const CALLBACK_SCRIPT: &str = include_str!("../../assets/callback.js");
const PAGE_SCRIPT: &str = include_str!("../../assets/page.js");
const STYLE: &str = include_str!("../../assets/page.css");

/// Where the routes of this file begin. No connector id begins with `_`.
const BASE: &str = "/api/actions/connector/";

/// One file: its content, its address, and its hash.
pub(crate) struct Asset {
    content: &'static str,
    content_type: &'static str,
    /// Without the hash: what a policy names.
    address: String,
    hash: String,
}

impl Asset {
    fn new(
        content: &'static str,
        content_type: &'static str,
        name: &str,
        public: &PublicBaseUrl,
        sha256: impl Fn(&[u8]) -> [u8; 32],
    ) -> Self {
        let hash = hex(&sha256(content.as_bytes())[..8]);
        Self { content, content_type, address: format!("{public}{BASE}{name}"), hash }
    }

    /// What a page links to.
    pub(crate) fn url(&self) -> String {
        format!("{}?v={}", self.address, self.hash)
    }

    fn response(&self, version: Option<&str>, headers: &HeaderMap) -> Response {
        let etag = format!("\"{}\"", self.hash);
        let is_exact = version.and_then(|query| query.strip_prefix("v=")) == Some(self.hash.as_str());
        let caching = if is_exact { "public, max-age=31536000, immutable" } else { "public, no-cache" };
        let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes());
        let common = [(header::CACHE_CONTROL, caching.to_owned()), (header::ETAG, etag)];
        if known {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        ([(header::CONTENT_TYPE, self.content_type)], common, self.content).into_response()
    }
}

/// All files, and the policies that name them.
pub(crate) struct PageAssets {
    pub(crate) callback_script: Asset,
    pub(crate) page_script: Asset,
    pub(crate) style: Asset,
    /// Policy of the callback's pages: the fixed string of R30.
    pub(crate) callback_policy: HeaderValue,
    /// Policy of pages that call the API.
    pub(crate) page_policy: HeaderValue,
}

impl PageAssets {
    pub(crate) fn new(public: &PublicBaseUrl, sha256: impl Fn(&[u8]) -> [u8; 32]) -> Self {
        let script = "text/javascript; charset=utf-8";
        let callback_script = Asset::new(CALLBACK_SCRIPT, script, "_oauth_callback_script", public, &sha256);
        let page_script = Asset::new(PAGE_SCRIPT, script, "_page_script", public, &sha256);
        let style = Asset::new(STYLE, "text/css; charset=utf-8", "_oauth_callback_style", public, &sha256);
        let callback_policy = policy(&callback_script.address, &style.address, "");
        let page_policy = policy(&page_script.address, &style.address, " connect-src 'self';");
        Self { callback_script, page_script, style, callback_policy, page_policy }
    }
}

fn policy(script: &str, style: &str, connect: &str) -> HeaderValue {
    let text = format!(
        "default-src 'none'; script-src {script}; style-src {style};{connect} base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'"
    );
    // A public base URL holds nothing that a header value may not. If it did, nothing may run.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(callback_script)).routes(routes!(style)).routes(routes!(page_script))
}

/// Script of the callback's pages.
#[utoipa::path(get, path = "/api/actions/connector/_oauth_callback_script", operation_id = "callbackScript", tag = "pages", security(()),
    responses((status = 200, body = String, content_type = "text/javascript")))]
async fn callback_script(State(app): State<App>, RawQuery(version): RawQuery, headers: HeaderMap) -> Response {
    app.pages.callback_script.response(version.as_deref(), &headers)
}

/// Sheet of all pages.
#[utoipa::path(get, path = "/api/actions/connector/_oauth_callback_style", operation_id = "callbackStyle", tag = "pages", security(()),
    responses((status = 200, body = String, content_type = "text/css")))]
async fn style(State(app): State<App>, RawQuery(version): RawQuery, headers: HeaderMap) -> Response {
    app.pages.style.response(version.as_deref(), &headers)
}

/// Script of the other pages.
#[utoipa::path(get, path = "/api/actions/connector/_page_script", operation_id = "pageScript", tag = "pages", security(()),
    responses((status = 200, body = String, content_type = "text/javascript")))]
async fn page_script(State(app): State<App>, RawQuery(version): RawQuery, headers: HeaderMap) -> Response {
    app.pages.page_script.response(version.as_deref(), &headers)
}

//! Scripts and style sheet of the pages. Each URL contains the hash of its content, so that it can be cached without an end.

use axum::body::Bytes;
use grantry_domain::encoding::hex;
use http::HeaderValue;
use sha2::{Digest, Sha256};

use crate::public_url::PublicBaseUrl;
use crate::static_file::StaticFile;

const CALLBACK_SCRIPT: &str = include_str!("../assets/callback.js");
const PAGE_SCRIPT: &str = include_str!("../assets/page.js");
const STYLE: &str = include_str!("../assets/page.css");

/// Where the routes of the assets begin. No connector id begins with `_`.
const BASE: &str = "/api/actions/connector/";

/// One file with its address and hash.
pub(crate) struct Asset {
    content: &'static str,
    content_type: &'static str,
    /// Without the hash, as in a content security policy.
    address: String,
    hash: String,
}

impl Asset {
    fn new(content: &'static str, content_type: &'static str, name: &str, public: &PublicBaseUrl) -> Self {
        let hash = hex(&Sha256::digest(content)[..8]);
        Self { content, content_type, address: format!("{public}{BASE}{name}"), hash }
    }

    /// The URL for the links of a page.
    pub(crate) fn url(&self) -> String {
        format!("{}?v={}", self.address, self.hash)
    }

    /// The file, for a query that may contain its version.
    pub(crate) fn file(&self, version: Option<&str>) -> StaticFile {
        let is_exact = version.and_then(|query| query.strip_prefix("v=")) == Some(self.hash.as_str());
        let caching = if is_exact { "public, max-age=31536000, immutable" } else { "public, no-cache" };
        // Each file is a few KiB long and arrives with the first packets, compressed or not.
        StaticFile {
            content: Bytes::from_static(self.content.as_bytes()),
            brotli: None,
            gzip: None,
            content_type: self.content_type,
            etag: self.hash.clone(),
            caching,
        }
    }
}

/// All files and the policies that name them.
pub(crate) struct PageAssets {
    pub(crate) callback_script: Asset,
    pub(crate) page_script: Asset,
    pub(crate) style: Asset,
    /// Policy of the result pages.
    pub(crate) callback_policy: HeaderValue,
    /// Policy of pages that call the API.
    pub(crate) page_policy: HeaderValue,
}

impl PageAssets {
    pub(crate) fn new(public: &PublicBaseUrl) -> Self {
        let script = "text/javascript; charset=utf-8";
        let callback_script = Asset::new(CALLBACK_SCRIPT, script, "_oauth_callback_script", public);
        let page_script = Asset::new(PAGE_SCRIPT, script, "_page_script", public);
        let style = Asset::new(STYLE, "text/css; charset=utf-8", "_oauth_callback_style", public);
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
    // Every public base URL is a valid header value. If one were not, no script may run.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

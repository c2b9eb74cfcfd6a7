//! Leaving for the provider by way of the server (R17).
//!
//! The authorization URL is kept nowhere here: the store has only the hash of its `state`. Between start and launch it
//! travels in a cookie that only the launch page gets, with a tag keyed by the flow cookie's secret. So a planted cookie
//! cannot send anybody anywhere: whoever makes a tag must know the secret of a flow that belongs to the signed-in person.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_domain::connector::ConnectorKey;
use grantry_domain::encoding::base64url;
use grantry_domain::flow::Started;
use grantry_domain::grant::{BrowserHash, FlowStatus, Grant, GrantId};
use grantry_domain::identity::UserId;
use grantry_domain::secret::{Secret, equal_in_constant_time};
use http::HeaderMap;
use url::{Host, Url};

use crate::cookies::SetCookie;
use crate::problem::{Code, Problem};
use crate::state::App;

/// Keeps this use of the hash apart from every other.
const DOMAIN: &[u8] = b"grantry-launch-v1";

/// Path of the launch page, without the prefix the router is mounted under.
pub(crate) fn path_of(key: &ConnectorKey) -> String {
    format!("{}/connect/{}", space_prefix(key), key.id)
}

/// `/s/{space}`, or nothing for the default space.
pub(crate) fn space_prefix(key: &ConnectorKey) -> String {
    if key.space.is_default() { String::new() } else { format!("/s/{}", key.space) }
}

/// The cookie that carries the authorization URL of a new flow to its launch page.
pub(crate) fn cookie(app: &App, key: &ConnectorKey, started: &Started) -> Option<SetCookie> {
    let url = started.authorization_url.expose();
    let tag = tag(app, &started.browser_secret, url);
    let value = format!("{}.{}", URL_SAFE_NO_PAD.encode(url), base64url(&tag).as_str());
    app.cookies.launch_cookie(started.flow_id, &value, &path_of(key), started.expires_in)
}

/// Where a flow leads: for its starter, in its browser, while it waits.
pub(crate) async fn destination(
    app: &App,
    user: &UserId,
    key: &ConnectorKey,
    flow: GrantId,
    headers: &HeaderMap,
) -> Result<String, Problem> {
    let grants = &app.connections.ports().grants;
    let unavailable = |_| Problem::new(Code::StoreUnavailable);
    let record = grants.find(flow).await.map_err(unavailable)?;
    let record = record.filter(|record| record.owner.user == *user && record.owner.connector_key() == *key);
    let record = record.ok_or_else(|| Problem::new(Code::FlowNotFound))?;
    let (browser, is_consumed) = (record.browser, record.consumed_at.is_some());
    let now = grants.now().await.map_err(unavailable)?;
    let flow_now = Grant::restore(record).map_err(|_| Problem::new(Code::Internal))?;
    match FlowStatus::of(&flow_now, now) {
        FlowStatus::Awaiting if !is_consumed => {}
        FlowStatus::Expired => return Err(Problem::new(Code::FlowExpired)),
        FlowStatus::Awaiting | FlowStatus::Authorized | FlowStatus::Failed(_) | FlowStatus::Cancelled => {
            return Err(Problem::new(Code::FlowAlreadyUsed));
        }
    }
    let mismatch = || Problem::new(Code::BrowserMismatch);
    let secret = app.cookies.flow_secret(headers, flow).ok_or_else(mismatch)?;
    let presented = app.connections.ports().vault.fingerprint(secret.expose());
    if !browser.is_some_and(|BrowserHash(expected)| equal_in_constant_time(&expected, &presented)) {
        return Err(mismatch());
    }
    let value = app.cookies.launch_value(headers, flow).ok_or_else(|| Problem::new(Code::FlowNotFound))?;
    opened(app, &secret, value).filter(|url| may_be_opened(url)).ok_or_else(mismatch)
}

/// The URL in a launch cookie, if its tag is right.
fn opened(app: &App, secret: &Secret, value: &str) -> Option<String> {
    let (url, presented) = value.split_once('.')?;
    let url = URL_SAFE_NO_PAD.decode(url).ok()?;
    let expected = base64url(&tag(app, secret, &url));
    equal_in_constant_time(expected.as_bytes(), presented.as_bytes()).then(|| String::from_utf8(url).ok()).flatten()
}

/// SHA-256(domain ‖ secret ‖ SHA-256(url)). What is hashed has a fixed length after the secret, so it cannot be extended.
fn tag(app: &App, secret: &Secret, url: &[u8]) -> [u8; 32] {
    let vault = &app.connections.ports().vault;
    let keyed = Secret::new([DOMAIN, secret.expose(), &vault.fingerprint(url)].concat());
    vault.fingerprint(keyed.expose())
}

/// Whether a browser may be sent there: https, or http on loopback, where only an operator's own entry can lead (R63).
pub(crate) fn may_be_opened(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(Host::Ipv6(address))) => address.is_loopback(),
        ("http", Some(Host::Domain(name))) => name == "localhost",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r63_browsers_are_sent_to_https_or_loopback_only() {
        for good in ["https://login.example/authorize?x=1", "http://127.0.0.1:9/a", "http://localhost:9/a", "http://[::1]/a"] {
            assert!(may_be_opened(good), "{good}");
        }
        let bad = [
            "", "http://login.example/a", "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//login.example",
            "http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "ftp://127.0.0.1/", "JaVaScRiPt:alert(1)",
            "https:", "blob:https://login.example/x", "intent://x", "vscode://x",
        ];
        for bad in bad {
            assert!(!may_be_opened(bad), "{bad}");
        }
    }
}

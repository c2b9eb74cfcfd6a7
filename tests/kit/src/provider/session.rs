//! The log-in session at the provider: a cookie, of which the state contains the digest.

use axum::response::Response;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::config::User;
use super::core::Core;
use super::secret::Digest;

/// The name of the session cookie. Browsers do not separate cookies by port, so the name contains the port.
fn cookie_name(core: &Core) -> String {
    format!("mock_provider_session_{}", core.port)
}

/// Sets the session cookie.
pub(super) fn set_cookie(core: &Core, response: &mut Response, value: &str, more: &str) {
    let cookie = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{more}", cookie_name(core));
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// The value of the session cookie.
pub(super) fn session_cookie<'h>(core: &Core, headers: &'h HeaderMap) -> Option<&'h str> {
    let name = cookie_name(core);
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split("; ")).find_map(|cookie| cookie.strip_prefix(&name)?.strip_prefix('='))
}

/// The log-in name of the logged-in user.
pub(super) fn session(core: &Core, headers: &HeaderMap) -> Option<String> {
    session_user(core, headers).map(|user| user.username.clone())
}

/// The logged-in user.
pub(super) fn session_user<'c>(core: &'c Core, headers: &HeaderMap) -> Option<&'c User> {
    let cookie = session_cookie(core, headers)?;
    let username = core.read(|state, _| state.sessions.get(&Digest::of(cookie)).cloned())?;
    core.user(&username)
}

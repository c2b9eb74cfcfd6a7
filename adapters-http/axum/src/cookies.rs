//! Names and attributes of cookies.
//!
//! Over https every cookie has the `__Host-` prefix, so that no sibling host can set one. On http loopback, browsers refuse
//! that prefix and cookies do not depend on the port, so the port is part of the name.

use std::time::Duration;

use grantry_domain::authorization::AuthorizationId;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::MOST_FLOW_COOKIES;
use http::{HeaderMap, HeaderValue, header};

use crate::public_url::PublicBaseUrl;

/// Name of the session cookie over https.
pub(crate) const SESSION_OVER_HTTPS: &str = "__Host-grantry_session";

/// How long a flow cookie outlives its flow, so that a late callback is recognised also before its expiry is recorded.
const OUTLIVES: Duration = Duration::from_hours(1);
/// How long a browser is recognised after a log-in.
pub(crate) const DEVICE: Duration = Duration::from_hours(24 * 90);

/// The value of a `Set-Cookie` header. All cookies are `HttpOnly; SameSite=Lax`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetCookie(String);

impl SetCookie {
    /// Adds it to a response.
    pub(crate) fn append_to(&self, headers: &mut HeaderMap) {
        // Names are fixed and values base64url, so this is always a valid header value.
        if let Ok(mut value) = HeaderValue::from_str(&self.0) {
            value.set_sensitive(true);
            headers.append(header::SET_COOKIE, value);
        }
    }
}

/// The cookies of a request. The values need no decoding. Cookies of other applications may contain any bytes; a pair that is
/// not UTF-8 is ignored.
///
/// Only blanks and tabs are removed around a pair (RFC 6265 §5.2): a browser lets every host of a site set a cookie whose name
/// begins with another white space of Unicode, because that name does not begin with `__Host-`.
pub(crate) fn cookies_of(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim_matches([' ', '\t']).split_once('='))
}

/// The value of a cookie. `None` if it is absent or ambiguous because it was sent twice.
pub(crate) fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = cookies_of(headers).filter(|(key, _)| *key == name).map(|(_, value)| value);
    values.next().filter(|_| values.next().is_none())
}

/// The names, which depend only on the public base URL.
#[derive(Debug, Clone)]
pub(crate) struct CookieNames {
    secure: bool,
    session: String,
    device: String,
    flow: String,
}

impl CookieNames {
    pub(crate) fn of(public: &PublicBaseUrl) -> Self {
        if public.is_https() {
            return Self {
                secure: true,
                session: SESSION_OVER_HTTPS.to_owned(),
                device: "__Host-grantry_device".to_owned(),
                flow: "__Host-grantry_flow_".to_owned(),
            };
        }
        let port = port_of(public);
        Self {
            secure: false,
            session: format!("grantry_session_{port}"),
            device: format!("grantry_device_{port}"),
            flow: format!("grantry_flow_{port}_"),
        }
    }

    /// Name of the session cookie.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// Name of the cookie of a browser in which a user has logged in before.
    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// The cookie of a browser in which a user has logged in. It outlives the session and proves nothing else.
    pub(crate) fn device_cookie(&self, value: &Secret) -> SetCookie {
        self.cookie(&self.device, text_of(value), DEVICE)
    }

    /// The session cookie.
    pub(crate) fn session_cookie(&self, value: &Secret, lifetime: Duration) -> SetCookie {
        self.cookie(&self.session, text_of(value), lifetime)
    }

    /// Removes the session cookie.
    pub(crate) fn without_session(&self) -> SetCookie {
        self.cookie(&self.session, "", Duration::ZERO)
    }

    /// The cookie that binds a flow to this browser; `lifetime` is that of the flow.
    pub(crate) fn flow_cookie(&self, flow: AuthorizationId, secret: &Secret, lifetime: Duration) -> SetCookie {
        self.cookie(&self.flow_name(flow), text_of(secret), lifetime + OUTLIVES)
    }

    /// Removes a flow cookie.
    pub(crate) fn without_flow(&self, flow: AuthorizationId) -> SetCookie {
        self.cookie(&self.flow_name(flow), "", Duration::ZERO)
    }

    /// The secrets of all flow cookies of a request.
    pub(crate) fn flow_secrets(&self, headers: &HeaderMap) -> Vec<Secret> {
        self.flows(headers).map(|(_, secret)| Secret::from_text(secret)).collect()
    }

    /// The flow cookies of a request: the flow in the name, and the secret.
    pub(crate) fn flow_cookies(&self, headers: &HeaderMap) -> Vec<(AuthorizationId, Secret)> {
        self.flows(headers).map(|(id, secret)| (id, Secret::from_text(secret))).collect()
    }

    /// The flows of all flow cookies of a request.
    pub(crate) fn flow_ids(&self, headers: &HeaderMap) -> Vec<AuthorizationId> {
        self.flows(headers).map(|(id, _)| id).collect()
    }

    /// The oldest flow cookies, to be removed before one more is set. Flow ids begin with their time.
    pub(crate) fn surplus_flows(&self, headers: &HeaderMap) -> Vec<AuthorizationId> {
        let mut ids = self.flow_ids(headers);
        ids.sort_unstable();
        ids.truncate((ids.len() + 1).saturating_sub(MOST_FLOW_COOKIES));
        ids
    }

    fn flows<'h>(&self, headers: &'h HeaderMap) -> impl Iterator<Item = (AuthorizationId, &'h str)> {
        cookies_of(headers)
            .filter_map(|(name, value)| Some((AuthorizationId::parse(name.strip_prefix(self.flow.as_str())?)?, value)))
    }

    fn flow_name(&self, flow: AuthorizationId) -> String {
        format!("{}{flow}", self.flow)
    }

    fn cookie(&self, name: &str, value: &str, lifetime: Duration) -> SetCookie {
        let secure = if self.secure { "; Secure" } else { "" };
        SetCookie(format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", lifetime.as_secs()))
    }
}

fn text_of(secret: &Secret) -> &str {
    secret.expose_text().unwrap_or_default()
}

fn port_of(public: &PublicBaseUrl) -> u16 {
    url::Url::parse(public.as_str()).ok().and_then(|url| url.port_or_known_default()).unwrap_or(80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(millis: u8) -> AuthorizationId {
        let mut bytes = [0; 24];
        bytes[7] = millis;
        AuthorizationId::from_bytes(bytes)
    }

    fn names(base: &str) -> CookieNames {
        CookieNames::of(&PublicBaseUrl::new(base).unwrap())
    }

    #[test]
    fn r03_the_flow_cookie_has_its_attributes() {
        let (secret, life) = (Secret::from_text("s3cret"), Duration::from_mins(10));
        assert_eq!(
            names("https://connect.example/oauth").flow_cookie(id(1), &secret, life).0,
            format!("__Host-grantry_flow_{}=s3cret; Path=/; Max-Age=4200; HttpOnly; SameSite=Lax; Secure", id(1))
        );
        // Loopback without TLS: no `__Host-`, not `Secure`, and the port in the name.
        assert_eq!(
            names("http://127.0.0.1:8080").flow_cookie(id(1), &secret, life).0,
            format!("grantry_flow_8080_{}=s3cret; Path=/; Max-Age=4200; HttpOnly; SameSite=Lax", id(1))
        );
    }

    #[test]
    fn r34_a_browser_keeps_a_bounded_number_of_flow_cookies() {
        let names = names("http://127.0.0.1:8080");
        let mut headers = HeaderMap::new();
        for millis in (1..=22).rev() {
            headers.append(header::COOKIE, format!("grantry_flow_8080_{}=x; other=y", id(millis)).parse().unwrap());
        }
        assert_eq!(names.surplus_flows(&headers), [id(1), id(2), id(3)]);
        assert_eq!(names.flow_secrets(&headers).len(), 22);
    }

    #[test]
    fn r03_a_cookie_that_is_there_twice_is_none() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=1; b=2; a=3".parse().unwrap());
        assert_eq!((single(&headers, "a"), single(&headers, "b"), single(&headers, "c")), (None, Some("2"), None));
    }

    #[test]
    fn r03_only_blanks_and_tabs_are_no_part_of_the_name_of_a_cookie() {
        let value = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            single(&headers, SESSION_OVER_HTTPS).map(str::to_owned)
        };
        for good in ["__Host-grantry_session=x", "a=b;\t __Host-grantry_session=x \t; c=d"] {
            assert_eq!(value(good).as_deref(), Some("x"), "{good:?}");
        }
        for space in ["\u{85}", "\u{a0}", "\u{1680}", "\u{2003}", "\u{2028}", "\u{205f}", "\u{3000}", "\u{feff}"] {
            assert_eq!(value(&format!("{space}__Host-grantry_session=x")), None, "{space:?}");
            assert_eq!(value(&format!("a=b; {space} __Host-grantry_session=x")), None, "{space:?}");
            assert_eq!(value(&format!("__Host-grantry_session=x{space}")), Some(format!("x{space}")), "{space:?}");
        }
    }

    #[test]
    fn cookies_of_other_applications_may_contain_any_bytes() {
        for other in [&b"a=\xe4; b=2"[..], b"b=2; \xff\xfe", "ä=ö; b=2".as_bytes(), b"b=2;;=;x"] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_bytes(other).unwrap());
            assert_eq!(single(&headers, "b"), Some("2"), "{other:?}");
        }
    }
}

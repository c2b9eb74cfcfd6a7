//! Success responses of the token endpoint (RFC 6749 §5.1), with limits on sizes and lifetimes.

use std::borrow::Cow;
use std::time::Duration;

use grantry_domain::ports::{Lifetime, ProviderError, ProviderErrorKind, TokenResponse};
use grantry_domain::provider::Scopes;
use grantry_domain::secret::Secret;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::oauth_error;
use crate::codec::{Object, Text, Value, form, json};
use crate::profile::rules::{Absent, LifetimeRules, ResponseFormat, ScopeRules, Wire};
use crate::transport::HttpResponse;

/// Maximum size of a response in bytes.
pub(crate) const MAX_RESPONSE: usize = 64 * 1024;
/// Maximum length of a token in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// Maximum lifetime: ten years.
const MAX_LIFETIME: Duration = Duration::from_hours(24 * 3653);

/// Decodes a response of the token endpoint, or returns the error that it reports.
pub(crate) fn decode(wire: &Wire, response: &HttpResponse) -> Result<TokenResponse, ProviderError> {
    if response.status != StatusCode::OK {
        return Err(oauth_error::from_response(response, &wire.token.errors));
    }
    read(wire, response).map_err(|error| error.with_status(response.status.as_u16()))
}

fn read(wire: &Wire, response: &HttpResponse) -> Result<TokenResponse, ProviderError> {
    let body = object(wire.token.response_format, response)?;
    if let Some(code) = oauth_error::error_code(&body) {
        return Err(if wire.token.error_in_200 {
            oauth_error::from_code(&code, &wire.token.errors)
        } else {
            malformed("a success that contains the member error")
        });
    }
    let set = match &wire.token.nested_in {
        None => &body,
        Some(name) => body
            .get(name)
            .and_then(Value::as_object)
            .ok_or_else(|| malformed("the member that contains the tokens is missing"))?,
    };
    Ok(TokenResponse {
        access_token: token(set, "access_token")?.ok_or_else(|| malformed("access_token is missing"))?,
        token_type: token_type(set, wire.token.token_type_optional)?,
        refresh_token: token(set, "refresh_token")?,
        lifetime: lifetime(set, &wire.token.access_lifetime)?,
        refresh_lifetime: lifetime(set, &wire.token.refresh_lifetime)?,
        scopes: scopes(set, &wire.scopes)?,
        id_token: token(set, "id_token")?,
    })
}

/// A response that is not understood.
fn malformed(problem: impl Into<Cow<'static, str>>) -> ProviderError {
    ProviderErrorKind::Malformed.because(problem)
}

fn object(format: ResponseFormat, response: &HttpResponse) -> Result<Object<'_>, ProviderError> {
    let is_form = || {
        let kind = response.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
        let wanted = b"application/x-www-form-urlencoded";
        kind.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted))
    };
    let read = match format {
        ResponseFormat::JsonOrForm if is_form() => form::parse_object(&response.body),
        ResponseFormat::Json | ResponseFormat::JsonOrForm => json::parse_object(&response.body),
    };
    read.map_err(|_| malformed("the body is not a valid object of the expected format"))
}

/// A token of limited length. Only visible ASCII is accepted, so that the token can be sent in a header field.
fn token(set: &Object<'_>, name: &'static str) -> Result<Option<Secret>, ProviderError> {
    let Some(text) = set.text(name).map_err(|_| malformed(format!("{name} is not a text")))? else { return Ok(None) };
    let token = Text::to_secret(text);
    let is_valid = (1..=MAX_TOKEN).contains(&token.len()) && token.expose().iter().all(u8::is_ascii_graphic);
    if is_valid { Ok(Some(token)) } else { Err(malformed(format!("{name} is empty, too long or not visible ASCII"))) }
}

/// Only bearer tokens are supported (RFC 6749 §7.1). The provider's spelling is kept.
fn token_type(set: &Object<'_>, optional: bool) -> Result<String, ProviderError> {
    match set.string("token_type").map_err(|_| malformed("token_type is not a text"))? {
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => Ok(kind),
        None if optional => Ok("Bearer".to_owned()),
        Some(_) => Err(malformed("token_type is not Bearer")),
        None => Err(malformed("token_type is missing")),
    }
}

fn lifetime(set: &Object<'_>, rules: &LifetimeRules) -> Result<Lifetime, ProviderError> {
    let Some(value) = rules.fields.iter().find_map(|name| set.get(name)) else {
        return Ok(match (rules.assumed(), rules.absent) {
            (Some(assumed), _) => Lifetime::For(assumed.min(MAX_LIFETIME)),
            (None, Absent::Unknown) => Lifetime::Unknown,
            (None, Absent::Never) => Lifetime::Never,
        });
    };
    let life = value.as_scalar().and_then(|text| seconds(&text)).ok_or_else(|| malformed("a lifetime is not a number"))?;
    Ok(if life.is_zero() && rules.zero_means_never { Lifetime::Never } else { Lifetime::For(life) })
}

/// Seconds, limited to 0 … 10 years. A fraction is dropped; anything else that is not a number is refused.
fn seconds(text: &str) -> Option<Duration> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    if negative {
        return Some(Duration::ZERO);
    }
    // A number too large for u64 is more than ten years.
    Some(Duration::from_secs(whole.parse().unwrap_or(u64::MAX)).min(MAX_LIFETIME))
}

/// The granted scopes. `None` if the response does not contain them, which means as requested (RFC 6749 §5.1).
fn scopes(set: &Object<'_>, rules: &ScopeRules) -> Result<Option<Scopes>, ProviderError> {
    let texts = match set.get(&rules.response_field) {
        None => return Ok(None),
        Some(Value::Text(text)) => vec![text.decode()],
        Some(Value::List(items)) if rules.response_list => {
            let texts: Option<_> = items.iter().map(|item| item.as_text().map(Text::decode)).collect();
            texts.ok_or_else(|| malformed("the list of scopes contains another type than text"))?
        }
        Some(Value::List(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            return Err(malformed("the scopes have an unexpected type"));
        }
    };
    let named = || texts.iter().flat_map(|text| ScopeRules::split(&rules.response_separator, text));
    let is_valid = |scope: &str| scope.bytes().all(|byte| byte.is_ascii_graphic());
    if named().all(is_valid) { Ok(Some(rules.granted(named()))) } else { Err(malformed("a scope is not visible ASCII")) }
}

#[cfg(test)]
mod tests;

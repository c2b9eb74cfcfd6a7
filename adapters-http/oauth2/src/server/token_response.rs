//! Success responses of the token endpoint (RFC 6749 §5.1), with limits on sizes and lifetimes.
//!
//! The access token and its type are read strictly. Every other member is secondary: a value that cannot be used is ignored
//! and recorded as an anomaly, because a refresh token that was rotated would be lost with the response.

mod lifetime;
mod members;

use std::borrow::Cow;

use grantry_domain::ports::{AnomalyKind, ProviderError, ProviderErrorKind, TokenResponse};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use self::members::Members;
use super::oauth_error;
use crate::codec::{BodyText, Malformed, Object, Value, form, json};
use crate::profile::rules::{ResponseFormat, Wire};
use crate::transport::HttpResponse;

/// Maximum size of a token response in bytes. It leaves room for an ID token of the maximum length.
pub(crate) const MAX_TOKEN_RESPONSE: usize = 2 * 1024 * 1024;
/// Maximum size of every other response in bytes.
pub(crate) const MAX_RESPONSE: usize = 64 * 1024;

/// Decodes a response of the token endpoint, or returns the error that it reports.
pub(crate) fn decode(wire: &Wire, response: &HttpResponse) -> Result<TokenResponse, ProviderError> {
    if !response.status.is_success() {
        return Err(oauth_error::from_response(response, &wire.token.errors));
    }
    read(wire, response).map_err(|error| error.with_status(response.status.as_u16()))
}

fn read(wire: &Wire, response: &HttpResponse) -> Result<TokenResponse, ProviderError> {
    let text = BodyText::of(&response.body);
    let body = object(wire.token.response_format, response, &text).map_err(|_| malformed(problem_of_body(response)))?;
    let nested = wire.token.nested_in.as_deref().map(|name| body.get(name).and_then(Value::as_object));
    let Some(set) = nested.unwrap_or(Some(&body)) else {
        let missing = || malformed("the member that contains the tokens is missing");
        return Err(reported(wire, &body).unwrap_or_else(missing));
    };
    let mut members = Members::of(set);
    if let Some(error) = reported(wire, &body) {
        // Some providers send a word in every response, such as `none`. A code of the protocol contradicts the token; a member
        // that is repeated is no code.
        if !members.has_access_token() || oauth_error::is_registered(&body, &wire.token.errors) {
            return Err(error);
        }
        let kind = if body.repeats("error") { AnomalyKind::Repeated } else { AnomalyKind::Unsupported };
        members.found("error", kind);
    }
    let (access_token, token_type) = (members.access_token()?, members.token_type(wire.token.token_type_optional)?);
    let mut response = TokenResponse {
        access_token,
        token_type,
        refresh_token: members.refresh_token()?,
        lifetime: members.lifetime(&wire.token.access_lifetime),
        refresh_lifetime: members.lifetime(&wire.token.refresh_lifetime),
        scopes: members.scopes(&wire.scopes),
        id_token: members.id_token(),
        anomalies: Vec::new(),
    };
    if text.has_byte_order_mark {
        members.found_in_body(AnomalyKind::ByteOrderMark);
    }
    if text.has_invalid_bytes {
        members.found_in_body(AnomalyKind::NotText);
    }
    response.anomalies = members.finish();
    Ok(response)
}

/// The error that a body reports, if there is one.
fn reported(wire: &Wire, body: &Object<'_>) -> Option<ProviderError> {
    if body.repeats("error") {
        return Some(malformed("the member error occurs more than once"));
    }
    let code = oauth_error::error_code(body)?;
    let is_read = wire.token.error_in_200;
    let unread = || malformed("a success that contains the member error");
    Some(if is_read { oauth_error::from_code(&code, &wire.token.errors) } else { unread() })
}

/// A response that is not understood.
fn malformed(problem: impl Into<Cow<'static, str>>) -> ProviderError {
    ProviderErrorKind::Malformed.because(problem)
}

/// Why a body cannot be read. The transport decodes the usual encodings.
fn problem_of_body(response: &HttpResponse) -> &'static str {
    if response.body.is_empty() {
        "the body is empty"
    } else if response.headers.contains_key(CONTENT_ENCODING) {
        "the body is compressed, damaged or in an encoding other than gzip and deflate, although none was requested"
    } else {
        "the body is not a valid object of the expected format"
    }
}

fn object<'a>(format: ResponseFormat, response: &HttpResponse, text: &'a BodyText<'_>) -> Result<Object<'a>, Malformed> {
    let is_form = || {
        let kind = response.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
        let wanted = b"application/x-www-form-urlencoded";
        kind.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted))
    };
    match format {
        ResponseFormat::JsonOrForm if is_form() => Ok(form::parse(text)),
        ResponseFormat::Json | ResponseFormat::JsonOrForm => json::parse_tolerant(text),
    }
}

#[cfg(test)]
mod tests;

//! Success responses of the token endpoint (RFC 6749 §5.1), with limits on sizes and lifetimes.
//!
//! The access token and its type are read strictly. Every other member is secondary: a value that cannot be used is ignored
//! and recorded as an anomaly, because a refresh token that was rotated would be lost with the response.

mod lifetime;
mod members;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use grantry_domain::ports::{AnomalyKind, Lifetime, ProviderError, ProviderErrorKind, TokenResponse};
use grantry_domain::provider::ApiBase;
use grantry_domain::time::Timestamp;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use self::members::Members;
use super::account::account_in;
use super::oauth_error;
use crate::codec::{BodyText, Malformed, Object, Value, form, json};
use crate::egress::EgressPolicy;
use crate::profile::grant_values::{ApiTemplate, GrantValueSource};
use crate::profile::rules::{IdentitySource, RefreshedWith, ResponseFormat, Wire};
use crate::transport::HttpResponse;

/// Maximum size of a token response in bytes. It leaves room for an ID token of the maximum length.
pub(crate) const MAX_TOKEN_RESPONSE: usize = 2 * 1024 * 1024;
/// Maximum size of every other response in bytes.
pub(crate) const MAX_RESPONSE: usize = 64 * 1024;

/// The grant type of a token request, which decides how its response is read.
#[derive(Clone, Copy)]
pub(super) enum CallKind<'a> {
    /// A code exchange, with the other parameters of the redirect.
    Exchange(&'a [(String, String)]),
    Refresh,
    ClientCredentials,
}

/// A response to a token request, and how it is read.
pub(crate) struct Received<'a> {
    pub(crate) wire: &'a Wire,
    pub(crate) api: Option<&'a ApiTemplate>,
    pub(crate) policy: &'a EgressPolicy,
    pub(crate) kind: CallKind<'a>,
    pub(crate) response: &'a HttpResponse,
    /// The present time, for lifetimes that are stated as a time.
    pub(crate) now: Timestamp,
}

impl Received<'_> {
    /// Decodes the response, or returns the error that it reports.
    pub(crate) fn decode(&self) -> Result<TokenResponse, ProviderError> {
        let mut aliases = Cow::Borrowed(&self.wire.token.errors);
        if let CallKind::Refresh = self.kind
            && !self.wire.refresh.errors.is_empty()
        {
            let rejects = self.wire.refresh.errors.iter().map(|code| (code.clone(), "invalid_grant".to_owned()));
            aliases.to_mut().extend(rejects);
        }
        if !self.response.status.is_success() {
            return Err(oauth_error::from_response(self.response, &aliases));
        }
        self.read(&aliases).map_err(|error| error.with_status(self.response.status.as_u16()))
    }

    fn read(&self, aliases: &BTreeMap<String, String>) -> Result<TokenResponse, ProviderError> {
        let (wire, response) = (self.wire, self.response);
        let text = BodyText::of(&response.body);
        let body = object(wire.token.response_format, response, &text).map_err(|_| malformed(problem_of_body(response)))?;
        let error = reported(wire.token.error_in_200, aliases, &body);
        let path = match (self.kind, &wire.refresh.nested_in) {
            (CallKind::Refresh, Some(path)) => Some(path),
            (CallKind::Refresh | CallKind::Exchange(_) | CallKind::ClientCredentials, _) => wire.token.nested_in.as_ref(),
        };
        let nested = path.filter(|path| !path.is_empty()).map(|path| body.at(path).and_then(Value::as_object));
        let Some(set) = nested.unwrap_or(Some(&body)) else {
            return Err(error.unwrap_or_else(|| malformed("the member that contains the tokens is missing")));
        };
        let mut members = Members::of(set);
        if let Some(error) = error {
            // Some providers send a word in every response, such as `none`. A code of the protocol contradicts the token; a
            // member that is repeated is no code.
            if !members.has_access_token() || oauth_error::is_registered(&body, aliases) {
                return Err(error);
            }
            let kind = if body.repeats("error") { AnomalyKind::Repeated } else { AnomalyKind::Unsupported };
            members.found("error", kind);
        }
        let (access_token, token_type) = (members.access_token()?, members.token_type(&wire.token)?);
        let refresh_token = members.refresh_token()?;
        let mut response = TokenResponse {
            lifetime: members.lifetime(&wire.token.access_lifetime, wire.token.access_lifetime.assumed(), self.seconds()),
            refresh_lifetime: self.refresh_lifetime(&mut members, refresh_token.is_some()),
            scopes: members.scopes(&wire.scopes),
            id_token: members.id_token(),
            account: match wire.identity.source {
                IdentitySource::TokenResponse => account_in(&body, &wire.identity),
                IdentitySource::Userinfo => None,
            },
            api_base: self.api_base(&body),
            access_token,
            token_type,
            refresh_token,
            anomalies: Vec::new(),
        };
        if wire.refresh.token == RefreshedWith::AccessToken && !matches!(self.kind, CallKind::ClientCredentials) {
            response.refresh_token = Some(response.access_token.clone_secret());
            response.refresh_lifetime = response.lifetime;
        }
        if text.has_byte_order_mark {
            members.found_in_body(AnomalyKind::ByteOrderMark);
        }
        if text.has_invalid_bytes {
            members.found_in_body(AnomalyKind::NotText);
        }
        response.anomalies = members.finish();
        Ok(response)
    }

    /// A refresh without a new refresh token extends the present one only if the provider ends it by the time it is not used.
    fn refresh_lifetime(&self, members: &mut Members<'_, '_>, is_new: bool) -> Lifetime {
        let (rules, refresh) = (&self.wire.token.refresh_lifetime, &self.wire.refresh);
        let (idle, absolute) = (refresh.idle_seconds, refresh.absolute_seconds);
        let assumed = match self.kind {
            CallKind::Refresh if !is_new => idle,
            CallKind::Refresh => rules.assumed_seconds.or(idle),
            CallKind::Exchange(_) => rules.assumed_seconds.or_else(|| idle.into_iter().chain(absolute).min()),
            CallKind::ClientCredentials => None,
        };
        members.lifetime(rules, assumed.map(Duration::from_secs), self.seconds())
    }

    /// The API that the response or the redirect names.
    fn api_base(&self, body: &Object<'_>) -> Option<ApiBase> {
        let template = self.api.filter(|template| !template.is_of_userinfo())?;
        template.fill(self.policy, |value| match (value.from, self.kind) {
            (GrantValueSource::TokenResponse, _) => body.at(&value.member)?.as_scalar().map(Cow::into_owned),
            (GrantValueSource::Callback, CallKind::Exchange(parameters)) => {
                parameters.iter().find(|(name, _)| *name == value.member).map(|(_, value)| value.clone())
            }
            (GrantValueSource::Callback | GrantValueSource::Userinfo, _) => None,
        })
    }

    fn seconds(&self) -> u64 {
        u64::try_from(self.now.as_millis() / 1000).unwrap_or_default()
    }
}

/// The error that a body reports, if there is one.
fn reported(is_read: bool, aliases: &BTreeMap<String, String>, body: &Object<'_>) -> Option<ProviderError> {
    if body.repeats("error") {
        return Some(malformed("the member error occurs more than once"));
    }
    let code = oauth_error::error_code(body)?;
    let unread = || malformed("a success that contains the member error");
    Some(if is_read { oauth_error::from_code(&code, aliases) } else { unread() })
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

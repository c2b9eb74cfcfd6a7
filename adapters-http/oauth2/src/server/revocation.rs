//! Token revocation (RFC 7009), and the variants of vendors.

use grantry_domain::ports::{ClientCredentials, ProviderError, ProviderErrorKind, RevocationResponse, TokenKind};
use grantry_domain::provider::ProviderSnapshot;
use grantry_domain::secret::Secret;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use zeroize::Zeroizing;

use super::token_request::form_request;
use super::token_response::MAX_RESPONSE;
use super::{AGENT, JSON, Oauth2Server, client_auth, oauth_error, share_of};
use crate::codec::form::Form;
use crate::codec::{BodyText, json};
use crate::profile::rules::{RevocationStyle, Wire};
use crate::transport::{HttpRequest, HttpResponse};

impl Oauth2Server {
    pub(super) async fn request_revocation(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        token: &Secret,
        kind: TokenKind,
    ) -> Result<RevocationResponse, ProviderError> {
        let rules = self.rules(provider)?;
        let Some(endpoint) = &provider.endpoints.revocation else { return Ok(RevocationResponse::NotSupported) };
        let request = match rules.wire.revocation.style {
            RevocationStyle::Rfc7009 => standard(&rules.wire, provider, client, endpoint, token, kind)?,
            RevocationStyle::DeleteBasicJson if kind == TokenKind::Refresh => return Ok(RevocationResponse::NotSupported),
            RevocationStyle::DeleteBasicJson => delete(provider, client, endpoint, token)?,
        };
        let request = HttpRequest { share: share_of(client), ..request };
        classify(&rules.wire, &self.send(request).await?)
    }
}

/// RFC 7009 §2.1. The hint must be correct: some servers search only tokens of that type and return 200 in any case.
fn standard(
    wire: &Wire,
    provider: &ProviderSnapshot,
    client: &ClientCredentials,
    endpoint: &str,
    token: &Secret,
    kind: TokenKind,
) -> Result<HttpRequest, ProviderError> {
    let hint = match kind {
        TokenKind::Access => "access_token",
        TokenKind::Refresh => "refresh_token",
    };
    let mut form = Form::default();
    form.add_secret("token", token).add("token_type_hint", hint);
    let id_parameter = wire.authorize.client_id_parameter.as_deref().unwrap_or("client_id");
    let authorization = client_auth::authenticate(provider, client, id_parameter, &mut form)?;
    Ok(form_request(endpoint, authorization, &form))
}

/// `DELETE` with the client's Basic credentials and the token in a JSON body.
fn delete(
    provider: &ProviderSnapshot,
    client: &ClientCredentials,
    endpoint: &str,
    token: &Secret,
) -> Result<HttpRequest, ProviderError> {
    #[derive(Serialize)]
    struct Body<'a> {
        access_token: &'a str,
    }
    let access_token = token.expose_text().ok_or(ProviderErrorKind::Malformed)?;
    // A token is visible ASCII, of which an escape takes at most two bytes: the buffer never grows.
    let mut body = Zeroizing::new(Vec::with_capacity(br#"{"access_token":""}"#.len() + 2 * access_token.len()));
    serde_json::to_writer(&mut *body, &Body { access_token }).map_err(|_| ProviderErrorKind::Malformed)?;
    Ok(HttpRequest {
        method: Method::DELETE,
        url: endpoint.to_owned(),
        headers: HeaderMap::from_iter([(ACCEPT, JSON), (CONTENT_TYPE, JSON), (USER_AGENT, AGENT)]),
        authorization: Some(client_auth::basic(&provider.client_id, client_auth::require_secret(client)?)?),
        body: Some(Secret::from_zeroizing(body)),
        max_body: MAX_RESPONSE,
        share: None,
    })
}

/// Error codes of a token that is invalid or unknown: there is nothing left to revoke (RFC 7009 §2.2).
const NOT_A_TOKEN: [&str; 14] = [
    "already_revoked",
    "expired_token",
    "invalid_access_token",
    "invalid_grant",
    "invalid_refresh_token",
    "invalid_token",
    "refresh_token_not_found",
    "revoked_token",
    "token_already_revoked",
    "token_expired",
    "token_invalid",
    "token_not_found",
    "token_revoked",
    "unknown_token",
];

fn classify(wire: &Wire, response: &HttpResponse) -> Result<RevocationResponse, ProviderError> {
    let status = response.status;
    if status.is_success() || wire.revocation.success_statuses.contains(&status.as_u16()) {
        return Ok(RevocationResponse::Done);
    }
    if [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::GONE].contains(&status) {
        let text = BodyText::of(&response.body);
        let codes = json::parse_tolerant(&text).map(|body| oauth_error::codes(&body)).unwrap_or_default();
        let contains = |known: &str| codes.iter().any(|code| code == known);
        if contains("unsupported_token_type") {
            return Ok(RevocationResponse::NotSupported);
        }
        // If the client is refused, the token was not looked at.
        let is_client_refused = ["invalid_client", "unauthorized_client", "access_denied"].into_iter().any(contains);
        if !is_client_refused && codes.iter().any(|code| is_not_a_token(wire, code)) {
            return Ok(RevocationResponse::Done);
        }
    }
    Err(oauth_error::from_response(response, &wire.token.errors))
}

fn is_not_a_token(wire: &Wire, code: &str) -> bool {
    let meaning = wire.token.errors.get(code).map_or(code, String::as_str);
    NOT_A_TOKEN.iter().any(|known| known.eq_ignore_ascii_case(meaning))
}

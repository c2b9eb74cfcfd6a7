//! Token revocation (RFC 7009), and the variants of vendors.

use grantry_domain::ports::{ClientCredentials, ProviderError, ProviderErrorKind, RevocationResponse, TokenKind};
use grantry_domain::provider::ProviderSnapshot;
use grantry_domain::secret::Secret;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use zeroize::Zeroizing;

use super::client_auth::FieldNames;
use super::token_request::post;
use super::token_response::MAX_RESPONSE;
use super::{AGENT, JSON, Oauth2Server, client_auth, oauth_error, share_of, with_headers};
use crate::codec::form::Form;
use crate::codec::{BodyText, json};
use crate::profile::rules::{BearerMethod, RequestFormat, RevocationStyle, Wire};
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
        // One call may end all tokens.
        if !rules.wire.revocation.order.iter().any(|revoked| TokenKind::from(*revoked) == kind) {
            return Ok(RevocationResponse::NotSupported);
        }
        let request = match rules.wire.revocation.style {
            RevocationStyle::Rfc7009 => standard(&rules.wire, provider, client, token, kind, RequestFormat::Form)?,
            RevocationStyle::Json => standard(&rules.wire, provider, client, token, kind, RequestFormat::Json)?,
            RevocationStyle::BearerForm => bearer_form(&rules.wire, token, kind)?,
            RevocationStyle::Bearer => with_bearer(rules.wire.revocation.method, token),
            RevocationStyle::DeleteBasicJson => delete(provider, client, token)?,
        };
        let request = HttpRequest { url: endpoint.clone(), share: share_of(client), ..request };
        classify(&rules.wire, &self.send(with_headers(request, &rules.wire)).await?)
    }
}

/// The token and the parameters of the profile (RFC 7009 §2.1). The hint must be correct: some servers search only tokens of that
/// type and return 200 in any case.
fn token_form<'a>(wire: &'a Wire, token: &'a Secret, kind: TokenKind) -> Form<'a> {
    let rules = &wire.revocation;
    let mut form = Form::default();
    form.add_secret(&rules.token_parameter, token);
    if rules.send_hint {
        let hint = match kind {
            TokenKind::Access => "access_token",
            TokenKind::Refresh => "refresh_token",
        };
        form.add("token_type_hint", hint);
    }
    form.add_all(&rules.parameters);
    form
}

/// RFC 7009 §2.1.
fn standard(
    wire: &Wire,
    provider: &ProviderSnapshot,
    client: &ClientCredentials,
    token: &Secret,
    kind: TokenKind,
    format: RequestFormat,
) -> Result<HttpRequest, ProviderError> {
    let rules = &wire.revocation;
    let mut form = token_form(wire, token, kind);
    let standard = FieldNames::with_id(wire.authorize.client_id_parameter.as_deref());
    let names = FieldNames {
        id: rules.client_id_parameter.as_deref().unwrap_or(standard.id),
        secret: rules.client_secret_parameter.as_deref().unwrap_or(standard.secret),
    };
    let authentication = rules.authentication.unwrap_or(provider.authentication);
    let authorization = client_auth::authenticate(authentication, &provider.client_id, client, names, &mut form)?;
    post("", authorization, format, &form)
}

/// The token authenticates the request, and is a field of its form as well.
fn bearer_form(wire: &Wire, token: &Secret, kind: TokenKind) -> Result<HttpRequest, ProviderError> {
    post("", Some(client_auth::bearer(token)), RequestFormat::Form, &token_form(wire, token, kind))
}

/// The token authenticates the request, which has no body.
fn with_bearer(method: BearerMethod, token: &Secret) -> HttpRequest {
    HttpRequest {
        method: match method {
            BearerMethod::Post => Method::POST,
            BearerMethod::Delete => Method::DELETE,
            BearerMethod::Get => Method::GET,
        },
        url: String::new(),
        headers: HeaderMap::from_iter([(ACCEPT, JSON), (USER_AGENT, AGENT)]),
        authorization: Some(client_auth::bearer(token)),
        body: None,
        max_body: MAX_RESPONSE,
        share: None,
    }
}

/// `DELETE` with the client's Basic credentials and the token in a JSON body.
fn delete(provider: &ProviderSnapshot, client: &ClientCredentials, token: &Secret) -> Result<HttpRequest, ProviderError> {
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
        url: String::new(),
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
    let text = BodyText::of(&response.body);
    let body = json::parse_tolerant(&text).ok();
    // The token endpoint of such a provider is not the only one that reports errors with status 200.
    let error_in_200 = body.as_ref().filter(|_| wire.token.error_in_200 && status.is_success());
    let error_in_200 = error_in_200.and_then(oauth_error::error_code);
    let is_success = status.is_success() && error_in_200.is_none();
    if is_success {
        return Ok(RevocationResponse::Done);
    }
    let is_listed = wire.revocation.success_statuses.contains(&status.as_u16());
    let reports_code = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::GONE].contains(&status);
    if is_listed || reports_code || error_in_200.is_some() {
        let codes = body.as_ref().map(oauth_error::codes).unwrap_or_default();
        let contains = |known: &str| codes.iter().any(|code| code == known);
        if contains("unsupported_token_type") {
            return Ok(RevocationResponse::NotSupported);
        }
        // If the client is refused, the token was not looked at.
        let is_client_refused = ["invalid_client", "unauthorized_client", "access_denied"].into_iter().any(contains);
        if !is_client_refused && (is_listed || codes.iter().any(|code| is_not_a_token(wire, code))) {
            return Ok(RevocationResponse::Done);
        }
    }
    Err(match error_in_200 {
        Some(code) => oauth_error::from_code(&code, &wire.token.errors).with_status(status.as_u16()),
        None => oauth_error::from_response(response, &wire.token.errors),
    })
}

fn is_not_a_token(wire: &Wire, code: &str) -> bool {
    let meaning = wire.token.errors.get(code).map_or(code, String::as_str);
    NOT_A_TOKEN.iter().any(|known| known.eq_ignore_ascii_case(meaning))
}

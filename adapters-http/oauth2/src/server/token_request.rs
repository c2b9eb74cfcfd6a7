//! Requests to the token endpoint (RFC 6749 §4.1.3, §4.4.2, §6).

use grantry_domain::ports::{ClientCredentials, CodeExchange, ProviderError, ProviderErrorKind, TokenResponse};
use grantry_domain::provider::{ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};

use super::client_auth::FieldNames;
use super::token_response::{CallKind, MAX_RESPONSE, MAX_TOKEN_RESPONSE, Received};
use super::{AGENT, JSON, Oauth2Server, client_auth, share_of, with_headers};
use crate::codec::form::Form;
use crate::profile::ParsedConnector;
use crate::profile::rules::{Pkce, RequestFormat};
use crate::transport::HttpRequest;

pub(super) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

impl Oauth2Server {
    pub(super) async fn exchange_code(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        exchange: &CodeExchange,
    ) -> Result<TokenResponse, ProviderError> {
        let rules = self.rules(provider)?;
        let mut form = Form::default();
        form.add("grant_type", "authorization_code").add_secret("code", &exchange.code);
        form.add("redirect_uri", &provider.redirect_uri);
        if rules.wire.authorize.pkce == Pkce::Required {
            form.add_secret("code_verifier", &exchange.verifier);
        }
        form.add_all(&rules.wire.token.parameters);
        let call = TokenCall { endpoint: &provider.endpoints.token, kind: CallKind::Exchange(&exchange.parameters) };
        self.token_call(&rules, provider, client, form, call).await
    }

    pub(super) async fn request_refresh(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        refresh_token: &Secret,
        granted: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        let rules = self.rules(provider)?;
        let (scope, refresh) = (rules.wire.scopes.join(granted), &rules.wire.refresh);
        let mut form = Form::default();
        form.add("grant_type", refresh.grant_type.as_deref().unwrap_or(REFRESH_TOKEN));
        form.add_secret(refresh.token_parameter.as_deref().unwrap_or(REFRESH_TOKEN), refresh_token);
        // Without the parameter the scopes stay as granted (RFC 6749 §6). With it, only the granted scopes are sent.
        if rules.wire.refresh.send_scope && !scope.is_empty() {
            form.add(&rules.wire.scopes.parameter, &scope);
        }
        if rules.wire.refresh.send_redirect_uri {
            form.add("redirect_uri", &provider.redirect_uri);
        }
        form.add_all(&refresh.parameters);
        let endpoint = provider.endpoints.for_refresh();
        self.token_call(&rules, provider, client, form, TokenCall { endpoint, kind: CallKind::Refresh }).await
    }

    pub(super) async fn request_client_token(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        scopes: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        let rules = self.rules(provider)?;
        let scope = rules.wire.scopes.join(scopes);
        let mut form = Form::default();
        form.add("grant_type", "client_credentials");
        if !scope.is_empty() {
            form.add(&rules.wire.scopes.parameter, &scope);
        }
        let call = TokenCall { endpoint: &provider.endpoints.token, kind: CallKind::ClientCredentials };
        self.token_call(&rules, provider, client, form, call).await
    }

    async fn token_call<'a>(
        &self,
        rules: &'a ParsedConnector,
        provider: &'a ProviderSnapshot,
        client: &'a ClientCredentials,
        mut form: Form<'a>,
        call: TokenCall<'a>,
    ) -> Result<TokenResponse, ProviderError> {
        for resource in &provider.resources {
            form.add("resource", resource);
        }
        let wire = &rules.wire;
        let response = {
            let names = FieldNames::with_id(wire.authorize.client_id_parameter.as_deref());
            let authorization =
                client_auth::authenticate(provider.authentication, &provider.client_id, client, names, &mut form)?;
            let request = post(call.endpoint, authorization, wire.token.request_format, &form)?;
            let request = HttpRequest { max_body: MAX_TOKEN_RESPONSE, share: share_of(client), ..request };
            self.send(with_headers(request, wire)).await?
        };
        let (policy, now) = (self.profiles.policy(), self.clock.now());
        Received { wire, api: rules.api.as_ref(), policy, kind: call.kind, response: &response, now }.decode()
    }
}

const REFRESH_TOKEN: &str = "refresh_token";

/// A request to the token endpoint.
struct TokenCall<'a> {
    endpoint: &'a str,
    kind: CallKind<'a>,
}

/// A POST request with a form, or with its fields as a JSON object.
pub(super) fn post(
    url: &str,
    authorization: Option<Secret>,
    format: RequestFormat,
    form: &Form<'_>,
) -> Result<HttpRequest, ProviderError> {
    let request = form_request(url, authorization, form);
    match format {
        RequestFormat::Form => Ok(request),
        RequestFormat::Json => {
            let body = form.to_json().ok_or(ProviderErrorKind::Malformed)?;
            let headers = HeaderMap::from_iter([(ACCEPT, JSON), (CONTENT_TYPE, JSON), (USER_AGENT, AGENT)]);
            Ok(HttpRequest { body: Some(body), headers, ..request })
        }
    }
}

/// A POST request with a form.
pub(super) fn form_request(url: &str, authorization: Option<Secret>, form: &Form<'_>) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        url: url.to_owned(),
        headers: HeaderMap::from_iter([(ACCEPT, JSON), (CONTENT_TYPE, FORM), (USER_AGENT, AGENT)]),
        authorization,
        body: Some(form.finish()),
        max_body: MAX_RESPONSE,
        share: None,
    }
}

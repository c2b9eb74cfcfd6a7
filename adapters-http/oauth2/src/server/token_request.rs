//! Requests to the token endpoint (RFC 6749 §4.1.3, §4.4.2, §6).

use grantry_domain::ports::{ClientCredentials, ProviderError, TokenResponse};
use grantry_domain::provider::{ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};

use super::token_response::{self, MAX_RESPONSE, MAX_TOKEN_RESPONSE};
use super::{AGENT, JSON, Oauth2Server, client_auth, share_of};
use crate::codec::form::Form;
use crate::profile::rules::{Pkce, Wire};
use crate::transport::HttpRequest;

pub(super) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

impl Oauth2Server {
    pub(super) async fn exchange_code(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        code: &Secret,
        verifier: &Secret,
    ) -> Result<TokenResponse, ProviderError> {
        let rules = self.rules(provider)?;
        let mut form = Form::default();
        form.add("grant_type", "authorization_code").add_secret("code", code).add("redirect_uri", &provider.redirect_uri);
        if rules.wire.authorize.pkce == Pkce::Required {
            form.add_secret("code_verifier", verifier);
        }
        self.token_call(&rules.wire, provider, client, form).await
    }

    pub(super) async fn request_refresh(
        &self,
        provider: &ProviderSnapshot,
        client: &ClientCredentials,
        refresh_token: &Secret,
        granted: &Scopes,
    ) -> Result<TokenResponse, ProviderError> {
        let rules = self.rules(provider)?;
        let scope = rules.wire.scopes.join(granted);
        let mut form = Form::default();
        form.add("grant_type", "refresh_token").add_secret("refresh_token", refresh_token);
        // Without the parameter the scopes stay as granted (RFC 6749 §6). With it, only the granted scopes are sent.
        if rules.wire.refresh.send_scope && !scope.is_empty() {
            form.add(&rules.wire.scopes.parameter, &scope);
        }
        if rules.wire.refresh.send_redirect_uri {
            form.add("redirect_uri", &provider.redirect_uri);
        }
        let mut wire = rules.wire.clone();
        let rejects = wire.refresh.errors.iter().map(|code| (code.clone(), "invalid_grant".to_owned()));
        wire.token.errors.extend(rejects.collect::<Vec<_>>());
        self.token_call(&wire, provider, client, form).await
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
        self.token_call(&rules.wire, provider, client, form).await
    }

    async fn token_call<'a>(
        &self,
        wire: &'a Wire,
        provider: &'a ProviderSnapshot,
        client: &'a ClientCredentials,
        mut form: Form<'a>,
    ) -> Result<TokenResponse, ProviderError> {
        for resource in &provider.resources {
            form.add("resource", resource);
        }
        let response = {
            let id_parameter = wire.authorize.client_id_parameter.as_deref().unwrap_or("client_id");
            let authorization = client_auth::authenticate(provider, client, id_parameter, &mut form)?;
            let request = form_request(&provider.endpoints.token, authorization, &form);
            self.send(HttpRequest { max_body: MAX_TOKEN_RESPONSE, share: share_of(client), ..request }).await?
        };
        token_response::decode(wire, &response)
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

//! Runs a profile against what its provider sends according to the vendor's documentation: `<id>.toml` and
//! `<id>.exchange.toml`. No request leaves the process.

mod file;
mod script;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grantry_domain::connector::ConnectorConfig;
use grantry_domain::ports::{
    AuthorizationRequest, AuthorizationServer as _, ClientCredentials, Clock, CodeExchange, Lifetime, ProviderError,
    ProviderProfiles as _, RevocationResponse, TokenKind, TokenResponse,
};
use grantry_domain::provider::{CallbackPath, ClientAuthentication, ProviderSettings, ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use thiserror::Error;

use self::file::{ErrorKind, Exchange, ExpectedCallback, ExpectedRequest, Grant, IdentityCall, Revocation, TokenCall};
use self::script::{ScriptedTransport, Sent};
use crate::egress::EgressPolicy;
use crate::profile::rules::{IdentitySource, RefreshTokens};
use crate::profile::{InvalidProfile, Profiles};
use crate::server::Oauth2Server;

const REDIRECT_URI: &str = "https://grantry.example/callback";
const CLIENT_ID: &str = "client-1";
const CLIENT_SECRET: &str = "client-secret-canary";

/// A profile whose exchange does not have the expected results, or is not complete.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidExchange {
    /// The profile cannot be read.
    #[error(transparent)]
    Profile(#[from] InvalidProfile),
    /// The exchange cannot be read.
    #[error("exchange {name}: {problem}")]
    Exchange {
        /// File name.
        name: String,
        /// Description of the error, with its place.
        problem: String,
    },
    /// What differs, one line each.
    #[error("exchange {name}: {}", problems.join("; "))]
    Differs {
        /// File name.
        name: String,
        /// The differences.
        problems: Vec<String>,
    },
}

impl InvalidExchange {
    /// What is wrong, one line each.
    pub fn problems(self) -> Vec<String> {
        match self {
            Self::Profile(InvalidProfile { problem, .. }) => vec![problem],
            Self::Exchange { name, problem } => vec![format!("{name}: {problem}")],
            Self::Differs { name, problems } => problems.into_iter().map(|problem| format!("{name}: {problem}")).collect(),
        }
    }
}

/// Runs a profile through consent, code exchange, refresh, errors, identification and revocation, with the responses of its
/// exchange file. Both files are given by name and text.
pub async fn check_exchange(profile: (&str, &str), exchange: (&str, &str)) -> Result<(), InvalidExchange> {
    let any_host = EgressPolicy::any_public();
    let profiles = Arc::new(Profiles::of_file(any_host, profile.0, profile.1)?);
    let name = exchange.0.to_owned();
    let parsed: Exchange = toml::from_str(exchange.1)
        .map_err(|error| InvalidExchange::Exchange { name: name.clone(), problem: error.to_string() })?;
    let transport = Arc::new(ScriptedTransport::default());
    let server = Oauth2Server::new(transport.clone(), profiles.clone(), Arc::new(StoppedClock));
    let rules = profiles.only().map(|profile| profile.file.wire.revocation.authentication);
    let revocation_authentication = rules.flatten();
    let mut run = Run { profiles, transport, server, revocation_authentication, has_named_api: false, problems: Vec::new() };
    run.all(&parsed).await;
    if run.problems.is_empty() { Ok(()) } else { Err(InvalidExchange::Differs { name, problems: run.problems }) }
}

/// The time in an exchange does not pass. Times of expiry in responses count from here.
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

struct Run {
    profiles: Arc<Profiles>,
    transport: Arc<ScriptedTransport>,
    server: Oauth2Server,
    revocation_authentication: Option<ClientAuthentication>,
    /// Whether a response named the API of the grant.
    has_named_api: bool,
    problems: Vec<String>,
}

impl Run {
    async fn all(&mut self, exchange: &Exchange) {
        let Some(profile) = self.profiles.only() else { return };
        let (id, wire) = (profile.id.clone(), profile.file.wire.clone());
        let has_userinfo = profile.file.endpoints.userinfo.is_some();
        let config =
            ConnectorConfig { profile: id, settings: exchange.config.clone(), client_id: Some(CLIENT_ID.to_owned()) };
        let settings = match self.profiles.settings(&config) {
            Ok(settings) => settings,
            Err(invalid) => return self.problems.push(invalid.to_string()),
        };
        let expected = match exchange.callback {
            ExpectedCallback::Profiles => CallbackPath::Profiles,
            ExpectedCallback::PerConnector => CallbackPath::PerConnector,
        };
        self.compare("callback", &expected, &settings.callback);
        self.compare("expected_scopes", &Scopes::new(&exchange.expected_scopes), &settings.expected_scopes);
        self.compare("base_url is given", &settings.base_url.is_none(), &exchange.base_url.is_some());
        let provider = match self.server.resolve(&settings, REDIRECT_URI, &exchange.config).await {
            Ok(provider) => provider,
            Err(error) => return self.problems.push(format!("endpoints: {error}")),
        };
        self.authorization_url(&provider, &settings, exchange).await;
        for (index, call) in exchange.token.iter().enumerate() {
            self.token_call(&provider, call, exchange, &format!("token call {}", index + 1)).await;
        }
        self.completeness(&exchange.token, wire.refresh.tokens);
        match (&exchange.identity, has_userinfo) {
            (Some(identity), true) => self.identity(&provider, identity, exchange.base_url.as_ref()).await,
            (None, true) => self.problems.push("identity: is missing, and the profile has a userinfo endpoint".to_owned()),
            (Some(_), false) => self.problems.push("identity: the profile has no userinfo endpoint".to_owned()),
            (None, false) => {}
        }
        self.compare("base_url, a response names it", &exchange.base_url.is_some(), &self.has_named_api.clone());
        let is_of_token = wire.identity.source == IdentitySource::TokenResponse;
        let names_account =
            exchange.token.iter().any(|call| call.tokens.as_ref().is_some_and(|tokens| tokens.account.is_some()));
        self.compare("a token response with account", &is_of_token, &names_account);
        match (&exchange.revocation, provider.endpoints.revocation.is_some()) {
            (Some(revocation), true) => self.revocation(&provider, revocation).await,
            (None, true) => {
                self.problems.push("revocation: is missing, and the profile has a revocation endpoint".to_owned());
            }
            (Some(_), false) => self.problems.push("revocation: the profile has no revocation endpoint".to_owned()),
            (None, false) => {}
        }
    }

    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, expected: &T, found: &T) {
        if expected != found {
            self.problems.push(format!("{what}: expected {expected:?}, found {found:?}"));
        }
    }

    /// Every profile shows a code exchange, one of its errors, and the same for refreshes if there are any.
    fn completeness(&mut self, calls: &[TokenCall], tokens: Option<RefreshTokens>) {
        let has = |grant, succeeds: bool| calls.iter().any(|call| call.grant == grant && call.tokens.is_some() == succeeds);
        let rejects =
            calls.iter().any(|call| call.grant == Grant::RefreshToken && call.error == Some(ErrorKind::InvalidGrant));
        let is_refreshed = tokens != Some(RefreshTokens::None);
        let required = [
            (has(Grant::AuthorizationCode, true), "an authorization_code that succeeds"),
            (has(Grant::AuthorizationCode, false), "an authorization_code that fails"),
            (!is_refreshed || has(Grant::RefreshToken, true), "a refresh_token that succeeds"),
            (!is_refreshed || rejects, "a refresh_token with the error invalid-grant"),
        ];
        let missing = required.into_iter().filter(|(is_present, _)| !is_present);
        self.problems.extend(missing.map(|(_, what)| format!("token: {what} is missing")));
    }

    async fn authorization_url(&mut self, provider: &ProviderSnapshot, settings: &ProviderSettings, exchange: &Exchange) {
        let request = AuthorizationRequest {
            state: Secret::from_text("state-1"),
            code_challenge: "challenge-1".to_owned(),
            scopes: settings.requested_scopes.clone(),
            nonce: None,
            login_hint: None,
            select_account: false,
        };
        let url = match self.server.authorization_url(provider, &client(), request).await {
            Ok(url) => url,
            Err(error) => return self.problems.push(format!("authorization: {error}")),
        };
        let url = url.expose_text().unwrap_or_default();
        let (endpoint, query) = url.split_once('?').unwrap_or((url, ""));
        self.compare("authorization.endpoint", &exchange.authorization.endpoint.as_str(), &endpoint);
        let mut parameters: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        for (name, value) in [("redirect_uri", REDIRECT_URI), ("state", "state-1")] {
            self.compare(name, &Some(value), &parameters.remove(name).as_deref());
        }
        for (name, value) in [("code_challenge", "challenge-1"), ("code_challenge_method", "S256")] {
            self.compare(name, &exchange.authorization.pkce.then_some(value), &parameters.remove(name).as_deref());
        }
        // Sent under another name by some profiles.
        if let Some(sent) = parameters.remove("client_id") {
            self.compare("client_id", &CLIENT_ID, &sent.as_str());
        }
        self.compare("authorization.parameters", &exchange.authorization.parameters, &parameters);
    }

    async fn token_call(&mut self, provider: &ProviderSnapshot, call: &TokenCall, exchange: &Exchange, context: &str) {
        self.transport.respond(&call.response);
        let (server, granted, client) = (&self.server, Scopes::default(), client());
        let result = match call.grant {
            Grant::AuthorizationCode => {
                let code = CodeExchange {
                    code: Secret::from_text("code-1"),
                    verifier: Secret::from_text("verifier-1"),
                    parameters: exchange.callback_parameters.clone().into_iter().collect(),
                };
                server.exchange(provider, &client, &code).await
            }
            Grant::RefreshToken => server.refresh(provider, &client, &Secret::from_text("refresh-token-1"), &granted).await,
            Grant::ClientCredentials => server.client_credentials(provider, &client, &granted).await,
        };
        self.request(&call.request, context);
        match (result, &call.tokens, call.error) {
            (Ok(response), Some(_), None) => self.tokens(&response, call, exchange, context),
            (Err(error), None, Some(kind)) => self.compare(context, &kind.into(), &error.kind),
            (_, Some(_), Some(_)) | (_, None, None) => self.problems.push(format!("{context}: give either tokens or error")),
            (Ok(_), None, Some(_)) => self.problems.push(format!("{context}: an error was expected")),
            (Err(error), Some(_), None) => self.problems.push(format!("{context}: {}", described(&error))),
        }
    }

    fn tokens(&mut self, response: &TokenResponse, call: &TokenCall, exchange: &Exchange, context: &str) {
        let Some(expected) = &call.tokens else { return };
        let text = |secret: &Secret| secret.expose_text().unwrap_or_default().to_owned();
        self.compare(&format!("{context}, access_token"), &expected.access_token, &text(&response.access_token));
        let refresh_token = response.refresh_token.as_ref().map(text);
        self.compare(&format!("{context}, refresh_token"), &expected.refresh_token, &refresh_token);
        let lifetime = Lifetime::from(&expected.access_lifetime);
        self.compare(&format!("{context}, access_lifetime"), &lifetime, &response.lifetime);
        let refresh_lifetime = Lifetime::from(&expected.refresh_lifetime);
        self.compare(&format!("{context}, refresh_lifetime"), &refresh_lifetime, &response.refresh_lifetime);
        let scopes = expected.granted_scopes.as_ref().map(Scopes::new);
        self.compare(&format!("{context}, granted_scopes"), &scopes, &response.scopes);
        if call.grant != Grant::AuthorizationCode {
            return;
        }
        let account = expected.account.as_ref().map(|account| (account.subject.as_str(), account.label.as_str()));
        let found = response.account.as_ref().map(|account| (account.subject.as_str(), account.label.as_str()));
        self.compare(&format!("{context}, account"), &account, &found);
        if let Some(base) = &response.api_base {
            self.has_named_api = true;
            self.compare(&format!("{context}, base_url"), &exchange.base_url.as_ref(), &Some(&base.url));
        }
    }

    async fn identity(&mut self, provider: &ProviderSnapshot, identity: &IdentityCall, base_url: Option<&String>) {
        self.transport.respond(&identity.response);
        let tokens = TokenResponse {
            access_token: Secret::from_text("token-1"),
            token_type: "Bearer".to_owned(),
            refresh_token: None,
            lifetime: Lifetime::Unknown,
            refresh_lifetime: Lifetime::Unknown,
            scopes: None,
            id_token: None,
            account: None,
            api_base: None,
            anomalies: Vec::new(),
        };
        let identified = match self.server.identify(provider, &client(), &tokens, None).await {
            Ok(identified) => identified,
            Err(error) => return self.problems.push(format!("identity: {}", described(&error))),
        };
        let found = identified.account.map(|account| (account.subject, account.label));
        self.compare("identity", &Some((identity.subject.clone(), identity.label.clone())), &found);
        if let Some(base) = identified.api_base {
            self.has_named_api = true;
            self.compare("identity, base_url", &base_url, &Some(&base.url));
        }
        self.request(&identity.request, "identity");
        let authorization = self.transport.last().and_then(|sent| sent.authorization);
        self.compare("identity, Authorization", &Some("Bearer token-1"), &authorization.as_deref());
    }

    async fn revocation(&mut self, provider: &ProviderSnapshot, revocation: &Revocation) {
        let order: Vec<TokenKind> = revocation.order.iter().copied().map(TokenKind::from).collect();
        self.compare("revocation.order", &order, &self.server.revocation_order(provider));
        for (index, call) in revocation.calls.iter().enumerate() {
            let context = format!("revocation call {}", index + 1);
            let before = self.transport.count();
            if let Some(response) = &call.response {
                self.transport.respond(response);
            }
            let outcome = self.server.revoke(provider, &client(), &Secret::from_text("token-1"), call.token.into()).await;
            let expected = Result::<RevocationResponse, _>::from(&call.outcome);
            self.compare(&context, &expected, &outcome.map_err(|error| error.kind));
            let is_sent = self.transport.count() > before;
            self.compare(&format!("{context}, a request is sent"), &call.response.is_some(), &is_sent);
            if is_sent {
                self.request(&call.request, &context);
                self.proof_of_client(provider, &context);
            }
        }
    }

    /// A revocation proves the client, or possession of the token.
    fn proof_of_client(&mut self, provider: &ProviderSnapshot, context: &str) {
        let Some(sent) = self.transport.last() else { return };
        let is_public = self.revocation_authentication.unwrap_or(provider.authentication) == ClientAuthentication::None;
        if !is_public && sent.authorization.is_none() && !sent.body.contains(CLIENT_SECRET) {
            self.problems.push(format!("{context}: the client is not authenticated"));
        }
    }

    fn request(&mut self, expected: &ExpectedRequest, context: &str) {
        let Some(sent) = self.transport.last() else {
            return self.problems.push(format!("{context}: no request was sent"));
        };
        let Sent { method, url, body, .. } = &sent;
        if let Some(expected) = &expected.method {
            self.compare(&format!("{context}, method"), expected, method);
        }
        if let Some(expected) = &expected.url {
            self.compare(&format!("{context}, url"), expected, url);
        }
        if let Some(expected) = &expected.body {
            self.compare(&format!("{context}, body"), expected, body);
        }
        for (name, value) in &expected.headers {
            self.compare(&format!("{context}, {name}"), &Some(value.as_str()), &sent.header(name));
        }
        for (name, value) in &expected.parameters {
            self.compare(&format!("{context}, {name}"), &Some(value), &sent.parameter(name).as_ref());
        }
    }
}

fn client() -> ClientCredentials {
    ClientCredentials { secret: Some(Secret::from_text(CLIENT_SECRET)), user: None }
}

fn described(error: &ProviderError) -> String {
    match &error.diagnosis.problem {
        Some(problem) => format!("{error}: {problem}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;

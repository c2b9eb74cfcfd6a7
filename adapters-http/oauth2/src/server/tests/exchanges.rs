//! Every profile with the exchange in `<id>.exchange.toml`: requests as the vendor documents them, and the result of the
//! vendor's documented responses.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use grantry_domain::ports::{
    AuthorizationRequest, AuthorizationServer as _, Lifetime, ProviderErrorKind, ProviderProfiles as _, RevocationResponse,
    TokenKind, TokenResponse,
};
use grantry_domain::provider::{CallbackPath, ClientAuthentication, ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use serde::Deserialize;

use crate::fake_transport::{REDIRECT_URI, Sent, TestServer, client, connector_config, text};
use crate::{EgressPolicy, ProfileOptions};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// The connector's `config`.
    config: String,
    callback: Callback,
    expected_scopes: Vec<String>,
    authorization: AuthorizationUrl,
    token: Vec<TokenCall>,
    identity: Option<Identity>,
    revocation: Option<Revocation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Callback {
    Profiles,
    PerConnector,
}

/// The authorization URL. The parameters that every flow sets are always checked and not listed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorizationUrl {
    endpoint: String,
    parameters: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenCall {
    grant: Grant,
    #[serde(default)]
    request: Request,
    response: Response,
    tokens: Option<Tokens>,
    error: Option<ErrorKind>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Grant {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
}

/// What must be in a request; a member that is not given is not checked.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Request {
    method: Option<String>,
    url: Option<String>,
    parameters: BTreeMap<String, String>,
    body: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    body: String,
}

fn ok() -> u16 {
    200
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    access_token: String,
    refresh_token: Option<String>,
    access_lifetime: ExpectedLifetime,
    #[serde(default)]
    refresh_lifetime: ExpectedLifetime,
    /// Absent: the response does not report scopes.
    granted_scopes: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ExpectedLifetime {
    #[default]
    Unknown,
    Never,
    #[serde(untagged)]
    Seconds(u64),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ErrorKind {
    InvalidGrant,
    ClientRefused,
    OtherOauthError,
    Malformed,
    NoResponse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(default)]
    request: Request,
    response: Response,
    subject: String,
    label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    order: Vec<Kind>,
    calls: Vec<RevocationCall>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevocationCall {
    token: Kind,
    #[serde(default)]
    request: Request,
    /// Absent: no request is sent.
    response: Option<Response>,
    outcome: RevocationOutcome,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Access,
    Refresh,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RevocationOutcome {
    Done,
    NotSupported,
    #[serde(untagged)]
    Error(ErrorKind),
}

impl From<Kind> for TokenKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Access => Self::Access,
            Kind::Refresh => Self::Refresh,
        }
    }
}

impl From<ErrorKind> for ProviderErrorKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidGrant => Self::InvalidGrant,
            ErrorKind::ClientRefused => Self::ClientRefused,
            ErrorKind::OtherOauthError => Self::OtherOauthError,
            ErrorKind::Malformed => Self::Malformed,
            ErrorKind::NoResponse => Self::NoResponse,
        }
    }
}

impl From<&ExpectedLifetime> for Lifetime {
    fn from(lifetime: &ExpectedLifetime) -> Self {
        match lifetime {
            ExpectedLifetime::Unknown => Self::Unknown,
            ExpectedLifetime::Never => Self::Never,
            ExpectedLifetime::Seconds(seconds) => Self::For(Duration::from_secs(*seconds)),
        }
    }
}

impl Request {
    fn check(&self, sent: &Sent, context: &str) {
        if let Some(method) = &self.method {
            assert_eq!(&sent.method, method, "{context}");
        }
        if let Some(url) = &self.url {
            assert_eq!(&sent.url, url, "{context}");
        }
        if let Some(body) = &self.body {
            assert_eq!(&sent.body, body, "{context}");
        }
        for (name, value) in &self.parameters {
            assert_eq!(sent.param(name).as_ref(), Some(value), "{context}: {name}");
        }
    }
}

impl Tokens {
    fn check(&self, response: &TokenResponse, context: &str) {
        assert_eq!(text(&response.access_token), self.access_token, "{context}");
        assert_eq!(response.refresh_token.as_ref().map(text), self.refresh_token.as_deref(), "{context}");
        assert_eq!(response.lifetime, Lifetime::from(&self.access_lifetime), "{context}");
        assert_eq!(response.refresh_lifetime, Lifetime::from(&self.refresh_lifetime), "{context}");
        assert_eq!(response.scopes, self.granted_scopes.as_ref().map(Scopes::new), "{context}");
    }
}

fn respond(test: &TestServer, response: &Response) {
    test.transport.respond_with(response.status, &[("content-type", &response.content_type)], response.body.as_str());
}

fn secret(value: &str) -> Secret {
    Secret::from_text(value)
}

#[tokio::test]
async fn every_profile_passes_its_exchange() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    for kind in TestServer::new().profiles.connector_types() {
        let Some(name) = kind.id.strip_prefix('.').filter(|name| *name != "oauth2") else { continue };
        let file = folder.join(format!("{name}.exchange.toml"));
        let exchange = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let exchange: Exchange = toml::from_str(&exchange).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        run(&TestServer::new(), &kind.id, &exchange).await;
    }
}

#[tokio::test]
async fn the_examples_of_the_readme_fit_together() {
    the_examples_fit_together(include_str!("../../../profiles/README.md")).await;
}

#[tokio::test]
async fn the_examples_of_the_guide_fit_together() {
    the_examples_fit_together(include_str!("../../../../../docs/add-a-provider.md")).await;
}

/// The first two examples of a document are a profile and its exchange.
async fn the_examples_fit_together(document: &str) {
    let mut examples = document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let profile = ("example.toml".to_owned(), examples.next().unwrap().to_owned());
    let exchange = toml::from_str(examples.next().unwrap()).unwrap_or_else(|error| panic!("{error}"));
    let options = ProfileOptions { additional: vec![profile], ..ProfileOptions::default() };
    run(&TestServer::with(EgressPolicy::new(&["*"], &[]).unwrap(), options), ".example", &exchange).await;
}

async fn run(test: &TestServer, id: &str, exchange: &Exchange) {
    let settings = test.profiles.settings(&connector_config(id, &exchange.config)).unwrap();
    let callback = match exchange.callback {
        Callback::Profiles => CallbackPath::Profiles,
        Callback::PerConnector => CallbackPath::PerConnector,
    };
    assert_eq!(settings.callback, callback, "{id}");
    assert_eq!(settings.expected_scopes, Scopes::new(&exchange.expected_scopes), "{id}");
    let provider = test.provider(id, &exchange.config).await;
    check_authorization_url(test, &provider, &settings.requested_scopes, exchange).await;
    for (index, call) in exchange.token.iter().enumerate() {
        check_token_call(test, &provider, call, &format!("{id}, token call {index}")).await;
    }
    if let Some(identity) = &exchange.identity {
        check_identity(test, &provider, identity, &format!("{id}, identity")).await;
    }
    check_revocation(test, &provider, exchange.revocation.as_ref(), id).await;
}

async fn check_authorization_url(test: &TestServer, provider: &ProviderSnapshot, scopes: &Scopes, exchange: &Exchange) {
    let request = AuthorizationRequest {
        state: secret("state-1"),
        code_challenge: "challenge-1".to_owned(),
        scopes: scopes.clone(),
        nonce: None,
        login_hint: None,
        select_account: false,
    };
    let url = test.server.authorization_url(provider, &client(), request).await.unwrap();
    let (endpoint, query) = text(&url).split_once('?').unwrap();
    assert_eq!(endpoint, exchange.authorization.endpoint);
    let mut parameters: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let flow_parameters = [("redirect_uri", REDIRECT_URI), ("state", "state-1")];
    for (name, value) in flow_parameters {
        assert_eq!(parameters.remove(name).as_deref(), Some(value), "{name}");
    }
    for (name, value) in [("client_id", "client-1"), ("code_challenge", "challenge-1"), ("code_challenge_method", "S256")] {
        assert!(parameters.remove(name).is_none_or(|sent| sent == value), "{name}");
    }
    assert_eq!(parameters, exchange.authorization.parameters, "{endpoint}");
}

async fn check_token_call(test: &TestServer, provider: &ProviderSnapshot, call: &TokenCall, context: &str) {
    respond(test, &call.response);
    let (server, granted) = (&test.server, Scopes::default());
    let result = match call.grant {
        Grant::AuthorizationCode => server.exchange(provider, &client(), &secret("code-1"), &secret("verifier-1")).await,
        Grant::RefreshToken => server.refresh(provider, &client(), &secret("refresh-token-1"), &granted).await,
        Grant::ClientCredentials => server.client_credentials(provider, &client(), &granted).await,
    };
    call.request.check(&test.transport.last(), context);
    match (result, &call.tokens, call.error) {
        (Ok(response), Some(tokens), None) => tokens.check(&response, context),
        (Err(error), None, Some(kind)) => assert_eq!(error.kind, ProviderErrorKind::from(kind), "{context}"),
        (Ok(_) | Err(_), Some(_), Some(_)) | (Ok(_) | Err(_), None, None) => {
            panic!("{context}: give either tokens or error");
        }
        (Ok(_), None, Some(_)) => panic!("{context}: an error was expected"),
        (Err(error), Some(_), None) => panic!("{context}: {error}"),
    }
}

async fn check_identity(test: &TestServer, provider: &ProviderSnapshot, identity: &Identity, context: &str) {
    respond(test, &identity.response);
    let tokens = TokenResponse {
        access_token: secret("token-1"),
        token_type: "Bearer".to_owned(),
        refresh_token: None,
        lifetime: Lifetime::Unknown,
        refresh_lifetime: Lifetime::Unknown,
        scopes: None,
        id_token: None,
        anomalies: Vec::new(),
    };
    let account = test.server.identify(provider, &client(), &tokens, None).await.unwrap().account.unwrap();
    assert_eq!((account.subject.as_str(), account.label.as_str()), (&*identity.subject, &*identity.label), "{context}");
    let sent = test.transport.last();
    identity.request.check(&sent, context);
    assert_eq!(sent.authorization.as_deref(), Some("Bearer token-1"), "{context}");
}

async fn check_revocation(test: &TestServer, provider: &ProviderSnapshot, revocation: Option<&Revocation>, id: &str) {
    assert_eq!(provider.endpoints.revocation.is_some(), revocation.is_some(), "{id}: revocation endpoint and its exchange");
    let Some(revocation) = revocation else { return };
    let order: Vec<TokenKind> = revocation.order.iter().copied().map(TokenKind::from).collect();
    assert_eq!(test.server.revocation_order(provider), order, "{id}");
    for (index, call) in revocation.calls.iter().enumerate() {
        let context = format!("{id}, revocation call {index}");
        let before = test.transport.sent().len();
        if let Some(response) = &call.response {
            respond(test, response);
        }
        let outcome =
            test.server.revoke(provider, &client(), &secret("token-1"), call.token.into()).await.map_err(|error| error.kind);
        let expected = match call.outcome {
            RevocationOutcome::Done => Ok(RevocationResponse::Done),
            RevocationOutcome::NotSupported => Ok(RevocationResponse::NotSupported),
            RevocationOutcome::Error(kind) => Err(kind.into()),
        };
        assert_eq!(outcome, expected, "{context}");
        assert_eq!(test.transport.sent().len() - before, usize::from(call.response.is_some()), "{context}");
        if call.response.is_some() {
            let sent = test.transport.last();
            call.request.check(&sent, &context);
            let proves_client = provider.authentication == ClientAuthentication::None || sent.authorization.is_some();
            assert!(proves_client || sent.param("client_secret").is_some(), "{context}: the client is not authenticated");
        }
    }
}

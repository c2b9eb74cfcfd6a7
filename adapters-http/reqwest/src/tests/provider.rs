//! The OAuth client and this transport together, against an authorization server on a real socket.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use grantry_domain::connector::{ConnectorConfig, ProfileId};
use grantry_domain::identity::UserId;
use grantry_domain::ports::{
    ApiQuery, ApiRequest, AuthorizationRequest, AuthorizationServer as _, ClientCredentials, Clock, CodeExchange, Lifetime,
    ProviderErrorKind, ProviderProfiles as _, ResourceServer as _, RevocationResponse, TokenKind,
};
use grantry_domain::provider::{ProviderSettings, ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use grantry_provider_oauth2::{ApiCaller, EgressPolicy, Oauth2Server, ProfileOptions, Profiles};
use grantry_testkit::provider::{Client, Endpoint, Fault, MockProvider, Rotation, ScriptedResponse};

use crate::{Limits, ReqwestTransport};

const REDIRECT_URI: &str = "http://127.0.0.1:8080/api/actions/connector/_oauth_callback";
/// Verifier and challenge from RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

struct TestServer {
    mock: MockProvider,
    server: Oauth2Server,
    api: ApiCaller,
    profiles: Arc<Profiles>,
    client: ClientCredentials,
}

impl TestServer {
    async fn new() -> Self {
        let mock = MockProvider::builder().rotation(Rotation::Strict).start().await.unwrap();
        mock.register(Client::new("demo", "se:cret%").redirect_uri(REDIRECT_URI));
        let allow = [format!("127.0.0.1:{}", mock.port())];
        let policy = EgressPolicy::new(&[], &allow).unwrap();
        let profiles = Arc::new(Profiles::new(policy.clone(), ProfileOptions::default()).unwrap());
        let transport = Arc::new(ReqwestTransport::new(policy.clone(), Limits::OAUTH).unwrap());
        let server = Oauth2Server::new(Arc::clone(&transport) as _, Arc::clone(&profiles), Arc::new(WallClock));
        let api = ApiCaller::new(transport, policy, ApiCaller::MAX_BODY);
        let client = ClientCredentials { secret: Some(Secret::from_text("se:cret%")), user: None };
        Self { mock, server, api, profiles, client }
    }

    /// The provider as a flow would freeze it.
    async fn provider(&self, config: &str) -> ProviderSnapshot {
        let settings = self.settings(config);
        self.server.resolve(&settings, REDIRECT_URI, &self.text_of(config)).await.unwrap()
    }

    fn settings(&self, config: &str) -> ProviderSettings {
        let config = ConnectorConfig {
            profile: ProfileId::new(".oauth2").unwrap(),
            settings: self.text_of(config),
            client_id: Some("demo".to_owned()),
        };
        self.profiles.settings(&config).unwrap()
    }

    fn text_of(&self, config: &str) -> String {
        config.replace('$', self.mock.base_url())
    }

    async fn code(&self, provider: &ProviderSnapshot, scopes: &[&str], nonce: Option<&str>) -> Secret {
        let request = AuthorizationRequest {
            state: Secret::from_text("some-state"),
            code_challenge: CHALLENGE.to_owned(),
            scopes: Scopes::new(scopes.iter().copied()),
            nonce: nonce.map(str::to_owned),
            login_hint: None,
            select_account: false,
        };
        let url = self.server.authorization_url(provider, &self.client, request).await.unwrap();
        let callback = self.mock.approve(url.expose_text().unwrap(), "alice").await.unwrap();
        let code = callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        Secret::from_text(&code)
    }
}

const BY_HAND: &str = r#"{"authorizationUrl":"$/authorize","tokenUrl":"$/token","revocationUrl":"$/revoke",
    "userinfoUrl":"$/userinfo","baseUrl":"$/api"}"#;

fn code_exchange(code: &Secret) -> CodeExchange {
    CodeExchange { code: code.clone_secret(), verifier: Secret::from_text(VERIFIER), parameters: Vec::new() }
}

fn text(secret: &Secret) -> &str {
    secret.expose_text().unwrap()
}

#[tokio::test]
async fn r07_a_code_becomes_tokens_that_are_refreshed_and_revoked() {
    let test = TestServer::new().await;
    let provider = test.provider(BY_HAND).await;
    let code = test.code(&provider, &["files.read"], None).await;
    let first =
        test.server.exchange(&provider, &test.client, &code_exchange(&code)).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(first.lifetime, Lifetime::For(Duration::from_mins(5)));
    assert!(test.mock.accepts_access_token(text(&first.access_token)));
    let exchange = test.mock.ledger().token_requests("authorization_code")[0].clone();
    assert_eq!(exchange.param("redirect_uri"), Some(REDIRECT_URI));
    assert_eq!(exchange.param("code_verifier"), Some(VERIFIER));

    let account = test.server.identify(&provider, &test.client, &first, None).await.unwrap().account.unwrap();
    assert_eq!((account.subject.as_str(), account.label.as_str()), ("sub-alice", "alice@example.test"));

    let first_token = first.refresh_token.as_ref().unwrap();
    let second = test.server.refresh(&provider, &test.client, first_token, &Scopes::new(["files.read"])).await;
    let second = second.unwrap_or_else(|error| panic!("{error}"));
    let live = second.refresh_token.as_ref().unwrap();
    assert!(test.mock.accepts_refresh_token(text(live)) && !test.mock.accepts_refresh_token(text(first_token)));

    assert_eq!(test.server.revocation_order(&provider), [TokenKind::Refresh, TokenKind::Access]);
    for (token, kind) in [(live, TokenKind::Refresh), (&second.access_token, TokenKind::Access)] {
        let response = test.server.revoke(&provider, &test.client, token, kind).await;
        assert_eq!(response, Ok(RevocationResponse::Done));
    }
    assert!(!test.mock.accepts_refresh_token(text(live)));
    assert!(!test.mock.accepts_access_token(text(&second.access_token)));

    let again = test.server.exchange(&provider, &test.client, &code_exchange(&code)).await;
    assert_eq!(again.err().map(|error| error.kind), Some(ProviderErrorKind::InvalidGrant));
}

#[tokio::test]
async fn r11_issuer_mode_discovers_endpoints_and_checks_the_id_token() {
    let test = TestServer::new().await;
    let provider = test.provider(r#"{"issuer":"$","scope":"openid","baseUrl":"$/api"}"#).await;
    assert!(provider.issuer_in_response);
    assert_eq!(provider.endpoints.token, test.mock.url("/token"));

    let code = test.code(&provider, &["openid"], Some("n-1")).await;
    let response = test.server.exchange(&provider, &test.client, &code_exchange(&code)).await.ok().unwrap();
    let account =
        test.server.identify(&provider, &test.client, &response, Some("n-1".to_owned())).await.unwrap().account.unwrap();
    assert_eq!((account.subject.as_str(), account.label.as_str()), ("sub-alice", "alice@example.test"));
    assert!(test.mock.ledger().at(Endpoint::Userinfo).is_empty(), "the ID token is sufficient");

    let replayed = test.server.identify(&provider, &test.client, &response, Some("n-2".to_owned())).await;
    assert_eq!(replayed.map_err(|error| error.kind), Err(ProviderErrorKind::Malformed), "another nonce");
}

#[tokio::test]
async fn r28_faulty_responses_become_the_documented_errors() {
    let test = TestServer::new().await;
    let provider = test.provider(BY_HAND).await;
    let granted = Scopes::default();
    for (fault, expected) in [
        (Fault::DropResponse, ProviderErrorKind::NoResponse),
        (Fault::DropRequest, ProviderErrorKind::NoResponse),
        (Fault::CutBody(10), ProviderErrorKind::NoResponse),
        (Fault::EndlessBody, ProviderErrorKind::Malformed),
        (Fault::huge_body(2_200_000), ProviderErrorKind::Malformed),
        (Fault::empty_body(), ProviderErrorKind::Malformed),
        (Fault::not_json(), ProviderErrorKind::Malformed),
        (Fault::form_encoded(), ProviderErrorKind::Malformed),
        (Fault::nested("data"), ProviderErrorKind::Malformed),
        (Fault::written("token_type", "\"mac\""), ProviderErrorKind::Malformed),
        (Fault::gzip_bomb(8_000_000), ProviderErrorKind::Malformed),
        (Fault::ok_with_error("invalid_grant"), ProviderErrorKind::Malformed),
        (
            Fault::Instead(ScriptedResponse::new(307).header("location", test.mock.url("/token"))),
            ProviderErrorKind::Malformed,
        ),
        (Fault::Instead(ScriptedResponse::new(500)), ProviderErrorKind::NoResponse),
    ] {
        test.mock.clear_ledger();
        let code = test.code(&provider, &["files.read"], None).await;
        let response = test.server.exchange(&provider, &test.client, &code_exchange(&code)).await;
        let refresh_token = response.ok().unwrap().refresh_token.unwrap();
        test.mock.faults().once(Endpoint::Token, fault.clone());
        let response = test.server.refresh(&provider, &test.client, &refresh_token, &granted).await;
        assert_eq!(response.err().map(|error| error.kind), Some(expected), "{fault:?}");
        assert_eq!(test.mock.ledger().token_requests("refresh_token").len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn r43_the_api_is_called_below_its_base_url_with_the_token() {
    let test = TestServer::new().await;
    let provider = test.provider(BY_HAND).await;
    let scopes = Scopes::new(["files.read"]);
    let tokens = test.server.client_credentials(&provider, &test.client, &scopes).await.ok().unwrap();
    let base_url = test.mock.url("/api");
    let (url, origin) =
        test.api.join(&base_url, "/echo", &ApiQuery::Pairs(vec![("q".to_owned(), "a b".to_owned())])).unwrap();
    assert_eq!(origin.as_str(), test.mock.base_url());
    let headers = vec![("x-own".to_owned(), "1".to_owned())];
    let request = ApiRequest {
        method: "POST".to_owned(),
        url,
        headers,
        body: Some(b"{}".to_vec()),
        user: UserId::new("u_alice").unwrap(),
    };
    let response = test.api.send(&request, &tokens.access_token).await.ok().unwrap();
    assert_eq!(response.status, 200);
    let call = test.mock.ledger().at(Endpoint::Api)[0].clone();
    assert_eq!(call.bearer_token(), tokens.access_token.expose_text());
    assert_eq!((call.param("q"), call.header("x-own"), &*call.body), (Some("a b"), Some("1"), &b"{}"[..]));
}

mod contract {
    use async_trait::async_trait;
    use grantry_domain::ports::AuthorizationServer;
    use grantry_domain::provider::Account;
    use grantry_testkit::contract::authorization_server::{AuthorizationServerBackend, Consent, Lost};

    use super::*;

    /// Settings of a connector to the mock provider.
    #[derive(Clone, Copy)]
    struct Connector {
        config: &'static str,
        scopes: &'static [&'static str],
        nonce: Option<&'static str>,
        revocable: &'static [TokenKind],
    }

    const CONFIGURED: Connector = Connector {
        config: BY_HAND,
        scopes: &["files.read"],
        nonce: None,
        revocable: &[TokenKind::Refresh, TokenKind::Access],
    };
    const DISCOVERED: Connector = Connector {
        config: r#"{"issuer":"$","scope":"openid","baseUrl":"$/api"}"#,
        scopes: &["openid", "files.read"],
        nonce: Some("nonce-1"),
        ..CONFIGURED
    };
    const WITHOUT_REVOCATION: Connector = Connector {
        config: r#"{"authorizationUrl":"$/authorize","tokenUrl":"$/token","userinfoUrl":"$/userinfo","baseUrl":"$/api"}"#,
        revocable: &[],
        ..CONFIGURED
    };

    struct Backend {
        test: TestServer,
        connector: Connector,
        settings: ProviderSettings,
        provider: ProviderSnapshot,
    }

    impl Backend {
        async fn new(connector: Connector) -> Self {
            let test = TestServer::new().await;
            let (settings, provider) = (test.settings(connector.config), test.provider(connector.config).await);
            Self { test, connector, settings, provider }
        }
    }

    #[async_trait]
    impl AuthorizationServerBackend for Backend {
        fn server(&self) -> &dyn AuthorizationServer {
            &self.test.server
        }

        fn settings(&self) -> &ProviderSettings {
            &self.settings
        }

        fn provider(&self) -> &ProviderSnapshot {
            &self.provider
        }

        fn credentials(&self) -> &ClientCredentials {
            &self.test.client
        }

        async fn consent(&self) -> Consent {
            let Connector { scopes, nonce, .. } = self.connector;
            let code = self.test.code(&self.provider, scopes, nonce).await;
            Consent { code, verifier: Secret::from_text(VERIFIER), nonce: nonce.map(str::to_owned) }
        }

        fn lose_next(&self, lost: Lost) {
            let fault = match lost {
                Lost::Request => Fault::DropRequest,
                Lost::Response => Fault::DropResponse,
            };
            self.test.mock.faults().once(Endpoint::Token, fault);
        }

        fn token_requests(&self) -> usize {
            self.test.mock.ledger().at(Endpoint::Token).len()
        }

        fn requested_scopes(&self) -> Option<Scopes> {
            let ledger = self.test.mock.ledger();
            ledger.at(Endpoint::Token).last()?.param("scope").map(|scope| Scopes::new(scope.split(' ')))
        }

        fn revocable(&self) -> &[TokenKind] {
            self.connector.revocable
        }

        fn account(&self) -> Option<Account> {
            Some(Account { subject: "sub-alice".to_owned(), label: "alice@example.test".to_owned() })
        }

        fn break_identity(&self) -> bool {
            for endpoint in [Endpoint::Jwks, Endpoint::Userinfo] {
                self.test.mock.faults().always(endpoint, Fault::not_json());
            }
            true
        }

        fn break_metadata(&self) -> Option<ProviderSettings> {
            // A connector of an issuer has read the metadata before.
            let is_read = self.settings.issuer.is_some();
            let fault = Fault::written("issuer", "\"https://other.example\"");
            self.test.mock.faults().always(Endpoint::Metadata, fault);
            (!is_read).then(|| self.test.settings(DISCOVERED.config))
        }
    }

    mod configured {
        use super::*;

        async fn backend() -> Backend {
            Backend::new(CONFIGURED).await
        }

        grantry_testkit::authorization_server_contract!(backend);
    }

    mod discovered {
        use super::*;

        async fn backend() -> Backend {
            Backend::new(DISCOVERED).await
        }

        grantry_testkit::authorization_server_contract!(backend);
    }

    mod without_revocation {
        use super::*;

        async fn backend() -> Backend {
            Backend::new(WITHOUT_REVOCATION).await
        }

        grantry_testkit::authorization_server_contract!(backend);
    }
}

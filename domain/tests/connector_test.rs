//! Testing a connector.

use grantry_domain::connector::AuthMode;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    ApiError, ApiResponse, KeyId, Limited, Operation as Limit, Probe, ProviderErrorKind, StoreError,
};
use grantry_domain::usecase::{
    AccessError, ConnectorDraft, ConnectorTest, ConnectorTestError, TestDetail, TestResult, TestedPart,
};
use grantry_testkit::doubles::fixtures::{connector_key, origin};
use grantry_testkit::doubles::{Call, Fault, Method, Operation, PlainVault};

use crate::common::{API, PROVIDER_ERRORS, SECOND, TestApp, agent, draft, draft_without_secret, drive, person};

const REDIRECT_URI: &str = "https://host.example/profile-callback";

async fn test(app: &TestApp) -> ConnectorTest {
    app.node.test_connector(&person("ed"), &drive()).await.unwrap()
}

fn of(test: &ConnectorTest, part: TestedPart) -> (Option<bool>, TestDetail) {
    let result = result_of(test, part);
    (result.ok, result.detail)
}

fn result_of(test: &ConnectorTest, part: TestedPart) -> &TestResult {
    test.results.iter().find(|result| result.part == part).unwrap()
}

#[tokio::test]
async fn an_invalid_grant_shows_that_the_client_is_accepted() {
    let app = TestApp::new().await;
    app.provider.respond_to_exchange(Err(ProviderErrorKind::InvalidGrant));
    let tested = test(&app).await;
    let parts: Vec<TestedPart> = tested.results.iter().map(|result| result.part).collect();
    assert_eq!(parts, TestedPart::ALL);
    assert_eq!(of(&tested, TestedPart::Settings), (Some(true), TestDetail::Complete));
    assert_eq!(of(&tested, TestedPart::Endpoints), (Some(true), TestDetail::Reached));
    assert_eq!(of(&tested, TestedPart::Client), (Some(true), TestDetail::Accepted));
    assert_eq!(of(&tested, TestedPart::RedirectUri), (None, TestDetail::ToRegister));
    assert_eq!(tested.redirect_uri.as_deref(), Some(REDIRECT_URI));
}

#[tokio::test]
async fn every_test_sends_another_code_that_was_never_issued() {
    let app = TestApp::new().await;
    for _ in 0..2 {
        app.provider.respond_to_exchange(Err(ProviderErrorKind::InvalidGrant));
        test(&app).await;
    }
    let exchanges: Vec<(String, String)> = app
        .provider
        .calls()
        .into_iter()
        .filter_map(|call| {
            let Call::Exchange { code, verifier, client_secret, .. } = call else { return None };
            assert_eq!(client_secret.as_deref(), Some("client-secret-1"));
            Some((code, verifier))
        })
        .collect();
    let [(code, verifier), (next_code, _)] = exchanges.as_slice() else { panic!("{exchanges:?}") };
    assert_eq!((code.len(), verifier.len()), (43, 43));
    assert!(code != verifier && code != next_code);
}

#[tokio::test]
async fn only_a_refused_client_is_a_failure_of_the_client() {
    let app = TestApp::new().await;
    for &kind in PROVIDER_ERRORS {
        app.provider.respond_to_exchange(Err(kind));
        let tested = test(&app).await;
        let (endpoints, client) = (of(&tested, TestedPart::Endpoints), of(&tested, TestedPart::Client));
        let is_unreached =
            matches!(kind, ProviderErrorKind::NotAllowed | ProviderErrorKind::NotSent | ProviderErrorKind::NoResponse);
        let expected = if kind == ProviderErrorKind::InvalidGrant {
            (Some(true), TestDetail::Accepted)
        } else if kind == ProviderErrorKind::ClientRefused {
            (Some(false), TestDetail::Failed(kind))
        } else if is_unreached {
            (None, TestDetail::NotTested)
        } else {
            (None, TestDetail::Failed(kind))
        };
        assert_eq!(client, expected, "{kind:?}");
        let expected =
            if is_unreached { (Some(false), TestDetail::Failed(kind)) } else { (Some(true), TestDetail::Reached) };
        assert_eq!(endpoints, expected, "{kind:?}");
    }
    // Tokens for a code that was never issued prove nothing.
    let tested = test(&app).await;
    assert_eq!(of(&tested, TestedPart::Client), (None, TestDetail::UnexpectedTokens));
}

#[tokio::test]
async fn without_endpoints_no_code_is_sent() {
    let app = TestApp::new().await;
    app.provider.respond_to_resolve(Err(ProviderErrorKind::BadMetadata));
    let tested = test(&app).await;
    let failed = TestDetail::Failed(ProviderErrorKind::BadMetadata);
    assert_eq!(of(&tested, TestedPart::Endpoints), (Some(false), failed));
    assert_eq!(of(&tested, TestedPart::Client), (None, TestDetail::NotTested));
    assert_eq!(app.provider.count(Operation::Exchange), 0);
}

#[tokio::test]
async fn a_missing_client_is_named_and_the_endpoints_are_tested() {
    let app = TestApp::without_connector();
    app.create_connector(&drive(), draft_without_secret("{}")).await;
    let tested = test(&app).await;
    assert_eq!(of(&tested, TestedPart::Settings), (Some(false), TestDetail::Missing));
    assert_eq!(result_of(&tested, TestedPart::Settings).field.as_deref(), Some("secrets.clientSecret"));
    assert_eq!(of(&tested, TestedPart::Endpoints), (Some(true), TestDetail::Resolved));
    assert_eq!(of(&tested, TestedPart::Client), (None, TestDetail::NotTested));
    assert_eq!(tested.redirect_uri.as_deref(), Some(REDIRECT_URI));

    app.profiles.set("{}", |settings| settings.missing = Some("secrets.clientId".to_owned()));
    let tested = test(&app).await;
    assert_eq!(result_of(&tested, TestedPart::Settings).field.as_deref(), Some("secrets.clientId"));
    assert_eq!(app.provider.count(Operation::Exchange), 0);
}

#[tokio::test]
async fn a_client_secret_that_cannot_be_decrypted_counts_as_missing() {
    let app = TestApp::new().await;
    app.vault.rotate_to(KeyId(*b"key-0002"));
    // The edit keeps the client secret, which was sealed with the first key.
    app.edit(draft_without_secret("{}")).await;
    app.vault.forget(PlainVault::FIRST_KEY);
    let tested = test(&app).await;
    assert_eq!(result_of(&tested, TestedPart::Settings).field.as_deref(), Some("secrets.clientSecret"));
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named_and_nothing_is_sent() {
    let app = TestApp::new().await;
    app.profiles.refuse("{}", "config.tokenUrl", "must be https");
    let tested = test(&app).await;
    let settings = result_of(&tested, TestedPart::Settings);
    assert_eq!((settings.ok, settings.detail), (Some(false), TestDetail::Invalid));
    assert_eq!(settings.field.as_deref(), Some("config.tokenUrl"));
    assert_eq!(settings.diagnosis.problem.as_deref(), Some("must be https"));
    assert_eq!(tested.redirect_uri, None);
    assert!(tested.results[1..].iter().all(|result| result.detail == TestDetail::NotTested));
    assert!(app.provider.calls().is_empty());
}

#[tokio::test]
async fn a_shared_connector_requests_its_token() {
    let app = TestApp::without_connector();
    app.create_connector(&drive(), ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
    let tested = test(&app).await;
    assert_eq!(of(&tested, TestedPart::Client), (Some(true), TestDetail::Accepted));
    assert_eq!(of(&tested, TestedPart::RedirectUri), (None, TestDetail::NotTested));
    app.provider.respond_to_client_credentials(Err(ProviderErrorKind::InvalidGrant));
    let failed = TestDetail::Failed(ProviderErrorKind::InvalidGrant);
    assert_eq!(of(&test(&app).await, TestedPart::Client), (None, failed));
    assert_eq!(app.provider.count(Operation::Exchange), 0);
}

#[tokio::test]
async fn the_token_of_a_shared_connector_is_sent_to_the_api() {
    let app = TestApp::without_connector();
    app.create_connector(&drive(), ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
    assert_eq!(of(&test(&app).await, TestedPart::Api), (None, TestDetail::NotTested), "the profile has no request");
    app.profiles.offer_probe(Probe {
        url: format!("{API}/me"),
        origin: origin(API),
        headers: vec![("accept".to_owned(), "application/json".to_owned())],
    });
    let body = |status| Ok(ApiResponse { status, headers: Vec::new(), body: b"SECRET-CANARY".to_vec() });
    for (response, expected, status) in [
        (body(204), (Some(true), TestDetail::TokenAccepted), None),
        (body(403), (None, TestDetail::ApiRefused), Some(403)),
        (Err(ApiError::NotAllowed), (Some(false), TestDetail::HostNotAllowed), None),
        (Err(ApiError::Unreachable), (Some(false), TestDetail::ApiUnreachable), None),
        (body(500), (None, TestDetail::ApiFailed), Some(500)),
        (body(302), (None, TestDetail::ApiFailed), Some(302)),
        (Err(ApiError::TooLarge), (None, TestDetail::ApiFailed), None),
    ] {
        app.resource.respond(response);
        let tested = test(&app).await;
        assert_eq!(of(&tested, TestedPart::Api), expected);
        let diagnosis = &result_of(&tested, TestedPart::Api).diagnosis;
        assert_eq!(diagnosis.http_status, status);
        let host = (expected.0 != Some(true)).then_some("api.example");
        assert_eq!(diagnosis.endpoint_host.as_deref(), host);
    }
    let sent = app.resource.requests();
    assert_eq!(sent.len(), 7);
    for (index, sent) in sent.iter().enumerate() {
        assert_eq!((sent.method.as_str(), sent.url.as_str(), &sent.body), ("GET", "https://api.example/me", &None));
        // The first token was that of the test without a request to the API.
        assert_eq!(sent.token, format!("access-{}", index + 2));
    }
    app.provider.respond_to_client_credentials(Err(ProviderErrorKind::ClientRefused));
    assert_eq!(of(&test(&app).await, TestedPart::Api), (None, TestDetail::NotTested), "there is no token");
    assert_eq!(app.resource.requests().len(), sent.len());
}

#[tokio::test]
async fn nothing_is_sent_to_the_api_of_a_per_user_connector() {
    let app = TestApp::new().await;
    app.profiles.offer_probe(Probe { url: format!("{API}/me"), origin: origin(API), headers: Vec::new() });
    app.provider.respond_to_exchange(Err(ProviderErrorKind::InvalidGrant));
    assert_eq!(of(&test(&app).await, TestedPart::Api), (None, TestDetail::NotTested));
    // Tokens for a code that was never issued belong to no user.
    assert_eq!(of(&test(&app).await, TestedPart::Client), (None, TestDetail::UnexpectedTokens));
    assert!(app.resource.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_api_that_does_not_respond_ends_the_test() {
    let app = TestApp::without_connector();
    app.create_connector(&drive(), ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
    app.profiles.offer_probe(Probe { url: format!("{API}/me"), origin: origin(API), headers: Vec::new() });
    let gate = app.resource.hold();
    let tested = app.drive(test(&app)).await;
    assert_eq!(of(&tested, TestedPart::Api), (Some(false), TestDetail::ApiUnreachable));
    gate.open();
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_respond_ends_the_test() {
    let app = TestApp::new().await;
    let gate = app.provider.hold(Operation::Exchange);
    let tested = app.drive(test(&app)).await;
    let failed = TestDetail::Failed(ProviderErrorKind::NoResponse);
    assert_eq!(of(&tested, TestedPart::Endpoints), (Some(false), failed));
    gate.open();
}

#[tokio::test]
async fn r81_a_test_is_not_recorded_and_stops_no_requests_of_users() {
    let app = TestApp::new().await;
    let events = app.events().await;
    for _ in 0..3 {
        app.provider.respond_to_exchange(Err(ProviderErrorKind::ClientRefused));
        test(&app).await;
        app.provider.respond_to_resolve(Err(ProviderErrorKind::NotAllowed));
        test(&app).await;
    }
    app.spawner.finished().await;
    let view = app.node.connector_diagnostics(&person("ed"), &drive()).await.unwrap();
    assert_eq!((view.recorded.last_failure, view.client_refused_since), (None, None));
    assert!(app.failures.failures().is_empty());
    assert_eq!(app.events().await, events);
    app.connect("alice").await;
}

#[tokio::test]
async fn r60_only_editors_test_connectors_and_their_number_is_limited() {
    let app = TestApp::new().await;
    let refusal = async |actor: Actor| app.node.test_connector(&actor, &drive()).await.err();
    assert_eq!(refusal(person("alice")).await, Some(AccessError::Forbidden.into()));
    assert_eq!(refusal(person("nobody")).await, Some(AccessError::NotFound.into()));
    assert_eq!(refusal(agent()).await, Some(AccessError::Forbidden.into()));
    let missing = app.node.test_connector(&person("ed"), &connector_key("default", "other")).await.err();
    assert_eq!(missing, Some(AccessError::NotFound.into()));
    assert!(app.limiter.taken().iter().all(|(_, limit)| *limit != Limit::Discovery));
    assert_eq!(refusal(person("ed")).await, None);
    let before = app.provider.calls().len();
    app.limiter.refuse(SECOND);
    let limited = Limited { retry_after: SECOND };
    assert_eq!(refusal(person("ed")).await, Some(ConnectorTestError::RateLimited(limited)));
    assert_eq!(app.provider.calls().len(), before);
    app.store.fail_always(Method::GetConnector, Fault::UNAVAILABLE);
    assert_eq!(refusal(person("ed")).await, Some(ConnectorTestError::Store(StoreError::Unavailable)));
}

//! Failures at providers: what is logged, what editors read, and that no use case depends on it.

use std::sync::Arc;

use grantry_domain::authorization::{FailureCode, FlowFailure};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    Anomaly, AnomalyKind, ConnectorFailure, FailureLog, Identified, KeyId, ProviderErrorKind, ProviderOperation, StoreError,
};
use grantry_domain::usecase::parts::FailureRecorder;
use grantry_domain::usecase::{AccessError, DiagnosticsError, DiagnosticsView, Outcome};
use grantry_testkit::doubles::{Fault, Method, PlainVault};

use crate::common::{HOUR, TestApp, agent, callback_of, draft_without_secret, drive, person};

async fn read(app: &TestApp) -> DiagnosticsView {
    app.spawner.finished().await;
    app.node.connector_diagnostics(&person("ed"), &drive()).await.unwrap()
}

async fn fail_exchange(app: &TestApp, kind: ProviderErrorKind) -> Outcome {
    let started = app.start("alice", &drive()).await;
    app.provider.respond_to_exchange(Err(kind));
    app.complete(callback_of(&started, "alice")).await.outcome
}

fn last_logged(app: &TestApp) -> ConnectorFailure {
    let (connector, failure) = app.failures.failures().pop().unwrap();
    assert_eq!(connector, drive());
    failure
}

#[tokio::test(start_paused = true)]
async fn r81_a_failed_request_is_logged_and_shown_with_its_operation_and_correlation_id() {
    let app = TestApp::new().await;
    assert_eq!(read(&app).await.recorded.last_failure, None);
    app.failures.set_correlation_id("0123456789abcdef");
    fail_exchange(&app, ProviderErrorKind::Malformed).await;
    let logged = last_logged(&app);
    assert_eq!((logged.operation, logged.code.as_str()), (ProviderOperation::Exchange, "malformed"));
    assert_eq!(logged.correlation_id.as_deref(), Some("0123456789abcdef"));
    assert_eq!(read(&app).await.recorded.last_failure, Some((logged, app.now())));

    app.connect("alice").await;
    app.pass(HOUR * 2).await;
    app.provider.respond_to_refresh(Err(ProviderErrorKind::NoResponse));
    assert!(app.drive(app.token("alice")).await.is_err());
    assert_eq!(last_logged(&app).operation, ProviderOperation::Refresh);
    assert_eq!(app.failures.failures().len(), 2);
    assert_eq!(read(&app).await.recorded.last_failure.unwrap().0, last_logged(&app));
}

#[tokio::test]
async fn r81_keys_of_an_id_token_that_could_not_be_fetched_are_recorded_and_end_no_flow() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let failure = ProviderErrorKind::NoResponse.because("no keys").with_status(503);
    let failure = Some(failure.during(ProviderOperation::Userinfo, Some("keys.example")));
    app.provider.respond_to_identify(Ok(Identified { failure, ..Identified::default() }));
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, Outcome::Connected);
    let logged = last_logged(&app);
    assert_eq!((logged.operation, logged.http_status), (ProviderOperation::Userinfo, Some(503)));
    assert_eq!((logged.endpoint_host.as_deref(), logged.hint.as_deref()), (Some("keys.example"), Some("no keys")));
    assert_eq!(read(&app).await.recorded.last_failure.unwrap().0, logged);
}

#[tokio::test]
async fn r81_an_exchange_that_cannot_be_sent_is_recorded() {
    let app = TestApp::new().await;
    app.vault.rotate_to(KeyId(*b"key-0002"));
    // The edit keeps the client secret, which was sealed with the first key.
    app.edit(draft_without_secret("{}")).await;
    let started = app.start("alice", &drive()).await;
    app.vault.forget(PlainVault::FIRST_KEY);
    let outcome = app.complete(callback_of(&started, "alice")).await.outcome;
    assert_eq!(outcome, Outcome::Failed(FlowFailure::Code(FailureCode::ProviderMisconfigured)));
    let logged = last_logged(&app);
    assert_eq!((logged.operation, logged.code.as_str()), (ProviderOperation::Exchange, "provider_misconfigured"));
    assert!(logged.hint.is_some_and(|hint| hint.contains("client secret")));
    app.vault.restore(PlainVault::FIRST_KEY);

    let started = app.start("alice", &drive()).await;
    app.profiles.refuse("{}", "config.tokenUrl", "must be https");
    let outcome = app.complete(callback_of(&started, "alice")).await.outcome;
    assert_eq!(outcome, Outcome::Failed(FlowFailure::Code(FailureCode::ConnectorChanged)));
    let logged = last_logged(&app);
    assert_eq!((logged.operation, logged.code.as_str()), (ProviderOperation::Settings, "provider_misconfigured"));
    assert!(logged.hint.is_some_and(|hint| hint.contains("config.tokenUrl")));
    assert_eq!(app.failures.failures().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r81_settings_that_cannot_be_used_are_not_recorded_as_a_refresh() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.profiles.refuse("{}", "config.tokenUrl", "must be https");
    assert_eq!(app.token("alice").await.unwrap_err().code(), "provider_misconfigured");
    assert_eq!(last_logged(&app).operation, ProviderOperation::Settings);
}

#[tokio::test]
async fn r81_only_editors_read_diagnostics() {
    let app = TestApp::new().await;
    let refusal = async |actor: Actor| app.node.connector_diagnostics(&actor, &drive()).await.err();
    assert_eq!(refusal(person("alice")).await, Some(DiagnosticsError::Access(AccessError::Forbidden)));
    assert_eq!(refusal(person("nobody")).await, Some(DiagnosticsError::Access(AccessError::NotFound)));
    assert_eq!(refusal(agent()).await, Some(DiagnosticsError::Access(AccessError::Forbidden)));
    assert_eq!(refusal(person("ed")).await, None);
    app.store.fail_always(Method::ReadDiagnostics, Fault::UNAVAILABLE);
    assert_eq!(refusal(person("ed")).await, Some(DiagnosticsError::Store(StoreError::Unavailable)));
}

#[tokio::test]
async fn r81_a_failed_write_changes_no_result_and_is_logged() {
    let app = TestApp::new().await;
    app.store.fail_always(Method::RecordFailure, Fault::UNAVAILABLE);
    let outcome = fail_exchange(&app, ProviderErrorKind::InvalidGrant).await;
    assert_eq!(outcome, Outcome::Failed(FlowFailure::Code(FailureCode::ExchangeFailed)));
    assert_eq!(read(&app).await.recorded.last_failure, None);
    assert_eq!(app.failures.refused_writes(), [(drive(), StoreError::Unavailable)]);
    assert_eq!(app.failures.failures().len(), 1);
}

#[tokio::test]
async fn r81_no_use_case_waits_for_the_store_of_diagnostics() {
    let app = TestApp::new().await;
    let gate = app.store.hold(Method::RecordFailure);
    fail_exchange(&app, ProviderErrorKind::Malformed).await;
    gate.arrived(1).await;
    app.connect("alice").await;
    gate.open();
    assert!(read(&app).await.recorded.last_failure.is_some());
}

#[tokio::test]
async fn r81_failures_that_arrive_before_the_write_begins_share_it() {
    let app = TestApp::new().await;
    let connector = app.stored_connector(&drive()).await;
    let log: Arc<dyn FailureLog> = app.failures.clone();
    let recorder = FailureRecorder::new(log, Arc::new(app.store.clone()), Arc::new(app.spawner.clone()));
    let kinds = [ProviderErrorKind::NoResponse, ProviderErrorKind::NotSent, ProviderErrorKind::ClientRefused];
    for kind in kinds {
        recorder.record(&connector, ProviderOperation::Refresh, "https://login.example/token?x", &kind.into());
    }
    let recorded = read(&app).await.recorded.last_failure.unwrap().0;
    assert_eq!((recorded.code.as_str(), recorded.endpoint_host.as_deref()), ("client_refused", Some("login.example")));
    assert_eq!(app.store.count(Method::RecordFailure), 1);
    assert_eq!(app.failures.failures().len(), kinds.len());
}

#[tokio::test]
async fn r81_anomalies_of_a_token_response_are_logged_and_shown() {
    let app = TestApp::new().await;
    let connector = app.stored_connector(&drive()).await;
    let log: Arc<dyn FailureLog> = app.failures.clone();
    let recorder = FailureRecorder::new(log, Arc::new(app.store.clone()), Arc::new(app.spawner.clone()));
    recorder.record_anomalies(&connector, &[]);
    assert!(app.failures.recorded_anomalies().is_empty());
    let anomaly = Anomaly::new("scope", AnomalyKind::WrongType);
    recorder.record_anomalies(&connector, std::slice::from_ref(&anomaly));
    assert_eq!(read(&app).await.recorded.anomalies, [(anomaly.clone(), app.now())]);
    assert_eq!(app.failures.recorded_anomalies(), [(drive(), vec![anomaly])]);
}

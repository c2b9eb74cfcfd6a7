//! Completing a flow: who may, the order of the checks, and how it fails.

mod concurrent_changes;

use std::time::Duration;

use grantry_domain::authorization::{
    FailureCode, FlowFailure, FlowStatus, ProviderNote, Reason, StateKind, StatusKind, TerminationCause,
};
use grantry_domain::connector::ProfileId;
use grantry_domain::identity::ConnectionName;
use grantry_domain::ports::{
    Anomaly, AnomalyKind, AuditDetail, AuditKind, Identified, Lifetime, Operation as Limit, ProviderErrorKind, StoreError,
    TokenResponse, VaultError,
};
use grantry_domain::provider::{BindingKind, Callback, CallbackPath, Scopes};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{CallbackRefused, CallbackRequest, ConnectorDraft, Outcome, StartRequest};
use grantry_testkit::doubles::fixtures::{connector_id, connector_key, space, user};
use grantry_testkit::doubles::{Call, Fault, Method, Operation, tokens};
use grantry_testkit::provider::Gate;

use crate::common::{
    HOUR, TestApp, account, callback_of, draft, drive, elsewhere, error_callback_of, flow_failed, person, quiet, request,
    terminated, text, token_from, token_request_for,
};

fn failed(code: FailureCode) -> Outcome {
    Outcome::Failed(FlowFailure::Code(code))
}

/// A deployment with a connector in issuer mode whose issuer announces `iss`.
async fn issuer_mode() -> TestApp {
    let app = TestApp::without_connector();
    app.profiles.set("issuer", |settings| {
        settings.kind = BindingKind::Issuer;
        settings.callback = CallbackPath::Issuers;
        settings.endpoints = None;
        settings.issuer = Some("https://issuer.example".to_owned());
    });
    let profile = ProfileId::new(".oauth2").unwrap();
    app.create_connector(&drive(), ConnectorDraft { profile, ..draft("issuer") }).await;
    app
}

#[tokio::test]
async fn a_completed_flow_is_a_grant_of_its_user() {
    let app = TestApp::new().await;
    app.provider.set_account(Some(account("alice")));
    let start = StartRequest { return_path: Some("/after".to_owned()), ..request("alice", &drive()) };
    let started = app.try_start(start).await.unwrap();
    assert_eq!(app.kind("alice").await, StatusKind::Connecting);
    let completed = app.complete(callback_of(&started, "alice")).await;
    assert_eq!((completed.flow_id, completed.outcome), (started.flow_id, Outcome::Connected));
    assert_eq!(completed.return_path.as_deref(), Some("/after"));
    assert_eq!((completed.space, completed.connector), (space("default"), connector_id("drive")));
    assert_eq!(completed.connection, ConnectionName::default());
    let status = app.status("alice").await;
    assert_eq!((status.kind, status.is_reconnecting()), (StatusKind::Connected, false));
    assert_eq!(status.account.as_deref(), Some("alice@provider.example"));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    assert_eq!(app.kind("bob").await, StatusKind::NotConnected);
    let flow = app.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
    assert_eq!(flow.status, FlowStatus::Authorized);
}

#[tokio::test]
async fn r07_r25_the_code_goes_to_the_sealed_endpoint_with_the_sealed_redirect_uri() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let exchange = app.token_calls().into_iter().next().unwrap();
    let Call::Exchange { endpoint, redirect_uri, client_secret, code, .. } = exchange else { panic!("an exchange") };
    assert_eq!(endpoint, "https://as.example/token");
    assert_eq!(redirect_uri, "https://host.example/profile-callback");
    assert_eq!((client_secret.as_deref(), code.as_str()), (Some("client-secret-1"), "code-1"));
}

#[tokio::test]
async fn r28_a_token_that_has_expired_on_arrival_and_cannot_be_refreshed_is_not_connected() {
    let app = TestApp::new().await;
    let lifetime = Lifetime::For(Duration::ZERO);
    for (refresh_token, connected) in [(None, false), (Some("r"), true)] {
        let started = app.start("alice", &drive()).await;
        app.provider.respond_to_exchange(Ok(TokenResponse { lifetime, ..tokens("dead", refresh_token) }));
        let completed = app.complete(callback_of(&started, "alice")).await;
        let expected = if connected { Outcome::Connected } else { failed(FailureCode::ExchangeFailed) };
        assert_eq!(completed.outcome, expected);
        let status = if connected { StatusKind::Connected } else { StatusKind::NotConnected };
        assert_eq!(app.kind("alice").await, status, "page and status agree");
    }
}

#[tokio::test]
async fn r28_anomalies_of_a_token_response_are_audited_with_the_flow_and_with_the_refresh() {
    let app = TestApp::new().await;
    let anomalies = || vec![Anomaly::new("scope", AnomalyKind::WrongType), Anomaly::new("x", AnomalyKind::Repeated)];
    let odd = |access: &str, refresh: &str| TokenResponse { anomalies: anomalies(), ..tokens(access, Some(refresh)) };
    let started = app.start("alice", &drive()).await;
    app.provider.respond_to_exchange(Ok(odd("a", "r")));
    app.complete(callback_of(&started, "alice")).await;
    app.provider.respond_to_refresh(Ok(odd("b", "s")));
    app.clock.advance(2 * HOUR);
    assert_eq!(app.token("alice").await.as_deref(), Ok("b"));
    let events = app.events().await;
    let found: Vec<_> = events.iter().filter(|event| event.kind == AuditKind::TokenResponseAnomaly).collect();
    assert_eq!(found.len(), 2);
    for event in found {
        assert_eq!(event.authorization, Some(started.flow_id));
        let details: Vec<_> = event.details.iter().map(AuditDetail::as_str).collect();
        assert_eq!(details, ["scope=wrong_type", "x=repeated"]);
    }
}

#[tokio::test]
async fn r03_lesson_02_another_user_completes_nothing_and_consumes_nothing() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let before = app.record(started.flow_id).await;
    let stolen = CallbackRequest { user: user("bob"), ..callback_of(&started, "alice") };
    let refused = app.node.complete(stolen).await.unwrap_err();
    assert_eq!((&refused, refused.code()), (&CallbackRefused::UserMismatch, "user_mismatch"));
    assert_eq!(app.record(started.flow_id).await, before, "it is not consumed");
    assert!(app.token_calls().is_empty());
    let event = app.events().await.pop().unwrap();
    assert_eq!((event.kind, event.outcome.as_str()), (AuditKind::BindingMismatch, "user_mismatch"));
    assert_eq!((event.actor, event.user, event.authorization), (person("bob"), Some(user("alice")), Some(started.flow_id)));
    app.complete(callback_of(&started, "alice")).await;
}

#[tokio::test]
async fn r03_another_browser_completes_nothing_and_consumes_nothing() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let others = app.start("alice", &connector_in_marketing(&app).await).await;
    let before = app.record(started.flow_id).await;
    let cookies = [vec![], vec![others.flow_cookie.clone_secret()], vec![Secret::from_text("guess")]];
    for flow_cookies in cookies {
        let forged = CallbackRequest { flow_cookies, ..callback_of(&started, "alice") };
        let refused = app.node.complete(forged).await.unwrap_err();
        assert_eq!((&refused, refused.code()), (&CallbackRefused::BrowserMismatch, "browser_mismatch"));
        assert_eq!(app.record(started.flow_id).await, before, "it is not consumed");
    }
    assert!(app.token_calls().is_empty());
    assert_eq!(app.outcomes(AuditKind::BindingMismatch).await, ["browser_mismatch"; 3]);
    let both = vec![others.flow_cookie.clone_secret(), started.flow_cookie.clone_secret()];
    let completed = app.complete(CallbackRequest { flow_cookies: both, ..callback_of(&started, "alice") }).await;
    assert_eq!(completed.outcome, Outcome::Connected, "one of several cookies is enough");
}

async fn connector_in_marketing(app: &TestApp) -> grantry_domain::connector::ConnectorKey {
    app.create_connector(&elsewhere(), draft("{}")).await;
    elsewhere()
}

#[tokio::test]
async fn r01_r20_unknown_and_reused_states_are_refused_without_a_provider_call() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let mut one_off = text(&started.state).into_bytes();
    one_off[20] ^= 1;
    for state in [Vec::new(), b"guess".to_vec(), one_off] {
        let forged = CallbackRequest { state: Secret::new(state), ..callback_of(&started, "alice") };
        let refused = app.node.complete(forged).await.unwrap_err();
        assert_eq!((&refused, refused.code()), (&CallbackRefused::NotFound, "flow_not_found"));
    }
    assert!(app.token_calls().is_empty());
    app.complete(callback_of(&started, "alice")).await;
    // A browser has no cookie of a completed flow any more.
    for flow_cookies in [vec![started.flow_cookie.clone_secret()], Vec::new()] {
        let again = CallbackRequest { flow_cookies, ..callback_of(&started, "alice") };
        let refused = app.node.complete(again).await.unwrap_err();
        assert_eq!(refused, CallbackRefused::AlreadyUsed { flow_id: started.flow_id });
        assert_eq!(refused.code(), "flow_already_used");
    }
    assert_eq!(app.outcomes(AuditKind::BindingMismatch).await, [""; 0]);
    assert_eq!(app.provider.count(Operation::Exchange), 1);
}

#[tokio::test]
async fn r18_a_flow_past_its_deadline_is_refused_swept_or_not() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    app.clock.advance(Duration::from_mins(10));
    for _ in 0..2 {
        let refused = app.node.complete(callback_of(&started, "alice")).await.unwrap_err();
        assert_eq!(refused, CallbackRefused::Expired { flow_id: started.flow_id });
        assert_eq!(refused.code(), "flow_expired");
        app.node.sweep(|_| {}).await.unwrap();
    }
    assert!(app.token_calls().is_empty());
    assert_eq!(app.kind("alice").await, StatusKind::NotConnected);
}

#[tokio::test]
async fn r76_the_sealed_deadline_takes_precedence_over_the_column() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let mut row = app.record(started.flow_id).await;
    row.deadline = Some(app.now().plus(Duration::from_hours(24)));
    app.tamper(row).await;
    app.clock.advance(Duration::from_mins(11));
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, failed(FailureCode::Internal));
    assert!(app.token_calls().is_empty());
}

#[tokio::test]
async fn r23_lesson_03_the_result_belongs_to_the_sealed_space() {
    let app = TestApp::new().await;
    let marketing = connector_in_marketing(&app).await;
    let started = app.start("alice", &marketing).await;
    let completed = app.complete(callback_of(&started, "alice")).await;
    assert_eq!((completed.outcome, completed.space), (Outcome::Connected, space("marketing")));
    assert_eq!(app.kind("alice").await, StatusKind::NotConnected, "not connected in the default space");
    let token = token_from(&app.node, &token_request_for("alice", marketing)).await;
    assert_eq!(token.as_deref(), Ok("access-1"));
}

#[tokio::test]
async fn r08_the_callback_path_must_be_the_sealed_one() {
    let app = TestApp::new().await;
    let profile = || ProfileId::new(".oauth2").unwrap();
    let (one, two) = (connector_key("default", "one"), connector_key("default", "two"));
    let first = app.create_connector(&one, ConnectorDraft { profile: profile(), ..draft("{}") }).await.connector.callback_id;
    let second =
        app.create_connector(&two, ConnectorDraft { profile: profile(), ..draft("{}") }).await.connector.callback_id;
    let paths = [
        (&one, Callback::Connector(first), true),
        (&one, Callback::Connector(second), false),
        (&one, Callback::Profiles, false),
        (&one, Callback::Issuers, false),
        (&drive(), Callback::Profiles, true),
        (&drive(), Callback::Issuers, false),
        (&drive(), Callback::Connector(first), false),
        (&two, Callback::Connector(first), false),
    ];
    for (key, callback, fits) in paths {
        let exchanges = app.provider.count(Operation::Exchange);
        let started = app.start("alice", key).await;
        let outcome = app.complete(CallbackRequest { callback, ..callback_of(&started, "alice") }).await.outcome;
        let expected = if fits { Outcome::Connected } else { failed(FailureCode::CallbackMismatch) };
        assert_eq!(outcome, expected, "{key:?} {callback:?}");
        assert_eq!(app.provider.count(Operation::Exchange), exchanges + usize::from(fits));
    }
}

#[tokio::test]
async fn r10_lesson_04_the_issuer_must_be_present_and_exact() {
    let app = issuer_mode().await;
    let wrong =
        ["https://issuer.example/", "https://Issuer.example", "https://issuer.example:443", "", "https://evil.example"];
    let wrong = wrong.into_iter().map(|issuer| Some(issuer.to_owned())).chain([None]);
    for issuer in wrong {
        let started = app.start("alice", &drive()).await;
        let callback =
            CallbackRequest { callback: Callback::Issuers, issuer: issuer.clone(), ..callback_of(&started, "alice") };
        assert_eq!(app.complete(callback).await.outcome, failed(FailureCode::IssuerMismatch), "{issuer:?}");
    }
    // It is checked before an error is accepted.
    let started = app.start("alice", &drive()).await;
    let denied = CallbackRequest { callback: Callback::Issuers, ..error_callback_of(&started, "alice", true) };
    let outcome = app.complete(denied).await.outcome;
    assert_eq!(outcome, failed(FailureCode::IssuerMismatch));
    assert!(app.token_calls().is_empty());
    assert_eq!(app.outcomes(AuditKind::IssuerMismatch).await, ["refused"; 7]);
    let events = app.events().await;
    let details = events.iter().filter(|event| event.kind == AuditKind::IssuerMismatch).flat_map(|event| &event.details);
    let details: std::collections::BTreeSet<_> = details.map(AuditDetail::as_str).collect();
    assert!(details.contains("iss=missing") && details.contains("iss=other"), "{details:?}");
    let started = app.start("alice", &drive()).await;
    let issuer = Some("https://issuer.example".to_owned());
    let outcome = app
        .complete(CallbackRequest { callback: Callback::Issuers, issuer, ..callback_of(&started, "alice") })
        .await
        .outcome;
    assert_eq!(outcome, Outcome::Connected);
}

#[tokio::test]
async fn lesson_04_an_issuer_that_was_not_announced_is_accepted_if_none_is_expected() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let issuer = Some("https://as.example".to_owned());
    let completed = app.complete(CallbackRequest { issuer, ..callback_of(&started, "alice") }).await;
    assert_eq!(completed.outcome, Outcome::Connected);
}

#[tokio::test]
async fn r24_lesson_05_an_error_without_the_right_user_and_browser_changes_nothing_and_never_a_grant() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let grant = app.record(id).await;
    let started = app.start("alice", &drive()).await;
    let before = app.record(started.flow_id).await;
    let forged: [CallbackRequest; 3] = [
        CallbackRequest { state: Secret::from_text("unknown"), ..error_callback_of(&started, "alice", true) },
        CallbackRequest { flow_cookies: Vec::new(), ..error_callback_of(&started, "alice", true) },
        error_callback_of(&started, "bob", true),
    ];
    for callback in forged {
        assert!(app.node.complete(callback).await.is_err());
        assert_eq!(app.record(started.flow_id).await, before);
    }
    let outcome = app.complete(error_callback_of(&started, "alice", true)).await.outcome;
    assert_eq!(outcome, Outcome::Failed(FlowFailure::AccessDenied));
    let started = app.start("alice", &drive()).await;
    let other = error_callback_of(&started, "alice", false);
    assert_eq!(app.complete(other).await.outcome, failed(FailureCode::ProviderError));
    assert_eq!(app.record(id).await, grant, "the grant is unchanged");
    assert_eq!(app.outcomes(AuditKind::FlowEnded).await, ["denied", "provider_error"]);
}

#[tokio::test]
async fn lesson_07_a_failed_exchange_ends_the_flow_and_keeps_the_old_grant() {
    let expected = [
        (ProviderErrorKind::InvalidGrant, FailureCode::ExchangeFailed),
        (ProviderErrorKind::OtherOauthError, FailureCode::ExchangeFailed),
        (ProviderErrorKind::Malformed, FailureCode::ExchangeFailed),
        (ProviderErrorKind::ClientRefused, FailureCode::ProviderMisconfigured),
        (ProviderErrorKind::NotAllowed, FailureCode::ProviderMisconfigured),
        (ProviderErrorKind::BadMetadata, FailureCode::ProviderMisconfigured),
        (ProviderErrorKind::NotSent, FailureCode::ProviderUnavailable),
        (ProviderErrorKind::NoResponse, FailureCode::ProviderUnavailable),
        (ProviderErrorKind::Throttled { retry_after: None, unprocessed: true }, FailureCode::ProviderUnavailable),
    ];
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let grant = app.record(id).await;
    for (error, code) in expected {
        let started = app.start("alice", &drive()).await;
        app.provider.respond_to_exchange(Err(error));
        assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, failed(code), "{error:?}");
        let row = app.record(started.flow_id).await;
        assert_eq!((row.state, row.cause), (StateKind::Revoked, Some(flow_failed(code))));
        let again = app.node.complete(callback_of(&started, "alice")).await;
        assert!(matches!(again, Err(CallbackRefused::Ended { .. })));
        let flow = app.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
        assert_eq!(flow.status, FlowStatus::Failed(FlowFailure::Code(code)));
    }
    assert_eq!(app.record(id).await, grant);
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
}

#[tokio::test(start_paused = true)]
async fn r27_a_reconnect_supersedes_the_old_grant_atomically_and_revokes_it() {
    let app = TestApp::new().await;
    let old = app.connect("alice").await;
    let started = app.start("alice", &drive()).await;
    let status = app.status("alice").await;
    assert_eq!((status.kind, status.is_reconnecting()), (StatusKind::Connected, true));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"), "the old one is used in the meantime");
    app.complete(callback_of(&started, "alice")).await;
    let row = app.record(old).await;
    assert_eq!((row.state, row.cause), (StateKind::Revoked, Some(terminated(TerminationCause::Superseded))));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
    app.node.revoke_due().await.unwrap();
    assert_eq!(app.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test(start_paused = true)]
async fn r51_a_superseded_grant_is_not_revoked_if_that_would_end_the_new_one() {
    let app = TestApp::new().await;
    app.profiles.set("{}", |settings| settings.revocation_is_per_user = true);
    app.provider.set_account(Some(account("alice")));
    app.connect("alice").await;
    app.connect("alice").await;
    app.node.revoke_due().await.unwrap();
    assert!(app.revoked().is_empty());
    // The same applies to the tokens of a reconnect that fails after the exchange.
    let started = app.start("alice", &drive()).await;
    app.store.fail_always(Method::CommitGrant, Fault::UNAVAILABLE);
    let completed = app.drive(app.complete(callback_of(&started, "alice"))).await;
    app.store.clear_faults();
    assert_eq!(completed.outcome, failed(FailureCode::Internal));
    quiet().await;
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["not_needed"]);
    assert!(app.revoked().is_empty());
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
}

#[tokio::test]
async fn r13_granted_scopes_are_recorded_and_wider_ones_are_audited() {
    let app = TestApp::new().await;
    let granted = |scopes: &[&str]| TokenResponse { scopes: Some(Scopes::new(scopes.to_vec())), ..tokens("a", Some("r")) };
    app.provider.respond_to_exchange(Ok(granted(&["read", "write", "admin"])));
    app.connect("alice").await;
    assert_eq!(app.outcomes(AuditKind::ScopeWidened).await, ["widened"]);
    app.provider.respond_to_exchange(Ok(granted(&["read"])));
    app.connect("alice").await;
    assert_eq!(app.kind("alice").await, StatusKind::Connected, "an optional scope may be missing");
    let id = app.connect("alice").await;
    assert_eq!(app.record(id).await.scopes, Scopes::new(["read", "write"]), "an absent scope means as requested");
}

#[tokio::test]
async fn r46_the_lifetime_counts_from_before_the_code_was_sent() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let sent_at = app.now();
    let gate = app.provider.hold(Operation::Exchange);
    let completing = tokio::spawn({
        let (node, callback) = (app.node.clone(), callback_of(&started, "alice"));
        async move { node.complete(callback).await.unwrap().outcome }
    });
    gate.arrived(1).await;
    app.clock.advance(Duration::from_mins(1));
    gate.open();
    assert_eq!(completing.await.unwrap(), Outcome::Connected);
    assert_eq!(app.record(started.flow_id).await.expires_at, Some(sent_at.plus(HOUR)));
}

#[tokio::test]
async fn r35_lesson_22_a_change_of_account_requires_confirmation() {
    let app = TestApp::new().await;
    app.provider.set_account(Some(account("alice")));
    let id = app.connect("alice").await;
    let hints = |app: &TestApp| -> Vec<Option<String>> {
        let calls = app.provider.calls().into_iter();
        calls
            .filter_map(|call| if let Call::AuthorizationUrl { login_hint, .. } = call { Some(login_hint) } else { None })
            .collect()
    };
    app.provider.set_account(Some(account("mallory")));
    let started = app.start("alice", &drive()).await;
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, failed(FailureCode::AccountMismatch));
    assert_eq!(app.record(id).await.state, StateKind::Authorized, "the old grant is kept");
    let confirmed = StartRequest { allow_account_change: true, ..request("alice", &drive()) };
    let started = app.try_start(confirmed).await.unwrap();
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, Outcome::Connected);
    assert_eq!(app.status("alice").await.account.as_deref(), Some("mallory@provider.example"));
    let hint = Some("alice@provider.example".to_owned());
    assert_eq!(hints(&app), [None, hint, None], "no hint if another account is accepted");
}

#[tokio::test(start_paused = true)]
async fn r35_the_tokens_of_the_wrong_account_are_revoked() {
    let app = TestApp::new().await;
    app.provider.set_account(Some(account("alice")));
    app.connect("alice").await;
    app.provider.set_account(Some(account("mallory")));
    let started = app.start("alice", &drive()).await;
    app.complete(callback_of(&started, "alice")).await;
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-2", "access-2"]);
}

#[tokio::test]
async fn r35_the_label_is_compared_after_an_expiry_and_not_after_a_disconnect() {
    let app = TestApp::new().await;
    app.provider.set_account(Some(account("alice")));
    app.connect("alice").await;
    app.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
    app.clock.advance(HOUR);
    assert!(app.token("alice").await.is_err());
    assert_eq!(app.status("alice").await.reason, Some(Reason::RefreshRejected));
    app.provider.set_account(Some(account("mallory")));
    let started = app.start("alice", &drive()).await;
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, failed(FailureCode::AccountMismatch));
    app.provider.set_account(Some(account("alice")));
    app.connect("alice").await;
    app.node.disconnect(&person("alice"), &drive(), None).await.unwrap();
    app.provider.set_account(Some(account("mallory")));
    app.connect("alice").await;
}

#[tokio::test(start_paused = true)]
async fn r35_a_known_account_is_not_replaced_by_an_unknown_one_without_confirmation() {
    let app = TestApp::new().await;
    app.provider.set_account(Some(account("alice")));
    let id = app.connect("alice").await;
    app.provider.set_account(None);
    let started = app.start("alice", &drive()).await;
    let anomalies = vec![Anomaly::new("id_token", AnomalyKind::KeysUnavailable)];
    app.provider.respond_to_identify(Ok(Identified { anomalies, ..Identified::default() }));
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, failed(FailureCode::AccountMismatch));
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-2", "access-2"]);
    let kept = app.status("alice").await;
    assert_eq!(
        (app.record(id).await.state, kept.account.as_deref()),
        (StateKind::Authorized, Some("alice@provider.example"))
    );
    let started = app.start("alice", &drive()).await;
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, failed(FailureCode::AccountMismatch));
    let confirmed = StartRequest { allow_account_change: true, ..request("alice", &drive()) };
    let started = app.try_start(confirmed).await.unwrap();
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, Outcome::Connected);
    assert_eq!(app.status("alice").await.account, None);
    app.connect("alice").await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_id_token_fails_the_flow_and_an_id_token_that_is_not_verified_does_not() {
    let app = TestApp::new().await;
    for error in [ProviderErrorKind::Malformed, ProviderErrorKind::BadMetadata] {
        let started = app.start("alice", &drive()).await;
        app.provider.respond_to_identify(Err(error));
        let outcome = app.complete(callback_of(&started, "alice")).await.outcome;
        assert_eq!(outcome, failed(FailureCode::ExchangeFailed));
    }
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-1", "access-1", "refresh-2", "access-2"]);
    let started = app.start("alice", &drive()).await;
    let anomalies = vec![Anomaly::new("id_token", AnomalyKind::Unverified)];
    app.provider.respond_to_identify(Ok(Identified { anomalies, ..Identified::default() }));
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, Outcome::Connected);
    assert_eq!(app.status("alice").await.account, None);
    let events = app.events().await;
    let event = events.iter().find(|event| event.kind == AuditKind::TokenResponseAnomaly).unwrap();
    assert_eq!(event.details.iter().map(AuditDetail::as_str).collect::<Vec<_>>(), ["id_token=unverified"]);
}

#[tokio::test]
async fn r59_only_callbacks_that_cannot_complete_a_flow_are_limited_per_user() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let callback = || callback_of(&started, "alice");
    let others = [
        CallbackRequest { state: Secret::from_text("unknown"), ..callback() },
        CallbackRequest { flow_cookies: vec![Secret::from_text("of another browser")], ..callback() },
        callback_of(&started, "bob"),
    ];
    for other in others {
        let user = other.user.clone();
        app.limiter.refuse(Duration::from_secs(9));
        let refused = app.node.complete(other).await.unwrap_err();
        assert_eq!(refused, CallbackRefused::RateLimited { retry_after: Duration::from_secs(9) });
        assert_eq!(refused.code(), "rate_limited");
        assert_eq!(app.limiter.taken().last(), Some(&(format!("user:{user}"), Limit::Callback)));
    }
    let taken = app.limiter.taken().len();
    assert_eq!(app.complete(callback()).await.outcome, Outcome::Connected);
    assert_eq!(app.limiter.taken().len(), taken, "a callback that completes a flow is not counted");
}

#[tokio::test]
async fn r76_flow_secrets_that_cannot_be_decrypted_fail_the_flow_and_are_audited() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    app.vault.fail(Some(VaultError::UnknownKey));
    let completed = app.complete(callback_of(&started, "alice")).await;
    app.vault.fail(None);
    assert_eq!((completed.outcome, completed.return_path), (failed(FailureCode::Internal), None));
    assert!(app.token_calls().is_empty());
    assert_eq!(app.outcomes(AuditKind::DecryptFailed).await, ["unknown_key"]);
}

#[tokio::test]
async fn a_failure_of_the_store_before_the_flow_is_consumed_leaves_it_usable() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    for method in [Method::Now, Method::Consume] {
        app.store.fail_next(method, Fault::UNAVAILABLE);
        let refused = app.node.complete(callback_of(&started, "alice")).await.unwrap_err();
        assert_eq!((&refused, refused.code()), (&CallbackRefused::Store(StoreError::Unavailable), "store_unavailable"));
    }
    assert!(app.token_calls().is_empty());
    app.complete(callback_of(&started, "alice")).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_tried_again_after_a_transient_error() {
    let app = TestApp::new().await;
    for fault in [Fault::UNAVAILABLE, Fault::OutcomeLost] {
        let started = app.start("alice", &drive()).await;
        app.store.fail_next(Method::CommitGrant, fault);
        let completed = app.drive(app.complete(callback_of(&started, "alice"))).await;
        assert_eq!(completed.outcome, Outcome::Connected, "{fault:?}");
        assert_eq!(app.record(started.flow_id).await.state, StateKind::Authorized);
    }
    app.node.revoke_due().await.unwrap();
    assert_eq!(app.revoked(), ["refresh-1", "access-1"], "of the first, which the second superseded");
}

#[tokio::test(start_paused = true)]
async fn r26_tokens_whose_commit_fails_are_revoked_even_after_a_long_outage_of_the_store() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let gate = app.provider.hold(Operation::Identify);
    let completing = tokio::spawn({
        let (node, callback) = (app.node.clone(), callback_of(&started, "alice"));
        async move { node.complete(callback).await.unwrap().outcome }
    });
    gate.arrived(1).await;
    app.store.fail_all();
    gate.open();
    let outcome = app.drive(completing).await.unwrap();
    assert_eq!(outcome, failed(FailureCode::Internal));
    assert!(app.revoked().is_empty());
    app.pass(Duration::from_mins(3)).await;
    app.store.clear_faults();
    app.drive(app.spawner.finished()).await;
    assert_eq!(app.revoked(), ["refresh-1", "access-1"]);
    assert_eq!(app.node.sweep(|_| {}).await.unwrap().interrupted, 1, "the flow is ended as well");
}

#[tokio::test(start_paused = true)]
async fn r26_tokens_that_cannot_be_sealed_are_revoked_later() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let gate = app.provider.hold(Operation::Identify);
    let completing = tokio::spawn({
        let (node, callback) = (app.node.clone(), callback_of(&started, "alice"));
        async move { node.complete(callback).await.unwrap().outcome }
    });
    gate.arrived(1).await;
    app.vault.fail(Some(VaultError::RandomUnavailable));
    gate.open();
    assert_eq!(completing.await.unwrap(), failed(FailureCode::Internal));
    assert_eq!(app.kind("alice").await, StatusKind::NotConnected);
    app.vault.fail(None);
    app.drive(app.spawner.finished()).await;
    assert_eq!(app.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test]
async fn r26_the_work_continues_when_the_browser_closes_the_connection() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let gate = app.provider.hold(Operation::Exchange);
    let waiting = tokio::spawn({
        let (node, callback) = (app.node.clone(), callback_of(&started, "alice"));
        async move { node.complete(callback).await.map(drop) }
    });
    gate.arrived(1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    gate.open();
    app.spawner.finished().await;
    assert_eq!(app.record(started.flow_id).await.state, StateKind::Authorized);
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r20_lesson_01_many_callbacks_on_three_nodes_cause_one_exchange() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let nodes = [app.node.clone(), app.another_node(), app.another_node()];
    let all = (0..64).map(|n: usize| {
        let (node, callback) = (nodes[n % 3].clone(), callback_of(&started, "alice"));
        tokio::spawn(async move { node.complete(callback).await })
    });
    let (mut connected, mut refused) = (0, 0);
    for task in all.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(completed) => {
                assert_eq!(completed.outcome, Outcome::Connected);
                connected += 1;
            }
            Err(CallbackRefused::AlreadyUsed { flow_id }) => {
                assert_eq!(flow_id, started.flow_id);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((connected, refused), (1, 63));
    assert_eq!(app.provider.count(Operation::Exchange), 1);
    assert_eq!(app.outcomes(AuditKind::CallbackConsumed).await, ["ok"]);
    assert_eq!(app.outcomes(AuditKind::Connected).await, ["ok"]);
}

#[test]
fn lesson_08_a_process_that_ends_during_a_reconnect_leaves_the_old_grant() {
    let process = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (dying, survivor) = (process(), process());
    let points: [fn(&TestApp) -> Gate; 3] = [
        |app| app.provider.hold(Operation::Exchange),
        |app| app.provider.hold(Operation::Identify),
        |app| app.store.hold(Method::CommitGrant),
    ];
    for point in points {
        let app = survivor.block_on(TestApp::new());
        let old = survivor.block_on(app.connect("alice"));
        let started = survivor.block_on(app.start("alice", &drive()));
        let reached = point(&app);
        let dying = &dying;
        dying.block_on(async {
            let (node, callback) = (app.another_node(), callback_of(&started, "alice"));
            tokio::spawn(async move { node.complete(callback).await.map(drop) });
            reached.arrived(1).await;
        });
        // Only the tasks of the dying process are dropped: their gate remains closed.
        survivor.block_on(async {
            assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
            app.clock.advance(Duration::from_mins(2));
            app.node.sweep(|_| {}).await.unwrap();
            let row = app.record(started.flow_id).await;
            assert_eq!((row.state, row.cause), (StateKind::Revoked, Some(flow_failed(FailureCode::Interrupted))));
            assert_eq!(app.record(old).await.state, StateKind::Authorized);
            assert!(!app.status("alice").await.is_reconnecting());
        });
    }
}

#[tokio::test]
async fn a_grant_that_can_be_refreshed_has_no_provider_note() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    assert_eq!(app.status("alice").await.provider_note, None::<ProviderNote>);
}

#[tokio::test(start_paused = true)]
async fn r35_the_account_is_compared_even_if_the_store_fails_at_that_time() {
    let app = TestApp::new().await;
    app.provider.set_account(Some(account("alice")));
    let id = app.connect("alice").await;
    app.provider.set_account(Some(account("mallory")));
    let started = app.start("alice", &drive()).await;
    app.store.fail_always(Method::Statuses, Fault::UNAVAILABLE);
    let outcome = app.complete(callback_of(&started, "alice")).await.outcome;
    app.store.clear_faults();
    assert_eq!(outcome, failed(FailureCode::Internal), "an account that was not compared is not connected");
    assert_eq!(app.record(id).await.state, StateKind::Authorized);
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-2", "access-2"]);
}

#[tokio::test]
async fn r59_requests_to_the_callback_without_a_session_are_counted_per_address() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let before = app.record(started.flow_id).await;
    assert_eq!(app.node.count_anonymous_callback("192.0.2.1").await, Ok(()));
    app.limiter.refuse(Duration::from_secs(9));
    let refused = app.node.count_anonymous_callback("192.0.2.1").await.unwrap_err();
    assert_eq!(refused, CallbackRefused::RateLimited { retry_after: Duration::from_secs(9) });
    assert_eq!(refused.code(), "rate_limited");
    let counted = ("address:192.0.2.1".to_owned(), Limit::Callback);
    assert_eq!(app.limiter.taken()[1..], [counted.clone(), counted]);
    assert_eq!(app.record(started.flow_id).await, before);
    assert!(app.token_calls().is_empty());
}

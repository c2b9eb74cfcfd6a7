//! Scopes that are granted, missing or required, by every use case that reports or uses them.

use grantry_domain::authorization::{
    ConnectionStatus, ExpiredCause, FailureCode, FlowFailure, FlowStatus, ProviderNote, Reason, StateKind, StatusKind,
    TerminalCause,
};
use grantry_domain::ports::{AuditKind, TokenResponse};
use grantry_domain::provider::Scopes;
use grantry_domain::usecase::{Completed, FlowView, Outcome};
use grantry_testkit::doubles::{Fault, Method, Operation, tokens};

use crate::common::{
    HOUR, TestApp, account, authorization_required, callback_of, draft, draft_without_secret, drive, person, quiet,
    tokens_for,
};

const INSUFFICIENT: Outcome = Outcome::Failed(FlowFailure::Code(FailureCode::InsufficientScope));

/// Tokens with these granted scopes. The connector requests `read write` and requires `read`.
fn granted(access: &str, scopes: &str) -> TokenResponse {
    let refresh = format!("refresh-of-{access}");
    TokenResponse { scopes: Some(Scopes::from_record(scopes)), ..tokens_for(access, Some(&refresh), HOUR) }
}

async fn connect(app: &TestApp, response: TokenResponse) -> Completed {
    app.provider.respond_to_exchange(Ok(response));
    let started = app.start("alice", &drive()).await;
    app.complete(callback_of(&started, "alice")).await
}

async fn flow(app: &TestApp, completed: &Completed) -> FlowView {
    app.node.flow_status(&person("alice"), None, completed.flow_id).await.unwrap()
}

fn missing(status: &ConnectionStatus) -> String {
    status.missing_scopes.as_ref().map(Scopes::to_record).unwrap_or_default()
}

#[tokio::test]
async fn r13_a_flow_without_a_required_scope_ends_as_insufficient_scope_everywhere() {
    let app = TestApp::new().await;
    let completed = connect(&app, granted("narrow", "write")).await;
    assert_eq!(completed.outcome, INSUFFICIENT);
    let shown = flow(&app, &completed).await;
    assert_eq!(shown.status, FlowStatus::Failed(FlowFailure::Code(FailureCode::InsufficientScope)));
    assert_eq!(shown.missing_scopes.to_record(), "read");
    assert_eq!(app.outcomes(AuditKind::FlowEnded).await, ["insufficient_scope"]);
    assert!(app.outcomes(AuditKind::Connected).await.is_empty());
    let status = app.status("alice").await;
    assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::InsufficientScope)));
    assert_eq!(missing(&status), "read");
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::InsufficientScope)));
    // The tokens are not kept.
    app.spawner.finished().await;
    assert_eq!(app.revoked(), ["refresh-of-narrow", "narrow"]);
    let record = app.record(completed.flow_id).await;
    assert_eq!((record.state, record.sealed), (StateKind::Expired, None));
    assert_eq!(record.cause, Some(TerminalCause::Expired(ExpiredCause::InsufficientScope)));
    assert_eq!(app.status("alice").await.provider_note, None, "the revocation is complete");
    // The next attempt succeeds.
    assert_eq!(connect(&app, granted("wide", "read write")).await.outcome, Outcome::Connected);
    assert_eq!(app.kind("alice").await, StatusKind::Connected);
    assert_eq!(app.token("alice").await.as_deref(), Ok("wide"));
}

#[tokio::test]
async fn r24_a_reconnect_without_a_required_scope_keeps_the_usable_grant() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let completed = connect(&app, granted("narrow", "write")).await;
    assert_eq!(completed.outcome, INSUFFICIENT);
    app.spawner.finished().await;
    assert_eq!(app.revoked(), ["refresh-of-narrow", "narrow"]);
    let status = app.status("alice").await;
    assert_eq!((status.kind, status.reason, missing(&status)), (StatusKind::Connected, None, String::new()));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    let shown = flow(&app, &completed).await;
    assert_eq!(shown.status, FlowStatus::Failed(FlowFailure::Code(FailureCode::InsufficientScope)));
}

#[tokio::test]
async fn r51_tokens_that_are_not_kept_are_not_revoked_if_that_would_end_the_usable_grant() {
    // The provider revokes per client and user.
    let app = TestApp::new().await;
    app.profiles.set("{}", |settings| settings.revocation_is_per_user = true);
    app.provider.set_account(Some(account("alice")));
    app.connect("alice").await;
    assert_eq!(connect(&app, granted("narrow", "write")).await.outcome, INSUFFICIENT);
    app.spawner.finished().await;
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["not_needed"]);
    assert!(app.revoked().is_empty());
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));

    // The provider returns the same refresh token for every consent.
    let app = TestApp::new().await;
    app.connect("alice").await;
    let same = TokenResponse { scopes: Some(Scopes::new(["write"])), ..tokens("narrow", Some("refresh-1")) };
    assert_eq!(connect(&app, same).await.outcome, INSUFFICIENT);
    app.spawner.finished().await;
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["not_needed"]);
    assert!(app.revoked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn r26_tokens_without_a_required_scope_are_revoked_if_the_flow_cannot_be_written() {
    let app = TestApp::new().await;
    app.provider.respond_to_exchange(Ok(granted("narrow", "write")));
    let started = app.start("alice", &drive()).await;
    app.store.fail_always(Method::Replace, Fault::UNAVAILABLE);
    let completed = app.drive(app.complete(callback_of(&started, "alice"))).await;
    app.store.clear_faults();
    assert_eq!(completed.outcome, INSUFFICIENT);
    quiet().await;
    app.node.revoke_due().await.unwrap();
    assert_eq!(app.revoked(), ["refresh-of-narrow", "narrow"]);
    assert_eq!(app.outcomes(AuditKind::UnclaimedTokensQueued).await, ["queued"]);
}

#[tokio::test]
async fn r13_granted_scopes_in_another_form_are_the_requested_ones() {
    for named in ["READ Write", "write,read", "https://api.example/Read https://api.example/write", "read,write,extra"] {
        let app = TestApp::new().await;
        let words: Vec<_> = Scopes::words(named).collect();
        assert_eq!(connect(&app, granted("a", &words.join(" "))).await.outcome, Outcome::Connected, "{named}");
        let status = app.status("alice").await;
        assert_eq!((status.kind, missing(&status)), (StatusKind::Connected, String::new()), "{named}");
        assert!(app.token("alice").await.is_ok(), "{named}");
    }
}

#[tokio::test]
async fn r13_missing_scopes_are_reported_and_block_nothing() {
    let app = TestApp::new().await;
    let completed = connect(&app, granted("a", "read")).await;
    assert_eq!(completed.outcome, Outcome::Connected);
    assert_eq!(flow(&app, &completed).await.missing_scopes.to_record(), "write");
    let status = app.status("alice").await;
    assert_eq!((status.kind, missing(&status)), (StatusKind::Connected, "write".to_owned()));
    assert!(app.token("alice").await.is_ok());

    // Without required scopes, every response connects; one that names no scope gives no information.
    for (scopes, expected) in [("other", "read write"), ("", "")] {
        let app = TestApp::new().await;
        app.profiles.set("{}", |settings| settings.required_scopes = Scopes::default());
        assert_eq!(connect(&app, granted("a", scopes)).await.outcome, Outcome::Connected);
        let status = app.status("alice").await;
        assert_eq!((status.kind, missing(&status).as_str()), (StatusKind::Connected, expected), "{scopes:?}");
        assert!(app.token("alice").await.is_ok());
    }
    // A required scope is not granted by a response that names none.
    let app = TestApp::new().await;
    assert_eq!(connect(&app, granted("a", "")).await.outcome, INSUFFICIENT);
    assert_eq!(missing(&app.status("alice").await), "read");
}

#[tokio::test]
async fn r13_a_refresh_is_judged_again_and_never_ends_the_grant() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let next = async |access: &str, scopes: &str| {
        app.clock.advance(HOUR);
        app.provider.respond_to_refresh(Ok(granted(access, scopes)));
        app.token("alice").await
    };
    assert_eq!(next("a", "READ").await.as_deref(), Ok("a"), "a scope that is not required");
    let status = app.status("alice").await;
    assert_eq!((status.kind, missing(&status)), (StatusKind::Connected, "write".to_owned()));
    assert_eq!(next("b", "").await.as_deref(), Ok("b"), "no information");
    assert_eq!(missing(&app.status("alice").await), "write");
    assert_eq!(next("c", "write").await, Err(authorization_required(Reason::InsufficientScope)));
    let status = app.status("alice").await;
    assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::InsufficientScope)));
    assert_eq!(missing(&status), "read");
    assert_eq!(app.record(id).await.state, StateKind::Authorized, "the grant is kept");
    assert!(app.revoked().is_empty());
    // It is usable again when the scope is not required any more.
    app.profiles.set("{}", |settings| settings.required_scopes = Scopes::default());
    assert_eq!(app.token("alice").await.as_deref(), Ok("c"));
    assert_eq!(app.provider.count(Operation::Exchange), 1);
}

#[tokio::test]
async fn lesson_16_an_edit_counts_the_users_who_lack_a_newly_required_scope() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.provider.respond_to_exchange(Ok(granted("b", "read")));
    app.connect("bob").await;
    app.connect_named("alice", "work").await;
    app.profiles.set("wider", |settings| settings.requested_scopes = Scopes::new(["read", "write", "delete"]));
    app.profiles.set("write", |settings| settings.required_scopes = Scopes::new(["READ", "write"]));
    app.profiles.set("delete", |settings| settings.required_scopes = Scopes::new(["delete"]));
    app.profiles.set("none", |settings| settings.required_scopes = Scopes::default());
    app.profiles.set("moved", |settings| settings.client_id = "client-2".to_owned());
    let (editor, key) = (person("ed"), drive());
    for (settings, disconnected, affected) in
        [("wider", 0, 0), ("none", 0, 0), ("write", 0, 1), ("delete", 0, 2), ("moved", 2, 2)]
    {
        let outcome = app.node.update_connector(&editor, &key, draft(settings), None, true).await.unwrap();
        assert_eq!((outcome.disconnected_users, outcome.affected_users), (disconnected, affected), "{settings}");
    }
    assert_eq!(app.kind("bob").await, StatusKind::Connected, "a dry run changes nothing");
    let update =
        async |settings| app.node.update_connector(&editor, &key, draft_without_secret(settings), None, false).await;
    let outcome = update("write").await.unwrap();
    assert_eq!((outcome.disconnected_users, outcome.affected_users), (0, 1));
    assert_eq!((app.kind("alice").await, app.kind("bob").await), (StatusKind::Connected, StatusKind::NeedsReauthorization));
    // A user whose grant lacked a required scope before is not counted again.
    let outcome = update("delete").await.unwrap();
    assert_eq!(outcome.affected_users, 1);
}

#[tokio::test]
async fn r49_a_user_can_dismiss_an_attempt_that_lacked_scopes() {
    let app = TestApp::new().await;
    connect(&app, granted("narrow", "write")).await;
    app.provider.respond_to_revoke(Ok(grantry_domain::ports::RevocationResponse::NotSupported));
    app.node.disconnect(&person("alice"), &drive(), None).await.unwrap();
    app.spawner.finished().await;
    let status = app.status("alice").await;
    assert_eq!(status.kind, StatusKind::NotConnected);
    assert_ne!(status.provider_note, Some(ProviderNote::RevocationPending));
}

//! Issuing access tokens: to which callers, for which destinations, and how long they are valid.

use std::time::Duration;

use grantry_domain::authorization::{Authorization, AuthorizationRecord, Reason, Revision, StatusKind};
use grantry_domain::connector::{AuthMode, ProfileId};
use grantry_domain::identity::{Actor, Role};
use grantry_domain::ports::{
    AuditKind, AuditOutcome, EditEffect, KeyId, Lifetime, RecordedEvent, StoreError, TokenResponse, Updated, UserStatus,
};
use grantry_domain::provider::Scopes;
use grantry_domain::usecase::{AccessError, AccessTokenRequest, ConnectorDraft, OnAuditFailure, Policy, TokenError};
use grantry_testkit::doubles::fixtures::{connector_id, connector_key, origin, space, tagged, user};
use grantry_testkit::doubles::{Fault, Method, Operation, tokens};

use crate::common::{
    API, HOUR, TestApp, agent, authorization_required, callback_of, draft, drive, elsewhere, execution, person, quiet,
    token_from, token_request, token_request_for, tokens_for,
};

#[tokio::test]
async fn a_fresh_token_is_issued_without_a_request_to_the_provider() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let issued = app.node.access_token(&token_request("alice")).await.unwrap();
    assert_eq!((issued.token_type.as_str(), issued.expires_at), ("Bearer", Some(app.now().plus(HOUR))));
    assert_eq!(app.refreshes(), 0);
    assert_eq!(app.store.count(Method::Find), 0, "one read is enough");
}

#[tokio::test]
async fn r43_a_token_is_issued_only_for_destinations_its_user_consented_to() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    for destination in ["https://evil.example", "http://api.example", "https://api.example:444", "https://as.example"] {
        let refused = app
            .node
            .access_token(&AccessTokenRequest { destination: Some(origin(destination)), ..token_request("alice") })
            .await;
        let refused = refused.map(drop).unwrap_err();
        assert_eq!((&refused, refused.code()), (&TokenError::DestinationRefused, "destination_refused"));
    }
    assert_eq!(app.outcomes(AuditKind::AccessTokenRefused).await, ["destination_refused"; 4]);
    assert!(app.token("alice").await.is_ok());
}

#[tokio::test]
async fn r43_access_is_checked_at_every_token() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    assert!(app.token("alice").await.is_ok());
    app.directory.remove_role(&user("alice"), &space("default"));
    assert_eq!(app.token("alice").await, Err(AccessError::NotFound.into()));
    app.directory.set_role(&user("alice"), &space("default"), Role::Viewer);
    assert!(app.token("alice").await.is_ok());
    for status in [UserStatus::Disabled, UserStatus::Unknown] {
        app.directory.set_user(&user("alice"), status);
        assert_eq!(app.token("alice").await, Err(AccessError::NotFound.into()));
    }
    app.directory.set_user(&user("alice"), UserStatus::Active);
    app.directory.set_unavailable(true);
    assert_eq!(app.token("alice").await, Err(AccessError::DirectoryUnavailable.into()), "without a response, no access");
    assert_eq!(app.token("alice").await.unwrap_err().code(), "directory_unavailable");
}

#[tokio::test]
async fn a_user_gets_no_token_of_another_user() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    for actor in [person("bob"), person("ada")] {
        let refused = app.node.access_token(&AccessTokenRequest { actor, ..token_request("alice") }).await;
        assert_eq!(refused.map(drop), Err(AccessError::Forbidden.into()));
    }
    for actor in [person("alice"), agent(), Actor::System] {
        assert!(app.node.access_token(&AccessTokenRequest { actor, ..token_request("alice") }).await.is_ok());
    }
}

#[tokio::test]
async fn r60_foreign_and_missing_connectors_look_the_same() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.create_connector(&elsewhere(), draft("{}")).await;
    app.directory.remove_role(&user("bob"), &space("marketing"));
    let mut refused = Vec::new();
    for connector in [connector_key("nowhere", "drive"), connector_key("default", "other"), elsewhere()] {
        refused.push(token_from(&app.node, &token_request_for("bob", connector)).await);
    }
    assert_eq!(
        refused,
        [Err(AccessError::NotFound.into()), Err(AccessError::NotFound.into()), Err(AccessError::NotFound.into())]
    );
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    let other_space = token_from(&app.node, &token_request_for("alice", elsewhere())).await;
    assert_eq!(
        other_space,
        Err(authorization_required(Reason::NotConnected)),
        "the same id in another space is another connector"
    );
}

#[tokio::test]
async fn lesson_23_a_run_without_a_grant_of_its_user_gets_no_other_token() {
    let app = TestApp::new().await;
    let shared = connector_key("default", "shared");
    app.create_connector(&shared, ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
    assert!(token_from(&app.node, &token_request_for("bob", shared.clone())).await.is_ok(), "a shared token is cached now");
    app.connect("alice").await;
    assert_eq!(app.token("bob").await, Err(authorization_required(Reason::NotConnected)));
    assert_eq!(app.token("bob").await.unwrap_err().code(), "authorization_required");
    let of_shared = token_from(&app.node, &token_request_for("alice", shared)).await.unwrap();
    assert_ne!(Ok(of_shared), app.token("alice").await);
}

#[tokio::test(start_paused = true)]
async fn r45_after_a_disconnect_no_node_issues_a_token() {
    let app = TestApp::new().await;
    let other = app.another_node();
    app.connect("alice").await;
    assert!(token_from(&other, &token_request("alice")).await.is_ok());
    app.node.disconnect(&person("alice"), &drive(), None).await.unwrap();
    for node in [&app.node, &other] {
        assert_eq!(token_from(node, &token_request("alice")).await, Err(authorization_required(Reason::NotConnected)));
    }
}

#[tokio::test]
async fn r42_a_profile_that_changed_after_the_consent_stops_tokens_and_refreshes() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.profiles.set("{}", |settings| settings.destinations.push(origin("https://evil.example")));
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::ConnectorChanged)));
    assert_eq!(app.status("alice").await.reason, Some(Reason::ConnectorChanged));
    app.clock.advance(HOUR);
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::ConnectorChanged)));
    assert_eq!(app.refreshes(), 0);
    app.profiles.refuse("{}", "config.tokenUrl", "must be https");
    assert_eq!(app.token("alice").await, Err(TokenError::Misconfigured));
    assert_eq!(app.token("alice").await.unwrap_err().code(), "provider_misconfigured");
}

#[tokio::test]
async fn the_reason_is_that_of_the_former_grant() {
    let app = TestApp::new().await;
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::NotConnected)));
    app.provider.respond_to_exchange(Ok(tokens_for("a", None, HOUR)));
    app.connect("alice").await;
    app.clock.advance(HOUR);
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::AccessTokenExpired)), "before the sweeper");
    app.node.sweep(|_| {}).await.unwrap();
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::AccessTokenExpired)), "after it");
    let refresh_lifetime = Lifetime::For(2 * HOUR);
    app.provider.respond_to_exchange(Ok(TokenResponse { refresh_lifetime, ..tokens("b", Some("r")) }));
    app.connect("alice").await;
    app.clock.advance(2 * HOUR);
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::RefreshTokenExpired)));
    app.connect("alice").await;
    let changed = ConnectorDraft { client_id: Some("client-2".to_owned()), ..draft("{}") };
    assert_eq!(app.edit(changed).await, 1);
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::ConnectorChanged)));
    let id = app.connect("alice").await;
    app.node.revoke_grant(&person("ada"), &space("default"), id).await.unwrap();
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::Admin)));
    app.clock.advance(Duration::from_secs(1));
    app.connect("alice").await;
    app.node.disconnect(&person("alice"), &drive(), None).await.unwrap();
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::NotConnected)));
}

#[tokio::test]
async fn a_pending_flow_is_no_grant() {
    let app = TestApp::new().await;
    app.start("alice", &drive()).await;
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::NotConnected)));
}

#[tokio::test]
async fn r76_sealed_values_take_precedence_over_columns() {
    let app = TestApp::new().await;
    app.provider.respond_to_exchange(Ok(tokens_for("a", None, HOUR)));
    let id = app.connect("alice").await;
    let stored = app.record(id).await;
    // A longer lifetime in the column has no effect.
    let later = Some(app.now().plus(100 * HOUR));
    app.tamper(AuthorizationRecord { expires_at: later, ..stored.clone() }).await;
    app.clock.advance(HOUR);
    assert!(app.token("alice").await.is_err());
    assert_eq!(app.refreshes(), 0);
    // More scopes in the column have no effect.
    let narrow = TokenResponse { scopes: Some(Scopes::new(["write"])), ..tokens("b", Some("r")) };
    app.profiles.set("{}", |settings| settings.required_scopes = Scopes::default());
    app.provider.respond_to_exchange(Ok(narrow));
    let id = app.connect("alice").await;
    let stored = app.record(id).await;
    app.profiles.set("{}", |settings| settings.required_scopes = Scopes::new(["read"]));
    app.tamper(AuthorizationRecord { scopes: Scopes::new(["read", "write"]), ..stored }).await;
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::InsufficientScope)));
}

#[tokio::test(start_paused = true)]
async fn r76_a_column_that_claims_a_refresh_token_ends_in_a_bounded_wait() {
    let app = TestApp::new().await;
    app.provider.respond_to_exchange(Ok(tokens_for("a", None, HOUR)));
    let id = app.connect("alice").await;
    app.tamper(AuthorizationRecord { refreshable: true, ..app.record(id).await }).await;
    app.clock.advance(HOUR);
    let refused = app.drive(app.token("alice")).await;
    assert!(matches!(refused, Err(TokenError::Unavailable { .. })), "{refused:?}");
    assert_eq!(app.refreshes(), 0);
}

#[tokio::test]
async fn r76_lesson_27_an_envelope_can_be_decrypted_only_in_its_record() {
    let app = TestApp::new().await;
    let (alices, bobs) = (app.connect("alice").await, app.connect("bob").await);
    let (alice, bob) = (app.record(alices).await, app.record(bobs).await);
    app.tamper(AuthorizationRecord { sealed: bob.sealed, ..alice.clone() }).await;
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::Undecryptable)));
    assert_eq!(app.outcomes(AuditKind::DecryptFailed).await, ["tampered"]);
    // An older generation of the same grant.
    app.tamper(alice.clone()).await;
    app.clock.advance(HOUR);
    assert!(app.token("alice").await.is_ok());
    let refreshed = app.record(alices).await;
    assert_eq!(refreshed.revision, Revision::FIRST.next());
    app.tamper(AuthorizationRecord { sealed: alice.sealed, ..refreshed.clone() }).await;
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::Undecryptable)));
    assert_eq!(app.outcomes(AuditKind::DecryptFailed).await.last(), Some(&"stale"));
    assert_eq!(app.record(alices).await.revision, refreshed.revision, "nothing is deleted or overwritten");
}

#[tokio::test]
async fn r76_a_missing_key_is_reported_changes_nothing_and_ends_when_the_key_is_available_again() {
    let app = TestApp::new().await;
    // The connector keeps the first key.
    let second = KeyId(*b"key-0002");
    app.vault.rotate_to(second);
    let id = app.connect("alice").await;
    let before = app.record(id).await;
    app.vault.forget(second);
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::Undecryptable)));
    let status = app.status("alice").await;
    assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::Undecryptable)));
    app.clock.advance(HOUR);
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::Undecryptable)));
    assert_eq!(app.record(id).await, before);
    assert_eq!(app.outcomes(AuditKind::DecryptFailed).await, ["unknown_key"; 2]);
    app.vault.restore(second);
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(app.kind("alice").await, StatusKind::Connected);
}

#[tokio::test]
async fn a_failure_of_the_store_is_reported() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.store.fail_next(Method::AccessTokenView, Fault::UNAVAILABLE);
    let refused = app.token("alice").await;
    assert_eq!(refused, Err(TokenError::Store(StoreError::Unavailable)));
    assert_eq!(refused.unwrap_err().code(), "store_unavailable");
}

#[tokio::test]
async fn r80_tokens_and_refusals_are_audited_with_actor_and_user() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.token("alice").await.unwrap();
    app.token("bob").await.unwrap_err();
    let events = app.events().await;
    let issued = events.iter().find(|event| event.kind == AuditKind::AccessTokenIssued).unwrap();
    assert_eq!((&issued.actor, &issued.user, issued.authorization), (&agent(), &Some(user("alice")), Some(id)));
    let refused = events.iter().find(|event| event.kind == AuditKind::AccessTokenRefused).unwrap();
    assert_eq!((&refused.user, refused.connector.clone()), (&Some(user("bob")), Some(connector_id("drive"))));
    assert_eq!(refused.outcome, AuditOutcome::AuthorizationRequired);
}

#[tokio::test(start_paused = true)]
async fn r80_events_that_cannot_be_written_are_written_later() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    for method in [Method::Record, Method::RecordUse] {
        app.clock.advance(Duration::from_hours(24));
        app.token("alice").await.unwrap();
        app.store.fail_next(method, Fault::UNAVAILABLE);
        assert!(app.node.flush_audit().await.is_err());
    }
    assert_eq!(app.outcomes(AuditKind::AccessTokenIssued).await.len(), 2);
    assert_eq!(app.record(id).await.last_used_day, Some(app.now().day()));
    // Many events are written without waiting for the periodic job.
    app.store.fail_next(Method::Record, Fault::UNAVAILABLE);
    for _ in 0..1024 {
        app.token("alice").await.unwrap();
    }
    quiet().await;
    let written = app.stored.outbox.pending_events(u32::MAX).await.unwrap();
    let issued = |events: &[RecordedEvent]| {
        events.iter().filter(|recorded| recorded.event.kind == AuditKind::AccessTokenIssued).count()
    };
    assert!(issued(&written) > 2, "the second batch was written");
    assert_eq!(app.outcomes(AuditKind::AccessTokenIssued).await.len(), 2 + 1024);
}

#[tokio::test]
async fn use_is_recorded_once_a_day() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let first_day = app.now().day();
    let last_use = async || {
        let grant = Authorization::restore(app.record(id).await).unwrap();
        grant.as_grant().unwrap().last_used_day()
    };
    assert_eq!(last_use().await, None, "a consent is not a use");
    app.token("alice").await.unwrap();
    app.token("alice").await.unwrap();
    app.node.flush_audit().await.unwrap();
    assert_eq!(last_use().await, Some(first_day));
    app.token("alice").await.unwrap();
    app.node.flush_audit().await.unwrap();
    assert_eq!(app.store.count(Method::RecordUse), 1, "the record contains today already");
    app.clock.advance(Duration::from_hours(24));
    app.token("alice").await.unwrap();
    app.token("alice").await.unwrap();
    app.node.flush_audit().await.unwrap();
    assert_eq!(app.record(id).await.last_used_day, Some(first_day + 1));
}

#[tokio::test]
async fn no_token_of_an_earlier_epoch_is_issued() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let mut connector = app.stored_connector(&drive()).await;
    connector.epoch = connector.epoch.next();
    let connector = tagged(connector);
    let update = app.stored.connectors.update(connector, 1, None, EditEffect::KeepGrants, Actor::System, Vec::new()).await;
    assert_eq!(update, Ok(Updated::Done { ended_grants: 0 }));
    assert_eq!(
        app.token("alice").await,
        Err(authorization_required(Reason::ConnectorChanged)),
        "although the edit did not end the grant"
    );
    app.clock.advance(HOUR);
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::ConnectorChanged)));
    assert_eq!(app.provider.count(Operation::Refresh), 0);
}

#[tokio::test]
async fn profiles_may_have_more_than_one_destination() {
    let app = TestApp::without_connector();
    app.profiles.set("two", |settings| settings.destinations.push(origin("https://upload.example")));
    let profile = ProfileId::new(".example").unwrap();
    app.create_connector(&drive(), ConnectorDraft { profile, ..draft("two") }).await;
    let started = app.start("alice", &drive()).await;
    app.complete(callback_of(&started, "alice")).await;
    for destination in [API, "https://upload.example"] {
        let issued = app
            .node
            .access_token(&AccessTokenRequest { destination: Some(origin(destination)), ..token_request("alice") })
            .await;
        assert!(issued.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn r80_access_tokens_are_issued_or_refused_without_an_audit_trail_as_the_operator_chose() {
    for (on_audit_failure, refuses) in [(OnAuditFailure::Continue, false), (OnAuditFailure::Refuse, true)] {
        let app = TestApp::with(Policy { on_audit_failure, ..Policy::default() });
        app.create_connector(&drive(), draft("{}")).await;
        app.connect("alice").await;
        let issued = async || app.token("alice").await;
        assert_eq!(issued().await.as_deref(), Ok("access-1"));

        app.store.fail_next(Method::Record, Fault::UNAVAILABLE);
        assert_eq!(app.node.flush_audit().await, Err(StoreError::Unavailable));
        assert!(app.node.audit_backlog().is_failing);
        let result = issued().await;
        match &result {
            Err(error) if refuses => assert_eq!((error, error.code()), (&TokenError::AuditUnavailable, "audit_unavailable")),
            other => assert_eq!(other.as_deref(), Ok("access-1"), "{on_audit_failure:?}"),
        }
        let run = app.node.execute(execution("alice", "/me")).await;
        assert_eq!(run.is_err(), refuses, "{on_audit_failure:?}");
        // The store accepts events again.
        app.node.flush_audit().await.unwrap();
        assert!(!app.node.audit_backlog().is_failing);
        assert_eq!(issued().await.as_deref(), Ok("access-1"));
        let outcomes = app.outcomes(AuditKind::AccessTokenRefused).await;
        let expected: &[&str] = if refuses { &["audit_unavailable", "audit_unavailable"] } else { &[] };
        assert_eq!(outcomes, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn r80_events_of_access_tokens_go_to_the_sink_directly_unless_the_operator_requires_a_stored_trail() {
    for (on_audit_failure, directly) in [(OnAuditFailure::Continue, true), (OnAuditFailure::Refuse, false)] {
        let app = TestApp::with(Policy { on_audit_failure, ..Policy::default() });
        app.sink.take_directly();
        app.create_connector(&drive(), draft("{}")).await;
        app.connect("alice").await;
        app.token("alice").await.unwrap();
        let stored = app.outcomes(AuditKind::AccessTokenIssued).await.len();
        let direct = app.sink.direct_events();
        let direct = direct.iter().filter(|event| event.kind == AuditKind::AccessTokenIssued).count();
        assert_eq!((direct, stored), if directly { (1, 0) } else { (0, 1) }, "{on_audit_failure:?}");
        assert!(app.outcomes(AuditKind::Connected).await.len() == 1, "the event of a change is stored with it");

        // A day of use that cannot be stored is no failure of the trail.
        app.clock.advance(Duration::from_hours(24));
        app.token("alice").await.unwrap();
        app.store.fail_next(Method::RecordUse, Fault::UNAVAILABLE);
        assert_eq!(app.node.flush_audit().await, Err(StoreError::Unavailable));
        assert!(!app.node.audit_backlog().is_failing, "{on_audit_failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r80_access_tokens_are_refused_while_a_write_of_the_trail_hangs_where_the_operator_chose_so() {
    for (on_audit_failure, refuses) in [(OnAuditFailure::Continue, false), (OnAuditFailure::Refuse, true)] {
        let app = TestApp::with(Policy { on_audit_failure, ..Policy::default() });
        app.create_connector(&drive(), draft("{}")).await;
        app.connect("alice").await;
        let gate = app.store.hold(Method::Record);
        assert!(app.token("alice").await.is_ok());
        let node = app.node.clone();
        let flush = tokio::spawn(async move { node.flush_audit().await });
        gate.arrived(1).await;
        app.clock.advance(Duration::from_secs(2));
        assert!(app.token("alice").await.is_ok());
        app.clock.advance(Duration::from_millis(1));
        let late = app.token("alice").await.map(drop);
        assert_eq!(late, if refuses { Err(TokenError::AuditUnavailable) } else { Ok(()) }, "{on_audit_failure:?}");
        gate.open();
        flush.await.unwrap().unwrap();
        app.node.flush_audit().await.unwrap();
        assert!(app.token("alice").await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn r80_a_token_is_refused_if_the_trail_fails_during_its_refresh() {
    let app = TestApp::with(Policy { on_audit_failure: OnAuditFailure::Refuse, ..Policy::default() });
    app.create_connector(&drive(), draft("{}")).await;
    app.connect("alice").await;
    app.node.flush_audit().await.unwrap();
    app.clock.advance(HOUR);
    let gate = app.provider.hold(Operation::Refresh);
    let (node, request) = (app.node.clone(), token_request("alice"));
    let running = tokio::spawn(async move { node.access_token(&request).await.map(drop) });
    gate.arrived(1).await;
    assert!(app.token("bob").await.is_err(), "the refusal is an event");
    app.store.fail_next(Method::Record, Fault::UNAVAILABLE);
    assert_eq!(app.node.flush_audit().await, Err(StoreError::Unavailable));
    gate.open();
    assert_eq!(running.await.unwrap(), Err(TokenError::AuditUnavailable));
    app.node.flush_audit().await.unwrap();
    assert!(app.token("alice").await.is_ok(), "the refreshed token is kept");
    app.node.flush_audit().await.unwrap();
    assert_eq!(app.outcomes(AuditKind::AccessTokenIssued).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r80_a_full_buffer_refuses_access_tokens_where_the_operator_chose_so() {
    let app = TestApp::with(Policy { on_audit_failure: OnAuditFailure::Refuse, ..Policy::default() });
    app.create_connector(&drive(), draft("{}")).await;
    app.connect("alice").await;
    let gate = app.store.hold(Method::Record);
    let mut issued = 0;
    let refused = loop {
        match app.token("alice").await {
            Ok(_) => issued += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((refused, issued), (TokenError::AuditUnavailable, 8192));
    gate.open();
    quiet().await;
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    let events = app.events().await;
    let of_issue = events.iter().filter(|event| event.kind == AuditKind::AccessTokenIssued).count();
    assert_eq!(of_issue, issued + 1, "no token was issued without its event");
}

//! Disconnecting: committed at once, and revoked at the provider by a durable job.

use std::time::Duration;

use grantry_domain::authorization::{
    AuthorizationId, ProviderNote, Revision, RevocationRecord, StateKind, StatusKind, TerminationCause,
};
use grantry_domain::connector::AuthMode;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditKind, ClientSecretKey, Operation as Limit, ProviderErrorKind, RevocationResponse, StoreError, TerminationReport,
    TokenKind, VaultError,
};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{AccessError, ConnectorDraft, DisconnectError, RevocationRound};
use grantry_testkit::doubles::fixtures::{connector_key, space, user};
use grantry_testkit::doubles::{Call, Fault, Method, Operation, PlainVault, ProviderFault, Reuse, tokens};

use crate::common::{
    HOUR, SECOND, TestApp, account, agent, callback_of, draft, drive, person, quiet, terminated, token_from, token_request,
    tokens_for,
};

async fn disconnect(app: &TestApp, who: &str) -> TerminationReport {
    let (actor, key) = (person(who), drive());
    app.drive(app.node.disconnect(&actor, &key, None)).await.unwrap()
}

/// A deployment whose user disconnected while the provider fails revocations.
async fn disconnected_with_errors(errors: usize, error: ProviderErrorKind) -> (TestApp, AuthorizationId) {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    for _ in 0..errors {
        app.provider.respond_to_revoke(Err(error));
    }
    disconnect(&app, "alice").await;
    quiet().await;
    (app, id)
}

/// In-doubt mark, time until the next attempt and failed attempts of a pending revocation.
async fn due(app: &TestApp, id: AuthorizationId) -> Option<(bool, Duration, u32)> {
    match app.record(id).await.revocation {
        Some(RevocationRecord::Pending { in_doubt, due_at, attempts }) => {
            Some((in_doubt, due_at.since(app.now()), attempts))
        }
        Some(RevocationRecord::Completed(_)) | None => None,
    }
}

#[tokio::test(start_paused = true)]
async fn r49_lesson_19_a_disconnect_ends_the_grant_at_once_and_revokes_both_tokens() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let pending = app.start("alice", &drive()).await;
    let ended = disconnect(&app, "alice").await;
    assert_eq!(ended, TerminationReport { flows: 1, grants: 1, former: 0, queued: 1 });
    let row = app.record(id).await;
    assert_eq!(row.cause, Some(terminated(TerminationCause::Disconnected)));
    assert_eq!(app.record(pending.flow_id).await.state, StateKind::Revoked, "a pending flow as well");
    quiet().await;
    let calls = app.token_calls().into_iter().filter(|call| call.operation() == Operation::Revoke);
    let endpoint = Some("https://as.example/revoke".to_owned());
    let expected = [("refresh-1", TokenKind::Refresh), ("access-1", TokenKind::Access)].map(|(token, kind)| Call::Revoke {
        endpoint: endpoint.clone(),
        client_secret: Some("client-secret-1".to_owned()),
        token: token.to_owned(),
        kind,
    });
    assert_eq!(calls.collect::<Vec<_>>(), expected, "the refresh token first, with its type hint");
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["revoked"]);
    assert_eq!(app.outcomes(AuditKind::GrantTerminated).await, ["disconnected"]);
    let row = app.record(id).await;
    assert_eq!((row.sealed, row.revision), (None, Revision::NONE), "the tokens are destroyed");
    let status = app.status("alice").await;
    assert_eq!((status.kind, status.provider_note), (StatusKind::NotConnected, None));
    assert_eq!(app.kind("bob").await, StatusKind::NotConnected);
}

#[tokio::test(start_paused = true)]
async fn r49_a_disconnect_is_idempotent_and_affects_no_other_user() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.connect("bob").await;
    disconnect(&app, "alice").await;
    for _ in 0..2 {
        assert_eq!(disconnect(&app, "alice").await, TerminationReport::default());
    }
    assert_eq!(app.kind("bob").await, StatusKind::Connected);
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_disconnect_is_reported_and_changes_nothing() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let refused = async |actor: Actor, key| app.node.disconnect(&actor, &key, None).await.unwrap_err();
    assert_eq!(refused(agent(), drive()).await, AccessError::Forbidden.into());
    assert_eq!(refused(Actor::System, drive()).await, AccessError::Forbidden.into());
    assert_eq!(refused(person("stranger"), drive()).await, AccessError::NotFound.into());
    assert_eq!(refused(person("alice"), connector_key("default", "other")).await, AccessError::NotFound.into());
    app.limiter.refuse(SECOND);
    let limited = refused(person("alice"), drive()).await;
    assert_eq!((&limited, limited.code()), (&DisconnectError::RateLimited { retry_after: SECOND }, "rate_limited"));
    assert_eq!(app.limiter.taken().last(), Some(&("user:alice".to_owned(), Limit::Disconnect)));
    for method in [Method::Statuses, Method::Find, Method::Terminate] {
        app.store.fail_next(method, Fault::UNAVAILABLE);
        assert_eq!(refused(person("alice"), drive()).await, DisconnectError::Store(StoreError::Unavailable));
    }
    let codes: [DisconnectError; 4] = [
        AccessError::NotFound.into(),
        AccessError::Forbidden.into(),
        AccessError::DirectoryUnavailable.into(),
        StoreError::Unavailable.into(),
    ];
    let expected = ["not_found", "forbidden", "directory_unavailable", "store_unavailable"];
    assert_eq!(codes.each_ref().map(DisconnectError::code), expected);
    assert_eq!(app.kind("alice").await, StatusKind::Connected);
    assert!(app.token("alice").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn r65_a_connector_with_invalid_settings_can_be_disconnected() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.profiles.refuse("{}", "config.tokenUrl", "is not allowed any more");
    disconnect(&app, "alice").await;
    assert_eq!(app.record(id).await.state, StateKind::Revoked);
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-1", "access-1"], "at the endpoint consented to");
}

#[tokio::test(start_paused = true)]
async fn a_shared_connector_has_nothing_to_disconnect() {
    let app = TestApp::without_connector();
    let shared = ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") };
    app.create_connector(&drive(), shared).await;
    assert!(app.token("alice").await.is_ok());
    assert_eq!(disconnect(&app, "alice").await, TerminationReport::default());
    assert!(app.token("alice").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn r49_a_disconnect_waits_for_a_running_refresh_which_leaves_no_in_doubt_mark() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    let gate = app.provider.hold(Operation::Refresh);
    let (node, other) = (app.node.clone(), app.another_node());
    let caller = tokio::spawn(async move { token_from(&node, &token_request("alice")).await });
    gate.arrived(1).await;
    let disconnecting = tokio::spawn(async move { other.disconnect(&person("alice"), &drive(), None).await.unwrap() });
    app.pass(2 * SECOND).await;
    assert!(!disconnecting.is_finished());
    assert_eq!(app.record(id).await.state, StateKind::Authorized);
    gate.open();
    let ended = app.drive(disconnecting).await.unwrap();
    assert_eq!((ended.grants, caller.await.unwrap().is_ok()), (1, true));
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-2", "access-2"], "the tokens that are valid now");
    assert_eq!(app.refreshes(), 1);
}

#[tokio::test(start_paused = true)]
async fn r49_the_wait_of_a_disconnect_for_a_running_refresh_is_bounded() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.clock.advance(HOUR);
    let gate = app.provider.hold(Operation::Refresh);
    let node = app.node.clone();
    let caller = tokio::spawn(async move { token_from(&node, &token_request("alice")).await });
    gate.arrived(1).await;
    let started = app.now();
    disconnect(&app, "alice").await;
    let waited = app.now().since(started);
    assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&waited), "{waited:?}");
    assert_eq!(app.kind("alice").await, StatusKind::NotConnected);
    gate.open();
    assert!(app.drive(caller).await.unwrap().is_err());
    app.drive(app.spawner.finished()).await;
    let revoked = app.revoked();
    assert!(revoked.contains(&"refresh-2".to_owned()) || revoked.contains(&"refresh-3".to_owned()), "{revoked:?}");
}

#[tokio::test(start_paused = true)]
async fn r49_in_doubt_the_job_refreshes_once_and_then_revokes() {
    for reuse in [Reuse::Strict, Reuse::Grace, Reuse::Undetected] {
        for fault in [ProviderFault::ResponseLost, ProviderFault::RequestLost] {
            let (app, provider) = TestApp::with_rotation(reuse).await;
            let id = app.connect("alice").await;
            app.clock.advance(HOUR);
            provider.fail_next(Operation::Refresh, fault);
            app.token("alice").await.unwrap_err();
            assert!(app.record(id).await.refresh.in_doubt_since.is_some());
            disconnect(&app, "alice").await;
            quiet().await;
            assert_eq!(provider.live_families(), Vec::<String>::new(), "{reuse:?} {fault:?}");
            assert_eq!(provider.count(Operation::Refresh), 2, "once");
            assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["revoked"]);
            assert_eq!(due(&app, id).await, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r49_a_job_that_remains_in_doubt_is_tried_again_after_the_quarantine() {
    let (app, provider) = TestApp::with_rotation(Reuse::Grace).await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    provider.fail_next(Operation::Refresh, ProviderFault::ResponseLost);
    app.token("alice").await.unwrap_err();
    provider.fail_next(Operation::Refresh, ProviderFault::RequestLost);
    disconnect(&app, "alice").await;
    quiet().await;
    let (in_doubt, wait, attempts) = due(&app, id).await.unwrap();
    assert_eq!((in_doubt, attempts), (true, 1));
    assert!(wait >= Duration::from_secs(30), "{wait:?}");
    assert_eq!(provider.count(Operation::Revoke), 0);
    app.clock.advance(wait);
    assert_eq!(app.node.revoke_due().await.unwrap().completed, 1);
    assert_eq!(provider.live_families(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn r49_tokens_that_a_job_in_doubt_received_are_stored_for_the_next_attempt() {
    let (app, provider) = TestApp::with_rotation(Reuse::Strict).await;
    let id = app.connect("alice").await;
    app.clock.advance(HOUR);
    provider.fail_next(Operation::Refresh, ProviderFault::RequestLost);
    app.token("alice").await.unwrap_err();
    provider.fail_next(Operation::Revoke, ProviderFault::RequestLost);
    disconnect(&app, "alice").await;
    quiet().await;
    let (in_doubt, wait, _) = due(&app, id).await.unwrap();
    assert!(!in_doubt, "the outcome is known now");
    assert_eq!(app.record(id).await.revision, Revision(2));
    app.clock.advance(wait);
    app.node.revoke_due().await.unwrap();
    assert_eq!((provider.live_families(), provider.reused()), (Vec::new(), 0), "the used token is not presented");
}

#[tokio::test(start_paused = true)]
async fn r49_received_tokens_that_cannot_be_stored_are_revoked_all_the_same() {
    for fault in [Fault::UNAVAILABLE, Fault::OutcomeLost] {
        let (app, provider) = TestApp::with_rotation(Reuse::Strict).await;
        app.connect("alice").await;
        app.clock.advance(HOUR);
        provider.fail_next(Operation::Refresh, ProviderFault::RequestLost);
        app.token("alice").await.unwrap_err();
        app.store.fail_next(Method::UpdateRevocation, fault);
        disconnect(&app, "alice").await;
        quiet().await;
        assert_eq!((provider.live_families(), provider.reused()), (Vec::new(), 0), "{fault:?}");
        assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["revoked"]);
    }
}

#[tokio::test(start_paused = true)]
async fn lesson_19_an_unreachable_provider_does_not_delay_the_disconnect() {
    // Each attempt sends two requests.
    let (app, id) = disconnected_with_errors(6, ProviderErrorKind::NotSent).await;
    let status = app.status("alice").await;
    assert_eq!((status.kind, status.provider_note), (StatusKind::NotConnected, Some(ProviderNote::RevocationPending)));
    let mut waits = Vec::new();
    while let Some((_, wait, _)) = due(&app, id).await {
        waits.push(wait.as_secs());
        app.clock.advance(wait - Duration::from_millis(1));
        assert_eq!(app.node.revoke_due().await.unwrap(), RevocationRound::default());
        app.clock.advance(Duration::from_millis(1));
        app.node.revoke_due().await.unwrap();
    }
    assert_eq!(waits, [5, 10, 20], "back-off");
    assert_eq!(app.status("alice").await.provider_note, None);
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["revoked"]);
}

#[tokio::test(start_paused = true)]
async fn r50_retry_after_is_respected_also_beyond_an_hour() {
    for hours in [1, 3, 1000] {
        let requested = hours * HOUR;
        let (app, id) =
            disconnected_with_errors(1, ProviderErrorKind::Throttled { retry_after: Some(requested), unprocessed: false })
                .await;
        let (_, wait, _) = due(&app, id).await.unwrap();
        assert_eq!(wait, requested.min(24 * HOUR), "but not after the end of the job");
    }
}

#[tokio::test(start_paused = true)]
async fn r50_after_a_day_the_job_is_abandoned_and_the_tokens_are_destroyed() {
    let (app, id) = disconnected_with_errors(1000, ProviderErrorKind::NoResponse).await;
    let started = app.now();
    let mut attempts = 1;
    while let Some((_, wait, _)) = due(&app, id).await {
        assert!(wait <= HOUR);
        assert!(app.record(id).await.sealed.is_some());
        app.clock.advance(wait);
        app.node.revoke_due().await.unwrap();
        attempts += 1;
    }
    assert_eq!(app.now().since(started), 24 * HOUR);
    assert!((20..60).contains(&attempts), "{attempts}");
    assert_eq!(app.record(id).await.sealed, None);
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["abandoned"]);
    assert_eq!(app.status("alice").await.provider_note, Some(ProviderNote::RevocationAbandoned));
}

#[tokio::test(start_paused = true)]
async fn r50_a_job_whose_client_is_refused_is_abandoned_earlier() {
    let (app, id) = disconnected_with_errors(1000, ProviderErrorKind::ClientRefused).await;
    let started = app.now();
    while let Some((_, wait, _)) = due(&app, id).await {
        app.clock.advance(wait);
        app.node.revoke_due().await.unwrap();
    }
    assert!(app.now().since(started) < 24 * HOUR);
    assert_eq!(app.provider.count(Operation::Revoke), 2 * 13);
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["abandoned"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_without_revocation_is_reported_as_such() {
    let app = TestApp::new().await;
    app.provider.set_revocation_order(Vec::new());
    app.connect("alice").await;
    disconnect(&app, "alice").await;
    quiet().await;
    assert_eq!(app.status("alice").await.provider_note, Some(ProviderNote::RevocationNotSupported));
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["not_supported"]);
    app.provider.set_revocation_order(vec![TokenKind::Access]);
    app.provider.respond_to_revoke(Ok(RevocationResponse::NotSupported));
    app.clock.advance(SECOND);
    app.connect("bob").await;
    disconnect(&app, "bob").await;
    quiet().await;
    assert_eq!(app.status("bob").await.provider_note, Some(ProviderNote::RevocationNotSupported));
}

#[tokio::test(start_paused = true)]
async fn r50_the_order_of_the_provider_is_kept_and_missing_tokens_are_skipped() {
    let app = TestApp::new().await;
    app.provider.set_revocation_order(vec![TokenKind::Access, TokenKind::Refresh]);
    app.connect("alice").await;
    disconnect(&app, "alice").await;
    quiet().await;
    assert_eq!(app.revoked(), ["access-1", "refresh-1"]);
    app.provider.respond_to_exchange(Ok(tokens_for("only-access", None, HOUR)));
    app.connect("bob").await;
    disconnect(&app, "bob").await;
    quiet().await;
    assert_eq!(app.revoked().last().map(String::as_str), Some("only-access"));
    assert_eq!(app.revoked().len(), 3);
}

/// Otherwise the refresh token would stay valid.
#[tokio::test(start_paused = true)]
async fn r49_where_only_access_tokens_are_revoked_an_expired_one_is_refreshed_first() {
    let app = TestApp::new().await;
    app.provider.set_revocation_order(vec![TokenKind::Access]);
    app.connect("alice").await;
    app.clock.advance(HOUR);
    disconnect(&app, "alice").await;
    quiet().await;
    assert_eq!(app.revoked(), ["access-2"]);
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["revoked"]);
    assert_eq!(app.outcomes(AuditKind::RefreshRetried).await, Vec::<String>::new(), "nothing was in doubt");

    // A valid access token, and one without a refresh token, are revoked as they are.
    app.connect("bob").await;
    disconnect(&app, "bob").await;
    app.provider.respond_to_exchange(Ok(tokens_for("only-access", None, HOUR)));
    app.connect("bob").await;
    app.clock.advance(HOUR);
    disconnect(&app, "bob").await;
    quiet().await;
    assert_eq!(app.revoked().last().map(String::as_str), Some("only-access"));
    assert_eq!(app.provider.count(Operation::Refresh), 1);
}

#[tokio::test(start_paused = true)]
async fn r49_a_refresh_before_a_revocation_that_is_refused_or_lost_does_not_end_the_job_early() {
    let expired = async |error: ProviderErrorKind| {
        let app = TestApp::new().await;
        app.provider.set_revocation_order(vec![TokenKind::Access]);
        let id = app.connect("alice").await;
        app.clock.advance(HOUR);
        app.provider.respond_to_refresh(Err(error));
        disconnect(&app, "alice").await;
        quiet().await;
        (app, id)
    };
    // The grant has ended at the provider already.
    let (app, id) = expired(ProviderErrorKind::InvalidGrant).await;
    assert_eq!((app.revoked(), due(&app, id).await), (vec!["access-1".to_owned()], None));
    // The refresh token may have been rotated: the next attempt waits for the quarantine, and leaves an audit event.
    let (app, id) = expired(ProviderErrorKind::NoResponse).await;
    let (_, wait, attempts) = due(&app, id).await.unwrap();
    assert_eq!((attempts, app.revoked()), (1, Vec::<String>::new()));
    assert!(wait >= Duration::from_secs(30), "{wait:?}");
    assert_eq!(app.outcomes(AuditKind::RefreshRetried).await, Vec::<String>::new());
    app.clock.advance(wait);
    app.node.revoke_due().await.unwrap();
    assert_eq!((app.revoked(), due(&app, id).await), (vec!["access-2".to_owned()], None));
    assert_eq!(app.outcomes(AuditKind::RefreshRetried).await, ["to_revoke"]);
}

#[tokio::test(start_paused = true)]
async fn r50_an_edit_revokes_with_the_client_secret_of_the_epoch_of_the_grant_which_is_destroyed_afterwards() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let before = app.stored_connector(&drive()).await;
    let old = ClientSecretKey { incarnation: before.incarnation, epoch: before.epoch };
    app.provider.respond_to_revoke(Err(ProviderErrorKind::NotSent));
    let edited = ConnectorDraft {
        client_id: Some("client-2".to_owned()),
        client_secret: Some(Secret::from_text("client-secret-2")),
        ..draft("{}")
    };
    assert_eq!(app.edit(edited).await, 1);
    quiet().await;
    let connectors = &app.stored.connectors;
    assert!(connectors.client_secret(old).await.unwrap().is_some(), "the job needs it");
    app.clock.advance(Duration::from_secs(5));
    app.node.revoke_due().await.unwrap();
    let secrets: Vec<_> = app
        .provider
        .calls()
        .into_iter()
        .filter_map(|call| if let Call::Revoke { client_secret, .. } = call { client_secret } else { None })
        .collect();
    assert_eq!(secrets, ["client-secret-1"; 4]);
    app.clock.advance(Duration::from_mins(3));
    app.node.sweep(|_| {}).await.unwrap();
    assert!(connectors.client_secret(old).await.unwrap().is_none(), "destroyed with the last job");
    let new = app.stored_connector(&drive()).await;
    let new = ClientSecretKey { incarnation: new.incarnation, epoch: new.epoch };
    assert!(connectors.client_secret(new).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn tokens_that_cannot_be_decrypted_are_revoked_when_their_key_is_available_again() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.vault.forget(PlainVault::FIRST_KEY);
    disconnect(&app, "alice").await;
    quiet().await;
    assert!(app.revoked().is_empty());
    let (_, wait, _) = due(&app, id).await.unwrap();
    assert!(app.record(id).await.sealed.is_some(), "nothing is deleted");
    app.vault.restore(PlainVault::FIRST_KEY);
    app.clock.advance(wait);
    app.node.revoke_due().await.unwrap();
    assert_eq!(app.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_secret_that_cannot_be_read_postpones_the_job() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    app.store.fail_next(Method::ClientSecret, Fault::UNAVAILABLE);
    disconnect(&app, "alice").await;
    quiet().await;
    assert!(app.revoked().is_empty());
    assert!(due(&app, id).await.is_some());
    app.clock.advance(Duration::from_mins(2));
    app.node.revoke_due().await.unwrap();
    assert_eq!(app.revoked(), ["refresh-1", "access-1"], "the claim of the failed worker has ended");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_worker_ended_is_claimed_by_another_one() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let gate = app.provider.hold(Operation::Revoke);
    disconnect(&app, "alice").await;
    gate.arrived(1).await;
    let other = app.another_node();
    assert_eq!(other.revoke_due().await.unwrap().completed, 0, "it is claimed");
    let (_, wait, _) = due(&app, id).await.unwrap();
    app.clock.advance(wait);
    gate.open();
    quiet().await;
    assert!(other.revoke_due().await.is_ok());
    assert_eq!(due(&app, id).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_store_or_of_randomness_ends_the_round() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    app.store.fail_next(Method::ClaimRevocation, Fault::UNAVAILABLE);
    disconnect(&app, "alice").await;
    quiet().await;
    assert!(app.revoked().is_empty());
    app.random.set_failing(true);
    assert_eq!(app.node.revoke_due().await.unwrap(), RevocationRound::default());
    app.random.set_failing(false);
    app.store.fail_next(Method::UpdateRevocation, Fault::UNAVAILABLE);
    assert!(app.node.revoke_due().await.is_err());
    app.clock.advance(Duration::from_mins(2));
    assert_eq!(app.node.revoke_due().await.unwrap().completed, 1);
    assert_eq!(app.revoked(), ["refresh-1", "access-1", "refresh-1", "access-1"], "a second revocation changes nothing");
}

#[tokio::test(start_paused = true)]
async fn r51_a_reconnect_before_the_job_is_done_keeps_the_new_grant_valid() {
    let app = TestApp::new().await;
    app.profiles.set("{}", |settings| settings.revocation_is_per_user = true);
    for (now, kept) in [("alice", true), ("mallory", false)] {
        let before = app.revoked().len();
        app.provider.set_account(Some(account("alice")));
        app.connect("alice").await;
        app.provider.respond_to_revoke(Err(ProviderErrorKind::NotSent));
        disconnect(&app, "alice").await;
        quiet().await;
        app.provider.set_account(Some(account(now)));
        app.connect("alice").await;
        app.clock.advance(Duration::from_mins(1));
        app.node.revoke_due().await.unwrap();
        let revoked = app.revoked().len() - before;
        assert_eq!(revoked == 2, kept, "only the failed attempt: another account is another user at the provider");
        disconnect(&app, "alice").await;
        quiet().await;
        app.clock.advance(Duration::from_mins(1));
    }
}

#[tokio::test(start_paused = true)]
async fn unclaimed_tokens_are_retried_and_abandoned_like_those_of_a_grant() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    app.provider.respond_to_identify(Err(ProviderErrorKind::Malformed));
    for _ in 0..1000 {
        app.provider.respond_to_revoke(Err(ProviderErrorKind::NotSent));
    }
    app.complete(callback_of(&started, "alice")).await;
    quiet().await;
    assert_eq!(app.outcomes(AuditKind::UnclaimedTokensQueued).await, ["queued"]);
    for _ in 0..100 {
        app.clock.advance(HOUR);
        app.node.revoke_due().await.unwrap();
    }
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["abandoned"]);
    assert!(app.provider.count(Operation::Revoke) <= 2 * 30);
}

#[tokio::test(start_paused = true)]
async fn unclaimed_tokens_are_revoked_with_the_secret_of_their_epoch_after_the_connector_is_deleted() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let gate = app.store.hold(Method::CommitGrant);
    let completing = tokio::spawn({
        let (node, callback) = (app.node.clone(), callback_of(&started, "alice"));
        async move { node.complete(callback).await.map(drop) }
    });
    gate.arrived(1).await;
    app.node.delete_connector(&person("ed"), &drive()).await.unwrap();
    gate.open();
    completing.await.unwrap().unwrap();
    quiet().await;
    let Some(Call::Revoke { client_secret, .. }) = app.provider.calls().pop() else { panic!("a revocation") };
    assert_eq!(client_secret.as_deref(), Some("client-secret-1"));
}

#[tokio::test(start_paused = true)]
async fn r53_grants_of_removed_users_are_revoked_even_if_sealing_fails_at_that_time() {
    let app = TestApp::new().await;
    app.provider.respond_to_exchange(Ok(tokens("a", Some("r"))));
    let id = app.connect("alice").await;
    app.vault.fail(Some(VaultError::RandomUnavailable));
    app.node.remove_user(Actor::System, &user("alice")).await.unwrap();
    assert_eq!(app.record(id).await.state, StateKind::Revoked, "a termination requires no cryptography");
    app.vault.fail(None);
    quiet().await;
    app.clock.advance(Duration::from_mins(1));
    app.node.revoke_due().await.unwrap();
    assert_eq!(app.revoked(), ["r", "a"]);
    assert!(app.stored.housekeeping.grant_holders(None, 10).await.unwrap().is_empty());
    assert_eq!(app.record(id).await.owner.space, space("default"));
}

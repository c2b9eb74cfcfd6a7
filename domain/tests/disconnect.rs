//! Disconnecting: over here at once, and told to the provider by a job that does not give up easily.

use std::sync::Arc;
use std::time::Duration;

use grantry_domain::authorization::{ProviderNote, RevocationRecord, RevokedCause, StateKind, StatusKind, TerminationCause};
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditKind, AuthorizationStore, ClientSecretKey, ConnectorStore, Operation as Limit, ProviderError, RevocationResponse,
    StoreError, TerminationReport, TokenKind, VaultError,
};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{ConnectorDraft, DisconnectError};
use grantry_testkit::doubles::fixtures::{connector_key, space, user};
use grantry_testkit::doubles::{Call, Operation, PlainVault, tokens};

use crate::common::ledger::{Reuse, Trouble};
use crate::common::store::{DOWN, Fault, Method};
use crate::common::{HOUR, SECOND, World, agent, came_back, demand, draft, drive, person, quiet, token_from, tokens_for};

async fn disconnect(world: &World, who: &str) -> TerminationReport {
    let (actor, key) = (person(who), drive());
    world.drive(world.node.disconnect(&actor, &key)).await.unwrap()
}

/// A world whose user has disconnected while the provider does not answer revocations.
async fn owing(errors: usize, error: ProviderError) -> (World, grantry_domain::authorization::AuthorizationId) {
    let world = World::new().await;
    let id = world.connect("alice").await;
    for _ in 0..errors {
        world.provider.answer_revoke(Err(error));
    }
    disconnect(&world, "alice").await;
    quiet().await;
    (world, id)
}

async fn due(world: &World, id: grantry_domain::authorization::AuthorizationId) -> Option<(bool, Duration, u32)> {
    match world.row(id).await.revocation {
        Some(RevocationRecord::Pending { in_doubt, due_at, attempts }) => {
            Some((in_doubt, due_at.since(world.now()), attempts))
        }
        Some(RevocationRecord::Completed(_)) | None => None,
    }
}

#[tokio::test(start_paused = true)]
async fn r49_lesson_19_a_disconnect_ends_the_grant_at_once_and_revokes_both_tokens() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    let pending = world.start("alice", &drive()).await;
    let ended = disconnect(&world, "alice").await;
    assert_eq!(ended, TerminationReport { flows: 1, grants: 1, former: 0, queued: 1 });
    let row = world.row(id).await;
    assert_eq!(row.cause, Some(RevokedCause::Terminated(TerminationCause::Disconnected).to_record()));
    assert_eq!(world.row(pending.flow_id).await.state, StateKind::Revoked, "an attempt under way as well");
    quiet().await;
    let calls = world.token_calls().into_iter().filter(|call| call.operation() == Operation::Revoke);
    let endpoint = Some("https://as.example/revoke".to_owned());
    let expected = [("refresh-1", TokenKind::Refresh), ("access-1", TokenKind::Access)].map(|(token, kind)| Call::Revoke {
        endpoint: endpoint.clone(),
        client_secret: Some("client-secret-1".to_owned()),
        token: token.to_owned(),
        kind,
    });
    assert_eq!(calls.collect::<Vec<_>>(), expected, "R50: the refresh token first, with its hint");
    assert_eq!(world.outcomes(AuditKind::RevocationCompleted).await, ["revoked"]);
    assert_eq!(world.outcomes(AuditKind::GrantEnded).await, ["disconnected"]);
    let row = world.row(id).await;
    assert_eq!(
        (row.sealed, row.revision),
        (None, grantry_domain::authorization::Revision::NONE),
        "the tokens are destroyed"
    );
    let status = world.status("alice").await;
    assert_eq!((status.kind, status.provider_note), (StatusKind::NotConnected, None));
    assert_eq!(world.kind("bob").await, StatusKind::NotConnected);
}

#[tokio::test(start_paused = true)]
async fn r49_a_disconnect_is_idempotent_and_touches_nobody_else() {
    let world = World::new().await;
    world.connect("alice").await;
    world.connect("bob").await;
    disconnect(&world, "alice").await;
    for _ in 0..2 {
        assert_eq!(disconnect(&world, "alice").await, TerminationReport::default());
    }
    assert_eq!(world.kind("bob").await, StatusKind::Connected);
    quiet().await;
    assert_eq!(world.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_disconnect_is_told_and_nothing_changes() {
    let world = World::new().await;
    world.connect("alice").await;
    let refused = async |actor: Actor, key| world.node.disconnect(&actor, &key).await.unwrap_err();
    assert_eq!(refused(agent(), drive()).await, DisconnectError::Forbidden);
    assert_eq!(refused(Actor::System, drive()).await, DisconnectError::Forbidden);
    assert_eq!(refused(person("stranger"), drive()).await, DisconnectError::NotFound);
    assert_eq!(refused(person("alice"), connector_key("default", "other")).await, DisconnectError::NotFound);
    world.limiter.refuse(SECOND);
    let limited = refused(person("alice"), drive()).await;
    assert_eq!((limited, limited.code()), (DisconnectError::RateLimited { retry_after: SECOND }, "rate_limited"));
    assert_eq!(world.limiter.taken().last(), Some(&("user:alice".to_owned(), Limit::Disconnect)));
    for method in [Method::AccessTokenView, Method::Find, Method::End] {
        world.store.fail_next(method, DOWN);
        assert_eq!(refused(person("alice"), drive()).await, DisconnectError::Store(StoreError::Unavailable));
    }
    let codes = [DisconnectError::NotFound, DisconnectError::Forbidden, DisconnectError::Store(StoreError::Unavailable)];
    assert_eq!(codes.map(DisconnectError::code), ["not_found", "forbidden", "store_unavailable"]);
    assert_eq!(world.kind("alice").await, StatusKind::Connected);
    assert!(world.token("alice").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn r65_a_broken_or_disabled_connector_can_be_disconnected() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.profiles.refuse("{}", "config.tokenUrl", "is not allowed any more");
    disconnect(&world, "alice").await;
    assert_eq!(world.row(id).await.state, StateKind::Revoked);
    quiet().await;
    assert_eq!(world.revoked(), ["refresh-1", "access-1"], "at the endpoint that was consented to");
}

#[tokio::test(start_paused = true)]
async fn a_shared_connector_has_nothing_to_disconnect() {
    let world = World::without_connector();
    let shared = ConnectorDraft { auth_mode: grantry_domain::connector::AuthMode::Shared, ..draft("{}") };
    world.create_connector(&drive(), shared).await;
    assert!(world.token("alice").await.is_ok());
    assert_eq!(disconnect(&world, "alice").await, TerminationReport::default());
    assert!(world.token("alice").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn r49_a_running_renewal_is_waited_for_and_leaves_no_doubt() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    let gate = world.provider.hold(Operation::Refresh);
    let (node, other) = (world.node.clone(), world.another_node());
    let caller = tokio::spawn(async move { token_from(&node, &demand("alice")).await });
    gate.arrived(1).await;
    let disconnecting = tokio::spawn(async move { other.disconnect(&person("alice"), &drive()).await.unwrap() });
    world.pass(2 * SECOND).await;
    assert!(!disconnecting.is_finished());
    assert_eq!(world.row(id).await.state, StateKind::Authorized);
    gate.open();
    let ended = world.drive(disconnecting).await.unwrap();
    assert_eq!((ended.grants, caller.await.unwrap().is_ok()), (1, true));
    quiet().await;
    assert_eq!(world.revoked(), ["refresh-2", "access-2"], "what is live now");
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test(start_paused = true)]
async fn r49_a_renewal_that_takes_too_long_is_not_waited_for() {
    let world = World::new().await;
    world.connect("alice").await;
    world.clock.advance(HOUR);
    let gate = world.provider.hold(Operation::Refresh);
    let node = world.node.clone();
    let caller = tokio::spawn(async move { token_from(&node, &demand("alice")).await });
    gate.arrived(1).await;
    let started = world.now();
    disconnect(&world, "alice").await;
    let waited = world.now().since(started);
    assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&waited), "{waited:?}");
    assert_eq!(world.kind("alice").await, StatusKind::NotConnected);
    gate.open();
    assert!(world.drive(caller).await.unwrap().is_err());
    world.drive(world.spawner.finished()).await;
    let revoked = world.revoked();
    assert!(revoked.contains(&"refresh-2".to_owned()) || revoked.contains(&"refresh-3".to_owned()), "{revoked:?}");
}

#[tokio::test(start_paused = true)]
async fn r49_in_doubt_the_job_refreshes_once_and_then_revokes() {
    for reuse in [Reuse::Strict, Reuse::Grace, Reuse::Undetected] {
        for trouble in [Trouble::AnswerLost, Trouble::RequestLost] {
            let (world, ledger) = World::on_ledger(reuse).await;
            let id = world.connect("alice").await;
            world.clock.advance(HOUR);
            ledger.trouble(Operation::Refresh, trouble);
            world.token("alice").await.unwrap_err();
            assert!(world.row(id).await.refresh.in_doubt_since.is_some());
            disconnect(&world, "alice").await;
            quiet().await;
            assert_eq!(ledger.live_families(), Vec::<String>::new(), "{reuse:?} {trouble:?}");
            assert_eq!(ledger.count(Operation::Refresh), 2, "once");
            assert_eq!(world.outcomes(AuditKind::RevocationCompleted).await, ["revoked"]);
            assert_eq!(due(&world, id).await, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r49_a_doubt_that_stays_is_tried_again_after_the_quarantine() {
    let (world, ledger) = World::on_ledger(Reuse::Grace).await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    ledger.trouble(Operation::Refresh, Trouble::AnswerLost);
    world.token("alice").await.unwrap_err();
    ledger.trouble(Operation::Refresh, Trouble::RequestLost);
    disconnect(&world, "alice").await;
    quiet().await;
    let (in_doubt, wait, attempts) = due(&world, id).await.unwrap();
    assert_eq!((in_doubt, attempts), (true, 1));
    assert!(wait >= Duration::from_secs(30), "{wait:?}");
    assert_eq!(ledger.count(Operation::Revoke), 0);
    world.clock.advance(wait);
    assert_eq!(world.node.revoke_due().await.unwrap().settled, 1);
    assert_eq!(ledger.live_families(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn r49_what_a_doubtful_job_receives_is_kept_for_the_next_try() {
    let (world, ledger) = World::on_ledger(Reuse::Strict).await;
    let id = world.connect("alice").await;
    world.clock.advance(HOUR);
    ledger.trouble(Operation::Refresh, Trouble::RequestLost);
    world.token("alice").await.unwrap_err();
    ledger.trouble(Operation::Revoke, Trouble::RequestLost);
    disconnect(&world, "alice").await;
    quiet().await;
    let (in_doubt, wait, _) = due(&world, id).await.unwrap();
    assert!(!in_doubt, "the doubt is over");
    assert_eq!(world.row(id).await.revision, grantry_domain::authorization::Revision(2));
    world.clock.advance(wait);
    world.node.revoke_due().await.unwrap();
    assert_eq!((ledger.live_families(), ledger.reused()), (Vec::new(), 0), "the spent token is not presented");
}

#[tokio::test(start_paused = true)]
async fn r49_what_cannot_be_kept_is_revoked_all_the_same() {
    for fault in [DOWN, Fault::AnswerLost] {
        let (world, ledger) = World::on_ledger(Reuse::Strict).await;
        world.connect("alice").await;
        world.clock.advance(HOUR);
        ledger.trouble(Operation::Refresh, Trouble::RequestLost);
        world.token("alice").await.unwrap_err();
        world.store.fail_next(Method::EndRevocation, fault);
        disconnect(&world, "alice").await;
        quiet().await;
        assert_eq!((ledger.live_families(), ledger.reused()), (Vec::new(), 0), "{fault:?}");
        assert_eq!(world.outcomes(AuditKind::RevocationCompleted).await, ["revoked"]);
    }
}

#[tokio::test(start_paused = true)]
async fn lesson_19_a_provider_that_is_down_does_not_hold_up_the_disconnect() {
    let (world, id) = owing(3, ProviderError::NotSent).await;
    let status = world.status("alice").await;
    assert_eq!((status.kind, status.provider_note), (StatusKind::NotConnected, Some(ProviderNote::RevocationPending)));
    let mut waits = Vec::new();
    while let Some((_, wait, _)) = due(&world, id).await {
        waits.push(wait.as_secs());
        world.clock.advance(wait - Duration::from_millis(1));
        assert_eq!(world.node.revoke_due().await.unwrap(), grantry_domain::usecase::RevocationRound::default());
        world.clock.advance(Duration::from_millis(1));
        world.node.revoke_due().await.unwrap();
    }
    assert_eq!(waits, [5, 10, 20], "back-off");
    assert_eq!(world.status("alice").await.provider_note, None);
    assert_eq!(world.outcomes(AuditKind::RevocationCompleted).await, ["revoked"]);
}

#[tokio::test(start_paused = true)]
async fn r50_retry_after_is_obeyed_also_beyond_an_hour() {
    for hours in [1, 3, 1000] {
        let asked = hours * HOUR;
        let (world, id) = owing(1, ProviderError::Throttled { retry_after: Some(asked), unprocessed: false }).await;
        let (_, wait, _) = due(&world, id).await.unwrap();
        assert_eq!(wait, asked.min(24 * HOUR), "but never beyond the end of the job");
    }
}

#[tokio::test(start_paused = true)]
async fn r50_after_a_day_the_job_gives_up_and_the_tokens_are_destroyed() {
    let (world, id) = owing(1000, ProviderError::NoResponse).await;
    let started = world.now();
    let mut tries = 1;
    while let Some((_, wait, _)) = due(&world, id).await {
        assert!(wait <= HOUR);
        assert!(world.row(id).await.sealed.is_some());
        world.clock.advance(wait);
        world.node.revoke_due().await.unwrap();
        tries += 1;
    }
    assert_eq!(world.now().since(started), 24 * HOUR);
    assert!((20..60).contains(&tries), "{tries}");
    assert_eq!(world.row(id).await.sealed, None);
    assert_eq!(world.outcomes(AuditKind::RevocationCompleted).await, ["abandoned"]);
    assert_eq!(world.status("alice").await.provider_note, Some(ProviderNote::RevocationUnconfirmed));
}

#[tokio::test(start_paused = true)]
async fn r50_a_provider_that_refuses_the_client_is_given_up_earlier() {
    let (world, id) = owing(1000, ProviderError::ClientRefused).await;
    let started = world.now();
    while let Some((_, wait, _)) = due(&world, id).await {
        world.clock.advance(wait);
        world.node.revoke_due().await.unwrap();
    }
    assert!(world.now().since(started) < 24 * HOUR);
    assert_eq!(world.provider.count(Operation::Revoke), 13);
    assert_eq!(world.outcomes(AuditKind::RevocationCompleted).await, ["abandoned"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_without_revocation_is_told_apart() {
    let world = World::new().await;
    world.provider.set_revocation_order(Vec::new());
    world.connect("alice").await;
    disconnect(&world, "alice").await;
    quiet().await;
    assert_eq!(world.status("alice").await.provider_note, Some(ProviderNote::RevocationNotSupported));
    assert_eq!(world.outcomes(AuditKind::RevocationCompleted).await, ["not_supported"]);
    world.provider.set_revocation_order(vec![TokenKind::Access]);
    world.provider.answer_revoke(Ok(RevocationResponse::NotSupported));
    world.clock.advance(SECOND);
    world.connect("bob").await;
    disconnect(&world, "bob").await;
    quiet().await;
    assert_eq!(world.status("bob").await.provider_note, Some(ProviderNote::RevocationNotSupported));
}

#[tokio::test(start_paused = true)]
async fn r50_the_providers_order_of_tokens_is_kept_and_missing_ones_are_passed_over() {
    let world = World::new().await;
    world.provider.set_revocation_order(vec![TokenKind::Access, TokenKind::Refresh]);
    world.connect("alice").await;
    disconnect(&world, "alice").await;
    quiet().await;
    assert_eq!(world.revoked(), ["access-1", "refresh-1"]);
    world.provider.answer_exchange(Ok(tokens_for("only-access", None, HOUR)));
    world.connect("bob").await;
    disconnect(&world, "bob").await;
    quiet().await;
    assert_eq!(world.revoked().last().map(String::as_str), Some("only-access"));
    assert_eq!(world.revoked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn r50_an_edit_revokes_with_the_client_secret_of_the_grants_own_epoch_which_then_is_destroyed() {
    let world = World::new().await;
    world.connect("alice").await;
    let before = world.stored_connector(&drive()).await;
    let old = ClientSecretKey { incarnation: before.incarnation, epoch: before.epoch };
    world.provider.answer_revoke(Err(ProviderError::NotSent));
    let edited = ConnectorDraft {
        client_id: Some("client-2".to_owned()),
        client_secret: Some(Secret::from_text("client-secret-2")),
        ..draft("{}")
    };
    assert_eq!(world.edit(edited).await, 1);
    quiet().await;
    let store = world.store.inner();
    assert!(store.client_secret(old).await.unwrap().is_some(), "still needed");
    world.clock.advance(Duration::from_secs(5));
    world.node.revoke_due().await.unwrap();
    let secrets: Vec<_> = world
        .provider
        .calls()
        .into_iter()
        .filter_map(|call| if let Call::Revoke { client_secret, .. } = call { client_secret } else { None })
        .collect();
    assert_eq!(secrets, ["client-secret-1"; 3]);
    world.clock.advance(Duration::from_mins(3));
    world.node.sweep(|_| {}).await.unwrap();
    assert!(store.client_secret(old).await.unwrap().is_none(), "gone with the last job");
    let new = world.stored_connector(&drive()).await;
    let new = ClientSecretKey { incarnation: new.incarnation, epoch: new.epoch };
    assert!(store.client_secret(new).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn tokens_that_do_not_open_now_are_revoked_when_their_key_is_back() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.vault.forget(PlainVault::FIRST_KEY);
    disconnect(&world, "alice").await;
    quiet().await;
    assert!(world.revoked().is_empty());
    let (_, wait, _) = due(&world, id).await.unwrap();
    assert!(world.row(id).await.sealed.is_some(), "R76: nothing is deleted");
    world.vault.restore(PlainVault::FIRST_KEY);
    world.clock.advance(wait);
    world.node.revoke_due().await.unwrap();
    assert_eq!(world.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_secret_that_does_not_open_puts_the_job_off() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    world.store.fail_next(Method::ClientSecret, DOWN);
    disconnect(&world, "alice").await;
    quiet().await;
    assert!(world.revoked().is_empty());
    assert!(due(&world, id).await.is_some());
    world.clock.advance(Duration::from_mins(2));
    world.node.revoke_due().await.unwrap();
    assert_eq!(world.revoked(), ["refresh-1", "access-1"], "the claim of the failed worker has ended");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_leaves_its_job_to_others() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    let gate = world.provider.hold(Operation::Revoke);
    disconnect(&world, "alice").await;
    gate.arrived(1).await;
    let other = world.another_node();
    assert_eq!(other.revoke_due().await.unwrap().settled, 0, "it is claimed");
    let (_, wait, _) = due(&world, id).await.unwrap();
    world.clock.advance(wait);
    gate.open();
    quiet().await;
    assert!(other.revoke_due().await.is_ok());
    assert_eq!(due(&world, id).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_store_or_randomness_that_fails_puts_the_round_off() {
    let world = World::new().await;
    world.connect("alice").await;
    world.store.fail_next(Method::ClaimRevocation, DOWN);
    disconnect(&world, "alice").await;
    quiet().await;
    assert!(world.revoked().is_empty());
    world.random.break_down(true);
    assert_eq!(world.node.revoke_due().await.unwrap(), grantry_domain::usecase::RevocationRound::default());
    world.random.break_down(false);
    world.store.fail_next(Method::EndRevocation, DOWN);
    assert!(world.node.revoke_due().await.is_err());
    world.clock.advance(Duration::from_mins(2));
    assert_eq!(world.node.revoke_due().await.unwrap().settled, 1);
    assert_eq!(world.revoked(), ["refresh-1", "access-1", "refresh-1", "access-1"], "revoking twice does no harm");
}

#[tokio::test(start_paused = true)]
async fn r51_reconnecting_before_the_job_is_done_keeps_the_new_grant_alive() {
    let world = World::new().await;
    world.profiles.set("{}", |settings| settings.revocation_is_per_user = true);
    let account =
        |subject: &str| grantry_domain::provider::Account { subject: subject.to_owned(), label: subject.to_owned() };
    for (now, spared) in [("alice", true), ("mallory", false)] {
        let before = world.revoked().len();
        world.provider.set_account(Some(account("alice")));
        world.connect("alice").await;
        world.provider.answer_revoke(Err(ProviderError::NotSent));
        disconnect(&world, "alice").await;
        quiet().await;
        world.provider.set_account(Some(account(now)));
        world.connect("alice").await;
        world.clock.advance(Duration::from_mins(1));
        world.node.revoke_due().await.unwrap();
        let revoked = world.revoked().len() - before;
        assert_eq!(revoked == 1, spared, "only the failed try: another account is another user at the provider");
        disconnect(&world, "alice").await;
        quiet().await;
        world.clock.advance(Duration::from_mins(1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_retried_and_given_up_like_a_grant() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    world.provider.answer_identify(Err(ProviderError::Malformed));
    for _ in 0..1000 {
        world.provider.answer_revoke(Err(ProviderError::NotSent));
    }
    world.complete(came_back(&started, "alice")).await;
    quiet().await;
    assert_eq!(world.outcomes(AuditKind::UnclaimedTokensQueued).await, ["queued"]);
    for _ in 0..100 {
        world.clock.advance(HOUR);
        world.node.revoke_due().await.unwrap();
    }
    assert_eq!(world.outcomes(AuditKind::RevocationCompleted).await, ["abandoned"]);
    assert!(world.provider.count(Operation::Revoke) <= 30);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_revoked_with_the_secret_of_its_epoch_after_the_connector_is_gone() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let gate = world.store.hold(Method::CommitGrant);
    let completing = tokio::spawn({
        let (node, callback) = (world.node.clone(), came_back(&started, "alice"));
        async move { node.complete(callback).await.map(drop) }
    });
    gate.arrived(1).await;
    world.node.delete_connector(&person("ed"), &drive()).await.unwrap();
    gate.open();
    completing.await.unwrap().unwrap();
    quiet().await;
    let Some(Call::Revoke { client_secret, .. }) = world.provider.calls().pop() else { panic!("a revocation") };
    assert_eq!(client_secret.as_deref(), Some("client-secret-1"));
}

#[tokio::test(start_paused = true)]
async fn r53_removed_users_are_revoked_like_everybody_else_even_if_sealing_fails_now() {
    let world = World::new().await;
    world.provider.answer_exchange(Ok(tokens("a", Some("r"))));
    let id = world.connect("alice").await;
    world.vault.fail(Some(VaultError::NoEntropy));
    world.node.remove_user(Actor::System, &user("alice")).await.unwrap();
    assert_eq!(world.row(id).await.state, StateKind::Revoked, "ending needs no cryptography");
    world.vault.fail(None);
    quiet().await;
    world.clock.advance(Duration::from_mins(1));
    world.node.revoke_due().await.unwrap();
    assert_eq!(world.revoked(), ["r", "a"]);
    let store: Arc<_> = world.store.clone();
    assert!(store.inner().grant_holders(None, 10).await.unwrap().is_empty());
    assert_eq!(world.row(id).await.owner.space, space("default"));
}

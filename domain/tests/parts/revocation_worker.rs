//! The revocation worker, with a mock of its queue.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grantry_domain::authorization::{
    Authorization, AuthorizationKey, AuthorizationRecord, Input, Revision, RevocationOutcome, RevocationRecord,
    TerminationCause,
};
use grantry_domain::encoding::sha256;
use grantry_domain::identity::ConnectionName;
use grantry_domain::ports::{
    AccessTokenView, AuditEvent, AuditKind, AuditOutbox, AuditOutcome, MockAuthorizationQueries, MockRevocationQueue,
    MockSecureRandom, ProviderErrorKind, RandomUnavailable, RevocationJob, RevocationQueue as _, RevocationResponse,
    RevocationUpdate, StoreError, TokenKind, UnclaimedTokens, Versioned,
};
use grantry_domain::provider::{BindingDigest, ClientAuthentication};
use grantry_domain::secret::Secret;
use grantry_domain::time::Timestamp;
use grantry_domain::usecase::parts::{RevocationPorts, RevocationWorker};
use grantry_domain::usecase::{Policy, RevocationRound};
use grantry_testkit::doubles::fixtures::{authorization, authorization_id, connection};
use grantry_testkit::doubles::{Fault, Method, Operation, PlainVault, tokens};

use super::TestParts;
use crate::common::{HOUR, SECOND, account, advancing, quiet};

/// What a worker wrote to its queue.
type Updates = Arc<Mutex<Vec<(RevocationUpdate, Vec<AuditEvent>)>>>;

/// A queue with these jobs that records the updates.
fn queue(jobs: impl IntoIterator<Item = RevocationJob>) -> (MockRevocationQueue, Updates) {
    let (mut queue, updates) = (MockRevocationQueue::new(), Updates::default());
    let mut jobs: VecDeque<_> = jobs.into_iter().collect();
    queue.expect_claim_revocation().returning(move |_, _, _, _| Ok(jobs.pop_front()));
    let written = updates.clone();
    queue.expect_update_revocation().returning(move |_, _, update, audit| {
        written.lock().unwrap().push((update, audit));
        Ok(true)
    });
    (queue, updates)
}

/// Queries of a store without a newer grant.
fn no_newer_grant() -> MockAuthorizationQueries {
    let mut queries = MockAuthorizationQueries::new();
    queries.expect_access_token_view().returning(|_, _, _| Ok(None));
    queries
}

fn worker(parts: &TestParts, queue: MockRevocationQueue, queries: MockAuthorizationQueries) -> Arc<RevocationWorker> {
    let (queue, queries) = (Arc::new(queue), Arc::new(queries));
    parts.revocations_with(RevocationPorts { queue, queries, ..parts.revocation_ports() })
}

/// A former grant with the tokens `access-0` and `refresh-0` that ended now.
async fn former(parts: &TestParts, attempts: u32, in_doubt: bool) -> AuthorizationRecord {
    let grant = authorization(&parts.record(parts.owner("alice"), &parts.secrets("alice").await));
    let end = Input::Terminated { cause: TerminationCause::Disconnected, revoke: true };
    let ended = grant.on(end, parts.now()).unwrap().to_record();
    let revocation = Some(RevocationRecord::Pending { in_doubt, due_at: parts.now(), attempts });
    AuthorizationRecord { revocation, ..ended }
}

fn job(record: &AuthorizationRecord) -> RevocationJob {
    RevocationJob::FormerGrant(Box::new(authorization(record)))
}

/// The single update of a round with one job.
async fn update_of(parts: &TestParts, record: &AuthorizationRecord) -> RevocationUpdate {
    let (queue, updates) = queue([job(record)]);
    worker(parts, queue, no_newer_grant()).revoke_due().await.unwrap();
    let mut updates = updates.lock().unwrap();
    assert_eq!(updates.len(), 1);
    updates.remove(0).0
}

fn retry_at(update: &RevocationUpdate) -> Timestamp {
    match update {
        RevocationUpdate::Retry { at } => *at,
        RevocationUpdate::Completed(_) | RevocationUpdate::Deferred { .. } | RevocationUpdate::Refreshed { .. } => {
            panic!("{update:?}")
        }
    }
}

const COMPLETED: fn(RevocationOutcome) -> RevocationUpdate = RevocationUpdate::Completed;

#[tokio::test]
async fn r50_each_token_is_revoked_in_the_order_of_the_provider_and_the_result_is_audited() {
    let parts = TestParts::new().await;
    parts.provider.set_revocation_order(vec![TokenKind::Access, TokenKind::Refresh]);
    let record = former(&parts, 0, false).await;
    let (queue, updates) = queue([job(&record)]);
    let round = worker(&parts, queue, no_newer_grant()).revoke_due().await;
    assert_eq!(round, Ok(RevocationRound { completed: 1, postponed: 0 }));
    assert_eq!(parts.revoked(), ["access-0", "refresh-0"]);
    let updates = updates.lock().unwrap();
    let [(update, audit)] = updates.as_slice() else { panic!("one update") };
    assert_eq!(*update, COMPLETED(RevocationOutcome::Revoked));
    assert_eq!((audit[0].kind, audit[0].outcome), (AuditKind::RevocationCompleted, AuditOutcome::Revoked));
    assert_eq!((audit[0].authorization, audit[0].connection.as_ref()), (Some(record.id), Some(&record.owner.connection)));
}

#[tokio::test]
async fn a_provider_without_revocation_completes_the_job() {
    let parts = TestParts::new().await;
    let record = former(&parts, 0, false).await;
    parts.provider.set_revocation_order(Vec::new());
    assert_eq!(update_of(&parts, &record).await, COMPLETED(RevocationOutcome::NotSupported));
    parts.provider.set_revocation_order(vec![TokenKind::Access]);
    parts.provider.respond_to_revoke(Ok(RevocationResponse::NotSupported));
    assert_eq!(update_of(&parts, &record).await, COMPLETED(RevocationOutcome::NotSupported));
}

#[tokio::test]
async fn r50_a_failed_job_is_retried_after_a_pause_that_doubles_up_to_an_hour() {
    let parts = TestParts::new().await;
    for (attempts, pause) in [(0, 5), (1, 10), (4, 80), (9, 2560), (10, 3600), (40, 3600)] {
        let record = former(&parts, attempts, false).await;
        parts.provider.respond_to_revoke(Err(ProviderErrorKind::NoResponse));
        let at = retry_at(&update_of(&parts, &record).await);
        assert_eq!(at.since(parts.now()), Duration::from_secs(pause), "after {attempts} attempts");
    }
    let requested = Some(Duration::from_secs(77));
    parts.provider.respond_to_revoke(Err(ProviderErrorKind::Throttled { retry_after: requested, unprocessed: true }));
    let at = retry_at(&update_of(&parts, &former(&parts, 0, false).await).await);
    assert_eq!(at.since(parts.now()), Duration::from_secs(77));
}

#[tokio::test]
async fn r50_a_failure_for_one_kind_of_token_does_not_prevent_the_request_for_the_other() {
    let parts = TestParts::new().await;
    for error in [ProviderErrorKind::NoResponse, ProviderErrorKind::OtherOauthError, ProviderErrorKind::ClientRefused] {
        let before = parts.revoked().len();
        parts.provider.respond_to_revoke(Err(error));
        retry_at(&update_of(&parts, &former(&parts, 0, false).await).await);
        assert_eq!(parts.revoked()[before..], ["refresh-0", "access-0"], "{error:?}");
    }
    // A later attempt sends both again.
    assert_eq!(update_of(&parts, &former(&parts, 1, false).await).await, COMPLETED(RevocationOutcome::Revoked));
    // The job is abandoned only if no failed request can succeed.
    parts.provider.respond_to_revoke(Err(ProviderErrorKind::ClientRefused));
    parts.provider.respond_to_revoke(Err(ProviderErrorKind::NoResponse));
    retry_at(&update_of(&parts, &former(&parts, 12, false).await).await);
}

#[tokio::test]
async fn r50_a_job_is_abandoned_after_a_day_without_another_request() {
    let parts = TestParts::new().await;
    let record = former(&parts, 3, false).await;
    parts.clock.advance(24 * HOUR - SECOND);
    parts.provider.respond_to_revoke(Err(ProviderErrorKind::NoResponse));
    let at = retry_at(&update_of(&parts, &record).await);
    assert_eq!(at.since(parts.now()), SECOND, "not after the end of the job");
    let requests = parts.provider.count(Operation::Revoke);
    parts.clock.advance(SECOND);
    assert_eq!(update_of(&parts, &record).await, COMPLETED(RevocationOutcome::Abandoned));
    assert_eq!(parts.provider.count(Operation::Revoke), requests);
}

#[tokio::test]
async fn r50_a_job_whose_client_is_refused_is_abandoned_after_a_dozen_attempts() {
    let parts = TestParts::new().await;
    for (attempts, abandoned) in [(11, false), (12, true)] {
        let record = former(&parts, attempts, false).await;
        parts.provider.respond_to_revoke(Err(ProviderErrorKind::ClientRefused));
        let update = update_of(&parts, &record).await;
        assert_eq!(update == COMPLETED(RevocationOutcome::Abandoned), abandoned, "{update:?}");
    }
}

#[tokio::test]
async fn a_job_without_its_client_secret_is_abandoned_and_one_whose_secret_cannot_be_read_is_not() {
    let parts = TestParts::new().await;
    let record = former(&parts, 0, false).await;
    parts.store.fail_next(Method::ClientSecret, Fault::UNAVAILABLE);
    let (failing, updates) = queue([job(&record)]);
    let round = worker(&parts, failing, no_newer_grant()).revoke_due().await;
    assert_eq!(round, Err(StoreError::Unavailable), "the claim ends, and another round follows");
    assert!(updates.lock().unwrap().is_empty());
    // The client secret of another epoch was never entered.
    let owner = AuthorizationKey { epoch: grantry_domain::connector::Epoch(2), ..parts.owner("alice") };
    let secrets = grantry_domain::authorization::GrantSecrets { epoch: owner.epoch, ..parts.secrets("alice").await };
    let end = Input::Terminated { cause: TerminationCause::Disconnected, revoke: true };
    let ended = authorization(&parts.record(owner, &secrets)).on(end, parts.now()).unwrap();
    assert_eq!(update_of(&parts, &ended.to_record()).await, COMPLETED(RevocationOutcome::Abandoned));
    assert!(parts.revoked().is_empty());
}

#[tokio::test]
async fn a_public_client_revokes_without_a_secret() {
    let parts = TestParts::new().await;
    parts.profiles.set("{}", |settings| settings.authentication = ClientAuthentication::None);
    let record = former(&parts, 0, false).await;
    assert_eq!(update_of(&parts, &record).await, COMPLETED(RevocationOutcome::Revoked));
    assert_eq!(parts.store.count(Method::ClientSecret), 0);
}

#[tokio::test]
async fn r76_tokens_that_cannot_be_decrypted_are_kept_and_retried() {
    let parts = TestParts::new().await;
    let record = former(&parts, 0, false).await;
    parts.vault.forget(PlainVault::FIRST_KEY);
    assert_eq!(retry_at(&update_of(&parts, &record).await).since(parts.now()), Duration::from_secs(5));
    assert!(parts.revoked().is_empty());
}

#[tokio::test]
async fn r49_in_doubt_the_job_refreshes_once_stores_the_tokens_and_revokes_them() {
    let parts = TestParts::new().await;
    let record = former(&parts, 0, true).await;
    let (queue, updates) = queue([job(&record)]);
    worker(&parts, queue, no_newer_grant()).revoke_due().await.unwrap();
    assert_eq!(parts.provider.count(Operation::Refresh), 1);
    assert_eq!(parts.revoked(), ["refresh-1", "access-1"]);
    let updates = updates.lock().unwrap();
    let [(RevocationUpdate::Refreshed { sealed, revision }, audit), (completed, _)] = updates.as_slice() else {
        panic!("two updates, not {updates:?}")
    };
    assert_eq!((*revision, audit[0].kind, audit[0].outcome), (Revision(2), AuditKind::Refreshed, AuditOutcome::ToRevoke));
    assert_eq!(*completed, COMPLETED(RevocationOutcome::Revoked));
    let replaced = AuthorizationRecord { sealed: Some(sealed.clone()), revision: *revision, ..record };
    assert!(parts.sealer.decrypts(&authorization(&replaced)), "the job can go on with the stored tokens");
}

#[tokio::test]
async fn r49_r80_a_refresh_in_doubt_before_a_revocation_is_audited_before_it_is_sent() {
    let parts = TestParts::new().await;
    let record = former(&parts, 0, true).await;
    let (queue, updates) = queue([job(&record)]);
    parts.store.fail_next(Method::Record, Fault::UNAVAILABLE);
    let worker = worker(&parts, queue, no_newer_grant());
    assert_eq!(worker.revoke_due().await, Err(StoreError::Unavailable));
    assert_eq!((parts.provider.count(Operation::Refresh), updates.lock().unwrap().len()), (0, 0));

    let parts = TestParts::new().await;
    let record = former(&parts, 0, true).await;
    parts.provider.respond_to_refresh(Err(ProviderErrorKind::NoResponse));
    update_of(&parts, &record).await;
    let events = AuditOutbox::pending_events(&parts.store, 10).await.unwrap();
    let retried = events.iter().map(|recorded| &recorded.event).filter(|event| event.kind == AuditKind::RefreshRetried);
    let retried: Vec<_> = retried.map(|event| (event.authorization, event.outcome)).collect();
    assert_eq!(retried, [(Some(record.id), AuditOutcome::ToRevoke)]);
}

#[tokio::test]
async fn r49_in_doubt_only_an_invalid_grant_decides_that_there_are_no_newer_tokens() {
    let parts = TestParts::new().await;
    let record = former(&parts, 0, true).await;
    parts.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
    assert_eq!(update_of(&parts, &record).await, COMPLETED(RevocationOutcome::Revoked));
    assert_eq!(parts.revoked(), ["refresh-0", "access-0"]);
}

#[tokio::test]
async fn r49_a_refusal_that_does_not_decide_about_the_token_leaves_the_doubt() {
    for error in [
        ProviderErrorKind::OtherOauthError,
        ProviderErrorKind::ClientRefused,
        ProviderErrorKind::GrantTypeRefused,
        ProviderErrorKind::Refused,
        ProviderErrorKind::NotAllowed,
        ProviderErrorKind::BadMetadata,
    ] {
        let parts = TestParts::new().await;
        let record = former(&parts, 0, true).await;
        parts.provider.respond_to_refresh(Err(error));
        let at = retry_at(&update_of(&parts, &record).await);
        assert_eq!(at.since(parts.now()), Duration::from_secs(30), "{error:?}");
        // They may be valid all the same.
        assert_eq!(parts.revoked(), ["refresh-0", "access-0"], "{error:?}");
        // After half a day of such refusals the outcome is what is known.
        let parts = TestParts::new().await;
        let record = former(&parts, 12, true).await;
        parts.provider.respond_to_refresh(Err(error));
        assert_eq!(update_of(&parts, &record).await, COMPLETED(RevocationOutcome::Abandoned), "{error:?}");
    }
}

#[tokio::test]
async fn r49_a_job_that_remains_in_doubt_is_retried_after_the_quarantine() {
    let throttled = ProviderErrorKind::Throttled { retry_after: Some(SECOND), unprocessed: true };
    for error in [ProviderErrorKind::NoResponse, ProviderErrorKind::NotSent, ProviderErrorKind::Malformed, throttled] {
        let parts = TestParts::new().await;
        let record = former(&parts, 0, true).await;
        parts.provider.respond_to_refresh(Err(error));
        let at = retry_at(&update_of(&parts, &record).await);
        assert_eq!(at.since(parts.now()), Duration::from_secs(30), "{error:?}");
        assert!(parts.revoked().is_empty());
    }
}

/// Queries of a store in which alice has a newer grant with this account, under this name.
async fn newer_grant(parts: &TestParts, name: &str, subject: Option<&str>) -> MockAuthorizationQueries {
    let owner = AuthorizationKey { connection: connection(name), ..parts.owner("alice") };
    let secrets = parts.secrets("alice").await;
    let secrets = grantry_domain::authorization::GrantSecrets {
        access_token: Secret::from_text("newer-access"),
        refresh_token: Some(Secret::from_text("newer-refresh")),
        account: subject.map(account),
        ..secrets
    };
    let grant = Versioned::stored(authorization(&parts.record(owner, &secrets)));
    let (connector, now) = (parts.connector.clone(), parts.now());
    let mut queries = MockAuthorizationQueries::new();
    let all_names = |_: &_, _: &_, connection: &Option<ConnectionName>| connection.is_none();
    queries.expect_access_token_view().withf(all_names).returning(move |_, _, _| {
        let (connector, grants) = (connector.clone(), vec![grant.clone()]);
        Ok(Some(AccessTokenView { connector, grants, default_connection: None, now, has_expired_connections: false }))
    });
    queries
}

#[tokio::test]
async fn r51_a_revocation_that_would_end_a_newer_grant_of_the_account_is_not_needed() {
    for (per_user, name, subject, not_needed) in [
        (true, "default", Some("alice"), true),
        (true, "work", Some("alice"), true),
        (true, "work", None, true),
        (true, "work", Some("another"), false),
        (false, "default", Some("alice"), false),
    ] {
        let parts = TestParts::new().await;
        parts.profiles.set("{}", move |settings| settings.revocation_is_per_user = per_user);
        let record = former(&parts, 0, false).await;
        let (queue, updates) = queue([job(&record)]);
        worker(&parts, queue, newer_grant(&parts, name, subject).await).revoke_due().await.unwrap();
        let outcome = if not_needed { RevocationOutcome::NotNeeded } else { RevocationOutcome::Revoked };
        assert_eq!(updates.lock().unwrap()[0].0, COMPLETED(outcome), "{name} {subject:?}");
        assert_eq!(parts.revoked().is_empty(), not_needed);
    }
}

#[tokio::test]
async fn a_round_processes_every_due_job_and_counts_them() {
    let parts = TestParts::new().await;
    let first = former(&parts, 0, false).await;
    let unclaimed = async |user| {
        let (owner, id) = (parts.owner(user), parts.new_id());
        let sealed = parts.sealer.seal_unclaimed(&owner, id, &parts.secrets(user).await.encode()).unwrap();
        let tokens = UnclaimedTokens { id, owner, sealed, queued_at: parts.now(), attempts: 0 };
        RevocationJob::Unclaimed(Box::new(tokens))
    };
    parts.provider.respond_to_revoke(Err(ProviderErrorKind::NotSent));
    let (queue, updates) = queue([job(&first), unclaimed("bob").await]);
    let round = worker(&parts, queue, no_newer_grant()).revoke_due().await;
    assert_eq!(round, Ok(RevocationRound { completed: 1, postponed: 1 }));
    assert_eq!(updates.lock().unwrap().len(), 2);
}

/// Parts whose connector is a public client, so that tokens of other settings can be revoked.
async fn public_parts() -> TestParts {
    let parts = TestParts::new().await;
    parts.profiles.set("{}", |settings| settings.authentication = ClientAuthentication::None);
    parts
}

/// Tokens of a user at an origin, pending since an instant.
async fn pending_at(parts: &TestParts, user: &str, origin: &str, queued_at: Timestamp) -> UnclaimedTokens {
    let mut secrets = parts.secrets(user).await;
    secrets.provider.endpoints.revocation = Some(format!("{origin}/revoke"));
    let owner = AuthorizationKey { digest: BindingDigest(sha256(origin.as_bytes())), ..parts.owner(user) };
    let id = parts.new_id();
    let sealed = parts.sealer.seal_unclaimed(&owner, id, &secrets.encode()).unwrap();
    UnclaimedTokens { id, owner, sealed, queued_at, attempts: 0 }
}

/// Queues tokens of a user at an origin in the store.
async fn queue_at(parts: &TestParts, user: &str, origin: &str) {
    let tokens = pending_at(parts, user, origin, parts.now()).await;
    parts.store.queue_unclaimed(tokens, Vec::new()).await.unwrap();
}

const SLOW: &str = "https://slow.example";
const HEALTHY: &str = "https://healthy.example";

/// How long a worker waits for a response.
fn request_deadline() -> Duration {
    Policy::default().request_deadline
}

#[tokio::test(start_paused = true)]
async fn r50_an_origin_that_responds_slowly_does_not_delay_the_others() {
    let parts = public_parts().await;
    for number in 0..130 {
        queue_at(&parts, &format!("user-{number}"), SLOW).await;
    }
    queue_at(&parts, "alice", HEALTHY).await;
    let gate = parts.provider.hold(Operation::Revoke);
    let worker = parts.revocations_with(parts.revocation_ports());
    let round = tokio::spawn(async move { worker.revoke_due().await });
    quiet().await;
    assert_eq!(parts.provider.count(Operation::Revoke), 3, "two at the first origin, one at the other");
    assert_eq!(parts.store.count(Method::UpdateRevocation), 0, "the others are not claimed");
    gate.open();
    let round = round.await.unwrap().unwrap();
    assert_eq!(round, RevocationRound { completed: 131, postponed: 0 });
}

#[tokio::test(start_paused = true)]
async fn r50_a_user_with_many_origins_does_not_delay_the_others() {
    let parts = public_parts().await;
    for number in 0..40 {
        queue_at(&parts, "alice", &format!("https://{number}.example")).await;
    }
    queue_at(&parts, "bob", HEALTHY).await;
    parts.provider.hold(Operation::Revoke);
    let worker = parts.revocations_with(parts.revocation_ports());
    let round = tokio::spawn(async move { worker.revoke_due().await });
    quiet().await;
    assert_eq!(parts.provider.count(Operation::Revoke), 2, "one of each user");
    assert_eq!(parts.store.count(Method::UpdateRevocation), 0);
    round.abort();
}

#[tokio::test(start_paused = true)]
async fn r50_the_jobs_of_an_origin_that_does_not_respond_are_not_written_while_they_wait() {
    let parts = public_parts().await;
    for number in 0..300 {
        queue_at(&parts, &format!("user-{number}"), SLOW).await;
    }
    parts.provider.hold(Operation::Revoke);
    let worker = parts.revocations_with(parts.revocation_ports());
    let round = tokio::spawn({
        let worker = worker.clone();
        async move { worker.revoke_due().await }
    });
    quiet().await;
    let round = advancing(&parts.clock, round).await.unwrap();
    assert_eq!(round, Ok(RevocationRound { completed: 0, postponed: 2 }), "the attempts");
    assert_eq!(parts.provider.count(Operation::Revoke), 4, "two tokens each");
    for _ in 0..10 {
        assert_eq!(worker.revoke_due().await, Ok(RevocationRound::default()), "the origin is closed");
    }
    assert_eq!(parts.store.count(Method::UpdateRevocation), 2);
    // Also after the wall clock was set back, it opens again.
    parts.clock.step_wall(parts.now().minus(HOUR));
    parts.clock.advance(request_deadline());
    for number in 0..2 {
        let tokens = pending_at(&parts, &format!("late-{number}"), SLOW, parts.now()).await;
        parts.store.queue_unclaimed(tokens, Vec::new()).await.unwrap();
    }
    let again = tokio::spawn(async move { worker.revoke_due().await });
    quiet().await;
    assert_eq!(parts.provider.count(Operation::Revoke), 6);
    again.abort();
}

#[tokio::test(start_paused = true)]
async fn r50_a_job_is_abandoned_after_a_day_also_while_its_origin_does_not_respond() {
    let parts = public_parts().await;
    parts.clock.advance(24 * HOUR);
    queue_at(&parts, "bob", SLOW).await;
    parts.provider.hold(Operation::Revoke);
    let worker = parts.revocations_with(parts.revocation_ports());
    let round = tokio::spawn({
        let worker = worker.clone();
        async move { worker.revoke_due().await }
    });
    quiet().await;
    assert_eq!(advancing(&parts.clock, round).await.unwrap(), Ok(RevocationRound { completed: 0, postponed: 1 }));
    // The origin is closed, and the clock stands still.
    let tokens = pending_at(&parts, "alice", SLOW, parts.now().minus(24 * HOUR)).await;
    parts.store.queue_unclaimed(tokens, Vec::new()).await.unwrap();
    queue_at(&parts, "carol", SLOW).await;
    assert_eq!(worker.revoke_due().await, Ok(RevocationRound { completed: 1, postponed: 0 }));
    assert_eq!(parts.provider.count(Operation::Revoke), 2);
}

#[tokio::test]
async fn r50_a_clock_that_is_set_forwards_abandons_nothing_for_some_minutes() {
    let parts = public_parts().await;
    queue_at(&parts, "alice", HEALTHY).await;
    let worker = parts.revocations_with(parts.revocation_ports());
    parts.clock.step_wall(parts.now().plus(48 * HOUR));
    parts.provider.respond_to_revoke(Err(ProviderErrorKind::NoResponse));
    assert_eq!(worker.revoke_due().await, Ok(RevocationRound { completed: 0, postponed: 1 }));
    assert_eq!(parts.provider.count(Operation::Revoke), 2);
    assert_eq!(worker.revoke_due().await, Ok(RevocationRound::default()), "it is retried after a pause");
    parts.clock.advance(Duration::from_mins(10));
    assert_eq!(worker.revoke_due().await, Ok(RevocationRound { completed: 1, postponed: 0 }));
    assert_eq!(parts.provider.count(Operation::Revoke), 2, "abandoned");
}

#[tokio::test(start_paused = true)]
async fn r50_only_the_origin_that_did_not_respond_is_closed() {
    let parts = public_parts().await;
    let mut secrets = parts.secrets("alice").await;
    secrets.provider.endpoints.token = format!("{SLOW}/token");
    secrets.provider.endpoints.revocation = Some(format!("{HEALTHY}/revoke"));
    let grant = authorization(&parts.record(parts.owner("alice"), &secrets));
    let end = Input::Terminated { cause: TerminationCause::Disconnected, revoke: true };
    let ended = grant.on(end, parts.now()).unwrap().to_record();
    let revocation = Some(RevocationRecord::Pending { in_doubt: true, due_at: parts.now(), attempts: 0 });
    let in_doubt = job(&AuthorizationRecord { revocation, ..ended });
    let jobs = Arc::new(Mutex::new(vec![in_doubt]));
    let (mut queue, due) = (MockRevocationQueue::new(), jobs.clone());
    queue.expect_claim_revocation().returning(move |_, _, _, _| Ok(due.lock().unwrap().pop()));
    queue.expect_update_revocation().returning(|_, _, _, _| Ok(true));
    let worker = worker(&parts, queue, no_newer_grant());
    parts.provider.hold(Operation::Refresh);
    let round = tokio::spawn({
        let worker = worker.clone();
        async move { worker.revoke_due().await }
    });
    quiet().await;
    let round = advancing(&parts.clock, round).await.unwrap();
    assert_eq!(round, Ok(RevocationRound { completed: 0, postponed: 1 }));
    let other = pending_at(&parts, "bob", HEALTHY, parts.now()).await;
    jobs.lock().unwrap().push(RevocationJob::Unclaimed(Box::new(other)));
    assert_eq!(worker.revoke_due().await, Ok(RevocationRound { completed: 1, postponed: 0 }));
}

#[tokio::test]
async fn r50_a_job_that_began_before_the_clock_was_set_back_is_abandoned_after_the_attempts_of_a_day() {
    let parts = TestParts::new().await;
    for (attempts, abandoned) in [(0, false), (47, false), (48, true)] {
        let record = former(&parts, attempts, false).await;
        let start = parts.now();
        parts.clock.step_wall(start.minus(3000 * HOUR));
        let requested = Some(9000 * HOUR);
        if !abandoned {
            let throttled = ProviderErrorKind::Throttled { retry_after: requested, unprocessed: true };
            parts.provider.respond_to_revoke(Err(throttled));
        }
        let update = update_of(&parts, &record).await;
        assert_eq!(update == COMPLETED(RevocationOutcome::Abandoned), abandoned, "{update:?}");
        if !abandoned {
            assert_eq!(retry_at(&update).since(parts.now()), 24 * HOUR, "a day at most");
        }
        parts.clock.step_wall(start);
    }
    // A job of an ordinary age may have as many attempts.
    assert_eq!(update_of(&parts, &former(&parts, 48, false).await).await, COMPLETED(RevocationOutcome::Revoked));
}

#[tokio::test]
async fn r50_many_jobs_of_an_origin_that_responds_are_done_in_one_round() {
    let parts = public_parts().await;
    for number in 0..200 {
        queue_at(&parts, &format!("user-{}", number % 3), HEALTHY).await;
    }
    let round = parts.revocations_with(parts.revocation_ports()).revoke_due().await;
    assert_eq!(round, Ok(RevocationRound { completed: 200, postponed: 0 }));
}

#[tokio::test]
async fn r74_without_randomness_no_job_is_claimed() {
    let parts = TestParts::new().await;
    let mut random = MockSecureRandom::new();
    random.expect_fill().times(1).returning(|_| Err(RandomUnavailable));
    let (queue, queries) = (Arc::new(MockRevocationQueue::new()), Arc::new(MockAuthorizationQueries::new()));
    let ports = RevocationPorts { queue, queries, random: Arc::new(random), ..parts.revocation_ports() };
    assert_eq!(parts.revocations_with(ports).revoke_due().await, Ok(RevocationRound::default()));
}

#[tokio::test(start_paused = true)]
async fn r26_unclaimed_tokens_are_queued_until_the_queue_accepts_them_and_then_revoked() {
    let parts = TestParts::new().await;
    let (mut queue, mut failures) = (MockRevocationQueue::new(), 3);
    let queued: Arc<Mutex<Vec<UnclaimedTokens>>> = Arc::default();
    let (accepted, due) = (queued.clone(), queued.clone());
    queue.expect_queue_unclaimed().times(4).returning(move |tokens, audit| {
        assert_eq!((audit[0].kind, audit[0].outcome), (AuditKind::UnclaimedTokensQueued, AuditOutcome::Queued));
        if failures > 0 {
            failures -= 1;
            return Err(StoreError::Unavailable);
        }
        accepted.lock().unwrap().push(tokens);
        Ok(())
    });
    queue
        .expect_claim_revocation()
        .returning(move |_, _, _, _| Ok(due.lock().unwrap().pop().map(|tokens| RevocationJob::Unclaimed(Box::new(tokens)))));
    queue.expect_update_revocation().times(1).returning(|_, _, update, _| {
        assert_eq!(update, COMPLETED(RevocationOutcome::Revoked));
        Ok(true)
    });
    let worker = worker(&parts, queue, no_newer_grant());
    worker.queue_unclaimed(&parts.owner("alice"), &parts.secrets("alice").await, parts.now()).await;
    quiet().await;
    assert!(parts.revoked().is_empty());
    advancing(&parts.clock, parts.spawner.finished()).await;
    assert_eq!(parts.revoked(), ["refresh-0", "access-0"]);
}

#[tokio::test(start_paused = true)]
async fn r26_unclaimed_tokens_that_cannot_be_sealed_are_kept_in_memory() {
    let parts = TestParts::new().await;
    parts.provider.respond_to_refresh(Ok(tokens("a", Some("r"))));
    let worker = parts.revocations_with(parts.revocation_ports());
    let secrets = parts.secrets("alice").await;
    parts.vault.fail(Some(grantry_domain::ports::VaultError::OutOfBounds));
    worker.queue_unclaimed(&parts.owner("alice"), &secrets, parts.now()).await;
    drop(secrets);
    quiet().await;
    assert_eq!(parts.store.count(Method::QueueUnclaimed), 0);
    parts.vault.fail(None);
    advancing(&parts.clock, parts.spawner.finished()).await;
    assert_eq!(parts.revoked(), ["refresh-0", "access-0"]);
}

/// An authorization that is not a former grant has no tokens to revoke.
#[tokio::test]
async fn a_job_without_tokens_sends_nothing() {
    let parts = TestParts::new().await;
    let flow = Authorization::start(authorization_id(7), parts.owner("alice"), parts.now(), parts.now().plus(HOUR));
    assert_eq!(retry_at(&update_of(&parts, &flow.to_record()).await).since(parts.now()), Duration::from_secs(5));
    assert!(parts.revoked().is_empty());
}

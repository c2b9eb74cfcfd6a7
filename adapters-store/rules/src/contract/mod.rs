//! The contract of [`Database`] and [`Tables`], as tests. [`database_contract!`](crate::database_contract) expands to its rules.
//! Outside semantic versioning.
//!
//! A rule takes an empty database. What the rules do not check: that a commit survives the end of the process, and that a record
//! that cannot be read is reported.

#![expect(clippy::missing_panics_doc, reason = "a rule panics where a database breaks it")]

mod sample;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use grantry_domain::ports::{AuditEvent, AuditKind, KeyId, RecordedEvent, StoreError};

use self::sample::{NOW, Sample};
use crate::tables::usage;
use crate::{
    Access, AuthorizationRow, AuthorizationSelection, ClientSecret, ClientSecretSelection, ConnectorRow, ConnectorSelection,
    Database, DefaultConnection, DefaultConnectionSelection, Record, Selection as _, SessionRow, SessionSelection, Table,
    Tables, Tombstone, TombstoneSelection, UnclaimedRow, UnclaimedSelection,
};

/// Expands to one test for each rule of the contract. The factory is an `async fn() -> impl Database` that returns an empty
/// database. The tests require `tokio` with the features `macros` and `rt-multi-thread`.
///
/// ```text
/// async fn fresh_database() -> Embedded { … }
/// grantry_store_rules::database_contract!(fresh_database);
/// ```
#[macro_export]
macro_rules! database_contract {
    ($factory:path) => {
        $crate::database_contract! {
            @rules $factory;
            a_commit_stores_every_record,
            a_transaction_sees_what_it_wrote,
            an_error_after_any_call_changes_nothing,
            a_panic_after_any_call_changes_nothing,
            a_transaction_that_reads_changes_nothing,
            concurrent_transactions_lose_no_change,
            sequence_numbers_rise,
            events_are_returned_in_order_until_they_are_removed,
            keys_are_counted,
            authorizations_are_selected,
            unclaimed_tokens_are_selected,
            connectors_are_selected,
            client_secrets_are_selected,
            default_connections_are_selected,
            tombstones_are_selected,
            sessions_are_selected,
        }
    };
    (@rules $factory:path; $($rule:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                $crate::contract::$rule($factory().await).await;
            }
        )*
    };
}

const ALL: usize = usize::MAX;

/// Everything that is stored.
#[derive(Debug, PartialEq)]
struct Content {
    authorizations: Vec<AuthorizationRow>,
    unclaimed: Vec<UnclaimedRow>,
    connectors: Vec<ConnectorRow>,
    secrets: Vec<ClientSecret>,
    defaults: Vec<DefaultConnection>,
    tombstones: Vec<Tombstone>,
    sessions: Vec<SessionRow>,
    events: Vec<RecordedEvent>,
}

impl Content {
    fn read(tables: &mut dyn Tables) -> Result<Self, StoreError> {
        let mut authorizations = Vec::new();
        for space in sample::spaces() {
            authorizations.extend(Table::select(tables, &AuthorizationSelection::OfSpace(space), ALL)?);
        }
        let (mut defaults, mut sessions) = (Vec::new(), Vec::new());
        for user in ["alice", "bob", "carol"].map(sample::user) {
            defaults.extend(Table::select(tables, &DefaultConnectionSelection::OfUser(user.clone()), ALL)?);
            sessions.extend(Table::select(tables, &SessionSelection::OfUser(user), ALL)?);
        }
        Ok(Self {
            authorizations: by_key(authorizations),
            unclaimed: by_key(Table::select(tables, &UnclaimedSelection::All, ALL)?),
            connectors: by_key(Table::select(tables, &ConnectorSelection::All, ALL)?),
            secrets: by_key(Table::select(tables, &ClientSecretSelection::All, ALL)?),
            defaults: by_key(defaults),
            tombstones: by_key(Table::select(tables, &TombstoneSelection::After(None), ALL)?),
            sessions: by_key(sessions),
            events: tables.events(ALL)?,
        })
    }
}

fn by_key<R: Record>(mut records: Vec<R>) -> Vec<R> {
    records.sort_by_key(Record::key);
    records
}

/// The result of a transaction, or `None` if it panicked.
async fn outcome<D: Database, T: Send + 'static>(
    database: &D,
    access: Access,
    work: impl FnOnce(&mut dyn Tables) -> Result<T, StoreError> + Send + 'static,
) -> Option<Result<T, StoreError>> {
    let mut transaction = pin!(database.transact(access, work));
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| transaction.as_mut().poll(context))) {
        Ok(state) => state.map(Some),
        Err(_panic) => Poll::Ready(None),
    })
    .await
}

async fn done<D: Database, T: Send + 'static>(
    database: &D,
    access: Access,
    work: impl FnOnce(&mut dyn Tables) -> Result<T, StoreError> + Send + 'static,
) -> T {
    outcome(database, access, work).await.expect("no panic").expect("a transaction that succeeds")
}

async fn content<D: Database>(database: &D) -> Content {
    done(database, Access::Read, Content::read).await
}

fn event() -> AuditEvent {
    AuditEvent::of_system(AuditKind::UserReinstated, NOW)
}

/// Stores the sample and three events. The records are not put in the order of their keys.
async fn fill<D: Database>(database: &D) -> Sample {
    let sample = Sample::new();
    let stored = sample.clone();
    let put = move |tables: &mut dyn Tables| {
        stored.authorizations.into_iter().try_for_each(|row| tables.put(row))?;
        stored.unclaimed.into_iter().try_for_each(|row| tables.put(row))?;
        stored.connectors.into_iter().rev().try_for_each(|row| tables.put(row))?;
        stored.secrets.into_iter().rev().try_for_each(|secret| tables.put(secret))?;
        stored.defaults.into_iter().try_for_each(|default| tables.put(default))?;
        stored.tombstones.into_iter().try_for_each(|tombstone| tables.put(tombstone))?;
        stored.sessions.into_iter().try_for_each(|row| tables.put(row))?;
        (0..3).try_for_each(|_| tables.append_event(event()))
    };
    done(database, Access::Write, put).await;
    sample
}

type Step = Box<dyn FnOnce(&mut dyn Tables) -> Result<(), StoreError> + Send>;

fn put<R: Record>(record: R) -> Step
where
    for<'t> dyn Tables + 't: Table<R>,
{
    Box::new(move |tables| tables.put(record))
}

fn remove<R: Record>(record: &R) -> Step
where
    for<'t> dyn Tables + 't: Table<R>,
    R::Key: 'static,
{
    let key = record.key();
    Box::new(move |tables| Table::<R>::remove(tables, &key))
}

/// Calls that replace, add and remove records of every table, and change the outbox.
fn steps(sample: &Sample) -> Vec<Step> {
    let later = NOW.plus(Duration::from_secs(1));
    let carol = sample::user("carol");
    let Sample { authorizations, unclaimed, connectors, secrets, defaults, tombstones, sessions } = sample;
    let mut tokens = unclaimed[0].tokens.clone();
    tokens.id = authorizations[0].key();
    let mut connector = connectors[0].clone();
    connector.connector.revision += 1;
    let mut session = sessions[0].clone();
    session.session.seen_at = later;
    vec![
        put(AuthorizationRow { claim: None, ..authorizations[6].clone() }),
        remove(&authorizations[1]),
        Box::new(|tables| tables.append_event(event())),
        put(UnclaimedRow { due_at: later, ..unclaimed[0].clone() }),
        put(UnclaimedRow { tokens, due_at: later, claim: None }),
        remove(&unclaimed[1]),
        put(connector),
        remove(&connectors[1]),
        put(ClientSecret { superseded_at: Some(later), ..secrets[1].clone() }),
        remove(&secrets[0]),
        put(DefaultConnection { user: carol.clone(), ..defaults[0].clone() }),
        remove(&defaults[1]),
        put(Tombstone { removed_at: later, ..tombstones[0].clone() }),
        put(Tombstone { user: carol, removed_at: later }),
        remove(&tombstones[1]),
        put(session),
        remove(&sessions[1]),
        Box::new(|tables| tables.remove_events(2)),
        Box::new(|tables| tables.append_event(event())),
    ]
}

/// Every record is stored as given, and found by its key.
pub async fn a_commit_stores_every_record<D: Database>(database: D) {
    let sample = fill(&database).await;
    let stored = content(&database).await;
    assert_eq!(stored.authorizations, by_key(sample.authorizations.clone()));
    assert_eq!(stored.unclaimed, by_key(sample.unclaimed));
    assert_eq!(stored.connectors, by_key(sample.connectors));
    assert_eq!(stored.secrets, by_key(sample.secrets));
    assert_eq!(stored.defaults, by_key(sample.defaults));
    assert_eq!(stored.tombstones, by_key(sample.tombstones));
    assert_eq!(stored.events.len(), 3);
    let rows = sample.authorizations.clone();
    let get = move |tables: &mut dyn Tables| rows.iter().map(|row| Table::get(tables, &row.key())).collect();
    let found: Vec<Option<AuthorizationRow>> = done(&database, Access::Read, get).await;
    assert!(found.into_iter().flatten().eq(sample.authorizations));
}

/// A description of the first read of a transaction that does not return what was written before.
fn unseen<R>(tables: &mut dyn Tables, records: &[R], selections: &[R::Selection]) -> Result<Option<String>, StoreError>
where
    R: Record + Debug + PartialEq,
    for<'t> dyn Tables + 't: Table<R>,
{
    for record in records {
        let selection = selections.iter().find(|selection| selection.selects(record));
        for is_stored in [false, true] {
            if is_stored {
                tables.put(record.clone())?;
            } else {
                Table::<R>::remove(tables, &record.key())?;
            }
            let found: Option<R> = Table::get(tables, &record.key())?;
            let selected: Vec<R> = selection.map_or(Ok(Vec::new()), |selection| Table::select(tables, selection, ALL))?;
            if found.as_ref() != is_stored.then_some(record)
                || (selection.is_some() && selected.contains(record) != is_stored)
            {
                return Ok(Some(format!("stored: {is_stored}, found: {found:?}, selected: {selected:?}")));
            }
        }
    }
    Ok(None)
}

/// Reads return the changes that were made before in the same transaction.
pub async fn a_transaction_sees_what_it_wrote<D: Database>(database: D) {
    let sample = fill(&database).await;
    let work = move |tables: &mut dyn Tables| {
        let selections = sample::of_authorizations(&sample.authorizations);
        let unseen = [
            unseen(tables, &sample.authorizations, &selections)?,
            unseen(tables, &sample.unclaimed, &sample::of_unclaimed())?,
            unseen(tables, &sample.connectors, &sample::of_connectors())?,
            unseen(tables, &sample.secrets, &sample::of_secrets())?,
            unseen(tables, &sample.defaults, &sample::of_defaults())?,
            unseen(tables, &sample.tombstones, &sample::of_tombstones())?,
            unseen(tables, &sample.sessions, &sample::of_sessions())?,
        ];
        tables.append_event(event())?;
        Ok((unseen.into_iter().flatten().next(), tables.events(ALL)?.len()))
    };
    assert_eq!(done(&database, Access::Write, work).await, (None, 4));
}

/// Runs the first steps of a transaction that then fails, for each number of steps.
async fn fails_after_any_call<D: Database>(database: D, fail: fn() -> Result<(), StoreError>) {
    let sample = fill(&database).await;
    let before = content(&database).await;
    for calls in 0..=steps(&sample).len() {
        let sample = sample.clone();
        let work = move |tables: &mut dyn Tables| {
            steps(&sample).into_iter().take(calls).try_for_each(|step| step(tables))?;
            fail()
        };
        let outcome = outcome(&database, Access::Write, work).await;
        assert!(!matches!(outcome, Some(Ok(()))), "a transaction that failed reports success");
        assert_eq!(content(&database).await, before, "the first {calls} calls of a failed transaction are stored");
    }
    // The database is still usable.
    let all = move |tables: &mut dyn Tables| steps(&sample).into_iter().try_for_each(|step| step(tables));
    done(&database, Access::Write, all).await;
    assert_ne!(content(&database).await, before, "the changes of a transaction are stored");
}

/// A transaction that returns an error after any of its calls changes nothing.
pub async fn an_error_after_any_call_changes_nothing<D: Database>(database: D) {
    fails_after_any_call(database, || Err(StoreError::Unavailable)).await;
}

/// A transaction that panics after any of its calls changes nothing, and leaves the database usable.
pub async fn a_panic_after_any_call_changes_nothing<D: Database>(database: D) {
    fails_after_any_call(database, || panic!("a transaction that panics")).await;
}

/// A change in a transaction of [`Access::Read`] is refused or not committed.
pub async fn a_transaction_that_reads_changes_nothing<D: Database>(database: D) {
    let sample = fill(&database).await;
    let before = content(&database).await;
    for at in 0..steps(&sample).len() {
        let sample = sample.clone();
        let step = move |tables: &mut dyn Tables| steps(&sample).swap_remove(at)(tables);
        let _refused_or_dropped = outcome(&database, Access::Read, step).await;
        assert_eq!(content(&database).await, before, "a transaction that reads has changed a table");
    }
}

/// Each transaction that succeeds sees the changes of those before it.
pub async fn concurrent_transactions_lose_no_change<D: Database>(database: D) {
    const TRANSACTIONS: u32 = 16;
    let counter = || sample::user("counter");
    let step = Duration::from_millis(1);
    let add = move |tables: &mut dyn Tables| {
        let stored: Option<Tombstone> = Table::get(tables, &counter())?;
        let removed_at = stored.map_or(NOW, |stored| stored.removed_at).plus(step);
        tables.put(Tombstone { user: counter(), removed_at })
    };
    let mut running: Vec<_> = (0..TRANSACTIONS).map(|_| Box::pin(database.transact(Access::Write, add))).collect();
    let mut committed = 0;
    poll_fn(|context| {
        running.retain_mut(|transaction| match transaction.as_mut().poll(context) {
            Poll::Ready(result) => {
                committed += u32::from(result.is_ok());
                false
            }
            Poll::Pending => true,
        });
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    assert!(committed > 0, "no transaction was committed");
    let read = move |tables: &mut dyn Tables| Table::<Tombstone>::get(tables, &counter());
    let stored = done(&database, Access::Read, read).await.expect("the record was written");
    assert_eq!(stored.removed_at, NOW.plus(committed * step), "a committed change was lost");
}

/// A sequence number is greater than every earlier one, also after its event was removed and after a failed transaction.
pub async fn sequence_numbers_rise<D: Database>(database: D) {
    let mut last = 0;
    for round in 0..4 {
        let append = |tables: &mut dyn Tables| (0..3).try_for_each(|_| tables.append_event(event()));
        let failing = move |tables: &mut dyn Tables| append(tables).and(Err::<(), _>(StoreError::Unavailable));
        assert!(!matches!(outcome(&database, Access::Write, failing).await, Some(Ok(()))));
        done(&database, Access::Write, append).await;
        let events = content(&database).await.events;
        for event in &events {
            assert!(event.sequence > last, "number {} follows {last} in round {round}", event.sequence);
            last = event.sequence;
        }
        assert_eq!(events.len(), 3);
        done(&database, Access::Write, move |tables| tables.remove_events(last)).await;
    }
}

/// The oldest events come first, as many as the limit permits, until they are removed.
pub async fn events_are_returned_in_order_until_they_are_removed<D: Database>(database: D) {
    let event = |n: u32| AuditEvent::of_system(AuditKind::UserReinstated, NOW.plus(Duration::from_secs(n.into())));
    let append = move |tables: &mut dyn Tables| (0..5).try_for_each(|n| tables.append_event(event(n)));
    done(&database, Access::Write, append).await;
    let all = content(&database).await.events;
    assert!(all.iter().map(|stored| &stored.event).eq(&(0..5).map(event).collect::<Vec<_>>()));
    for limit in 0..=6 {
        let some = done(&database, Access::Read, move |tables| tables.events(limit)).await;
        assert_eq!(some, all[..limit.min(5)], "the first {limit}");
    }
    let through = all[1].sequence;
    done(&database, Access::Write, move |tables| tables.remove_events(through)).await;
    assert_eq!(content(&database).await.events, all[2..]);
}

/// The counts of keys are those of all records, and the keys in use those with a count.
pub async fn keys_are_counted<D: Database>(database: D) {
    let sample = fill(&database).await;
    let expected = usage(sample.authorizations, sample.unclaimed, sample.secrets, sample.connectors);
    let keys = |tables: &mut dyn Tables| Ok((tables.key_usage()?, tables.keys_in_use()?));
    let (counted, in_use): (BTreeMap<KeyId, u64>, _) = done(&database, Access::Read, keys).await;
    assert_eq!(counted, expected);
    assert_eq!(in_use, expected.into_keys().collect::<Vec<_>>());
}

/// Compares each selection with [`pick`](crate::Selection::pick) among all records.
async fn are_selected<D, R>(database: &D, records: Vec<R>, selections: Vec<R::Selection>)
where
    D: Database,
    R: Record + Debug + PartialEq,
    R::Selection: Debug + Send + 'static,
    for<'t> dyn Tables + 't: Table<R>,
{
    let differences = move |tables: &mut dyn Tables| {
        for selection in &selections {
            for limit in [0, 1, 2, 3, 7, ALL] {
                let found: Vec<R> = Table::select(tables, selection, limit)?;
                let expected = selection.pick(&records, limit);
                if found != expected {
                    return Ok(Some(format!("{selection:?}, limit {limit}: {found:?}\nand not {expected:?}")));
                }
            }
            let (count, expected) = (Table::<R>::count(tables, selection)?, selection.pick(&records, ALL).len() as u64);
            if count != expected {
                return Ok(Some(format!("{selection:?}: a count of {count} and not {expected}")));
            }
        }
        Ok(None)
    };
    let difference = done(database, Access::Read, differences).await;
    assert!(difference.is_none(), "{}", difference.unwrap_or_default());
}

/// The selections of authorizations find the same records as [`pick`](crate::Selection::pick), in its order, up to the limit.
pub async fn authorizations_are_selected<D: Database>(database: D) {
    let rows = fill(&database).await.authorizations;
    let selections = sample::of_authorizations(&rows);
    are_selected(&database, rows, selections).await;
}

/// As [`authorizations_are_selected`], for unclaimed tokens.
pub async fn unclaimed_tokens_are_selected<D: Database>(database: D) {
    let rows = fill(&database).await.unclaimed;
    are_selected(&database, rows, sample::of_unclaimed()).await;
}

/// As [`authorizations_are_selected`], for connectors.
pub async fn connectors_are_selected<D: Database>(database: D) {
    let rows = fill(&database).await.connectors;
    are_selected(&database, rows, sample::of_connectors()).await;
}

/// As [`authorizations_are_selected`], for client secrets.
pub async fn client_secrets_are_selected<D: Database>(database: D) {
    let secrets = fill(&database).await.secrets;
    are_selected(&database, secrets, sample::of_secrets()).await;
}

/// As [`authorizations_are_selected`], for default connections.
pub async fn default_connections_are_selected<D: Database>(database: D) {
    let defaults = fill(&database).await.defaults;
    are_selected(&database, defaults, sample::of_defaults()).await;
}

/// As [`authorizations_are_selected`], for tombstones.
pub async fn tombstones_are_selected<D: Database>(database: D) {
    let tombstones = fill(&database).await.tombstones;
    are_selected(&database, tombstones, sample::of_tombstones()).await;
}

/// As [`authorizations_are_selected`], for sessions.
pub async fn sessions_are_selected<D: Database>(database: D) {
    let rows = fill(&database).await.sessions;
    are_selected(&database, rows, sample::of_sessions()).await;
}

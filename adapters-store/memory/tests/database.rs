//! The database of the reference store follows the contract of databases, and the contract rejects one that does not.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use grantry_domain::ports::{AuditEvent, KeyId, RecordedEvent, StoreError};
use grantry_store_memory::Memory;
use grantry_store_rules::contract as rules;
use grantry_store_rules::{Access, Database, Record, Table, Tables};
use grantry_testkit::contract::rejects;

async fn fresh() -> Memory {
    Memory::default()
}

grantry_store_rules::database_contract!(fresh);

/// What is wrong with a database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    CommitsAfterAnError,
    CommitsAfterAPanic,
    CommitsReads,
    WritesWithTheCommit,
    LosesChanges,
    ReversesTheOrder,
    IgnoresLimits,
    Miscounts,
    ReusesNumbers,
}

struct Flawed {
    memory: Memory,
    flaw: Flaw,
}

fn flawed(flaw: Flaw) -> Flawed {
    Flawed { memory: Memory::default(), flaw }
}

impl Database for Flawed {
    async fn transact<T, W>(&self, access: Access, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut dyn Tables) -> Result<T, StoreError> + Send + 'static,
    {
        let flaw = self.flaw;
        if flaw == Flaw::LosesChanges {
            // Other transactions read before this one writes.
            let read = move |tables: &mut dyn Tables| {
                let mut tables = FlawedTables { tables, flaw, late: Vec::new() };
                Ok((work(&mut tables)?, tables.late))
            };
            let (result, late) = self.memory.transact(Access::Read, read).await?;
            tokio::task::yield_now().await;
            let write = move |tables: &mut dyn Tables| late.into_iter().try_for_each(|write| write(tables));
            self.memory.transact(access, write).await?;
            return Ok(result);
        }
        let access = if flaw == Flaw::CommitsReads { Access::Write } else { access };
        let transaction = move |tables: &mut dyn Tables| {
            let mut tables = FlawedTables { tables, flaw, late: Vec::new() };
            match flaw {
                Flaw::CommitsAfterAnError => Ok(work(&mut tables)),
                Flaw::CommitsAfterAPanic => match catch_unwind(AssertUnwindSafe(|| work(&mut tables))) {
                    Ok(result) => Ok(Ok(result?)),
                    Err(_panic) => Ok(Err(StoreError::Unavailable)),
                },
                Flaw::None
                | Flaw::CommitsReads
                | Flaw::WritesWithTheCommit
                | Flaw::LosesChanges
                | Flaw::ReversesTheOrder
                | Flaw::IgnoresLimits
                | Flaw::Miscounts
                | Flaw::ReusesNumbers => {
                    let result = work(&mut tables)?;
                    let FlawedTables { tables, late, .. } = tables;
                    late.into_iter().try_for_each(|write| write(tables))?;
                    Ok(Ok(result))
                }
            }
        };
        self.memory.transact(access, transaction).await?
    }
}

type Write = Box<dyn FnOnce(&mut dyn Tables) -> Result<(), StoreError> + Send>;

struct FlawedTables<'t> {
    tables: &'t mut (dyn Tables + 't),
    flaw: Flaw,
    late: Vec<Write>,
}

impl FlawedTables<'_> {
    fn limit(&self, limit: usize) -> usize {
        if self.flaw == Flaw::IgnoresLimits { usize::MAX } else { limit }
    }
}

impl<R: Record> Table<R> for FlawedTables<'_>
where
    for<'t> dyn Tables + 't: Table<R>,
{
    fn get(&mut self, key: &R::Key) -> Result<Option<R>, StoreError> {
        Table::<R>::get(self.tables, key)
    }

    fn select(&mut self, selection: &R::Selection, limit: usize) -> Result<Vec<R>, StoreError> {
        let limit = self.limit(limit);
        let mut found = Table::<R>::select(self.tables, selection, limit)?;
        if self.flaw == Flaw::ReversesTheOrder {
            found.reverse();
        }
        Ok(found)
    }

    fn count(&mut self, selection: &R::Selection) -> Result<u64, StoreError> {
        Ok(Table::<R>::count(self.tables, selection)? + u64::from(self.flaw == Flaw::Miscounts))
    }

    fn put(&mut self, record: R) -> Result<(), StoreError> {
        if matches!(self.flaw, Flaw::WritesWithTheCommit | Flaw::LosesChanges) {
            self.late.push(Box::new(move |tables| tables.put(record)));
            return Ok(());
        }
        self.tables.put(record)
    }

    fn remove(&mut self, key: &R::Key) -> Result<(), StoreError> {
        Table::<R>::remove(self.tables, key)
    }
}

impl Tables for FlawedTables<'_> {
    fn append_event(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.tables.append_event(event)
    }

    fn events(&mut self, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let mut events = self.tables.events(self.limit(limit))?;
        if self.flaw == Flaw::ReusesNumbers {
            (1..).zip(&mut events).for_each(|(number, event)| event.sequence = number);
        }
        Ok(events)
    }

    fn remove_events(&mut self, through: u64) -> Result<(), StoreError> {
        if self.flaw == Flaw::ReusesNumbers {
            let events = self.tables.events(usize::try_from(through).unwrap_or(usize::MAX))?;
            return self.tables.remove_events(events.last().map_or(0, |event| event.sequence));
        }
        self.tables.remove_events(through)
    }

    fn key_usage(&mut self) -> Result<BTreeMap<KeyId, u64>, StoreError> {
        let mut usage = self.tables.key_usage()?;
        if self.flaw == Flaw::Miscounts {
            usage.pop_first();
        }
        Ok(usage)
    }
}

mod without_a_flaw {
    use super::{Flaw, Flawed, flawed};

    async fn fresh() -> Flawed {
        flawed(Flaw::None)
    }

    grantry_store_rules::database_contract!(fresh);
}

#[tokio::test]
async fn a_database_that_breaks_a_rule_is_rejected() {
    assert!(rejects(rules::an_error_after_any_call_changes_nothing(flawed(Flaw::CommitsAfterAnError))).await);
    assert!(rejects(rules::a_panic_after_any_call_changes_nothing(flawed(Flaw::CommitsAfterAPanic))).await);
    assert!(rejects(rules::a_transaction_that_reads_changes_nothing(flawed(Flaw::CommitsReads))).await);
    assert!(rejects(rules::a_transaction_sees_what_it_wrote(flawed(Flaw::WritesWithTheCommit))).await);
    assert!(rejects(rules::concurrent_transactions_lose_no_change(flawed(Flaw::LosesChanges))).await);
    assert!(rejects(rules::sequence_numbers_rise(flawed(Flaw::ReusesNumbers))).await);
    assert!(rejects(rules::keys_are_counted(flawed(Flaw::Miscounts))).await);
    assert!(rejects(rules::events_are_returned_in_order_until_they_are_removed(flawed(Flaw::IgnoresLimits))).await);
    for flaw in [Flaw::ReversesTheOrder, Flaw::IgnoresLimits, Flaw::Miscounts] {
        assert!(rejects(rules::authorizations_are_selected(flawed(flaw))).await);
        assert!(rejects(rules::unclaimed_tokens_are_selected(flawed(flaw))).await);
        assert!(rejects(rules::connectors_are_selected(flawed(flaw))).await);
        assert!(rejects(rules::client_secrets_are_selected(flawed(flaw))).await);
        assert!(rejects(rules::default_connections_are_selected(flawed(flaw))).await);
        assert!(rejects(rules::tombstones_are_selected(flawed(flaw))).await);
        assert!(rejects(rules::sessions_are_selected(flawed(flaw))).await);
    }
}

//! Audit events and days of use.

use async_trait::async_trait;
use grantry_domain::authorization::AuthorizationId;
use grantry_domain::ports::{AuditEvent, AuditOutbox, RecordedEvent, StoreError};

use crate::transaction::Transaction;
use crate::{AuthorizationRow, Database, TableStore};

impl Transaction<'_> {
    fn record_use(&mut self, uses: Vec<(AuthorizationId, i64)>) -> Result<(), StoreError> {
        for (id, day) in uses {
            let Some(mut row) = self.get::<AuthorizationRow>(&id)?.filter(AuthorizationRow::is_grant) else { continue };
            row.amend(|record| record.last_used_day = record.last_used_day.max(Some(day)))?;
            self.put(row)?;
        }
        Ok(())
    }
}

#[async_trait]
impl<D: Database> AuditOutbox for TableStore<D> {
    async fn record(&self, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.write(move |rules| rules.log(audit)).await
    }

    async fn record_use(&self, uses: Vec<(AuthorizationId, i64)>) -> Result<(), StoreError> {
        self.write(move |rules| rules.record_use(uses)).await
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<RecordedEvent>, StoreError> {
        self.read(move |rules| rules.tables.events(limit as usize)).await
    }

    async fn forget_events(&self, through: u64) -> Result<(), StoreError> {
        self.write(move |rules| rules.tables.remove_events(through)).await
    }
}

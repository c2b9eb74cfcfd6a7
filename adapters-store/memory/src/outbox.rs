//! Audit events and days of use.

use async_trait::async_trait;
use grantry_domain::authorization::AuthorizationId;
use grantry_domain::ports::{AuditEvent, AuditOutbox, RecordedEvent, StoreError};

use crate::MemoryStore;
use crate::data::Data;

impl Data {
    fn record_use(&mut self, uses: Vec<(AuthorizationId, i64)>) {
        for (id, day) in uses {
            let Some(row) = self.row(id).filter(|row| row.is_authorized()) else { continue };
            row.amend(|record| record.last_used_day = record.last_used_day.max(Some(day)));
        }
    }
}

#[async_trait]
impl AuditOutbox for MemoryStore {
    async fn record(&self, audit: Vec<AuditEvent>) -> Result<(), StoreError> {
        self.transact(|data, _| data.outbox.add(audit));
        Ok(())
    }

    async fn record_use(&self, uses: Vec<(AuthorizationId, i64)>) -> Result<(), StoreError> {
        self.transact(|data, _| data.record_use(uses));
        Ok(())
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<RecordedEvent>, StoreError> {
        Ok(self.transact(|data, _| data.outbox.events.iter().take(limit as usize).cloned().collect()))
    }

    async fn forget_events(&self, through: u64) -> Result<(), StoreError> {
        self.transact(|data, _| data.outbox.events.retain(|recorded| recorded.sequence > through));
        Ok(())
    }
}

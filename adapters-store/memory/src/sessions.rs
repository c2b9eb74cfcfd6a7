//! Sessions of the accounts mode.

use async_trait::async_trait;
use grantry_domain::ports::{RowTag, Session, SessionHash, SessionStore, StoreError};
use grantry_domain::time::Timestamp;

use crate::MemoryStore;

#[async_trait]
impl SessionStore for MemoryStore {
    async fn insert(&self, id: SessionHash, session: Session) -> Result<(), StoreError> {
        self.transact(|data, _| data.sessions.insert(id, session));
        Ok(())
    }

    async fn find(&self, id: SessionHash) -> Result<Option<Session>, StoreError> {
        Ok(self.transact(|data, _| data.sessions.get(&id).cloned()))
    }

    async fn touch(&self, id: SessionHash, seen_at: Timestamp, tag: RowTag) -> Result<(), StoreError> {
        self.transact(|data, _| {
            if let Some(session) = data.sessions.get_mut(&id).filter(|session| session.seen_at < seen_at) {
                (session.seen_at, session.tag) = (seen_at, tag);
            }
        });
        Ok(())
    }

    async fn remove(&self, id: SessionHash) -> Result<(), StoreError> {
        self.transact(|data, _| data.sessions.remove(&id));
        Ok(())
    }

    async fn purge(&self, created_before: Timestamp, seen_before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.transact(|data, _| {
            let before = data.sessions.len();
            data.sessions.retain(|_, session| session.created_at >= created_before && session.seen_at >= seen_before);
            (before - data.sessions.len()) as u64
        }))
    }
}

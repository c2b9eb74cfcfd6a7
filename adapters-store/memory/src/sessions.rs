//! Sessions of the accounts mode.

use async_trait::async_trait;
use grantry_domain::ports::{RowTag, Session, SessionHash, SessionStore, StoreError};
use grantry_domain::time::Timestamp;

use crate::MemoryStore;

#[async_trait]
impl SessionStore for MemoryStore {
    async fn insert(&self, id: SessionHash, session: Session, at_most: u32) -> Result<(), StoreError> {
        self.transact(|data, _| {
            let of_user = data.sessions.iter().filter(|(other, of)| of.user == session.user && **other != id);
            let mut others: Vec<_> = of_user.map(|(other, of)| (of.created_at, *other)).collect();
            others.sort_unstable();
            let excess = (others.len() + 1).saturating_sub(usize::try_from(at_most).unwrap_or(usize::MAX));
            for (_, other) in others.into_iter().take(excess) {
                data.sessions.remove(&other);
            }
            data.sessions.insert(id, session);
        });
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

    async fn purge(&self, created_before: Timestamp, seen_before: Timestamp, after: Timestamp) -> Result<u64, StoreError> {
        Ok(self.transact(|data, _| {
            let before = data.sessions.len();
            let (created, seen) = (created_before..=after, seen_before..=after);
            data.sessions.retain(|_, session| created.contains(&session.created_at) && seen.contains(&session.seen_at));
            (before - data.sessions.len()) as u64
        }))
    }
}

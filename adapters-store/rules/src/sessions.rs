//! Sessions of the accounts mode.

use async_trait::async_trait;
use grantry_domain::ports::{RowTag, Session, SessionHash, SessionStore, StoreError};
use grantry_domain::time::Timestamp;

use crate::transaction::Transaction;
use crate::{Database, SessionRow, SessionSelection, TableStore};

impl Transaction<'_> {
    fn insert_session(&mut self, id: SessionHash, session: Session, at_most: u32) -> Result<(), StoreError> {
        let mut others = self.all::<SessionRow>(&SessionSelection::OfUser(session.user.clone()))?;
        others.retain(|other| other.id != id);
        let excess = (others.len() + 1).saturating_sub(at_most as usize);
        for other in others.iter().take(excess) {
            self.remove::<SessionRow>(&other.id)?;
        }
        self.put(SessionRow { id, session })
    }

    fn touch_session(&mut self, id: SessionHash, seen_at: Timestamp, tag: RowTag) -> Result<(), StoreError> {
        match self.get::<SessionRow>(&id)? {
            Some(row) if row.session.seen_at < seen_at => {
                self.put(SessionRow { id, session: Session { seen_at, tag, ..row.session } })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn purge_sessions(&mut self, outside: &SessionSelection) -> Result<u64, StoreError> {
        let ended = self.all::<SessionRow>(outside)?;
        ended.iter().try_for_each(|row| self.remove::<SessionRow>(&row.id))?;
        Ok(ended.len() as u64)
    }
}

#[async_trait]
impl<D: Database> SessionStore for TableStore<D> {
    async fn insert(&self, id: SessionHash, session: Session, at_most: u32) -> Result<(), StoreError> {
        self.write(move |rules| rules.insert_session(id, session, at_most)).await
    }

    async fn find(&self, id: SessionHash) -> Result<Option<Session>, StoreError> {
        self.read(move |rules| Ok(rules.get::<SessionRow>(&id)?.map(|row| row.session))).await
    }

    async fn touch(&self, id: SessionHash, seen_at: Timestamp, tag: RowTag) -> Result<(), StoreError> {
        self.write(move |rules| rules.touch_session(id, seen_at, tag)).await
    }

    async fn remove(&self, id: SessionHash) -> Result<(), StoreError> {
        self.write(move |rules| rules.remove::<SessionRow>(&id)).await
    }

    async fn purge(&self, created_before: Timestamp, seen_before: Timestamp, after: Timestamp) -> Result<u64, StoreError> {
        let outside = SessionSelection::Outside { created_before, seen_before, after };
        self.write(move |rules| rules.purge_sessions(&outside)).await
    }
}

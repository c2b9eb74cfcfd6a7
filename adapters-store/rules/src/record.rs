//! Records and selections.

use std::cmp::Ordering;

/// A record of a table.
pub trait Record: Clone + Send + Sync + 'static {
    /// The primary key.
    type Key: Ord + Clone + Send + Sync;
    /// The selections of the rules.
    type Selection: Selection<Self>;

    /// The key of this record. It never changes.
    fn key(&self) -> Self::Key;
}

/// A condition on the records of a table, and an order of those that meet it.
///
/// A new release can add selections to the enumerations that implement this trait. A database finds the records of one that it does
/// not implement with [`pick`](Self::pick), among all of its table; this is correct, and slow until it has an index.
pub trait Selection<R: Record> {
    /// Whether a record meets the condition.
    fn selects(&self, record: &R) -> bool;

    /// The order in which records are returned: that of the keys, unless the selection documents another one.
    fn compare(&self, left: &R, right: &R) -> Ordering {
        left.key().cmp(&right.key())
    }

    /// Whether a database logs and leaves out a record that cannot be read, where other selections fail with
    /// [`StoreError::Inconsistent`](grantry_domain::ports::StoreError::Inconsistent). This holds for the selections of limits and
    /// background jobs, which concern all users: a damaged record of one user does not stop the revocations, the sweeps and the new flows of the others.
    fn leaves_out_unreadable(&self) -> bool {
        false
    }

    /// The result of this selection in a table that is searched as a whole.
    fn pick<'r>(&self, records: impl IntoIterator<Item = &'r R>, limit: usize) -> Vec<R> {
        let found = records.into_iter().filter(|record| self.selects(record));
        if limit == 1 {
            return found.min_by(|left, right| self.compare(left, right)).cloned().into_iter().collect();
        }
        let mut found: Vec<_> = found.collect();
        found.sort_by(|left, right| self.compare(left, right));
        found.into_iter().take(limit).cloned().collect()
    }
}

//! Whether the database can be read and written, and is still the one that was opened.

use grantry_domain::ports::StoreError;

use crate::error::{OTHER_TABLES, READ_ONLY};
use crate::records::Columns;
use crate::schema::DEPLOYMENT;
use crate::sql;
use crate::store::PostgresStore;

/// Why the store cannot be relied on. The texts are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// The server cannot be reached, or does not respond in time.
    NotReachable,
    /// The content is that of another deployment.
    OtherDeployment,
    /// A table is missing, or the role may not use it.
    SchemaChanged,
    /// The server accepts no writes: it is a standby, or its disk is full.
    NotWritable,
}

impl StoreFault {
    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotReachable => "store not reachable",
            Self::OtherDeployment => "store of another deployment",
            Self::SchemaChanged => "store schema changed",
            Self::NotWritable => "store not writable",
        }
    }
}

impl PostgresStore {
    /// Compares the deployment id, then commits a write. Nothing that another transaction can read changes.
    pub async fn probe(&self) -> Result<(), StoreFault> {
        let rows = self.point_read(DEPLOYMENT, &[]).await.map_err(fault_of)?;
        let id = rows.first().and_then(|row| Columns::of_group(row, "deployment").array().ok());
        if id != Some(self.deployment_id()) {
            return Err(StoreFault::OtherDeployment);
        }
        let written = self.write(|transaction| async move {
            // The empty text is the id of no user.
            sql::execute(&transaction, "INSERT INTO users (user_id) VALUES ('')", &[]).await?;
            sql::execute(&transaction, "DELETE FROM users WHERE user_id = ''", &[]).await?;
            Ok(())
        });
        written.await.map_err(|error| {
            if error == StoreError::Unusable(OTHER_TABLES) { StoreFault::SchemaChanged } else { StoreFault::NotWritable }
        })
    }
}

/// Why the id could not be read.
fn fault_of(error: StoreError) -> StoreFault {
    if error == StoreError::Unusable(READ_ONLY) {
        StoreFault::NotWritable
    } else if error.is_transient() {
        StoreFault::NotReachable
    } else {
        StoreFault::SchemaChanged
    }
}

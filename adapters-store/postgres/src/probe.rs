//! Whether the database can be read and written, and is still the one that was opened.

use grantry_domain::encoding::hex;
use grantry_domain::ports::StoreError;

use crate::error::{OTHER_TABLES, PgError, READ_ONLY, unusable};
use crate::records::Columns;
use crate::schema::{COMPLETE, DEPLOYMENT, complete_parameters, is_complete};
use crate::sql::{self, params};
use crate::store::PostgresStore;

/// Why the store cannot be relied on. The texts are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// The server cannot be reached, or does not respond in time.
    NotReachable,
    /// The content is that of another deployment.
    OtherDeployment,
    /// A table, a column or a unique index is missing, a trigger was added, or the role may not use a table.
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
    /// Compares the deployment id and the schema, then commits a write. Nothing that another transaction can read changes.
    pub async fn probe(&self) -> Result<(), StoreFault> {
        let rows = self.try_point_read(DEPLOYMENT, &[]).await.map_err(fault_of)?;
        let id = rows.first().and_then(|row| Columns::of_group(row, "deployment").array().ok());
        if id != Some(self.deployment_id()) {
            return Err(StoreFault::OtherDeployment);
        }
        let rows = self.try_point_read(COMPLETE, &complete_parameters()).await.map_err(fault_of)?;
        if !is_complete(&rows).map_err(fault_of)? {
            return Err(StoreFault::SchemaChanged);
        }
        // No id of a user contains a control character. A node that is suspended here does not block the others, which have
        // other keys.
        let key = format!("\u{1}{}", hex(&self.node()));
        let key = key.as_str();
        let written = self.write(move |transaction| async move {
            sql::execute(&transaction, "INSERT INTO users (user_id) VALUES ($1)", &params![key]).await?;
            sql::execute(&transaction, "DELETE FROM users WHERE user_id = $1", &params![key]).await?;
            Ok(())
        });
        written.await.map_err(|error| {
            if error == StoreError::Unusable(OTHER_TABLES) { StoreFault::SchemaChanged } else { StoreFault::NotWritable }
        })
    }
}

/// Why the database could not be read.
fn fault_of(error: PgError) -> StoreFault {
    if error == unusable(READ_ONLY) {
        StoreFault::NotWritable
    } else if StoreError::from(error).is_transient() {
        StoreFault::NotReachable
    } else {
        StoreFault::SchemaChanged
    }
}

//! Why a store cannot be opened.

use grantry_domain::ports::StoreError;
use thiserror::Error;

use super::Database;

/// Why a store cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenStoreError {
    /// The database cannot be used.
    #[error("the database {database} cannot be used: {error}")]
    Database {
        /// The database.
        database: Database,
        /// The reason.
        error: StoreError,
    },
    /// The text is not the URL of a database.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Url(#[from] grantry_store_postgres::InvalidPostgresUrl),
    /// The configuration names a kind of store that this build does not contain.
    #[error("names an SQLite file, and this build contains no SQLite; build with the feature `sqlite`")]
    NotInThisBuild,
}

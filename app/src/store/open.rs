//! Opening the store of a configuration.

use super::{AppStore, Database, OpenStoreError};

/// What a configuration sets beside the database.
#[cfg_attr(not(any(feature = "sqlite", feature = "postgres")), expect(dead_code, reason = "there is no store to open"))]
pub(crate) struct OpenOptions {
    /// The deployment that the database must belong to; `None`: any.
    pub(crate) deployment_id: Option<[u8; 16]>,
    /// Connections to `PostgreSQL` for writes and long reads.
    #[cfg(feature = "postgres")]
    pub(crate) connections: u32,
    /// Whether statements are prepared once per connection to `PostgreSQL`.
    #[cfg(feature = "postgres")]
    pub(crate) statement_cache: bool,
}

/// Opens a database, and creates its file or its tables if they do not exist. Without a deployment id it gets a random one.
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(unused_variables, reason = "there is no store to open")
)]
pub(crate) async fn open(database: &Database, settings: &OpenOptions) -> Result<AppStore, OpenStoreError> {
    match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite(file) => super::sqlite::open(file, settings.deployment_id).await,
        #[cfg(not(feature = "sqlite"))]
        Database::Sqlite(_) => Err(OpenStoreError::NotInThisBuild),
        #[cfg(feature = "postgres")]
        Database::Postgres(url) => {
            let mut options = super::postgres::options(url);
            options.deployment_id = settings.deployment_id;
            options.connections = usize::try_from(settings.connections).unwrap_or(usize::MAX);
            options.statement_cache = settings.statement_cache;
            super::postgres::open(options).await
        }
    }
}

/// Whether the next start creates the file or the tables of a database. Changes nothing.
#[cfg(feature = "cli")]
pub(crate) async fn is_new(database: &Database) -> Result<bool, OpenStoreError> {
    match database {
        Database::Sqlite(file) => Ok(!file.exists()),
        #[cfg(feature = "postgres")]
        Database::Postgres(url) => {
            let is_empty = grantry_store_postgres::is_empty(&super::postgres::options(url)).await;
            is_empty.map_err(|error| OpenStoreError::Database { database: database.clone(), error })
        }
    }
}

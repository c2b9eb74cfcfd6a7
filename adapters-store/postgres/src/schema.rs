//! Checks the database and migrates its schema.
//!
//! `grantry_migrations` contains the migrations that were applied, with their hashes. Each migration is one transaction. Nodes
//! that start at the same time are serialised by an advisory lock of the transaction; where a distributed engine has no such
//! lock, by the unique row of the migration.

use grantry_domain::ports::StoreError;

use crate::connection::{Connection, Connector, Pool};
use crate::error::{NO_PRIVILEGE, OTHER_TABLES, PgError, READ_ONLY, inconsistent, unusable};
use crate::options::PostgresOptions;
use crate::records::Columns;
use crate::sql::{self, NOW, params};

/// A released migration is never edited; a new one is appended.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_first.sql")];

/// The oldest supported server: it has `pg_current_xact_id` and `gen_random_uuid`.
const OLDEST: i64 = 130_000;

/// A table of the migration exists already.
const FOREIGN_TABLES: &str = "the schema of `store.url` contains tables of another program with names that are needed";

/// The key of the lock: `GRANTRY1` as bytes.
const LOCK: i64 = 0x4752_414e_5452_5931;

/// How often a start is repeated that met another one.
const STARTS: u32 = 10;

/// The tables of the newest version.
const TABLES: [&str; 14] = [
    "authorizations",
    "client_refusals",
    "client_secrets",
    "connector_anomalies",
    "connector_failures",
    "connectors",
    "default_connections",
    "deployment",
    "event_delivery",
    "events",
    "grantry_migrations",
    "sessions",
    "unclaimed_tokens",
    "users",
];

/// What was found in a database that can be used.
pub(crate) struct Found {
    pub(crate) deployment: [u8; 16],
    /// Whether the server reports the outcome of a transaction.
    pub(crate) is_tracked: bool,
}

/// Whether a database has no tables of this program yet, so that the first start creates them. Changes nothing; fails as
/// [`PostgresStore::open`](crate::PostgresStore::open) does for a server or a version that cannot be used.
pub async fn is_empty(options: &PostgresOptions) -> Result<bool, StoreError> {
    let connection = Connector::new(options)?.connect().await?;
    check_server(&connection).await?;
    Ok(applied(&connection).await? == 0)
}

/// Checks and migrates.
pub(crate) async fn open(pool: &Pool, options: &PostgresOptions) -> Result<Found, PgError> {
    let mut starts = 0;
    loop {
        let connection = pool.acquire().await?;
        match try_open(&connection, options).await {
            Ok(found) => {
                connection.release();
                return Ok(found);
            }
            // Another start created the same table, or the connection was closed. The connection is not used again.
            Err(PgError::Conflict | PgError::Lost | PgError::Store(StoreError::Inconsistent { .. })) if starts < STARTS => {
                starts += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn try_open(connection: &Connection, options: &PostgresOptions) -> Result<Found, PgError> {
    let is_tracked = check_server(connection).await?;
    while applied(connection).await? < MIGRATIONS.len() {
        migrate(connection, options).await?;
    }
    check_privileges(connection).await?;
    Ok(Found { deployment: deployment(connection, options).await?, is_tracked })
}

/// Refuses a server that cannot be used. Returns whether it reports the outcome of a transaction.
async fn check_server(connection: &Connection) -> Result<bool, PgError> {
    const CHECK: &str = "SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding'), \
         pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean, \
         to_regproc('pg_walfile_name') IS NOT NULL AND to_regproc('pg_current_wal_lsn') IS NOT NULL \
             AND to_regproc('pg_xact_status') IS NOT NULL";
    let row = sql::first(connection, CHECK, &[]).await?.ok_or_else(no_row)?;
    let mut columns = Columns::of_group(&row, "database");
    if columns.integer()? < OLDEST {
        return Err(unusable("the server of `store.url` is older than PostgreSQL 13"));
    }
    if columns.text()? != "UTF8" {
        return Err(unusable("the database of `store.url` does not have the encoding UTF8"));
    }
    if columns.flag()? {
        return Err(unusable(READ_ONLY));
    }
    columns.flag()
}

/// The number of migrations that were applied; refuses a database of a newer version. Changes nothing.
async fn applied(connection: &Connection) -> Result<usize, PgError> {
    const IS_MIGRATED: &str = "SELECT to_regclass('grantry_migrations') IS NOT NULL";
    const APPLIED: &str = "SELECT version, hash = sha256(convert_to($1, 'UTF8')) FROM grantry_migrations \
         WHERE version = $2 OR version > $3 ORDER BY version DESC";
    let row = sql::first(connection, IS_MIGRATED, &[]).await?.ok_or_else(no_row)?;
    if !Columns::of_group(&row, "database").flag()? {
        return Ok(0);
    }
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    for (version, migration) in (1_i64..).zip(MIGRATIONS) {
        let parameters = params![*migration, version, newest];
        let Some(row) = sql::first(connection, APPLIED, &parameters).await? else {
            return Ok(usize::try_from(version - 1).unwrap_or(0));
        };
        let mut columns = Columns::of_group(&row, "grantry_migrations");
        let (found, is_same) = (columns.integer()?, columns.flag()?);
        if found > newest {
            return Err(unusable("the database of `store.url` was written by a newer version of this program"));
        }
        if !is_same {
            return Err(unusable("the database of `store.url` was migrated by a build with other migrations"));
        }
    }
    Ok(MIGRATIONS.len())
}

/// Applies the next migration in one transaction, unless another node applies it.
async fn migrate(connection: &Connection, options: &PostgresOptions) -> Result<(), PgError> {
    connection.simple("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let outcome = apply_next(connection, options).await;
    connection.simple(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    outcome
}

async fn apply_next(connection: &Connection, options: &PostgresOptions) -> Result<(), PgError> {
    const TABLE: &str = "CREATE TABLE IF NOT EXISTS grantry_migrations \
         (version BIGINT PRIMARY KEY, hash BYTEA NOT NULL CHECK (octet_length(hash) = 32), applied_at BIGINT NOT NULL)";
    const ADD: &str = "INSERT INTO grantry_migrations (version, hash, applied_at) \
         VALUES ($1, sha256(convert_to($2, 'UTF8')), $3) ON CONFLICT (version) DO NOTHING";
    sql::rows(connection, "SELECT pg_advisory_xact_lock($1)", &params![LOCK]).await?;
    connection.simple(TABLE).await?;
    let version = applied(connection).await?;
    let Some(migration) = MIGRATIONS.get(version) else { return Ok(()) };
    let number = i64::try_from(version + 1).unwrap_or(i64::MAX);
    let now = match &options.clock {
        Some(clock) => clock.now().as_millis(),
        None => sql::number(connection, &format!("SELECT {NOW}"), &[]).await?,
    };
    // Waits for a node that has added the row and not committed yet.
    if sql::execute(connection, ADD, &params![number, *migration, now]).await? == 0 {
        return Ok(());
    }
    connection
        .simple(migration)
        .await
        .map_err(|error| if error == unusable(OTHER_TABLES) { unusable(FOREIGN_TABLES) } else { error })?;
    tracing::info!(version = number, "the database schema was migrated");
    Ok(())
}

/// Whether the role may read and write each table. Checked at the start, so that a missing grant is not found at night.
async fn check_privileges(connection: &Connection) -> Result<(), PgError> {
    const CHECK: &str = "SELECT to_regclass(t.name) IS NULL, \
             NOT coalesce(has_table_privilege(to_regclass(t.name), p.privilege), FALSE) \
         FROM unnest($1::text[]) AS t (name), unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p (privilege) \
         WHERE (t.name, p.privilege) NOT IN (VALUES ('grantry_migrations', 'INSERT'), ('grantry_migrations', 'UPDATE'), \
             ('grantry_migrations', 'DELETE'), ('deployment', 'UPDATE'), ('deployment', 'DELETE'), \
             ('event_delivery', 'INSERT'), ('event_delivery', 'DELETE'))";
    for row in sql::rows(connection, CHECK, &params![TABLES.to_vec()]).await? {
        let mut columns = Columns::of_group(&row, "database");
        let (is_missing, is_refused) = (columns.flag()?, columns.flag()?);
        if is_missing {
            return Err(unusable(OTHER_TABLES));
        }
        if is_refused {
            return Err(unusable(NO_PRIVILEGE));
        }
    }
    Ok(())
}

/// The id of the deployment: drawn at the first start, or the given one.
async fn deployment(connection: &Connection, options: &PostgresOptions) -> Result<[u8; 16], PgError> {
    const ADD: &str = "INSERT INTO deployment (singleton, id) VALUES (TRUE, $1) ON CONFLICT (singleton) DO NOTHING";
    let mut found = stored_deployment(connection).await?;
    if found.is_none() {
        let mut fresh = [0; 16];
        match options.deployment_id {
            Some(given) => fresh = given,
            None => options.random.fill(&mut fresh).map_err(|_| StoreError::Unavailable)?,
        }
        // Two first starts may race; the id of the first one is kept.
        sql::execute(connection, ADD, &params![fresh]).await?;
        found = stored_deployment(connection).await?;
    }
    let id = found.ok_or_else(|| inconsistent("deployment", 1, "there is an id"))?;
    if options.deployment_id.is_some_and(|given| given != id) {
        return Err(unusable("the database of `store.url` belongs to another deployment"));
    }
    Ok(id)
}

/// The id of the deployment that the database belongs to.
pub(crate) const DEPLOYMENT: &str = "SELECT id FROM deployment";

async fn stored_deployment(connection: &Connection) -> Result<Option<[u8; 16]>, PgError> {
    let row = sql::first(connection, DEPLOYMENT, &[]).await?;
    row.map(|row| Columns::of_group(&row, "deployment").array()).transpose()
}

fn no_row() -> PgError {
    inconsistent("database", 0, "a statement without conditions returns a row")
}

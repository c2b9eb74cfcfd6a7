//! Checks the database and migrates its schema.
//!
//! `grantry_migrations` contains the migrations that were applied, with their hashes, and the oldest version of the schema
//! whose programs can use the database after each. Each migration is one transaction. Nodes that start at the same time are
//! serialised by an advisory lock of the transaction; where a distributed engine has no such lock, by the unique row of the
//! migration.

use std::time::Duration;

use grantry_domain::ports::StoreError;
use tokio::time::sleep;
use tokio_postgres::Row;

use crate::connection::{Connection, Connector, Pool};
use crate::error::{NO_PRIVILEGE, OTHER_TABLES, PgError, READ_ONLY, inconsistent, unusable};
use crate::options::PostgresOptions;
use crate::records::Columns;
use crate::sql::{self, NOW, Value, params};
use crate::transaction::IDENTITY;

/// A step from one version of the schema to the next.
struct Migration {
    sql: &'static str,
    /// The oldest version whose programs can use the database afterwards. A migration that only adds what they do not need
    /// keeps that of the migration before it, so that nodes of the previous release can restart during an upgrade.
    oldest_reader: i64,
}

/// A released migration is never edited; a new one is appended.
const MIGRATIONS: &[Migration] = &[Migration { sql: include_str!("../migrations/0001_first.sql"), oldest_reader: 1 }];

/// What the migrations create: columns, valid unique indexes, triggers. A test compares the file with a new database.
const OBJECTS: &str = include_str!("../migrations/objects.txt");

/// The oldest supported server: it has `pg_current_xact_id` and `gen_random_uuid`.
const OLDEST: i64 = 130_000;

/// A table of the migration exists already.
const FOREIGN_TABLES: &str = "the schema of `store.url` contains tables of another program with names that are needed";

/// The role may create no tables, and there are none.
const NO_CREATION: &str = "the role of `store.url` lacks the privilege CREATE on the schema, which has no tables yet; start once with \
     the role that is to own them";

/// The key of the lock: `GRANTRY1` as bytes.
const LOCK: i64 = 0x4752_414e_5452_5931;

/// How often a start is repeated that met another one, or a lock that a migration needs, and the pause before that.
const STARTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// How long a migration may take, with the wait for one of another node.
const LONGEST_MIGRATION: Duration = Duration::from_hours(1);

/// What a role may do on a table.
const PRIVILEGES: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// The tables of the newest version, and for each the texts about the [`PRIVILEGES`] that the role lacks.
macro_rules! tables {
    ($($table:literal),* $(,)?) => {
        const TABLES: &[&str] = &[$($table),*];
        const LACKING: &[[&str; PRIVILEGES.len()]] = &[$([
            concat!("the role of `store.url` lacks the privilege SELECT on the table ", $table),
            concat!("the role of `store.url` lacks the privilege INSERT on the table ", $table),
            concat!("the role of `store.url` lacks the privilege UPDATE on the table ", $table),
            concat!("the role of `store.url` lacks the privilege DELETE on the table ", $table),
        ]),*];
    };
}

tables![
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

/// A database that can be used.
pub(crate) struct Inspected {
    pub(crate) deployment: [u8; 16],
    /// The identifier of the cluster, if its server reports the outcome of a transaction.
    pub(crate) tracked: Option<String>,
}

/// Whether a database has no tables of this program yet, so that the first start creates them. Changes nothing; fails as
/// [`PostgresStore::open`](crate::PostgresStore::open) does for a server or a version that cannot be used.
pub async fn is_empty(options: &PostgresOptions) -> Result<bool, StoreError> {
    let connection = Connector::new(options)?.connect().await?;
    check_server(&connection).await?;
    let is_empty = applied(&connection).await? == 0;
    if is_empty {
        check_creation(&connection).await?;
    }
    Ok(is_empty)
}

/// Checks and migrates.
pub(crate) async fn open(pool: &Pool, options: &PostgresOptions) -> Result<Inspected, PgError> {
    let mut starts = 0;
    loop {
        let connection = pool.acquire().await?;
        match try_open(&connection, options).await {
            Ok(inspected) => {
                connection.release();
                return Ok(inspected);
            }
            // Another start created the same table, a lock was held, or the connection was closed.
            Err(PgError::Conflict | PgError::Lost | PgError::Store(StoreError::Inconsistent { .. })) if starts < STARTS => {
                starts += 1;
            }
            Err(error) => return Err(error),
        }
        drop(connection);
        sleep(PAUSE).await;
    }
}

async fn try_open(connection: &Connection, options: &PostgresOptions) -> Result<Inspected, PgError> {
    check_server(connection).await?;
    let tracked = tracked(connection).await?;
    loop {
        match applied(connection).await? {
            0 => check_creation(connection).await?,
            applied if applied < MIGRATIONS.len() => {}
            _ => break,
        }
        migrate(connection, options).await?;
    }
    check_privileges(connection).await?;
    if !is_complete(&sql::rows(connection, COMPLETE, &complete_parameters()).await?)? {
        return Err(unusable(OTHER_TABLES));
    }
    Ok(Inspected { deployment: deployment(connection, options).await?, tracked })
}

/// Refuses a server that cannot be used.
async fn check_server(connection: &Connection) -> Result<(), PgError> {
    const CHECK: &str = "SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding'), \
         pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";
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
    Ok(())
}

/// The identifier of the cluster, if its server reports the outcome of a transaction. Some servers have the functions and
/// refuse their use, so they are called.
async fn tracked(connection: &Connection) -> Result<Option<String>, PgError> {
    connection.simple("BEGIN").await?;
    let status = format!(
        "SELECT pg_xact_status(pg_current_xact_id()), (SELECT system_identifier FROM pg_control_system()), {IDENTITY}"
    );
    let rows = connection.simple(&status).await;
    connection.simple("ROLLBACK").await?;
    let row = rows.as_ref().ok().and_then(|rows| rows.first());
    let in_progress = row.filter(|row| row.get(0) == Some("in progress"));
    Ok(in_progress.and_then(|row| row.get(1)).map(str::to_owned))
}

/// The number of migrations that were applied; refuses a database whose newer schema this version cannot use. Changes
/// nothing.
async fn applied(connection: &Connection) -> Result<usize, PgError> {
    const IS_MIGRATED: &str = "SELECT to_regclass('grantry_migrations') IS NOT NULL";
    const APPLIED: &str = "SELECT version, hash = sha256(convert_to($1, 'UTF8')) FROM grantry_migrations \
         WHERE version = $2 OR version > $3 AND oldest_reader > $3 ORDER BY version DESC";
    let row = sql::first(connection, IS_MIGRATED, &[]).await?.ok_or_else(no_row)?;
    if !Columns::of_group(&row, "database").flag()? {
        return Ok(0);
    }
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    for (version, migration) in (1_i64..).zip(MIGRATIONS) {
        let parameters = params![migration.sql, version, newest];
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
    connection.set_limit(Some(LONGEST_MIGRATION));
    // The role may have a shorter time-out.
    connection.simple("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 0").await?;
    let outcome = apply_next(connection, options).await;
    let ended = connection.simple(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    connection.set_limit(None);
    outcome.and(ended.map(drop))
}

async fn apply_next(connection: &Connection, options: &PostgresOptions) -> Result<(), PgError> {
    const TABLE: &str = "CREATE TABLE IF NOT EXISTS grantry_migrations \
         (version BIGINT PRIMARY KEY, oldest_reader BIGINT NOT NULL CHECK (oldest_reader BETWEEN 1 AND version), \
          hash BYTEA NOT NULL CHECK (octet_length(hash) = 32), applied_at BIGINT NOT NULL)";
    const ADD: &str = "INSERT INTO grantry_migrations (version, oldest_reader, hash, applied_at) \
         VALUES ($1, $2, sha256(convert_to($3, 'UTF8')), $4) ON CONFLICT (version) DO NOTHING";
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
    let parameters = params![number, migration.oldest_reader, migration.sql, now];
    if sql::execute(connection, ADD, &parameters).await? == 0 {
        return Ok(());
    }
    // Statements of running nodes wait behind one that waits for the lock of a table.
    connection.simple("SET LOCAL lock_timeout = '5s'").await?;
    connection.simple(migration.sql).await.map_err(|error| not_migrated(connection, error))?;
    tracing::info!(version = number, "the database schema was migrated");
    Ok(())
}

/// Why a migration failed.
fn not_migrated(connection: &Connection, error: PgError) -> PgError {
    if error == unusable(OTHER_TABLES) {
        unusable(FOREIGN_TABLES)
    } else if error == PgError::Store(StoreError::Unavailable) && !connection.is_silent() {
        // Most likely a lock that was held too long.
        PgError::Conflict
    } else {
        error
    }
}

/// Whether the role may create the tables.
async fn check_creation(connection: &Connection) -> Result<(), PgError> {
    // A schema that the role may not use is not the current one, and may contain the tables.
    const CHECK: &str =
        "SELECT current_schema() IS NOT NULL, coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE)";
    let row = sql::first(connection, CHECK, &[]).await?.ok_or_else(no_row)?;
    let mut columns = Columns::of_group(&row, "database");
    match (columns.flag()?, columns.flag()?) {
        (true, true) => Ok(()),
        (true, false) => Err(unusable(NO_CREATION)),
        (false, _) => Err(unusable(NO_PRIVILEGE)),
    }
}

/// Whether the role may read and write each table. Fails with the first privilege that is missing. Without this check it shows at
/// its first use.
async fn check_privileges(connection: &Connection) -> Result<(), PgError> {
    const CHECK: &str = "SELECT to_regclass(t.name) IS NULL, \
             NOT coalesce(has_table_privilege(to_regclass(t.name), p.privilege), FALSE), t.name, p.privilege \
         FROM unnest($1::text[]) AS t (name), unnest($2::text[]) AS p (privilege) \
         WHERE (t.name, p.privilege) NOT IN (VALUES ('grantry_migrations', 'INSERT'), ('grantry_migrations', 'UPDATE'), \
             ('grantry_migrations', 'DELETE'), ('deployment', 'UPDATE'), ('deployment', 'DELETE'), \
             ('event_delivery', 'INSERT'), ('event_delivery', 'DELETE'))";
    for row in sql::rows(connection, CHECK, &params![TABLES.to_vec(), PRIVILEGES.to_vec()]).await? {
        let mut columns = Columns::of_group(&row, "database");
        let (is_missing, is_refused) = (columns.flag()?, columns.flag()?);
        if is_missing {
            return Err(unusable(OTHER_TABLES));
        }
        if is_refused {
            return Err(lacking(columns.text()?, columns.text()?));
        }
    }
    Ok(())
}

fn lacking(table: &str, privilege: &str) -> PgError {
    let row = TABLES.iter().position(|name| *name == table);
    let column = PRIVILEGES.iter().position(|name| *name == privilege);
    let text = row.zip(column).and_then(|(row, column)| LACKING.get(row)?.get(column));
    unusable(text.copied().unwrap_or(NO_PRIVILEGE))
}

/// The objects of the tables `$1`: columns with their types, valid unique indexes, and triggers.
macro_rules! objects {
    () => {
        "SELECT 'column ' || t.name || '.' || a.attname || ' ' || format_type(a.atttypid, NULL) \
                 || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END AS object \
             FROM unnest($1::text[]) AS t (name) JOIN pg_attribute AS a ON a.attrelid = to_regclass(t.name) \
             WHERE a.attnum > 0 AND NOT a.attisdropped \
         UNION ALL SELECT 'unique index ' || t.name || '.' || c.relname \
             FROM unnest($1::text[]) AS t (name) JOIN pg_index AS i ON i.indrelid = to_regclass(t.name) \
             JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indisunique AND i.indisvalid \
         UNION ALL SELECT 'trigger ' || t.name || '.' || g.tgname \
             FROM unnest($1::text[]) AS t (name) JOIN pg_trigger AS g ON g.tgrelid = to_regclass(t.name) \
             WHERE NOT g.tgisinternal"
    };
}

/// Whether the database has all objects `$2`, and no other trigger, which could refuse or change any write.
pub(crate) const COMPLETE: &str = concat!(
    "WITH found AS (",
    objects!(),
    ") SELECT NOT EXISTS (SELECT unnest($2::text[]) EXCEPT SELECT object FROM found) \
         AND NOT EXISTS (SELECT object FROM found WHERE object LIKE 'trigger %' EXCEPT SELECT unnest($2::text[]))"
);

/// The parameters of [`COMPLETE`].
pub(crate) fn complete_parameters() -> [Value<'static>; 2] {
    params![TABLES.to_vec(), OBJECTS.lines().collect::<Vec<_>>()]
}

/// The result of [`COMPLETE`].
pub(crate) fn is_complete(rows: &[Row]) -> Result<bool, PgError> {
    Columns::of_group(rows.first().ok_or_else(no_row)?, "database").flag()
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

#[cfg(test)]
mod tests {
    use grantry_test_postgres::TestDatabase;
    use grantry_testkit::doubles::SeededRandom;

    use super::*;
    use crate::{PostgresStore, PostgresUrl};

    /// To write the file again after a migration was added, copy what the failed test prints.
    #[tokio::test]
    async fn r72_the_file_contains_what_the_migrations_create() {
        let database = TestDatabase::new().await;
        let url = PostgresUrl::parse(&database.url()).unwrap();
        let options = PostgresOptions::new(url, std::sync::Arc::new(SeededRandom::new(1)));
        // A new database that differs from the file is not opened, but it is migrated.
        drop(PostgresStore::open(options).await);
        let tables = TABLES.to_vec();
        let rows = database.client().await.query(objects!(), &[&tables]).await.unwrap();
        let mut found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        found.sort();
        assert!(found == OBJECTS.lines().collect::<Vec<_>>(), "{}", found.join("\n"));
    }
}

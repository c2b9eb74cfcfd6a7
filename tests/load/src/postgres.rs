//! Seeded databases on `PostgreSQL`.
//!
//! The rows are those of a seeded `SQLite` database: the two stores have the same columns, and sealed records depend on the
//! deployment id and not on the store. The copy is refused if a column of either side has no counterpart. The cluster has the
//! default settings of the server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::mem;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Bytes;
use futures_util::SinkExt as _;
use grantry_domain::ports::Clock as _;
use grantry_runtime::{SystemClock, SystemRandom};
use grantry_store_postgres::{PostgresOptions, PostgresStore, PostgresUrl};
use grantry_test_postgres::KeptCluster;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tokio_postgres::{Client, NoTls};

use crate::Result;
use crate::deployment::Installation;
use crate::workload::Population;

/// The version of this module's output. A change makes new databases.
const FORMAT: u32 = 1;
/// The database in the cluster.
const DATABASE: &str = "grantry";
/// Bytes that are sent at once.
const CHUNK: usize = 256 * 1024;
/// Rows between two lines of progress.
const PROGRESS: u64 = 100_000;
/// A column of `SQLite` whose name is reserved in `PostgreSQL`, and its name there.
const USER: (&str, &str) = ("user", "user_id");

/// Tables that are not copied, and why.
const NOT_COPIED: &[(&str, &str)] = &[
    ("deployment", "the store writes the id when it creates the database"),
    ("event_delivery", "the store numbers the events of its database"),
    ("events", "audit events are numbered in another way, and no seeded database has pending ones that are measured"),
    ("grantry_migrations", "the store writes it; SQLite has the version in the header of the file"),
    ("tombstones", "a seeded database has no removed users"),
    ("users", "SQLite has no rows for users that were not removed; they are created from the grants"),
];

/// The columns of each table that are written, without those that the database computes or numbers.
type SqliteTables = BTreeMap<String, BTreeSet<String>>;
type PostgresTables = BTreeMap<String, BTreeMap<String, Kind>>;

/// The kind of the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Flag,
    Text,
    Bytes,
}

/// A table that is copied.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    name: String,
    columns: Vec<Column>,
}

/// A column of both databases.
#[derive(Debug, PartialEq, Eq)]
struct Column {
    in_sqlite: String,
    in_postgres: String,
    kind: Kind,
}

/// The cluster of a seeded database.
pub fn cluster(installation: &Installation, core: Option<usize>) -> KeptCluster {
    KeptCluster::new(&installation.folder.join("cluster"), installation.ports.postgres().port(), core)
}

/// Returns the copy of a seeded `SQLite` database on `PostgreSQL`, and creates it if it does not exist or is not of today: on
/// another day the first use of each grant is a write.
pub async fn copied(below: &Path, source: &Installation, population: Population) -> Result<Installation> {
    let name = source.folder.file_name().ok_or("a folder without a name")?.to_string_lossy();
    let folder = below.join(format!("{name}-postgres{}-{FORMAT}", KeptCluster::version()));
    let url = format!("postgres://postgres@{}/{DATABASE}", source.ports.postgres());
    let marker = folder.join("complete");
    let today = SystemClock.now().day().to_string();
    let installation = Installation { folder, ports: source.ports };
    let kept = cluster(&installation, None);
    let deployment = deployment(source)?;
    if fs::read_to_string(&marker).is_ok_and(|day| day == today) {
        let _running = kept.start();
        // Fails if the schema has changed, or the SQLite database was created again.
        if open(&url, deployment).await.is_ok() {
            return Ok(installation);
        }
    }
    kept.remove();
    fs::remove_dir_all(&installation.folder)?;
    let installation = Installation::on_postgres(&installation.folder, source, population.users, &url)?;
    let kept = cluster(&installation, None);
    let running = kept.start_to_fill();
    running.rows(&format!("CREATE DATABASE {DATABASE}"));
    fill(&source.database(), &url, deployment).await?;
    drop(running);
    kept.sync();
    fs::write(marker, today)?;
    Ok(installation)
}

/// The id to which sealed records are bound.
fn deployment(source: &Installation) -> Result<[u8; 16]> {
    let database = Connection::open(source.database())?;
    Ok(database.query_row("SELECT id FROM deployment", [], |row| row.get(0))?)
}

/// Creates the schema, or checks it.
async fn open(url: &str, deployment: [u8; 16]) -> Result {
    let options = PostgresOptions::new(PostgresUrl::parse(url)?, Arc::new(SystemRandom));
    PostgresStore::open(PostgresOptions { deployment_id: Some(deployment), ..options }).await?.close().await;
    Ok(())
}

/// Creates the schema in a new database and copies all rows.
async fn fill(source: &Path, url: &str, deployment: [u8; 16]) -> Result {
    open(url, deployment).await?;
    let sqlite = Connection::open(source)?;
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    for table in tables(&sqlite_tables(&sqlite)?, &postgres_tables(&client).await?)? {
        copy(&sqlite, &client, &table).await?;
    }
    client.batch_execute("INSERT INTO users (user_id) SELECT DISTINCT user_id FROM authorizations").await?;
    // The server does this by itself after some time, and while a benchmark runs.
    client.batch_execute("VACUUM (FREEZE, ANALYZE)").await?;
    drop(client);
    connection.await??;
    Ok(())
}

fn sqlite_tables(database: &Connection) -> Result<SqliteTables> {
    // `seq` numbers rows; `PostgreSQL` draws it.
    let query = "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c \
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND c.hidden = 0 AND c.name <> 'seq'";
    let mut statement = database.prepare(query)?;
    let mut rows = statement.query([])?;
    let mut tables = SqliteTables::new();
    while let Some(row) = rows.next()? {
        tables.entry(row.get(0)?).or_default().insert(row.get(1)?);
    }
    Ok(tables)
}

async fn postgres_tables(client: &Client) -> Result<PostgresTables> {
    let query = "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns \
         WHERE table_schema = current_schema() AND is_generated = 'NEVER' AND is_identity = 'NO'";
    let mut tables = PostgresTables::new();
    for row in client.query(query, &[]).await? {
        let (table, column, kind): (String, String, &str) = (row.get(0), row.get(1), row.get(2));
        if NOT_COPIED.iter().any(|(name, _)| *name == table) {
            continue;
        }
        let kind = match kind {
            "bigint" => Kind::Integer,
            "boolean" => Kind::Flag,
            "text" => Kind::Text,
            "bytea" => Kind::Bytes,
            other => return Err(format!("{table}.{column} has the type {other}, which is not copied").into()),
        };
        tables.entry(table).or_default().insert(column, kind);
    }
    Ok(tables)
}

/// The tables that are copied. Fails if a table or a column of either side has no counterpart.
fn tables(sqlite: &SqliteTables, postgres: &PostgresTables) -> Result<Vec<Table>> {
    let is_copied = |name: &str| NOT_COPIED.iter().all(|(other, _)| *other != name);
    let translated = |name: &str| if name == USER.0 { USER.1.to_owned() } else { name.to_owned() };
    let mut lacking = Vec::new();
    let mut tables = Vec::new();
    for (name, columns) in sqlite.iter().filter(|(name, _)| is_copied(name)) {
        let Some(counterparts) = postgres.get(name) else {
            lacking.push(format!("{name} in PostgreSQL"));
            continue;
        };
        let mut table = Table { name: name.clone(), columns: Vec::new() };
        for column in columns {
            let in_postgres = translated(column);
            match counterparts.get(&in_postgres) {
                Some(kind) => table.columns.push(Column { in_sqlite: column.clone(), in_postgres, kind: *kind }),
                None => lacking.push(format!("{name}.{in_postgres} in PostgreSQL")),
            }
        }
        let names: BTreeSet<_> = columns.iter().map(|column| translated(column)).collect();
        lacking.extend(counterparts.keys().filter(|key| !names.contains(*key)).map(|key| format!("{name}.{key} in SQLite")));
        tables.push(table);
    }
    let others = postgres.keys().filter(|name| is_copied(name) && !sqlite.contains_key(*name));
    lacking.extend(others.map(|name| format!("{name} in SQLite")));
    if lacking.is_empty() { Ok(tables) } else { Err(format!("no counterpart: {}", lacking.join(", ")).into()) }
}

async fn copy(sqlite: &Connection, client: &Client, table: &Table) -> Result {
    let names = |name: fn(&Column) -> &str| {
        table.columns.iter().map(|column| format!("\"{}\"", name(column))).collect::<Vec<_>>().join(", ")
    };
    let (from, into) = (names(|column| &column.in_sqlite), names(|column| &column.in_postgres));
    // A server that fills a new table does not write its rows to the log as well.
    client.batch_execute(&format!("BEGIN; TRUNCATE \"{}\"", table.name)).await?;
    let mut sink = pin!(client.copy_in::<_, Bytes>(&format!("COPY \"{}\" ({into}) FROM STDIN", table.name)).await?);
    let mut statement = sqlite.prepare(&format!("SELECT {from} FROM \"{}\" ORDER BY rowid", table.name))?;
    let mut rows = statement.query([])?;
    let (mut buffer, mut count) = (Vec::with_capacity(2 * CHUNK), 0_u64);
    while let Some(row) = rows.next()? {
        for (index, column) in table.columns.iter().enumerate() {
            if index > 0 {
                buffer.push(b'\t');
            }
            let value = row.get_ref(index)?;
            write_value(&mut buffer, value, column.kind)
                .map_err(|error| format!("{}.{}: {error}", table.name, column.in_sqlite))?;
        }
        buffer.push(b'\n');
        if buffer.len() >= CHUNK {
            let full = mem::replace(&mut buffer, Vec::with_capacity(2 * CHUNK));
            sink.send(Bytes::from(full)).await?;
        }
        count += 1;
        if count.is_multiple_of(PROGRESS) {
            eprintln!("{count} rows of {} in PostgreSQL", table.name);
        }
    }
    sink.send(Bytes::from(buffer)).await?;
    let copied = sink.finish().await?;
    client.batch_execute("COMMIT").await?;
    if copied == count { Ok(()) } else { Err(format!("{}: {copied} of {count} rows were copied", table.name).into()) }
}

/// Appends a value in the text format of `COPY`.
fn write_value(out: &mut Vec<u8>, value: ValueRef<'_>, kind: Kind) -> Result {
    match (kind, value) {
        (_, ValueRef::Null) => out.extend_from_slice(b"\\N"),
        (Kind::Integer, ValueRef::Integer(number)) => write!(out, "{number}")?,
        (Kind::Flag, ValueRef::Integer(0)) => out.push(b'f'),
        (Kind::Flag, ValueRef::Integer(1)) => out.push(b't'),
        (Kind::Text, ValueRef::Text(text)) => {
            for byte in text {
                match byte {
                    b'\\' => out.extend_from_slice(b"\\\\"),
                    b'\t' => out.extend_from_slice(b"\\t"),
                    b'\n' => out.extend_from_slice(b"\\n"),
                    b'\r' => out.extend_from_slice(b"\\r"),
                    other => out.push(*other),
                }
            }
        }
        (Kind::Bytes, ValueRef::Blob(bytes)) => write!(out, "\\\\x{}", hex::encode(bytes))?,
        (kind, value) => return Err(format!("a value of the type {} for {kind:?}", value.data_type()).into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use grantry_store_sqlite::{SqliteOptions, SqliteStore};
    use grantry_test_postgres::TestDatabase;

    use super::*;

    const DEPLOYMENT: [u8; 16] = [7; 16];

    fn sqlite_of(tables: &[(&str, &[&str])]) -> SqliteTables {
        let names = |columns: &[&str]| columns.iter().map(|column| (*column).to_owned()).collect();
        tables.iter().map(|(table, columns)| ((*table).to_owned(), names(columns))).collect()
    }

    fn postgres_of(tables: &[(&str, &[&str])]) -> PostgresTables {
        let kinds = |columns: &[&str]| columns.iter().map(|column| ((*column).to_owned(), Kind::Text)).collect();
        tables.iter().map(|(table, columns)| ((*table).to_owned(), kinds(columns))).collect()
    }

    #[test]
    fn a_table_or_a_column_without_a_counterpart_is_refused() {
        let sqlite = sqlite_of(&[("a", &["user", "x"]), ("b", &["y"]), ("tombstones", &["user"])]);
        assert_eq!(tables(&sqlite, &postgres_of(&[("a", &["user_id", "x"]), ("b", &["y"])])).unwrap().len(), 2);
        let refused = tables(&sqlite, &postgres_of(&[("a", &["user_id", "z"]), ("c", &["y"])])).unwrap_err();
        let expected = "no counterpart: a.x in PostgreSQL, a.z in SQLite, b in PostgreSQL, c in SQLite";
        assert_eq!(refused.to_string(), expected);
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        let refused = write_value(&mut Vec::new(), ValueRef::Integer(2), Kind::Flag).unwrap_err();
        assert_eq!(refused.to_string(), "a value of the type Integer for Flag");
    }

    #[tokio::test]
    async fn the_schemas_have_the_same_columns_and_each_kind_of_value_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grantry.db");
        let options = SqliteOptions::new(&path, Arc::new(SystemClock), Arc::new(SystemRandom));
        SqliteStore::open(options).await.unwrap().close().await;
        let sqlite = Connection::open(&path).unwrap();
        let insert = "INSERT INTO connectors (space, connector, incarnation, epoch, name, profile, config, auth_mode, \
                 callback_id, has_client_secret, revision, created_at, updated_at, tag) \
             VALUES ('default', 'c', x'000102030405060708090a0b0c0d0e0f', 1, 'a' || char(9, 10, 13) || '\\N' || char(228), 'p', \
                 '{}', 'per-user', zeroblob(16), 1, 0, -1, 2, zeroblob(40))";
        sqlite.execute(insert, []).unwrap();
        let insert = "INSERT INTO default_connections (incarnation, user, connection) VALUES (zeroblob(16), 'u', 'd')";
        sqlite.execute(insert, []).unwrap();
        let database = TestDatabase::new().await;
        fill(&path, &database.url(), DEPLOYMENT).await.unwrap();
        let client = database.client().await;
        let row =
            client.query_one("SELECT name, incarnation, client_id, has_client_secret, created_at FROM connectors", &[]);
        let row = row.await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "a\t\n\r\\N\u{e4}");
        assert_eq!(row.get::<_, &[u8]>(1), (0..16).collect::<Vec<u8>>());
        assert_eq!((row.get::<_, Option<&str>>(2), row.get::<_, bool>(3), row.get::<_, i64>(4)), (None, true, -1));
        let found = database.rows("SELECT user_id, connection FROM default_connections");
        assert_eq!(found, [[Some("u".to_owned()), Some("d".to_owned())]]);
        let deployment = client.query_one("SELECT id FROM deployment", &[]).await.unwrap();
        assert_eq!(deployment.get::<_, &[u8]>(0), DEPLOYMENT);
    }
}

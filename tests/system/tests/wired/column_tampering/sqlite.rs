//! The file of an `SQLite` database.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::Value as SqliteValue;
use rusqlite::{Connection, params_from_iter};

use super::database::{Assignment, Row, Value};

pub(super) struct Sqlite {
    connection: Connection,
    pub(super) tables: BTreeMap<String, Vec<String>>,
}

impl Sqlite {
    pub(super) fn open(file: &Path) -> Self {
        let connection = Connection::open(file).unwrap();
        // An owner of the file is not bound to its checks.
        connection.execute_batch("PRAGMA ignore_check_constraints = ON; ATTACH ':memory:' AS copy").unwrap();
        let query = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let names = texts(&connection, query);
        let mut tables = BTreeMap::new();
        for table in names {
            // Generated columns are not among these, and cannot be written.
            let columns = texts(&connection, &format!("SELECT name FROM pragma_table_info('{table}')"));
            connection.execute_batch(&format!("CREATE TABLE copy.{table} AS SELECT * FROM main.{table}")).unwrap();
            tables.insert(table, columns);
        }
        Self { connection, tables }
    }

    pub(super) fn run(&self, statements: &str) {
        self.connection.execute_batch(&format!("BEGIN IMMEDIATE; {}; COMMIT", translated(statements))).unwrap();
    }

    pub(super) fn number(&self, query: &str) -> i64 {
        self.connection.query_row(&translated(query), [], |row| row.get(0)).unwrap()
    }

    pub(super) fn row(&self, table: &str, columns: &[&str], condition: &str) -> Option<Row> {
        let query = format!("SELECT {}, {} FROM {table} WHERE {}", id(table), columns.join(", "), translated(condition));
        let mut statement = self.connection.prepare(&query).unwrap();
        let mut rows = statement.query([]).unwrap();
        let row = rows.next().unwrap()?;
        let value = |index| Value::from(row.get::<_, SqliteValue>(index).unwrap());
        Some(Row { id: row.get(0).unwrap(), values: (1..=columns.len()).map(value).collect() })
    }

    /// False if the table cannot contain the values.
    pub(super) fn assign(&self, table: &str, columns: &[&str], assignments: &[Assignment]) -> bool {
        self.connection.execute_batch("SAVEPOINT change").unwrap();
        let names: Vec<_> = columns.iter().map(|column| format!("{column} = ?")).collect();
        let assigned = assignments.iter().all(|assignment| {
            let update = format!("UPDATE {table} SET {} WHERE {} = {}", names.join(", "), id(table), assignment.id);
            self.connection.execute(&update, params_from_iter(assignment.values.iter().map(stored))).is_ok()
        });
        let end = if assigned { "RELEASE change" } else { "ROLLBACK TO change; RELEASE change" };
        self.connection.execute_batch(end).unwrap();
        assigned
    }
}

/// What identifies a row. The table of tombstones has no number of the row, and one row.
fn id(table: &str) -> &'static str {
    if table == "tombstones" { "0" } else { "rowid" }
}

fn stored(value: &Value) -> SqliteValue {
    match value {
        Value::Null(_) => SqliteValue::Null,
        Value::Number(number) => SqliteValue::Integer(*number),
        Value::Flag(flag) => SqliteValue::Integer(i64::from(*flag)),
        Value::Text(text) => SqliteValue::Text(text.clone()),
        Value::Bytes(bytes) => SqliteValue::Blob(bytes.clone()),
    }
}

fn translated(statements: &str) -> String {
    statements.replace("user_id", "user")
}

fn texts(connection: &Connection, query: &str) -> Vec<String> {
    let mut statement = connection.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

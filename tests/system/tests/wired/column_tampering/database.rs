//! The tables as an attacker sees them, who can write to the database and is not bound to its checks.

use std::collections::BTreeMap;

use grantry_system_tests::test_app::TestApp;
use rusqlite::types::Value as SqliteValue;

use super::postgres::Postgres;
use super::sqlite::Sqlite;

/// How a value is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A bit, a character or one more.
    Altered,
    /// Exchanged with the row of the attacker.
    Swapped,
    /// Removed.
    Null,
    /// A very small number.
    Zero,
    /// A very large number.
    Far,
}

pub(super) const CHANGES: [Change; 5] = [Change::Altered, Change::Swapped, Change::Null, Change::Zero, Change::Far];

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// With the type of the column, where the store has one.
    Null(Kind),
    Number(i64),
    Flag(bool),
    Text(String),
    Bytes(Vec<u8>),
}

/// The type of a column, as far as a change depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Flag,
    Text,
    Bytes,
}

impl Value {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Null(kind) => *kind,
            Self::Number(_) => Kind::Number,
            Self::Flag(_) => Kind::Flag,
            Self::Text(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
        }
    }

    /// The value after a change that does not depend on another row; `None` if it has none.
    fn changed(&self, change: Change) -> Option<Self> {
        match (change, self.kind()) {
            (Change::Altered, _) => Some(self.altered(1)),
            (Change::Null, kind) => Some(Self::Null(kind)),
            (Change::Zero, Kind::Number) if !matches!(self, Self::Null(_)) => Some(Self::Number(0)),
            (Change::Far, Kind::Number) if !matches!(self, Self::Null(_)) => Some(Self::Number(4_000_000_000_000)),
            (Change::Zero | Change::Far | Change::Swapped, _) => None,
        }
    }

    fn altered(&self, by: u8) -> Self {
        match self {
            Self::Null(Kind::Number) => Self::Number(i64::from(by)),
            Self::Null(Kind::Flag) => Self::Flag(true),
            Self::Null(Kind::Text) => Self::Text(by.to_string()),
            Self::Null(Kind::Bytes) => Self::Bytes(vec![by]),
            Self::Number(number) => Self::Number(number + i64::from(by)),
            Self::Flag(flag) => Self::Flag(!flag),
            Self::Text(text) => Self::Text(format!("{text}{by}")),
            Self::Bytes(bytes) => {
                let mut bytes = bytes.clone();
                if let Some(last) = bytes.last_mut() {
                    *last ^= by;
                }
                Self::Bytes(bytes)
            }
        }
    }
}

/// Columns of a row, and what identifies the row while it is changed.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) values: Vec<Value>,
}

/// One change of a row.
pub(super) struct Assignment {
    pub(super) id: i64,
    pub(super) values: Vec<Value>,
}

/// Statements are those of `PostgreSQL`, with `user_id` as the column of a user, and bytes as `SQLite` has them. Each store translates
/// the other part. `copy` is a schema with a copy of each table.
pub(super) enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Database {
    /// Opens the database and copies it, to restore it after each change.
    pub(super) fn open(app: &TestApp) -> Self {
        match app.deployment.postgres() {
            Some(database) => Self::Postgres(Postgres::open(database.url())),
            None => Self::Sqlite(Sqlite::open(&app.deployment.database())),
        }
    }

    /// The columns of each table, without generated ones.
    pub(super) fn tables(&self) -> &BTreeMap<String, Vec<String>> {
        match self {
            Self::Sqlite(database) => &database.tables,
            Self::Postgres(database) => &database.tables,
        }
    }

    pub(super) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// The name of a table or a column whose name in the lists is that of `SQLite`.
    pub(super) fn name<'n>(&self, name: &'n str) -> &'n str {
        match (self, name) {
            (Self::Postgres(_), "tombstones") => "users",
            (Self::Postgres(_), "user") => "user_id",
            (Self::Postgres(_), "only") => "singleton",
            _ => name,
        }
    }

    pub(super) fn restore(&self) {
        let statements: Vec<_> = self
            .tables()
            .iter()
            .map(|(table, columns)| {
                let columns = columns.join(", ");
                format!("DELETE FROM {table}; INSERT INTO {table} ({columns}) SELECT {columns} FROM copy.{table}")
            })
            .collect();
        self.run(&statements.join("; "));
    }

    /// Runs statements in one transaction.
    pub(super) fn run(&self, statements: &str) {
        match self {
            Self::Sqlite(database) => database.run(statements),
            Self::Postgres(database) => database.run(statements),
        }
    }

    /// The number that a query returns.
    pub(super) fn number(&self, query: &str) -> i64 {
        match self {
            Self::Sqlite(database) => database.number(query),
            Self::Postgres(database) => database.number(query),
        }
    }

    /// Changes columns of the rows of the victims. False if the table cannot contain the change.
    pub(super) fn change(&self, table: &str, columns: &[&str], change: Change) -> bool {
        let (victims, table) = (super::victims(table), self.name(table));
        let columns: Vec<_> = columns.iter().map(|column| self.name(column)).collect();
        let assignments: Vec<_> = victims
            .iter()
            .flat_map(|(victim, attacker)| self.assignments(table, &columns, (victim, attacker), change))
            .collect();
        !assignments.is_empty()
            && match self {
                Self::Sqlite(database) => database.assign(table, &columns, &assignments),
                Self::Postgres(database) => database.assign(table, &columns, &assignments),
            }
    }

    /// What changes the row of a victim; nothing if there is no such row, or no such change.
    fn assignments(
        &self,
        table: &str,
        columns: &[&str],
        (victim, attacker): (&str, &str),
        change: Change,
    ) -> Vec<Assignment> {
        let Some(before) = self.row(table, columns, victim) else { return Vec::new() };
        if change != Change::Swapped {
            let after: Option<Vec<Value>> = before.values.iter().map(|value| value.changed(change)).collect();
            return after.map(|values| Assignment { id: before.id, values }).into_iter().collect();
        }
        let Some(other) = self.row(table, columns, attacker) else { return Vec::new() };
        // Values that are unique are moved away first.
        let away: Vec<Value> = other.values.iter().map(|value| value.altered(2)).collect();
        vec![
            Assignment { id: other.id, values: away },
            Assignment { id: before.id, values: other.values },
            Assignment { id: other.id, values: before.values },
        ]
    }

    fn row(&self, table: &str, columns: &[&str], condition: &str) -> Option<Row> {
        match self {
            Self::Sqlite(database) => database.row(table, columns, condition),
            Self::Postgres(database) => database.row(table, columns, condition),
        }
    }
}

impl From<SqliteValue> for Value {
    /// A column of `SQLite` has no type that binds it: the number one replaces any value that is missing.
    fn from(value: SqliteValue) -> Self {
        match value {
            SqliteValue::Null => Self::Null(Kind::Number),
            SqliteValue::Integer(number) => Self::Number(number),
            SqliteValue::Text(text) => Self::Text(text),
            SqliteValue::Blob(bytes) => Self::Bytes(bytes),
            SqliteValue::Real(number) => panic!("no column contains {number}"),
        }
    }
}

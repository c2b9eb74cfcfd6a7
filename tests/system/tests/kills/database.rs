//! What the checks read in the database of a deployment, on either store.

use std::collections::BTreeSet;
use std::time::Duration;

use grantry_domain::authorization::AuthorizationId;
use grantry_system_tests::test_app::TestApp;
use grantry_test_postgres::TestDatabase;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::trail::{Retries, Retry};

/// The columns of a row as text; `None` for NULL.
type Row = Vec<Option<String>>;

/// The database of a deployment.
pub(crate) enum Database<'a> {
    Sqlite(Connection),
    Postgres(&'a TestDatabase),
}

impl<'a> Database<'a> {
    pub(crate) fn of(app: &'a TestApp) -> Self {
        if let Some(database) = app.deployment.postgres() {
            return Self::Postgres(database);
        }
        let database = Connection::open(app.deployment.database()).unwrap();
        database.busy_timeout(Duration::from_secs(10)).unwrap();
        Self::Sqlite(database)
    }

    /// Open flows, pending revocations and unclaimed tokens.
    pub(crate) fn unfinished(&self) -> [u64; 3] {
        let sql = "SELECT (SELECT count(*) FROM authorizations WHERE role IN ('pending', 'running')), \
             (SELECT count(*) FROM authorizations WHERE revocation = 'pending'), (SELECT count(*) FROM unclaimed_tokens)";
        let row = self.rows(sql).remove(0);
        [0, 1, 2].map(|column| number(&row, column).unwrap())
    }

    /// The retries of each authorization, in order. Reads them from the outbox; nothing delivers events from it.
    pub(crate) fn retries(&self) -> Retries {
        let sql = format!("SELECT {}, at, details FROM events WHERE kind = 'refresh_retried' ORDER BY at", self.id());
        let mut retries = Retries::new();
        for row in self.rows(&sql) {
            let since = row[2].as_deref().and_then(|text| text.strip_prefix("in_doubt_since=")?.parse().ok());
            retries.entry(authorization(&row)).or_default().push(Retry { at: number(&row, 1).unwrap(), since });
        }
        retries
    }

    /// The authorizations that were committed as grants.
    pub(crate) fn connected(&self) -> BTreeSet<String> {
        let sql = format!("SELECT {} FROM events WHERE kind = 'connected'", self.id());
        self.rows(&sql).iter().map(authorization).collect()
    }

    /// Fails if the files of the database are damaged. `PostgreSQL` has no such check of all files.
    pub(crate) fn check_integrity(&self) {
        if matches!(self, Self::Sqlite(_)) {
            assert_eq!(self.rows("PRAGMA integrity_check"), [[Some("ok".to_owned())]]);
        }
    }

    /// The id of the authorization of an event, in hex.
    fn id(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "lower(hex(authorization_id))",
            Self::Postgres(_) => "encode(authorization_id, 'hex')",
        }
    }

    fn rows(&self, sql: &str) -> Vec<Row> {
        let database = match self {
            Self::Sqlite(database) => database,
            Self::Postgres(database) => return database.rows(sql),
        };
        let mut statement = database.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column).map(text)).collect());
        rows.unwrap().map(Result::unwrap).collect()
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Integer(number) => Some(number.to_string()),
        Value::Text(text) => Some(text),
        Value::Real(_) | Value::Blob(_) => panic!("no query reads {value:?}"),
    }
}

fn number<T: std::str::FromStr>(row: &Row, column: usize) -> Option<T> {
    row[column].as_deref().and_then(|text| text.parse().ok())
}

/// The id in the first column as the API shows it.
fn authorization(row: &Row) -> String {
    let hex = row[0].as_deref().unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    AuthorizationId::from_bytes(bytes.try_into().unwrap()).to_string()
}

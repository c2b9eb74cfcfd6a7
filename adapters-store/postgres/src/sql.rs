//! Runs statements. Every value is a parameter with its type, so that a statement needs no round trip to be prepared.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use bytes::BytesMut;
use tokio_postgres::Row;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::connection::{Connection, Typed};
use crate::error::{NO_ROW, PgError, inconsistent};

/// The present instant of the database, in milliseconds since the Unix epoch.
pub(crate) const NOW: &str = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// A parameter.
#[derive(Clone)]
pub(crate) enum Value<'v> {
    Integer(Option<i64>),
    Flag(Option<bool>),
    Text(Option<Cow<'v, str>>),
    Bytes(Option<Cow<'v, [u8]>>),
    Integers(Vec<i64>),
    Texts(Vec<Option<Cow<'v, str>>>),
    ByteStrings(Vec<Option<&'v [u8]>>),
}

impl Value<'_> {
    /// A parameter that a statement does not use.
    pub(crate) const UNUSED: Self = Value::Integer(None);

    fn kind(&self) -> Type {
        match self {
            Self::Integer(_) => Type::INT8,
            Self::Flag(_) => Type::BOOL,
            Self::Text(_) => Type::TEXT,
            Self::Bytes(_) => Type::BYTEA,
            Self::Integers(_) => Type::INT8_ARRAY,
            Self::Texts(_) => Type::TEXT_ARRAY,
            Self::ByteStrings(_) => Type::BYTEA_ARRAY,
        }
    }
}

/// The type only: the driver can log parameters.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().name())
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Integer(value) => value.to_sql(kind, out),
            Self::Flag(value) => value.to_sql(kind, out),
            Self::Text(value) => value.as_deref().to_sql(kind, out),
            Self::Bytes(value) => value.as_deref().to_sql(kind, out),
            Self::Integers(values) => values.to_sql(kind, out),
            Self::Texts(values) => values.to_sql(kind, out),
            Self::ByteStrings(values) => values.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Integer(Some(i64::from(value)))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Flag(Some(value))
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(value: &'v str) -> Self {
        Self::Text(Some(Cow::Borrowed(value)))
    }
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(value: Option<&'v str>) -> Self {
        Self::Text(value.map(Cow::Borrowed))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Some(Cow::Owned(value)))
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(value: Option<String>) -> Self {
        Self::Text(value.map(Cow::Owned))
    }
}

impl<'v> From<&'v [u8]> for Value<'v> {
    fn from(value: &'v [u8]) -> Self {
        Self::Bytes(Some(Cow::Borrowed(value)))
    }
}

impl<'v> From<Option<&'v [u8]>> for Value<'v> {
    fn from(value: Option<&'v [u8]>) -> Self {
        Self::Bytes(value.map(Cow::Borrowed))
    }
}

impl<'v, const N: usize> From<&'v [u8; N]> for Value<'v> {
    fn from(value: &'v [u8; N]) -> Self {
        Self::from(value.as_slice())
    }
}

impl<const N: usize> From<[u8; N]> for Value<'_> {
    fn from(value: [u8; N]) -> Self {
        Self::Bytes(Some(Cow::Owned(value.to_vec())))
    }
}

impl<const N: usize> From<Option<[u8; N]>> for Value<'_> {
    fn from(value: Option<[u8; N]>) -> Self {
        Self::Bytes(value.map(|bytes| Cow::Owned(bytes.to_vec())))
    }
}

impl From<Vec<i64>> for Value<'_> {
    fn from(values: Vec<i64>) -> Self {
        Self::Integers(values)
    }
}

impl<'v> From<Vec<&'v str>> for Value<'v> {
    fn from(values: Vec<&'v str>) -> Self {
        Self::Texts(values.into_iter().map(|text| Some(Cow::Borrowed(text))).collect())
    }
}

impl<'v> From<Vec<Option<&'v str>>> for Value<'v> {
    fn from(values: Vec<Option<&'v str>>) -> Self {
        Self::Texts(values.into_iter().map(|text| text.map(Cow::Borrowed)).collect())
    }
}

impl From<Vec<Option<String>>> for Value<'_> {
    fn from(values: Vec<Option<String>>) -> Self {
        Self::Texts(values.into_iter().map(|text| text.map(Cow::Owned)).collect())
    }
}

impl<'v> From<Vec<&'v [u8]>> for Value<'v> {
    fn from(values: Vec<&'v [u8]>) -> Self {
        Self::ByteStrings(values.into_iter().map(Some).collect())
    }
}

impl<'v> From<Vec<Option<&'v [u8]>>> for Value<'v> {
    fn from(values: Vec<Option<&'v [u8]>>) -> Self {
        Self::ByteStrings(values)
    }
}

/// An array of parameters.
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::sql::Value::from($value)),*] };
}
pub(crate) use params;

/// Changes rows; returns how many.
pub(crate) async fn execute(connection: &Connection, sql: &str, parameters: &[Value<'_>]) -> Result<u64, PgError> {
    connection.execute(sql, &typed(parameters)).await
}

/// All rows.
pub(crate) async fn rows(connection: &Connection, sql: &str, parameters: &[Value<'_>]) -> Result<Vec<Row>, PgError> {
    connection.query(sql, &typed(parameters)).await
}

/// The first row, if there is one.
pub(crate) async fn first(connection: &Connection, sql: &str, parameters: &[Value<'_>]) -> Result<Option<Row>, PgError> {
    Ok(rows(connection, sql, parameters).await?.into_iter().next())
}

/// Whether there is a row.
pub(crate) async fn exists(connection: &Connection, sql: &str, parameters: &[Value<'_>]) -> Result<bool, PgError> {
    Ok(first(connection, sql, parameters).await?.is_some())
}

/// The number that a statement with exactly one row returns.
pub(crate) async fn number(connection: &Connection, sql: &str, parameters: &[Value<'_>]) -> Result<i64, PgError> {
    number_of(first(connection, sql, parameters).await?.as_ref())
}

/// The number in the first column of the only row.
pub(crate) fn number_of(row: Option<&Row>) -> Result<i64, PgError> {
    let number = row.and_then(|row| row.try_get(0).ok());
    number.ok_or_else(|| inconsistent("database", NO_ROW, "a count is a number"))
}

fn typed<'p>(parameters: &'p [Value<'_>]) -> Vec<Typed<'p>> {
    parameters.iter().map(|value| (value as &(dyn ToSql + Sync), value.kind())).collect()
}

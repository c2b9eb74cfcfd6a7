//! The databases that a configuration can name.

use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(feature = "postgres")]
use grantry_store_postgres::PostgresUrl;

/// What `store.url` accepts.
const ACCEPTED: &str = "must be \"sqlite:\" and the path of a file, such as \"sqlite:grantry.db\", \
     or a URL of PostgreSQL, such as \"postgres://grantry@db.example.com/grantry\"";

/// The database of a deployment. `Display` shows no user and no password.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Database {
    /// The file of an `SQLite` database.
    Sqlite(PathBuf),
    /// A `PostgreSQL` database.
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresUrl>),
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => file.display().fmt(f),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// The database as the configuration names it: `sqlite:PATH`, or a URL of `PostgreSQL`.
#[derive(Debug, Clone)]
pub(crate) enum StoreUrl {
    /// The path, as written.
    Sqlite(String),
    /// The URL.
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresUrl>),
}

impl Default for StoreUrl {
    fn default() -> Self {
        Self::Sqlite("grantry.db".to_owned())
    }
}

impl StoreUrl {
    /// Parses a URL; the error is what is wrong with it, and contains no part of it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Self::parse_postgres(text);
        }
        text.strip_prefix("sqlite:")
            .filter(|path| !path.is_empty() && !path.starts_with("//") && *path != ":memory:")
            .map(|path| Self::Sqlite(path.to_owned()))
            .ok_or_else(|| ACCEPTED.to_owned())
    }

    #[cfg(feature = "postgres")]
    fn parse_postgres(text: &str) -> Result<Self, String> {
        PostgresUrl::parse(text).map(Box::new).map(Self::Postgres).map_err(|invalid| invalid.problem.to_owned())
    }

    #[cfg(not(feature = "postgres"))]
    fn parse_postgres(_: &str) -> Result<Self, String> {
        Err("names a PostgreSQL database, and this build contains no PostgreSQL; build with the feature `postgres`"
            .to_owned())
    }

    /// The URL without user, password and parameters.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{path}"),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => url.to_string(),
        }
    }

    /// The database. A relative path is relative to the folder of the configuration.
    pub(crate) fn database(&self, folder: &Path) -> Database {
        match self {
            Self::Sqlite(path) => Database::Sqlite(folder.join(path)),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => Database::Postgres(url.clone()),
        }
    }
}

//! A throw-away `PostgreSQL` cluster for tests, and one database in it for each test.
//!
//! The cluster is that of the environment variable `DATABASE_URL`, a URL of a role that may create databases. Without it, the first
//! test program starts a cluster from the binaries of the system in the folder for temporary files, and the programs after it use the same one.
//! It is stopped when no program has used it for a few seconds: each program holds a shared lock on a file, and a watchdog stops the
//! cluster when it gets the exclusive lock.
//!
//! A measurement needs a server with its default durability, and a large database that is filled once: [`KeptCluster`].

#![expect(clippy::missing_panics_doc, reason = "a test cannot go on without its database")]

mod cluster;
mod database;
mod kept;
mod pooler;

pub use self::cluster::{Cluster, private_cluster};
pub use self::database::{TestDatabase, run_at};
pub use self::kept::KeptCluster;
pub use self::pooler::Pooler;

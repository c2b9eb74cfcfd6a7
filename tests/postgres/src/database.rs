//! One database for each test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::cluster::Cluster;

/// A database, which is dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    roles: Vec<String>,
    cluster: &'static Cluster,
}

impl TestDatabase {
    /// A new, empty database in the shared cluster.
    pub async fn new() -> Self {
        Self::with("ENCODING 'UTF8' TEMPLATE template0").await
    }

    /// A new database with options of `CREATE DATABASE`.
    pub async fn with(options: &str) -> Self {
        let database = Self { name: unique("test"), roles: Vec::new(), cluster: Cluster::shared() };
        let create = format!("CREATE DATABASE {} {options}", database.name);
        database.administrator().await.batch_execute(&create).await.expect("a new database");
        database
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, for a superuser.
    pub fn url(&self) -> String {
        self.cluster.url(&self.name)
    }

    /// The name of a role that no other test has, and the URL of the database for it. The role is dropped with the database.
    pub fn role(&mut self) -> (String, String) {
        let role = unique("role");
        self.roles.push(role.clone());
        let url = self.cluster.url_of_role(&role, &self.name);
        (role, url)
    }

    /// A connection to it, as of another program.
    pub async fn client(&self) -> Client {
        connect(&self.url()).await
    }

    /// A connection to another database of the cluster.
    pub async fn administrator(&self) -> Client {
        connect(&self.cluster.url("postgres")).await
    }

    /// Runs statements on another thread, so that a caller inside a runtime may block. Returns the rows of all queries as text.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        run_at(&self.url(), sql).expect("a valid statement")
    }

    /// Ends all connections to it.
    pub async fn disconnect_all(&self) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        self.administrator().await.query(end, &[&self.name]).await.expect("a superuser");
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (url, name, roles) = (self.cluster.url("postgres"), self.name.clone(), self.roles.clone());
        // A test may be inside a runtime, so another thread waits.
        let dropped = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let client = connect(&url).await;
                // A database that cannot be dropped ends with the cluster.
                drop(client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await);
                for role in roles {
                    drop(client.batch_execute(&format!("DROP ROLE IF EXISTS {role}")).await);
                }
            });
        });
        drop(dropped.join());
    }
}

/// Runs statements at a URL on another thread, so that a caller inside a runtime may block. Returns the rows of all queries as text,
/// or the message of the server.
pub fn run_at(url: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    let messages = std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { connect(url).await.simple_query(sql).await })
        });
        asked.join().expect("no panic")
    });
    let messages = messages.map_err(|error| {
        let message = error.as_db_error().map(|error| error.message().to_owned());
        message.unwrap_or_else(|| error.to_string())
    })?;
    let rows =
        messages.iter().filter_map(|message| if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None });
    Ok(rows.map(|row| (0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect()).collect())
}

/// Opens a connection, which a task drives until it is dropped.
async fn connect(url: &str) -> Client {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await.expect("the cluster of the tests accepts connections");
    tokio::spawn(async move { drop(driver.await) });
    client
}

/// A name that no other test has.
fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{prefix}_{}_{nanos}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

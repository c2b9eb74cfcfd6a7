//! Opening a database: what is refused, and what several nodes do at the same time.

use std::time::Duration;

use grantry_domain::ports::{StoreClock, StoreError};
use grantry_store_postgres::{PostgresOptions, PostgresStore, StoreFault};
use grantry_test_postgres::TestDatabase as Database;

use crate::database::{TestDatabase, options_of, wait_for_waiters};
use crate::proxy::{Cut, Proxy};

/// The error text for the operator. It names the setting.
async fn refusal(options: PostgresOptions) -> &'static str {
    match PostgresStore::open(options).await {
        Err(StoreError::Unusable(text)) => {
            assert!(text.contains("`store.url`"), "{text}");
            text
        }
        other => panic!("the database was not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_starting_nodes_one_migrates() {
    let database = TestDatabase::new().await;
    let starts: Vec<_> = (0..8).map(|_| tokio::spawn(PostgresStore::open(database.options()))).collect();
    let mut deployments = Vec::new();
    for start in starts {
        deployments.push(start.await.unwrap().unwrap().deployment_id());
    }
    assert!(deployments.iter().all(|id| *id == deployments[0] && *id != [0; 16]));
    let applied = "SELECT count(*) FROM grantry_migrations";
    let row = database.database.client().await.query_one(applied, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_newer_schema_or_another_build_is_refused() {
    let database = TestDatabase::new().await;
    database.open().await.close().await;
    let client = database.database.client().await;
    let add =
        "INSERT INTO grantry_migrations (version, oldest_reader, hash, applied_at) VALUES (1000, 1000, sha256('x'), 0)";
    client.batch_execute(add).await.unwrap();
    assert!(refusal(database.options()).await.contains("a newer version of this program"));
    // The newer version permits this one to use its schema.
    client.batch_execute("UPDATE grantry_migrations SET oldest_reader = 1").await.unwrap();
    assert_eq!(database.open().await.probe().await, Ok(()));
    let edit = "DELETE FROM grantry_migrations WHERE version = 1000; UPDATE grantry_migrations SET hash = sha256('x')";
    client.batch_execute(edit).await.unwrap();
    assert!(refusal(database.options()).await.contains("a build with other migrations"));
}

#[tokio::test]
async fn the_deployment_id_is_drawn_once_and_compared() {
    let database = TestDatabase::new().await;
    let drawn = database.open().await.deployment_id();
    assert_ne!(drawn, [0; 16]);
    assert_eq!(database.open().await.deployment_id(), drawn);
    let given = |id| PostgresOptions { deployment_id: Some(id), ..database.options() };
    assert_eq!(PostgresStore::open(given(drawn)).await.unwrap().deployment_id(), drawn);
    assert!(refusal(given([9; 16])).await.contains("another deployment"));
    let database = TestDatabase::new().await;
    let given = PostgresOptions { deployment_id: Some([9; 16]), ..database.options() };
    assert_eq!(PostgresStore::open(given).await.unwrap().deployment_id(), [9; 16]);
}

#[tokio::test]
async fn a_read_only_database_is_refused_and_not_changed() {
    let database = TestDatabase::new().await;
    let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.database.name());
    database.database.administrator().await.batch_execute(&read_only).await.unwrap();
    assert!(refusal(database.options()).await.contains("read-only standby"));
}

#[tokio::test]
async fn another_encoding_is_refused() {
    let database = Database::with("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").await;
    assert!(refusal(options_of(&database.url())).await.contains("encoding UTF8"));
}

#[tokio::test]
async fn tables_of_another_program_are_refused() {
    let database = TestDatabase::new().await;
    database.database.client().await.batch_execute("CREATE TABLE sessions (x INTEGER)").await.unwrap();
    assert!(refusal(database.options()).await.contains("tables of another program"));
}

#[tokio::test]
async fn a_role_without_a_privilege_is_refused_and_that_of_the_script_suffices() {
    let mut database = Database::new().await;
    let ((owner, owner_url), (app, app_url)) = (database.role(), database.role());
    let client = database.client().await;
    let script = include_str!("../../roles.sql").replace("grantry_owner", &owner).replace("grantry_app", &app);
    client.batch_execute(&script).await.unwrap();
    // An empty database, in which the role may create nothing.
    let refused = refusal(options_of(&app_url)).await;
    assert!(refused.contains("lacks the privilege CREATE on the schema"), "{refused}");

    let owner_store = PostgresStore::open(options_of(&owner_url)).await.unwrap();
    let store = PostgresStore::open(options_of(&app_url)).await.unwrap();
    assert_eq!(store.deployment_id(), owner_store.deployment_id());
    assert_eq!(store.probe().await, Ok(()));

    // The application writes no row of a migration, so it does not need to.
    client.batch_execute(&format!("REVOKE INSERT, UPDATE, DELETE ON grantry_migrations FROM {app}")).await.unwrap();
    assert_eq!(PostgresStore::open(options_of(&app_url)).await.unwrap().probe().await, Ok(()));
    client.batch_execute(&format!("REVOKE UPDATE ON authorizations FROM {app}")).await.unwrap();
    assert!(refusal(options_of(&app_url)).await.contains("lacks the privilege UPDATE on the table authorizations"));
    drop((store, owner_store));
}

#[tokio::test]
async fn a_role_that_may_not_use_the_schema_is_refused() {
    let mut database = Database::new().await;
    let (role, url) = database.role();
    PostgresStore::open(options_of(&database.url())).await.unwrap().close().await;
    let create = format!("CREATE ROLE {role} LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC");
    database.client().await.batch_execute(&create).await.unwrap();
    assert!(refusal(options_of(&url)).await.contains("lacks a privilege"));
}

#[tokio::test]
async fn r72_a_schema_that_was_changed_is_refused_and_reported_by_the_probe() {
    let database = TestDatabase::new().await;
    let store = database.open().await;
    let client = database.database.client().await;
    // Additions that no statement notices.
    let added = "CREATE TABLE other (x INTEGER); ALTER TABLE users ADD COLUMN x INTEGER; CREATE INDEX i ON users (x)";
    client.batch_execute(added).await.unwrap();
    assert_eq!(store.probe().await, Ok(()));
    let trigger = "CREATE FUNCTION ignore() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER ignore BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION ignore()";
    for (change, undo) in [
        (trigger, "DROP TRIGGER ignore ON events"),
        ("DROP INDEX one_grant", "CREATE UNIQUE INDEX one_grant ON authorizations (id) WHERE role = 'grant'"),
        ("ALTER TABLE sessions RENAME seen_at TO seen", "ALTER TABLE sessions RENAME seen TO seen_at"),
        ("ALTER TABLE sessions RENAME TO other_sessions", "ALTER TABLE other_sessions RENAME TO sessions"),
    ] {
        client.batch_execute(change).await.unwrap();
        assert_eq!(store.probe().await, Err(StoreFault::SchemaChanged), "{change}");
        assert!(refusal(database.options()).await.contains("the expected tables, columns and unique indexes"), "{change}");
        client.batch_execute(undo).await.unwrap();
        assert_eq!(store.probe().await, Ok(()), "{undo}");
    }
}

/// A start waits longer for the migration of another node than for any other statement.
#[tokio::test]
async fn a_start_waits_for_the_migration_of_another_node() {
    let database = TestDatabase::new().await;
    let client = database.database.client().await;
    client.batch_execute("SELECT pg_advisory_lock(x'4752414e54525931'::bigint)").await.unwrap();
    let options = PostgresOptions { statement_timeout: Duration::from_millis(100), ..database.options() };
    let start = tokio::spawn(PostgresStore::open(options));
    wait_for_waiters(&database, 1).await;
    // The time-out and the second by which this program waits longer than the server.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    client.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    start.await.unwrap().unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_used() {
    let database = Database::new().await;
    let setting = "SELECT current_setting('unix_socket_directories'), current_setting('port')";
    let row = database.client().await.query_one(setting, &[]).await.unwrap();
    let (folders, port): (String, String) = (row.get(0), row.get(1));
    let folder = folders.split(',').next().unwrap().replace('/', "%2F");
    let url = format!("postgres://postgres@{folder}:{port}/{}", database.name());
    assert_eq!(PostgresStore::open(options_of(&url)).await.unwrap().probe().await, Ok(()));
}

/// Each host has the time-out for itself, and the one that was lost is not tried first again.
#[tokio::test]
async fn hosts_that_do_not_answer_are_passed() {
    let database = Database::new().await;
    let silent =
        [Proxy::start(&database.url(), Cut::AfterCommit).await, Proxy::start(&database.url(), Cut::AfterCommit).await];
    silent.iter().for_each(Proxy::silence_new);
    let host = |url: &str| url.split(['@', '/']).find(|part| part.contains("127.0.0.1:")).unwrap().to_owned();
    let own = host(&database.url());
    let url = database.url().replace(&own, &format!("{},{},{own}", host(silent[0].url()), host(silent[1].url())));
    let options = PostgresOptions { connect_timeout: Duration::from_millis(700), ..options_of(&url) };
    let store = PostgresStore::open(options).await.unwrap();
    assert_eq!(store.probe().await, Ok(()));
    assert_eq!(silent.map(|proxy| proxy.accepted()), [1, 1]);
}

#[tokio::test]
async fn a_missing_database_and_an_unreachable_server_are_reported() {
    let database = Database::new().await;
    let missing = database.url().replace(database.name(), "no_such_database");
    assert!(refusal(options_of(&missing)).await.contains("does not exist"));
    // No server listens on this port.
    let options = PostgresOptions { connect_timeout: Duration::from_secs(1), ..options_of("postgres://u@127.0.0.1:1/d") };
    assert_eq!(PostgresStore::open(options).await.unwrap_err(), StoreError::Unavailable);
    let encrypted = format!("{}?sslmode=verify-full", database.url());
    assert!(refusal(options_of(&encrypted)).await.contains("does not support TLS"));
}

#[tokio::test]
async fn the_clock_is_that_of_the_database() {
    let database = Database::new().await;
    let store = PostgresStore::open(options_of(&database.url())).await.unwrap();
    let client = database.client().await;
    let read = async || {
        let row = client.query_one("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint", &[]).await.unwrap();
        row.get::<_, i64>(0)
    };
    let (before, now, after) = (read().await, store.now().await.unwrap().as_millis(), read().await);
    assert!(before - 1 <= now && now <= after + 1, "{before} {now} {after}");
}

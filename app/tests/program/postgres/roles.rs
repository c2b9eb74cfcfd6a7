//! The roles of `roles.sql`: one that migrates, and one that serves.

use grantry_test_postgres::TestDatabase;
use grantry_testkit::provider::MockProvider;

use super::{assert_refused, install, reaching, site_at, use_deployment};

const SCRIPT: &str = include_str!("../../../../adapters-store/postgres/roles.sql");

/// A database with both roles, and their names and URLs.
async fn with_roles() -> (TestDatabase, [(String, String); 2]) {
    let mut database = TestDatabase::new().await;
    let roles = [database.role(), database.role()];
    database.rows(&SCRIPT.replace("grantry_owner", &roles[0].0).replace("grantry_app", &roles[1].0));
    (database, roles)
}

#[tokio::test(flavor = "multi_thread")]
async fn r72_a_role_with_the_least_privileges_serves_and_changes_no_table() {
    let (database, [(owner, owner_url), (app, app_url)]) = with_roles().await;
    let provider = MockProvider::builder().start().await.unwrap();
    let site = site_at(&app_url, &reaching(&provider));
    assert_refused(&site, "lacks the privilege CREATE on the schema, which has no tables yet");

    // The owner migrates once.
    drop(site_at(&owner_url, "").serve());
    let connector = install(&site, &provider).await;
    use_deployment(&site, &provider, &connector).await;

    for statement in [
        "CREATE TABLE other (x INTEGER)",
        "CREATE SCHEMA other",
        "CREATE INDEX other ON users (removed_at)",
        "CREATE FUNCTION other() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE sessions ADD COLUMN x INTEGER",
        "ALTER TABLE sessions DISABLE TRIGGER ALL",
        "DROP TABLE sessions",
        "TRUNCATE sessions",
        "GRANT ALL ON sessions TO PUBLIC",
        "COPY sessions TO PROGRAM 'cat'",
        "ALTER ROLE CURRENT_USER SUPERUSER",
    ] {
        let refused = grantry_test_postgres::run_at(&app_url, statement).map(drop);
        // The grant of what a role does not have is a warning.
        let is_grant = statement.starts_with("GRANT");
        assert!(is_grant || refused.is_err(), "{statement}");
    }
    let granted =
        "SELECT count(*) FROM information_schema.table_privileges WHERE table_schema = 'public' AND grantee = 'PUBLIC'";
    assert_eq!(database.rows(granted), [[Some("0".to_owned())]]);
    let owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.rows(owners), [[Some(owner)]]);
    let attributes = format!(
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = '{app}'"
    );
    assert_eq!(database.rows(&attributes), [[Some("f".to_owned())]]);
}

#[tokio::test]
async fn r72_a_missing_privilege_is_named() {
    let (database, [(_, owner_url), (app, app_url)]) = with_roles().await;
    drop(site_at(&owner_url, "").serve());
    let site = site_at(&app_url, "");
    for (privilege, table) in
        [("UPDATE", "authorizations"), ("DELETE", "sessions"), ("INSERT", "events"), ("SELECT", "client_secrets")]
    {
        database.rows(&format!("REVOKE {privilege} ON {table} FROM {app}"));
        assert_refused(&site, &format!("lacks the privilege {privilege} on the table {table}"));
        database.rows(&format!("GRANT {privilege} ON {table} TO {app}"));
    }
    drop(site.serve());
}

//! `PgBouncer` between the program and the server.

use grantry_test_postgres::{Pooler, TestDatabase};
use grantry_testkit::provider::MockProvider;
use rustix::process::Signal;

use super::{install, reaching, run_at, site_at, use_deployment};

/// A whole deployment behind a pooler with two connections to the server.
async fn is_used_behind(settings: &[&str], lines: &str) {
    let database = TestDatabase::new().await;
    let pooler = Pooler::start(&database.url(), 2, settings);
    let provider = MockProvider::builder().start().await.unwrap();
    let site = site_at(&pooler.url(database.name()), &format!("{}\n{lines}", reaching(&provider)));
    let connector = install(&site, &provider).await;
    use_deployment(&site, &provider, &connector).await;
    let own =
        "SELECT count(*) <= 2 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'grantry'";
    assert_eq!(database.rows(own), [[Some("t".to_owned())]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_used_behind_a_pooler() {
    is_used_behind(Pooler::without_prepared_statements(), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_prepares_statements_behind_a_pooler_that_follows_them() {
    if !Pooler::prepares_statements() {
        println!("not run: the installed PgBouncer is older than 1.21 and has no max_prepared_statements");
        return;
    }
    is_used_behind(&["max_prepared_statements = 200"], "store.statement_cache = true").await;
}

/// The connection to the server has the statements of the process that used it before, under the same names.
#[tokio::test]
async fn prepared_statements_behind_a_pooler_that_does_not_follow_them_stop_the_next_start() {
    let database = TestDatabase::new().await;
    let pooler = Pooler::start(&database.url(), 1, Pooler::without_prepared_statements());
    let site = site_at(&pooler.url(database.name()), "store.statement_cache = true");
    assert_eq!(site.serve().stop(Signal::TERM).0, Some(0));
    let refused = run_at(&site, &["serve"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let expected = "a pooler between this program and `store.url` does not support `statement_cache`";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
}

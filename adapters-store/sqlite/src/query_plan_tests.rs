//! Every statement that runs often, or over many rows, finds its rows through an index.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::authorizations::terminate;
use crate::{authorizations, client_secrets, connectors, housekeeping, queries, sessions, users};

/// All such statements.
fn statements() -> Vec<String> {
    let reads = [
        queries::ACCESS_TOKEN_VIEW.clone(),
        queries::ACCESS_TOKEN_VIEW_OF_ONE.clone(),
        queries::STATUSES.clone(),
        queries::STATUS.clone(),
        queries::page_query(""),
        queries::CONNECTED_USERS.to_owned(),
        housekeeping::HOLDERS.to_owned(),
        housekeeping::due_query(),
        connectors::INCARNATIONS.to_owned(),
        users::HAS_GRANT.to_owned(),
        users::USERS.to_owned(),
        users::open_query(),
    ];
    let counts = [
        authorizations::UNFINISHED_OF_USER,
        authorizations::UNFINISHED,
        housekeeping::REMOVE_FLOWS,
        housekeeping::REMOVE_GRANTS,
    ];
    let counts = counts.map(str::to_owned);
    reads.into_iter().chain(counts).chain(terminate::statements()).chain(housekeeping::statements()).collect()
}

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    connection.execute_batch(include_str!("../migrations/0001_first.sql")).unwrap();
    connection
}

/// The plan of a statement, one step per line.
fn plan(connection: &Connection, statement: &str) -> Vec<String> {
    let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    let mut rows = explained.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    steps
}

#[test]
fn a_log_in_does_not_scan_or_sort_the_sessions() {
    let plan = plan(&database(), sessions::END_EXCESS);
    assert!(plan.iter().any(|step| step.contains("USING COVERING INDEX sessions_by_user (user=?)")), "{plan:?}");
    assert!(!plan.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE")), "{plan:?}");
}

#[test]
fn the_keys_in_use_are_found_by_searches() {
    let connection = database();
    for table in housekeeping::KEYS {
        let steps = plan(&connection, &housekeeping::keys_query(table));
        let name = table.0;
        let searches =
            steps.iter().filter(|step| step.starts_with(&format!("SEARCH {name} USING COVERING INDEX {name}_by_key")));
        assert_eq!(searches.count(), 2, "{steps:?}");
    }
}

#[test]
fn no_statement_scans_the_authorizations() {
    let connection = database();
    let statements = statements().into_iter().chain([client_secrets::DESTROY.to_owned()]);
    for statement in statements {
        for step in plan(&connection, &statement) {
            let scans = step.starts_with("SCAN a") && !step.contains("USING");
            assert!(!scans, "{step}\n{statement}");
        }
    }
}

#[test]
fn hot_reads_use_the_index_made_for_them() {
    let connection = database();
    let uses = |statement: &str, step: &str| {
        let steps = plan(&connection, statement);
        assert!(steps.iter().any(|found| found.contains(step)), "{steps:?}\n{statement}");
    };
    uses(&queries::ACCESS_TOKEN_VIEW, "USING INDEX one_grant (incarnation=? AND user=?)");
    uses(&queries::ACCESS_TOKEN_VIEW, "SEARCH e USING INDEX expired_by_connector (incarnation=? AND user=?)");
    uses(&queries::ACCESS_TOKEN_VIEW_OF_ONE, "USING INDEX one_grant (incarnation=? AND user=? AND connection=?)");
    uses(&queries::STATUSES, "USING INDEX authorizations_by_user (user=? AND space=? AND incarnation=?)");
    uses(&queries::page_query(""), "USING INDEX grants_by_space (space=?)");
    uses(queries::CONNECTED_USERS, "USING INDEX one_grant (incarnation=?)");
    uses(housekeeping::HOLDERS, "USING INDEX authorizations_by_user");
    uses(users::HAS_GRANT, "USING INDEX authorizations_by_user (user=?)");
    uses(&users::open_query(), "USING INDEX authorizations_by_user (user=?)");
    for statement in [&queries::ACCESS_TOKEN_VIEW, &queries::ACCESS_TOKEN_VIEW_OF_ONE, &queries::STATUSES] {
        uses(statement, "SEARCH d USING INDEX sqlite_autoindex_default_connections_1 (incarnation=? AND user=?)");
    }
    for statement in [&queries::ACCESS_TOKEN_VIEW, &queries::ACCESS_TOKEN_VIEW_OF_ONE, &queries::STATUSES, &queries::STATUS]
    {
        let steps = plan(&connection, statement);
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}\n{}", **statement);
    }
}

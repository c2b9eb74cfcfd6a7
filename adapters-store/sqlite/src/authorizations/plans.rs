//! Every statement that runs often, or over many rows, finds its rows by an index.

use rusqlite::Connection;

use super::{end, insert, list, read, sweep};
use crate::client_secrets;

fn page() -> String {
    format!("{} ORDER BY a.id DESC LIMIT ?2", list::page_start())
}

/// All such statements.
fn statements() -> Vec<String> {
    let reads = [
        read::ACCESS_TOKEN_VIEW.clone(),
        read::STATUSES.clone(),
        read::STATUS.clone(),
        page(),
        list::HOLDERS.to_owned(),
        list::due_query(),
    ];
    let counts = [insert::OF_USER, insert::OF_ALL, sweep::REMOVE_FLOWS, sweep::REMOVE_GRANTS].map(str::to_owned);
    reads.into_iter().chain(counts).chain(end::statements()).chain(sweep::statements()).collect()
}

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../../migrations/0001_first.sql")).unwrap();
    connection
}

/// The plan of a statement, a step a line.
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
    uses(&read::ACCESS_TOKEN_VIEW, "USING INDEX one_grant (incarnation=? AND user=?)");
    uses(&read::STATUSES, "USING INDEX authorizations_by_user (user=? AND space=? AND incarnation=?)");
    uses(&page(), "USING INDEX grants_by_space (space=?)");
    uses(list::HOLDERS, "USING INDEX authorizations_by_user");
}

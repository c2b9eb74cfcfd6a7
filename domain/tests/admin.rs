//! What administrators do with the grants of other users.

use grantry_domain::authorization::{AuthorizationId, Reason, StatusKind, TerminationCause};
use grantry_domain::identity::{Actor, ConnectionName, Role};
use grantry_domain::ports::{AuditKind, StoreError};
use grantry_domain::usecase::{AccessError, AdminError, Deprovisioned, GrantFilter, GrantStatus};
use grantry_testkit::doubles::fixtures::{connector_id, connector_key, space, user};
use grantry_testkit::doubles::{Fault, Method};

use crate::common::{SECOND, SPACES, TestApp, account, agent, draft, drive, elsewhere, person, quiet, terminated};

#[tokio::test(start_paused = true)]
async fn grants_are_listed_page_by_page_without_those_of_other_spaces() {
    let app = TestApp::new().await;
    app.create_connector(&elsewhere(), draft("{}")).await;
    let second = connector_key("default", "second");
    app.create_connector(&second, draft("{}")).await;
    let mut here = Vec::new();
    for who in ["alice", "bob", "ed"] {
        for key in [drive(), second.clone()] {
            here.push(app.connect_to(who, &key).await);
            app.clock.advance(std::time::Duration::from_secs(1));
        }
    }
    app.connect_to("alice", &elsewhere()).await;
    app.start("ada", &drive()).await;
    let list = async |filter, after, limit| {
        let page = app.node.list_grants(&person("ada"), &space("default"), filter, after, limit).await.unwrap();
        (page.grants.iter().map(|grant| grant.id).collect::<Vec<_>>(), page.next)
    };
    here.reverse();
    assert_eq!(list(GrantFilter::default(), None, 200).await, (here.clone(), None), "newest first");
    let (first, next) = list(GrantFilter::default(), None, 4).await;
    let (rest, end) = list(GrantFilter::default(), next, 4).await;
    assert_eq!(([first, rest].concat(), end), (here.clone(), None));
    let (one, _) = list(GrantFilter::default(), None, 0).await;
    assert_eq!(one.len(), 1, "a page has at least one grant");
    let of = |filter: GrantFilter| async move { list(filter, None, 100).await.0.len() };
    assert_eq!(of(GrantFilter { user: Some(user("bob")), ..GrantFilter::default() }).await, 2);
    assert_eq!(of(GrantFilter { connector: Some(connector_id("second")), ..GrantFilter::default() }).await, 3);
    app.node.disconnect(&person("bob"), &drive(), None).await.unwrap();
    assert_eq!(of(GrantFilter { status: Some(GrantStatus::Connected), ..GrantFilter::default() }).await, 5);
}

#[tokio::test]
async fn only_administrators_list_and_revoke() {
    let app = TestApp::new().await;
    let id = app.connect("alice").await;
    let refusals = [
        (person("alice"), AccessError::Forbidden),
        (person("ed"), AccessError::Forbidden),
        (agent(), AccessError::Forbidden),
        (Actor::System, AccessError::Forbidden),
        (person("stranger"), AccessError::NotFound),
    ];
    for (actor, refusal) in refusals {
        let refusal = AdminError::Access(refusal);
        let listed = app.node.list_grants(&actor, &space("default"), GrantFilter::default(), None, 10).await.map(drop);
        assert_eq!(listed, Err(refusal), "{actor}");
        assert_eq!(app.node.revoke_grant(&actor, &space("default"), id).await, Err(refusal), "{actor}");
        let spaces = SPACES.map(space);
        let gone = app.node.deprovision_user(&actor, &spaces, &user("alice")).await.map(drop);
        assert_eq!(gone, Err(refusal), "{actor}");
    }
    let codes = [AccessError::NotFound, AccessError::Forbidden, AccessError::DirectoryUnavailable].map(AdminError::from);
    assert_eq!(codes.map(AdminError::code), ["not_found", "forbidden", "directory_unavailable"]);
    assert!(app.token("alice").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_grant_revoked_by_an_administrator_needs_reauthorization() {
    let app = TestApp::new().await;
    app.create_connector(&elsewhere(), draft("{}")).await;
    let id = app.connect("alice").await;
    let elsewhere = app.connect_to("alice", &elsewhere()).await;
    let revoke = async |place: &str, id| app.node.revoke_grant(&person("ada"), &space(place), id).await;
    assert_eq!(
        revoke("default", elsewhere).await,
        Err(AccessError::NotFound.into()),
        "a grant of another space looks missing"
    );
    assert_eq!(revoke("default", AuthorizationId::new(app.now(), [9; 16])).await, Err(AccessError::NotFound.into()));
    for method in [Method::Find, Method::Terminate] {
        app.store.fail_next(method, Fault::UNAVAILABLE);
        assert_eq!(revoke("default", id).await, Err(AdminError::Store(StoreError::Unavailable)));
    }
    assert_eq!(AdminError::Store(StoreError::Unavailable).code(), "store_unavailable");
    revoke("default", id).await.unwrap();
    revoke("default", id).await.unwrap();
    let status = app.status("alice").await;
    assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::Admin)));
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-1", "access-1"]);
    let events = app.events().await;
    let ended: Vec<_> = events.iter().filter(|event| event.kind == AuditKind::GrantTerminated).collect();
    assert_eq!(ended.len(), 1);
    assert_eq!((&ended[0].actor, ended[0].outcome.as_str()), (&person("ada"), "admin"));
}

#[tokio::test(start_paused = true)]
async fn deprovisioning_a_user_requires_an_administrator_of_every_space() {
    let app = TestApp::new().await;
    app.create_connector(&elsewhere(), draft("{}")).await;
    app.connect("alice").await;
    app.connect_to("alice", &elsewhere()).await;
    let spaces = SPACES.map(space);
    app.directory.set_role(&user("ada"), &space("marketing"), Role::Editor);
    let refused = app.node.deprovision_user(&person("ada"), &spaces, &user("alice")).await;
    assert_eq!(refused, Err(AccessError::Forbidden.into()));
    let of_none = app.node.deprovision_user(&person("bob"), &[], &user("alice")).await;
    assert_eq!(of_none, Err(AccessError::Forbidden.into()), "an empty list of spaces authorizes no caller");
    assert!(app.token("alice").await.is_ok());
    app.directory.set_role(&user("ada"), &space("marketing"), Role::Admin);
    let gone = app.node.deprovision_user(&person("ada"), &spaces, &user("alice")).await.unwrap();
    assert_eq!(gone, Deprovisioned { revoked: 2, queued: 2 });
    let again = app.node.deprovision_user(&person("ada"), &spaces, &user("alice")).await.unwrap();
    assert_eq!(again, Deprovisioned::default());
    quiet().await;
    assert_eq!(app.revoked().len(), 4);
    assert_eq!(app.outcomes(AuditKind::GrantTerminated).await, ["user_removed"; 2]);
}

#[tokio::test(start_paused = true)]
async fn grants_are_filtered_by_status_over_all_pages() {
    let app = TestApp::new().await;
    let mut connected = Vec::new();
    let mut closed = Vec::new();
    let mut rejected = Vec::new();
    for n in 0..15 {
        let who = format!("user-{n:02}");
        app.directory.set_role(&user(&who), &space("default"), Role::Viewer);
        let id = app.connect(&who).await;
        // The older ones are all closed, so that a page with few matches is followed by one that is full of them.
        match if n < 9 { 1 } else { n % 3 } {
            0 => connected.push(id),
            1 => {
                app.node.disconnect(&person(&who), &drive(), None).await.unwrap();
                closed.push(id);
            }
            _ => {
                app.node.revoke_grant(&person("ada"), &space("default"), id).await.unwrap();
                rejected.push(id);
            }
        }
        app.clock.advance(SECOND);
    }
    quiet().await;
    let cases = [
        (GrantStatus::Connected, connected),
        (GrantStatus::NotConnected, closed),
        (GrantStatus::Revoked, rejected),
        (GrantStatus::NeedsReauthorization, Vec::new()),
    ];
    for (status, mut expected) in cases {
        expected.reverse();
        for limit in [1, 2, 5, 200] {
            let filter = GrantFilter { status: Some(status), ..GrantFilter::default() };
            let (mut found, mut after, mut largest) = (Vec::new(), None, 0);
            loop {
                let page =
                    app.node.list_grants(&person("ada"), &space("default"), filter.clone(), after, limit).await.unwrap();
                assert!(page.grants.iter().all(|grant| grant.status == status));
                largest = largest.max(page.grants.len());
                found.extend(page.grants.iter().map(|grant| grant.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{status}, {limit} per page");
            assert!(largest <= limit as usize, "{largest} grants on a page of {limit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_listed_grant_has_the_status_of_its_connection_and_its_end() {
    let app = TestApp::new().await;
    app.provider.set_account(Some(account("alice")));
    let (started, id) = (app.now(), app.connect("alice").await);
    let list = async || {
        let listed = app.node.list_grants(&person("ada"), &space("default"), GrantFilter::default(), None, 10).await;
        listed.unwrap().grants.pop().unwrap()
    };
    let grant = list().await;
    assert_eq!((grant.id, grant.connected_at, grant.ended_at, grant.cause), (id, started, None, None));
    assert_eq!((grant.user, grant.connection), (user("alice"), ConnectionName::default()));
    assert_eq!(grant.connector_name.map(|name| name.as_str().to_owned()).as_deref(), Some("Drive"));
    assert_eq!((grant.status, grant.has_tokens, &grant.ended_by), (GrantStatus::Connected, true, &None));
    assert_eq!(grant.connection_status, app.status("alice").await);
    app.clock.advance(SECOND);
    app.node.delete_connector(&person("ed"), &drive()).await.unwrap();
    quiet().await;
    let grant = list().await;
    assert_eq!((grant.connector, grant.connector_name), (drive().id, None), "the connector does not exist any more");
    assert_eq!((grant.status, grant.connection_status.reason), (GrantStatus::NotConnected, None));
    assert_eq!(grant.connection_status.account.as_deref(), Some("alice@provider.example"));
    assert_eq!((grant.ended_at, grant.cause), (Some(app.now()), Some(terminated(TerminationCause::ConnectorDeleted))));
    assert_eq!((grant.ended_by, grant.has_tokens), (Some(person("ed")), false), "the tokens are revoked");
}

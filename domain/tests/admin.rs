//! What administrators do with other people's grants.

use grantry_domain::authorization::{AuthorizationId, Reason, StateKind, StatusKind};
use grantry_domain::identity::{Actor, Role};
use grantry_domain::ports::{AuditKind, AuthorizationFilter, StoreError};
use grantry_domain::usecase::{AdminError, Deprovisioned};
use grantry_testkit::doubles::fixtures::{connector_id, connector_key, space, user};

use crate::common::store::{DOWN, Method};
use crate::common::{SPACES, World, agent, draft, drive, elsewhere, person, quiet};

#[tokio::test(start_paused = true)]
async fn grants_are_listed_page_by_page_without_those_of_other_spaces() {
    let world = World::new().await;
    world.create_connector(&elsewhere(), draft("{}")).await;
    let second = connector_key("default", "second");
    world.create_connector(&second, draft("{}")).await;
    let mut here = Vec::new();
    for who in ["alice", "bob", "ed"] {
        for key in [drive(), second.clone()] {
            here.push(world.connect_to(who, &key).await);
            world.clock.advance(std::time::Duration::from_secs(1));
        }
    }
    world.connect_to("alice", &elsewhere()).await;
    world.start("ada", &drive()).await;
    let list = async |filter, after, limit| {
        let page = world.node.list_grants(&person("ada"), &space("default"), filter, after, limit).await.unwrap();
        (page.records.iter().map(|record| record.id).collect::<Vec<_>>(), page.next)
    };
    here.reverse();
    assert_eq!(list(AuthorizationFilter::default(), None, 200).await, (here.clone(), None), "newest first");
    let (first, next) = list(AuthorizationFilter::default(), None, 4).await;
    let (rest, end) = list(AuthorizationFilter::default(), next, 4).await;
    assert_eq!(([first, rest].concat(), end), (here.clone(), None));
    let (one, _) = list(AuthorizationFilter::default(), None, 0).await;
    assert_eq!(one.len(), 1, "a page has at least one");
    let of = |filter: AuthorizationFilter| async move { list(filter, None, 100).await.0.len() };
    assert_eq!(of(AuthorizationFilter { user: Some(user("bob")), ..AuthorizationFilter::default() }).await, 2);
    assert_eq!(
        of(AuthorizationFilter { connector: Some(connector_id("second")), ..AuthorizationFilter::default() }).await,
        3
    );
    world.node.disconnect(&person("bob"), &drive()).await.unwrap();
    assert_eq!(of(AuthorizationFilter { state: Some(StateKind::Authorized), ..AuthorizationFilter::default() }).await, 5);
}

#[tokio::test]
async fn only_administrators_list_and_revoke() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    let refusals = [
        (person("alice"), AdminError::Forbidden),
        (person("ed"), AdminError::Forbidden),
        (agent(), AdminError::Forbidden),
        (Actor::System, AdminError::Forbidden),
        (person("stranger"), AdminError::NotFound),
    ];
    for (actor, refusal) in refusals {
        let listed =
            world.node.list_grants(&actor, &space("default"), AuthorizationFilter::default(), None, 10).await.map(drop);
        assert_eq!(listed, Err(refusal), "{actor}");
        assert_eq!(world.node.revoke_grant(&actor, &space("default"), id).await, Err(refusal), "{actor}");
        let spaces = SPACES.map(space);
        let gone = world.node.deprovision_user(&actor, &spaces, &user("alice")).await.map(drop);
        assert_eq!(gone, Err(refusal), "{actor}");
    }
    assert_eq!([AdminError::NotFound, AdminError::Forbidden].map(AdminError::code), ["not_found", "forbidden"]);
    assert!(world.token("alice").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_revoked_grant_asks_its_user_to_connect_again() {
    let world = World::new().await;
    world.create_connector(&elsewhere(), draft("{}")).await;
    let id = world.connect("alice").await;
    let elsewhere = world.connect_to("alice", &elsewhere()).await;
    let revoke = async |place: &str, id| world.node.revoke_grant(&person("ada"), &space(place), id).await;
    assert_eq!(revoke("default", elsewhere).await, Err(AdminError::NotFound), "another space's look missing (R60)");
    assert_eq!(revoke("default", AuthorizationId::new(world.now(), [9; 16])).await, Err(AdminError::NotFound));
    for method in [Method::Find, Method::End] {
        world.store.fail_next(method, DOWN);
        assert_eq!(revoke("default", id).await, Err(AdminError::Store(StoreError::Unavailable)));
    }
    assert_eq!(AdminError::Store(StoreError::Unavailable).code(), "store_unavailable");
    revoke("default", id).await.unwrap();
    revoke("default", id).await.unwrap();
    let status = world.status("alice").await;
    assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::Admin)));
    quiet().await;
    assert_eq!(world.revoked(), ["refresh-1", "access-1"]);
    let events = world.events().await;
    let ended: Vec<_> = events.iter().filter(|event| event.kind == AuditKind::GrantEnded).collect();
    assert_eq!(ended.len(), 1);
    assert_eq!((&ended[0].actor, ended[0].outcome.as_str()), (&person("ada"), "admin"));
}

#[tokio::test(start_paused = true)]
async fn deprovision_usering_needs_an_administrator_of_every_space() {
    let world = World::new().await;
    world.create_connector(&elsewhere(), draft("{}")).await;
    world.connect("alice").await;
    world.connect_to("alice", &elsewhere()).await;
    let spaces = SPACES.map(space);
    world.directory.authorize(&user("ada"), &space("marketing"), Role::Editor);
    let refused = world.node.deprovision_user(&person("ada"), &spaces, &user("alice")).await;
    assert_eq!(refused, Err(AdminError::Forbidden));
    let of_none = world.node.deprovision_user(&person("bob"), &[], &user("alice")).await;
    assert_eq!(of_none, Err(AdminError::Forbidden), "administering every space of none is nobody's right");
    assert!(world.token("alice").await.is_ok());
    world.directory.authorize(&user("ada"), &space("marketing"), Role::Admin);
    let gone = world.node.deprovision_user(&person("ada"), &spaces, &user("alice")).await.unwrap();
    assert_eq!(gone, Deprovisioned { revoked: 2, queued: 2 });
    let again = world.node.deprovision_user(&person("ada"), &spaces, &user("alice")).await.unwrap();
    assert_eq!(again, Deprovisioned::default());
    quiet().await;
    assert_eq!(world.revoked().len(), 4);
    assert_eq!(world.outcomes(AuditKind::GrantEnded).await, ["user_removed"; 2]);
    let started = world.start("alice", &drive()).await;
    let completed = world.complete(crate::common::came_back(&started, "alice")).await;
    assert!(matches!(completed.outcome, grantry_domain::usecase::Outcome::Failed(_)), "nothing is committed any more");
}

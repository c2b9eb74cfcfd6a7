//! Listing, deprovisioning and reinstating users.

use grantry_domain::authorization::{FailureCode, FlowFailure, FlowStatus};
use grantry_domain::connector::ConnectorName;
use grantry_domain::identity::{Actor, Role};
use grantry_domain::ports::{AuditKind, StoreError, UserStatus};
use grantry_domain::usecase::{
    AccessError, AdminError, Deprovisioned, FlowView, GrantFilter, GrantStatus, LaunchError, OpenKind, Outcome, StartError,
    UserSummary,
};
use grantry_testkit::doubles::fixtures::{space, user};
use grantry_testkit::doubles::{Fault, Method, Operation};

use crate::common::{
    SECOND, SPACES, TestApp, account, agent, callback_of, draft, drive, elsewhere, person, quiet, request, request_named,
};

async fn deprovision(app: &TestApp, who: &str) -> Result<Deprovisioned, AdminError> {
    app.node.deprovision_user(&person("ada"), &SPACES.map(space), &user(who)).await
}

async fn reinstate(app: &TestApp, who: &str) -> Result<(), AdminError> {
    app.node.reinstate_user(&person("ada"), &SPACES.map(space), &user(who)).await
}

async fn listed(app: &TestApp, who: &str) -> Option<UserSummary> {
    let listing = app.node.list_users(&person("ada"), &SPACES.map(space)).await.unwrap();
    listing.users.into_iter().find(|found| found.id == user(who))
}

#[tokio::test(start_paused = true)]
async fn r53_a_deprovisioned_user_is_refused_before_the_provider_until_reinstated() {
    let app = TestApp::new().await;
    app.connect("alice").await;
    let waiting = app.try_start(request_named("alice", "work")).await.unwrap();
    assert_eq!(deprovision(&app, "alice").await, Ok(Deprovisioned { revoked: 1, queued: 1 }));
    quiet().await;
    let calls = app.provider.calls().len();
    let refused = app.try_start(request("alice", &drive())).await.map(drop).unwrap_err();
    assert_eq!((&refused, refused.code()), (&StartError::UserDeprovisioned, "user_deprovisioned"));
    let consent = app.node.consent(&person("alice"), &drive()).await;
    assert_eq!(consent.map(drop), Err(StartError::UserDeprovisioned));
    let cookies = [waiting.flow_cookie.clone_secret()];
    let launch = app.node.launch(&person("alice"), &space("default"), waiting.flow_id, &cookies).await;
    let launch = launch.map(drop).unwrap_err();
    assert_eq!((launch, launch.code()), (LaunchError::UserDeprovisioned, "user_deprovisioned"));
    assert_eq!(app.provider.calls().len(), calls, "no request and no URL of the provider");
    let FlowView { status, .. } = app.node.flow_status(&person("alice"), None, waiting.flow_id).await.unwrap();
    let reason = FlowFailure::Code(FailureCode::UserDeprovisioned);
    assert_eq!(status, FlowStatus::Failed(reason));
    assert!(app.token("alice").await.is_err());

    assert_eq!(reinstate(&app, "alice").await, Ok(()));
    assert_eq!(app.node.consent(&person("alice"), &drive()).await.map(drop), Ok(()));
    app.connect("alice").await;
    assert!(app.token("alice").await.is_ok());
    assert_eq!(app.outcomes(AuditKind::UserDeprovisioned).await, ["ok"]);
    assert_eq!(app.outcomes(AuditKind::UserReinstated).await, ["ok"]);
}

#[tokio::test(start_paused = true)]
async fn r53_a_user_who_is_deprovisioned_at_the_provider_gets_the_reason() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    // The directory removes the user between consent and commit, without the termination of the flow being seen.
    let gate = app.store.hold(Method::CommitGrant);
    let callback = callback_of(&started, "alice");
    let completing = tokio::spawn({
        let node = app.node.clone();
        async move { node.complete(callback).await }
    });
    quiet().await;
    app.node.remove_user(Actor::System, &user("alice")).await.unwrap();
    gate.open();
    let completed = completing.await.unwrap().unwrap();
    let reason = FlowFailure::Code(FailureCode::UserDeprovisioned);
    assert_eq!(completed.outcome, Outcome::Failed(reason));
}

#[tokio::test]
async fn deprovisioning_an_unknown_user_writes_nothing() {
    let app = TestApp::new().await;
    let unknown = Err(AdminError::from(AccessError::NotFound));
    assert_eq!(deprovision(&app, "alcie").await, unknown);
    assert_eq!(reinstate(&app, "alcie").await, unknown.map(drop));
    assert_eq!(listed(&app, "alcie").await, None);
    assert_eq!(app.outcomes(AuditKind::UserDeprovisioned).await, [""; 0], "nothing was written");
    assert_eq!(app.store.count(Method::Terminate), 0);
    assert_eq!(deprovision(&app, "bob").await, Ok(Deprovisioned::default()), "a known user without connections");
    assert!(listed(&app, "bob").await.unwrap().deprovisioned_at.is_some());
    assert_eq!(reinstate(&app, "bob").await, Ok(()));
    assert_eq!(reinstate(&app, "bob").await, Ok(()), "reinstating is idempotent");
    assert_eq!(app.outcomes(AuditKind::UserReinstated).await, ["ok"]);
    assert!(app.node.reinstate_user_for_host(Actor::System, &user("bob")).await.is_ok_and(|lifted| !lifted));
}

#[tokio::test(start_paused = true)]
async fn users_of_the_directory_and_of_the_store_are_listed_together() {
    let app = TestApp::new().await;
    app.directory.set_role(&user("gone"), &space("default"), Role::Viewer);
    app.connect("gone").await;
    app.directory.set_user(&user("gone"), UserStatus::Unknown);
    app.directory.set_user(&user("bob"), UserStatus::Disabled);
    let summary = |id: &str, disabled| UserSummary { id: user(id), name: None, disabled, deprovisioned_at: None };
    assert_eq!(listed(&app, "alice").await, Some(summary("alice", false)));
    assert_eq!(listed(&app, "bob").await, Some(summary("bob", true)));
    assert_eq!(listed(&app, "gone").await, Some(summary("gone", true)), "the store has a grant of the user");
    let listing = app.node.all_users().await.unwrap();
    assert!(listing.complete && listing.users.is_sorted_by(|one, other| one.id < other.id));

    // A directory that cannot list reports it; users with records are known all the same.
    app.directory.hide_users();
    app.connect("alice").await;
    let listing = app.node.all_users().await.unwrap();
    let ids: Vec<_> = listing.users.iter().map(|user| user.id.as_str()).collect();
    assert_eq!((listing.complete, ids), (false, vec!["alice", "gone"]));
    assert_eq!(listed(&app, "gone").await, Some(summary("gone", false)), "whether the user is disabled is not known");
    assert_eq!(deprovision(&app, "carol").await, Err(AccessError::NotFound.into()));
    assert_eq!(deprovision(&app, "alice").await.map(|done| done.revoked), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn the_details_of_a_user_contain_what_deprovisioning_ends() {
    let app = TestApp::new().await;
    app.create_connector(&elsewhere(), draft("{}")).await;
    app.provider.set_account(Some(account("alice")));
    app.connect("alice").await;
    app.connect_to("alice", &elsewhere()).await;
    app.try_start(request_named("alice", "work")).await.unwrap();
    app.connect("bob").await;
    let details = app.node.user_details(&person("ada"), &SPACES.map(space), &user("alice")).await.unwrap();
    let open: Vec<_> = details
        .open
        .iter()
        .map(|open| (open.space.as_str(), open.connector.as_str(), open.connection.as_str(), open.kind))
        .collect();
    assert_eq!(open.len(), 3);
    assert!(open.contains(&("default", "drive", "default", OpenKind::Grant)));
    assert!(open.contains(&("marketing", elsewhere().id.as_str(), "default", OpenKind::Grant)));
    assert!(open.contains(&("default", "drive", "work", OpenKind::Flow)));
    assert_eq!(details.open[0].account.as_deref(), Some("alice@provider.example"));
    assert_eq!(details.open[0].connector_name.as_ref().map(ConnectorName::as_str), Some("Drive"));
    assert_eq!(details.count(OpenKind::Grant) as u64, deprovision(&app, "alice").await.unwrap().revoked);
    let details = app.node.user_details(&person("ada"), &SPACES.map(space), &user("alice")).await.unwrap();
    assert_eq!((details.open, details.user.deprovisioned_at), (Vec::new(), Some(app.now())));
}

#[tokio::test]
async fn only_administrators_of_every_space_see_and_reinstate_users() {
    let app = TestApp::new().await;
    let all = SPACES.map(space);
    for (actor, refusal) in [
        (person("alice"), AccessError::Forbidden),
        (agent(), AccessError::Forbidden),
        (Actor::System, AccessError::Forbidden),
        (person("stranger"), AccessError::NotFound),
    ] {
        let refusal = AdminError::Access(refusal);
        assert_eq!(app.node.list_users(&actor, &all).await.map(drop), Err(refusal), "{actor}");
        assert_eq!(app.node.user_details(&actor, &all, &user("bob")).await.map(drop), Err(refusal), "{actor}");
        assert_eq!(app.node.reinstate_user(&actor, &all, &user("bob")).await, Err(refusal), "{actor}");
    }
    assert_eq!(app.node.list_users(&person("ada"), &[]).await.map(drop), Err(AccessError::Forbidden.into()));
    for method in [Method::RemovedAt, Method::StoredUsers] {
        app.store.fail_next(method, Fault::UNAVAILABLE);
    }
    assert_eq!(app.try_start(request("alice", &drive())).await.map(drop), Err(StoreError::Unavailable.into()));
    assert_eq!(app.node.all_users().await, Err(StoreError::Unavailable.into()));
    app.directory.set_unavailable(true);
    assert_eq!(app.node.all_users().await, Err(AccessError::DirectoryUnavailable.into()));
}

#[tokio::test(start_paused = true)]
async fn an_administrator_revokes_wherever_tokens_exist() {
    let app = TestApp::new().await;
    let list = async || {
        let listed = app.node.list_grants(&person("ada"), &space("default"), GrantFilter::default(), None, 10).await;
        listed.unwrap().grants.pop().unwrap()
    };
    let revoke = async |id| app.node.revoke_grant(&person("ada"), &space("default"), id).await.unwrap();
    // A grant that an edit ended, whose revocation the provider does not accept yet.
    let id = app.connect("alice").await;
    let _gate = app.provider.hold(Operation::Revoke);
    app.profiles.set("edited", |settings| settings.client_id = "client-2".to_owned());
    app.edit(draft("edited")).await;
    quiet().await;
    let ended = list().await;
    assert_eq!((ended.status, ended.has_tokens), (GrantStatus::NeedsReauthorization, true));
    assert_eq!(ended.ended_by, Some(person("ed")));
    app.clock.advance(SECOND);
    revoke(id).await;
    let revoked = list().await;
    assert_eq!((revoked.status, revoked.has_tokens), (GrantStatus::Revoked, true), "the tokens are still to be revoked");
    assert_eq!((revoked.ended_by, revoked.ended_at), (Some(person("ada")), Some(app.now())));
}

//! Access: every use case asks the directory, and an unavailable directory denies access.

use std::sync::Arc;

use grantry_domain::authorization::AuthorizationId;
use grantry_domain::identity::{Actor, Role};
use grantry_domain::ports::{Directory, UserStatus};
use grantry_domain::usecase::parts::Access;
use grantry_domain::usecase::{
    AccessError, AdminError, CancelError, CancelKey, ConnectorError, DisconnectError, ExecuteError, GrantFilter, StartError,
    StatusError, TokenError,
};
use grantry_testkit::doubles::TestDirectory;
use grantry_testkit::doubles::fixtures::{space, user};

use crate::common::{SPACES, TestApp, agent, draft, drive, execution, person, quiet, request, token_request};

/// The access error and the stable code of every use case that asks the directory.
async fn refusals(app: &TestApp, flow: AuthorizationId) -> Vec<(&'static str, AccessError, &'static str)> {
    let (ada, key, default) = (person("ada"), drive(), space("default"));
    let mut refusals = Vec::new();
    let refused = app.node.start(request("ada", &key)).await.err().unwrap();
    let StartError::Access(error) = refused else { panic!("{refused}") };
    refusals.push(("start", error, refused.code()));
    let refused = app.node.cancel(&ada, &key, CancelKey::Flow(flow)).await.unwrap_err();
    let CancelError::Access(error) = refused else { panic!("{refused}") };
    refusals.push(("cancel", error, refused.code()));
    let disconnected = app.node.disconnect(&ada, &key, None).await.unwrap_err();
    let default_set = app.node.set_default_connection(&ada, &key, None).await.unwrap_err();
    for (name, refused) in [("disconnect", disconnected), ("set_default_connection", default_set)] {
        let DisconnectError::Access(error) = refused else { panic!("{refused}") };
        refusals.push((name, error, refused.code()));
    }
    let refused = app.node.statuses(&ada, &default).await.unwrap_err();
    let StatusError::Access(error) = refused else { panic!("{refused}") };
    refusals.push(("statuses", error, refused.code()));
    let connectors = [
        ("connector", app.node.connector(&ada, &key).await.map(drop).unwrap_err()),
        ("connectors", app.node.connectors(&ada, &default).await.map(drop).unwrap_err()),
        ("create_connector", app.node.create_connector(&ada, &default, None, draft("{}")).await.map(drop).unwrap_err()),
        ("update_connector", app.node.update_connector(&ada, &key, draft("{}"), None, false).await.map(drop).unwrap_err()),
        ("delete_connector", app.node.delete_connector(&ada, &key).await.map(drop).unwrap_err()),
    ];
    for (name, refused) in connectors {
        let ConnectorError::Access(error) = refused else { panic!("{refused}") };
        refusals.push((name, error, refused.code()));
    }
    let listed = app.node.list_grants(&ada, &default, GrantFilter::default(), None, 10).await.map(drop).unwrap_err();
    let administration = [
        ("list_grants", listed),
        ("revoke_grant", app.node.revoke_grant(&ada, &default, flow).await.unwrap_err()),
        ("deprovision_user", app.node.deprovision_user(&ada, &SPACES.map(space), &user("ada")).await.map(drop).unwrap_err()),
    ];
    for (name, refused) in administration {
        let AdminError::Access(error) = refused else { panic!("{refused}") };
        refusals.push((name, error, refused.code()));
    }
    let refused = app.node.access_token(&token_request("ada")).await.map(drop).unwrap_err();
    let TokenError::Access(error) = refused else { panic!("{refused}") };
    refusals.push(("access_token", error, refused.code()));
    let refused = app.node.execute(execution("ada", "/files")).await.map(drop).unwrap_err();
    let ExecuteError::Token(TokenError::Access(error)) = refused else { panic!("{refused}") };
    refusals.push(("execute", error, refused.code()));
    refusals
}

#[tokio::test(start_paused = true)]
async fn r06_r43_an_unavailable_directory_denies_every_use_case_with_an_error_of_its_own() {
    let app = TestApp::new().await;
    let grant = app.connect("ada").await;
    let flow = app.start("ada", &drive()).await;
    let (calls, events) = (app.provider.calls().len(), app.events().await.len());
    app.directory.set_unavailable(true);
    for (name, error, code) in refusals(&app, flow.flow_id).await {
        assert_eq!((error, code), (AccessError::DirectoryUnavailable, "directory_unavailable"), "{name}");
    }
    app.directory.set_unavailable(false);
    quiet().await;
    assert_eq!(app.provider.calls().len(), calls, "no request was sent");
    assert!(app.resource.requests().is_empty());
    assert_eq!(app.events().await.len(), events + 1, "only the refused token is audited");
    assert!(app.find(grant).await.unwrap().as_grant().is_some());
    assert!(app.find(flow.flow_id).await.unwrap().is_flow());
}

#[tokio::test(start_paused = true)]
async fn r60_a_closed_space_and_a_missing_one_are_not_found_by_every_use_case() {
    let app = TestApp::new().await;
    let flow = app.start("ada", &drive()).await;
    for closed in [true, false] {
        app.directory.remove_role(&user("ada"), &space("default"));
        if !closed {
            app.directory.remove_space(&space("default"));
        }
        for (name, error, code) in refusals(&app, flow.flow_id).await {
            assert_eq!((error, code), (AccessError::NotFound, "not_found"), "{name}");
        }
    }
}

#[tokio::test]
async fn access_is_decided_by_space_user_and_role() {
    let directory = Arc::new(TestDirectory::default());
    let access = Access::new(directory.clone());
    let (alice, default) = (user("alice"), space("default"));
    let authorize = async |least| access.authorize(&alice, &default, least).await;
    assert_eq!(authorize(Role::Viewer).await, Err(AccessError::NotFound));
    directory.set_role(&alice, &default, Role::Editor);
    assert_eq!([authorize(Role::Viewer).await, authorize(Role::Editor).await], [Ok(()); 2]);
    assert_eq!(authorize(Role::Admin).await, Err(AccessError::Forbidden));
    for actor in [agent(), Actor::System] {
        assert_eq!(access.authorize_user(&actor, &default, Role::Viewer).await, Err(AccessError::Forbidden));
    }
    assert_eq!(access.authorize_user(&person("alice"), &default, Role::Editor).await, Ok(&alice));
    directory.set_user(&alice, UserStatus::Disabled);
    assert_eq!(authorize(Role::Viewer).await, Err(AccessError::NotFound), "a disabled user has no access");
    directory.set_user(&alice, UserStatus::Active);
    directory.set_unavailable(true);
    assert!(directory.membership(&alice, &default).await.is_err());
    assert_eq!(authorize(Role::Viewer).await, Err(AccessError::DirectoryUnavailable));
}

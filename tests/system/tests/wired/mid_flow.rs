//! Changes of the connector, the user or the permissions while the user is at the provider.

use grantry_domain::identity::Role;
use grantry_domain::ports::UserStatus;
use grantry_system_tests::test_app::{DRIVE, TestApp};
use grantry_system_tests::users::{space, user};
use grantry_testkit::provider::{Endpoint, Fault, Gate};

use crate::{assert_all_revoked, assert_failed};

/// A change after which a pending flow must not become a grant.
#[derive(Debug, Clone, Copy)]
enum Change {
    ConnectorEdited,
    ConnectorDeleted,
    RoleRemoved,
    UserRemoved,
    SpaceRemoved,
    DirectoryDown,
}

impl Change {
    const ALL: [Self; 6] = [
        Self::ConnectorEdited,
        Self::ConnectorDeleted,
        Self::RoleRemoved,
        Self::UserRemoved,
        Self::SpaceRemoved,
        Self::DirectoryDown,
    ];

    async fn apply(self, app: &TestApp) {
        let directory = &app.deployment.users.directory;
        match self {
            Self::ConnectorEdited => {
                // Another client changes the digest and not the endpoints.
                let response = app.edit(DRIVE, &app.draft().client("other", "other-secret")).await;
                assert_eq!(response.status, 200, "{}", response.text());
            }
            Self::ConnectorDeleted => app.delete(DRIVE).await,
            Self::RoleRemoved => directory.remove_role(&user("alice"), &space("default")),
            Self::UserRemoved => directory.set_user(&user("alice"), UserStatus::Unknown),
            Self::SpaceRemoved => directory.remove_space(&space("default")),
            Self::DirectoryDown => directory.set_unavailable(true),
        }
    }

    /// The code of the failed flow.
    fn code(self) -> &'static str {
        match self {
            Self::ConnectorEdited => "connector_changed",
            Self::ConnectorDeleted => "connector_gone",
            Self::RoleRemoved | Self::UserRemoved | Self::SpaceRemoved => "permission_lost",
            Self::DirectoryDown => "internal",
        }
    }

    async fn revert(self, app: &TestApp) {
        let directory = &app.deployment.users.directory;
        directory.set_unavailable(false);
        directory.set_user(&user("alice"), UserStatus::Active);
        directory.set_role(&user("alice"), &space("default"), Role::Editor);
        if matches!(self, Self::ConnectorDeleted) {
            app.create(DRIVE, &app.draft()).await;
        }
    }
}

#[tokio::test]
async fn r25_r26_r53_lesson_24_a_change_before_the_callback_prevents_the_grant() {
    for change in Change::ALL {
        let app = TestApp::new().await;
        let mut alice = app.browser("alice").await;
        let (_, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        change.apply(&app).await;
        alice.open_callback(&callback).await;
        if matches!(change, Change::ConnectorEdited | Change::ConnectorDeleted) {
            assert_eq!(app.provider.ledger().exchanges().len(), 0, "{change:?}: the code is not sent");
        }
        change.revert(&app).await;
        assert_eq!(alice.status_name(DRIVE).await, "not_connected", "{change:?}");
        // If the code was exchanged, the tokens are revoked.
        app.host.drain().await;
        app.host.connections.revoke_due().await.unwrap();
        let exchanged = app.provider.ledger().exchanges().len();
        let revoked = app.provider.grants().iter().filter(|grant| grant.ended.is_some()).count();
        assert_eq!(revoked, exchanged, "{change:?}");
    }
}

#[tokio::test]
async fn r26_after_a_change_during_the_exchange_the_new_tokens_are_revoked() {
    for change in Change::ALL {
        let app = TestApp::new().await;
        let mut alice = app.browser("alice").await;
        let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        // The provider has issued tokens and holds its response.
        let gate = Gate::closed();
        app.provider.faults().once(Endpoint::Token, Fault::HoldResponse(gate.clone()));
        let mut tab = alice.clone();
        let returning = tokio::spawn(async move { tab.open_callback(&callback).await });
        gate.arrived(1).await;
        change.apply(&app).await;
        gate.open();
        returning.await.unwrap();
        change.revert(&app).await;
        assert_failed(&mut alice, DRIVE, &flow, change.code()).await;
        assert_eq!(alice.status_name(DRIVE).await, "not_connected", "{change:?}");
        assert_eq!(app.provider.ledger().exchanges().len(), 1, "{change:?}");
        assert_all_revoked(&app).await;
    }
}

#[tokio::test]
async fn r26_a_closed_connection_during_the_exchange_does_not_stop_it() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    for endpoint in [Endpoint::Token] {
        let gate = Gate::closed();
        app.provider.faults().once(endpoint, Fault::HoldResponse(gate.clone()));
        let mut tab = alice.clone();
        let address = callback.clone();
        let returning = tokio::spawn(async move { tab.open_callback(&address).await });
        gate.arrived(1).await;
        returning.abort();
        assert!(returning.await.unwrap_err().is_cancelled());
        gate.open();
        app.host.drain().await;
    }
    assert_eq!(alice.flow_result(DRIVE, &flow.id).await.0, "authorized");
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

#[tokio::test]
async fn a_cancellation_during_the_exchange_has_exactly_one_of_two_results() {
    let app = TestApp::new().await;
    let mut alice = app.browser("alice").await;
    let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
    let gate = Gate::closed();
    app.provider.faults().once(Endpoint::Token, Fault::HoldResponse(gate.clone()));
    let mut tab = alice.clone();
    let returning = tokio::spawn(async move { tab.open_callback(&callback).await });
    gate.arrived(1).await;
    let cancel = serde_json::json!({ "flowId": flow.id });
    assert_eq!(alice.post(&DRIVE.internal("/_oauth_cancel"), cancel).await.status, 204);
    gate.open();
    returning.await.unwrap();
    match alice.flow_result(DRIVE, &flow.id).await.0.as_str() {
        "authorized" => assert_eq!(alice.status_name(DRIVE).await, "connected"),
        "cancelled" => {
            assert_eq!(alice.status_name(DRIVE).await, "not_connected");
            assert_all_revoked(&app).await;
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn lesson_07_a_failed_exchange_consumes_the_state_and_keeps_the_old_grant() {
    let app = TestApp::new().await;
    let mut alice = app.connected("alice", DRIVE).await;
    let faults = [
        (Fault::oauth_error("invalid_grant"), "exchange_failed"),
        (Fault::oauth_error("invalid_client"), "provider_misconfigured"),
        (Fault::status(500), "provider_unavailable"),
        (Fault::DropRequest, "provider_unavailable"),
        (Fault::throttled(30), "provider_unavailable"),
    ];
    for (fault, code) in faults {
        let (flow, callback) = app.consent(&mut alice, DRIVE, "alice").await;
        let mut tab = alice.clone();
        app.provider.faults().once(Endpoint::Token, fault);
        alice.open_callback(&callback).await;
        assert_failed(&mut alice, DRIVE, &flow, code).await;
        let exchanges = app.provider.ledger().exchanges().len();
        let replayed = tab.open_callback(&callback).await;
        assert!(replayed.location().ends_with(&flow.id), "{}", replayed.full_text());
        assert_eq!(app.provider.ledger().exchanges().len(), exchanges);
        assert_eq!(alice.execute(DRIVE, "/me").await.status, 200, "the old grant is unchanged");
    }
}

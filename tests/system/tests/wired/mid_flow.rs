//! What happens to the connector, the person or the permission while somebody is at the provider.

use grantry_domain::ports::UserStatus;
use grantry_system_tests::people::{space, user};
use grantry_system_tests::place::Draft;
use grantry_system_tests::world::{DRIVE, World};
use grantry_testkit::provider::{Endpoint, Fault, Gate};

use crate::{assert_failed, assert_nothing_lives};

/// Something that takes the ground from under a flow.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Edited,
    Deleted,
    Expelled,
    Removed,
    SpaceRemoved,
    DirectoryDown,
}

impl Blow {
    const ALL: [Self; 6] =
        [Self::Edited, Self::Deleted, Self::Expelled, Self::Removed, Self::SpaceRemoved, Self::DirectoryDown];

    async fn strike(self, world: &World) {
        let directory = &world.deployment.people.directory;
        match self {
            Self::Edited => {
                // Another client: the digest changes, the endpoints stay.
                let draft = Draft::issuer(world.provider.base_url(), &world.provider.url("/api"));
                let answer = world.edit(DRIVE, &draft.client("other", "other-secret")).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
            Self::Deleted => world.delete(DRIVE).await,
            Self::Expelled => directory.expel(&user("alice"), &space("default")),
            Self::Removed => directory.set_user(&user("alice"), UserStatus::Unknown),
            Self::SpaceRemoved => directory.remove_space(&space("default")),
            Self::DirectoryDown => directory.go_down(true),
        }
    }

    /// What the person is told.
    fn code(self) -> &'static str {
        match self {
            Self::Edited => "connector_changed",
            Self::Deleted => "connector_gone",
            Self::Expelled | Self::Removed | Self::SpaceRemoved | Self::DirectoryDown => "permission_lost",
        }
    }

    async fn undo(self, world: &World) {
        let directory = &world.deployment.people.directory;
        directory.go_down(false);
        directory.set_user(&user("alice"), UserStatus::Active);
        directory.authorize(&user("alice"), &space("default"), grantry_domain::identity::Role::Editor);
        if matches!(self, Self::Deleted) {
            world.create(DRIVE, &Draft::issuer(world.provider.base_url(), &world.provider.url("/api"))).await;
        }
    }
}

#[tokio::test]
async fn r25_r26_r53_lesson_24_whatever_goes_while_the_person_is_at_the_provider_there_is_no_grant() {
    for blow in Blow::ALL {
        let world = World::new().await;
        let mut alice = world.browser("alice").await;
        let (_, callback) = world.consent(&mut alice, DRIVE, "alice").await;
        blow.strike(&world).await;
        alice.come_back(&callback).await;
        if matches!(blow, Blow::Edited | Blow::Deleted) {
            assert_eq!(world.provider.ledger().exchanges().len(), 0, "{blow:?}: the code stays here");
        }
        blow.undo(&world).await;
        assert_eq!(alice.status_name(DRIVE).await, "not_connected", "{blow:?}");
        // The consent at the provider has no tokens if the code was never exchanged; those that were are revoked.
        world.host.settle().await;
        world.host.connections.revoke_due().await.unwrap();
        let exchanged = world.provider.ledger().exchanges().len();
        let revoked = world.provider.grants().iter().filter(|grant| grant.ended.is_some()).count();
        assert_eq!(revoked, exchanged, "{blow:?}");
    }
}

#[tokio::test]
async fn r26_whatever_goes_during_the_exchange_the_new_tokens_are_revoked() {
    for blow in Blow::ALL {
        let world = World::new().await;
        let mut alice = world.browser("alice").await;
        let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
        // The tokens have been issued, and their answer is on its way.
        let gate = Gate::closed();
        world.provider.faults().once(Endpoint::Token, Fault::HoldAnswer(gate.clone()));
        let mut tab = alice.clone();
        let returning = tokio::spawn(async move { tab.come_back(&callback).await });
        gate.arrived(1).await;
        blow.strike(&world).await;
        gate.open();
        returning.await.unwrap();
        blow.undo(&world).await;
        assert_failed(&mut alice, DRIVE, &flow, blow.code()).await;
        assert_eq!(alice.status_name(DRIVE).await, "not_connected", "{blow:?}");
        assert_eq!(world.provider.ledger().exchanges().len(), 1, "{blow:?}");
        assert_nothing_lives(&world).await;
    }
}

#[tokio::test]
async fn r26_a_browser_that_goes_away_during_the_exchange_does_not_stop_it() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    for endpoint in [Endpoint::Token] {
        let gate = Gate::closed();
        world.provider.faults().once(endpoint, Fault::HoldAnswer(gate.clone()));
        let mut tab = alice.clone();
        let address = callback.clone();
        let returning = tokio::spawn(async move { tab.come_back(&address).await });
        gate.arrived(1).await;
        returning.abort();
        assert!(returning.await.unwrap_err().is_cancelled());
        gate.open();
        world.host.settle().await;
    }
    assert_eq!(alice.flow_end(DRIVE, &flow.id).await.0, "authorized");
    assert_eq!(alice.status_name(DRIVE).await, "connected");
}

#[tokio::test]
async fn a_cancel_during_the_exchange_wins_or_loses_but_never_both() {
    let world = World::new().await;
    let mut alice = world.browser("alice").await;
    let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
    let gate = Gate::closed();
    world.provider.faults().once(Endpoint::Token, Fault::HoldAnswer(gate.clone()));
    let mut tab = alice.clone();
    let returning = tokio::spawn(async move { tab.come_back(&callback).await });
    gate.arrived(1).await;
    let cancel = serde_json::json!({ "flowId": flow.id });
    assert_eq!(alice.post(&DRIVE.internal("/_oauth_cancel"), cancel).await.status, 204);
    gate.open();
    returning.await.unwrap();
    match alice.flow_end(DRIVE, &flow.id).await.0.as_str() {
        "authorized" => assert_eq!(alice.status_name(DRIVE).await, "connected"),
        "cancelled" => {
            assert_eq!(alice.status_name(DRIVE).await, "not_connected");
            assert_nothing_lives(&world).await;
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn lesson_07_a_failed_exchange_uses_the_state_up_and_leaves_the_old_grant() {
    let world = World::new().await;
    let mut alice = world.connected("alice", DRIVE).await;
    let faults = [
        (Fault::oauth_error("invalid_grant"), "exchange_failed"),
        (Fault::oauth_error("invalid_client"), "provider_misconfigured"),
        (Fault::status(500), "provider_unavailable"),
        (Fault::DropRequest, "provider_unavailable"),
        (Fault::throttled(30), "provider_unavailable"),
    ];
    for (fault, code) in faults {
        let (flow, callback) = world.consent(&mut alice, DRIVE, "alice").await;
        let mut tab = alice.clone();
        world.provider.faults().once(Endpoint::Token, fault);
        alice.come_back(&callback).await;
        assert_failed(&mut alice, DRIVE, &flow, code).await;
        let exchanges = world.provider.ledger().exchanges().len();
        assert_eq!(tab.come_back(&callback).await.page_code(), "flow_already_used");
        assert_eq!(world.provider.ledger().exchanges().len(), exchanges);
        assert_eq!(alice.execute(DRIVE, "/me").await.status, 200, "the old grant is untouched");
    }
}

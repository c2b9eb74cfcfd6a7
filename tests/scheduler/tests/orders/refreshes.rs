//! Refreshes of one expired grant by the callers of two nodes.

use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::authorization::AuthorizationId;
use grantry_domain::ports::{
    AuditEvent, AuthorizationStore, FailedAttempt, Lease, LeaseRequest, RefreshLeases, StoreError, StorePorts,
};
use grantry_domain::usecase::{IssuedAccessToken, TokenError};
use grantry_testkit::doubles::{Operation, Reuse};
use shuttle::future::{JoinHandle, block_on, spawn};
use shuttle::rand::{Rng as _, thread_rng};

use crate::deployment::{Deployment, Node, alice, drive};
use crate::node::Deadlines;
use crate::{finds, search};

/// Two callers of each node, of which one can be gone before its result.
async fn callers(nodes: &[Node]) {
    let callers: Vec<_> =
        nodes.iter().flat_map(|node| [node.token(), node.token_or_drop()]).map(|caller| spawn(caller)).collect();
    for caller in callers {
        match caller.await.expect("a caller does not panic") {
            None | Some(Ok(_) | Err(TokenError::Unavailable { .. })) => {}
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

async fn refresh_once(leases: fn(StorePorts) -> StorePorts) {
    let deployment = Deployment::expired(Reuse::Strict, Deadlines::AreMet).await;
    let nodes =
        [deployment.node_with(leases(deployment.store())).await, deployment.node_with(leases(deployment.store())).await];
    callers(&nodes).await;
    assert_eq!((deployment.provider.count(Operation::Refresh), deployment.provider.reused()), (1, 0));
    let [node, _] = nodes;
    node.token().await.expect("the node lives").expect("the grant is not lost");
}

#[test]
fn r36_the_callers_of_two_nodes_refresh_once() {
    search(|| block_on(refresh_once(|store| store)));
}

/// Gives a lease to each attempt.
struct WithoutLeases(Arc<dyn AuthorizationStore>);

#[async_trait]
impl RefreshLeases for WithoutLeases {
    async fn take_lease(&self, request: LeaseRequest) -> Result<Lease, StoreError> {
        let grant = self.0.find(request.id).await?;
        Ok(grant.map_or(Lease::NotFound, |grant| Lease::Taken { grant: Box::new(grant), was_in_doubt: false }))
    }

    async fn fail_attempt(
        &self,
        _: AuthorizationId,
        _: [u8; 16],
        _: FailedAttempt,
        _: Vec<AuditEvent>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn without_leases_the_search_finds_a_second_refresh() {
    let without = |store: StorePorts| StorePorts { leases: Arc::new(WithoutLeases(store.authorizations.clone())), ..store };
    assert!(finds(move || block_on(refresh_once(without))));
}

/// Two nodes, and a caller of each that has begun to wait for the token.
async fn waiting(deployment: &Deployment) -> ([Node; 2], Vec<JoinHandle<Option<Result<IssuedAccessToken, TokenError>>>>) {
    let nodes = [deployment.node().await, deployment.node().await];
    let callers = nodes.iter().map(|node| spawn(node.token())).collect();
    (nodes, callers)
}

/// One node disconnects while the callers of both refresh.
#[test]
fn r41_after_a_disconnect_nothing_is_valid_at_the_provider() {
    search(|| {
        block_on(async {
            let deployment = Deployment::expired(Reuse::Strict, Deadlines::AreMet).await;
            let (nodes, waiting) = waiting(&deployment).await;
            let other = nodes[1].connections.clone();
            let disconnect = async move { other.disconnect(&alice(), &drive(), None).await };
            let disconnected = spawn(nodes[1].process.run(disconnect));
            disconnected.await.expect("no panic").expect("the node lives").expect("the connection is ended");
            for caller in waiting {
                drop(caller.await.expect("a caller does not panic"));
            }
            deployment.revoke_all(&nodes[0]).await;
            // A disconnect that did not wait for the refresh presents its token once more, which can end the family as well.
            assert_eq!(deployment.provider.live_families(), Vec::<String>::new());
            let refused = nodes[0].token().await.expect("the node lives");
            assert!(matches!(refused, Err(TokenError::AuthorizationRequired { .. })), "nothing is issued");
        });
    });
}

/// One node ends at an arbitrary point of its refresh, and requests are cut off. The provider accepts the token used last again, so
/// that a lost response is no lost grant.
#[test]
fn r37_a_node_that_ends_in_the_middle_loses_no_grant() {
    search(|| {
        block_on(async {
            let deployment = Deployment::expired(Reuse::Grace, Deadlines::CanPass).await;
            let (nodes, waiting) = waiting(&deployment).await;
            for _ in 0..thread_rng().gen_range(0..60) {
                shuttle::future::yield_now().await;
            }
            nodes[0].process.kill();
            for caller in waiting {
                drop(caller.await.expect("a caller does not panic"));
            }
            let mut attempts = 0;
            while nodes[1].token().await.expect("the node lives").is_err() {
                attempts += 1;
                assert!(attempts < 50, "the grant is lost");
                deployment.clock.advance(std::time::Duration::from_secs(20));
            }
            assert_eq!(deployment.provider.live_families().len(), 1);
        });
    });
}

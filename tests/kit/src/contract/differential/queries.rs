//! Comparison of all queries.

use grantry_domain::authorization::StateKind;
use grantry_domain::identity::{SpaceId, UserId};
use grantry_domain::ports::{AuthorizationFilter, KeyId};

use super::pair::{NAMES, Pair, SPACES, USERS};
use crate::contract::Node;
use crate::doubles::fixtures;

impl Pair {
    /// Compares the results of all queries, and checks that access token views contain exactly the grants of their user.
    pub(super) async fn compare_queries(&self) {
        let users = USERS.map(fixtures::user);
        for (connector, _) in &self.connectors {
            let (key, incarnation) = (&connector.key, connector.incarnation);
            self.both(async |node: Node| node.connectors.get(key).await).await;
            self.both(async |node: Node| node.queries.count_connected_users(incarnation).await).await;
            for user in &users {
                for name in [None].into_iter().chain(NAMES.map(Some)) {
                    let connection = name.map(fixtures::connection);
                    let view = self
                        .both(async |node: Node| node.queries.access_token_view(key, user, connection.clone()).await)
                        .await;
                    for grant in view.into_iter().flat_map(|view| view.grants) {
                        assert_eq!(grant.value.state().kind(), StateKind::Authorized);
                        assert_eq!(grant.value.owner().user, *user);
                        assert!(connection.as_ref().is_none_or(|name| grant.value.owner().connection == *name));
                    }
                }
            }
        }
        for space in SPACES.map(fixtures::space) {
            self.both(async |node: Node| node.connectors.list(&space).await).await;
            for user in &users {
                self.both(async |node: Node| node.queries.statuses(&space, None, user).await).await;
                self.compare_lists(user, &space).await;
            }
        }
        for key in &self.secrets {
            self.both(async |node: Node| node.connectors.client_secret(*key).await).await;
        }
        for id in self.records.keys() {
            let state = fixtures::state_hash(*id);
            self.both(async |node: Node| node.authorizations.find_by_state(state).await).await;
        }
        self.both(async |node: Node| node.housekeeping.grant_holders(None, 100).await).await;
        self.both(async |node: Node| {
            let mut usage: Vec<(KeyId, u64)> = node.housekeeping.key_usage().await?;
            usage.retain(|(_, count)| *count > 0);
            usage.sort_unstable();
            Ok(usage)
        })
        .await;
        let soon = self.now().plus(fixtures::ACCESS_TTL);
        let today = self.now().day();
        self.both(async |node: Node| node.housekeeping.due_for_refresh(today, soon, 100).await).await;
    }

    async fn compare_lists(&self, user: &UserId, space: &SpaceId) {
        let filter = AuthorizationFilter { user: Some(user.clone()), ..AuthorizationFilter::default() };
        let first = self.both(async |node: Node| node.queries.list(space, filter.clone(), None, 2).await).await;
        if let Some(next) = first.next {
            self.both(async |node: Node| node.queries.list(space, filter.clone(), Some(next), 2).await).await;
        }
    }
}

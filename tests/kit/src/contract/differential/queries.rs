//! Comparing everything that can be read.

use grantry_domain::authorization::StateKind;
use grantry_domain::identity::{SpaceId, UserId};
use grantry_domain::ports::{AuthorizationFilter, KeyId};

use super::pair::{Pair, SPACES, USERS};
use crate::contract::Node;
use crate::doubles::fixtures;

impl Pair {
    /// Compares hand-outs, statuses, lists, counts and secrets, and that hand-outs show exactly what is authorized.
    pub(super) async fn compare_views(&self) {
        let users = USERS.map(fixtures::user);
        for (connector, _) in &self.connectors {
            let (key, incarnation) = (&connector.key, connector.incarnation);
            self.both(async |node: Node| node.connectors.get(key).await).await;
            self.both(async |node: Node| node.connectors.count_grants(incarnation).await).await;
            for user in &users {
                let view = self.both(async |node: Node| node.authorizations.access_token_view(key, user).await).await;
                let granted = view.and_then(|view| view.grant);
                assert!(granted.is_none_or(|grant| grant.state == StateKind::Authorized && grant.owner.user == *user));
            }
        }
        for space in SPACES.map(fixtures::space) {
            self.both(async |node: Node| node.connectors.list(&space).await).await;
            for user in &users {
                self.both(async |node: Node| node.authorizations.statuses(&space, None, user).await).await;
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
        self.both(async |node: Node| node.authorizations.grant_holders(None, 100).await).await;
        self.both(async |node: Node| {
            let mut usage: Vec<(KeyId, u64)> = node.authorizations.key_usage().await?;
            usage.retain(|(_, count)| *count > 0);
            usage.sort_unstable();
            Ok(usage)
        })
        .await;
        let soon = self.now().plus(fixtures::ACCESS_TTL);
        let today = self.now().day();
        self.both(async |node: Node| node.authorizations.due_for_refresh(today, soon, 100).await).await;
    }

    async fn compare_lists(&self, user: &UserId, space: &SpaceId) {
        let filter = AuthorizationFilter { user: Some(user.clone()), ..AuthorizationFilter::default() };
        let first = self.both(async |node: Node| node.authorizations.list(space, filter.clone(), None, 2).await).await;
        if let Some(next) = first.next {
            self.both(async |node: Node| node.authorizations.list(space, filter.clone(), Some(next), 2).await).await;
        }
    }
}

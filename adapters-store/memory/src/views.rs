//! What is read: hand-outs, statuses, lists, counts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use grantry_domain::authorization::{AuthorizationId, AuthorizationRecord, Envelope};
use grantry_domain::connector::{Connector, ConnectorId, ConnectorKey, Incarnation};
use grantry_domain::identity::{SpaceId, UserId};
use grantry_domain::ports::{AccessTokenView, AuthorizationFilter, AuthorizationPage, KeyId, StatusRow};
use grantry_domain::time::Timestamp;

use crate::data::{Data, Row};

impl Data {
    pub(crate) fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
        now: Timestamp,
    ) -> Option<AccessTokenView> {
        let connector = self.connectors.get(connector)?.clone();
        let grant = self.grant_of(connector.incarnation, user);
        Some(AccessTokenView { connector, grant, now })
    }

    pub(crate) fn statuses(
        &self,
        space: &SpaceId,
        only: Option<&ConnectorId>,
        user: &UserId,
        now: Timestamp,
    ) -> Vec<StatusRow> {
        let connectors = self.connectors_of(space).into_iter();
        let connectors = connectors.filter(|connector| only.is_none_or(|only| connector.key.id == *only));
        connectors.map(|connector| self.status_of(connector, user, now)).collect()
    }

    fn status_of(&self, connector: Connector, user: &UserId, now: Timestamp) -> StatusRow {
        let rows = || self.rows_of(connector.incarnation, user);
        let grant = self.grant_of(connector.incarnation, user);
        let former = rows().map(Row::to_record).filter(|record| grant.is_none() && record.authorized_at.is_some());
        let former = former.max_by_key(|record| (record.authorized_at, record.id));
        let pending = rows().filter(|row| row.is_running_flow(now)).last().map(Row::to_record);
        StatusRow { connector, grant, former, pending }
    }

    /// The connectors of a space, by name, then by id.
    pub(crate) fn connectors_of(&self, space: &SpaceId) -> Vec<Connector> {
        let in_space = self.connectors.values().filter(|connector| connector.key.space == *space);
        let mut found: Vec<_> = in_space.cloned().collect();
        found.sort_by(|left, right| (left.name.as_str(), &left.key.id).cmp(&(right.name.as_str(), &right.key.id)));
        found
    }

    pub(crate) fn list(
        &self,
        space: &SpaceId,
        filter: &AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> AuthorizationPage {
        let older = (Bound::Unbounded, after.map_or(Bound::Unbounded, Bound::Excluded));
        let wanted = |record: &AuthorizationRecord| {
            record.authorized_at.is_some()
                && record.owner.space == *space
                && filter.connector.as_ref().is_none_or(|connector| record.owner.connector == *connector)
                && filter.user.as_ref().is_none_or(|user| record.owner.user == *user)
                && filter.state.is_none_or(|state| record.state == state)
        };
        let mut records = self.rows.range(older).rev().map(|(_, row)| row.to_record()).filter(wanted);
        let page: Vec<_> = records.by_ref().take(limit as usize).collect();
        let next = records.next().and(page.last()).map(|last| last.id);
        AuthorizationPage { records: page, next }
    }

    pub(crate) fn grant_holders(&self, after: Option<&(UserId, SpaceId)>, limit: u32) -> Vec<(UserId, SpaceId)> {
        let grants = self.rows.values().filter(|row| row.is_authorized()).map(|row| row.grant.owner());
        let pairs: BTreeSet<_> = grants.map(|owner| (owner.user.clone(), owner.space.clone())).collect();
        let rest = pairs.into_iter().filter(|pair| after.is_none_or(|after| pair > after));
        rest.take(limit as usize).collect()
    }

    pub(crate) fn count_grants(&self, incarnation: Incarnation) -> u64 {
        let of_connector = |row: &&Row| row.grant.owner().incarnation == incarnation && row.is_authorized();
        self.rows.values().filter(of_connector).count() as u64
    }

    pub(crate) fn key_usage(&self) -> Vec<(KeyId, u64)> {
        let records = self.rows.values().filter_map(|row| row.to_record().sealed);
        let orphans = self.orphans.values().map(|orphan| orphan.tokens.sealed.clone());
        let secrets = self.secrets.values().map(|secret| secret.record.sealed.clone());
        let mut usage = BTreeMap::new();
        for key in records.chain(orphans).chain(secrets).filter_map(|sealed: Envelope| sealed.key_id()) {
            *usage.entry(KeyId(key)).or_default() += 1;
        }
        usage.into_iter().collect()
    }

    fn grant_of(&self, incarnation: Incarnation, user: &UserId) -> Option<AuthorizationRecord> {
        self.rows_of(incarnation, user).find(|row| row.is_authorized()).map(Row::to_record)
    }

    /// A user's rows for a connector, oldest first. The incarnation decides, so that rows of an earlier connector of the same
    /// id never match (R54).
    fn rows_of(&self, incarnation: Incarnation, user: &UserId) -> impl Iterator<Item = &Row> {
        self.rows.values().filter(move |row| {
            let owner = row.grant.owner();
            owner.incarnation == incarnation && owner.user == *user
        })
    }
}

//! A store of a third party: [`MapStore`] keeps its tables in maps behind a mutex, which is the transaction. It uses no other
//! store, and contains every rule that a store has to follow. Its data ends with the process.
//!
//! `docs/embedding.md` explains it. `app/tests/custom_store.rs` proves with the contract suite of the test kit that it is a
//! store; a store with a database is proven in the same way. `cargo run -p grantry --example custom_store` writes one event.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{self, Write as _};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use grantry::store::AppStore;
use grantry_domain::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, AuthorizationRecord, ConnectionView, ExpiredCause, FlowCookieHash,
    INTERRUPTED_AFTER, Input, RefreshState, Revocation, RevocationRecord, StateHash, StateKind, TerminalCause,
    TerminationCause,
};
use grantry_domain::connector::{Connector, ConnectorId, ConnectorKey, Epoch, Incarnation};
use grantry_domain::identity::{Actor, ConnectionName, SpaceId, UserId};
use grantry_domain::ports::{
    AccessTokenView, Anomaly, AuditEvent, AuditKind, AuditOutbox, AuthorizationFilter, AuthorizationPage,
    AuthorizationQueries, AuthorizationStore, CallbackKey, ClientSecretKey, ClientSecretRecord, Clock, CommitOutcome,
    ConnectorDiagnostics, ConnectorFailure, ConnectorStore, ConsumeOutcome, Created, Diagnostics, EditEffect,
    ExpectedVersion, FailedAttempt, Housekeeping, InsertOutcome, KeyId, Lease, LeaseRequest, LeftOut, Obsolete,
    PendingLimits, RECENT_ANOMALIES, RecordedEvent, RefreshLeases, RevocationJob, RevocationQueue, RevocationUpdate, RowTag,
    Session, SessionHash, SessionStore, StatusRow, StoreClock, StoreError, StoredUser, SweepPolicy, SweepReport,
    TerminationReport, TerminationRequest, TerminationScope, UnclaimedTokens, Updated, UserStore, Versioned, WriteOutcome,
};
use grantry_domain::secret::equal_in_constant_time;
use grantry_domain::time::Timestamp;
use grantry_runtime::SystemClock;

type Audit = Vec<AuditEvent>;
type Found = Option<Versioned<Authorization>>;
type Secret = Option<ClientSecretRecord>;
type Holder = (UserId, SpaceId);
/// What a sweep does with a row: an input, or with none the removal; and the count of the report.
type Sweep = (Option<fn() -> Input>, fn(&mut SweepReport) -> &mut u64);

/// The tables.
#[derive(Default)]
struct Tables {
    rows: BTreeMap<AuthorizationId, Row>,
    unclaimed: BTreeMap<AuthorizationId, Unclaimed>,
    connectors: BTreeMap<ConnectorKey, Connector>,
    /// Client secrets, and since when their connector has a newer one.
    secrets: BTreeMap<ClientSecretKey, (ClientSecretRecord, Option<Timestamp>)>,
    defaults: BTreeMap<(Incarnation, UserId), ConnectionName>,
    tombstones: BTreeMap<UserId, Timestamp>,
    sessions: BTreeMap<SessionHash, Session>,
    diagnostics: BTreeMap<Incarnation, Diagnostics>,
    events: Vec<RecordedEvent>,
    last_event: u64,
}

/// The worker that has claimed a revocation, and the end of its claim.
type Claim = ([u8; 16], Timestamp);

/// An authorization, the key of its callback, which outlives the flow, and the claim on its revocation.
struct Row {
    value: Authorization,
    callback: Option<(StateHash, FlowCookieHash)>,
    claim: Option<Claim>,
}

/// Tokens without a flow, when their revocation is due, and the claim on it.
struct Unclaimed {
    tokens: UnclaimedTokens,
    due_at: Timestamp,
    claim: Option<Claim>,
}

impl Row {
    fn owner(&self) -> &AuthorizationKey {
        self.value.owner()
    }

    fn stored(&self) -> Versioned<Authorization> {
        Versioned::stored(self.value.clone())
    }

    fn is_grant(&self) -> bool {
        self.value.as_grant().is_some()
    }

    fn is_running(&self, now: Timestamp) -> bool {
        self.value.is_flow() && !self.value.is_due(now)
    }

    fn is_unconsumed(&self) -> bool {
        self.value.is_flow() && self.value.to_record().consumed_at.is_none()
    }

    fn is_of_connection(&self, of: &AuthorizationKey) -> bool {
        let owner = self.owner();
        owner.incarnation == of.incarnation && owner.user == of.user && owner.connection == of.connection
    }

    fn pending_since(&self) -> Option<(Timestamp, Timestamp)> {
        let end = self.value.termination()?;
        Some((end.pending_revocation()?.due_at, end.since))
    }

    fn set(&mut self, next: Authorization) {
        let record = next.to_record();
        self.callback = record.state_hash.zip(record.flow_cookie_hash).or(self.callback);
        self.value = next;
    }

    /// The transition function of the domain decides. Returns false, without a change, if the state refuses the input.
    fn apply(&mut self, input: Input, now: Timestamp) -> bool {
        self.value.clone().on(input, now).map(|next| self.value = next).is_ok()
    }

    /// Changes columns that the transition function does not decide on.
    fn amend(&mut self, change: impl FnOnce(&mut AuthorizationRecord)) {
        let mut record = self.value.to_record();
        change(&mut record);
        self.value = Authorization::restore(record).expect("the change keeps the rules of the record");
    }

    /// What a sweep does with the row, if anything.
    fn sweep(&self, policy: SweepPolicy, now: Timestamp) -> Option<Sweep> {
        if let Some(end) = self.value.termination() {
            let retention = match end.revocation() {
                None => policy.ended_flows,
                Some(Revocation::Completed(_)) => policy.ended_grants,
                Some(Revocation::Pending(_)) => return None,
            };
            return (now >= end.since.plus(retention)).then_some((None, |report| &mut report.removed));
        }
        let unused = |day| day < now.minus(policy.unused_grants).day();
        match self.value.as_grant() {
            Some(_) if self.value.is_due(now) => Some((Some(|| Input::DeadlinePassed), |report| &mut report.expired)),
            Some(grant) if unused(grant.idle_since_day()) => {
                let input = || Input::Terminated { cause: TerminationCause::Unused, revoke: true };
                Some((Some(input), |report| &mut report.unused))
            }
            None if self.value.is_due(now) && self.is_unconsumed() => {
                Some((Some(|| Input::DeadlinePassed), |report| &mut report.timed_out))
            }
            None if self.value.is_due(now) => Some((Some(|| Input::DeadlinePassed), |report| &mut report.interrupted)),
            Some(_) | None => None,
        }
    }
}

impl Tables {
    fn log(&mut self, events: impl IntoIterator<Item = AuditEvent>) {
        for event in events {
            self.last_event += 1;
            self.events.push(RecordedEvent { sequence: self.last_event, event });
        }
    }

    fn ids(&self, matches: impl Fn(&Row) -> bool) -> Vec<AuthorizationId> {
        self.rows.values().filter(|row| matches(row)).map(|row| row.value.id()).collect()
    }

    fn rows_of(&self, incarnation: Incarnation, user: &UserId) -> impl Iterator<Item = &Row> {
        self.rows.values().filter(move |row| row.owner().incarnation == incarnation && row.owner().user == *user)
    }

    fn connectors_of(&self, space: &SpaceId) -> Vec<&Connector> {
        let mut found: Vec<_> = self.connectors.values().filter(|connector| connector.key.space == *space).collect();
        found.sort_by_key(|connector| (connector.name.as_str(), &connector.key.id));
        found
    }

    /// Ends rows, with an audit event for each. Rows whose state refuses the input do not change.
    fn end(
        &mut self,
        ids: Vec<AuthorizationId>,
        input: impl Fn() -> Input,
        actor: &Actor,
        now: Timestamp,
    ) -> TerminationReport {
        let mut report = TerminationReport::default();
        for id in ids {
            let Some(row) = self.rows.get_mut(&id) else { continue };
            let before = row.value.state().kind();
            if before == StateKind::Revoked || !row.apply(input(), now) {
                continue;
            }
            row.value = row.value.clone().ended_by(actor);
            match before {
                StateKind::Initiated | StateKind::AwaitingCallback => report.flows += 1,
                StateKind::Authorized => {
                    report.grants += 1;
                    report.queued += u64::from(row.pending_since().is_some());
                }
                StateKind::Expired => report.former += 1,
                StateKind::Revoked => {}
            }
            let event = AuditEvent::of_termination(&row.value, actor.clone(), now);
            self.log([event]);
        }
        report
    }

    /// Ends what a newer flow or grant of the same connection replaces.
    fn supersede(&mut self, ids: Vec<AuthorizationId>, user: UserId, revoke: bool, now: Timestamp) {
        let input = || Input::Terminated { cause: TerminationCause::Superseded, revoke };
        self.end(ids, input, &Actor::Person(user), now);
    }

    fn obsolete(&self, owner: &AuthorizationKey) -> Option<Obsolete> {
        match self.connectors.get(&owner.connector_key()) {
            Some(live) if live.incarnation != owner.incarnation => Some(Obsolete::ConnectorGone),
            Some(live) if live.epoch != owner.epoch => Some(Obsolete::ConnectorChanged),
            Some(_) => self.tombstones.contains_key(&owner.user).then_some(Obsolete::UserGone),
            None => Some(Obsolete::ConnectorGone),
        }
    }

    fn insert_flow(&mut self, flow: Authorization, limits: PendingLimits, audit: Audit, now: Timestamp) -> InsertOutcome {
        let owner = flow.owner().clone();
        if let Some(obsolete) = self.obsolete(&owner) {
            return InsertOutcome::Obsolete(obsolete);
        }
        let older = |row: &Row| row.is_unconsumed() && row.is_of_connection(&owner);
        let running = self.ids(|row| row.is_running(now) && !older(row));
        let of_user = running.iter().filter(|id| self.rows[*id].owner().user == owner.user).count();
        if of_user >= limits.per_user as usize || running.len() >= limits.deployment as usize {
            return InsertOutcome::TooManyPending;
        }
        self.supersede(self.ids(older), owner.user.clone(), false, now);
        let mut row = Row { value: flow.clone(), callback: None, claim: None };
        row.set(flow);
        self.rows.insert(row.value.id(), row);
        self.log(audit);
        InsertOutcome::Inserted
    }

    fn replace(&mut self, next: Authorization, expected: ExpectedVersion, audit: Audit) -> WriteOutcome {
        let Some(row) = self.rows.get_mut(&next.id()) else { return WriteOutcome::NotFound };
        let stored = row.stored();
        if stored.version != expected {
            return WriteOutcome::Stale(Box::new(stored));
        }
        row.set(next);
        // Recorded beside the version, so `next` may have been read before it.
        let day = stored.value.to_record().last_used_day;
        row.amend(|record| record.last_used_day = record.last_used_day.map(|next| day.map_or(next, |day| day.max(next))));
        self.log(audit);
        WriteOutcome::Written
    }

    fn consume(&mut self, key: &CallbackKey, audit: Audit, now: Timestamp) -> ConsumeOutcome {
        let found = self.rows.values_mut().find(|row| row.callback.is_some_and(|(state, _)| state == key.state_hash));
        let Some((row, (_, cookie))) = found.and_then(|row| row.callback.map(|callback| (row, callback))) else {
            return ConsumeOutcome::NotFound;
        };
        let stored = Box::new(row.value.clone());
        if stored.owner().user != key.user {
            return ConsumeOutcome::UserMismatch(stored);
        }
        if !key.flow_cookies.iter().any(|given| equal_in_constant_time(&given.0, &cookie.0)) {
            return ConsumeOutcome::BrowserMismatch(stored);
        }
        let timed_out = TerminalCause::Expired(ExpiredCause::FlowTimedOut);
        if stored.clone().at(now).terminal_cause() == Some(timed_out) {
            return ConsumeOutcome::Expired(stored);
        }
        let record = stored.to_record();
        match record.sealed.filter(|_| record.state == StateKind::AwaitingCallback) {
            Some(secrets) if row.apply(Input::CallbackConsumed, now) => {
                let flow = Box::new(row.stored());
                self.log(audit);
                ConsumeOutcome::Consumed { flow, secrets }
            }
            Some(_) | None => ConsumeOutcome::AlreadyUsed(stored),
        }
    }

    fn commit_grant(&mut self, grant: Authorization, revoke: bool, audit: Audit, now: Timestamp) -> CommitOutcome {
        let owner = grant.owner().clone();
        if let Some(obsolete) = self.obsolete(&owner) {
            return obsolete.into();
        }
        if !self.rows.get(&grant.id()).is_some_and(|row| row.is_running(now) && !row.is_unconsumed()) {
            return CommitOutcome::FlowEnded;
        }
        self.supersede(self.ids(|row| row.is_grant() && row.is_of_connection(&owner)), owner.user.clone(), revoke, now);
        if let Some(row) = self.rows.get_mut(&grant.id()) {
            row.set(grant);
        }
        self.log(audit);
        CommitOutcome::Committed
    }

    fn terminate(&mut self, scope: &TerminationScope, request: &TerminationRequest, now: Timestamp) -> TerminationReport {
        if let TerminationScope::User(user) = scope {
            if let Entry::Vacant(tombstone) = self.tombstones.entry(user.clone()) {
                tombstone.insert(now);
                self.log([AuditEvent::new(AuditKind::UserDeprovisioned, request.actor.clone(), now).of_user(user)]);
            }
            self.defaults.retain(|(_, of), _| of != user);
        }
        let ids = self.ids(|row| match scope {
            TerminationScope::One(id) => row.value.id() == *id,
            TerminationScope::Connection { connector, user, connection } => {
                let owner = row.owner();
                owner.connector_key() == *connector && owner.user == *user && owner.connection == *connection
            }
            TerminationScope::User(user) => row.owner().user == *user,
            TerminationScope::UserSpace { user, space } => row.owner().user == *user && row.owner().space == *space,
            TerminationScope::Space(space) => row.owner().space == *space,
        });
        self.end(ids, || Input::Terminated { cause: request.cause, revoke: true }, &request.actor, now)
    }

    fn choose(&mut self, incarnation: Incarnation, user: UserId, connection: Option<ConnectionName>, audit: Audit) -> bool {
        let has_grant = |name| self.rows_of(incarnation, &user).any(|row| row.is_grant() && row.owner().connection == name);
        match connection {
            Some(name) if !has_grant(name.clone()) => return false,
            Some(name) => drop(self.defaults.insert((incarnation, user), name)),
            None => drop(self.defaults.remove(&(incarnation, user))),
        }
        self.log(audit);
        true
    }

    fn access_token_view(
        &self,
        connector: &ConnectorKey,
        user: &UserId,
        connection: Option<&ConnectionName>,
        now: Timestamp,
    ) -> Option<AccessTokenView> {
        let connector = self.connectors.get(connector)?.clone();
        let rows: Vec<_> = self.rows_of(connector.incarnation, user).collect();
        let has_grant = |of: &Row| rows.iter().any(|row| row.is_grant() && row.owner().connection == of.owner().connection);
        let has_expired_connections =
            connection.is_none() && rows.iter().any(|row| is_expired_grant(row) && !has_grant(row));
        let is_asked = |row: &&&Row| row.is_grant() && connection.is_none_or(|name| row.owner().connection == *name);
        let mut grants: Vec<_> = rows.iter().filter(is_asked).map(|row| row.stored()).collect();
        grants.sort_by(|left, right| left.value.owner().connection.cmp(&right.value.owner().connection));
        let default_connection = self.defaults.get(&(connector.incarnation, user.clone())).cloned();
        Some(AccessTokenView { connector, grants, default_connection, has_expired_connections, now })
    }

    fn status(&self, connector: &Connector, user: &UserId, now: Timestamp) -> StatusRow {
        let names: BTreeSet<_> = self.rows_of(connector.incarnation, user).map(|row| &row.owner().connection).collect();
        let connections = names.into_iter().filter_map(|name| {
            let rows: Vec<_> =
                self.rows_of(connector.incarnation, user).filter(|row| row.owner().connection == *name).collect();
            let consented = |row: &&&Row| row.value.authorized_at();
            let grant = rows.iter().find(|row| row.is_grant());
            // Every instant is later than none.
            let newer = |row: &&&Row| !row.is_grant() && consented(row) > grant.and_then(|grant| consented(&grant));
            let former = rows.iter().filter(newer).max_by_key(|row| (consented(row), row.value.id()));
            let pending = rows.iter().rfind(|row| row.is_running(now));
            grant.or(former).or(pending)?;
            let value = |row: Option<&&Row>| row.map(|row| row.value.clone());
            Some(ConnectionView { name: name.clone(), grant: value(grant), former: value(former), pending: value(pending) })
        });
        let connections = connections.collect();
        let diagnostics = self.diagnostics.get(&connector.incarnation);
        let client_refused_since = diagnostics.and_then(|found| found.client_refused_since(connector.revision));
        let default_connection = self.defaults.get(&(connector.incarnation, user.clone())).cloned();
        StatusRow { connector: connector.clone(), client_refused_since, connections, default_connection }
    }

    fn list(
        &self,
        space: &SpaceId,
        filter: &AuthorizationFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> AuthorizationPage {
        let rows = self.rows.range((Unbounded, after.map_or(Unbounded, Excluded))).rev().map(|(_, row)| &row.value);
        let mut found = rows.filter(|value| {
            let owner = value.owner();
            value.authorized_at().is_some()
                && owner.space == *space
                && filter.connector.as_ref().is_none_or(|connector| owner.connector == *connector)
                && filter.user.as_ref().is_none_or(|user| owner.user == *user)
                && filter.state.is_none_or(|state| value.state().kind() == state)
        });
        let authorizations: Vec<_> = found.by_ref().take(limit as usize).cloned().collect();
        let next = found.next().and(authorizations.last()).map(Authorization::id);
        AuthorizationPage { authorizations, next }
    }

    fn take_lease(&mut self, request: LeaseRequest, now: Timestamp) -> Lease {
        let Some(row) = self.rows.get_mut(&request.id) else { return Lease::NotFound };
        let stored = Box::new(row.stored());
        let Some(grant) = row.value.as_grant().filter(|grant| grant.tokens().revision == request.revision) else {
            return Lease::Stale(stored);
        };
        // A lease that ends too late was written by a clock that has been set back.
        let held = grant.refresh().held_until.filter(|until| now < *until);
        let implausible = held.is_some_and(|until| until > now.plus(request.longest));
        if let Some(until) = held.filter(|_| !implausible) {
            return Lease::Held { until, grant: stored };
        }
        let was_in_doubt = implausible || grant.refresh().in_doubt_since.is_some();
        let audit = was_in_doubt.then(|| AuditEvent::of_retry(&row.value, now));
        row.amend(|record| {
            record.refresh.held_until = Some(now.plus(request.length));
            record.refresh.holder = Some(request.holder);
            record.refresh.in_doubt_since.get_or_insert(now);
        });
        let grant = Box::new(row.stored());
        self.log(audit);
        Lease::Taken { grant, was_in_doubt }
    }

    fn fail_attempt(&mut self, id: AuthorizationId, holder: [u8; 16], attempt: FailedAttempt, audit: Audit, now: Timestamp) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        if row.value.as_grant().is_none_or(|grant| grant.refresh().holder != Some(holder)) {
            return;
        }
        let counts = attempt.refusal.is_some_and(|refusal| refusal.counts);
        row.amend(|record| {
            let before = std::mem::take(&mut record.refresh);
            record.refresh = RefreshState {
                held_until: Some(attempt.not_before),
                holder: None,
                in_doubt_since: before.in_doubt_since.filter(|_| !attempt.outcome_known),
                failed_attempts: before.failed_attempts.saturating_add(1),
                failing_since: before.failing_since.or(Some(now)),
                refusals: before.refusals.saturating_add(u32::from(counts)),
                refused_since: before.refused_since.or(counts.then_some(now)),
                last_refusal: attempt.refusal.map(|refusal| refusal.http_status),
            };
        });
        self.log(audit);
    }

    fn claim(
        &mut self,
        worker: [u8; 16],
        length: Duration,
        longest: Duration,
        left_out: &LeftOut,
        now: Timestamp,
    ) -> Option<RevocationJob> {
        let until = now.plus(length);
        let free = |claim: Option<Claim>| claim.is_none_or(|(_, held)| held <= now || held > until);
        let due = |at: Timestamp| at <= now || at > now.plus(longest);
        let accepts = |owner: &AuthorizationKey, since: Timestamp| {
            since <= now.minus(longest) || !left_out.digests.contains(&owner.digest) && !left_out.users.contains(&owner.user)
        };
        let former = self.rows.values_mut().find(|row| {
            free(row.claim) && row.pending_since().is_some_and(|(at, since)| due(at) && accepts(row.owner(), since))
        });
        if let Some(row) = former {
            row.claim = Some((worker, until));
            return Some(RevocationJob::FormerGrant(Box::new(row.value.clone())));
        }
        let queued = self.unclaimed.values_mut().find(|queued| {
            let tokens = &queued.tokens;
            free(queued.claim) && due(queued.due_at) && accepts(&tokens.owner, tokens.queued_at)
        })?;
        queued.claim = Some((worker, until));
        Some(RevocationJob::Unclaimed(Box::new(queued.tokens.clone())))
    }

    fn update_revocation(
        &mut self,
        job: AuthorizationId,
        worker: [u8; 16],
        update: RevocationUpdate,
        audit: Audit,
        now: Timestamp,
    ) -> bool {
        let claim = self.unclaimed.get(&job).map(|queued| queued.claim);
        let claim = claim.or_else(|| self.rows.get(&job).map(|row| row.claim)).flatten();
        if claim.is_none_or(|(holder, _)| holder != worker) {
            return false;
        }
        if let Entry::Occupied(mut queued) = self.unclaimed.entry(job) {
            let Unclaimed { tokens, due_at, claim } = queued.get_mut();
            match update {
                RevocationUpdate::Completed(_) => drop(queued.remove()),
                RevocationUpdate::Retry { at } => {
                    (*due_at, *claim, tokens.attempts) = (at, None, tokens.attempts.saturating_add(1));
                }
                RevocationUpdate::Deferred { at } => (*due_at, *claim) = (at, None),
                RevocationUpdate::Refreshed { sealed, .. } => tokens.sealed = sealed,
            }
        } else {
            let Some(row) = self.rows.get_mut(&job).filter(|row| row.pending_since().is_some()) else { return false };
            if matches!(update, RevocationUpdate::Retry { .. } | RevocationUpdate::Deferred { .. }) {
                row.claim = None;
            }
            if let RevocationUpdate::Completed(outcome) = update {
                row.apply(Input::RevocationCompleted(outcome), now);
            } else {
                row.amend(|record| amend_revocation(record, update));
            }
        }
        self.log(audit);
        self.destroy_secrets(now);
        true
    }

    fn sweep(&mut self, policy: SweepPolicy, now: Timestamp) -> SweepReport {
        let mut report = SweepReport::default();
        let mut room = policy.batch as usize;
        let due = self.rows.iter().filter_map(|(id, row)| Some((*id, row.sweep(policy, now)?)));
        for (id, (input, count)) in due.take(room).collect::<Vec<_>>() {
            match input {
                Some(input) => drop(self.end(vec![id], input, &Actor::System, now)),
                None => drop(self.rows.remove(&id)),
            }
            *count(&mut report) += 1;
            room -= 1;
        }
        for key in self.unneeded_secrets(now).into_iter().take(room) {
            self.secrets.remove(&key);
            report.secrets_destroyed += 1;
        }
        let more = self.rows.values().any(|row| row.sweep(policy, now).is_some());
        report.more = more || !self.unneeded_secrets(now).is_empty();
        report
    }

    fn due_for_refresh(&self, used_since_day: i64, before: Timestamp, limit: u32) -> Vec<Authorization> {
        let due = self.rows.values().filter_map(|row| {
            let grant = row.value.as_grant()?;
            let expiry = grant.tokens().expires_at.filter(|expiry| *expiry < before)?;
            (grant.tokens().refreshable && grant.idle_since_day() >= used_since_day).then_some((expiry, &row.value))
        });
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(expiry, value)| (*expiry, value.id()));
        due.into_iter().take(limit as usize).map(|(_, value)| value.clone()).collect()
    }

    fn key_usage(&self) -> BTreeMap<KeyId, u64> {
        let rows = self.rows.values().filter_map(|row| row.value.to_record().sealed);
        let unclaimed = self.unclaimed.values().map(|queued| queued.tokens.sealed.clone());
        let sealed = rows.chain(unclaimed).chain(self.secrets.values().map(|(secret, _)| secret.sealed.clone()));
        let tags = self.connectors.values().map(|connector| connector.tag.key_id());
        let mut usage = BTreeMap::new();
        for key in sealed.filter_map(|sealed| sealed.key_id()).chain(tags) {
            *usage.entry(KeyId(key)).or_default() += 1;
        }
        usage
    }

    fn create(&mut self, connector: Connector, secret: Secret, audit: Audit) -> Created {
        if self.connectors.contains_key(&connector.key) {
            return Created::Taken;
        }
        self.connectors.insert(connector.key.clone(), connector);
        self.store_secret(secret);
        self.log(audit);
        Created::Done
    }

    fn update(
        &mut self,
        (next, expected): (Connector, u64),
        secret: Secret,
        (effect, actor): (EditEffect, &Actor),
        audit: Audit,
        now: Timestamp,
    ) -> Updated {
        let live = self.connectors.get(&next.key).filter(|live| live.incarnation == next.incarnation);
        let Some(live) = live else { return Updated::NotFound };
        if live.revision != expected {
            return Updated::Conflict;
        }
        let ids = match effect {
            EditEffect::KeepGrants => Vec::new(),
            EditEffect::ExpireGrants => self.ids(|row| row.owner().incarnation == next.incarnation),
        };
        let ended_grants = self.end(ids, || Input::ConnectorChanged, actor, now).grants;
        self.store_secret(secret);
        self.supersede_secrets(next.incarnation, Some(next.epoch), now);
        self.connectors.insert(next.key.clone(), next);
        self.log(audit);
        self.destroy_secrets(now);
        Updated::Done { ended_grants }
    }

    fn delete(&mut self, key: &ConnectorKey, actor: &Actor, audit: Audit, now: Timestamp) -> Option<u64> {
        let live = self.connectors.remove(key)?.incarnation;
        let ids = self.ids(|row| row.owner().connector_key() == *key);
        let mut incarnations: BTreeSet<_> = ids.iter().map(|id| self.rows[id].owner().incarnation).collect();
        incarnations.insert(live);
        let input = || Input::Terminated { cause: TerminationCause::ConnectorDeleted, revoke: true };
        let ended = self.end(ids, input, actor, now);
        for incarnation in incarnations {
            self.defaults.retain(|(of, _), _| *of != incarnation);
            self.diagnostics.remove(&incarnation);
            self.supersede_secrets(incarnation, None, now);
        }
        self.log(audit);
        self.destroy_secrets(now);
        Some(ended.grants)
    }

    fn store_secret(&mut self, secret: Secret) {
        let Some(record) = secret else { return };
        let superseded = self.secrets.get(&record.key).and_then(|(_, superseded)| *superseded);
        self.secrets.insert(record.key, (record, superseded));
    }

    fn supersede_secrets(&mut self, of: Incarnation, present: Option<Epoch>, now: Timestamp) {
        for (key, (_, superseded)) in &mut self.secrets {
            if key.incarnation == of && Some(key.epoch) != present {
                superseded.get_or_insert(now);
            }
        }
    }

    /// Superseded secrets that no revocation needs, or that are a day old.
    fn unneeded_secrets(&self, now: Timestamp) -> Vec<ClientSecretKey> {
        let of = |owner: &AuthorizationKey| ClientSecretKey { incarnation: owner.incarnation, epoch: owner.epoch };
        // An exchange or a refresh in progress when the authorization ended may still bring tokens.
        let may_revoke = |row: &&Row| {
            let end = row.value.termination();
            end.is_none_or(|end| end.pending_revocation().is_some() || now < end.since.plus(INTERRUPTED_AFTER))
        };
        let rows = self.rows.values().filter(may_revoke).map(|row| of(row.owner()));
        let needed: BTreeSet<_> = rows.chain(self.unclaimed.values().map(|queued| of(&queued.tokens.owner))).collect();
        let is_old = |superseded: Timestamp| now >= superseded.plus(Duration::from_hours(24));
        let unneeded = self.secrets.iter().filter(|(key, (_, superseded))| {
            superseded.is_some_and(|superseded| is_old(superseded) || !needed.contains(key))
        });
        unneeded.map(|(key, _)| *key).collect()
    }

    fn destroy_secrets(&mut self, now: Timestamp) {
        for key in self.unneeded_secrets(now) {
            self.secrets.remove(&key);
        }
    }

    /// Diagnostics of a connector that exists.
    fn diagnose(&mut self, connector: Incarnation, change: impl FnOnce(&mut Diagnostics)) {
        if self.connectors.values().any(|live| live.incarnation == connector) {
            change(self.diagnostics.entry(connector).or_default());
        }
    }

    fn insert_session(&mut self, id: SessionHash, session: Session, at_most: u32) {
        let others = self.sessions.iter().filter(|(other, of)| of.user == session.user && **other != id);
        let mut others: Vec<_> = others.map(|(other, of)| (of.created_at, *other)).collect();
        others.sort_unstable();
        let excess = (others.len() + 1).saturating_sub(at_most as usize);
        for (_, other) in others.into_iter().take(excess) {
            self.sessions.remove(&other);
        }
        self.sessions.insert(id, session);
    }

    /// Users with a tombstone, a grant or a former grant.
    fn users(&self) -> BTreeMap<UserId, Option<Timestamp>> {
        let rows = self.rows.values().filter(|row| row.value.authorized_at().is_some());
        let mut users: BTreeMap<_, _> = rows.map(|row| (row.owner().user.clone(), None)).collect();
        users.extend(self.tombstones.iter().map(|(user, removed)| (user.clone(), Some(*removed))));
        users
    }
}

/// Whether it is a grant that expired.
fn is_expired_grant(row: &Row) -> bool {
    row.value.state().kind() == StateKind::Expired && row.value.authorized_at().is_some()
}

/// Updates a pending revocation that has not been completed.
fn amend_revocation(record: &mut AuthorizationRecord, update: RevocationUpdate) {
    let Some(RevocationRecord::Pending { in_doubt, due_at, attempts }) = &mut record.revocation else { return };
    match update {
        RevocationUpdate::Completed(_) => {}
        RevocationUpdate::Retry { at } => (*due_at, *attempts) = (at, attempts.saturating_add(1)),
        RevocationUpdate::Deferred { at } => *due_at = at,
        RevocationUpdate::Refreshed { sealed, revision } => {
            *in_doubt = false;
            (record.sealed, record.revision) = (Some(sealed), revision);
        }
    }
}

/// A store in memory. Clones share the data, like processes of one deployment.
#[derive(Clone)]
pub(crate) struct MapStore {
    clock: Arc<dyn Clock>,
    tables: Arc<Mutex<Tables>>,
}

impl MapStore {
    /// An empty store.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, tables: Arc::default() }
    }

    /// Runs a transaction. The clock is read under the lock, so that instants rise in the order of transactions.
    fn transact<T>(&self, work: impl FnOnce(&mut Tables, Timestamp) -> T) -> T {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        work(&mut tables, now)
    }
}

/// Implements ports: each method is one transaction.
macro_rules! ports {
    ($($port:ident { $($method:ident($($argument:ident: $type:ty),*) -> $result:ty = |$tables:pat_param, $now:pat_param| $work:expr;)* })*) => {$(
        #[async_trait]
        impl $port for MapStore {
            $(
                async fn $method(&self, $($argument: $type),*) -> Result<$result, StoreError> {
                    Ok(self.transact(|$tables, $now| $work))
                }
            )*
        }
    )*};
}

ports! {
    StoreClock {
        now() -> Timestamp = |_, now| now;
    }
    AuthorizationStore {
        insert_flow(flow: Authorization, limits: PendingLimits, audit: Audit) -> InsertOutcome =
            |tables, now| tables.insert_flow(flow, limits, audit, now);
        replace(next: Authorization, expected: ExpectedVersion, audit: Audit) -> WriteOutcome =
            |tables, _| tables.replace(next, expected, audit);
        consume(key: CallbackKey, audit: Audit) -> ConsumeOutcome = |tables, now| tables.consume(&key, audit, now);
        commit_grant(grant: Authorization, revoke_superseded: bool, audit: Audit) -> CommitOutcome =
            |tables, now| tables.commit_grant(grant, revoke_superseded, audit, now);
        find(id: AuthorizationId) -> Found = |tables, _| tables.rows.get(&id).map(Row::stored);
        find_by_state(state: StateHash) -> Found =
            |tables, _| tables.rows.values().find(|row| row.value.to_record().state_hash == Some(state)).map(Row::stored);
        terminate(scope: TerminationScope, request: TerminationRequest) -> TerminationReport =
            |tables, now| tables.terminate(&scope, &request, now);
        set_default_connection(connector: Incarnation, user: UserId, name: Option<ConnectionName>, audit: Audit) -> bool =
            |tables, _| tables.choose(connector, user, name, audit);
    }
    AuthorizationQueries {
        access_token_view(connector: &ConnectorKey, user: &UserId, name: Option<ConnectionName>) -> Option<AccessTokenView> =
            |tables, now| tables.access_token_view(connector, user, name.as_ref(), now);
        statuses(space: &SpaceId, only: Option<ConnectorId>, user: &UserId) -> Vec<StatusRow> = |tables, now| {
            let found = tables.connectors_of(space).into_iter();
            let found = found.filter(|connector| only.as_ref().is_none_or(|only| connector.key.id == *only));
            found.map(|connector| tables.status(connector, user, now)).collect()
        };
        list(space: &SpaceId, filter: AuthorizationFilter, after: Option<AuthorizationId>, limit: u32) -> AuthorizationPage =
            |tables, _| tables.list(space, &filter, after, limit);
        count_connected_users(of: Incarnation) -> u64 = |tables, _| {
            let grants = tables.rows.values().filter(|row| row.owner().incarnation == of && row.is_grant());
            grants.map(|row| &row.owner().user).collect::<BTreeSet<_>>().len() as u64
        };
    }
    RefreshLeases {
        take_lease(request: LeaseRequest) -> Lease = |tables, now| tables.take_lease(request, now);
        fail_attempt(id: AuthorizationId, holder: [u8; 16], attempt: FailedAttempt, audit: Audit) -> () =
            |tables, now| tables.fail_attempt(id, holder, attempt, audit, now);
    }
    RevocationQueue {
        queue_unclaimed(tokens: UnclaimedTokens, audit: Audit) -> () = |tables, now| {
            tables.unclaimed.insert(tokens.id, Unclaimed { tokens, due_at: now, claim: None });
            tables.log(audit);
        };
        claim_revocation(worker: [u8; 16], length: Duration, longest: Duration, left_out: LeftOut) -> Option<RevocationJob> =
            |tables, now| tables.claim(worker, length, longest, &left_out, now);
        update_revocation(job: AuthorizationId, worker: [u8; 16], update: RevocationUpdate, audit: Audit) -> bool =
            |tables, now| tables.update_revocation(job, worker, update, audit, now);
    }
    Housekeeping {
        sweep(policy: SweepPolicy, now: Timestamp) -> SweepReport = |tables, _| tables.sweep(policy, now);
        grant_holders(after: Option<Holder>, limit: u32) -> Vec<Holder> = |tables, _| {
            let grants = tables.rows.values().filter(|row| row.is_grant()).map(Row::owner);
            let pairs: BTreeSet<_> = grants.map(|owner| (owner.user.clone(), owner.space.clone())).collect();
            pairs.into_iter().filter(|pair| after.as_ref().is_none_or(|after| pair > after)).take(limit as usize).collect()
        };
        due_for_refresh(used_since_day: i64, before: Timestamp, limit: u32) -> Vec<Authorization> =
            |tables, _| tables.due_for_refresh(used_since_day, before, limit);
        key_usage() -> Vec<(KeyId, u64)> = |tables, _| tables.key_usage().into_iter().collect();
        keys_in_use() -> Vec<KeyId> = |tables, _| tables.key_usage().into_keys().collect();
    }
    AuditOutbox {
        record(audit: Audit) -> () = |tables, _| tables.log(audit);
        record_use(uses: Vec<(AuthorizationId, i64)>) -> () = |tables, _| for (id, day) in uses {
            if let Some(row) = tables.rows.get_mut(&id).filter(|row| row.is_grant()) {
                row.amend(|record| record.last_used_day = record.last_used_day.max(Some(day)));
            }
        };
        pending_events(limit: u32) -> Vec<RecordedEvent> = |tables, _| tables.events.iter().take(limit as usize).cloned().collect();
        forget_events(through: u64) -> () = |tables, _| tables.events.retain(|event| event.sequence > through);
    }
    ConnectorStore {
        create(connector: Connector, secret: Secret, audit: Audit) -> Created = |tables, _| tables.create(connector, secret, audit);
        get(key: &ConnectorKey) -> Option<Connector> = |tables, _| tables.connectors.get(key).cloned();
        list(space: &SpaceId) -> Vec<Connector> = |tables, _| tables.connectors_of(space).into_iter().cloned().collect();
        update(next: Connector, expected: u64, secret: Secret, effect: EditEffect, actor: Actor, audit: Audit) -> Updated =
            |tables, now| tables.update((next, expected), secret, (effect, &actor), audit, now);
        delete(key: &ConnectorKey, actor: Actor, audit: Audit) -> Option<u64> =
            |tables, now| tables.delete(key, &actor, audit, now);
        client_secret(key: ClientSecretKey) -> Secret = |tables, _| tables.secrets.get(&key).map(|(secret, _)| secret.clone());
    }
    ConnectorDiagnostics {
        record_failure(connector: Incarnation, failure: ConnectorFailure) -> () =
            |tables, now| tables.diagnose(connector, |found| found.last_failure = Some((failure, now)));
        record_anomalies(connector: Incarnation, anomalies: Vec<Anomaly>) -> () =
            |tables, now| tables.diagnose(connector, |found| {
                for anomaly in anomalies {
                    found.anomalies.retain(|(earlier, _)| *earlier != anomaly);
                    found.anomalies.insert(0, (anomaly, now));
                }
                found.anomalies.truncate(RECENT_ANOMALIES);
            });
        client_refused(connector: Incarnation, revision: u64, since: Timestamp) -> () =
            |tables, _| tables.diagnose(connector, |found| {
                let since = found.client_refused_since(revision).unwrap_or(since);
                found.client_refused = Some((revision, since));
            });
        client_accepted(connector: Incarnation) -> () =
            |tables, _| tables.diagnose(connector, |found| found.client_refused = None);
        diagnostics(connector: Incarnation) -> Diagnostics =
            |tables, _| tables.diagnostics.get(&connector).cloned().unwrap_or_default();
    }
    SessionStore {
        insert(id: SessionHash, session: Session, at_most: u32) -> () =
            |tables, _| tables.insert_session(id, session, at_most);
        find(id: SessionHash) -> Option<Session> = |tables, _| tables.sessions.get(&id).cloned();
        touch(id: SessionHash, seen_at: Timestamp, tag: RowTag) -> () = |tables, _|
            if let Some(session) = tables.sessions.get_mut(&id).filter(|session| session.seen_at < seen_at) {
                (session.seen_at, session.tag) = (seen_at, tag);
            };
        remove(id: SessionHash) -> () = |tables, _| drop(tables.sessions.remove(&id));
        purge(created_before: Timestamp, seen_before: Timestamp, after: Timestamp) -> u64 = |tables, _| {
            let (before, created, seen) = (tables.sessions.len(), created_before..=after, seen_before..=after);
            tables.sessions.retain(|_, session| created.contains(&session.created_at) && seen.contains(&session.seen_at));
            (before - tables.sessions.len()) as u64
        };
    }
    UserStore {
        removed_at(user: &UserId) -> Option<Timestamp> = |tables, _| tables.tombstones.get(user).copied();
        stored_user(user: &UserId) -> Option<StoredUser> =
            |tables, _| tables.users().remove_entry(user).map(|(id, removed_at)| StoredUser { id, removed_at });
        reinstate(user: UserId, audit: Audit) -> bool = |tables, _| {
            let lifted = tables.tombstones.remove(&user).is_some();
            tables.log(audit.into_iter().filter(|_| lifted));
            lifted
        };
        stored_users(after: Option<UserId>, limit: u32) -> Vec<StoredUser> = |tables, _| {
            let users = tables.users().into_iter().filter(|(id, _)| after.as_ref().is_none_or(|after| id > after));
            users.take(limit as usize).map(|(id, removed_at)| StoredUser { id, removed_at }).collect()
        };
        open_authorizations(user: &UserId) -> Vec<Authorization> = |tables, _| {
            let is_open = |row: &&Row| row.owner().user == *user
                && (row.value.is_flow() || row.is_grant() || is_expired_grant(row));
            tables.rows.values().filter(is_open).map(|row| row.value.clone()).collect()
        };
    }
}

/// What `App::builder` takes. A store with a database keeps the random deployment id beside its data.
pub(crate) fn app_store(store: &MapStore) -> AppStore {
    AppStore::new(Arc::new(store.clone()), [7; 16])
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let store = MapStore::new(Arc::new(SystemClock));
    store.record(vec![AuditEvent::of_system(AuditKind::UserReinstated, SystemClock.now())]).await?;
    let (id, stored) = (app_store(&store).deployment_id(), store.pending_events(10).await?.len());
    writeln!(io::stdout(), "deployment {id:?}: {stored} stored event")?;
    Ok(())
}

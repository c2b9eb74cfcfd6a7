//! Use cases, one file each. I/O happens only through ports.
//!
//! A host assembles [`Ports`], chooses a [`Policy`], and calls [`Connections`]. Access is decided here, by asking the host's
//! directory; the caller authenticates its users and agents.

mod access;
mod access_token;
mod administration;
mod assembly;
mod audit_buffer;
mod busy_origins;
mod callback;
mod cancel;
mod client_credentials;
mod connector_test;
mod connectors;
mod consent;
mod consent_version;
mod detached;
mod diagnostics;
mod disconnect;
mod execute;
mod failure_recorder;
mod flows;
mod housekeeping;
mod launch;
mod login_hint;
mod open_connections;
mod policy;
mod refresh;
mod relay;
mod repeatable_body;
mod requests;
mod revocation;
mod sealer;
mod settings;
mod settled_clock;
mod start;
mod stateless_error;
mod status;
mod token;
mod token_lifetime;
mod url_parts;
mod users;

/// The parts that [`Connections`] assembles, each with just the ports it needs: for hosts that need one of them alone, and
/// for tests.
pub mod parts {
    pub use super::access::Access;
    pub use super::audit_buffer::AuditBuffer;
    pub use super::client_credentials::{ClientCredentialsCache, ClientCredentialsPorts};
    pub use super::failure_recorder::{FailingConnector, FailureRecorder};
    pub use super::refresh::{
        CircuitBreaker, Permit, RefreshGoal, RefreshOutcome, Refresher, RefresherPorts, RefusedRequest,
    };
    pub use super::revocation::{RevocationPorts, RevocationWorker};
    pub use super::sealer::{DecryptError, NoCredentials, Sealer};
    pub use super::settings::ConnectorSettings;
    pub use super::settled_clock::SettledClock;
}

use std::sync::Arc;

pub use access::AccessError;
pub use administration::{AdminError, GrantFilter, GrantPage, GrantStatus, GrantView};
pub use audit_buffer::AuditBacklog;
pub use callback::{AuthorizationResponse, CallbackRefused, CallbackRequest, Completed, Outcome};
pub use cancel::{CancelError, CancelKey};
pub use connector_test::{ConnectorTest, ConnectorTestError, TestDetail, TestResult, TestedPart};
pub use connectors::{ConnectorDraft, ConnectorError, ConnectorView, EditOutcome};
pub use consent::Consent;
pub use consent_version::ConsentVersion;
pub use diagnostics::{DiagnosticsError, DiagnosticsView};
pub use disconnect::DisconnectError;
pub use execute::{ExecuteError, Execution, TriedConnection};
pub use housekeeping::{HousekeepingError, Progress, Reconciled};
pub use launch::LaunchError;
pub use policy::{InvalidPolicy, OnAuditFailure, Policy, PolicyBounds};
pub use relay::Relay;
pub use revocation::RevocationRound;
pub use settings::{AuthenticSettings, ConnectorTampered, UnusableConnector};
pub use start::{StartError, StartRequest, Started};
pub use stateless_error::{MOST_FLOW_COOKIES, StatelessError};
pub use status::{FlowAccounts, FlowView, StatusError};
pub use token::{AccessTokenRequest, ConnectionLabel, IssuedAccessToken, TokenError};
pub use users::{Deprovisioned, OpenAuthorization, OpenKind, UserDetails, UserSummaries, UserSummary};

use crate::authorization::{AuthorizationId, ConnectorStatus};
use crate::connector::{Connector, ConnectorId, ConnectorKey};
use crate::identity::{Actor, ConnectionName, SpaceId, UserId};
use crate::ports::{
    ApiResponse, AuditEvent, AuditKind, AuthorizationServer, Clock, Directory, EventSink, FailureLog, ProviderProfiles,
    RateLimiter, ResourceServer, RowAuthenticator, SecureRandom, Spawner, StoreError, StorePorts, StreamedResponse,
    SweepReport, TerminationReport, TokenVault, Urls, VaultError,
};
use crate::secret::Secret;

use self::access_token::AccessTokens;
use self::administration::Administration;
use self::assembly::Assembly;
use self::audit_buffer::AuditBuffer;
use self::connectors::ConnectorAdmin;
use self::diagnostics::DiagnosticsReader;
use self::disconnect::Terminations;
use self::execute::Executor;
use self::flows::Flows;
use self::housekeeping::Maintenance;
use self::refresh::{CircuitBreaker, Refresher};
use self::revocation::RevocationWorker;
use self::status::Statuses;
use self::users::Users;

/// The ports that the use cases require. There is no default, so code that omits a port does not compile.
pub struct Ports {
    /// The store.
    pub store: StorePorts,
    /// Sealing and opening records.
    pub vault: Arc<dyn TokenVault>,
    /// Authenticating rows that are not encrypted.
    pub rows: Arc<dyn RowAuthenticator>,
    /// OAuth requests.
    pub provider: Arc<dyn AuthorizationServer>,
    /// Provider profiles.
    pub profiles: Arc<dyn ProviderProfiles>,
    /// APIs behind connectors.
    pub resource: Arc<dyn ResourceServer>,
    /// The host's users and spaces.
    pub directory: Arc<dyn Directory>,
    /// The URLs that the host serves.
    pub urls: Arc<dyn Urls>,
    /// Rate limits.
    pub limiter: Arc<dyn RateLimiter>,
    /// The host's audit log.
    pub sink: Arc<dyn EventSink>,
    /// The operator's log of failures at providers.
    pub failures: Arc<dyn FailureLog>,
    /// The clock of the process.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn SecureRandom>,
    /// Detached tasks.
    pub spawner: Arc<dyn Spawner>,
}

/// The use cases as a host calls them. Durable state is in the store.
pub struct Connections {
    urls: Arc<dyn Urls>,
    policy: Policy,
    flows: Arc<Flows>,
    tokens: Arc<AccessTokens>,
    executor: Executor,
    statuses: Arc<Statuses>,
    connectors: ConnectorAdmin,
    diagnostics: DiagnosticsReader,
    terminations: Arc<Terminations>,
    administration: Administration,
    users: Users,
    maintenance: Maintenance,
    refresher: Arc<Refresher>,
    revocations: Arc<RevocationWorker>,
    audit: AuditBuffer,
    clock: Arc<dyn Clock>,
}

impl Connections {
    /// Assembles the system after checking the policy.
    pub fn new(ports: &Ports, policy: Policy) -> Result<Arc<Self>, InvalidPolicy> {
        Self::with_bounds(ports, policy, &PolicyBounds::default())
    }

    /// Assembles the system with other lower bounds of the policy: for tests with short times.
    pub fn with_bounds(ports: &Ports, policy: Policy, bounds: &PolicyBounds) -> Result<Arc<Self>, InvalidPolicy> {
        policy.check(bounds)?;
        Ok(Arc::new(Self::assembled(ports, policy)))
    }

    fn assembled(ports: &Ports, policy: Policy) -> Self {
        let assembly = Assembly::new(ports, &policy);
        let breaker = Arc::new(CircuitBreaker::default());
        let revocations = assembly.revocations();
        let refresher = assembly.refresher(&revocations, &breaker);
        let diagnostics = assembly.diagnostics();
        let tokens = assembly.tokens(&refresher, breaker.clone());
        let statuses = assembly.statuses();
        let terminations = assembly.terminations(&revocations);
        Self {
            urls: ports.urls.clone(),
            flows: assembly.flows(&revocations, breaker),
            executor: assembly.executor(&tokens),
            connectors: assembly.connectors(&statuses, &revocations),
            administration: assembly.administration(&terminations),
            users: assembly.users(&terminations),
            maintenance: assembly.maintenance(&refresher, &revocations, &terminations),
            audit: assembly.audit.clone(),
            clock: ports.clock.clone(),
            policy,
            tokens,
            statuses,
            diagnostics,
            terminations,
            refresher,
            revocations,
        }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The link that lets a user connect: a page that asks for confirmation, safe to send by chat or mail.
    pub fn start_link(&self, connector: &ConnectorKey, connection: &ConnectionName) -> String {
        self.urls.start_link(connector, connection)
    }

    /// What a flow of a connector would use, to be shown before a start. Reads the metadata of an issuer.
    pub async fn consent(&self, actor: &Actor, key: &ConnectorKey) -> Result<Consent, StartError> {
        self.flows.consent(actor, key).await
    }

    /// Starts a flow.
    pub async fn start(&self, request: StartRequest) -> Result<Started, StartError> {
        self.flows.start(request).await
    }

    /// Counts a request to the callback without a session, by the address it comes from.
    pub async fn count_anonymous_callback(&self, address: &str) -> Result<(), CallbackRefused> {
        self.flows.count_anonymous_callback(address).await
    }

    /// Completes a flow. The work is detached: a closed connection does not stop it.
    pub async fn complete(&self, callback: CallbackRequest) -> Result<Completed, CallbackRefused> {
        self.flows.complete(callback).await
    }

    /// Ends the flow that an error without `state` names: the one of its user, its browser and its callback path. `None` if
    /// there is none, or more than one.
    pub async fn end_without_state(&self, request: StatelessError) -> Result<Option<Completed>, CallbackRefused> {
        self.flows.end_without_state(request).await
    }

    /// Ends a flow of the user. Idempotent: an ended or unknown flow counts as cancelled. A grant is never changed. Returns the
    /// flow if it is stored.
    pub async fn cancel(
        &self,
        actor: &Actor,
        connector: &ConnectorKey,
        key: CancelKey,
    ) -> Result<Option<AuthorizationId>, CancelError> {
        self.flows.cancel(actor, connector, key).await
    }

    /// The authorization URL of a waiting flow, for the user and the browser that started it. Changes nothing.
    pub async fn launch(
        &self,
        actor: &Actor,
        space: &SpaceId,
        flow: AuthorizationId,
        flow_cookies: &[Secret],
    ) -> Result<Secret, LaunchError> {
        self.flows.launch(actor, space, flow, flow_cookies).await
    }

    /// Issues a valid access token, refreshing first where needed.
    pub async fn access_token(&self, request: &AccessTokenRequest) -> Result<IssuedAccessToken, TokenError> {
        self.tokens.issue(request, None).await
    }

    /// Reports that the API responded to a token with 401. Forces at most one refresh per token and returns another token
    /// to retry with. `rejected` is the SHA-256 of the token.
    pub async fn report_unauthorized(
        &self,
        request: &AccessTokenRequest,
        rejected: [u8; 32],
    ) -> Result<IssuedAccessToken, TokenError> {
        self.tokens.issue(request, Some(rejected)).await
    }

    /// Sends one request to a connector's API with the user's token. A 401 forces at most one refresh and one retry.
    pub async fn execute(&self, execution: Execution) -> Result<ApiResponse, ExecuteError> {
        self.executor.execute(execution).await
    }

    /// Relays one request to a connector's API with the user's token, with bodies that are passed on while they arrive. A 401
    /// forces at most one refresh, and one retry if the body can be repeated.
    pub async fn relay(&self, relay: Relay) -> Result<StreamedResponse, ExecuteError> {
        self.executor.relay(relay).await
    }

    /// Tries a connection of the calling user with the request of the profile that succeeds with every valid token, if there is one.
    pub async fn try_connection(
        &self,
        actor: &Actor,
        connector: ConnectorKey,
        connection: Option<ConnectionName>,
    ) -> Result<TriedConnection, ExecuteError> {
        self.executor.try_connection(actor, connector, connection).await
    }

    /// A flow of the user. `space` is `None` where the caller names none.
    pub async fn flow_status(
        &self,
        actor: &Actor,
        space: Option<&SpaceId>,
        flow: AuthorizationId,
    ) -> Result<FlowView, StatusError> {
        self.statuses.flow(actor, space, flow).await
    }

    /// The user's status at every connector of a space.
    pub async fn statuses(&self, actor: &Actor, space: &SpaceId) -> Result<Vec<(Connector, ConnectorStatus)>, StatusError> {
        self.statuses.of_space(actor, space).await
    }

    /// One connector with the user's status.
    pub async fn connector(&self, actor: &Actor, key: &ConnectorKey) -> Result<ConnectorView, ConnectorError> {
        self.connectors.get(actor, key).await
    }

    /// All connectors of a space with the user's status.
    pub async fn connectors(&self, actor: &Actor, space: &SpaceId) -> Result<Vec<ConnectorView>, ConnectorError> {
        self.connectors.list(actor, space).await
    }

    /// The last failure of a connector and its recent anomalies, for its editors.
    pub async fn connector_diagnostics(
        &self,
        actor: &Actor,
        key: &ConnectorKey,
    ) -> Result<DiagnosticsView, DiagnosticsError> {
        self.diagnostics.read(actor, key).await
    }

    /// Tests a connector, for its editors: settings, endpoints and client. Sends at most two requests, and records nothing.
    pub async fn test_connector(&self, actor: &Actor, key: &ConnectorKey) -> Result<ConnectorTest, ConnectorTestError> {
        self.flows.test(actor, key).await
    }

    /// Whether a user may create and edit connectors of a space. For hosts that check this before they read a request.
    pub async fn may_edit_connectors(&self, actor: &Actor, space: &SpaceId) -> Result<(), ConnectorError> {
        self.connectors.may_edit(actor, space).await
    }

    /// Adds a connector. Without an id it gets a random one.
    pub async fn create_connector(
        &self,
        actor: &Actor,
        space: &SpaceId,
        id: Option<ConnectorId>,
        draft: ConnectorDraft,
    ) -> Result<ConnectorView, ConnectorError> {
        self.connectors.create(actor, space, id, draft).await
    }

    /// Adds a connector in the name of the operator: import and demo.
    pub async fn install_connector(
        &self,
        actor: &Actor,
        space: &SpaceId,
        id: Option<ConnectorId>,
        draft: ConnectorDraft,
    ) -> Result<Connector, ConnectorError> {
        self.connectors.install(actor, space, id, draft).await
    }

    /// Edits a connector. A security-relevant change ends every grant in the same transaction; other changes keep them.
    /// With `dry_run` nothing is changed and the number of users to disconnect is returned.
    pub async fn update_connector(
        &self,
        actor: &Actor,
        key: &ConnectorKey,
        draft: ConnectorDraft,
        revision: Option<u64>,
        dry_run: bool,
    ) -> Result<EditOutcome, ConnectorError> {
        self.connectors.update(actor, key, draft, revision, dry_run).await
    }

    /// Deletes a connector and terminates all its authorizations. Returns the number of grants.
    pub async fn delete_connector(&self, actor: &Actor, key: &ConnectorKey) -> Result<u64, ConnectorError> {
        let grants = self.connectors.delete(actor, key).await?;
        self.tokens.forget_shared(key);
        Ok(grants)
    }

    /// A connector as the operator's tools present it, without a user's status.
    pub fn describe(&self, connector: Connector) -> ConnectorView {
        self.connectors.view(connector, ConnectorStatus::not_applicable())
    }

    /// Ends one connection of the user. Idempotent; its revocation at the provider goes on in the background.
    pub async fn disconnect(
        &self,
        actor: &Actor,
        connector: &ConnectorKey,
        connection: Option<ConnectionName>,
    ) -> Result<TerminationReport, DisconnectError> {
        self.terminations.disconnect(actor, connector, connection).await
    }

    /// Sets or clears the default connection of the user, which applies to requests that name no connection.
    pub async fn set_default_connection(
        &self,
        actor: &Actor,
        connector: &ConnectorKey,
        connection: Option<ConnectionName>,
    ) -> Result<(), DisconnectError> {
        self.terminations.set_default_connection(actor, connector, connection).await
    }

    /// Grants and former grants of a space, newest first, for its administrators.
    pub async fn list_grants(
        &self,
        actor: &Actor,
        space: &SpaceId,
        filter: GrantFilter,
        after: Option<AuthorizationId>,
        limit: u32,
    ) -> Result<GrantPage, AdminError> {
        self.administration.list_grants(actor, space, filter, after, limit).await
    }

    /// Terminates a grant in a space that the caller administers.
    pub async fn revoke_grant(&self, actor: &Actor, space: &SpaceId, grant: AuthorizationId) -> Result<(), AdminError> {
        self.administration.revoke_grant(actor, space, grant).await
    }

    /// The users of the host and the users with records in the store. `spaces` must be all spaces of the host; the caller must
    /// administer each of them.
    pub async fn list_users(&self, actor: &Actor, spaces: &[SpaceId]) -> Result<UserSummaries, AdminError> {
        self.users.list(actor, spaces).await
    }

    /// The same for the operator's tools.
    pub async fn all_users(&self) -> Result<UserSummaries, AdminError> {
        self.users.all().await
    }

    /// A user, and what deprovisioning would end. The caller must administer every space, as for
    /// [`list_users`](Self::list_users).
    pub async fn user_details(&self, actor: &Actor, spaces: &[SpaceId], user: &UserId) -> Result<UserDetails, AdminError> {
        self.users.details(actor, spaces, user).await
    }

    /// Lifts the deprovisioning of a user, who can connect again. Idempotent. The caller must administer every space, as for
    /// [`list_users`](Self::list_users).
    pub async fn reinstate_user(&self, actor: &Actor, spaces: &[SpaceId], user: &UserId) -> Result<(), AdminError> {
        self.users.reinstate(actor, spaces, user).await
    }

    /// Lifts the deprovisioning of a user in the name of the host. `false` if the user was not deprovisioned.
    pub async fn reinstate_user_for_host(&self, actor: Actor, user: &UserId) -> Result<bool, StoreError> {
        self.users.reinstate_for_host(actor, user).await
    }

    /// Terminates all authorizations of a user, in every space. `spaces` must be all spaces of the host; the caller must
    /// administer each of them. A user that the host does not list and that has no records is refused.
    pub async fn deprovision_user(
        &self,
        actor: &Actor,
        spaces: &[SpaceId],
        user: &UserId,
    ) -> Result<Deprovisioned, AdminError> {
        self.users.deprovision(actor, spaces, user).await
    }

    /// Terminates all authorizations of a user whom the host has removed; no grant is committed for this user any more.
    pub async fn remove_user(&self, actor: Actor, user: &UserId) -> Result<Deprovisioned, StoreError> {
        self.users.remove(actor, user).await
    }

    /// Reads the clock of the store, which is compared with the monotonic clock from the first reading on. Call it at the start, so that
    /// a step before the first refresh or sweep is noticed.
    pub async fn observe_clock(&self) -> Result<(), StoreError> {
        self.maintenance.observe_clock().await
    }

    /// Sweeps until nothing is left to do now, and reports the progress after each batch.
    pub async fn sweep(&self, report: impl FnMut(Progress) + Send) -> Result<SweepReport, HousekeepingError> {
        self.tokens.drop_expired().await?;
        self.maintenance.sweep(report).await
    }

    /// Refreshes recently used grants ahead of their expiry. Returns how many were refreshed.
    pub async fn refresh_ahead(&self) -> Result<u64, HousekeepingError> {
        self.maintenance.refresh_ahead().await
    }

    /// Compares all users who have grants with the host's directory, and terminates the grants of users without access.
    pub async fn reconcile(&self) -> Result<Reconciled, HousekeepingError> {
        self.maintenance.reconcile().await
    }

    /// Revokes everything that is due now.
    pub async fn revoke_due(&self) -> Result<RevocationRound, StoreError> {
        self.revocations.revoke_due().await
    }

    /// The audit events that the store has not accepted. Events that were dropped, or a store that refuses them, are an alarm.
    pub fn audit_backlog(&self) -> AuditBacklog {
        self.audit.backlog()
    }

    /// Records that the row of a session, which names this user, is not authentic.
    pub fn record_tampered_session(&self, user: &UserId, error: VaultError) {
        let event = AuditEvent::of_system(AuditKind::SessionTampered, self.clock.now()).of_user(user);
        self.audit.record(event.outcome(error));
    }

    /// Writes buffered audit events and days of last use.
    pub async fn flush_audit(&self) -> Result<(), StoreError> {
        self.audit.flush().await
    }

    /// Delivers the audit outbox, oldest first. Returns how many events were delivered.
    pub async fn deliver_events(&self) -> Result<u64, HousekeepingError> {
        self.maintenance.deliver_events().await
    }

    /// How many grants have refreshed tokens in memory that the store did not accept yet. More than zero is an alarm.
    pub fn pending_commits(&self) -> usize {
        self.refresher.pending_commits()
    }
}

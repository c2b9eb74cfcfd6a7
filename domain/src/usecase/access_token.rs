//! Issuing a user's access token to a run: the hot path.
//!
//! One indexed read, then every check on every call: access, status, epoch, digest, destination. No token is cached in
//! clear.

use std::sync::Arc;
use std::time::Duration;

use crate::authorization::{Authorization, GrantSecrets, Reason, RequiredBinding, StatusKind, connector_status};
use crate::connector::{AuthMode, Connector, ConnectorKey};
use crate::encoding::sha256;
use crate::identity::{Actor, ConnectionName, Role};
use crate::ports::{
    AccessTokenView, AuditEvent, AuditKind, AuditOutcome, AuthorizationQueries, StatusRow, StoreClock, StoreError, Versioned,
};
use crate::provider::Origin;
use crate::time::Timestamp;
use crate::usecase::access::{Access, AccessError};
use crate::usecase::audit_buffer::AuditBuffer;
use crate::usecase::client_credentials::ClientCredentialsCache;
use crate::usecase::failure_recorder::FailureRecorder;
use crate::usecase::open_connections::{labels, open_connections};
use crate::usecase::policy::OnAuditFailure;
use crate::usecase::refresh::{RefreshGoal, RefreshOutcome, Refresher};
use crate::usecase::sealer::Sealer;
use crate::usecase::settings::{AuthenticSettings, ConnectorSettings, UnusableConnector};
use crate::usecase::token::{AccessTokenRequest, IssuedAccessToken, TokenError};
use crate::usecase::token_lifetime::{Freshness, is_issuable};

/// Issues access tokens.
pub(crate) struct AccessTokens {
    pub(super) store_clock: Arc<dyn StoreClock>,
    pub(super) queries: Arc<dyn AuthorizationQueries>,
    pub(super) access: Access,
    pub(super) settings: ConnectorSettings,
    pub(super) sealer: Sealer,
    pub(super) audit: AuditBuffer,
    pub(super) refresher: Arc<Refresher>,
    pub(super) shared: Arc<ClientCredentialsCache>,
    pub(super) failures: FailureRecorder,
    pub(super) on_audit_failure: OnAuditFailure,
}

/// A request for a token, with the connector as it is stored.
struct Asked<'a> {
    request: &'a AccessTokenRequest,
    connector: &'a Connector,
    required: &'a RequiredBinding,
    now: Timestamp,
}

/// The connector of a request and the grants that it can mean, read for a user with access.
pub(super) struct ReadGrants {
    request: AccessTokenRequest,
    view: AccessTokenView,
}

impl ReadGrants {
    /// The connector.
    pub(super) fn connector(&self) -> &Connector {
        &self.view.connector
    }

    /// The request with a destination.
    pub(super) fn with_destination(mut self, destination: Option<Origin>) -> Self {
        self.request.destination = destination;
        self
    }
}

/// When a grant is read. A deadline that passes during a refresh may be a step of the clock, so it ends nothing yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    First,
    AfterRefresh,
}

/// Another try reads the grant again.
const RETRY_SOON: TokenError = TokenError::Unavailable { retry_after: Duration::from_secs(1) };

/// A grant that passed every check, with its decrypted tokens.
struct Usable {
    grant: Authorization,
    secrets: GrantSecrets,
    settings: Arc<AuthenticSettings>,
    now: Timestamp,
}

/// Whether the token was not rejected and lasts long enough.
fn is_usable(usable: &Usable, rejected: Option<[u8; 32]>, freshness: Freshness) -> bool {
    let Usable { grant, secrets, settings, now } = usable;
    rejected.is_none_or(|rejected| sha256(secrets.access_token.expose()) != rejected)
        && is_issuable(secrets, grant.id(), *now, freshness, settings.provider.refresh_margin)
}

impl AccessTokens {
    /// A valid token, refreshed first where needed. `rejected` is the SHA-256 of a token that the API rejected; the result
    /// is another one.
    pub(super) async fn issue(
        &self,
        request: &AccessTokenRequest,
        rejected: Option<[u8; 32]>,
    ) -> Result<IssuedAccessToken, TokenError> {
        self.recorded(request, self.find(request, rejected).await).await
    }

    /// Authorizes the user of a request, and reads what [`issue_from`](Self::issue_from) needs. The destination may follow.
    pub(super) async fn read(&self, request: AccessTokenRequest) -> Result<ReadGrants, TokenError> {
        let view = self.authorized_view(&request).await?;
        Ok(ReadGrants { request, view })
    }

    /// The same as [`issue`](Self::issue), from grants that were just read. Returns the request as well.
    pub(super) async fn issue_from(&self, read: ReadGrants) -> Result<(AccessTokenRequest, IssuedAccessToken), TokenError> {
        let ReadGrants { request, view } = read;
        let found = match self.require_permission(&request) {
            Ok(()) => self.find_in(&request, None, view).await,
            Err(error) => Err(error),
        };
        let issued = self.recorded(&request, found).await?;
        Ok((request, issued))
    }

    /// Records a refusal.
    async fn recorded<T>(&self, request: &AccessTokenRequest, result: Result<T, TokenError>) -> Result<T, TokenError> {
        if let Err(error) = &result
            && let Ok(now) = self.store_clock.now().await
        {
            let event = AuditEvent::new(AuditKind::AccessTokenRefused, request.actor.clone(), now);
            let event = event.at_connector(&request.connector).of_user(&request.user);
            let event = AuditEvent { connection: request.connection.clone(), ..event };
            self.audit.record(event.outcome(AuditOutcome::of(error.code())));
        }
        result
    }

    /// Drops the token of a deleted connector.
    pub(super) fn forget_shared(&self, connector: &ConnectorKey) {
        self.shared.forget(connector);
    }

    /// Drops the tokens of shared connectors that have expired.
    pub(super) async fn drop_expired(&self) -> Result<(), StoreError> {
        self.shared.drop_expired(self.store_clock.now().await?);
        Ok(())
    }

    async fn find(&self, request: &AccessTokenRequest, rejected: Option<[u8; 32]>) -> Result<IssuedAccessToken, TokenError> {
        self.require_permission(request)?;
        let view = self.authorized_view(request).await?;
        self.find_in(request, rejected, view).await
    }

    /// What does not depend on the stored grants.
    fn require_permission(&self, request: &AccessTokenRequest) -> Result<(), TokenError> {
        self.require_trail()?;
        // Only a back end acts for other users. The adapter that authenticates it checks its permissions.
        match &request.actor {
            Actor::Person(user) if *user != request.user => Err(AccessError::Forbidden.into()),
            Actor::Person(_) | Actor::Agent(_) | Actor::System => Ok(()),
        }
    }

    /// What is rarely needed is on the heap, so that the future of a token that needs no refresh stays small.
    async fn find_in(
        &self,
        request: &AccessTokenRequest,
        rejected: Option<[u8; 32]>,
        view: AccessTokenView,
    ) -> Result<IssuedAccessToken, TokenError> {
        if view.connector.auth_mode == AuthMode::Shared {
            let token = self.shared.token(&view.connector, request.destination.as_ref(), rejected, view.now);
            let token = Box::pin(token).await?;
            let event = AuditEvent::new(AuditKind::AccessTokenIssued, request.actor.clone(), view.now);
            let event = event.at_connector(&request.connector).of_user(&request.user);
            self.record_issue(event.outcome(AuditOutcome::Shared))?;
            return Ok(token);
        }
        let usable = self.usable(request, request.connection.as_ref(), view, Reading::First).await?;
        if is_usable(&usable, rejected, Freshness::Fresh) {
            return self.issued(request, usable);
        }
        Box::pin(self.refreshed(request, rejected, usable)).await
    }

    /// The token after a refresh.
    async fn refreshed(
        &self,
        request: &AccessTokenRequest,
        rejected: Option<[u8; 32]>,
        usable: Usable,
    ) -> Result<IssuedAccessToken, TokenError> {
        let goal = rejected.map_or(RefreshGoal::Fresh, RefreshGoal::Replace);
        let outcome = self.refresher.refresh(usable.grant.id(), goal).await;
        // The stored grant decides: another node may have refreshed, or the user disconnected.
        let connection = usable.grant.owner().connection.clone();
        let view = self.view(request, Some(connection.clone())).await?;
        let usable = self.usable(request, Some(&connection), view, Reading::AfterRefresh).await?;
        if is_usable(&usable, rejected, Freshness::Valid) {
            return self.issued(request, usable);
        }
        let is_rejected = rejected == Some(sha256(usable.secrets.access_token.expose()));
        Err(match outcome {
            // The API rejects refreshed tokens as well, so the user must consent again.
            RefreshOutcome::Current if is_rejected => {
                TokenError::AuthorizationRequired { reason: Reason::TokenRejected, connection }
            }
            // The new token has expired already, or a concurrent writer changed the grant.
            RefreshOutcome::Current | RefreshOutcome::Ended => RETRY_SOON,
            RefreshOutcome::Unavailable { retry_after } => TokenError::Unavailable { retry_after },
            RefreshOutcome::Refused { retry_after, http_status } => {
                TokenError::RefreshRefused { retry_after, http_status, connection }
            }
            RefreshOutcome::Misconfigured => TokenError::Misconfigured,
        })
    }

    /// What a request can mean, for a user with access.
    async fn authorized_view(&self, request: &AccessTokenRequest) -> Result<AccessTokenView, TokenError> {
        self.access.authorize(&request.user, &request.connector.space, Role::Viewer).await?;
        self.view(request, request.connection.clone()).await
    }

    /// The connector, and the grants that a request can mean.
    async fn view(
        &self,
        request: &AccessTokenRequest,
        connection: Option<ConnectionName>,
    ) -> Result<AccessTokenView, TokenError> {
        let view = self.queries.access_token_view(&request.connector, &request.user, connection).await?;
        view.ok_or(TokenError::Access(AccessError::NotFound))
    }

    /// What was read from the settings of a connector. Settings that cannot be used are recorded.
    pub(super) fn usable_settings<T>(
        &self,
        connector: &Connector,
        read: Result<T, UnusableConnector>,
    ) -> Result<T, TokenError> {
        read.map_err(|unusable| {
            self.failures.record_unusable_settings(connector, &unusable);
            TokenError::from(unusable)
        })
    }

    /// Every check between the stored grant and its token, cheap ones first. `named` is the connection that is meant, if it
    /// is determined already.
    async fn usable(
        &self,
        request: &AccessTokenRequest,
        named: Option<&ConnectionName>,
        view: AccessTokenView,
        reading: Reading,
    ) -> Result<Usable, TokenError> {
        let AccessTokenView { connector, mut grants, default_connection, has_expired_connections, now } = view;
        let settings = self.usable_settings(&connector, self.settings.of(&connector))?;
        let required = &settings.required;
        let asked = Asked { request, connector: &connector, required, now };
        if named.is_none() {
            let several = grants.len() > 1 || (has_expired_connections && !grants.is_empty());
            grants = self.unnamed(&asked, grants, default_connection, several).await?;
        }
        let Some(stored) = grants.pop() else {
            let (reason, connection) = Box::pin(self.reason_without_grant(&asked, named)).await?;
            return Err(TokenError::AuthorizationRequired { reason, connection });
        };
        let connection = stored.value.owner().connection.clone();
        let required_consent = |reason| TokenError::AuthorizationRequired { reason, connection: connection.clone() };
        if stored.value.as_grant().is_none() {
            return Err(required_consent(Reason::NotConnected));
        }
        if stored.value.is_due(now) {
            // The user is asked for a new consent only after the end of the grant is stored.
            let ended = stored.value.clone().at(now);
            if reading == Reading::AfterRefresh || !Box::pin(self.refresher.record_expiry(&stored, ended, now)).await? {
                return Err(RETRY_SOON);
            }
            let (reason, connection) = Box::pin(self.reason_without_grant(&asked, Some(&connection))).await?;
            return Err(TokenError::AuthorizationRequired { reason, connection });
        }
        let grant = stored.value;
        let owner = grant.owner();
        if owner.digest != required.digest || owner.epoch != connector.epoch || owner.incarnation != connector.incarnation {
            return Err(required_consent(Reason::ConnectorChanged));
        }
        // The store found the row by other columns than these.
        if owner.user != request.user || owner.connector_key() != request.connector || connector.key != request.connector {
            return Err(required_consent(Reason::Undecryptable));
        }
        let secrets = match self.sealer.open_grant(&grant) {
            Ok(secrets) => secrets,
            Err(error) => {
                let event = AuditEvent::of_system(AuditKind::DecryptFailed, now).about(owner, grant.id());
                self.audit.record(event.outcome(error));
                return Err(required_consent(Reason::Undecryptable));
            }
        };
        // Sealed scopes and destinations take precedence over columns.
        if !secrets.granted_scopes.covers(&required.required_scopes) {
            return Err(required_consent(Reason::InsufficientScope));
        }
        if request.destination.as_ref().is_some_and(|destination| !secrets.provider.may_receive(destination)) {
            return Err(TokenError::DestinationRefused);
        }
        Ok(Usable { grant, secrets, settings, now })
    }

    /// The grant that is meant where no connection was named: the only one, or the one of the default connection. Never
    /// silently another one: a default connection that needs a new consent is still the one that is meant.
    async fn unnamed(
        &self,
        asked: &Asked<'_>,
        grants: Vec<Versioned<Authorization>>,
        default: Option<ConnectionName>,
        several: bool,
    ) -> Result<Vec<Versioned<Authorization>>, TokenError> {
        if let Some(default) = default {
            let is_default = |grant: &Versioned<Authorization>| grant.value.owner().connection == default;
            if let Some(grant) = grants.iter().find(|grant| is_default(grant)) {
                return Ok(vec![grant.clone()]);
            }
            let (reason, connection) = Box::pin(self.reason_without_grant(asked, Some(&default))).await?;
            if reason != Reason::NotConnected {
                return Err(TokenError::AuthorizationRequired { reason, connection });
            }
        }
        if !several {
            return Ok(grants);
        }
        let row = Box::pin(self.status_row(asked)).await?;
        let open = row.as_ref().map(open_connections).unwrap_or_default();
        Err(TokenError::ConnectionAmbiguous { connections: labels(&open) })
    }

    async fn status_row(&self, asked: &Asked<'_>) -> Result<Option<StatusRow>, StoreError> {
        let key = &asked.connector.key;
        let rows = self.queries.statuses(&key.space, Some(key.id.clone()), &asked.request.user).await?;
        Ok(rows.into_iter().next())
    }

    /// Why there is no grant, and of which connection: the reason is that of the former grant, if there is one.
    async fn reason_without_grant(
        &self,
        asked: &Asked<'_>,
        named: Option<&ConnectionName>,
    ) -> Result<(Reason, ConnectionName), TokenError> {
        let row = self.status_row(asked).await?;
        let (connections, default) = row.map(|row| (row.connections, row.default_connection)).unwrap_or_default();
        let is_meant = |name: &ConnectionName| named.is_none_or(|named| named == name);
        let views = connections.into_iter().filter(|row| is_meant(&row.name)).collect();
        let status = connector_status(asked.connector, views, default, Some(asked.required), |_| true, asked.now).shown();
        let reason = match status.kind {
            StatusKind::NeedsReauthorization => status.reason.unwrap_or(Reason::NotConnected),
            StatusKind::NotConnected | StatusKind::Connecting | StatusKind::Connected => Reason::NotConnected,
        };
        Ok((reason, named.cloned().unwrap_or(status.connection)))
    }

    /// Refuses to issue a token while events cannot be stored, unless the operator permits that.
    fn require_trail(&self) -> Result<(), TokenError> {
        match self.on_audit_failure {
            OnAuditFailure::Refuse if self.audit.backlog().is_failing => Err(TokenError::AuditUnavailable),
            OnAuditFailure::Refuse | OnAuditFailure::Continue => Ok(()),
        }
    }

    /// Records that a token is issued. Without the record, it is issued only if the operator permits that.
    fn record_issue(&self, event: AuditEvent) -> Result<(), TokenError> {
        // The store may have failed during a refresh.
        self.require_trail()?;
        let is_recorded = self.audit.record(event);
        match self.on_audit_failure {
            OnAuditFailure::Refuse if !is_recorded => Err(TokenError::AuditUnavailable),
            OnAuditFailure::Refuse | OnAuditFailure::Continue => Ok(()),
        }
    }

    fn issued(&self, request: &AccessTokenRequest, usable: Usable) -> Result<IssuedAccessToken, TokenError> {
        let Usable { grant, secrets, settings, now } = usable;
        if secrets.provider.api.as_ref().is_some_and(|api| !settings.provider.allows_api(api)) {
            return Err(TokenError::DestinationRefused);
        }
        let base_url = secrets.provider.api.map(|api| api.url).or_else(|| settings.provider.base_url.clone());
        let event = AuditEvent::new(AuditKind::AccessTokenIssued, request.actor.clone(), now);
        self.record_issue(event.about(grant.owner(), grant.id()))?;
        if grant.as_grant().is_some_and(|grant| grant.last_used_day() < Some(now.day())) {
            self.audit.record_use(grant.id(), now.day());
        }
        Ok(IssuedAccessToken {
            token: secrets.access_token,
            token_type: secrets.token_type,
            expires_at: secrets.expires_at,
            connection: Some(grant.owner().connection.clone()),
            account: secrets.account.map(|account| account.label),
            // A grant that names no API is of settings that had a fixed one.
            base_url: base_url.ok_or(TokenError::Misconfigured)?,
        })
    }
}

//! The status of connections: one function for every route, so that single, list and bulk responses always agree.

use crate::authorization::cause::{ExpiredCause, FailureCode, RevocationOutcome, RevokedCause, TerminationCause};
use crate::authorization::state::{Authorized, EndedKind, RefreshState, Revocation, State, Termination};
use crate::authorization::{Authorization, AuthorizationId};
use crate::connector::{AuthMode, Connector};
use crate::identity::ConnectionName;
use crate::named::named;
use crate::provider::{BindingDigest, Scopes};
use crate::time::Timestamp;

named!(
    /// Whether a user is connected to a connector, in the three values that front ends of the API distinguish.
    UserAuthStatus {
        /// There is a usable grant.
        Connected = "connected",
        /// There is no usable grant; [`ConnectionStatus`] has the reason.
        NotConnected = "not_connected",
        /// A shared connector: there is nothing to connect.
        NotApplicable = "not_applicable",
    }
);

named!(
    /// The status of one connection.
    StatusKind {
        /// No grant, and no flow.
        NotConnected = "not_connected",
        /// A first flow is waiting.
        Connecting = "connecting",
        /// There is a usable grant.
        Connected = "connected",
        /// There was a usable grant, and the user must consent again.
        NeedsReauthorization = "needs_reauthorization",
    }
);

named!(
    /// Why a user must consent again.
    Reason {
        /// See [`ExpiredCause::AccessTokenExpired`].
        AccessTokenExpired = "access_token_expired",
        /// See [`ExpiredCause::RefreshTokenExpired`].
        RefreshTokenExpired = "refresh_token_expired",
        /// See [`ExpiredCause::RefreshRejected`].
        RefreshRejected = "refresh_rejected",
        /// See [`ExpiredCause::ConnectorChanged`].
        ConnectorChanged = "connector_changed",
        /// See [`TerminationCause::Admin`].
        Admin = "admin",
        /// The connector requires a scope that this grant does not have, or that the last attempt did not bring.
        InsufficientScope = "insufficient_scope",
        /// The envelope cannot be decrypted. Computed and never stored: it ends when the key is available again.
        Undecryptable = "undecryptable",
        /// The API rejected a freshly refreshed token. Only in responses to callers that request one.
        TokenRejected = "token_rejected",
        /// There is no grant. Only in responses to callers that need one.
        NotConnected = "not_connected",
    }
);

/// A user's status at one connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorStatus {
    /// Whether the user is connected.
    pub user_auth_status: UserAuthStatus,
    /// The connections of the user, by name; empty for a user without any and at a shared connector.
    pub connections: Vec<ConnectionStatus>,
    /// The connection the user chose as default, if it is among them.
    pub default_connection: Option<ConnectionName>,
}

/// The status of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// The name of the connection.
    pub connection: ConnectionName,
    /// The status.
    pub kind: StatusKind,
    /// The flow that is waiting: the first one, or a reconnect.
    pub flow: Option<PendingFlow>,
    /// Why consent is needed again.
    pub reason: Option<Reason>,
    /// Since when the status holds.
    pub since: Option<Timestamp>,
    /// Account label at the provider.
    pub account: Option<String>,
    /// Granted scopes.
    pub scopes: Option<Scopes>,
    /// Scopes that the connector requests and the grant does not have. They block nothing unless they are required.
    pub missing_scopes: Option<Scopes>,
    /// Day of last use, in days since the Unix epoch; `None` before the first use.
    pub last_used_day: Option<i64>,
    /// A fact about the provider that the status does not show.
    pub provider_note: Option<ProviderNote>,
}

/// A flow that is waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingFlow {
    /// The flow.
    pub id: AuthorizationId,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// A fact about the provider that the status does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderNote {
    /// Connected, but refreshes have failed since then for reasons that do not end a grant.
    UnreachableSince(Timestamp),
    /// Connected, but the provider has refused to refresh since then, without a reason that ends a grant.
    RefreshRefusedSince(Timestamp),
    /// Connected, but the provider has refused the connector's client id or secret since then.
    ClientRefusedSince(Timestamp),
    /// Removed here; the revocation is pending.
    RevocationPending,
    /// Removed here; the provider never confirmed the revocation.
    RevocationAbandoned,
    /// Removed here; the provider offers no revocation.
    RevocationNotSupported,
}

/// Everything that the status of one connection depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionView {
    /// The name of the connection.
    pub name: ConnectionName,
    /// The `Authorized` authorization, if there is one.
    pub grant: Option<Authorization>,
    /// The newest former grant, if there is one that was consented to after the grant: without a required scope, or after the
    /// grant has expired and was not swept yet.
    pub former: Option<Authorization>,
    /// The pending flow, if there is one.
    pub pending: Option<Authorization>,
}

/// What the live configuration of a connector requires of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredBinding {
    /// The binding digest of the live configuration.
    pub digest: BindingDigest,
    /// Scopes without which consent is needed again.
    pub required_scopes: Scopes,
    /// Requested scopes that responses name.
    pub expected_scopes: Scopes,
}

impl RequiredBinding {
    /// The scopes that the connector requires or requests and a grant does not have. A response that names no scope, as for
    /// GitHub Apps, gives no information about those that are only requested.
    pub fn missing(&self, granted: &Scopes) -> Scopes {
        let required = self.required_scopes.without(granted);
        if granted.is_empty() {
            return required;
        }
        let others = self.expected_scopes.without(granted).without(&required);
        required.and(&others)
    }
}

/// The status of a user at a connector. `required` is `None` where the live configuration cannot be parsed; `decrypts`
/// returns whether a grant's envelope can be decrypted with the available keys.
pub fn connector_status(
    connector: &Connector,
    connections: Vec<ConnectionView>,
    default_connection: Option<ConnectionName>,
    required: Option<&RequiredBinding>,
    decrypts: impl Fn(&Authorization) -> bool,
    now: Timestamp,
) -> ConnectorStatus {
    if connector.auth_mode == AuthMode::Shared {
        return ConnectorStatus::not_applicable();
    }
    let connections: Vec<_> = connections
        .into_iter()
        .map(|view| connection_status(connector, view, required, &decrypts, now))
        .filter(ConnectionStatus::is_worth_listing)
        .collect();
    let default_connection = default_connection.filter(|name| connections.iter().any(|status| status.connection == *name));
    let mut status = ConnectorStatus { user_auth_status: UserAuthStatus::NotConnected, connections, default_connection };
    if status.shown().kind == StatusKind::Connected {
        status.user_auth_status = UserAuthStatus::Connected;
    }
    status
}

/// The status of one connection.
pub fn connection_status(
    connector: &Connector,
    view: ConnectionView,
    required: Option<&RequiredBinding>,
    decrypts: impl Fn(&Authorization) -> bool,
    now: Timestamp,
) -> ConnectionStatus {
    let flow = view.pending.map(|flow| flow.at(now)).and_then(|flow| PendingFlow::of(&flow));
    let current = match (view.grant.map(|grant| grant.at(now)), view.former) {
        // The latest consent gives the reason.
        (Some(expired), Some(former)) if expired.as_grant().is_none() => Some(former),
        (grant, former) => grant.or(former),
    };
    let plain = |kind| ConnectionStatus { flow, ..ConnectionStatus::plain(view.name.clone(), kind) };
    let without_grant = if flow.is_some() { StatusKind::Connecting } else { StatusKind::NotConnected };
    let Some(current) = current else {
        return plain(without_grant);
    };
    match current.state() {
        State::Authorized(grant) => {
            let reason = unusable_reason(connector, &current, grant, required, decrypts);
            let kind = if reason.is_some() { StatusKind::NeedsReauthorization } else { StatusKind::Connected };
            let scopes = grant.tokens().scopes.clone();
            ConnectionStatus {
                reason,
                since: Some(grant.authorized_at()),
                account: grant.tokens().account.clone(),
                missing_scopes: missing_scopes(required, &scopes),
                scopes: Some(scopes),
                last_used_day: grant.last_used_day(),
                provider_note: ProviderNote::of_refresh(grant.refresh()),
                ..plain(kind)
            }
        }
        State::Expired(ended) => match Reason::of_expiry(ended.cause()) {
            Some(reason) => ConnectionStatus {
                missing_scopes: ended.insufficient_scopes().and_then(|granted| missing_scopes(required, granted)),
                ..plain(StatusKind::NeedsReauthorization).of_former(Some(reason), ended.termination())
            },
            None => plain(without_grant),
        },
        State::Revoked(ended) if ended.cause() == RevokedCause::Terminated(TerminationCause::Admin) => {
            plain(StatusKind::NeedsReauthorization).of_former(Some(Reason::Admin), ended.termination())
        }
        State::Revoked(_) if flow.is_some() => plain(StatusKind::Connecting),
        State::Revoked(ended) => plain(StatusKind::NotConnected).of_former(None, ended.termination()),
        State::Initiated(_) | State::AwaitingCallback(_) => plain(without_grant),
    }
}

/// What a grant lacks; `None` if that is nothing or not known.
fn missing_scopes(required: Option<&RequiredBinding>, granted: &Scopes) -> Option<Scopes> {
    required.map(|required| required.missing(granted)).filter(|missing| !missing.is_empty())
}

/// Why a stored grant cannot be used with the live connector.
fn unusable_reason(
    connector: &Connector,
    current: &Authorization,
    grant: &Authorized,
    required: Option<&RequiredBinding>,
    decrypts: impl Fn(&Authorization) -> bool,
) -> Option<Reason> {
    let Some(required) = required else {
        return Some(Reason::ConnectorChanged);
    };
    if required.digest != current.owner().digest || current.owner().epoch != connector.epoch {
        return Some(Reason::ConnectorChanged);
    }
    if !grant.tokens().scopes.covers(&required.required_scopes) {
        return Some(Reason::InsufficientScope);
    }
    (!decrypts(current)).then_some(Reason::Undecryptable)
}

impl Reason {
    fn of_expiry(cause: ExpiredCause) -> Option<Self> {
        match cause {
            ExpiredCause::FlowTimedOut => None,
            ExpiredCause::AccessTokenExpired => Some(Self::AccessTokenExpired),
            ExpiredCause::RefreshTokenExpired => Some(Self::RefreshTokenExpired),
            ExpiredCause::RefreshRejected => Some(Self::RefreshRejected),
            ExpiredCause::ConnectorChanged => Some(Self::ConnectorChanged),
            ExpiredCause::InsufficientScope => Some(Self::InsufficientScope),
        }
    }
}

impl ProviderNote {
    fn of_refresh(refresh: &RefreshState) -> Option<Self> {
        let failing_since = refresh.failing_since?;
        Some(match refresh.last_refusal {
            Some(_) => Self::RefreshRefusedSince(refresh.refused_since.unwrap_or(failing_since)),
            None => Self::UnreachableSince(failing_since),
        })
    }
}

impl PendingFlow {
    fn of(flow: &Authorization) -> Option<Self> {
        let expires_at = match flow.state() {
            State::Initiated(initiated) => initiated.deadline(),
            State::AwaitingCallback(awaiting) => awaiting.deadline(),
            State::Authorized(_) | State::Expired(_) | State::Revoked(_) => return None,
        };
        Some(Self { id: flow.id(), expires_at })
    }
}

impl ConnectorStatus {
    /// The status at a shared connector.
    pub fn not_applicable() -> Self {
        Self { user_auth_status: UserAuthStatus::NotApplicable, connections: Vec::new(), default_connection: None }
    }

    /// With the note that the provider refuses the client, which concerns every connection in use.
    #[must_use]
    pub fn with_client_refused(mut self, since: Option<Timestamp>) -> Self {
        if let Some(since) = since {
            for connection in self.connections.iter_mut().filter(|connection| connection.kind == StatusKind::Connected) {
                connection.provider_note = Some(ProviderNote::ClientRefusedSince(since));
            }
        }
        self
    }

    /// The connection that stands for the connector where only one is shown. A grant, or one that needs reauthorization,
    /// takes precedence over a flow, and a flow over a closed connection. Among equals it is the user's default, else the
    /// one named `default`, else the first one; a plain `not_connected` without any.
    pub fn shown(&self) -> ConnectionStatus {
        let unnamed = ConnectionName::default();
        let rank = |status: &&ConnectionStatus| {
            let kind = match status.kind {
                StatusKind::NotConnected => 0,
                StatusKind::Connecting => 1,
                StatusKind::Connected | StatusKind::NeedsReauthorization => 2,
            };
            let is_default = self.default_connection.as_ref() == Some(&status.connection);
            (kind, is_default, status.connection == unnamed)
        };
        // The first of equals: `max_by_key` returns the last one.
        let shown = self.connections.iter().rev().max_by_key(rank).cloned();
        shown.unwrap_or_else(|| ConnectionStatus::plain(unnamed.clone(), StatusKind::NotConnected))
    }
}

impl ConnectionStatus {
    /// A status without further facts.
    pub fn plain(connection: ConnectionName, kind: StatusKind) -> Self {
        Self {
            connection,
            kind,
            flow: None,
            reason: None,
            since: None,
            account: None,
            scopes: None,
            missing_scopes: None,
            last_used_day: None,
            provider_note: None,
        }
    }

    /// Whether a reconnect is waiting beside a grant, or beside a former grant that needs it.
    pub fn is_reconnecting(&self) -> bool {
        self.flow.is_some() && matches!(self.kind, StatusKind::Connected | StatusKind::NeedsReauthorization)
    }

    /// A disconnected connection is listed while its revocation has something to report; the one named `default` always.
    fn is_worth_listing(&self) -> bool {
        self.kind != StatusKind::NotConnected || self.provider_note.is_some() || self.connection == ConnectionName::default()
    }

    fn of_former(self, reason: Option<Reason>, end: &Termination) -> Self {
        let EndedKind::Grant { account, revocation, .. } = &end.kind else {
            return Self::plain(self.connection, StatusKind::NotConnected);
        };
        let provider_note = match revocation {
            Revocation::Pending(_) => Some(ProviderNote::RevocationPending),
            Revocation::Completed(RevocationOutcome::Abandoned) => Some(ProviderNote::RevocationAbandoned),
            Revocation::Completed(RevocationOutcome::NotSupported) => Some(ProviderNote::RevocationNotSupported),
            Revocation::Completed(RevocationOutcome::Revoked | RevocationOutcome::NotNeeded) => None,
        };
        let last_used_day = end.last_used_day();
        Self { reason, since: Some(end.since), account: account.clone(), last_used_day, provider_note, ..self }
    }
}

/// The status of a flow, for the user who started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowStatus {
    /// Not finished.
    Awaiting,
    /// It became a grant, which may have ended since.
    Authorized,
    /// It failed, with a stable code.
    Failed(FlowFailure),
    /// Its deadline passed.
    Expired,
    /// The user cancelled it, or a newer flow superseded it.
    Cancelled,
}

/// Why a flow failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowFailure {
    /// Consent was denied.
    AccessDenied,
    /// Something else.
    Code(FailureCode),
}

impl FlowFailure {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::Code(code) => code.as_str(),
        }
    }
}

impl FlowStatus {
    /// The status of a flow at an instant.
    pub fn of(flow: &Authorization, now: Timestamp) -> Self {
        match flow.clone().at(now).state() {
            State::Initiated(_) | State::AwaitingCallback(_) => Self::Awaiting,
            State::Authorized(_) => Self::Authorized,
            State::Expired(ended) => match ended.termination().kind {
                EndedKind::Flow { .. } => Self::Expired,
                EndedKind::Grant { .. } if ended.insufficient_scopes().is_some() => {
                    Self::Failed(FlowFailure::Code(FailureCode::InsufficientScope))
                }
                EndedKind::Grant { .. } => Self::Authorized,
            },
            State::Revoked(ended) => match (&ended.termination().kind, ended.cause()) {
                (EndedKind::Grant { .. }, _) => Self::Authorized,
                (EndedKind::Flow { .. }, RevokedCause::Failed(code)) => Self::Failed(FlowFailure::Code(code)),
                (EndedKind::Flow { .. }, RevokedCause::Terminated(cause)) => Self::of_ended_flow(cause),
            },
        }
    }

    fn of_ended_flow(cause: TerminationCause) -> Self {
        match cause {
            TerminationCause::Denied => Self::Failed(FlowFailure::AccessDenied),
            TerminationCause::ConnectorDeleted | TerminationCause::SpaceRemoved => {
                Self::Failed(FlowFailure::Code(FailureCode::ConnectorGone))
            }
            TerminationCause::UserRemoved => Self::Failed(FlowFailure::Code(FailureCode::UserDeprovisioned)),
            TerminationCause::UserDisabled | TerminationCause::PermissionLost => {
                Self::Failed(FlowFailure::Code(FailureCode::PermissionLost))
            }
            TerminationCause::Disconnected
            | TerminationCause::Cancelled
            | TerminationCause::Superseded
            | TerminationCause::Unused
            | TerminationCause::Admin => Self::Cancelled,
        }
    }

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Awaiting => "awaiting",
            Self::Authorized => "authorized",
            Self::Failed(_) => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

//! What a user is told: one function for every route, so that get-one, get-all and bulk status always agree.

use crate::authorization::cause::{ExpiredCause, FailureCode, RevocationOutcome, RevokedCause, TerminationCause, named};
use crate::authorization::state::{EndedKind, Revocation, State};
use crate::authorization::{Authorization, AuthorizationId};
use crate::connector::{AuthMode, Connector};
use crate::provider::{BindingDigest, Scopes};
use crate::time::Timestamp;

named!(
    /// Whether a user is connected to a connector.
    StatusKind {
        /// A shared connector: there is nothing for the user to connect.
        NotApplicable = "not_applicable",
        /// No grant, and none in the making.
        NotConnected = "not_connected",
        /// A first attempt is under way.
        Connecting = "connecting",
        /// There is a usable grant.
        Connected = "connected",
        /// There was one, and the user must consent again.
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
        /// The connector now requires a scope this grant does not have.
        InsufficientScope = "insufficient_scope",
        /// The envelope does not open; computed, never written, and over when the key is back.
        Undecryptable = "undecryptable",
        /// The API refused a freshly renewed token: only ever said to callers that wanted to use it.
        TokenRejected = "token_rejected",
        /// No grant: only ever said to callers that need one.
        NotConnected = "not_connected",
    }
);

/// A user's status on one connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthStatus {
    /// The status.
    pub kind: StatusKind,
    /// A reconnect is under way beside a working grant, or beside one that needs it.
    pub pending: bool,
    /// The attempt under way, if any.
    pub flow: Option<PendingFlow>,
    /// Why consent is needed again.
    pub reason: Option<Reason>,
    /// Since when it has been so.
    pub since: Option<Timestamp>,
    /// Account label at the provider.
    pub account: Option<String>,
    /// Day of last use, in days since the Unix epoch.
    pub last_used_day: Option<i64>,
    /// Something worth saying about the provider.
    pub provider_note: Option<ProviderNote>,
}

/// An attempt under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingFlow {
    /// The flow.
    pub id: AuthorizationId,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// What the provider's side looks like when the status alone would hide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderNote {
    /// Connected, but renewals have failed since then for reasons that do not end a grant.
    UnreachableSince(Timestamp),
    /// Removed here; the provider has not confirmed the revocation yet.
    RevocationPending,
    /// Removed here; the provider never confirmed the revocation (R50).
    RevocationUnconfirmed,
    /// Removed here; the provider offers no revocation.
    RevocationNotSupported,
}

/// Everything the status of one user on one connector depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusView {
    /// The connector as it is now.
    pub connector: Connector,
    /// The `Authorized` row, if any.
    pub grant: Option<Authorization>,
    /// Otherwise the newest former grant, if any.
    pub former: Option<Authorization>,
    /// The unconsumed or running flow, if any.
    pub pending: Option<Authorization>,
}

/// Live facts about the connector that a grant is judged by. `None` where the configuration cannot be understood any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredBinding {
    /// The digest of the live configuration.
    pub digest: BindingDigest,
    /// Scopes without which consent is needed again.
    pub required_scopes: Scopes,
}

/// The one status function. `opens` tells whether the grant's envelope opens with the keys at hand.
pub fn status(
    view: &StatusView,
    demands: Option<&RequiredBinding>,
    opens: impl FnOnce(&Authorization) -> bool,
    now: Timestamp,
) -> AuthStatus {
    if view.connector.auth_mode == AuthMode::Shared {
        return AuthStatus::plain(StatusKind::NotApplicable);
    }
    let flow = view.pending.clone().map(|flow| flow.at(now)).and_then(|flow| {
        let expires_at = match flow.state() {
            State::Initiated(initiated) => initiated.deadline,
            State::AwaitingCallback(awaiting) => awaiting.deadline,
            State::Authorized(_) | State::Expired(_) | State::Revoked(_) => return None,
        };
        Some(PendingFlow { id: flow.id(), expires_at })
    });
    AuthStatus { flow, ..judged(view, demands, opens, flow.is_some(), now) }
}

/// The status, given whether an attempt is under way.
fn judged(
    view: &StatusView,
    demands: Option<&RequiredBinding>,
    opens: impl FnOnce(&Authorization) -> bool,
    pending: bool,
    now: Timestamp,
) -> AuthStatus {
    // A grant that lapsed without anybody looking counts as the former grant it will be recorded as.
    let current = view.grant.clone().or_else(|| view.former.clone()).map(|grant| grant.at(now));
    let Some(current) = current else {
        return AuthStatus::plain(if pending { StatusKind::Connecting } else { StatusKind::NotConnected });
    };
    let mut answer = match current.state() {
        State::Authorized(grant) => {
            let reason = match demands {
                Some(demands) if demands.digest != current.owner().digest => Some(Reason::ConnectorChanged),
                None => Some(Reason::ConnectorChanged),
                Some(_) if current.owner().epoch != view.connector.epoch => Some(Reason::ConnectorChanged),
                Some(demands) if !grant.tokens().scopes.covers(&demands.required_scopes) => Some(Reason::InsufficientScope),
                Some(_) if !opens(&current) => Some(Reason::Undecryptable),
                Some(_) => None,
            };
            let kind = if reason.is_some() { StatusKind::NeedsReauthorization } else { StatusKind::Connected };
            AuthStatus {
                reason,
                since: Some(grant.authorized_at()),
                account: grant.tokens().account.clone(),
                last_used_day: Some(grant.last_used_day()),
                provider_note: grant.refresh().failing_since.map(ProviderNote::UnreachableSince),
                ..AuthStatus::plain(kind)
            }
        }
        State::Expired(ended) => AuthStatus::former(Reason::of_expiry(ended.cause()), ended.termination()),
        State::Revoked(ended) => {
            let reason = (ended.cause() == RevokedCause::Terminated(TerminationCause::Admin)).then_some(Reason::Admin);
            AuthStatus::former(reason, ended.termination())
        }
        State::Initiated(_) | State::AwaitingCallback(_) => AuthStatus::plain(StatusKind::NotConnected),
    };
    match answer.kind {
        StatusKind::NotConnected if pending => {
            return AuthStatus::plain(StatusKind::Connecting);
        }
        StatusKind::Connected | StatusKind::NeedsReauthorization => answer.pending = pending,
        StatusKind::NotConnected | StatusKind::NotApplicable | StatusKind::Connecting => {}
    }
    answer
}

impl Reason {
    pub(crate) fn of_expiry(cause: ExpiredCause) -> Option<Self> {
        match cause {
            ExpiredCause::FlowTimedOut => None,
            ExpiredCause::AccessTokenExpired => Some(Self::AccessTokenExpired),
            ExpiredCause::RefreshTokenExpired => Some(Self::RefreshTokenExpired),
            ExpiredCause::RefreshRejected => Some(Self::RefreshRejected),
            ExpiredCause::ConnectorChanged => Some(Self::ConnectorChanged),
        }
    }
}

impl AuthStatus {
    /// A status without further facts.
    pub fn plain(kind: StatusKind) -> Self {
        Self {
            kind,
            pending: false,
            flow: None,
            reason: None,
            since: None,
            account: None,
            last_used_day: None,
            provider_note: None,
        }
    }

    fn former(reason: Option<Reason>, end: &crate::authorization::Termination) -> Self {
        let EndedKind::Grant { account, revocation, .. } = &end.kind else {
            return Self::plain(StatusKind::NotConnected);
        };
        let kind = if reason.is_some() { StatusKind::NeedsReauthorization } else { StatusKind::NotConnected };
        let provider_note = match revocation {
            Revocation::Pending(_) => Some(ProviderNote::RevocationPending),
            Revocation::Completed(RevocationOutcome::Abandoned) => Some(ProviderNote::RevocationUnconfirmed),
            Revocation::Completed(RevocationOutcome::NotSupported) => Some(ProviderNote::RevocationNotSupported),
            Revocation::Completed(RevocationOutcome::Revoked | RevocationOutcome::NotNeeded) => None,
        };
        Self { reason, since: Some(end.since), account: account.clone(), provider_note, ..Self::plain(kind) }
    }
}

/// Where a flow stands, for its starter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowStatus {
    /// Not finished.
    Awaiting,
    /// It became a grant, whatever became of that later.
    Authorized,
    /// It failed, with a stable code.
    Failed(FlowFailure),
    /// Its deadline passed.
    Expired,
    /// The user cancelled it, or a newer attempt took its place.
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
                EndedKind::Flow => Self::Expired,
                EndedKind::Grant { .. } => Self::Authorized,
            },
            State::Revoked(ended) => match (&ended.termination().kind, ended.cause()) {
                (EndedKind::Grant { .. }, _) => Self::Authorized,
                (EndedKind::Flow, RevokedCause::Failed(code)) => Self::Failed(FlowFailure::Code(code)),
                (EndedKind::Flow, RevokedCause::Terminated(cause)) => Self::of_ended_flow(cause),
            },
        }
    }

    fn of_ended_flow(cause: TerminationCause) -> Self {
        match cause {
            TerminationCause::Denied => Self::Failed(FlowFailure::AccessDenied),
            TerminationCause::ConnectorDeleted | TerminationCause::ConnectorDisabled | TerminationCause::SpaceRemoved => {
                Self::Failed(FlowFailure::Code(FailureCode::ConnectorGone))
            }
            TerminationCause::UserRemoved | TerminationCause::UserDisabled | TerminationCause::PermissionLost => {
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

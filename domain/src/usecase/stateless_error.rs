//! An authorization error without `state`: some providers omit it when the user denies access (RFC 6749 §4.1.2.1 requires it).
//!
//! Nothing in the redirect names the flow, so the flow is the one that cookie, user and callback path name together, if they
//! name exactly one. Only errors are accepted this way: they can end a flow and never grant anything.

use crate::authorization::{Authorization, AuthorizationId, FailureCode, FlowCookieHash, FlowFailure, FlowSecrets, State};
use crate::connector::CallbackId;
use crate::encoding::sha256;
use crate::identity::{Actor, UserId};
use crate::ports::{AssociatedData, AuditEvent, AuditKind, Operation, Versioned, WriteOutcome};
use crate::provider::Callback;
use crate::secret::{Secret, equal_in_constant_time};
use crate::time::Timestamp;
use crate::usecase::callback::{CallbackRefused, Completed, Outcome, end_of};
use crate::usecase::flows::Flows;

/// Most flow cookies of one browser: twice the default of [`PendingLimits::per_user`](crate::ports::PendingLimits), because the
/// cookies of replaced and expired flows stay for a while.
pub const MOST_FLOW_COOKIES: usize = 20;

/// An error at the callback of one connector, without `state`.
pub struct StatelessError {
    /// The user of the session.
    pub user: UserId,
    /// The flow cookies that the browser sent, with the flows in their names.
    pub flow_cookies: Vec<(AuthorizationId, Secret)>,
    /// The callback id in the path.
    pub callback_id: CallbackId,
    /// The `iss` parameter (RFC 9207).
    pub issuer: Option<String>,
    /// Whether the error is `access_denied`.
    pub denied: bool,
}

impl Flows {
    /// Ends the flow that the request names. `None` if there is none, or more than one; then nothing is changed, and the request
    /// is counted. Requests of other sites must not use up the limit of the one that ends a flow.
    pub(super) async fn end_without_state(&self, request: StatelessError) -> Result<Option<Completed>, CallbackRefused> {
        let now = self.store_clock.now().await?;
        let Some((stored, secrets)) = self.named(&request, now).await? else {
            self.limit_user(&request.user, Operation::Callback).await?;
            return Ok(None);
        };
        self.end(stored, secrets, request, now).await
    }

    /// The only flow that the request names. More cookies than a browser keeps name no single flow, and are not looked up.
    async fn named(
        &self,
        request: &StatelessError,
        now: Timestamp,
    ) -> Result<Option<(Versioned<Authorization>, FlowSecrets)>, CallbackRefused> {
        if request.flow_cookies.len() > MOST_FLOW_COOKIES {
            return Ok(None);
        }
        let mut named = Vec::new();
        for (id, cookie) in &request.flow_cookies {
            if let Some(stored) = self.authorizations.find(*id).await?
                && let Some(secrets) = self.pending_secrets(&stored.value, request, cookie, now)
            {
                named.push((stored, secrets));
            }
        }
        Ok(named.pop().filter(|_| named.is_empty()))
    }

    /// The secrets of a pending flow of this user, browser and callback path.
    fn pending_secrets(
        &self,
        flow: &Authorization,
        request: &StatelessError,
        cookie: &Secret,
        now: Timestamp,
    ) -> Option<FlowSecrets> {
        let flow = flow.clone().at(now);
        let State::AwaitingCallback(awaiting) = flow.state() else { return None };
        let FlowCookieHash(expected) = awaiting.flow_cookie_hash();
        let is_owner = flow.owner().user == request.user && equal_in_constant_time(&sha256(cookie.expose()), &expected);
        let sealed = awaiting.sealed().filter(|_| is_owner && !awaiting.is_consumed())?;
        let associated = AssociatedData::Flow {
            owner: flow.owner().clone(),
            state: awaiting.state_hash(),
            flow_cookie_hash: awaiting.flow_cookie_hash(),
        };
        let secrets = self.sealer.open_flow(&associated, sealed).ok()?;
        let is_path = secrets.provider.redirect_uri == self.settings.callback_url(Callback::Connector(request.callback_id));
        let is_issuer = match (&request.issuer, &secrets.provider.issuer) {
            (Some(presented), Some(expected)) => presented == expected,
            (None, _) | (Some(_), None) => true,
        };
        (is_path && is_issuer).then_some(secrets)
    }

    async fn end(
        &self,
        stored: Versioned<Authorization>,
        secrets: FlowSecrets,
        request: StatelessError,
        now: Timestamp,
    ) -> Result<Option<Completed>, CallbackRefused> {
        let (id, owner) = (stored.value.id(), stored.value.owner().clone());
        let failure = if request.denied { FlowFailure::AccessDenied } else { FlowFailure::Code(FailureCode::ProviderError) };
        let (input, outcome) = end_of(failure);
        let Ok(ended) = stored.value.on(input, now) else { return Ok(None) };
        let actor = Actor::Person(request.user);
        let ended = ended.ended_by(&actor);
        let event = AuditEvent::new(AuditKind::FlowEnded, actor, now).about(&owner, id);
        match self.authorizations.replace(ended, stored.version, vec![event.outcome(outcome)]).await? {
            WriteOutcome::Written => Ok(Some(Completed {
                flow_id: id,
                space: owner.space,
                connector: owner.connector,
                connection: owner.connection,
                return_path: secrets.return_path,
                outcome: Outcome::Failed(failure),
            })),
            // It was completed or ended concurrently.
            WriteOutcome::Stale(_) | WriteOutcome::NotFound => Ok(None),
        }
    }
}

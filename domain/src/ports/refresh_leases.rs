//! Leases: only one node refreshes a grant at a time.

use std::time::Duration;

use async_trait::async_trait;

use crate::authorization::{Authorization, AuthorizationId, Revision};
use crate::ports::{AuditEvent, StoreError, Versioned};
use crate::time::Timestamp;

/// A lease for one refresh attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The grant.
    pub id: AuthorizationId,
    /// The revision the caller read.
    pub revision: Revision,
    /// Random per attempt.
    pub holder: [u8; 16],
    /// Duration of the lease: request deadline plus quarantine.
    pub length: Duration,
    /// A lease that ends later than this from now is implausible: it counts as in doubt and can be taken.
    pub longest: Duration,
}

/// The result of asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// Taken; the grant is durably in doubt from now on.
    Taken {
        /// The grant, with the lease in it.
        grant: Box<Versioned<Authorization>>,
        /// Whether the outcome of an earlier attempt is unknown.
        was_in_doubt: bool,
    },
    /// Another attempt holds it, or the last attempt failed and the pause after it is not over.
    Held {
        /// Until when.
        until: Timestamp,
        /// The grant.
        grant: Box<Versioned<Authorization>>,
    },
    /// The grant has another revision or another state now.
    Stale(Box<Versioned<Authorization>>),
    /// There is no such authorization.
    NotFound,
}

/// The end of an attempt that returned no tokens and did not end the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Whether the outcome is known, which clears the in-doubt mark.
    pub outcome_known: bool,
    /// No other attempt before this instant.
    pub not_before: Timestamp,
    /// The refusal, if the provider refused; `None` for a failure that concerns neither grant nor client.
    pub refusal: Option<Refusal>,
}

/// A refused attempt that did not end the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status; 0 if there was none.
    pub http_status: u16,
    /// Whether it counts towards the end of the grant.
    pub counts: bool,
}

/// Takes and releases leases with the store's clock.
///
/// ```
/// use grantry_domain::ports::{Lease, LeaseRequest, RefreshLeases, StoreError};
///
/// /// Whether this process may refresh.
/// async fn may_refresh(leases: &dyn RefreshLeases, request: LeaseRequest) -> Result<bool, StoreError> {
///     Ok(matches!(leases.take_lease(request).await?, Lease::Taken { .. }))
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RefreshLeases: Send + Sync {
    /// Takes the lease of an `Authorized` authorization and sets its in-doubt mark, in one conditional update. If the grant was
    /// in doubt, [`AuditEvent::of_retry`] is written with it: the request that follows can be a reuse of the refresh token.
    async fn take_lease(&self, request: LeaseRequest) -> Result<Lease, StoreError>;

    /// Records a failed attempt: counts it and its refusal, keeps or clears the in-doubt mark, and postpones the next one. Applies only
    /// while `holder` holds the lease.
    async fn fail_attempt(
        &self,
        id: AuthorizationId,
        holder: [u8; 16],
        attempt: FailedAttempt,
        audit: Vec<AuditEvent>,
    ) -> Result<(), StoreError>;
}

//! Times and limits of the use cases.

use std::time::Duration;

use thiserror::Error;

use crate::ports::{PendingLimits, SweepPolicy};

const DAY: Duration = Duration::from_hours(24);
/// Rows that are kept longer are kept by mistake.
const LONGEST_RETENTION: Duration = Duration::from_hours(24 * 3650);

/// A time or limit that is outside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{setting} {problem}")]
pub struct InvalidPolicy {
    /// The setting.
    pub setting: &'static str,
    /// What is wrong, as a predicate of the setting.
    pub problem: &'static str,
}

/// Where audit events of access tokens go, and what happens to access tokens while they cannot be stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnAuditFailure {
    /// Events go to the sink directly, if it takes them, else to the store. Access tokens are issued all the same: events that
    /// cannot be stored are kept in memory and, once that is full, counted.
    #[default]
    Continue,
    /// Events go to the store. Access tokens are refused while it accepts none.
    Refuse,
}

/// All times and limits of the use cases. The default is meant for production.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Time from start to callback: 30 seconds to 10 minutes.
    pub flow_ttl: Duration,
    /// Limits on flows that are not finished.
    pub pending: PendingLimits,
    /// How long one request to a provider may take, measured on the monotonic clock; at most 5 minutes.
    pub request_deadline: Duration,
    /// How long after that a delayed request may still arrive at the provider: 30 seconds to 1 hour.
    pub quarantine: Duration,
    /// Lifetime of an access token whose provider does not define one; at most 365 days.
    pub assumed_lifetime: Duration,
    /// How many unclear refusals of a refresh end a grant. A refusal is unclear if it is a 4xx that names neither the grant
    /// nor the client as its reason.
    pub refusals: u32,
    /// How long such refusals must have lasted, from the first one.
    pub refusal_window: Duration,
    /// How long disconnect waits for a running refresh; at most 5 minutes.
    pub disconnect_wait: Duration,
    /// How long a revocation is tried before it is abandoned; at most 24 h.
    pub abandon_revocation_after: Duration,
    /// Retention of authorizations; at most 10 years each.
    pub sweep: SweepPolicy,
    /// Whether access tokens are issued without an audit trail.
    pub on_audit_failure: OnAuditFailure,
}

/// The lower bounds of a policy. A test may pass smaller ones; production uses the default.
#[derive(Debug, Clone, Copy)]
pub struct PolicyBounds {
    /// Of [`Policy::flow_ttl`].
    pub flow_ttl: Duration,
    /// Of [`Policy::quarantine`].
    pub quarantine: Duration,
    /// Of [`Policy::refusal_window`].
    pub refusal_window: Duration,
    /// Of [`SweepPolicy::unused_grants`].
    pub unused_grants: Duration,
}

impl Default for PolicyBounds {
    fn default() -> Self {
        Self {
            flow_ttl: Duration::from_secs(30),
            quarantine: Duration::from_secs(30),
            refusal_window: Duration::from_mins(1),
            unused_grants: DAY,
        }
    }
}

impl PolicyBounds {
    /// No lower bounds.
    pub const NONE: Self = Self {
        flow_ttl: Duration::ZERO,
        quarantine: Duration::ZERO,
        refusal_window: Duration::ZERO,
        unused_grants: Duration::ZERO,
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            flow_ttl: Duration::from_mins(10),
            pending: PendingLimits { per_user: 10, deployment: 100_000 },
            request_deadline: Duration::from_secs(15),
            quarantine: Duration::from_secs(30),
            assumed_lifetime: Duration::from_hours(1),
            refusals: 3,
            refusal_window: Duration::from_mins(10),
            disconnect_wait: Duration::from_secs(5),
            abandon_revocation_after: DAY,
            sweep: SweepPolicy { unused_grants: 90 * DAY, ended_flows: DAY, ended_grants: 30 * DAY, batch: 500 },
            on_audit_failure: OnAuditFailure::Continue,
        }
    }
}

impl Policy {
    /// How long a refresh lease lasts.
    pub fn lease_length(&self) -> Duration {
        self.request_deadline.saturating_add(self.quarantine)
    }

    /// Refuses times and limits outside their bounds.
    pub fn check(&self, bounds: &PolicyBounds) -> Result<(), InvalidPolicy> {
        let refuse = |setting, problem| Err(InvalidPolicy { setting, problem });
        if self.flow_ttl > Duration::from_mins(10) || self.flow_ttl < bounds.flow_ttl {
            return refuse("oauth.flow_ttl", "must be between 30 seconds and 10 minutes");
        }
        if self.pending.per_user == 0 || self.pending.per_user > 10 {
            return refuse("oauth.pending_per_user", "must be between 1 and 10");
        }
        if self.pending.deployment == 0 {
            return refuse("pending.deployment", "must be at least 1");
        }
        if self.request_deadline.is_zero() || self.request_deadline > Duration::from_mins(5) {
            return refuse("request_deadline", "must be more than zero and at most 5 minutes");
        }
        if self.quarantine < bounds.quarantine || self.quarantine > Duration::from_hours(1) {
            return refuse("quarantine", "must be between 30 seconds and 1 hour");
        }
        if self.assumed_lifetime.is_zero() || self.assumed_lifetime > 365 * DAY {
            return refuse("assumed_lifetime", "must be more than zero and at most 365 days");
        }
        if self.disconnect_wait > Duration::from_mins(5) {
            return refuse("disconnect_wait", "must not exceed 5 minutes");
        }
        if self.abandon_revocation_after.is_zero() || self.abandon_revocation_after > DAY {
            return refuse("abandon_revocation_after", "must be more than zero and at most 24 hours");
        }
        if self.refusals == 0 || self.refusals > 100 {
            return refuse("oauth.refusals", "must be between 1 and 100");
        }
        if self.refusal_window > DAY || self.refusal_window < bounds.refusal_window {
            return refuse("oauth.refusal_window", "must be between 1 minute and 24 hours");
        }
        if self.sweep.unused_grants < bounds.unused_grants || self.sweep.unused_grants > LONGEST_RETENTION {
            return refuse("retention.unused_grants", "must be between one day and 10 years");
        }
        if self.sweep.ended_flows > LONGEST_RETENTION {
            return refuse("sweep.ended_flows", "must not exceed 10 years");
        }
        if self.sweep.ended_grants > LONGEST_RETENTION {
            return refuse("sweep.ended_grants", "must not exceed 10 years");
        }
        if self.sweep.batch == 0 {
            return refuse("sweep.batch", "must be at least 1");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r18_r40_limits_below_the_requirements_are_refused() {
        let bounds = PolicyBounds::default();
        assert!(Policy::default().check(&bounds).is_ok());
        let refused = |policy: Policy| policy.check(&bounds).unwrap_err().setting;
        assert_eq!(refused(Policy { flow_ttl: Duration::from_secs(601), ..Policy::default() }), "oauth.flow_ttl");
        assert_eq!(refused(Policy { flow_ttl: Duration::from_secs(29), ..Policy::default() }), "oauth.flow_ttl");
        assert_eq!(refused(Policy { quarantine: Duration::from_secs(29), ..Policy::default() }), "quarantine");
        assert_eq!(refused(Policy { refusals: 0, ..Policy::default() }), "oauth.refusals");
        let window = |refusal_window| refused(Policy { refusal_window, ..Policy::default() });
        assert_eq!(window(Duration::from_secs(59)), "oauth.refusal_window");
        assert_eq!(window(DAY + Duration::from_secs(1)), "oauth.refusal_window");
        let sweep = SweepPolicy { unused_grants: Duration::from_hours(23), ..Policy::default().sweep };
        assert_eq!(refused(Policy { sweep, ..Policy::default() }), "retention.unused_grants");
    }

    #[test]
    fn values_that_stop_or_never_end_the_work_are_refused() {
        let base = Policy::default;
        let (never, always) = (Duration::ZERO, Duration::MAX);
        let sweep = |change: fn(&mut SweepPolicy)| {
            let mut policy = base();
            change(&mut policy.sweep);
            policy
        };
        for (setting, policy) in [
            ("pending.deployment", Policy { pending: PendingLimits { deployment: 0, ..base().pending }, ..base() }),
            ("request_deadline", Policy { request_deadline: never, ..base() }),
            ("request_deadline", Policy { request_deadline: always, ..base() }),
            ("quarantine", Policy { quarantine: always, ..base() }),
            ("assumed_lifetime", Policy { assumed_lifetime: never, ..base() }),
            ("assumed_lifetime", Policy { assumed_lifetime: always, ..base() }),
            ("disconnect_wait", Policy { disconnect_wait: always, ..base() }),
            ("abandon_revocation_after", Policy { abandon_revocation_after: never, ..base() }),
            ("retention.unused_grants", sweep(|sweep| sweep.unused_grants = Duration::MAX)),
            ("sweep.ended_flows", sweep(|sweep| sweep.ended_flows = Duration::MAX)),
            ("sweep.ended_grants", sweep(|sweep| sweep.ended_grants = Duration::MAX)),
            ("sweep.batch", sweep(|sweep| sweep.batch = 0)),
        ] {
            assert_eq!(policy.check(&PolicyBounds::NONE).unwrap_err().setting, setting, "{policy:?}");
        }
        let longest = Policy { request_deadline: always, quarantine: always, ..base() };
        assert_eq!(longest.lease_length(), Duration::MAX);
    }

    #[test]
    fn a_test_may_pass_smaller_bounds_but_no_larger_limits() {
        let short = Policy { flow_ttl: Duration::from_secs(1), quarantine: Duration::ZERO, ..Policy::default() };
        assert!(short.check(&PolicyBounds::NONE).is_ok());
        let long = Policy { abandon_revocation_after: 2 * DAY, ..short };
        assert!(long.check(&PolicyBounds::NONE).is_err());
    }
}

//! What a failed refresh means.

use std::time::Duration;

use crate::authorization::RefreshState;
use crate::ports::ProviderErrorKind;
use crate::time::Timestamp;
use crate::usecase::policy::Policy;
use crate::usecase::refresh::RefreshGoal;

/// The meaning of an error at a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The refresh token is not valid: the grant has ended.
    Rejected,
    /// A refusal that does not name its reason: it may concern this grant alone, or pass.
    Unclear,
    /// The provider refused the client, at least for one grant.
    Client,
    /// The configuration does not allow the request.
    NotAllowed,
    /// Nothing is known about the grant.
    Unavailable,
}

impl Meaning {
    pub(super) fn of(kind: ProviderErrorKind) -> Self {
        match kind {
            ProviderErrorKind::InvalidGrant => Self::Rejected,
            // Some providers return `unauthorized_client` for one dead refresh token, so it is not about the client.
            ProviderErrorKind::GrantTypeRefused | ProviderErrorKind::OtherOauthError | ProviderErrorKind::Refused => {
                Self::Unclear
            }
            ProviderErrorKind::ClientRefused => Self::Client,
            ProviderErrorKind::NotAllowed | ProviderErrorKind::BadMetadata => Self::NotAllowed,
            ProviderErrorKind::Throttled { .. }
            | ProviderErrorKind::NotSent
            | ProviderErrorKind::NoResponse
            | ProviderErrorKind::Malformed => Self::Unavailable,
        }
    }
}

/// Whether one more unclear refusal ends the grant: enough of them over enough time, and no access token is left to lose. One
/// that never expires is lost only if an API rejected it. One that has not expired can still be valid at another API.
pub(super) fn ends_grant(
    policy: &Policy,
    refresh: &RefreshState,
    goal: RefreshGoal,
    access_token_expires_at: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let is_lost = match goal {
        RefreshGoal::Fresh => access_token_expires_at.is_some_and(|expires_at| now >= expires_at),
        RefreshGoal::Replace(_) => access_token_expires_at.is_none_or(|expires_at| now >= expires_at),
    };
    let lasted = refresh.refused_since.map_or(Duration::ZERO, |since| now.since(since));
    refresh.refusals.saturating_add(1) >= policy.refusals && lasted >= policy.refusal_window && is_lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r39_enough_refusals_over_enough_time_end_a_grant_whose_access_token_has_expired() {
        let (policy, now) = (Policy::default(), Timestamp::from_millis(100_000_000));
        let after =
            |refusals, span| RefreshState { refusals, refused_since: Some(now.minus(span)), ..RefreshState::default() };
        let (window, moment) = (policy.refusal_window, Duration::from_millis(1));
        let too_short = window.saturating_sub(moment);
        let (fresh, replace) = (RefreshGoal::Fresh, RefreshGoal::Replace([1; 32]));
        for (before, goal, expires_at, ends) in [
            (after(2, window), fresh, Some(now), true),
            (after(1, window), fresh, Some(now), false),
            (after(2, too_short), fresh, Some(now), false),
            (after(9, too_short), fresh, Some(now), false),
            (after(2, window), fresh, Some(now.plus(moment)), false),
            (after(2, window), fresh, None, false),
            (RefreshState::default(), fresh, Some(now), false),
            (after(2, window), replace, Some(now), true),
            (after(2, window), replace, Some(now.plus(moment)), false),
            (after(2, window), replace, None, true),
            (after(1, window), replace, None, false),
            (after(2, too_short), replace, None, false),
        ] {
            assert_eq!(ends_grant(&policy, &before, goal, expires_at, now), ends, "{before:?} {goal:?} {expires_at:?}");
        }
    }
}

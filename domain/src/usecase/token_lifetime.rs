//! Lifetimes of tokens: when they expire, when they are refreshed, and what a refresh carries over.

use std::time::Duration;

use crate::authorization::{AuthorizationId, FlowSecrets, GrantSecrets, Revision};
use crate::connector::Epoch;
use crate::ports::{Lifetime, TokenResponse};
use crate::secret::Secret;
use crate::time::Timestamp;

/// How much of its lifetime a token must have left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// More than the margin.
    Fresh,
    /// Any.
    Valid,
}

/// How far ahead of the present a token can have been requested: by another node, whose clock differs.
const AHEAD: Duration = Duration::from_mins(10);

/// Whether a token may be issued at an instant. Uses the sealed times, never the columns.
///
/// The expiry of a token that was requested while the clock was ahead is not known after the clock was set back. Such a token is
/// refreshed, if it can be.
pub(crate) fn is_issuable(
    secrets: &GrantSecrets,
    id: AuthorizationId,
    now: Timestamp,
    freshness: Freshness,
    longest_margin: Option<Duration>,
) -> bool {
    if secrets.issued_at > now.plus(AHEAD) && secrets.refresh_token.is_some() && secrets.expires_at.is_some() {
        return false;
    }
    match (secrets.expires_at, freshness) {
        (None, _) => true,
        (Some(expires_at), Freshness::Valid) => now < expires_at,
        (Some(expires_at), Freshness::Fresh) => {
            now < expires_at.minus(margin(secrets, id).min(longest_margin.unwrap_or(Duration::MAX)))
        }
    }
}

/// How long before its expiry a token is refreshed: max(30 s, a tenth of its lifetime), at most 5 minutes and at most half
/// its lifetime, less a jitter of up to a fifth that is fixed per grant. A token without a refresh token has no margin.
fn margin(secrets: &GrantSecrets, id: AuthorizationId) -> Duration {
    let Some(expires_at) = secrets.expires_at else {
        return Duration::ZERO;
    };
    if secrets.refresh_token.is_none() {
        return Duration::ZERO;
    }
    let lifetime = expires_at.since(secrets.issued_at);
    let full = (lifetime / 10).clamp(Duration::from_secs(30), Duration::from_mins(5)).min(lifetime / 2);
    let jitter = u32::from(id.random_part()[0]);
    full.saturating_sub((full / 5 / 255) * jitter)
}

/// When an access token expires. Without a defined lifetime, `assumed` applies.
pub(crate) fn expiry(lifetime: Lifetime, sent_at: Timestamp, assumed: Duration) -> Option<Timestamp> {
    match lifetime {
        Lifetime::For(duration) => Some(sent_at.plus(duration)),
        Lifetime::Unknown => Some(sent_at.plus(assumed)),
        Lifetime::Never => None,
    }
}

/// The tokens of a new grant. Lifetimes count from the instant before the request was sent.
pub(crate) fn exchanged(
    flow: &FlowSecrets,
    epoch: Epoch,
    response: TokenResponse,
    sent_at: Timestamp,
    assumed: Duration,
) -> GrantSecrets {
    GrantSecrets {
        granted_scopes: response.scopes.unwrap_or_else(|| flow.requested_scopes.clone()),
        requested_scopes: flow.requested_scopes.clone(),
        access_token: response.access_token,
        refresh_token: response.refresh_token,
        token_type: response.token_type,
        issued_at: sent_at,
        expires_at: expiry(response.lifetime, sent_at, assumed),
        refresh_expires_at: match response.refresh_lifetime {
            Lifetime::For(duration) => Some(sent_at.plus(duration)),
            Lifetime::Never | Lifetime::Unknown => None,
        },
        revision: Revision::FIRST,
        epoch,
        provider: flow.provider.clone().with_api(response.api_base),
        account: None,
    }
}

/// The tokens after a refresh: a response without refresh token or scope keeps the present ones (RFC 6749 §6). So does one
/// whose scope is empty, because a token without any scope is not what an empty text means.
pub(crate) fn refreshed(
    before: &GrantSecrets,
    response: TokenResponse,
    sent_at: Timestamp,
    assumed: Duration,
) -> GrantSecrets {
    let rotated = response.refresh_token.is_some();
    let named = response.scopes.filter(|scopes| !scopes.is_empty());
    GrantSecrets {
        access_token: response.access_token,
        refresh_token: response.refresh_token.or_else(|| before.refresh_token.as_ref().map(Secret::clone_secret)),
        token_type: response.token_type,
        granted_scopes: named.unwrap_or_else(|| before.granted_scopes.clone()),
        issued_at: sent_at,
        expires_at: expiry(response.lifetime, sent_at, assumed),
        refresh_expires_at: match response.refresh_lifetime {
            Lifetime::For(duration) => Some(sent_at.plus(duration)),
            Lifetime::Never => None,
            Lifetime::Unknown if rotated => None,
            Lifetime::Unknown => before.refresh_expires_at,
        },
        revision: before.revision.next(),
        requested_scopes: before.requested_scopes.clone(),
        epoch: before.epoch,
        provider: before.provider.clone().with_api(response.api_base),
        account: before.account.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::connector::ProfileId;
    use crate::provider::{ApiBase, ClientAuthentication, Endpoints, Origin, ProviderSnapshot, Scopes};

    fn secrets(issued_at: i64, life_ms: u64) -> GrantSecrets {
        let issued_at = Timestamp::from_millis(issued_at);
        GrantSecrets {
            access_token: Secret::from_text("a"),
            refresh_token: Some(Secret::from_text("r")),
            token_type: "Bearer".to_owned(),
            requested_scopes: Scopes::default(),
            granted_scopes: Scopes::default(),
            issued_at,
            expires_at: Some(issued_at.plus(Duration::from_millis(life_ms))),
            refresh_expires_at: None,
            revision: Revision::FIRST,
            epoch: Epoch::FIRST,
            provider: ProviderSnapshot {
                profile: ProfileId::new(".oauth2").unwrap(),
                issuer: None,
                issuer_in_response: false,
                endpoints: Endpoints::default(),
                client_id: String::new(),
                authentication: ClientAuthentication::None,
                resources: Vec::new(),
                destinations: Vec::new(),
                redirect_uri: String::new(),
                config: "{}".to_owned(),
                api: None,
            },
            account: None,
        }
    }

    #[test]
    fn r43_tokens_go_to_the_api_that_the_provider_named_last() {
        let origin = |host: &str| Origin::new(format!("https://{host}.example")).unwrap();
        let api = |host: &str| ApiBase { url: format!("https://{host}.example/v1"), origin: origin(host) };
        let before = ProviderSnapshot { destinations: vec![origin("upload")], ..secrets(0, 1).provider };
        let first = before.with_api(Some(api("first")));
        let second = first.clone().with_api(Some(api("second")));
        assert_eq!(first.clone().with_api(None), first);
        for (provider, may) in [(&first, ["first", "upload"]), (&second, ["second", "upload"])] {
            for host in ["first", "second", "upload", "other"] {
                assert_eq!(provider.may_receive(&origin(host)), may.contains(&host), "{host}");
            }
            assert_eq!(ProviderSnapshot::decode(&provider.encode()).as_ref(), Ok(provider));
        }
    }

    proptest! {
        /// For any lifetime and any clock nothing overflows, and no token is issued at or after its expiry.
        #[test]
        fn r46_no_token_is_issued_after_its_expiry(issued in any::<i64>(), life in any::<u64>(), now in any::<i64>(), random: [u8; 16]) {
            let secrets = secrets(issued, life);
            let id = AuthorizationId::new(Timestamp::from_millis(0), random);
            let now = Timestamp::from_millis(now);
            let end = secrets.expires_at.unwrap();
            if now >= end {
                prop_assert!(!is_issuable(&secrets, id, now, Freshness::Valid, None));
            }
            if is_issuable(&secrets, id, now, Freshness::Fresh, None) {
                prop_assert!(is_issuable(&secrets, id, now, Freshness::Valid, None));
                prop_assert!(is_issuable(&secrets, id, now, Freshness::Fresh, Some(Duration::from_secs(1))));
            }
            let life = end.since(secrets.issued_at);
            prop_assert!(margin(&secrets, id) <= life / 2);
            prop_assert!(margin(&secrets, id) <= Duration::from_mins(5));
        }
    }

    #[test]
    fn r46_a_token_that_was_requested_in_the_future_is_refreshed_if_it_can_be() {
        let id = AuthorizationId::new(Timestamp::from_millis(0), [0; 16]);
        let now = Timestamp::from_millis(1_000_000_000);
        let at = |issued_at: Timestamp| secrets(issued_at.as_millis(), 3_600_000);
        for freshness in [Freshness::Fresh, Freshness::Valid] {
            assert!(is_issuable(&at(now.plus(AHEAD)), id, now, freshness, None), "the clocks of nodes differ");
            let future = at(now.plus(AHEAD + Duration::from_secs(1)));
            assert!(!is_issuable(&future, id, now, freshness, None));
            assert!(is_issuable(&GrantSecrets { refresh_token: None, ..future }, id, now, freshness, None));
        }
    }

    #[test]
    fn a_provider_that_refuses_early_refreshes_limits_the_margin() {
        let id = AuthorizationId::new(Timestamp::from_millis(0), [0; 16]);
        let ten_minutes = secrets(0, 600_000);
        let is_fresh = |at: i64, longest: Option<u64>| {
            let longest = longest.map(Duration::from_secs);
            is_issuable(&ten_minutes, id, Timestamp::from_millis(at), Freshness::Fresh, longest)
        };
        assert!(!is_fresh(545_000, None) && is_fresh(545_000, Some(30)), "a tenth is a minute");
        assert!(is_fresh(569_999, Some(30)) && !is_fresh(570_000, Some(30)));
        assert!(!is_fresh(545_000, Some(3600)), "a longer one changes nothing");
    }

    #[test]
    fn r46_the_margin_is_a_tenth_of_the_lifetime_within_bounds() {
        let id = AuthorizationId::new(Timestamp::from_millis(0), [0; 16]);
        let seconds = |life: u64| margin(&secrets(0, life * 1000), id).as_secs();
        assert_eq!(
            (seconds(20), seconds(60), seconds(100), seconds(1_000), seconds(3_600), seconds(86_400)),
            (10, 30, 30, 100, 300, 300)
        );
    }
}

//! Times and limits. `serve` refuses less than the requirements ask for; tests use short ones.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::ports::{PendingLimits, SweepPolicy};

/// Where this deployment is reached: scheme, host and optional port and path, without a trailing slash. Redirect URIs are
/// built from it alone (R07).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicBaseUrl(String);

impl PublicBaseUrl {
    /// Checks a base URL: https, or http on loopback; no user info, query or fragment (R07).
    pub fn new(url: &str) -> Result<Self, InvalidPolicy> {
        let refused = |problem| Err(InvalidPolicy { setting: "public_base_url", problem });
        let url = url.trim_end_matches('/');
        let (loopback_only, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => {
                return refused("must be an absolute https URL (http only on loopback)");
            }
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(literal) => literal.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        if host.is_empty()
            || rest.contains(['?', '#', '@', '\\'])
            || rest.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return refused("must be scheme, host and optional port and path, and nothing else");
        }
        if loopback_only && !matches!(host, "127.0.0.1" | "::1" | "localhost") {
            return refused("must be https unless the host is loopback");
        }
        Ok(Self(url.to_owned()))
    }

    /// The URL, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port alone.
    pub fn origin(&self) -> &str {
        let start = self.0.find("://").map_or(0, |position| position + 3);
        let end = self.0[start..].find('/').map_or(self.0.len(), |position| start + position);
        &self.0[..end]
    }

    /// The path before our routes: empty, or starting with a slash.
    pub fn path_prefix(&self) -> &str {
        &self.0[self.origin().len()..]
    }

    /// Whether cookies can be `Secure`.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for PublicBaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A setting that would break a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{setting} {problem}")]
pub struct InvalidPolicy {
    /// The setting.
    pub setting: &'static str,
    /// What is wrong, ready to stand behind it.
    pub problem: &'static str,
}

/// All times and limits of the use cases.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Where this deployment is reached.
    pub public_base_url: PublicBaseUrl,
    /// Life of a flow; at most 10 minutes (R18).
    pub flow_ttl: Duration,
    /// Caps on unfinished flows (R18).
    pub pending: PendingLimits,
    /// How long one request to a provider may take, measured on the monotonic clock.
    pub request_deadline: Duration,
    /// How long after that a late request may still arrive at the provider (R40).
    pub quarantine: Duration,
    /// Life of an access token whose provider does not tell (R46).
    pub assumed_lifetime: Duration,
    /// How long disconnect waits for a running renewal (R49).
    pub disconnect_wait: Duration,
    /// How long a revocation is tried before it is given up; at most 24 h (R50).
    pub abandon_revocation_after: Duration,
    /// What the sweeper enforces.
    pub sweep: SweepPolicy,
    /// Whether the limits below which requirements would break may be undercut. Only tests do.
    pub short_times_for_tests: bool,
}

impl Policy {
    /// The defaults for a deployment.
    pub fn new(public_base_url: PublicBaseUrl) -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            public_base_url,
            flow_ttl: Duration::from_mins(10),
            pending: PendingLimits { per_user: 10, deployment: 100_000 },
            request_deadline: Duration::from_secs(15),
            quarantine: Duration::from_secs(30),
            assumed_lifetime: Duration::from_hours(1),
            disconnect_wait: Duration::from_secs(5),
            abandon_revocation_after: DAY,
            sweep: SweepPolicy { unused_grants: 90 * DAY, ended_flows: DAY, ended_grants: 30 * DAY, batch: 500 },
            short_times_for_tests: false,
        }
    }

    /// How long a renewal lease lasts (R40).
    pub fn lease_length(&self) -> Duration {
        self.request_deadline + self.quarantine
    }

    /// Refuses times and limits that would break a requirement.
    pub fn check(&self) -> Result<(), InvalidPolicy> {
        let refuse = |setting, problem| Err(InvalidPolicy { setting, problem });
        if self.flow_ttl > Duration::from_mins(10) || self.flow_ttl < Duration::from_secs(30) && !self.short_times_for_tests
        {
            return refuse("oauth.flow_ttl", "must be between 30 seconds and 10 minutes");
        }
        if self.pending.per_user == 0 || self.pending.per_user > 10 {
            return refuse("oauth.pending_per_user", "must be between 1 and 10");
        }
        if self.abandon_revocation_after > Duration::from_hours(24) {
            return refuse("abandon_revocation_after", "must not exceed 24 hours");
        }
        if self.short_times_for_tests {
            return Ok(());
        }
        if self.quarantine < Duration::from_secs(30) {
            return refuse("quarantine", "must be at least 30 seconds");
        }
        if self.sweep.unused_grants < Duration::from_hours(24) {
            return refuse("retention.unused_grants", "must be at least one day");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r07_the_public_base_url_is_https_or_loopback() {
        let base = PublicBaseUrl::new("https://connect.example.com/oauth/").unwrap();
        assert_eq!(
            (base.as_str(), base.origin(), base.path_prefix()),
            ("https://connect.example.com/oauth", "https://connect.example.com", "/oauth")
        );
        for good in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:80"] {
            assert!(PublicBaseUrl::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://example.com",
            "ftp://a",
            "https://",
            "https://u@a",
            "https://a?x",
            "https://a#x",
            "http://127.0.0.1.evil.com",
            "https://a b",
        ] {
            assert!(PublicBaseUrl::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn r18_r40_limits_below_the_requirements_are_refused() {
        let base = PublicBaseUrl::new("https://a.example").unwrap();
        assert!(Policy::new(base.clone()).check().is_ok());
        let longer = Policy { flow_ttl: Duration::from_secs(601), ..Policy::new(base.clone()) };
        assert_eq!(longer.check().unwrap_err().setting, "oauth.flow_ttl");
        let hasty = Policy { quarantine: Duration::from_secs(29), ..Policy::new(base) };
        assert_eq!(hasty.check().unwrap_err().setting, "quarantine");
    }
}

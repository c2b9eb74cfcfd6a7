//! What a run consisted of.

use std::fmt;
use std::iter::Sum;

/// Numbers of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Nodes that were killed.
    pub(crate) kills: usize,
    /// Of them, while the provider held a request before it processed it.
    pub(crate) before: usize,
    /// Of them, while the provider held the response of a request it had processed.
    pub(crate) after: usize,
    /// Nodes that were stopped for longer than a lease.
    pub(crate) stops: usize,
    /// Refresh requests that reached the provider.
    pub(crate) refreshes: usize,
    /// Refreshes with an unknown outcome that were tried again.
    pub(crate) doubts: usize,
    /// Requests with a refresh token that had been presented before.
    pub(crate) reuses: usize,
    /// Flows that were started.
    pub(crate) flows: usize,
    /// Flows of which the API confirmed the grant.
    pub(crate) connected: usize,
    /// Disconnects that were confirmed.
    pub(crate) disconnects: usize,
    /// Runs that used the account of their user.
    pub(crate) runs: usize,
    /// Access tokens that were issued.
    pub(crate) tokens: usize,
    /// Responses that asked to try again, and requests without a response.
    pub(crate) later: usize,
    /// Grants that ended at the provider because of a reuse in doubt.
    pub(crate) ended_in_doubt: usize,
    /// Grants at the provider whose tokens were lost between exchange and commit.
    pub(crate) orphans: usize,
}

impl Counts {
    fn fields(&mut self) -> [(&'static str, &mut usize); 15] {
        [
            ("kills", &mut self.kills),
            ("during a request", &mut self.before),
            ("during a response", &mut self.after),
            ("stops", &mut self.stops),
            ("refreshes", &mut self.refreshes),
            ("doubts", &mut self.doubts),
            ("reuses", &mut self.reuses),
            ("flows", &mut self.flows),
            ("connected", &mut self.connected),
            ("disconnects", &mut self.disconnects),
            ("runs", &mut self.runs),
            ("tokens", &mut self.tokens),
            ("unavailable", &mut self.later),
            ("ended in doubt", &mut self.ended_in_doubt),
            ("lost at the provider", &mut self.orphans),
        ]
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut total, mut other| {
            for ((_, total), (_, other)) in total.fields().into_iter().zip(other.fields()) {
                *total += *other;
            }
            total
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut copy = *self;
        let texts = copy.fields().map(|(name, count)| format!("{name} {count}"));
        f.write_str(&texts.join(", "))
    }
}

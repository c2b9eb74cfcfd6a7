//! The ledger of the provider compared with the audit trail: every reuse of a refresh token is one that a doubt allows.

use std::collections::BTreeMap;

/// An audit event `refresh_retried`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    /// When, in milliseconds.
    pub(crate) at: i64,
    /// Since when the outcome of the refresh is unknown. `None` for the refresh before a revocation.
    pub(crate) since: Option<i64>,
}

/// The retries of each authorization, in order.
pub(crate) type Retries = BTreeMap<String, Vec<Retry>>;

/// A refresh request at the provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Presented {
    /// The authorization whose consent the token is from; `None` if no flow of a user led to it.
    pub(crate) authorization: Option<String>,
    /// The refresh token.
    pub(crate) token: String,
}

/// The number of refreshes whose outcome was unknown.
pub(crate) fn doubts(retries: &Retries) -> usize {
    let distinct = |retries: &Vec<Retry>| {
        let mut since: Vec<_> = retries.iter().map(|retry| retry.since).collect();
        since.dedup();
        since.len()
    };
    retries.values().map(distinct).sum()
}

/// How often a refresh token of each authorization was presented again.
pub(crate) fn reuses(presented: &[Presented]) -> BTreeMap<Option<String>, usize> {
    let mut times: BTreeMap<&Presented, usize> = BTreeMap::new();
    for request in presented {
        *times.entry(request).or_default() += 1;
    }
    let mut reuses = BTreeMap::new();
    for (request, times) in times.into_iter().filter(|(_, times)| *times > 1) {
        *reuses.entry(request.authorization.clone()).or_default() += times - 1;
    }
    reuses
}

/// Reuses without an audit event each.
pub(crate) fn unattributed(reuses: &BTreeMap<Option<String>, usize>, retries: &Retries) -> Vec<String> {
    let attributed = |id: &Option<String>| id.as_ref().and_then(|id| retries.get(id)).map_or(0, Vec::len);
    let missing = reuses.iter().filter(|(id, reuses)| attributed(id) < **reuses);
    missing.map(|(id, reuses)| format!("{id:?}: {reuses} reuses, {} audit events", attributed(id))).collect()
}

/// Retries before the quarantine of the earlier request had passed.
pub(crate) fn hasty(retries: &Retries, quarantine: i64) -> Vec<String> {
    let mut hasty = Vec::new();
    for (id, retries) in retries {
        let mut earlier: Option<i64> = None;
        for retry in retries.iter().filter(|retry| retry.since.is_some()) {
            let before = earlier.max(retry.since);
            if before.is_some_and(|before| retry.at - before < quarantine) {
                hasty.push(format!("{id}: {retry:?} after {earlier:?}"));
            }
            earlier = Some(retry.at);
        }
    }
    hasty
}

#[test]
fn a_reuse_without_its_audit_event_is_found() {
    let request = |id: &str, token: &str| Presented { authorization: Some(id.to_owned()), token: token.to_owned() };
    let ledger = [request("a", "1"), request("a", "1"), request("a", "2"), request("b", "3")];
    let reuses = reuses(&ledger);
    assert_eq!(reuses, BTreeMap::from([(Some("a".to_owned()), 1)]));
    let retry = Retry { at: 500, since: Some(0) };
    assert_eq!(unattributed(&reuses, &Retries::from([("a".to_owned(), vec![retry])])), Vec::<String>::new());
    assert_eq!(unattributed(&reuses, &Retries::from([("b".to_owned(), vec![retry])])).len(), 1);
    let thrice = [&ledger[..], &[request("a", "1")]].concat();
    assert_eq!(unattributed(&self::reuses(&thrice), &Retries::from([("a".to_owned(), vec![retry])])).len(), 1);
    let foreign =
        [Presented { authorization: None, token: "4".to_owned() }, Presented { authorization: None, token: "4".to_owned() }];
    assert_eq!(unattributed(&self::reuses(&foreign), &Retries::new()).len(), 1);
}

#[test]
fn a_retry_within_the_quarantine_is_found() {
    let retries = |all: &[(i64, i64)]| {
        let all = all.iter().map(|(since, at)| Retry { at: *at, since: Some(*since) });
        Retries::from([("a".to_owned(), all.collect())])
    };
    assert_eq!(hasty(&retries(&[(0, 500), (0, 1000), (1200, 1600)]), 400), Vec::<String>::new());
    assert_eq!(hasty(&retries(&[(0, 399)]), 400).len(), 1);
    assert_eq!(hasty(&retries(&[(0, 500), (0, 600)]), 400).len(), 1);
    assert_eq!(doubts(&retries(&[(0, 500), (0, 1000), (1200, 1600)])), 2);
}

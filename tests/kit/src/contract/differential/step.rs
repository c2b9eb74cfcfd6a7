//! The steps of a history. Numbers select among what is stored when the step is applied.

use std::time::Duration;

use grantry_domain::authorization::TerminationCause;
use grantry_domain::ports::EditEffect;
use proptest::prelude::*;
use proptest::sample::select;

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A user starts a flow, with low or high limits.
    Start { connection: Connection, low_limits: bool },
    /// The authorization URL of a flow is issued.
    Issue { flow: Pick },
    /// A callback arrives.
    Consume { flow: Pick, by: Caller },
    /// A flow is committed as a grant.
    Commit { flow: Pick, life: Lifetimes, revoke: bool },
    /// These four steps.
    Connect { connection: Connection, life: Lifetimes },
    /// The next regular step of an authorization: issue, consume or commit; for a grant a lease, then new tokens.
    Continue { authorization: Pick, life: Lifetimes },
    /// A flow fails.
    FailFlow { flow: Pick },
    /// A lease is requested.
    Lease { grant: Pick, holder: u8 },
    /// A refresh fails.
    FailAttempt { grant: Pick, holder: u8, outcome_known: bool, refused: Option<bool>, wait: Duration },
    /// New tokens are written by a caller that read the grant this many changes ago.
    Refresh { grant: Pick, life: Lifetimes, changes_ago: usize },
    /// The refresh token is rejected, for a caller that read the grant this many changes ago.
    RejectRefresh { grant: Pick, changes_ago: usize },
    /// An envelope is sealed again with another key.
    Reseal { grant: Pick },
    /// Grants are used.
    Use { grant: Pick, days: i64 },
    /// Authorizations are terminated.
    Terminate { scope: Scope, cause: TerminationCause },
    /// A user sets or clears the default connection.
    SetDefault { connection: Connection, clear: bool },
    /// A connector is edited, with the stored revision or a stale one.
    Edit { connector: usize, effect: EditEffect, stale: bool },
    /// A connector is deleted, or created again.
    DeleteOrCreate { connector: usize },
    /// Unclaimed tokens are queued.
    QueueUnclaimed { flow: Pick },
    /// Every due revocation is claimed and updated; the first update has this number.
    Revoke { first_update: usize },
    /// Sweeps until there is nothing more to do.
    Sweep { batch: u32 },
    /// Time passes.
    Pass(Duration),
    /// The wall clock is set back.
    SetBack(Duration),
}

/// Selects an authorization, counted from the newest.
pub(super) type Pick = usize;

/// Selects a user, a connector and a connection name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    pub(super) user: usize,
    pub(super) connector: usize,
    pub(super) name: usize,
}

/// The sender of a callback.
#[derive(Debug, Clone, Copy)]
pub(super) enum Caller {
    Starter,
    OtherUser,
    OtherBrowser,
}

/// Lifetimes of the tokens of a response.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lifetimes {
    /// One hour, with a refresh token that does not expire.
    Refreshable,
    /// One hour, with a refresh token of one day.
    Limited,
    /// Half an hour, without a refresh token.
    Short,
    /// Does not expire.
    Endless,
}

/// What is terminated.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    One(Pick),
    Connection(Connection),
    User(usize),
    UserSpace { user: usize, space: usize },
    Space(usize),
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any_connection(), any::<bool>())
            .prop_map(|(connection, low_limits)| Step::Start { connection, low_limits }),
        4 => any_pick().prop_map(|flow| Step::Issue { flow }),
        4 => (any_pick(), select(vec![Caller::Starter, Caller::Starter, Caller::OtherUser, Caller::OtherBrowser]))
            .prop_map(|(flow, by)| Step::Consume { flow, by }),
        4 => (any_pick(), any_life(), any::<bool>())
            .prop_map(|(flow, life, revoke)| Step::Commit { flow, life, revoke }),
        6 => (any_connection(), any_life()).prop_map(|(connection, life)| Step::Connect { connection, life }),
        12 => (any_pick(), any_life()).prop_map(|(authorization, life)| Step::Continue { authorization, life }),
        1 => any_pick().prop_map(|flow| Step::FailFlow { flow }),
        4 => (any_pick(), any_holder()).prop_map(|(grant, holder)| Step::Lease { grant, holder }),
        3 => (any_pick(), any_holder(), any::<bool>(), any::<Option<bool>>(), any_span()).prop_map(
            |(grant, holder, outcome_known, refused, wait)| Step::FailAttempt { grant, holder, outcome_known, refused, wait }
        ),
        4 => (any_pick(), any_life(), 0..3_usize)
            .prop_map(|(grant, life, changes_ago)| Step::Refresh { grant, life, changes_ago }),
        2 => (any_pick(), 0..2_usize).prop_map(|(grant, changes_ago)| Step::RejectRefresh { grant, changes_ago }),
        1 => any_pick().prop_map(|grant| Step::Reseal { grant }),
        2 => (any_pick(), -1..100_i64).prop_map(|(grant, days)| Step::Use { grant, days }),
        3 => (any_scope(), select(TerminationCause::ALL.to_vec()))
            .prop_map(|(scope, cause)| Step::Terminate { scope, cause }),
        3 => (any_connection(), prop::bool::weighted(0.2))
            .prop_map(|(connection, clear)| Step::SetDefault { connection, clear }),
        2 => (any_connector(), select(vec![EditEffect::KeepGrants, EditEffect::ExpireGrants]), prop::bool::weighted(0.2))
            .prop_map(|(connector, effect, stale)| Step::Edit { connector, effect, stale }),
        1 => any_connector().prop_map(|connector| Step::DeleteOrCreate { connector }),
        1 => any_pick().prop_map(|flow| Step::QueueUnclaimed { flow }),
        3 => (0..5_usize).prop_map(|first_update| Step::Revoke { first_update }),
        2 => select(vec![1, 2, 3, 1000]).prop_map(|batch| Step::Sweep { batch }),
        5 => any_span().prop_map(Step::Pass),
        1 => select(vec![Duration::from_secs(1), Duration::from_mins(5)]).prop_map(Step::SetBack),
    ]
}

fn any_pick() -> impl Strategy<Value = Pick> {
    prop_oneof![6 => Just(0), 3 => Just(1), 1 => 0..10_usize]
}

fn any_user() -> impl Strategy<Value = usize> {
    0..3_usize
}

/// Two of three steps are about the first name, so that one connection has long histories.
fn any_connection() -> impl Strategy<Value = Connection> {
    let name = prop_oneof![2 => Just(0_usize), 1 => 1..3_usize];
    (any_user(), any_connector(), name).prop_map(|(user, connector, name)| Connection { user, connector, name })
}

fn any_connector() -> impl Strategy<Value = usize> {
    0..3_usize
}

fn any_holder() -> impl Strategy<Value = u8> {
    1..3_u8
}

fn any_life() -> impl Strategy<Value = Lifetimes> {
    let refreshable = Lifetimes::Refreshable;
    select(vec![refreshable, refreshable, Lifetimes::Limited, Lifetimes::Short, Lifetimes::Endless])
}

fn any_scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        6 => any_pick().prop_map(Scope::One),
        4 => any_connection().prop_map(Scope::Connection),
        1 => any_user().prop_map(Scope::User),
        2 => (any_user(), 0..2_usize).prop_map(|(user, space)| Scope::UserSpace { user, space }),
        1 => (0..2_usize).prop_map(Scope::Space),
    ]
}

/// The limits of the domain and of these tests, so that histories reach them exactly, and one millisecond.
fn any_span() -> impl Strategy<Value = Duration> {
    select(vec![
        Duration::from_millis(1),
        Duration::from_secs(30),
        Duration::from_mins(1),
        Duration::from_mins(2),
        Duration::from_mins(10),
        Duration::from_hours(1),
        Duration::from_hours(24),
        Duration::from_hours(30 * 24),
        Duration::from_hours(91 * 24),
    ])
}

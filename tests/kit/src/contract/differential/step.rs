//! The steps of a history. Numbers pick among what is there when the step is taken.

use std::time::Duration;

use grantry_domain::authorization::TerminationCause;
use grantry_domain::ports::Cascade;
use proptest::prelude::*;
use proptest::sample::select;

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A user starts a flow, under these caps.
    Start { user: usize, connector: usize, tight: bool },
    /// The URL of a flow is issued.
    Issue { flow: Pick },
    /// A callback arrives.
    Consume { flow: Pick, by: Caller },
    /// An exchange is committed.
    CommitOutcome { flow: Pick, life: Life, revoke: bool },
    /// All four of them.
    Connect { user: usize, connector: usize, life: Life },
    /// The next step of an undisturbed life: one of the three before, or a lease and new tokens.
    GoOn { flow: Pick, life: Life },
    /// A flow fails.
    FailFlow { flow: Pick },
    /// Somebody asks for the lease.
    Lease { grant: Pick, owner: u8 },
    /// A renewal fails.
    FailAttempt { grant: Pick, owner: u8, outcome_known: bool, wait: Duration },
    /// New tokens are written by somebody who read the record this long ago.
    Renew { grant: Pick, life: Life, reads_ago: usize },
    /// The refresh token is refused, to somebody who read the record this long ago.
    Refuse { grant: Pick, reads_ago: usize },
    /// An envelope is sealed again with another key.
    Reseal { grant: Pick },
    /// Grants are used.
    Use { grant: Pick, days: i64 },
    /// Authorizations are ended.
    End { scope: Scope, cause: TerminationCause },
    /// A connector is edited, by somebody who saw the present revision or not.
    Edit { connector: usize, cascade: Cascade, stale: bool },
    /// A connector is deleted, or created again.
    DeleteOrCreate { connector: usize },
    /// Tokens without a grant are queued.
    Orphan { flow: Pick },
    /// Every due revocation is claimed; what becomes of each is picked from here on.
    Work { ends: usize },
    /// The sweeper runs until there is nothing more to do.
    Sweep { batch: u32 },
    /// Time passes.
    Pass(Duration),
    /// The wall clock is set back.
    SetBack(Duration),
}

/// Picks a record, counted from the newest.
pub(super) type Pick = usize;

/// Who presents a callback.
#[derive(Debug, Clone, Copy)]
pub(super) enum Caller {
    Starter,
    OtherUser,
    OtherBrowser,
}

/// How long tokens live.
#[derive(Debug, Clone, Copy)]
pub(super) enum Life {
    /// One hour, and a refresh token without end.
    Refreshable,
    /// One hour, and a refresh token of one day.
    Capped,
    /// Half an hour, and no refresh token.
    Short,
    /// For ever.
    Endless,
}

/// What is ended.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    One(Pick),
    UserConnector { user: usize, connector: usize },
    User(usize),
    UserSpace { user: usize, space: usize },
    Space(usize),
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any_user(), any_connector(), any::<bool>())
            .prop_map(|(user, connector, tight)| Step::Start { user, connector, tight }),
        4 => any_pick().prop_map(|flow| Step::Issue { flow }),
        4 => (any_pick(), select(vec![Caller::Starter, Caller::Starter, Caller::OtherUser, Caller::OtherBrowser]))
            .prop_map(|(flow, by)| Step::Consume { flow, by }),
        4 => (any_pick(), any_life(), any::<bool>())
            .prop_map(|(flow, life, revoke)| Step::CommitOutcome { flow, life, revoke }),
        6 => (any_user(), any_connector(), any_life())
            .prop_map(|(user, connector, life)| Step::Connect { user, connector, life }),
        12 => (any_pick(), any_life()).prop_map(|(flow, life)| Step::GoOn { flow, life }),
        1 => any_pick().prop_map(|flow| Step::FailFlow { flow }),
        4 => (any_pick(), any_owner()).prop_map(|(grant, owner)| Step::Lease { grant, owner }),
        3 => (any_pick(), any_owner(), any::<bool>(), any_span())
            .prop_map(|(grant, owner, outcome_known, wait)| Step::FailAttempt { grant, owner, outcome_known, wait }),
        4 => (any_pick(), any_life(), 0..3_usize)
            .prop_map(|(grant, life, reads_ago)| Step::Renew { grant, life, reads_ago }),
        2 => (any_pick(), 0..2_usize).prop_map(|(grant, reads_ago)| Step::Refuse { grant, reads_ago }),
        1 => any_pick().prop_map(|grant| Step::Reseal { grant }),
        2 => (any_pick(), -1..100_i64).prop_map(|(grant, days)| Step::Use { grant, days }),
        3 => (any_scope(), select(TerminationCause::ALL.to_vec())).prop_map(|(scope, cause)| Step::End { scope, cause }),
        2 => (any_connector(), select(vec![Cascade::Keep, Cascade::Changed, Cascade::Disabled]), prop::bool::weighted(0.2))
            .prop_map(|(connector, cascade, stale)| Step::Edit { connector, cascade, stale }),
        1 => any_connector().prop_map(|connector| Step::DeleteOrCreate { connector }),
        1 => any_pick().prop_map(|flow| Step::Orphan { flow }),
        3 => (0..5_usize).prop_map(|ends| Step::Work { ends }),
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

fn any_connector() -> impl Strategy<Value = usize> {
    0..3_usize
}

fn any_owner() -> impl Strategy<Value = u8> {
    1..3_u8
}

fn any_life() -> impl Strategy<Value = Life> {
    select(vec![Life::Refreshable, Life::Refreshable, Life::Capped, Life::Short, Life::Endless])
}

fn any_scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        6 => any_pick().prop_map(Scope::One),
        4 => (any_user(), any_connector()).prop_map(|(user, connector)| Scope::UserConnector { user, connector }),
        1 => any_user().prop_map(Scope::User),
        2 => (any_user(), 0..2_usize).prop_map(|(user, space)| Scope::UserSpace { user, space }),
        1 => (0..2_usize).prop_map(Scope::Space),
    ]
}

/// The limits of the domain and of these tests, so that their very instants are met, and a little more.
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

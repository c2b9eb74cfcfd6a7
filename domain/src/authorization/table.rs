//! The transition tables, rendered from the transition function and compared with `TRANSITIONS.md`.

use std::fmt::Write as _;
use std::path::Path;

use crate::authorization::{
    Authorization, AuthorizationId, AuthorizationKey, Envelope, FailureCode, FlowCookieHash, Input, RedirectIssued, Refused,
    Revision, RevocationOutcome, SealedTokens, State, StateHash, TerminationCause, VerifiedCallback,
};
use crate::connector::{ConnectorId, Epoch, Incarnation};
use crate::identity::{ConnectionName, SpaceId, UserId};
use crate::provider::{BindingDigest, Scopes};
use crate::time::Timestamp;

pub(super) const STATE: StateHash = StateHash([5; 32]);
pub(super) const START: Timestamp = Timestamp::from_millis(1_000_000);
pub(super) const SOON: Timestamp = Timestamp::from_millis(1_001_000);
/// Beyond every deadline of the fixtures.
pub(super) const LATE: Timestamp = Timestamp::from_millis(90_000_000);

pub(super) fn owner() -> AuthorizationKey {
    AuthorizationKey {
        space: SpaceId::default_space(),
        connector: ConnectorId::new("drive").unwrap(),
        incarnation: Incarnation([1; 16]),
        epoch: Epoch::FIRST,
        digest: BindingDigest([2; 32]),
        user: UserId::new("u_alice").unwrap(),
        connection: ConnectionName::default(),
    }
}

pub(super) fn flow() -> Authorization {
    let deadline = START.plus(std::time::Duration::from_mins(10));
    Authorization::start(AuthorizationId::new(START, [3; 16]), owner(), START, deadline)
}

pub(super) fn issued() -> Input {
    Input::RedirectIssued(RedirectIssued {
        state_hash: STATE,
        flow_cookie_hash: FlowCookieHash([6; 32]),
        sealed: Envelope(vec![7]),
    })
}

pub(super) fn tokens(revision: u64, refreshable: bool) -> SealedTokens {
    SealedTokens {
        sealed: Envelope(vec![8]),
        revision: Revision(revision),
        scopes: Scopes::new(["files.read"]),
        expires_at: Some(START.plus(std::time::Duration::from_hours(1))),
        refreshable,
        refresh_expires_at: refreshable.then(|| START.plus(std::time::Duration::from_hours(2))),
        account: Some("alice@example.test".to_owned()),
        account_tag: Some(crate::row_tag::RowTag([9; 40])),
    }
}

pub(super) fn granted(refreshable: bool) -> Input {
    Input::TokensGranted(VerifiedCallback::new(STATE), tokens(1, refreshable))
}

pub(super) fn refused() -> Input {
    Input::ScopesRefused(VerifiedCallback::new(STATE), tokens(1, true))
}

const END: Input = Input::Terminated { cause: TerminationCause::Disconnected, revoke: true };

pub(super) fn reach(inputs: impl IntoIterator<Item = Input>) -> Authorization {
    inputs.into_iter().fold(flow(), |authorization, input| authorization.on(input, SOON).unwrap())
}

pub(super) fn states() -> Vec<(&'static str, Authorization)> {
    let consumed = || vec![issued(), Input::CallbackConsumed];
    let authorized = |refreshable| consumed().into_iter().chain([granted(refreshable)]).collect::<Vec<_>>();
    let after = |input: Input| reach(authorized(true).into_iter().chain([input]));
    vec![
        ("Initiated", flow()),
        ("AwaitingCallback", reach([issued()])),
        ("AwaitingCallback, consumed", reach(consumed())),
        ("Authorized, refreshable", reach(authorized(true))),
        ("Authorized, not refreshable", reach(authorized(false))),
        ("Expired flow", flow().at(LATE)),
        ("Expired grant, revocation pending", after(Input::ConnectorChanged)),
        ("Expired grant", after(Input::RefreshRejected)),
        ("Expired, a required scope refused", reach(consumed().into_iter().chain([refused()]))),
        ("Revoked flow", reach([END])),
        ("Revoked grant, revocation pending", after(END)),
        ("Revoked grant", after(END).on(Input::RevocationCompleted(RevocationOutcome::Revoked), SOON).unwrap()),
    ]
}

/// The name of an input, its constructor, and its instant.
pub(super) type Row = (&'static str, fn() -> Input, Timestamp);

/// Every input.
pub(super) fn inputs() -> Vec<Row> {
    vec![
        ("RedirectIssued", issued, SOON),
        ("RedirectIssued, late", issued, LATE),
        ("CallbackConsumed", || Input::CallbackConsumed, SOON),
        ("CallbackConsumed, late", || Input::CallbackConsumed, LATE),
        ("TokensGranted", || granted(true), SOON),
        (
            "TokensGranted, another flow's proof",
            || Input::TokensGranted(VerifiedCallback::new(StateHash([9; 32])), tokens(1, true)),
            SOON,
        ),
        ("ScopesRefused", refused, SOON),
        (
            "ScopesRefused, another flow's proof",
            || Input::ScopesRefused(VerifiedCallback::new(StateHash([9; 32])), tokens(1, true)),
            SOON,
        ),
        ("TokensRefreshed", || Input::TokensRefreshed(tokens(2, true)), SOON),
        ("TokensRefreshed, wrong revision", || Input::TokensRefreshed(tokens(3, true)), SOON),
        ("RefreshRejected", || Input::RefreshRejected, SOON),
        ("RefreshRefused", || Input::RefreshRefused, SOON),
        ("AccessTokenExpired", || Input::AccessTokenExpired, SOON),
        ("DeadlinePassed, early", || Input::DeadlinePassed, SOON),
        ("DeadlinePassed", || Input::DeadlinePassed, LATE),
        ("ConnectorChanged", || Input::ConnectorChanged, SOON),
        ("Failed", || Input::Failed(FailureCode::ExchangeFailed), SOON),
        ("Terminated", || END, SOON),
        ("Terminated, not to be revoked", || Input::Terminated { cause: TerminationCause::Superseded, revoke: false }, SOON),
        ("RevocationCompleted", || Input::RevocationCompleted(RevocationOutcome::Revoked), SOON),
    ]
}

fn described(authorization: &Authorization) -> String {
    let record = authorization.to_record();
    let mut text = match authorization.state() {
        State::Initiated(_) => "Initiated".to_owned(),
        State::AwaitingCallback(flow) if flow.is_consumed() => "AwaitingCallback, consumed".to_owned(),
        State::AwaitingCallback(_) => "AwaitingCallback".to_owned(),
        State::Authorized(_) => "Authorized".to_owned(),
        State::Expired(ended) => format!("Expired `{}`", ended.cause()),
        State::Revoked(ended) => format!("Revoked `{}`", ended.cause().to_record()),
    };
    match record.revocation {
        Some(super::RevocationRecord::Pending { .. }) => text.push_str(", revocation pending"),
        Some(super::RevocationRecord::Completed(outcome)) => write!(text, ", tokens `{outcome}`").unwrap(),
        None => {}
    }
    text
}

fn refusal(refused: Refused) -> String {
    match refused {
        Refused::NotPossible(_) => "– not possible".to_owned(),
        Refused::AlreadyConsumed
        | Refused::NotConsumed
        | Refused::TooLate
        | Refused::NotDue
        | Refused::Foreign
        | Refused::AlreadyEnded
        | Refused::NoRevocationPending
        | Refused::Refreshable => format!("– {refused}"),
    }
}

fn render() -> String {
    let mut out = String::from(
        "# Transitions of an authorization\n\n\
         Written by the test `transitions_table_is_current`, which renders the tables from `State::on`; do not edit. A dash \
         marks a refusal: nothing changes.\n\n\
         ```mermaid\nstateDiagram-v2\n    [*] --> Initiated\n    Initiated --> AwaitingCallback: RedirectIssued\n    \
         AwaitingCallback --> AwaitingCallback: CallbackConsumed\n    AwaitingCallback --> Authorized: TokensGranted\n    \
         Authorized --> Authorized: TokensRefreshed\n    Initiated --> Expired: DeadlinePassed\n    \
         AwaitingCallback --> Expired: DeadlinePassed, ScopesRefused\n    \
         Authorized --> Expired: DeadlinePassed, AccessTokenExpired, RefreshRejected, RefreshRefused, ConnectorChanged\n    \
         Initiated --> Revoked: Terminated, Failed, ConnectorChanged\n    \
         AwaitingCallback --> Revoked: Terminated, Failed, ConnectorChanged, DeadlinePassed once consumed\n    \
         Authorized --> Revoked: Terminated\n    \
         Expired --> Revoked: Terminated, of a former grant\n    Expired --> [*]\n    Revoked --> [*]\n```\n",
    );
    for (name, authorization) in states() {
        write!(out, "\n## {name}\n\n| input | becomes |\n|---|---|\n").unwrap();
        for (input_name, input, at) in inputs() {
            let becomes = match authorization.clone().on(input(), at) {
                Ok(next) if next == authorization => "unchanged".to_owned(),
                Ok(next) => described(&next),
                Err(refused) => refusal(refused),
            };
            writeln!(out, "| {input_name} | {becomes} |").unwrap();
        }
    }
    out
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the one test that compares a generated file")]
fn transitions_table_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("TRANSITIONS.md");
    let rendered = render();
    if std::env::var("UPDATE_GENERATED").is_ok() {
        std::fs::write(&path, &rendered).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == rendered, "TRANSITIONS.md is stale; run `cargo xtask codegen`");
}

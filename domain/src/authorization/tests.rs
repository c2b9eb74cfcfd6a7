//! Tests of the aggregate: restoring, terminal states, statuses.

use std::time::Duration;

use proptest::prelude::*;

use super::table::{LATE, SOON, START, flow, granted, inputs, issued, owner, reach, refused, states, tokens};
use super::*;
use crate::connector::{AuthMode, CallbackId, Connector, ConnectorConfig, ConnectorName, Epoch, Incarnation, ProfileId};
use crate::provider::{BindingDigest, Scopes};
use crate::row_tag::RowTag;

#[test]
fn every_reachable_state_is_restored_from_its_record() {
    for (name, grant) in states() {
        assert_eq!(Authorization::restore(grant.to_record()).as_ref(), Ok(&grant), "{name}");
    }
}

/// A way to break a record, with the rule it breaks.
type Damage = (&'static str, fn(&mut AuthorizationRecord));

#[test]
fn damaged_records_are_refused_by_rule() {
    let damages: [(Authorization, &[Damage]); 4] = [
        (flow(), &[("no deadline", |r| r.deadline = None), ("secrets", |r| r.sealed = Some(Envelope(vec![1])))]),
        (
            reach([issued()]),
            &[
                ("no secrets", |r| r.sealed = None),
                ("consumed with secrets", |r| r.consumed_at = Some(START)),
                ("no state", |r| r.state_hash = None),
                ("no browser", |r| r.flow_cookie_hash = None),
            ],
        ),
        (
            reach([issued(), Input::CallbackConsumed, granted(true)]),
            &[
                ("no tokens", |r| r.sealed = None),
                ("no revision", |r| r.revision = Revision::NONE),
                ("no consent", |r| r.authorized_at = None),
                ("a cause", |r| r.cause = Some(TerminalCause::Expired(ExpiredCause::RefreshRejected))),
            ],
        ),
        (
            reach([issued(), Input::CallbackConsumed, granted(true), Input::ConnectorChanged]),
            &[
                ("no cause", |r| r.cause = None),
                ("another state's cause", |r| {
                    r.cause = Some(TerminalCause::Revoked(RevokedCause::Terminated(TerminationCause::Admin)));
                }),
                ("flow's cause", |r| r.cause = Some(TerminalCause::Expired(ExpiredCause::FlowTimedOut))),
                ("no time", |r| r.since = None),
                ("pending without tokens", |r| r.sealed = None),
                ("no revocation", |r| r.revocation = None),
                ("completed with tokens", |r| r.revocation = Some(RevocationRecord::Completed(RevocationOutcome::Revoked))),
            ],
        ),
    ];
    for (grant, damages) in damages {
        for (name, damage) in damages {
            let mut record = grant.to_record();
            damage(&mut record);
            assert!(Authorization::restore(record).is_err(), "{name}");
        }
    }
}

proptest! {
    /// In any order of inputs, an ended authorization never becomes a flow or a grant again, the revision only grows, and
    /// every state can be stored and restored.
    #[test]
    fn invariant_ended_authorizations_never_revive(steps in proptest::collection::vec((0_usize..17, any::<bool>()), 0..24)) {
        let inputs = inputs();
        let mut grant = flow();
        let mut revision = 0;
        let mut ended = false;
        for (index, late) in steps {
            let (_, input, at) = inputs[index];
            let at = if late { LATE } else { at };
            if let Ok(next) = grant.clone().on(input(), at) {
                grant = next;
            }
            let state = grant.state().kind();
            let terminal = matches!(state, StateKind::Expired | StateKind::Revoked);
            prop_assert!(!ended || terminal);
            ended = terminal;
            if let State::Authorized(authorized) = grant.state() {
                prop_assert!(authorized.tokens().revision.0 >= revision);
                revision = authorized.tokens().revision.0;
            }
            prop_assert_eq!(Authorization::restore(grant.to_record()), Ok(grant.clone()));
        }
    }
}

#[test]
fn a_passed_deadline_applies_without_a_sweeper() {
    assert!(matches!(flow().at(LATE).state(), State::Expired(ended) if ended.cause() == ExpiredCause::FlowTimedOut));
    assert_eq!(flow().at(SOON), flow());
    let consumed = reach([issued(), Input::CallbackConsumed]);
    let dead = consumed.at(SOON.plus(INTERRUPTED_AFTER));
    assert_eq!(FlowStatus::of(&dead, LATE), FlowStatus::Failed(FlowFailure::Code(FailureCode::Interrupted)));
}

#[test]
fn an_expired_access_token_does_not_end_a_refreshable_grant() {
    let grant = reach([issued(), Input::CallbackConsumed, granted(true)]);
    let access_gone = START.plus(Duration::from_mins(90));
    assert_eq!(grant.clone().at(access_gone), grant);
    let refresh_gone = START.plus(Duration::from_hours(2));
    assert!(matches!(grant.at(refresh_gone).state(), State::Expired(e) if e.cause() == ExpiredCause::RefreshTokenExpired));
    let plain = reach([issued(), Input::CallbackConsumed, granted(false)]);
    assert!(matches!(plain.at(access_gone).state(), State::Expired(e) if e.cause() == ExpiredCause::AccessTokenExpired));
}

#[test]
fn r76_sealed_payloads_round_trip_and_refuse_other_versions() {
    let secrets = FlowSecrets {
        verifier: crate::secret::Secret::from_text("v"),
        state: crate::secret::Secret::from_text("s"),
        nonce: None,
        provider: provider(),
        requested_scopes: Scopes::new(["a", "b"]),
        return_path: Some("/x".to_owned()),
        allow_account_change: true,
        select_account: true,
        deadline: LATE,
        epoch: Epoch(4),
    };
    let back = FlowSecrets::decode(PAYLOAD_VERSION, &secrets.encode()).unwrap();
    assert_eq!(back.provider, provider());
    assert_eq!((back.return_path.as_deref(), back.allow_account_change, back.epoch), (Some("/x"), true, Epoch(4)));
    assert!(back.select_account);
    assert!(FlowSecrets::decode(PAYLOAD_VERSION + 1, &secrets.encode()).is_err());

    // Flags that this version does not define could change what the others mean.
    let encoded = secrets.encode();
    for (tag, value) in [(0x06, 4), (0x06, 7), (0x10, 2), (0x10, 0xff)] {
        let mut bytes = encoded.expose().to_vec();
        let start = bytes.windows(5).rposition(|window| window == [tag, 0, 0, 0, 8]).unwrap();
        bytes[start + 12] = value;
        let decoded = FlowSecrets::decode(PAYLOAD_VERSION, &crate::secret::Secret::new(bytes));
        assert_eq!(decoded.err(), Some(crate::encoding::MalformedFields::Value), "{tag} {value}");
    }
}

fn provider() -> crate::provider::ProviderSnapshot {
    crate::provider::ProviderSnapshot {
        profile: ProfileId::new(".oauth2").unwrap(),
        issuer: Some("https://as.example".to_owned()),
        issuer_in_response: true,
        endpoints: crate::provider::Endpoints {
            authorization: "https://as.example/authorize".to_owned(),
            token: "https://as.example/token".to_owned(),
            revocation: Some("https://as.example/revoke".to_owned()),
            ..Default::default()
        },
        client_id: "client".to_owned(),
        authentication: crate::provider::ClientAuthentication::Basic,
        resources: vec!["https://api.example".to_owned()],
        destinations: vec![crate::provider::Origin::new("https://api.example").unwrap()],
        redirect_uri: "https://app.example/api/actions/connector/_oauth_callback".to_owned(),
        config: "{}".to_owned(),
        api: None,
    }
}

pub(crate) fn connector() -> Connector {
    Connector {
        key: owner().connector_key(),
        name: ConnectorName::new("Drive").unwrap(),
        config: ConnectorConfig { profile: ProfileId::new(".oauth2").unwrap(), settings: "{}".to_owned(), client_id: None },
        auth_mode: AuthMode::PerUser,
        incarnation: Incarnation([1; 16]),
        epoch: Epoch::FIRST,
        callback_id: CallbackId([4; 16]),
        has_client_secret: true,
        revision: 1,
        created_at: START,
        updated_at: START,
        tag: RowTag::NONE,
    }
}

fn required() -> RequiredBinding {
    RequiredBinding {
        digest: BindingDigest([2; 32]),
        required_scopes: Scopes::new(["files.read"]),
        expected_scopes: Scopes::new(["files.read", "files.list"]),
    }
}

fn no_connection() -> ConnectionView {
    ConnectionView { name: ConnectionName::default(), grant: None, former: None, pending: None }
}

fn status_of(view: ConnectionView) -> ConnectionStatus {
    connection_status(&connector(), view, Some(&required()), |_| true, SOON)
}

fn kind_of(view: ConnectionView) -> (StatusKind, Option<Reason>, bool) {
    let status = status_of(view);
    (status.kind, status.reason, status.is_reconnecting())
}

#[test]
fn lesson_18_one_status_function_covers_every_state() {
    let none = no_connection();
    let grant = reach([issued(), Input::CallbackConsumed, granted(true)]);
    let connected = ConnectionView { grant: Some(grant.clone()), ..none.clone() };
    let trying = Some(reach([issued()]));
    let ended = |input| Some(grant.clone().on(input, SOON).unwrap());
    let end = |cause| ended(Input::Terminated { cause, revoke: true });
    let former = |former| kind_of(ConnectionView { former, ..none.clone() });
    let needs = |reason| (StatusKind::NeedsReauthorization, Some(reason), false);
    let not_connected = (StatusKind::NotConnected, None, false);

    assert_eq!(kind_of(none.clone()), not_connected);
    assert_eq!(kind_of(ConnectionView { pending: trying.clone(), ..none.clone() }), (StatusKind::Connecting, None, false));
    assert_eq!(kind_of(connected.clone()), (StatusKind::Connected, None, false));
    assert_eq!(kind_of(ConnectionView { pending: trying.clone(), ..connected }), (StatusKind::Connected, None, true));
    assert_eq!(former(ended(Input::ConnectorChanged)), needs(Reason::ConnectorChanged));
    assert_eq!(former(ended(Input::RefreshRejected)), needs(Reason::RefreshRejected));
    assert_eq!(former(end(TerminationCause::Admin)), needs(Reason::Admin));
    assert_eq!(former(end(TerminationCause::Disconnected)), not_connected);
    assert_eq!(former(end(TerminationCause::Unused)), not_connected);
    let disconnected =
        ConnectionView { former: end(TerminationCause::Disconnected), pending: trying.clone(), ..none.clone() };
    assert_eq!(kind_of(disconnected), (StatusKind::Connecting, None, false));
    let reconnecting = ConnectionView { former: ended(Input::RefreshRejected), pending: trying, ..none };
    assert_eq!(kind_of(reconnecting.clone()), (StatusKind::NeedsReauthorization, Some(Reason::RefreshRejected), true));
    assert_eq!(status_of(reconnecting.clone()).flow.map(|flow| flow.id), Some(flow().id()));
    let later = connection_status(&connector(), reconnecting, Some(&required()), |_| true, LATE);
    assert_eq!(later.flow, None);
}

#[test]
fn the_connector_status_has_three_values_and_lists_the_connections() {
    let grant = reach([issued(), Input::CallbackConsumed, granted(true)]);
    let dead = grant.clone().on(Input::RefreshRejected, SOON).unwrap();
    let named = |name: &str, grant: Option<Authorization>, former: Option<Authorization>| ConnectionView {
        name: ConnectionName::new(name).unwrap(),
        grant,
        former,
        pending: None,
    };
    let status = |connector: &Connector, views: Vec<ConnectionView>, default: Option<&str>| {
        let default = default.map(|name| ConnectionName::new(name).unwrap());
        connector_status(connector, views, default, Some(&required()), |_| true, SOON)
    };
    let live = connector();
    let none = status(&live, Vec::new(), None);
    assert_eq!((none.user_auth_status, none.connections.len()), (UserAuthStatus::NotConnected, 0));
    assert_eq!(none.shown(), ConnectionStatus::plain(ConnectionName::default(), StatusKind::NotConnected));
    let two = || vec![named("home", Some(grant.clone()), None), named("work", None, Some(dead.clone()))];
    let first = status(&live, two(), None);
    assert_eq!((first.user_auth_status, first.shown().connection.as_str()), (UserAuthStatus::Connected, "home"));
    let chosen = status(&live, two(), Some("work"));
    assert_eq!(chosen.user_auth_status, UserAuthStatus::NotConnected, "the default connection needs a new consent");
    assert_eq!(chosen.shown().kind, StatusKind::NeedsReauthorization);
    let unknown = status(&live, two(), Some("gone"));
    assert_eq!((unknown.default_connection.clone(), unknown.shown().connection.as_str()), (None, "home"));
    let ended = grant.clone().on(Input::Terminated { cause: TerminationCause::Disconnected, revoke: false }, SOON).unwrap();
    let closed = status(&live, vec![named("old", None, Some(ended))], None);
    assert!(closed.connections.is_empty(), "a disconnected connection without a pending revocation is not listed");
    let shared = Connector { auth_mode: AuthMode::Shared, ..connector() };
    assert_eq!(status(&shared, two(), None).user_auth_status, UserAuthStatus::NotApplicable);
}

#[test]
fn the_connection_that_is_shown_is_a_grant_before_a_flow_before_a_closed_one() {
    use StatusKind::{Connected, Connecting, NeedsReauthorization, NotConnected};
    let shown = |connections: &[(&str, StatusKind)], default: Option<&str>| {
        let name = |name: &str| ConnectionName::new(name).unwrap();
        let connections = connections.iter().map(|(of, kind)| ConnectionStatus::plain(name(of), *kind));
        let status = ConnectorStatus {
            user_auth_status: UserAuthStatus::NotConnected,
            connections: connections.collect(),
            default_connection: default.map(name),
        };
        status.shown().connection.as_str().to_owned()
    };
    assert_eq!(shown(&[("a", Connected), ("default", Connected), ("z", Connected)], Some("z")), "z");
    assert_eq!(shown(&[("a", Connected), ("default", Connected), ("z", Connected)], None), "default");
    assert_eq!(shown(&[("a", NeedsReauthorization), ("b", Connected)], None), "a", "the first of equals");
    assert_eq!(shown(&[("a", Connected), ("z", NeedsReauthorization)], Some("z")), "z");
    assert_eq!(shown(&[("a", Connected), ("default", Connecting)], Some("default")), "a");
    assert_eq!(shown(&[("default", NotConnected), ("z", Connecting)], None), "z");
    assert_eq!(shown(&[("a", NotConnected), ("default", NotConnected)], None), "default");
    assert_eq!(shown(&[], Some("z")), "default");
}

#[test]
fn scopes_that_were_requested_and_not_granted_are_reported() {
    let grant = reach([issued(), Input::CallbackConsumed, granted(true)]);
    let status = status_of(ConnectionView { grant: Some(grant), ..no_connection() });
    assert_eq!(status.scopes, Some(Scopes::new(["files.read"])));
    assert_eq!(status.missing_scopes, Some(Scopes::new(["files.list"])));
    assert_eq!(status.kind, StatusKind::Connected, "a missing scope that is not required blocks nothing");
}

#[test]
fn r13_missing_scopes_are_those_requested_or_required_and_not_granted() {
    let missing = |granted: &str| required().missing(&Scopes::from_record(granted)).to_record();
    assert_eq!(missing("FILES.READ,files.list"), "");
    assert_eq!(missing("files.read other"), "files.list");
    assert_eq!(missing("other"), "files.list files.read");
    assert_eq!(missing(""), "files.read", "no scope at all gives no information about optional ones");
    let spelled = RequiredBinding { required_scopes: Scopes::new(["Files.Read"]), ..required() };
    assert_eq!(spelled.missing(&Scopes::new(["other"])).to_record(), "Files.Read files.list", "each once");
}

#[test]
fn r13_an_attempt_without_a_required_scope_has_one_status_everywhere() {
    let ended = reach([issued(), Input::CallbackConsumed, refused()]);
    let insufficient = FlowStatus::Failed(FlowFailure::Code(FailureCode::InsufficientScope));
    assert_eq!(FlowStatus::of(&ended, SOON), insufficient);
    let more = RequiredBinding { required_scopes: Scopes::new(["files.write"]), ..required() };
    let view = ConnectionView { former: Some(ended.clone()), ..no_connection() };
    let alone = connection_status(&connector(), view, Some(&more), |_| true, SOON);
    assert_eq!((alone.kind, alone.reason), (StatusKind::NeedsReauthorization, Some(Reason::InsufficientScope)));
    assert_eq!(alone.missing_scopes, Some(Scopes::new(["files.list", "files.write"])));
    assert_eq!(alone.provider_note, Some(ProviderNote::RevocationPending));
    let done = ended.on(Input::RevocationCompleted(RevocationOutcome::Revoked), SOON).unwrap();
    assert_eq!(FlowStatus::of(&done, SOON), insufficient, "also after its tokens were revoked");
}

#[test]
fn r13_a_refused_attempt_gives_the_reason_after_the_grant_has_expired() {
    let grant = reach([issued(), Input::CallbackConsumed, granted(false)]);
    let expiry = grant.as_grant().unwrap().tokens().final_expiry().unwrap();
    let former = Some(reach([issued(), Input::CallbackConsumed, refused()]));
    let view = ConnectionView { grant: Some(grant), former, ..no_connection() };
    let status = |now| connection_status(&connector(), view.clone(), Some(&required()), |_| true, now);
    assert_eq!(status(SOON).kind, StatusKind::Connected, "the grant is not changed by the attempt");
    let after = status(expiry);
    assert_eq!((after.kind, after.reason), (StatusKind::NeedsReauthorization, Some(Reason::InsufficientScope)));
    let alone = ConnectionView { former: None, ..view.clone() };
    let alone = connection_status(&connector(), alone, Some(&required()), |_| true, expiry);
    assert_eq!(alone.reason, Some(Reason::AccessTokenExpired));
}

#[test]
fn r13_r42_r76_the_status_of_a_grant_depends_on_the_live_connector_and_its_envelope() {
    let grant = reach([issued(), Input::CallbackConsumed, granted(true)]);
    let view = || ConnectionView { grant: Some(grant.clone()), ..no_connection() };
    let reason = |required: Option<&RequiredBinding>, decrypts| {
        connection_status(&connector(), view(), required, |_| decrypts, SOON).reason
    };
    assert_eq!(reason(Some(&required()), true), None);
    assert_eq!(reason(Some(&required()), false), Some(Reason::Undecryptable));
    let more = RequiredBinding { required_scopes: Scopes::new(["files.read", "files.write"]), ..required() };
    assert_eq!(reason(Some(&more), true), Some(Reason::InsufficientScope));
    let other = RequiredBinding { digest: BindingDigest([3; 32]), ..required() };
    assert_eq!(reason(Some(&other), true), Some(Reason::ConnectorChanged));
    assert_eq!(reason(None, true), Some(Reason::ConnectorChanged));
}

#[test]
fn r49_a_termination_keeps_the_in_doubt_mark_and_the_tokens_for_the_job() {
    let grant = reach([issued(), Input::CallbackConsumed, granted(true)]);
    let mut record = grant.to_record();
    record.refresh.in_doubt_since = Some(SOON);
    let end = Input::Terminated { cause: TerminationCause::Disconnected, revoke: true };
    let ended = Authorization::restore(record).unwrap().on(end, SOON).unwrap().to_record();
    assert_eq!(ended.sealed, Some(tokens(1, true).sealed));
    assert!(matches!(ended.revocation, Some(RevocationRecord::Pending { in_doubt: true, attempts: 0, .. })));
    let kept = grant.on(Input::Terminated { cause: TerminationCause::Superseded, revoke: false }, SOON).unwrap().to_record();
    assert_eq!((kept.sealed, kept.revocation), (None, Some(RevocationRecord::Completed(RevocationOutcome::NotNeeded))));
}

#[test]
fn r01_ids_have_a_time_prefix_and_keep_their_randomness() {
    let (early, late) = (AuthorizationId::new(START, [255; 16]), AuthorizationId::new(SOON, [0; 16]));
    assert!(early < late);
    assert_eq!(early.random_part(), [255; 16]);
    assert_eq!(AuthorizationId::parse(&early.to_string()), Some(early));
}

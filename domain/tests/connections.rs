//! Several named connections of one user at one connector.

use std::time::Duration;

use grantry_domain::authorization::{
    FailureCode, FlowFailure, FlowStatus, ProviderNote, Reason, StateKind, StatusKind, TerminationCause, UserAuthStatus,
};
use grantry_domain::identity::{Actor, ConnectionName};
use grantry_domain::ports::{AuditKind, Operation as Limit, ProviderErrorKind, TerminationReport};
use grantry_domain::usecase::{
    AccessError, ConnectionLabel, DisconnectError, ExecuteError, Execution, GrantFilter, Outcome, StartRequest, TokenError,
};
use grantry_testkit::doubles::fixtures::{connection, space, user};
use grantry_testkit::doubles::{Call, Operation};

use crate::common::{
    HOUR, SECOND, TestApp, account, agent, authorization_required, callback_of, draft, drive, elsewhere, execution, person,
    quiet, request, request_named, terminated, token_from, token_request_named,
};

/// Alice's connections `default` and `work`, whose tokens are `access-1` and `access-2`.
async fn two_connections() -> TestApp {
    let app = TestApp::new().await;
    app.connect_named("alice", "default").await;
    app.connect_named("alice", "work").await;
    app
}

async fn token(app: &TestApp, name: &str) -> Result<String, TokenError> {
    token_from(&app.node, &token_request_named("alice", name)).await
}

async fn run(app: &TestApp, name: Option<&str>) -> Result<String, ExecuteError> {
    app.node.execute(Execution { connection: name.map(connection), ..execution("alice", "/files") }).await?;
    Ok(app.resource.requests().pop().expect("a request").token)
}

async fn disconnect(app: &TestApp, name: Option<&str>) -> Result<TerminationReport, DisconnectError> {
    let (actor, key) = (person("alice"), drive());
    app.drive(app.node.disconnect(&actor, &key, name.map(connection))).await
}

async fn set_default(app: &TestApp, name: Option<&str>) -> Result<(), DisconnectError> {
    app.node.set_default_connection(&person("alice"), &drive(), name.map(connection)).await
}

/// Name and status of each connection of alice.
async fn listed(app: &TestApp) -> Vec<(String, StatusKind)> {
    let status = app.connector_status("alice").await;
    status.connections.into_iter().map(|status| (status.connection.as_str().to_owned(), status.kind)).collect()
}

fn label(name: &str) -> ConnectionLabel {
    ConnectionLabel { name: connection(name), account: Some(account(&format!("alice.{name}")).label) }
}

fn kinds(of: &[(&str, StatusKind)]) -> Vec<(String, StatusKind)> {
    of.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
}

#[tokio::test]
async fn two_connections_of_a_user_are_used_side_by_side() {
    let app = two_connections().await;
    assert_eq!(token(&app, "default").await.as_deref(), Ok("access-1"));
    assert_eq!(token(&app, "work").await.as_deref(), Ok("access-2"));
    assert_eq!(run(&app, Some("work")).await.as_deref(), Ok("access-2"));
    assert_eq!(run(&app, Some("default")).await.as_deref(), Ok("access-1"));
    app.clock.advance(HOUR);
    assert_eq!(token(&app, "work").await.as_deref(), Ok("access-3"), "each is refreshed separately");
    let Some(Call::Refresh { refresh_token, .. }) = app.provider.calls().pop() else { panic!("a refresh") };
    assert_eq!((refresh_token.as_str(), app.refreshes()), ("refresh-2", 1));
}

#[tokio::test]
async fn a_connection_without_a_name_is_the_default_one() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let completed = app.complete(callback_of(&started, "alice")).await;
    assert_eq!(completed.connection.as_str(), "default");
    assert_eq!(app.record(started.flow_id).await.owner.connection, ConnectionName::default());
    assert_eq!(token(&app, "default").await.as_deref(), Ok("access-1"));
}

#[tokio::test]
async fn the_name_is_part_of_flow_result_status_and_audit() {
    let app = TestApp::new().await;
    let started = app.try_start(request_named("alice", "work")).await.unwrap();
    let flow = app.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
    assert_eq!(flow.connection, connection("work"));
    assert_eq!(listed(&app).await, kinds(&[("work", StatusKind::Connecting)]));
    let completed = app.complete(callback_of(&started, "alice")).await;
    assert_eq!((completed.outcome, completed.connection), (Outcome::Connected, connection("work")));
    token(&app, "work").await.unwrap();
    let events = app.events().await;
    for kind in [AuditKind::FlowStarted, AuditKind::CallbackConsumed, AuditKind::Connected, AuditKind::AccessTokenIssued] {
        let event = events.iter().find(|event| event.kind == kind).unwrap();
        assert_eq!(event.connection, Some(connection("work")), "{kind}");
    }
}

#[tokio::test]
async fn a_flow_supersedes_only_pending_flows_of_its_connection() {
    let app = TestApp::new().await;
    let plain = app.start("alice", &drive()).await;
    let work = app.try_start(request_named("alice", "work")).await.unwrap();
    let again = app.try_start(request_named("alice", "work")).await.unwrap();
    assert_eq!(app.record(plain.flow_id).await.state, StateKind::AwaitingCallback);
    let superseded = app.record(work.flow_id).await;
    assert_eq!((superseded.state, superseded.cause), (StateKind::Revoked, Some(terminated(TerminationCause::Superseded))));
    let pending = kinds(&[("default", StatusKind::Connecting), ("work", StatusKind::Connecting)]);
    assert_eq!(listed(&app).await, pending);
    for started in [plain, again] {
        assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, Outcome::Connected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_grant_supersedes_only_the_grant_of_its_connection() {
    let app = two_connections().await;
    let reconnected = app.connect_named("alice", "work").await;
    quiet().await;
    app.node.revoke_due().await.unwrap();
    assert_eq!(app.revoked(), ["refresh-2", "access-2"]);
    assert_eq!(app.record(reconnected).await.state, StateKind::Authorized);
    assert_eq!(token(&app, "default").await.as_deref(), Ok("access-1"));
    assert_eq!(token(&app, "work").await.as_deref(), Ok("access-3"));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_connected_under_another_name_is_refused() {
    let app = TestApp::new().await;
    app.connect_named("alice", "default").await;
    for allow_account_change in [false, true] {
        let again = StartRequest { allow_account_change, ..request_named("alice", "work") };
        let started = app.try_start(again).await.unwrap();
        let completed = app.complete(callback_of(&started, "alice")).await;
        let refused = FlowFailure::Code(FailureCode::AccountAlreadyConnected);
        assert_eq!(completed.outcome, Outcome::Failed(refused));
        let flow = app.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
        assert_eq!(flow.status, FlowStatus::Failed(refused));
    }
    assert_eq!(FailureCode::AccountAlreadyConnected.as_str(), "account_already_connected");
    assert_eq!(app.outcomes(AuditKind::FlowEnded).await, ["account_already_connected"; 2]);
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-2", "access-2", "refresh-3", "access-3"], "the tokens received are revoked");
    assert_eq!(listed(&app).await, kinds(&[("default", StatusKind::Connected)]));
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
}

#[tokio::test(start_paused = true)]
async fn the_same_account_may_be_connected_again_elsewhere_or_later() {
    let app = TestApp::new().await;
    app.create_connector(&elsewhere(), draft("{}")).await;
    app.connect_named("alice", "default").await;
    app.connect("bob").await;
    app.connect_to("alice", &elsewhere()).await;
    app.connect("alice").await;
    disconnect(&app, Some("default")).await.unwrap();
    app.provider.set_account(Some(account("alice.default")));
    let started = app.try_start(request_named("alice", "work")).await.unwrap();
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, Outcome::Connected);
}

#[tokio::test]
async fn r35_the_previous_account_and_the_login_hint_are_those_of_the_connection() {
    let app = two_connections().await;
    let hint = |name: &str| Some(account(&format!("alice.{name}")).label);
    app.try_start(request_named("alice", "third")).await.unwrap();
    app.try_start(request_named("alice", "work")).await.unwrap();
    let calls = app.provider.calls().into_iter();
    let hints: Vec<_> = calls
        .filter_map(|call| if let Call::AuthorizationUrl { login_hint, .. } = call { Some(login_hint) } else { None })
        .collect();
    assert_eq!(hints, [None, None, None, hint("work")]);
    app.provider.set_account(Some(account("mallory")));
    let started = app.try_start(request_named("alice", "work")).await.unwrap();
    let mismatch = Outcome::Failed(FlowFailure::Code(FailureCode::AccountMismatch));
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, mismatch);
    let started = app.try_start(request_named("alice", "third")).await.unwrap();
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, Outcome::Connected);
}

#[tokio::test(start_paused = true)]
async fn without_a_name_the_only_connection_is_meant() {
    let app = TestApp::new().await;
    app.connect_named("alice", "work").await;
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    assert_eq!(run(&app, None).await.as_deref(), Ok("access-1"));
    let status = app.connector_status("alice").await;
    assert_eq!((status.user_auth_status, status.shown().connection), (UserAuthStatus::Connected, connection("work")));
    let ended = disconnect(&app, None).await.unwrap();
    assert_eq!(ended, TerminationReport { flows: 0, grants: 1, former: 0, queued: 1 });
    quiet().await;
    assert_eq!(app.token("alice").await, Err(authorization_required(Reason::NotConnected)));
    assert_eq!(disconnect(&app, None).await, Ok(TerminationReport::default()));
}

#[tokio::test]
async fn without_a_name_several_connections_are_ambiguous() {
    let app = two_connections().await;
    let connections = vec![label("default"), label("work")];
    let refused = TokenError::ConnectionAmbiguous { connections: connections.clone() };
    assert_eq!(refused.code(), "connection_ambiguous");
    app.clock.advance(HOUR);
    assert_eq!(app.token("alice").await, Err(refused.clone()));
    assert_eq!(run(&app, None).await, Err(refused.into()));
    let refused = disconnect(&app, None).await.unwrap_err();
    assert_eq!((&refused, refused.code()), (&DisconnectError::ConnectionAmbiguous { connections }, "connection_ambiguous"));
    assert!(app.resource.requests().is_empty(), "no request with another connection");
    assert_eq!(app.refreshes(), 0);
    assert_eq!(app.outcomes(AuditKind::AccessTokenRefused).await, ["connection_ambiguous"; 2]);
    assert_eq!(listed(&app).await, kinds(&[("default", StatusKind::Connected), ("work", StatusKind::Connected)]));
}

#[tokio::test(start_paused = true)]
async fn without_a_name_the_default_connection_is_used() {
    let app = two_connections().await;
    set_default(&app, Some("work")).await.unwrap();
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(run(&app, None).await.as_deref(), Ok("access-2"));
    assert_eq!(token(&app, "default").await.as_deref(), Ok("access-1"), "a name takes precedence");
    let status = app.connector_status("alice").await;
    assert_eq!(status.default_connection, Some(connection("work")));
    assert_eq!(status.shown().connection, connection("work"));
    set_default(&app, None).await.unwrap();
    assert!(matches!(app.token("alice").await, Err(TokenError::ConnectionAmbiguous { .. })));
    assert_eq!(app.connector_status("alice").await.default_connection, None);
    set_default(&app, Some("work")).await.unwrap();
    assert_eq!(disconnect(&app, None).await.unwrap().grants, 1);
    assert_eq!(listed(&app).await[0], ("default".to_owned(), StatusKind::Connected));
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-2", "access-2"]);
}

#[tokio::test]
async fn setting_the_default_connection_is_checked_limited_and_audited() {
    let app = two_connections().await;
    let unknown = set_default(&app, Some("third")).await.unwrap_err();
    assert_eq!((&unknown, unknown.code()), (&DisconnectError::ConnectionNotFound, "connection_not_found"));
    assert!(app.outcomes(AuditKind::DefaultConnectionSet).await.is_empty());
    let set = async |actor: Actor| app.node.set_default_connection(&actor, &drive(), Some(connection("work"))).await;
    assert_eq!(set(agent()).await, Err(AccessError::Forbidden.into()));
    assert_eq!(set(person("stranger")).await, Err(AccessError::NotFound.into()));
    assert_eq!(set(person("bob")).await, Err(DisconnectError::ConnectionNotFound), "the connection of another user");
    app.limiter.refuse(SECOND);
    assert_eq!(set(person("alice")).await, Err(DisconnectError::RateLimited { retry_after: SECOND }));
    assert_eq!(app.limiter.taken().last(), Some(&("user:alice".to_owned(), Limit::Disconnect)));
    assert_eq!(app.connector_status("alice").await.default_connection, None, "nothing was changed");
    set(person("alice")).await.unwrap();
    set_default(&app, None).await.unwrap();
    let events = app.events().await;
    let events: Vec<_> = events.iter().filter(|event| event.kind == AuditKind::DefaultConnectionSet).collect();
    let names: Vec<_> = events.iter().map(|event| event.connection.clone()).collect();
    assert_eq!(names, [Some(connection("work")), None]);
    assert_eq!((&events[0].actor, &events[0].user), (&person("alice"), &Some(user("alice"))));
}

#[tokio::test]
async fn an_unknown_name_requires_authorization_of_that_connection() {
    let app = two_connections().await;
    set_default(&app, Some("work")).await.unwrap();
    let required = TokenError::AuthorizationRequired { reason: Reason::NotConnected, connection: connection("third") };
    assert_eq!(token(&app, "third").await, Err(required.clone()));
    assert_eq!(run(&app, Some("third")).await, Err(required.into()));
    assert_eq!(disconnect(&app, Some("third")).await, Ok(TerminationReport::default()), "disconnecting is idempotent");
    assert_eq!(listed(&app).await, kinds(&[("default", StatusKind::Connected), ("work", StatusKind::Connected)]));
}

#[tokio::test(start_paused = true)]
async fn disconnecting_one_connection_keeps_the_others() {
    let app = two_connections().await;
    let flow = app.start("alice", &drive()).await;
    app.try_start(request_named("alice", "work")).await.unwrap();
    let ended = disconnect(&app, Some("work")).await.unwrap();
    assert_eq!(ended, TerminationReport { flows: 1, grants: 1, former: 0, queued: 1 });
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-2", "access-2"]);
    assert_eq!(token(&app, "default").await.as_deref(), Ok("access-1"));
    assert_eq!(app.record(flow.flow_id).await.state, StateKind::AwaitingCallback);
    let required = TokenError::AuthorizationRequired { reason: Reason::NotConnected, connection: connection("work") };
    assert_eq!(token(&app, "work").await, Err(required));
}

#[tokio::test(start_paused = true)]
async fn statuses_list_every_connection_with_its_own_flow_and_note() {
    let app = two_connections().await;
    app.try_start(request_named("alice", "third")).await.unwrap();
    app.try_start(request_named("alice", "work")).await.unwrap();
    app.provider.respond_to_revoke(Err(ProviderErrorKind::NotSent));
    app.connect_named("alice", "gone").await;
    disconnect(&app, Some("gone")).await.unwrap();
    quiet().await;
    let status = app.connector_status("alice").await;
    let listed: Vec<_> = status.connections.iter().map(|c| (c.connection.as_str(), c.kind, c.is_reconnecting())).collect();
    let expected = [
        ("default", StatusKind::Connected, false),
        ("gone", StatusKind::NotConnected, false),
        ("third", StatusKind::Connecting, false),
        ("work", StatusKind::Connected, true),
    ];
    assert_eq!(listed, expected);
    assert_eq!(status.connections[1].provider_note, Some(ProviderNote::RevocationPending));
    assert_eq!(status.connections[0].account, label("default").account);
    let bulk = app.node.statuses(&person("alice"), &space("default")).await.unwrap();
    assert_eq!(bulk.into_iter().map(|(_, status)| status).collect::<Vec<_>>(), [status]);
    app.clock.advance(Duration::from_mins(1));
    app.node.revoke_due().await.unwrap();
    assert_eq!(app.connector_status("alice").await.connections.len(), 3, "a closed connection is not listed");
}

#[tokio::test(start_paused = true)]
async fn administrators_see_and_revoke_single_connections() {
    let app = two_connections().await;
    let page = app.node.list_grants(&person("ada"), &space("default"), GrantFilter::default(), None, 10).await.unwrap();
    let names: Vec<_> = page.grants.iter().map(|grant| grant.connection.as_str()).collect();
    assert_eq!(names, ["work", "default"]);
    app.node.revoke_grant(&person("ada"), &space("default"), page.grants[0].id).await.unwrap();
    let expected = kinds(&[("default", StatusKind::Connected), ("work", StatusKind::NeedsReauthorization)]);
    assert_eq!(listed(&app).await, expected);
    quiet().await;
    assert_eq!(app.revoked(), ["refresh-2", "access-2"]);
}

#[tokio::test(start_paused = true)]
async fn removing_a_user_or_a_connector_ends_every_connection() {
    for deleted in [false, true] {
        let app = two_connections().await;
        if deleted {
            assert_eq!(app.node.delete_connector(&person("ed"), &drive()).await, Ok(2));
        } else {
            let removed = app.node.remove_user(Actor::System, &user("alice")).await.unwrap();
            assert_eq!((removed.revoked, removed.queued), (2, 2));
        }
        quiet().await;
        assert_eq!(app.revoked().len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn r51_a_revocation_per_user_considers_the_grants_of_every_connection() {
    let app = TestApp::new().await;
    app.profiles.set("{}", |settings| settings.revocation_is_per_user = true);
    app.connect_named("alice", "default").await;
    app.provider.respond_to_revoke(Err(ProviderErrorKind::NotSent));
    disconnect(&app, Some("default")).await.unwrap();
    quiet().await;
    assert_eq!(app.revoked().len(), 2, "the failed attempt, with both tokens");
    // The same account is connected again under another name, before the revocation is done.
    app.provider.set_account(Some(account("alice.default")));
    let started = app.try_start(request_named("alice", "work")).await.unwrap();
    assert_eq!(app.complete(callback_of(&started, "alice")).await.outcome, Outcome::Connected);
    app.clock.advance(Duration::from_mins(1));
    app.node.revoke_due().await.unwrap();
    assert_eq!(app.revoked().len(), 2, "a revocation would end the new grant");
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["not_needed"]);
    // Another account of the same user is revoked.
    app.connect_named("alice", "third").await;
    disconnect(&app, Some("third")).await.unwrap();
    quiet().await;
    assert_eq!(app.outcomes(AuditKind::RevocationCompleted).await, ["not_needed", "revoked"]);
}

#[tokio::test]
async fn r76_tokens_cannot_be_moved_to_a_connection_of_another_name() {
    let app = two_connections().await;
    let page = app.node.list_grants(&person("ada"), &space("default"), GrantFilter::default(), None, 10).await.unwrap();
    let (work, plain) = (app.record(page.grants[0].id).await, app.record(page.grants[1].id).await);
    let moved = grantry_domain::authorization::AuthorizationRecord { sealed: plain.sealed, ..work };
    app.tamper(moved).await;
    let required = TokenError::AuthorizationRequired { reason: Reason::Undecryptable, connection: connection("work") };
    assert_eq!(token(&app, "work").await, Err(required));
    assert_eq!(app.outcomes(AuditKind::DecryptFailed).await, ["tampered"]);
}

#[tokio::test]
async fn pending_flows_of_all_connections_count_for_the_limit() {
    let app = TestApp::new().await;
    for n in 0..10 {
        app.try_start(request_named("alice", &format!("c{n}"))).await.unwrap();
    }
    let refused = app.try_start(request("alice", &drive())).await.err().unwrap();
    assert_eq!(refused.code(), "rate_limited");
}

#[tokio::test(start_paused = true)]
async fn an_edit_counts_users_and_not_connections() {
    let app = two_connections().await;
    app.connect("bob").await;
    app.profiles.set("edited", |settings| settings.client_id = "client-2".to_owned());
    let dry = app.node.update_connector(&person("ed"), &drive(), draft("edited"), None, true).await.unwrap();
    assert_eq!((dry.disconnected_users, app.edit(draft("edited")).await), (2, 2));
    let expected = kinds(&[("default", StatusKind::NeedsReauthorization), ("work", StatusKind::NeedsReauthorization)]);
    assert_eq!(listed(&app).await, expected);
    quiet().await;
    assert_eq!(app.provider.count(Operation::Revoke), 6);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_needs_reauthorization_makes_a_disconnect_ambiguous() {
    let app = two_connections().await;
    app.clock.advance(HOUR);
    app.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
    token(&app, "work").await.unwrap_err();
    let expected = kinds(&[("default", StatusKind::Connected), ("work", StatusKind::NeedsReauthorization)]);
    assert_eq!(listed(&app).await, expected);
    let refused = disconnect(&app, None).await.unwrap_err();
    assert_eq!(refused, DisconnectError::ConnectionAmbiguous { connections: vec![label("default"), label("work")] });
    assert_eq!(disconnect(&app, Some("work")).await.unwrap().former, 1);
    assert_eq!(disconnect(&app, None).await.unwrap().grants, 1);
}

#[tokio::test(start_paused = true)]
async fn after_its_default_connection_was_disconnected_the_only_one_left_is_meant() {
    let app = two_connections().await;
    set_default(&app, Some("work")).await.unwrap();
    disconnect(&app, Some("work")).await.unwrap();
    quiet().await;
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-1"));
    let status = app.connector_status("alice").await;
    assert_eq!((status.user_auth_status, status.shown().connection), (UserAuthStatus::Connected, connection("default")));
    assert_eq!(disconnect(&app, None).await.unwrap().grants, 1, "a confirmed disconnect leaves no connection");
    assert_eq!(app.connector_status("alice").await.user_auth_status, UserAuthStatus::NotConnected);
}

#[tokio::test]
async fn without_a_name_an_expired_connection_is_not_passed_over() {
    let app = two_connections().await;
    app.clock.advance(HOUR);
    app.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
    token(&app, "work").await.unwrap_err();
    let refused = TokenError::ConnectionAmbiguous { connections: vec![label("default"), label("work")] };
    assert_eq!(app.token("alice").await, Err(refused.clone()));
    assert_eq!(run(&app, None).await, Err(refused.into()));
    assert!(app.resource.requests().is_empty(), "no request with another connection");
    disconnect(&app, Some("work")).await.unwrap();
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-3"), "the only connection left");
}

#[tokio::test]
async fn a_run_is_retried_with_its_connection_and_the_error_names_it() {
    let app = TestApp::new().await;
    app.connect_named("alice", "work").await;
    app.resource.reject_token("access-1");
    assert_eq!(run(&app, None).await.as_deref(), Ok("access-2"));
    let used: Vec<_> = app.resource.requests().into_iter().map(|request| request.token).collect();
    assert_eq!(used, ["access-1", "access-2"]);
    app.resource.reject_all_tokens();
    app.clock.advance(Duration::from_mins(1));
    let required = TokenError::AuthorizationRequired { reason: Reason::TokenRejected, connection: connection("work") };
    assert_eq!(run(&app, None).await, Err(required.into()));
}

#[tokio::test]
async fn a_default_connection_that_needs_reauthorization_is_not_replaced_by_another_one() {
    let app = two_connections().await;
    set_default(&app, Some("work")).await.unwrap();
    app.clock.advance(HOUR);
    app.provider.respond_to_refresh(Err(ProviderErrorKind::InvalidGrant));
    let required = TokenError::AuthorizationRequired { reason: Reason::RefreshRejected, connection: connection("work") };
    for _ in 0..2 {
        assert_eq!(app.token("alice").await, Err(required.clone()));
    }
    assert_eq!(run(&app, None).await, Err(required.into()));
    let status = app.connector_status("alice").await;
    assert_eq!((status.user_auth_status, status.shown().connection), (UserAuthStatus::NotConnected, connection("work")));
    assert_eq!(token(&app, "default").await.as_deref(), Ok("access-3"));
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_is_used_without_a_name_is_the_one_that_is_shown() {
    let app = two_connections().await;
    disconnect(&app, Some("default")).await.unwrap();
    quiet().await;
    let shown = async || {
        let status = app.connector_status("alice").await;
        let shown = status.shown();
        (status.user_auth_status, shown.connection.as_str().to_owned(), shown.kind)
    };
    assert_eq!(app.token("alice").await.as_deref(), Ok("access-2"));
    assert_eq!(shown().await, (UserAuthStatus::Connected, "work".to_owned(), StatusKind::Connected));
    // A flow of another connection does not hide a grant.
    app.start("alice", &drive()).await;
    assert_eq!(shown().await, (UserAuthStatus::Connected, "work".to_owned(), StatusKind::Connected));
    assert_eq!(disconnect(&app, Some("work")).await.unwrap().grants, 1);
    quiet().await;
    assert_eq!(shown().await, (UserAuthStatus::NotConnected, "default".to_owned(), StatusKind::Connecting));
}

//! Finishing a flow: who may, in which order it is checked, and how it fails.

use std::time::Duration;

use grantry_domain::authorization::{
    FailureCode, FlowFailure, FlowStatus, ProviderNote, Reason, RevokedCause, StateKind, StatusKind, TerminationCause,
};
use grantry_domain::connector::{CallbackId, ProfileId};
use grantry_domain::ports::{
    AuditKind, AuthorizationStore, Operation as Limit, ProviderError, StoreError, TokenResponse, VaultError,
};
use grantry_domain::provider::{Account, BindingKind, CallbackPath, Scopes};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{
    AuthorizationResponse, CallbackRefused, CallbackRequest, ConnectorDraft, Outcome, StartRequest,
};
use grantry_testkit::doubles::fixtures::{connector_id, connector_key, space, user};
use grantry_testkit::doubles::{Call, Operation, tokens};

use crate::common::store::{DOWN, Fault, Method};
use crate::common::{HOUR, World, came_back, demand_for, draft, drive, elsewhere, person, quiet, request, text, token_from};

fn failed(code: FailureCode) -> Outcome {
    Outcome::Failed(FlowFailure::Code(code))
}

fn account(subject: &str) -> Account {
    Account { subject: subject.to_owned(), label: format!("{subject}@provider.example") }
}

fn denied(callback: CallbackRequest) -> CallbackRequest {
    CallbackRequest { answer: AuthorizationResponse::Error { denied: true }, ..callback }
}

/// A world with a connector in issuer mode whose issuer announces `iss`.
async fn issuer_mode() -> World {
    let world = World::without_connector();
    world.profiles.set("issuer", |settings| {
        settings.kind = BindingKind::Issuer;
        settings.callback = CallbackPath::Shared;
        settings.endpoints = None;
        settings.issuer = Some("https://issuer.example".to_owned());
    });
    let profile = ProfileId::new(".oauth2").unwrap();
    world.create_connector(&drive(), ConnectorDraft { profile, ..draft("issuer") }).await;
    world
}

#[tokio::test]
async fn a_finished_flow_is_the_users_grant() {
    let world = World::new().await;
    world.provider.set_account(Some(account("alice")));
    let wish = StartRequest { return_path: Some("/after".to_owned()), ..request("alice", &drive()) };
    let started = world.try_start(wish).await.unwrap();
    assert_eq!(world.kind("alice").await, StatusKind::Connecting);
    let completed = world.complete(came_back(&started, "alice")).await;
    assert_eq!((completed.flow_id, completed.outcome), (started.flow_id, Outcome::Connected));
    assert_eq!(completed.return_path.as_deref(), Some("/after"));
    assert_eq!((completed.space, completed.connector), (space("default"), connector_id("drive")));
    let status = world.status("alice").await;
    assert_eq!((status.kind, status.pending), (StatusKind::Connected, false));
    assert_eq!(status.account.as_deref(), Some("alice@provider.example"));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
    assert_eq!(world.kind("bob").await, StatusKind::NotConnected);
    let flow = world.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
    assert_eq!(flow.status, FlowStatus::Authorized);
}

#[tokio::test]
async fn r07_r25_the_code_goes_to_the_sealed_endpoint_with_the_sealed_redirect_uri() {
    let world = World::new().await;
    world.connect("alice").await;
    let exchange = world.token_calls().into_iter().next().unwrap();
    let Call::Exchange { endpoint, redirect_uri, client_secret, code, .. } = exchange else { panic!("an exchange") };
    assert_eq!(endpoint, "https://as.example/token");
    assert_eq!(redirect_uri, "https://connect.example/api/actions/connector/_oauth_callback");
    assert_eq!((client_secret.as_deref(), code.as_str()), (Some("client-secret-1"), "code-1"));
}

#[tokio::test]
async fn r03_lesson_02_another_user_finishes_nothing_and_consumes_nothing() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let before = world.row(started.flow_id).await;
    let stolen = CallbackRequest { user: user("bob"), ..came_back(&started, "alice") };
    let refused = world.node.complete(stolen).await.unwrap_err();
    assert_eq!((&refused, refused.code()), (&CallbackRefused::UserMismatch, "user_mismatch"));
    assert_eq!(world.row(started.flow_id).await, before, "not consumed");
    assert!(world.token_calls().is_empty());
    let event = world.events().await.pop().unwrap();
    assert_eq!((event.kind, event.outcome.as_str()), (AuditKind::BindingMismatch, "user_mismatch"));
    assert_eq!((event.actor, event.user, event.grant), (person("bob"), Some(user("alice")), Some(started.flow_id)));
    world.complete(came_back(&started, "alice")).await;
}

#[tokio::test]
async fn r03_another_browser_finishes_nothing_and_consumes_nothing() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let others = world.start("alice", &connector_in_marketing(&world).await).await;
    let before = world.row(started.flow_id).await;
    let cookies = [vec![], vec![others.flow_cookie.clone_secret()], vec![Secret::from_text("guess")]];
    for flow_cookies in cookies {
        let forged = CallbackRequest { flow_cookies, ..came_back(&started, "alice") };
        let refused = world.node.complete(forged).await.unwrap_err();
        assert_eq!((&refused, refused.code()), (&CallbackRefused::BrowserMismatch, "browser_mismatch"));
        assert_eq!(world.row(started.flow_id).await, before, "not consumed");
    }
    assert!(world.token_calls().is_empty());
    assert_eq!(world.outcomes(AuditKind::BindingMismatch).await, ["browser_mismatch"; 3]);
    let both = vec![others.flow_cookie.clone_secret(), started.flow_cookie.clone_secret()];
    let completed = world.complete(CallbackRequest { flow_cookies: both, ..came_back(&started, "alice") }).await;
    assert_eq!(completed.outcome, Outcome::Connected, "one of several cookies is enough");
}

async fn connector_in_marketing(world: &World) -> grantry_domain::connector::ConnectorKey {
    world.create_connector(&elsewhere(), draft("{}")).await;
    elsewhere()
}

#[tokio::test]
async fn r01_r20_unknown_and_reused_states_are_refused_without_a_provider_call() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let mut one_off = text(&started.state).into_bytes();
    one_off[20] ^= 1;
    for state in [Vec::new(), b"guess".to_vec(), one_off] {
        let forged = CallbackRequest { state: Secret::new(state), ..came_back(&started, "alice") };
        let refused = world.node.complete(forged).await.unwrap_err();
        assert_eq!((&refused, refused.code()), (&CallbackRefused::NotFound, "flow_not_found"));
    }
    assert!(world.token_calls().is_empty());
    world.complete(came_back(&started, "alice")).await;
    let refused = world.node.complete(came_back(&started, "alice")).await.unwrap_err();
    assert_eq!(refused, CallbackRefused::AlreadyUsed { flow_id: started.flow_id });
    assert_eq!(refused.code(), "flow_already_used");
    assert_eq!(world.provider.count(Operation::Exchange), 1);
}

#[tokio::test]
async fn r18_a_flow_past_its_deadline_is_refused_swept_or_not() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    world.clock.advance(Duration::from_mins(10));
    for _ in 0..2 {
        let refused = world.node.complete(came_back(&started, "alice")).await.unwrap_err();
        assert_eq!(refused, CallbackRefused::Expired { flow_id: started.flow_id });
        assert_eq!(refused.code(), "flow_expired");
        world.node.sweep(|_| {}).await.unwrap();
    }
    assert!(world.token_calls().is_empty());
    assert_eq!(world.kind("alice").await, StatusKind::NotConnected);
}

#[tokio::test]
async fn r76_the_sealed_deadline_wins_over_the_column() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let mut row = world.row(started.flow_id).await;
    row.deadline = Some(world.now().plus(Duration::from_hours(24)));
    let fence = grantry_domain::ports::ExpectedVersion::of(&row);
    world.store.inner().replace(row, fence, Vec::new()).await.unwrap();
    world.clock.advance(Duration::from_mins(11));
    assert_eq!(world.complete(came_back(&started, "alice")).await.outcome, failed(FailureCode::Internal));
    assert!(world.token_calls().is_empty());
}

#[tokio::test]
async fn r23_lesson_03_the_result_belongs_to_the_sealed_space() {
    let world = World::new().await;
    let marketing = connector_in_marketing(&world).await;
    let started = world.start("alice", &marketing).await;
    let completed = world.complete(came_back(&started, "alice")).await;
    assert_eq!((completed.outcome, completed.space), (Outcome::Connected, space("marketing")));
    assert_eq!(world.kind("alice").await, StatusKind::NotConnected, "none in default");
    let token = token_from(&world.node, &demand_for("alice", marketing)).await;
    assert_eq!(token.as_deref(), Ok("access-1"));
}

#[tokio::test]
async fn r08_the_paths_context_must_be_the_sealed_one() {
    let world = World::new().await;
    let profile = || ProfileId::new(".oauth2").unwrap();
    let (one, two) = (connector_key("default", "one"), connector_key("default", "two"));
    let first =
        world.create_connector(&one, ConnectorDraft { profile: profile(), ..draft("{}") }).await.connector.callback_id;
    let second =
        world.create_connector(&two, ConnectorDraft { profile: profile(), ..draft("{}") }).await.connector.callback_id;
    let paths: [(_, Option<CallbackId>, bool); 6] = [
        (&one, Some(first), true),
        (&one, Some(second), false),
        (&one, None, false),
        (&drive(), None, true),
        (&drive(), Some(first), false),
        (&two, Some(first), false),
    ];
    for (key, callback_id, fits) in paths {
        let exchanges = world.provider.count(Operation::Exchange);
        let started = world.start("alice", key).await;
        let outcome = world.complete(CallbackRequest { callback_id, ..came_back(&started, "alice") }).await.outcome;
        let expected = if fits { Outcome::Connected } else { failed(FailureCode::CallbackMismatch) };
        assert_eq!(outcome, expected, "{key:?} {callback_id:?}");
        assert_eq!(world.provider.count(Operation::Exchange), exchanges + usize::from(fits));
    }
}

#[tokio::test]
async fn r10_lesson_04_the_issuer_must_be_there_and_exact() {
    let world = issuer_mode().await;
    let wrong =
        ["https://issuer.example/", "https://Issuer.example", "https://issuer.example:443", "", "https://evil.example"];
    let wrong = wrong.into_iter().map(|issuer| Some(issuer.to_owned())).chain([None]);
    for issuer in wrong {
        let started = world.start("alice", &drive()).await;
        let callback = CallbackRequest { issuer: issuer.clone(), ..came_back(&started, "alice") };
        assert_eq!(world.complete(callback).await.outcome, failed(FailureCode::IssuerMismatch), "{issuer:?}");
    }
    // Also before an error is believed.
    let started = world.start("alice", &drive()).await;
    let outcome = world.complete(denied(came_back(&started, "alice"))).await.outcome;
    assert_eq!(outcome, failed(FailureCode::IssuerMismatch));
    assert!(world.token_calls().is_empty());
    assert_eq!(world.outcomes(AuditKind::IssuerMismatch).await, ["refused"; 7]);
    let started = world.start("alice", &drive()).await;
    let issuer = Some("https://issuer.example".to_owned());
    let outcome = world.complete(CallbackRequest { issuer, ..came_back(&started, "alice") }).await.outcome;
    assert_eq!(outcome, Outcome::Connected);
}

#[tokio::test]
async fn lesson_04_an_issuer_that_nobody_announced_is_accepted_where_none_is_known() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let issuer = Some("https://as.example".to_owned());
    let completed = world.complete(CallbackRequest { issuer, ..came_back(&started, "alice") }).await;
    assert_eq!(completed.outcome, Outcome::Connected);
}

#[tokio::test]
async fn r24_lesson_05_an_error_changes_nothing_without_its_binding_and_never_a_grant() {
    let world = World::new().await;
    let id = world.connect("alice").await;
    let grant = world.row(id).await;
    let started = world.start("alice", &drive()).await;
    let before = world.row(started.flow_id).await;
    let forged: [CallbackRequest; 3] = [
        CallbackRequest { state: Secret::from_text("unknown"), ..denied(came_back(&started, "alice")) },
        CallbackRequest { flow_cookies: Vec::new(), ..denied(came_back(&started, "alice")) },
        denied(came_back(&started, "bob")),
    ];
    for callback in forged {
        assert!(world.node.complete(callback).await.is_err());
        assert_eq!(world.row(started.flow_id).await, before);
    }
    let outcome = world.complete(denied(came_back(&started, "alice"))).await.outcome;
    assert_eq!(outcome, Outcome::Failed(FlowFailure::AccessDenied));
    let started = world.start("alice", &drive()).await;
    let other = CallbackRequest { answer: AuthorizationResponse::Error { denied: false }, ..came_back(&started, "alice") };
    assert_eq!(world.complete(other).await.outcome, failed(FailureCode::ProviderError));
    assert_eq!(world.row(id).await, grant, "the grant is untouched");
    assert_eq!(world.outcomes(AuditKind::FlowEnded).await, ["access_denied", "provider_error"]);
}

#[tokio::test]
async fn lesson_07_a_failed_exchange_ends_the_flow_and_leaves_the_old_grant_alone() {
    let expected = [
        (ProviderError::InvalidGrant, FailureCode::ExchangeFailed),
        (ProviderError::OtherOauthError, FailureCode::ExchangeFailed),
        (ProviderError::Malformed, FailureCode::ExchangeFailed),
        (ProviderError::ClientRefused, FailureCode::ProviderMisconfigured),
        (ProviderError::NotAllowed, FailureCode::ProviderMisconfigured),
        (ProviderError::BadMetadata, FailureCode::ProviderMisconfigured),
        (ProviderError::NotSent, FailureCode::ProviderUnavailable),
        (ProviderError::NoResponse, FailureCode::ProviderUnavailable),
        (ProviderError::Throttled { retry_after: None, unprocessed: true }, FailureCode::ProviderUnavailable),
    ];
    let world = World::new().await;
    let id = world.connect("alice").await;
    let grant = world.row(id).await;
    for (error, code) in expected {
        let started = world.start("alice", &drive()).await;
        world.provider.answer_exchange(Err(error));
        assert_eq!(world.complete(came_back(&started, "alice")).await.outcome, failed(code), "{error:?}");
        let row = world.row(started.flow_id).await;
        assert_eq!((row.state, row.cause), (StateKind::Revoked, Some(RevokedCause::Failed(code).to_record())));
        let again = world.node.complete(came_back(&started, "alice")).await;
        assert!(matches!(again, Err(CallbackRefused::AlreadyUsed { .. })));
        let flow = world.node.flow_status(&person("alice"), None, started.flow_id).await.unwrap();
        assert_eq!(flow.status, FlowStatus::Failed(FlowFailure::Code(code)));
    }
    assert_eq!(world.row(id).await, grant);
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
}

#[tokio::test(start_paused = true)]
async fn r27_a_reconnect_replaces_the_old_grant_in_one_step_and_revokes_it() {
    let world = World::new().await;
    let old = world.connect("alice").await;
    let started = world.start("alice", &drive()).await;
    let status = world.status("alice").await;
    assert_eq!((status.kind, status.pending), (StatusKind::Connected, true));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"), "the old one works on meanwhile");
    world.complete(came_back(&started, "alice")).await;
    let row = world.row(old).await;
    let superseded = RevokedCause::Terminated(TerminationCause::Superseded).to_record();
    assert_eq!((row.state, row.cause), (StateKind::Revoked, Some(superseded)));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
    world.node.revoke_due().await.unwrap();
    assert_eq!(world.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test(start_paused = true)]
async fn r51_a_replaced_grant_is_not_revoked_where_that_would_end_the_new_one() {
    let world = World::new().await;
    world.profiles.set("{}", |settings| settings.revocation_is_per_user = true);
    world.provider.set_account(Some(account("alice")));
    world.connect("alice").await;
    world.connect("alice").await;
    world.node.revoke_due().await.unwrap();
    assert!(world.revoked().is_empty());
    // Nor are the tokens of a reconnect that fails after the exchange.
    let started = world.start("alice", &drive()).await;
    world.store.fail_always(Method::CommitGrant, DOWN);
    let completed = world.drive(world.complete(came_back(&started, "alice"))).await;
    world.store.mend();
    assert_eq!(completed.outcome, failed(FailureCode::Internal));
    quiet().await;
    assert_eq!(world.outcomes(AuditKind::RevocationCompleted).await, ["not_needed"]);
    assert!(world.revoked().is_empty());
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
}

#[tokio::test]
async fn r13_granted_scopes_are_recorded_narrower_ones_tell_and_wider_ones_are_audited() {
    let world = World::new().await;
    let answer = |scopes: &[&str]| TokenResponse { scopes: Some(Scopes::new(scopes.to_vec())), ..tokens("a", Some("r")) };
    world.provider.answer_exchange(Ok(answer(&["write"])));
    let id = world.connect("alice").await;
    assert_eq!(world.row(id).await.scopes, Scopes::new(["write"]));
    let status = world.status("alice").await;
    assert_eq!((status.kind, status.reason), (StatusKind::NeedsReauthorization, Some(Reason::InsufficientScope)));
    let refused = world.token("alice").await.unwrap_err();
    assert_eq!(refused.code(), "authorization_required");
    world.provider.answer_exchange(Ok(answer(&["read", "write", "admin"])));
    world.connect("alice").await;
    assert_eq!(world.outcomes(AuditKind::ScopeWidened).await, ["widened"]);
    world.provider.answer_exchange(Ok(answer(&["read"])));
    world.connect("alice").await;
    assert_eq!(world.kind("alice").await, StatusKind::Connected, "only what is required is missed");
    let id = world.connect("alice").await;
    assert_eq!(world.row(id).await.scopes, Scopes::new(["read", "write"]), "absent means as asked");
}

#[tokio::test]
async fn r46_life_counts_from_before_the_code_was_sent() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let sent_at = world.now();
    let gate = world.provider.hold(Operation::Exchange);
    let completing = tokio::spawn({
        let (node, callback) = (world.node.clone(), came_back(&started, "alice"));
        async move { node.complete(callback).await.unwrap().outcome }
    });
    gate.arrived(1).await;
    world.clock.advance(Duration::from_mins(1));
    gate.open();
    assert_eq!(completing.await.unwrap(), Outcome::Connected);
    assert_eq!(world.row(started.flow_id).await.expires_at, Some(sent_at.plus(HOUR)));
}

#[tokio::test]
async fn r35_lesson_22_a_change_of_account_needs_confirmation() {
    let world = World::new().await;
    world.provider.set_account(Some(account("alice")));
    let id = world.connect("alice").await;
    let hints = |world: &World| -> Vec<Option<String>> {
        let calls = world.provider.calls().into_iter();
        calls
            .filter_map(|call| if let Call::AuthorizationUrl { login_hint, .. } = call { Some(login_hint) } else { None })
            .collect()
    };
    world.provider.set_account(Some(account("mallory")));
    let started = world.start("alice", &drive()).await;
    assert_eq!(world.complete(came_back(&started, "alice")).await.outcome, failed(FailureCode::AccountMismatch));
    assert_eq!(world.row(id).await.state, StateKind::Authorized, "the old grant stays");
    let confirmed = StartRequest { allow_account_change: true, ..request("alice", &drive()) };
    let started = world.try_start(confirmed).await.unwrap();
    assert_eq!(world.complete(came_back(&started, "alice")).await.outcome, Outcome::Connected);
    assert_eq!(world.status("alice").await.account.as_deref(), Some("mallory@provider.example"));
    let hint = Some("alice@provider.example".to_owned());
    assert_eq!(hints(&world), [None, hint, None], "no hint to somebody who wants another account");
}

#[tokio::test(start_paused = true)]
async fn r35_the_tokens_of_the_wrong_account_are_revoked() {
    let world = World::new().await;
    world.provider.set_account(Some(account("alice")));
    world.connect("alice").await;
    world.provider.set_account(Some(account("mallory")));
    let started = world.start("alice", &drive()).await;
    world.complete(came_back(&started, "alice")).await;
    quiet().await;
    assert_eq!(world.revoked(), ["refresh-2", "access-2"]);
}

#[tokio::test]
async fn r35_after_an_expiry_the_label_is_compared_after_a_disconnect_nothing_is() {
    let world = World::new().await;
    world.provider.set_account(Some(account("alice")));
    world.connect("alice").await;
    world.provider.answer_refresh(Err(ProviderError::InvalidGrant));
    world.clock.advance(HOUR);
    assert!(world.token("alice").await.is_err());
    assert_eq!(world.status("alice").await.reason, Some(Reason::RefreshRejected));
    world.provider.set_account(Some(account("mallory")));
    let started = world.start("alice", &drive()).await;
    assert_eq!(world.complete(came_back(&started, "alice")).await.outcome, failed(FailureCode::AccountMismatch));
    world.provider.set_account(Some(account("alice")));
    world.connect("alice").await;
    world.node.disconnect(&person("alice"), &drive()).await.unwrap();
    world.provider.set_account(Some(account("mallory")));
    world.connect("alice").await;
}

#[tokio::test(start_paused = true)]
async fn an_id_token_that_is_not_for_us_costs_the_grant_a_slow_userinfo_does_not() {
    let world = World::new().await;
    for error in [ProviderError::Malformed, ProviderError::BadMetadata] {
        let started = world.start("alice", &drive()).await;
        world.provider.answer_identify(Err(error));
        let outcome = world.complete(came_back(&started, "alice")).await.outcome;
        assert_eq!(outcome, failed(FailureCode::ExchangeFailed));
    }
    quiet().await;
    assert_eq!(world.revoked(), ["refresh-1", "access-1", "refresh-2", "access-2"]);
    let started = world.start("alice", &drive()).await;
    world.provider.answer_identify(Err(ProviderError::NoResponse));
    assert_eq!(world.complete(came_back(&started, "alice")).await.outcome, Outcome::Connected);
    assert_eq!(world.status("alice").await.account, None);
}

#[tokio::test]
async fn r59_callbacks_are_limited_per_user_and_per_address_before_anything_is_consumed() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let callback = || CallbackRequest { address: Some("192.0.2.1".to_owned()), ..came_back(&started, "alice") };
    world.limiter.let_through();
    world.limiter.refuse(Duration::from_secs(9));
    let refused = world.node.complete(callback()).await.unwrap_err();
    assert_eq!(refused, CallbackRefused::RateLimited { retry_after: Duration::from_secs(9) });
    assert_eq!(refused.code(), "rate_limited");
    let taken = world.limiter.taken();
    assert_eq!(taken[1..], [("user:alice".to_owned(), Limit::Callback), ("address:192.0.2.1".to_owned(), Limit::Callback)]);
    assert_eq!(world.complete(callback()).await.outcome, Outcome::Connected);
}

#[tokio::test]
async fn r76_flow_secrets_that_do_not_open_fail_closed_and_are_told() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    world.vault.fail(Some(VaultError::UnknownKey));
    let completed = world.complete(came_back(&started, "alice")).await;
    world.vault.fail(None);
    assert_eq!((completed.outcome, completed.return_path), (failed(FailureCode::Internal), None));
    assert!(world.token_calls().is_empty());
    assert_eq!(world.outcomes(AuditKind::OpenFailed).await, ["unknown_key"]);
}

#[tokio::test]
async fn a_store_that_fails_before_the_flow_is_consumed_leaves_it_usable() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    for method in [Method::Now, Method::Consume] {
        world.store.fail_next(method, DOWN);
        let refused = world.node.complete(came_back(&started, "alice")).await.unwrap_err();
        assert_eq!((&refused, refused.code()), (&CallbackRefused::Store(StoreError::Unavailable), "store_unavailable"));
    }
    assert!(world.token_calls().is_empty());
    world.complete(came_back(&started, "alice")).await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_store_at_the_commit_is_asked_again() {
    let world = World::new().await;
    for fault in [DOWN, Fault::AnswerLost] {
        let started = world.start("alice", &drive()).await;
        world.store.fail_next(Method::CommitGrant, fault);
        let completed = world.drive(world.complete(came_back(&started, "alice"))).await;
        assert_eq!(completed.outcome, Outcome::Connected, "{fault:?}");
        assert_eq!(world.row(started.flow_id).await.state, StateKind::Authorized);
    }
    world.node.revoke_due().await.unwrap();
    assert_eq!(world.revoked(), ["refresh-1", "access-1"], "of the first, which the second replaced");
}

#[tokio::test(start_paused = true)]
async fn r26_tokens_whose_commit_fails_are_revoked_even_if_the_store_was_away_for_long() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let gate = world.provider.hold(Operation::Identify);
    let completing = tokio::spawn({
        let (node, callback) = (world.node.clone(), came_back(&started, "alice"));
        async move { node.complete(callback).await.unwrap().outcome }
    });
    gate.arrived(1).await;
    world.store.go_down();
    gate.open();
    let outcome = world.drive(completing).await.unwrap();
    assert_eq!(outcome, failed(FailureCode::Internal));
    assert!(world.revoked().is_empty());
    world.pass(Duration::from_mins(3)).await;
    world.store.mend();
    world.drive(world.spawner.finished()).await;
    assert_eq!(world.revoked(), ["refresh-1", "access-1"]);
    assert_eq!(world.node.sweep(|_| {}).await.unwrap().interrupted, 1, "the flow is over as well");
}

#[tokio::test(start_paused = true)]
async fn r26_tokens_that_cannot_be_sealed_are_revoked_when_they_can() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let gate = world.provider.hold(Operation::Identify);
    let completing = tokio::spawn({
        let (node, callback) = (world.node.clone(), came_back(&started, "alice"));
        async move { node.complete(callback).await.unwrap().outcome }
    });
    gate.arrived(1).await;
    world.vault.fail(Some(VaultError::NoEntropy));
    gate.open();
    assert_eq!(completing.await.unwrap(), failed(FailureCode::Internal));
    assert_eq!(world.kind("alice").await, StatusKind::NotConnected);
    world.vault.fail(None);
    world.drive(world.spawner.finished()).await;
    assert_eq!(world.revoked(), ["refresh-1", "access-1"]);
}

#[tokio::test]
async fn r26_the_work_goes_on_when_the_browser_hangs_up() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let gate = world.provider.hold(Operation::Exchange);
    let waiting = tokio::spawn({
        let (node, callback) = (world.node.clone(), came_back(&started, "alice"));
        async move { node.complete(callback).await.map(drop) }
    });
    gate.arrived(1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    gate.open();
    world.spawner.finished().await;
    assert_eq!(world.row(started.flow_id).await.state, StateKind::Authorized);
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r20_lesson_01_many_callbacks_on_three_nodes_make_one_exchange() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let nodes = [world.node.clone(), world.another_node(), world.another_node()];
    let all = (0..64).map(|n: usize| {
        let (node, callback) = (nodes[n % 3].clone(), came_back(&started, "alice"));
        tokio::spawn(async move { node.complete(callback).await })
    });
    let (mut connected, mut refused) = (0, 0);
    for task in all.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(completed) => {
                assert_eq!(completed.outcome, Outcome::Connected);
                connected += 1;
            }
            Err(CallbackRefused::AlreadyUsed { flow_id }) => {
                assert_eq!(flow_id, started.flow_id);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((connected, refused), (1, 63));
    assert_eq!(world.provider.count(Operation::Exchange), 1);
    assert_eq!(world.outcomes(AuditKind::CallbackConsumed).await, ["ok"]);
    assert_eq!(world.outcomes(AuditKind::Connected).await, ["ok"]);
}

#[test]
fn lesson_08_a_process_that_dies_in_a_reconnect_leaves_the_old_grant() {
    let process = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (dying, survivor) = (process(), process());
    let points: [fn(&World) -> Point; 3] = [
        |world| Point::Provider(world.provider.hold(Operation::Exchange)),
        |world| Point::Provider(world.provider.hold(Operation::Identify)),
        |world| Point::Store(world.store.hold(Method::CommitGrant)),
    ];
    for point in points {
        let world = survivor.block_on(World::new());
        let old = survivor.block_on(world.connect("alice"));
        let started = survivor.block_on(world.start("alice", &drive()));
        let reached = point(&world);
        let dying = &dying;
        dying.block_on(async {
            let (node, callback) = (world.another_node(), came_back(&started, "alice"));
            tokio::spawn(async move { node.complete(callback).await.map(drop) });
            reached.arrived().await;
        });
        // Only the tasks of the dying process are dropped: the gate stays shut for them.
        survivor.block_on(async {
            assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
            world.clock.advance(Duration::from_mins(2));
            world.node.sweep(|_| {}).await.unwrap();
            let row = world.row(started.flow_id).await;
            let interrupted = RevokedCause::Failed(FailureCode::Interrupted).to_record();
            assert_eq!((row.state, row.cause), (StateKind::Revoked, Some(interrupted)));
            assert_eq!(world.row(old).await.state, StateKind::Authorized);
            assert!(!world.status("alice").await.pending);
        });
    }
}

/// Where a callback is stopped.
enum Point {
    Provider(grantry_testkit::provider::Gate),
    Store(crate::common::gate::Gate),
}

impl Point {
    async fn arrived(&self) {
        match self {
            Self::Provider(gate) => gate.arrived(1).await,
            Self::Store(gate) => gate.arrived(1).await,
        }
    }

    fn open(&self) {
        match self {
            Self::Provider(gate) => gate.open(),
            Self::Store(gate) => gate.open(),
        }
    }
}

mod disturbed;

#[tokio::test]
async fn the_provider_note_is_empty_for_a_grant_in_good_health() {
    let world = World::new().await;
    world.connect("alice").await;
    assert_eq!(world.status("alice").await.provider_note, None::<ProviderNote>);
}

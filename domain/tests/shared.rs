//! The connector's own token: client credentials, in memory only.

use std::time::Duration;

use grantry_domain::authorization::Reason;
use grantry_domain::connector::AuthMode;
use grantry_domain::ports::{AuditKind, AuthorizationStore, ProviderError};
use grantry_domain::provider::ClientAuthentication;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{AccessTokenRequest, ConnectorDraft, TokenError};
use grantry_testkit::doubles::fixtures::{origin, space, user};
use grantry_testkit::doubles::{Call, Operation};

use crate::common::store::{DOWN, Method};
use crate::common::{HOUR, PROVIDER_ERRORS, World, demand, draft, drive, quiet, text, token_from, tokens_for};

fn shared(config: &str) -> ConnectorDraft {
    ConnectorDraft { auth_mode: AuthMode::Shared, ..draft(config) }
}

async fn world() -> World {
    let world = World::without_connector();
    world.create_connector(&drive(), shared("{}")).await;
    world
}

fn fetches(world: &World) -> usize {
    world.provider.count(Operation::ClientCredentials)
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_fetch_one_token_and_it_is_never_stored() {
    let world = world().await;
    let usage = world.store.inner().key_usage().await.unwrap();
    let gate = world.provider.hold(Operation::ClientCredentials);
    let callers: Vec<_> = (0..50)
        .map(|n| {
            let node = world.node.clone();
            let who = if n % 2 == 0 { "alice" } else { "bob" };
            tokio::spawn(async move { token_from(&node, &demand(who)).await })
        })
        .collect();
    gate.arrived(1).await;
    quiet().await;
    gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap().as_deref(), Ok("access-1"));
    }
    assert_eq!(fetches(&world), 1);
    assert_eq!(world.store.inner().key_usage().await.unwrap(), usage, "nothing was sealed");
    let Some(Call::ClientCredentials { endpoint, client_secret, .. }) = world.token_calls().pop() else { panic!("a fetch") };
    assert_eq!((endpoint.as_str(), client_secret.as_deref()), ("https://as.example/token", Some("client-secret-1")));
    assert_eq!(world.outcomes(AuditKind::AccessTokenIssued).await, vec!["shared"; 50]);
}

#[tokio::test]
async fn a_shared_token_is_replaced_before_its_end() {
    let world = world().await;
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
    world.clock.advance(HOUR - Duration::from_secs(31));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
}

#[tokio::test]
async fn a_short_lived_shared_token_is_used_for_half_its_life() {
    let world = world().await;
    world.provider.answer_client_credentials(Ok(tokens_for("short", None, Duration::from_secs(20))));
    assert_eq!(world.token("alice").await.as_deref(), Ok("short"));
    world.clock.advance(Duration::from_secs(9));
    assert_eq!(world.token("alice").await.as_deref(), Ok("short"));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
    world.provider.answer_client_credentials(Ok(tokens_for("dead", None, Duration::ZERO)));
    world.clock.advance(HOUR);
    assert!(matches!(world.token("alice").await, Err(TokenError::Unavailable { .. })));
}

#[tokio::test]
async fn r43_privilege_and_destination_are_checked_for_shared_tokens_too() {
    let world = world().await;
    assert!(world.token("alice").await.is_ok());
    let evil = AccessTokenRequest { destination: origin("https://evil.example"), ..demand("alice") };
    assert_eq!(token_from(&world.node, &evil).await, Err(TokenError::DestinationRefused));
    world.directory.expel(&user("alice"), &space("default"));
    assert_eq!(world.token("alice").await, Err(TokenError::NotFound));
}

#[tokio::test]
async fn an_edit_brings_another_token() {
    let world = world().await;
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-1"));
    let rotated = ConnectorDraft { client_secret: Some(Secret::from_text("client-secret-2")), ..shared("{}") };
    world.edit(rotated).await;
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-2"));
    world.profiles.set("moved", |settings| settings.client_id = "client-2".to_owned());
    world.edit(shared("moved")).await;
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-3"));
    world.node.delete_connector(&crate::common::person("ed"), &drive()).await.unwrap();
    assert_eq!(world.token("alice").await, Err(TokenError::NotFound));
    world.create_connector(&drive(), shared("{}")).await;
    assert_eq!(world.token("alice").await.as_deref(), Ok("access-4"), "another incarnation");
}

#[tokio::test]
async fn r47_a_refused_shared_token_is_fetched_anew_once() {
    let world = world().await;
    let given = world.node.access_token(&demand("alice")).await.unwrap();
    for _ in 0..3 {
        let again = world.node.report_unauthorized(&demand("alice"), given.fingerprint).await.unwrap();
        assert_eq!(text(&again.token), "access-2");
    }
    assert_eq!(fetches(&world), 2);
    for _ in 0..3 {
        world.provider.answer_client_credentials(Ok(tokens_for("access-2", None, HOUR)));
        let fingerprint = world.node.access_token(&demand("alice")).await.unwrap().fingerprint;
        let again = world.node.report_unauthorized(&demand("alice"), fingerprint).await.map(drop);
        assert_eq!(again, Err(TokenError::AuthorizationRequired { reason: Reason::TokenRejected }));
    }
    assert_eq!(fetches(&world), 3, "the same token again is no reason to ask again");
    let noted = world.outcomes(AuditKind::AccessTokenIssued).await.len();
    assert_eq!(noted, 1 + 3 + 3, "what was refused is not noted as handed out");
}

#[tokio::test]
async fn failures_are_told_apart_and_a_refused_client_opens_the_breaker() {
    for error in PROVIDER_ERRORS.iter().copied() {
        let world = world().await;
        world.provider.answer_client_credentials(Err(error));
        let refused = world.token("alice").await.unwrap_err();
        let (operators, passing) = (TokenError::Misconfigured, matches!(refused, TokenError::Unavailable { .. }));
        let of_operator =
            error.is_misconfiguration() || matches!(error, ProviderError::InvalidGrant | ProviderError::OtherOauthError);
        assert_eq!((refused == operators, passing), (of_operator, !of_operator), "{error:?}");
        let again = world.token("alice").await;
        let broken = error.is_misconfiguration();
        assert_eq!(again == Err(operators), broken, "{error:?}");
        assert_eq!(fetches(&world), if broken { 1 } else { 2 });
        world.clock.advance(Duration::from_mins(1));
        assert!(world.token("alice").await.is_ok());
    }
    let world = world().await;
    let asked = Duration::from_secs(77);
    world.provider.answer_client_credentials(Err(ProviderError::Throttled { retry_after: Some(asked), unprocessed: true }));
    assert_eq!(world.token("alice").await, Err(TokenError::Unavailable { retry_after: asked }));
    world.provider.answer_resolve(Err(ProviderError::NotSent));
    assert!(matches!(world.token("alice").await, Err(TokenError::Unavailable { .. })));
    world.store.fail_next(Method::ClientSecret, DOWN);
    assert!(matches!(world.token("alice").await, Err(TokenError::Store(_))));
}

#[tokio::test]
async fn a_shared_connector_without_its_secret_is_the_operators_fault() {
    let world = World::without_connector();
    world.create_connector(&drive(), ConnectorDraft { client_secret: None, ..shared("{}") }).await;
    assert_eq!(world.token("alice").await, Err(TokenError::Misconfigured));
    assert_eq!(fetches(&world), 0);
    world.profiles.refuse("{}", "config.tokenUrl", "must be https");
    assert_eq!(world.token("alice").await, Err(TokenError::Misconfigured));
    world.profiles.set("{}", |settings| settings.authentication = ClientAuthentication::None);
    assert!(world.token("alice").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_hangs_is_given_up() {
    let world = world().await;
    let _gate = world.provider.hold(Operation::ClientCredentials);
    let started = world.now();
    let refused = world.drive(world.token("alice")).await;
    assert!(matches!(refused, Err(TokenError::Unavailable { .. })), "{refused:?}");
    assert!(world.now().since(started) < Duration::from_secs(20));
}

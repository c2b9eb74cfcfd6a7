//! Running a connector.

use std::time::Duration;

use grantry_domain::authorization::{Reason, StatusKind};
use grantry_domain::ports::{ApiError, ApiRequestRefused, ApiResponse, ProviderError};
use grantry_domain::usecase::{ExecuteError, Execution, TokenError};
use grantry_testkit::doubles::fixtures::{connector_key, origin, space, user};

use crate::common::store::{DOWN, Method};
use crate::common::{HOUR, World, agent, drive, execution, person};

async fn run(world: &World, who: &str) -> Result<u16, ExecuteError> {
    world.node.execute(execution(who, "/files")).await.map(|answer| answer.status)
}

fn used(world: &World) -> Vec<String> {
    world.resource.requests().into_iter().map(|request| request.token).collect()
}

#[tokio::test]
async fn a_run_carries_the_right_users_token_to_the_connectors_api() {
    let world = World::new().await;
    world.connect("alice").await;
    world.connect("bob").await;
    let body = ApiResponse { status: 201, headers: Vec::new(), body: b"made".to_vec() };
    world.resource.answer(Ok(body));
    let asked = Execution {
        method: "POST".to_owned(),
        query: vec![("q".to_owned(), "1".to_owned())],
        headers: vec![("x-test".to_owned(), "yes".to_owned())],
        body: Some(b"{}".to_vec()),
        ..execution("bob", "/files")
    };
    let answer = world.node.execute(asked).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (201, b"made".as_slice()));
    let request = world.resource.requests().pop().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://api.example/files?q=1"));
    assert_eq!((request.token.as_str(), request.body.as_deref()), ("access-2", Some(b"{}".as_slice())));
    assert_eq!(request.headers, [("x-test".to_owned(), "yes".to_owned())]);
    assert_eq!(run(&world, "alice").await, Ok(200));
    assert_eq!(used(&world), ["access-2", "access-1"]);
}

#[tokio::test]
async fn lesson_15_a_retried_run_carries_the_new_token_and_a_second_refusal_is_final() {
    let world = World::new().await;
    world.connect("alice").await;
    world.resource.refuse_token("access-1");
    assert_eq!(run(&world, "alice").await, Ok(200));
    assert_eq!(used(&world), ["access-1", "access-2"]);
    world.resource.refuse_token("access-2");
    world.resource.refuse_token("access-3");
    world.clock.advance(Duration::from_mins(1));
    let refused = run(&world, "alice").await.unwrap_err();
    assert_eq!(refused, TokenError::AuthorizationRequired { reason: Reason::TokenRejected }.into());
    assert_eq!(refused.code(), "authorization_required");
    assert_eq!(used(&world)[2..], ["access-2", "access-3"]);
    assert_eq!((world.refreshes(), world.kind("alice").await), (2, StatusKind::Connected));
}

#[tokio::test]
async fn r47_runs_against_an_api_that_refuses_everything_refresh_seldom() {
    let world = World::new().await;
    world.connect("alice").await;
    world.resource.refuse_all_tokens();
    for _ in 0..50 {
        assert!(run(&world, "alice").await.is_err());
    }
    assert_eq!(world.refreshes(), 1);
    assert!(used(&world).len() <= 51, "and the request is not repeated with a token that was just refused");
}

#[tokio::test]
async fn a_refresh_that_fails_after_a_refusal_is_told() {
    let world = World::new().await;
    world.connect("alice").await;
    world.resource.refuse_token("access-1");
    world.provider.answer_refresh(Err(ProviderError::NotSent));
    let refused = run(&world, "alice").await.unwrap_err();
    assert_eq!(refused.code(), "provider_unavailable");
    world.clock.advance(Duration::from_mins(1));
    world.provider.answer_refresh(Err(ProviderError::InvalidGrant));
    let refused = run(&world, "alice").await.unwrap_err();
    assert_eq!(refused, TokenError::AuthorizationRequired { reason: Reason::RefreshRejected }.into());
}

#[tokio::test]
async fn r43_nothing_is_sent_where_the_user_did_not_consent_to() {
    let world = World::new().await;
    world.connect("alice").await;
    for path in ["files", "/../other", "//evil.example/x/.."] {
        let refused = world.node.execute(execution("alice", path)).await.map(drop).unwrap_err();
        assert!(matches!(refused, ExecuteError::Api(ApiError::Refused(ApiRequestRefused { field: "params.path", .. }))));
        assert_eq!(refused.code(), "invalid_request");
    }
    // The base URL alone was changed, behind the digest's back.
    world.profiles.set("{}", |settings| settings.base_url = "https://evil.example".to_owned());
    let refused = run(&world, "alice").await.unwrap_err();
    assert_eq!((refused, refused.code()), (TokenError::DestinationRefused.into(), "destination_refused"));
    world.profiles.set("{}", |settings| {
        settings.base_url = "https://evil.example".to_owned();
        settings.destinations = vec![origin("https://evil.example")];
    });
    let refused = run(&world, "alice").await.unwrap_err();
    assert_eq!(refused, TokenError::AuthorizationRequired { reason: Reason::ConnectorChanged }.into());
    assert!(world.resource.requests().is_empty());
}

#[tokio::test]
async fn who_may_not_run_is_told_before_anything_is_looked_at() {
    let world = World::new().await;
    world.connect("alice").await;
    let refused = async |execution| world.node.execute(execution).await.map(drop).unwrap_err();
    let as_alice = Execution { actor: person("bob"), ..execution("alice", "/files") };
    assert_eq!(refused(as_alice).await, TokenError::Forbidden.into());
    assert_eq!(refused(execution("stranger", "/files")).await, TokenError::NotFound.into());
    let missing = Execution { connector: connector_key("default", "other"), ..execution("alice", "/files") };
    assert_eq!(refused(missing).await, TokenError::NotFound.into());
    assert_eq!(
        refused(execution("bob", "/files")).await,
        TokenError::AuthorizationRequired { reason: Reason::NotConnected }.into()
    );
    world.directory.expel(&user("alice"), &space("default"));
    assert_eq!(refused(execution("alice", "/files")).await, TokenError::NotFound.into());
    world.directory.go_down(true);
    assert_eq!(refused(execution("alice", "/files")).await, TokenError::Forbidden.into());
    assert!(world.resource.requests().is_empty());
}

#[tokio::test]
async fn a_person_runs_as_oneself_and_an_agent_as_whom_it_names() {
    let world = World::new().await;
    world.connect("alice").await;
    for actor in [person("alice"), agent()] {
        let answer = world.node.execute(Execution { actor, ..execution("alice", "/files") }).await.unwrap();
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn what_the_api_does_is_passed_on_with_its_code() {
    let world = World::new().await;
    world.connect("alice").await;
    let errors = [
        (ApiError::NotAllowed, "destination_refused"),
        (ApiError::Unreachable, "api_unreachable"),
        (ApiError::TooLarge, "response_too_large"),
    ];
    for (error, code) in errors {
        world.resource.answer(Err(error));
        let refused = run(&world, "alice").await.unwrap_err();
        assert_eq!((refused, refused.code()), (ExecuteError::Api(error), code));
    }
    for status in [204, 301, 403, 404, 500] {
        world.resource.answer_status(status);
        assert_eq!(run(&world, "alice").await, Ok(status));
    }
    assert_eq!(world.refreshes(), 0, "only a 401 speaks about the token");
    world.store.fail_next(Method::GetConnector, DOWN);
    assert_eq!(run(&world, "alice").await.unwrap_err().code(), "store_unavailable");
    world.profiles.refuse("{}", "config.baseUrl", "must be https");
    assert_eq!(run(&world, "alice").await.unwrap_err().code(), "provider_misconfigured");
}

#[tokio::test]
async fn an_expired_token_is_renewed_before_the_run() {
    let world = World::new().await;
    world.connect("alice").await;
    world.clock.advance(HOUR);
    assert_eq!(run(&world, "alice").await, Ok(200));
    assert_eq!(used(&world), ["access-2"]);
    assert_eq!(world.stored_connector(&drive()).await.key, drive());
}

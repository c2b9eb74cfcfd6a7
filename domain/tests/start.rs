//! Starting a flow.

use std::time::Duration;

use grantry_domain::authorization::{RevokedCause, StateHash, StateKind, StatusKind, TerminationCause};
use grantry_domain::connector::{AuthMode, ProfileId};
use grantry_domain::encoding::base64url;
use grantry_domain::identity::Actor;
use grantry_domain::ports::{
    AuditKind, AuthorizationFilter, AuthorizationStore, ConnectorStore, Operation as Limit, PendingLimits, ProviderError,
    StoreError, TokenVault, VaultError,
};
use grantry_domain::provider::{BindingKind, CallbackPath, Scopes};
use grantry_domain::usecase::{ConnectorDraft, ConnectorError, Policy, StartError, StartRequest};
use grantry_testkit::doubles::fixtures::{connector_id, connector_key, space, user};
use grantry_testkit::doubles::{Call, Operation};

use crate::common::store::{DOWN, Method};
use crate::common::{
    PROVIDER_ERRORS, World, agent, came_back, draft, draft_without_secret, drive, elsewhere, person, policy, quiet, request,
    text,
};

/// The authorization URLs that were asked for.
fn urls(world: &World) -> Vec<Call> {
    let calls = world.provider.calls().into_iter();
    calls.filter(|call| call.operation() == Operation::AuthorizationUrl).collect()
}

/// How many records of any kind there are for a user's attempts: the pending one is seen by the status.
async fn pending(world: &World, who: &str) -> bool {
    let statuses = world.store.inner().statuses(&space("default"), None, &user(who)).await.unwrap();
    statuses.iter().any(|row| row.pending.is_some())
}

#[tokio::test]
async fn r01_state_is_random_per_flow_and_only_its_hash_is_stored() {
    let world = World::new().await;
    let (first, second) = (world.start("alice", &drive()).await, world.start("bob", &drive()).await);
    let (one, two) = (text(&first.state), text(&second.state));
    assert_eq!((one.len(), two.len()), (43, 43));
    assert_ne!(one, two);
    let row = world.row(first.flow_id).await;
    assert_eq!(row.state_hash, Some(StateHash(world.vault.fingerprint(one.as_bytes()))));
    let columns = format!("{:?}", grantry_domain::authorization::AuthorizationRecord { sealed: None, ..row });
    assert!(!columns.contains(&one));
}

#[tokio::test]
async fn r02_every_flow_has_its_own_s256_challenge_of_a_43_letter_verifier() {
    let world = World::new().await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let started = world.start("alice", &drive()).await;
        world.complete(came_back(&started, "alice")).await;
    }
    for call in world.provider.calls() {
        match call {
            Call::AuthorizationUrl { code_challenge, .. } => seen.push(code_challenge),
            Call::Exchange { verifier, .. } => {
                assert_eq!(verifier.len(), 43);
                let challenge = base64url(&world.vault.fingerprint(verifier.as_bytes()));
                assert_eq!(seen.last().map(String::as_str), Some(challenge.as_str()));
            }
            Call::Resolve { .. }
            | Call::Refresh { .. }
            | Call::Revoke { .. }
            | Call::ClientCredentials { .. }
            | Call::Identify { .. } => {}
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3, "no challenge comes twice");
}

#[tokio::test]
async fn r03_only_the_hash_of_the_cookie_is_stored_and_every_flow_has_its_own() {
    let world = World::new().await;
    let (first, second) = (world.start("alice", &drive()).await, world.start("bob", &drive()).await);
    assert_eq!(first.flow_cookie.len(), 43);
    assert_ne!(text(&first.flow_cookie), text(&second.flow_cookie));
    let row = world.row(first.flow_id).await;
    let hash = world.vault.fingerprint(first.flow_cookie.expose());
    assert_eq!(row.flow_cookie_hash.map(|browser| browser.0), Some(hash));
    assert_eq!(row.owner.user, user("alice"));
}

#[tokio::test]
async fn r05_only_people_start_flows() {
    let world = World::new().await;
    for actor in [agent(), Actor::System] {
        let wish = StartRequest { actor, ..request("alice", &drive()) };
        assert_eq!(world.try_start(wish).await.err(), Some(StartError::Forbidden));
    }
    assert!(world.provider.calls().is_empty());
    assert!(!pending(&world, "alice").await);
}

#[tokio::test]
async fn r06_space_connector_privilege_and_directory_are_checked_before_anything_is_written() {
    let world = World::new().await;
    let refused = async |wish: StartRequest| world.try_start(wish).await.err();
    let no_space = StartRequest { space: space("nowhere"), ..request("alice", &drive()) };
    assert_eq!(refused(no_space).await, Some(StartError::NotFound));
    let no_connector = StartRequest { connector: connector_id("other"), ..request("alice", &drive()) };
    assert_eq!(refused(no_connector).await, Some(StartError::NotFound));
    assert_eq!(refused(request("alice", &elsewhere())).await, Some(StartError::NotFound), "ids live in one space");
    assert_eq!(refused(request("stranger", &drive())).await, Some(StartError::NotFound));
    world.directory.expel(&user("bob"), &space("default"));
    assert_eq!(refused(request("bob", &drive())).await, Some(StartError::NotFound));
    world.directory.go_down(true);
    assert_eq!(refused(request("alice", &drive())).await, Some(StartError::Forbidden));
    world.directory.go_down(false);
    assert!(world.provider.calls().is_empty());
    assert!(!pending(&world, "alice").await);
    assert!(world.outcomes(AuditKind::FlowStarted).await.is_empty());
}

#[tokio::test]
async fn r06_a_disabled_connector_starts_no_flow() {
    let world = World::new().await;
    let mut disabled = world.stored_connector(&drive()).await;
    disabled.enabled = false;
    let store = world.store.inner();
    store.update(disabled, 1, None, grantry_domain::ports::Cascade::Disabled, Actor::System, Vec::new()).await.unwrap();
    assert_eq!(world.try_start(request("alice", &drive())).await.err(), Some(StartError::NotFound));
}

#[tokio::test]
async fn r07_r08_the_redirect_uri_comes_from_the_base_url_alone_and_hand_written_endpoints_get_their_own() {
    let world = World::new().await;
    let own = connector_key("default", "custom");
    let profile = ProfileId::new(".oauth2").unwrap();
    let view = world.create_connector(&own, ConnectorDraft { profile, ..draft("{}") }).await;
    let shared_uri = "https://connect.example/api/actions/connector/_oauth_callback";
    let own_uri = format!("{shared_uri}/{}", view.connector.callback_id.to_text());
    assert_eq!(view.redirect_uri, own_uri);
    world.start("alice", &drive()).await;
    world.start("alice", &own).await;
    let resolved = world.provider.calls().into_iter().filter_map(|call| match call {
        Call::Resolve { redirect_uri } => Some(redirect_uri),
        Call::AuthorizationUrl { .. }
        | Call::Exchange { .. }
        | Call::Refresh { .. }
        | Call::Revoke { .. }
        | Call::ClientCredentials { .. }
        | Call::Identify { .. } => None,
    });
    assert_eq!(resolved.collect::<Vec<_>>(), [shared_uri, own_uri.as_str()]);
}

#[tokio::test]
async fn r09_hand_written_endpoints_never_use_the_shared_callback() {
    let world = World::without_connector();
    let profile = || ProfileId::new(".oauth2").unwrap();
    // Hand-written endpoints that claim an honest issuer: the attacker's authorization server sends the victim on to the
    // honest one, whose `iss` then fits.
    world.profiles.set("claims-an-issuer", |settings| {
        settings.callback = CallbackPath::Shared;
        settings.issuer = Some("https://honest.example".to_owned());
    });
    let key = connector_key("default", "custom");
    let created = world
        .node
        .create_connector(
            &person("ed"),
            &key.space,
            Some(key.id.clone()),
            ConnectorDraft { profile: profile(), ..draft("claims-an-issuer") },
        )
        .await;
    assert!(matches!(created, Err(ConnectorError::ConnectorConfig(_))), "saving fails");
    // A profile that changed its mind after the connector was saved: starting fails.
    world.create_connector(&key, ConnectorDraft { profile: profile(), ..draft("later") }).await;
    world.profiles.set("later", |settings| settings.callback = CallbackPath::Shared);
    let refused = world.try_start(request("alice", &key)).await.err();
    assert_eq!(refused, Some(StartError::Provider(ProviderError::BadMetadata)));
    assert!(urls(&world).is_empty());
    assert!(!pending(&world, "alice").await);
}

#[tokio::test]
async fn r09_r10_issuer_mode_uses_the_shared_callback_only_with_an_announced_issuer() {
    let world = World::without_connector();
    world.profiles.set("issuer", |settings| {
        settings.kind = BindingKind::Issuer;
        settings.callback = CallbackPath::Shared;
        settings.endpoints = None;
        settings.issuer = Some("https://issuer.example".to_owned());
    });
    let key = connector_key("default", "discovered");
    let profile = ProfileId::new(".oauth2").unwrap();
    world.create_connector(&key, ConnectorDraft { profile, ..draft("issuer") }).await;
    assert!(world.try_start(request("alice", &key)).await.is_ok());
    let connector = world.stored_connector(&key).await;
    let settings = world.node.ports().profiles.settings(&connector.config).unwrap();
    let provider = &world.node.ports().provider;
    let silent = provider.resolve(&settings, "https://connect.example/x", "{}").await.unwrap();
    world.provider.answer_resolve(Ok(grantry_domain::provider::ProviderSnapshot { issuer_in_response: false, ..silent }));
    let refused = world.try_start(request("alice", &key)).await.err();
    assert_eq!(refused, Some(StartError::Provider(ProviderError::BadMetadata)));
}

#[tokio::test]
async fn r12_r13_only_the_connectors_own_scopes_are_asked_for() {
    let world = World::new().await;
    world.start("alice", &drive()).await;
    let Some(Call::AuthorizationUrl { scopes, nonce, login_hint, .. }) = urls(&world).pop() else { panic!("a URL") };
    assert_eq!((scopes, nonce, login_hint), (Scopes::new(["read", "write"]), None, None));
}

#[tokio::test]
async fn openid_brings_a_fresh_nonce() {
    let world = World::new().await;
    world.profiles.set("{}", |settings| settings.requested_scopes = Scopes::new(["openid", "read"]));
    world.start("alice", &drive()).await;
    world.start("alice", &drive()).await;
    let nonces: Vec<_> = urls(&world)
        .into_iter()
        .filter_map(|call| match call {
            Call::AuthorizationUrl { nonce, .. } => nonce,
            Call::Resolve { .. }
            | Call::Exchange { .. }
            | Call::Refresh { .. }
            | Call::Revoke { .. }
            | Call::ClientCredentials { .. }
            | Call::Identify { .. } => None,
        })
        .collect();
    assert_eq!(nonces.len(), 2);
    assert_ne!(nonces[0], nonces[1]);
    assert!(nonces[0].len() >= 22, "16 random bytes");
}

#[tokio::test]
async fn r18_a_flow_ends_after_at_most_ten_minutes_by_the_stores_clock() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    assert_eq!(started.expires_in, Duration::from_mins(10));
    assert_eq!(started.expires_at, world.now().plus(Duration::from_mins(10)));
    assert_eq!(world.row(started.flow_id).await.deadline, Some(started.expires_at));
}

#[tokio::test]
async fn r18_the_eleventh_pending_flow_of_a_user_and_the_deployments_cap_are_refused() {
    let world = World::without_connector();
    let keys: Vec<_> = (0..11).map(|n| connector_key("default", &format!("c{n}"))).collect();
    for key in &keys {
        world.create_connector(key, draft("{}")).await;
    }
    for key in &keys[..10] {
        world.start("alice", key).await;
    }
    let refused = world.try_start(request("alice", &keys[10])).await.err();
    assert!(matches!(refused, Some(StartError::RateLimited { retry_after }) if retry_after <= Duration::from_mins(10)));
    assert_eq!(refused.unwrap().code(), "rate_limited");
    world.try_start(request("bob", &keys[10])).await.expect("another user is not held up");
    world.try_start(request("alice", &keys[0])).await.expect("a newer attempt takes the place of an older one");
    world.clock.advance(Duration::from_mins(10));
    world.try_start(request("alice", &keys[10])).await.expect("flows that are over do not count");

    let tight = Policy { pending: PendingLimits { per_user: 10, deployment: 1 }, ..policy() };
    let world = World::with(tight);
    world.create_connector(&drive(), draft("{}")).await;
    world.start("alice", &drive()).await;
    let refused = world.try_start(request("bob", &drive())).await.err();
    assert!(matches!(refused, Some(StartError::RateLimited { .. })));
}

#[tokio::test]
async fn r59_starts_are_limited_per_user() {
    let world = World::new().await;
    world.limiter.refuse(Duration::from_secs(7));
    let refused = world.try_start(request("alice", &drive())).await.err();
    assert_eq!(refused, Some(StartError::RateLimited { retry_after: Duration::from_secs(7) }));
    assert_eq!(world.limiter.taken(), [("user:alice".to_owned(), Limit::Start)]);
    assert!(world.provider.calls().is_empty());
}

#[tokio::test]
async fn a_newer_attempt_supersedes_the_older_one_of_the_same_user_and_connector() {
    let world = World::new().await;
    let first = world.start("alice", &drive()).await;
    let bobs = world.start("bob", &drive()).await;
    let second = world.start("alice", &drive()).await;
    let old = world.row(first.flow_id).await;
    let cause = RevokedCause::Terminated(TerminationCause::Superseded).to_record();
    assert_eq!((old.state, old.cause), (StateKind::Revoked, Some(cause)));
    assert_eq!(world.row(second.flow_id).await.state, StateKind::AwaitingCallback);
    assert_eq!(world.row(bobs.flow_id).await.state, StateKind::AwaitingCallback);
    assert!(world.node.complete(came_back(&first, "alice")).await.is_err());
    world.complete(came_back(&second, "alice")).await;
}

#[tokio::test]
async fn an_incomplete_connector_says_what_is_missing() {
    let world = World::without_connector();
    let no_client = ConnectorDraft { client_id: None, ..draft("{}") };
    let view = world.create_connector(&drive(), no_client).await;
    assert!(view.is_missing_secrets);
    let refused = world.try_start(request("alice", &drive())).await.err().unwrap();
    assert_eq!(refused, StartError::Incomplete { field: "secrets.clientId".to_owned() });
    assert_eq!(refused.code(), "connector_incomplete");
    let no_secret = connector_key("default", "no-secret");
    world.create_connector(&no_secret, draft_without_secret("{}")).await;
    let refused = world.try_start(request("alice", &no_secret)).await.err();
    assert_eq!(refused, Some(StartError::Incomplete { field: "secrets.clientSecret".to_owned() }));
    assert!(!pending(&world, "alice").await);
}

#[tokio::test]
async fn a_definition_that_is_no_longer_understood_names_its_field() {
    let world = World::new().await;
    world.profiles.refuse("{}", "config.tokenUrl", "must be https");
    let refused = world.try_start(request("alice", &drive())).await.err().unwrap();
    assert!(matches!(&refused, StartError::ConnectorConfig(invalid) if invalid.field == "config.tokenUrl"));
    assert_eq!(refused.code(), "invalid_request");
}

#[tokio::test]
async fn a_shared_connector_has_nothing_to_connect() {
    let world = World::without_connector();
    world.create_connector(&drive(), ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
    assert_eq!(world.try_start(request("alice", &drive())).await.err(), Some(StartError::Shared));
}

#[tokio::test]
async fn a_provider_that_fails_leaves_nothing_that_could_be_completed() {
    let world = World::new().await;
    for error in PROVIDER_ERRORS.iter().copied() {
        world.provider.answer_resolve(Err(error));
        assert_eq!(world.try_start(request("alice", &drive())).await.err(), Some(StartError::Provider(error)));
        assert!(!pending(&world, "alice").await);
        world.provider.answer_authorization_url(Err(error));
        let refused = world.try_start(request("alice", &drive())).await.err().unwrap();
        assert_eq!(refused, StartError::Provider(error));
        let expected = if error.is_misconfiguration() { "provider_misconfigured" } else { "provider_unavailable" };
        assert_eq!(refused.code(), expected);
        assert!(!pending(&world, "alice").await, "{error:?}");
        assert_eq!(world.outcomes(AuditKind::FlowEnded).await.pop().as_deref(), Some(expected));
    }
    assert_eq!(world.kind("alice").await, StatusKind::NotConnected);
}

#[tokio::test]
async fn r74_without_randomness_or_sealing_no_flow_is_left_behind() {
    let world = World::new().await;
    world.random.break_down(true);
    assert_eq!(world.try_start(request("alice", &drive())).await.err(), Some(StartError::Internal));
    world.random.break_down(false);
    world.vault.fail(Some(VaultError::NoEntropy));
    assert_eq!(world.try_start(request("alice", &drive())).await.err(), Some(StartError::Internal));
    world.vault.fail(None);
    assert!(!pending(&world, "alice").await);
    assert!(urls(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_any_step_of_the_start_is_told_and_leaves_nothing_usable() {
    let world = World::new().await;
    for method in [Method::GetConnector, Method::Now, Method::InsertPending, Method::ClientSecret, Method::Replace] {
        world.store.fail_next(method, DOWN);
        let refused = world.try_start(request("alice", &drive())).await.err().unwrap();
        assert_eq!((&refused, refused.code()), (&StartError::Store(StoreError::Unavailable), "store_unavailable"));
        quiet().await;
        assert!(urls(&world).is_empty(), "{method:?}");
        assert!(!pending(&world, "alice").await, "{method:?}");
    }
}

#[tokio::test]
async fn a_flow_that_ends_while_it_is_issued_gives_no_authorization_url() {
    let world = World::new().await;
    let gate = world.store.hold(Method::ClientSecret);
    let starting = tokio::spawn({
        let node = world.node.clone();
        async move { node.start(request("alice", &drive())).await.err() }
    });
    gate.arrived(1).await;
    let ended = world.node.delete_connector(&person("ed"), &drive()).await.unwrap();
    assert_eq!(ended, 0);
    gate.open();
    assert!(starting.await.unwrap().is_some());
    assert!(urls(&world).is_empty());
}

#[tokio::test]
async fn r80_a_start_is_audited_with_who_and_what() {
    let world = World::new().await;
    let started = world.start("alice", &drive()).await;
    let events = world.events().await;
    let event = events.iter().find(|event| event.kind == AuditKind::FlowStarted).unwrap();
    assert_eq!((&event.actor, event.grant), (&person("alice"), Some(started.flow_id)));
    assert_eq!((event.space.clone(), event.connector.clone()), (Some(space("default")), Some(connector_id("drive"))));
    assert_eq!((event.at, event.outcome.as_str()), (world.now(), "ok"));
}

#[tokio::test]
async fn the_start_link_names_space_and_connector() {
    let world = World::new().await;
    let link = world.node.start_link(&drive());
    assert_eq!(link, "https://connect.example/api/actions/connector/drive/oauth/start");
    let link = world.node.start_link(&elsewhere());
    assert_eq!(link, "https://connect.example/s/marketing/api/actions/connector/drive/oauth/start");
}

#[tokio::test]
async fn flows_are_no_grants_in_the_administrators_list() {
    let world = World::new().await;
    world.start("alice", &drive()).await;
    let page = world.store.inner();
    let page = AuthorizationStore::list(page, &space("default"), AuthorizationFilter::default(), None, 10).await.unwrap();
    assert!(page.records.is_empty());
}

//! Starting a flow.

use std::time::Duration;

use grantry_domain::authorization::{AuthorizationRecord, StateHash, StateKind, StatusKind, TerminationCause};
use grantry_domain::connector::{AuthMode, ProfileId};
use grantry_domain::encoding::{base64url, sha256};
use grantry_domain::identity::{Actor, ConnectionName};
use grantry_domain::ports::{
    AuditKind, AuthorizationFilter, AuthorizationServer, Operation as Limit, PendingLimits, ProviderErrorKind,
    ProviderOperation, ProviderProfiles, StoreError, Urls, VaultError,
};
use grantry_domain::provider::{
    BindingKind, CallbackPath, ClientAuthentication, ProviderSettings, ProviderSnapshot, Scopes,
};
use grantry_domain::usecase::{AccessError, ConnectorDraft, ConnectorError, GrantFilter, Policy, StartError, StartRequest};
use grantry_testkit::doubles::fixtures::{connection, connector_id, connector_key, space, user};
use grantry_testkit::doubles::{Call, Fault, Method, Operation, TestUrls};

use crate::common::{
    PROVIDER_ERRORS, SPACES, TestApp, agent, callback_of, draft, draft_without_secret, drive, elsewhere, person, quiet,
    request, terminated, text,
};

/// The authorization URLs that were requested.
fn urls(app: &TestApp) -> Vec<Call> {
    let calls = app.provider.calls().into_iter();
    calls.filter(|call| call.operation() == Operation::AuthorizationUrl).collect()
}

/// Whether a flow of the user in space `default` is pending.
async fn has_pending_flow(app: &TestApp, who: &str) -> bool {
    let statuses = app.stored.queries.statuses(&space("default"), None, &user(who)).await.unwrap();
    statuses.iter().flat_map(|row| &row.connections).any(|connection| connection.pending.is_some())
}

#[tokio::test]
async fn r01_state_is_random_per_flow_and_only_its_hash_is_stored() {
    let app = TestApp::new().await;
    let (first, second) = (app.start("alice", &drive()).await, app.start("bob", &drive()).await);
    let (one, two) = (text(&first.state), text(&second.state));
    assert_eq!((one.len(), two.len()), (43, 43));
    assert_ne!(one, two);
    let row = app.record(first.flow_id).await;
    assert_eq!(row.state_hash, Some(StateHash(sha256(one.as_bytes()))));
    let columns = format!("{:?}", AuthorizationRecord { sealed: None, ..row });
    assert!(!columns.contains(&one));
}

#[tokio::test]
async fn r02_every_flow_has_a_new_s256_challenge_of_a_verifier_of_43_characters() {
    let app = TestApp::new().await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let started = app.start("alice", &drive()).await;
        app.complete(callback_of(&started, "alice")).await;
    }
    for call in app.provider.calls() {
        match call {
            Call::AuthorizationUrl { code_challenge, .. } => seen.push(code_challenge),
            Call::Exchange { verifier, .. } => {
                assert_eq!(verifier.len(), 43);
                let challenge = base64url(&sha256(verifier.as_bytes()));
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
    assert_eq!(seen.len(), 3, "no challenge is used twice");
}

#[tokio::test]
async fn r03_only_the_hash_of_the_cookie_is_stored_and_every_flow_has_another_one() {
    let app = TestApp::new().await;
    let (first, second) = (app.start("alice", &drive()).await, app.start("bob", &drive()).await);
    assert_eq!(first.flow_cookie.len(), 43);
    assert_ne!(text(&first.flow_cookie), text(&second.flow_cookie));
    let row = app.record(first.flow_id).await;
    let hash = sha256(first.flow_cookie.expose());
    assert_eq!(row.flow_cookie_hash.map(|hash| hash.0), Some(hash));
    assert_eq!(row.owner.user, user("alice"));
}

#[tokio::test]
async fn r05_only_users_start_flows() {
    let app = TestApp::new().await;
    for actor in [agent(), Actor::System] {
        let start = StartRequest { actor, ..request("alice", &drive()) };
        assert_eq!(app.try_start(start).await.err(), Some(AccessError::Forbidden.into()));
    }
    assert!(app.provider.calls().is_empty());
    assert!(!has_pending_flow(&app, "alice").await);
}

#[tokio::test]
async fn r06_space_connector_role_and_directory_are_checked_before_anything_is_written() {
    let app = TestApp::new().await;
    let refused = async |start: StartRequest| app.try_start(start).await.err();
    let no_space = request("alice", &connector_key("nowhere", "drive"));
    assert_eq!(refused(no_space).await, Some(AccessError::NotFound.into()));
    let no_connector = request("alice", &connector_key("default", "other"));
    assert_eq!(refused(no_connector).await, Some(AccessError::NotFound.into()));
    assert_eq!(
        refused(request("alice", &elsewhere())).await,
        Some(AccessError::NotFound.into()),
        "an id is unique within its space only"
    );
    assert_eq!(refused(request("stranger", &drive())).await, Some(AccessError::NotFound.into()));
    app.directory.remove_role(&user("bob"), &space("default"));
    assert_eq!(refused(request("bob", &drive())).await, Some(AccessError::NotFound.into()));
    app.directory.set_unavailable(true);
    let unavailable = refused(request("alice", &drive())).await;
    assert_eq!(unavailable, Some(AccessError::DirectoryUnavailable.into()));
    app.directory.set_unavailable(false);
    assert!(app.provider.calls().is_empty());
    assert!(!has_pending_flow(&app, "alice").await);
    assert!(app.outcomes(AuditKind::FlowStarted).await.is_empty());
}

#[tokio::test]
async fn r07_r08_the_redirect_uri_comes_from_the_host_and_endpoints_of_a_user_get_a_separate_one() {
    let app = TestApp::new().await;
    let own = connector_key("default", "custom");
    let profile = ProfileId::new(".oauth2").unwrap();
    let view = app.create_connector(&own, ConnectorDraft { profile, ..draft("{}") }).await;
    let shared_uri = "https://host.example/profile-callback";
    let own_uri = format!("https://host.example/own-callback/{}", view.connector.callback_id.to_text());
    assert_eq!(view.redirect_uri.as_ref(), Some(&own_uri));
    app.start("alice", &drive()).await;
    app.start("alice", &own).await;
    let resolved = app.provider.calls().into_iter().filter_map(|call| match call {
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
async fn r09_endpoints_of_a_user_never_use_the_shared_callback() {
    let app = TestApp::without_connector();
    let profile = || ProfileId::new(".oauth2").unwrap();
    // Endpoints of a user with an honest issuer: the attacker's authorization server forwards the browser to the honest
    // one, whose `iss` is the expected one.
    app.profiles.set("claims-an-issuer", |settings| {
        settings.callback = CallbackPath::Issuers;
        settings.issuer = Some("https://honest.example".to_owned());
    });
    let key = connector_key("default", "custom");
    let created = app
        .node
        .create_connector(
            &person("ed"),
            &key.space,
            Some(key.id.clone()),
            ConnectorDraft { profile: profile(), ..draft("claims-an-issuer") },
        )
        .await;
    assert!(matches!(created, Err(ConnectorError::Config(_))), "it cannot be saved");
    // The profile changes after the connector was saved: starting fails.
    app.create_connector(&key, ConnectorDraft { profile: profile(), ..draft("later") }).await;
    app.profiles.set("later", |settings| settings.callback = CallbackPath::Issuers);
    let refused = app.try_start(request("alice", &key)).await.err();
    let Some(StartError::Provider(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind, ProviderErrorKind::BadMetadata);
    let (connector, failure) = app.failures.failures().pop().unwrap();
    assert_eq!((connector, failure.operation, failure.code.as_str()), (key, ProviderOperation::Discovery, "bad_metadata"));
    assert!(failure.hint.is_some_and(|hint| hint.contains("callback URL")), "the reason is logged");
    assert!(urls(&app).is_empty());
    assert!(!has_pending_flow(&app, "alice").await);
}

#[tokio::test]
async fn r09_r10_issuer_mode_uses_the_shared_callback_only_with_an_announced_issuer() {
    let app = TestApp::without_connector();
    app.profiles.set("issuer", |settings| {
        settings.kind = BindingKind::Issuer;
        settings.callback = CallbackPath::Issuers;
        settings.endpoints = None;
        settings.issuer = Some("https://issuer.example".to_owned());
    });
    let key = connector_key("default", "discovered");
    let profile = ProfileId::new(".oauth2").unwrap();
    app.create_connector(&key, ConnectorDraft { profile, ..draft("issuer") }).await;
    assert!(app.try_start(request("alice", &key)).await.is_ok());
    let connector = app.stored_connector(&key).await;
    let settings = app.profiles.settings(&connector.config).unwrap();
    let announced = app.provider.resolve(&settings, "https://host.example/x", "{}").await.unwrap();
    app.provider.respond_to_resolve(Ok(ProviderSnapshot { issuer_in_response: false, ..announced }));
    let refused = app.try_start(request("alice", &key)).await.err();
    let Some(StartError::Provider(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind, ProviderErrorKind::BadMetadata);
    let (connector, failure) = app.failures.failures().pop().unwrap();
    assert_eq!((connector, failure.operation, failure.code.as_str()), (key, ProviderOperation::Discovery, "bad_metadata"));
    assert!(failure.hint.is_some_and(|hint| hint.contains("callback URL")), "the reason is logged");
}

#[tokio::test]
async fn r12_r13_only_the_scopes_of_the_connector_are_requested() {
    let app = TestApp::new().await;
    app.start("alice", &drive()).await;
    let Some(Call::AuthorizationUrl { scopes, nonce, login_hint, .. }) = urls(&app).pop() else { panic!("a URL") };
    assert_eq!((scopes, nonce, login_hint), (Scopes::new(["read", "write"]), None, None));
}

#[tokio::test]
async fn with_openid_every_flow_has_a_new_nonce() {
    let app = TestApp::new().await;
    app.profiles.set("{}", |settings| settings.requested_scopes = Scopes::new(["openid", "read"]));
    app.start("alice", &drive()).await;
    app.start("alice", &drive()).await;
    let nonces: Vec<_> = urls(&app)
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
async fn r18_a_flow_ends_after_at_most_ten_minutes_by_the_clock_of_the_store() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    assert_eq!(started.expires_in, Duration::from_mins(10));
    assert_eq!(started.expires_at, app.now().plus(Duration::from_mins(10)));
    assert_eq!(app.record(started.flow_id).await.deadline, Some(started.expires_at));
}

#[tokio::test]
async fn r18_the_eleventh_pending_flow_of_a_user_and_flows_beyond_the_deployment_limit_are_refused() {
    let app = TestApp::without_connector();
    let keys: Vec<_> = (0..11).map(|n| connector_key("default", &format!("c{n}"))).collect();
    for key in &keys {
        app.create_connector(key, draft("{}")).await;
    }
    for key in &keys[..10] {
        app.start("alice", key).await;
    }
    let refused = app.try_start(request("alice", &keys[10])).await.err();
    assert!(matches!(refused, Some(StartError::RateLimited { retry_after }) if retry_after <= Duration::from_mins(10)));
    assert_eq!(refused.unwrap().code(), "rate_limited");
    app.try_start(request("bob", &keys[10])).await.expect("another user is not affected");
    app.try_start(request("alice", &keys[0])).await.expect("a newer flow supersedes an older one");
    app.clock.advance(Duration::from_mins(10));
    app.try_start(request("alice", &keys[10])).await.expect("ended flows do not count");

    let tight = Policy { pending: PendingLimits { per_user: 10, deployment: 1 }, ..Policy::default() };
    let app = TestApp::with(tight);
    app.create_connector(&drive(), draft("{}")).await;
    app.start("alice", &drive()).await;
    let refused = app.try_start(request("bob", &drive())).await.err();
    assert!(matches!(refused, Some(StartError::RateLimited { .. })));
}

#[tokio::test]
async fn r59_starts_are_limited_per_user() {
    let app = TestApp::new().await;
    app.limiter.refuse(Duration::from_secs(7));
    let refused = app.try_start(request("alice", &drive())).await.err();
    assert_eq!(refused, Some(StartError::RateLimited { retry_after: Duration::from_secs(7) }));
    assert_eq!(app.limiter.taken(), [("user:alice".to_owned(), Limit::Start)]);
    assert!(app.provider.calls().is_empty());
}

#[tokio::test]
async fn a_newer_flow_supersedes_the_older_one_of_the_same_connection() {
    let app = TestApp::new().await;
    let first = app.start("alice", &drive()).await;
    let bobs = app.start("bob", &drive()).await;
    let second = app.start("alice", &drive()).await;
    let old = app.record(first.flow_id).await;
    assert_eq!((old.state, old.cause), (StateKind::Revoked, Some(terminated(TerminationCause::Superseded))));
    assert_eq!(app.record(second.flow_id).await.state, StateKind::AwaitingCallback);
    assert_eq!(app.record(bobs.flow_id).await.state, StateKind::AwaitingCallback);
    assert!(app.node.complete(callback_of(&first, "alice")).await.is_err());
    app.complete(callback_of(&second, "alice")).await;
}

#[tokio::test]
async fn an_incomplete_connector_is_refused_with_the_missing_field() {
    let app = TestApp::without_connector();
    let no_client = ConnectorDraft { client_id: None, ..draft("{}") };
    let view = app.create_connector(&drive(), no_client).await;
    assert!(view.is_missing_secrets);
    let refused = app.try_start(request("alice", &drive())).await.err().unwrap();
    assert_eq!(refused, StartError::Incomplete { field: "secrets.clientId".to_owned() });
    assert_eq!(refused.code(), "connector_incomplete");
    let no_secret = connector_key("default", "no-secret");
    app.create_connector(&no_secret, draft_without_secret("{}")).await;
    let refused = app.try_start(request("alice", &no_secret)).await.err();
    assert_eq!(refused, Some(StartError::Incomplete { field: "secrets.clientSecret".to_owned() }));
    assert!(!has_pending_flow(&app, "alice").await);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_parsed_any_more_is_refused_with_its_field() {
    let app = TestApp::new().await;
    app.profiles.refuse("{}", "config.tokenUrl", "must be https");
    let refused = app.try_start(request("alice", &drive())).await.err().unwrap();
    assert!(matches!(&refused, StartError::Config(invalid) if invalid.field == "config.tokenUrl"));
    assert_eq!(refused.code(), "invalid_request");
}

#[tokio::test]
async fn a_shared_connector_has_nothing_to_connect() {
    let app = TestApp::without_connector();
    app.create_connector(&drive(), ConnectorDraft { auth_mode: AuthMode::Shared, ..draft("{}") }).await;
    assert_eq!(app.try_start(request("alice", &drive())).await.err(), Some(StartError::Shared));
}

#[tokio::test]
async fn a_failure_of_the_provider_leaves_no_flow_that_could_be_completed() {
    let app = TestApp::new().await;
    for error in PROVIDER_ERRORS.iter().copied() {
        app.provider.respond_to_resolve(Err(error));
        assert_eq!(app.try_start(request("alice", &drive())).await.err(), Some(StartError::Provider(error.into())));
        assert!(!has_pending_flow(&app, "alice").await);
        app.provider.respond_to_authorization_url(Err(error));
        let refused = app.try_start(request("alice", &drive())).await.err().unwrap();
        assert_eq!(refused, StartError::Provider(error.into()));
        let expected = if error.is_misconfiguration() { "provider_misconfigured" } else { "provider_unavailable" };
        assert_eq!(refused.code(), expected);
        assert!(!has_pending_flow(&app, "alice").await, "{error:?}");
    }
    assert!(app.outcomes(AuditKind::FlowStarted).await.is_empty());
    assert_eq!(app.kind("alice").await, StatusKind::NotConnected);
}

#[tokio::test]
async fn r74_without_randomness_or_sealing_no_flow_is_left() {
    let app = TestApp::new().await;
    app.random.set_failing(true);
    assert_eq!(app.try_start(request("alice", &drive())).await.err(), Some(StartError::Internal));
    app.random.set_failing(false);
    app.vault.fail(Some(VaultError::RandomUnavailable));
    assert_eq!(
        app.try_start(request("alice", &drive())).await.err(),
        Some(StartError::Incomplete { field: "secrets.clientSecret".to_owned() })
    );
    app.vault.fail(None);
    assert!(!has_pending_flow(&app, "alice").await);
    assert!(urls(&app).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_store_at_any_step_is_reported_and_leaves_no_flow() {
    let app = TestApp::new().await;
    for method in [Method::GetConnector, Method::Now, Method::ClientSecret, Method::InsertFlow] {
        app.store.fail_next(method, Fault::UNAVAILABLE);
        let refused = app.try_start(request("alice", &drive())).await.err().unwrap();
        assert_eq!((&refused, refused.code()), (&StartError::Store(StoreError::Unavailable), "store_unavailable"));
        quiet().await;
        assert!(!has_pending_flow(&app, "alice").await, "{method:?}");
    }
}

#[tokio::test]
async fn r53_a_start_is_refused_if_connector_or_user_are_changed_meanwhile() {
    for (change, expected) in [
        ("edit", StartError::ConnectorChanged),
        ("delete", AccessError::NotFound.into()),
        ("deprovision", StartError::UserDeprovisioned),
    ] {
        let app = TestApp::new().await;
        app.profiles.set("moved", |settings| settings.client_id = "client-2".to_owned());
        let gate = app.provider.hold(Operation::AuthorizationUrl);
        let starting = tokio::spawn({
            let node = app.node.clone();
            async move { node.start(request("alice", &drive())).await.err() }
        });
        gate.arrived(1).await;
        match change {
            "edit" => assert_eq!(app.edit(draft("moved")).await, 0),
            "delete" => assert_eq!(app.node.delete_connector(&person("ed"), &drive()).await, Ok(0)),
            _ => drop(app.node.deprovision_user(&person("ada"), &SPACES.map(space), &user("alice")).await.unwrap()),
        }
        gate.open();
        assert_eq!(starting.await.unwrap(), Some(expected), "{change}");
        assert!(!has_pending_flow(&app, "alice").await, "{change}");
    }
}

#[tokio::test]
async fn a_start_is_one_write() {
    let app = TestApp::new().await;
    app.store.fail_always(Method::Replace, Fault::UNAVAILABLE);
    let started = app.start("alice", &drive()).await;
    assert_eq!(app.record(started.flow_id).await.state, StateKind::AwaitingCallback);
}

#[tokio::test]
async fn r80_a_start_is_audited_with_actor_flow_and_connector() {
    let app = TestApp::new().await;
    let started = app.start("alice", &drive()).await;
    let events = app.events().await;
    let event = events.iter().find(|event| event.kind == AuditKind::FlowStarted).unwrap();
    assert_eq!((&event.actor, event.authorization), (&person("alice"), Some(started.flow_id)));
    assert_eq!((event.space.clone(), event.connector.clone()), (Some(space("default")), Some(connector_id("drive"))));
    assert_eq!((event.at, event.outcome.as_str()), (app.now(), "ok"));
}

#[tokio::test]
async fn the_start_link_is_that_of_the_host_for_space_connector_and_connection() {
    let app = TestApp::new().await;
    let link = app.node.start_link(&drive(), &ConnectionName::default());
    assert_eq!(link, TestUrls.start_link(&drive(), &ConnectionName::default()));
    let link = app.node.start_link(&elsewhere(), &connection("work"));
    assert_eq!(link, "https://host.example/marketing/drive/start?connection=work");
}

#[tokio::test]
async fn flows_are_not_in_the_list_of_grants() {
    let app = TestApp::new().await;
    app.start("alice", &drive()).await;
    let stored = app.stored.queries.list(&space("default"), AuthorizationFilter::default(), None, 10).await.unwrap();
    assert!(stored.authorizations.is_empty());
    let listed = app.node.list_grants(&person("ada"), &space("default"), GrantFilter::default(), None, 10).await.unwrap();
    assert!(listed.grants.is_empty());
}

#[tokio::test]
async fn r19_a_start_is_refused_if_the_issuer_names_other_endpoints_than_those_that_were_shown() {
    let app = TestApp::new().await;
    let issuer = |issuer: &'static str| {
        move |settings: &mut ProviderSettings| {
            settings.kind = BindingKind::Issuer;
            settings.endpoints = None;
            settings.authentication = ClientAuthentication::None;
            settings.issuer = Some(issuer.to_owned());
        }
    };
    app.profiles.set("{}", issuer("https://as.example"));
    let consent = async || app.node.consent(&person("alice"), &drive()).await.unwrap();
    let first = consent().await;
    assert_eq!(first.endpoints.token, "https://as.example/token");
    let start = StartRequest { shown: Some(first.version), ..request("alice", &drive()) };
    app.try_start(start.clone()).await.unwrap();

    let of_settings = app.node.connector(&person("alice"), &drive()).await.unwrap().settings.ok().map(|live| live.consent);
    let mut evil = app.provider.resolve(&first.settings, &TestUrls.issuer_callback(), "{}").await.unwrap();
    evil.endpoints.token = "https://evil.example/token".to_owned();
    let names_others = || app.provider.respond_to_resolve(Ok(evil.clone()));
    names_others();
    assert_eq!(app.try_start(start.clone()).await.err(), Some(StartError::ConnectorChanged));
    names_others();
    let second = consent().await;
    names_others();
    assert_eq!(second.endpoints.token, "https://evil.example/token");
    app.try_start(StartRequest { shown: Some(second.version), ..start.clone() }).await.unwrap();
    let without_endpoints = StartRequest { shown: of_settings, ..start.clone() };
    assert_eq!(app.try_start(without_endpoints).await.err(), Some(StartError::ConnectorChanged));

    app.profiles.set("{}", issuer("https://other.example"));
    assert_eq!(app.try_start(start).await.err(), Some(StartError::ConnectorChanged));
}

#[tokio::test]
async fn r59_reading_the_metadata_of_an_issuer_is_limited_per_user() {
    let app = TestApp::new().await;
    app.node.consent(&person("alice"), &drive()).await.unwrap();
    assert_eq!(app.limiter.taken().pop(), Some(("user:alice".to_owned(), Limit::Status)), "without an issuer");
    app.limiter.refuse(Duration::from_secs(7));
    app.profiles.set("{}", |settings| {
        (settings.kind, settings.endpoints) = (BindingKind::Issuer, None);
        settings.issuer = Some("https://as.example".to_owned());
    });
    let refused = app.node.consent(&person("alice"), &drive()).await.err();
    assert_eq!(refused, Some(StartError::RateLimited { retry_after: Duration::from_secs(7) }));
    assert_eq!(app.limiter.taken().pop(), Some(("user:alice".to_owned(), Limit::Discovery)));
    assert!(app.provider.calls().is_empty());
}

#[tokio::test]
async fn r19_a_start_is_refused_if_the_connector_is_not_the_one_that_was_shown() {
    let app = TestApp::new().await;
    let shown = app.node.consent(&person("alice"), &drive()).await.unwrap().version;
    let start = StartRequest { shown: Some(shown), ..request("alice", &drive()) };
    app.try_start(start.clone()).await.unwrap();
    app.profiles.set("evil", |settings| {
        settings.endpoints.as_mut().unwrap().token = "https://evil.example/token".to_owned();
    });
    app.profiles.set("more", |settings| settings.requested_scopes = Scopes::new(["read", "write", "delete"]));
    for changed in ["evil", "more"] {
        app.edit(draft(changed)).await;
        let calls = app.provider.calls().len();
        assert_eq!(app.try_start(start.clone()).await.err(), Some(StartError::ConnectorChanged), "{changed}");
        assert_eq!(app.provider.calls().len(), calls, "the provider is not contacted");
    }
    assert!(app.try_start(request("alice", &drive())).await.is_ok(), "a client that showed nothing may start");
}

//! `App::builder` with every port replaced, and with a store that is not `SQLite`.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use grantry::app::{App, BuildError, Identity};
use grantry::jobs::Periods;
use grantry::serve::{Server, listen};
use grantry::store::AppStore;
use grantry_domain::connector::{AuthMode, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, SpaceId, UserId};
use grantry_domain::ports::{Clock, DirectoryError};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::ConnectorDraft;
use grantry_http_axum::{AuthenticationError, Authenticator, Principal, PublicBaseUrl, UserDirectory, UserView};
use grantry_store_memory::MemoryStore;
use grantry_system_tests::users::TestUsers;
use grantry_testkit::doubles::{
    CollectingSink, PlainVault, ScriptedAuthorizationServer, ScriptedResourceServer, SeededRandom, TestClock, TestProfiles,
    TokioSpawner, UnlimitedRate,
};

struct Parts {
    clock: TestClock,
    sink: Arc<CollectingSink>,
}

async fn build(parts: &Parts, flow_ttl: Duration) -> Result<App, BuildError> {
    let clock: Arc<dyn Clock> = Arc::new(parts.clock.clone());
    let store = AppStore::new(Arc::new(MemoryStore::new(clock.clone())), [7; 16]);
    let vault = Arc::new(PlainVault::with_key(PlainVault::FIRST_KEY));
    let test_users = TestUsers::default();
    let users = Arc::new(test_users.clone());
    let identity = Identity::with_passwords(test_users.directory.clone(), users.clone(), users);
    App::builder(PublicBaseUrl::new("https://connect.example").unwrap(), store, vault, identity)
        .policy(|policy| policy.flow_ttl = flow_ttl)
        .profiles(Arc::new(TestProfiles::default()), Vec::new())
        .provider(Arc::new(ScriptedAuthorizationServer::default()))
        .resource(Arc::new(ScriptedResourceServer::default()))
        .limiter(Arc::new(UnlimitedRate))
        .sink(parts.sink.clone())
        .clock(clock)
        .random(Arc::new(SeededRandom::new(1)))
        .spawner(Arc::new(TokioSpawner::new(parts.clock.clone())))
        .build()
        .await
}

fn parts() -> Parts {
    Parts { clock: TestClock::default(), sink: Arc::new(CollectingSink::default()) }
}

#[tokio::test]
async fn the_use_cases_use_the_ports_of_the_host() {
    let parts = parts();
    let app = build(&parts, Duration::from_mins(5)).await.unwrap();
    let draft = ConnectorDraft {
        name: ConnectorName::new("Files").unwrap(),
        // The built-in profiles refuse both, so that only the host's profiles accept them.
        profile: ProfileId::new(".example").unwrap(),
        settings: "{}".to_owned(),
        auth_mode: AuthMode::PerUser,
        client_id: Some("client".to_owned()),
        client_secret: Some(Secret::from_text("secret")),
    };
    let space = SpaceId::default_space();
    let connector = app.connections().install_connector(&Actor::System, &space, None, draft).await.unwrap();
    assert_eq!(connector.created_at, parts.clock.now());
    assert_eq!(app.connections().policy().flow_ttl, Duration::from_mins(5));

    assert!(parts.sink.events().is_empty());
    app.close().await;
    let kinds: Vec<_> = parts.sink.events().iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["connector_created"]);
    assert_eq!(app.drain(Duration::ZERO).await, 0, "the host waits for the tasks of its spawner");
}

#[tokio::test]
async fn a_policy_out_of_bounds_is_refused_with_the_name_of_the_setting() {
    let error = build(&parts(), Duration::from_mins(11)).await.err().unwrap();
    assert_eq!(error.to_string(), "`oauth.flow_ttl` must be between 30 seconds and 10 minutes");
}

/// A host whose sessions or users do not respond.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outage {
    Sessions,
    Users,
}

#[async_trait]
impl Authenticator for Outage {
    async fn authenticate(&self, _: &HeaderMap, _: Option<IpAddr>) -> Result<Option<Principal>, AuthenticationError> {
        let user = UserId::new("u_alice").map_err(|_| AuthenticationError::Host)?;
        let principal = Principal::User { user, session: None };
        if *self == Self::Sessions { Err(AuthenticationError::Host) } else { Ok(Some(principal)) }
    }
}

#[async_trait]
impl UserDirectory for Outage {
    async fn describe(&self, _: &UserId) -> Result<Option<UserView>, DirectoryError> {
        Err(DirectoryError)
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, DirectoryError> {
        Err(DirectoryError)
    }
}

#[tokio::test]
async fn an_outage_of_the_host_is_one_of_the_directory_and_not_of_the_store() {
    for outage in [Outage::Sessions, Outage::Users] {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let store = AppStore::new(Arc::new(MemoryStore::new(Arc::new(TestClock::default()))), [7; 16]);
        let vault = Arc::new(PlainVault::with_key(PlainVault::FIRST_KEY));
        let identity = Identity::with_authenticator(TestUsers::default().directory, Arc::new(outage), Arc::new(outage));
        let url = PublicBaseUrl::new(&format!("{origin}/oauth")).unwrap();
        let app = App::builder(url, store, vault, identity).build().await.unwrap();
        let router = Router::new().route("/", get(async || "the page of the host")).nest_service("/oauth", app.router());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = Server::new(app, listener).with_router(router);
        let running = tokio::spawn(server.run(Periods::default(), async { drop(stopped.await) }));

        assert_eq!(reqwest::get(&origin).await.unwrap().text().await.unwrap(), "the page of the host");
        let response = reqwest::get(format!("{origin}/oauth/api/session")).await.unwrap();
        assert_eq!(response.status(), 503);
        let problem: serde_json::Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "directory_unavailable");
        stop.send(()).unwrap();
        running.await.unwrap();
    }
}

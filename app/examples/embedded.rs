//! A host that embeds Grantry: users of the host, a page of the host, the router below `/oauth`, and the background jobs.
//!
//! `cargo run -p grantry --example embedded` serves `http://127.0.0.1:8090/oauth`. The header `x-user` stands for the log-in
//! of the host: `curl -H 'x-user: u_ada' http://127.0.0.1:8090/oauth/api/session`.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::HeaderMap;
use axum::{Router, routing::get};
use grantry::app::{App, Identity};
use grantry::jobs::{Jobs, Periods};
use grantry_crypto_aes_gcm::{KeySource, Keyring};
use grantry_domain::identity::{Role, SpaceId, UserId};
use grantry_domain::ports::{Directory, DirectoryError, Membership, UserStatus};
use grantry_http_axum::PublicBaseUrl;
use grantry_http_axum::{AuthenticationError, Authenticator, Principal, SpaceView, UserDirectory, UserView};
use grantry_runtime::{SystemClock, SystemRandom};
use grantry_store_sqlite::{SqliteOptions, SqliteStore};

/// The users of the host. A real host asks its database.
struct Users;

impl Users {
    fn role(user: &UserId) -> Option<Role> {
        [("u_ada", Role::Admin), ("u_ben", Role::Editor)]
            .into_iter()
            .find(|(id, _)| *id == user.as_str())
            .map(|(_, role)| role)
    }
}

#[async_trait]
impl Directory for Users {
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
        let role = Self::role(user);
        let status = if role.is_some() { UserStatus::Active } else { UserStatus::Unknown };
        Ok(Membership { space_exists: space.is_default(), user: status, role })
    }
}

#[async_trait]
impl UserDirectory for Users {
    async fn describe(&self, user: &UserId) -> Result<Option<UserView>, AuthenticationError> {
        let space = |role| SpaceView { id: SpaceId::default_space(), name: None, role };
        let view = |role| UserView { username: None, display_name: None, spaces: vec![space(role)] };
        Ok(Self::role(user).map(view))
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, AuthenticationError> {
        Ok(vec![SpaceId::default_space()])
    }
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        _peer: Option<IpAddr>,
    ) -> Result<Option<Principal>, AuthenticationError> {
        let user = headers.get("x-user").and_then(|value| UserId::new(value.to_str().ok()?).ok());
        Ok(user.filter(|user| Self::role(user).is_some()).map(|user| Principal::User { user, session: None }))
    }
}

/// Builds the application, with key and database in `folder`.
pub(crate) async fn build(folder: &Path, address: SocketAddr) -> Result<App, Box<dyn Error>> {
    let key = folder.join("primary.key");
    if !key.exists() {
        grantry::key_file::write_new(&key)?;
    }
    let keyring = Keyring::load(&KeySource::File(key), &[], folder)?;
    let options = SqliteOptions::new(folder.join("grantry.db"), Arc::new(SystemClock), Arc::new(SystemRandom));
    let store = Arc::new(SqliteStore::open(options).await?);
    let users = Arc::new(Users);
    let identity = Identity::with_authenticator(users.clone(), users.clone(), users);
    let public_base_url = PublicBaseUrl::new(&format!("http://{address}/oauth"))?;
    Ok(App::builder(public_base_url, store, keyring, identity).build().await?)
}

/// The router of the host, with Grantry at the path of its public base URL.
pub(crate) fn router(app: &App) -> Router {
    Router::new().route("/", get(async || "the host's page")).nest_service("/oauth", app.router())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let address = SocketAddr::from(([127, 0, 0, 1], 8090));
    let folder = std::env::current_dir()?;
    let app = build(&folder, address).await?;
    let jobs = Jobs::spawn(&app, Periods::default());
    let listener = tokio::net::TcpListener::bind(address).await?;
    let service = router(&app).into_make_service_with_connect_info::<SocketAddr>();
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, service).with_graceful_shutdown(stop).await?;

    let limit = Duration::from_secs(20);
    app.drain(limit).await;
    jobs.stop(limit).await;
    app.close().await;
    Ok(())
}

//! A host on axum with users, a log-in and spaces. It mounts Grantry below `/oauth`.
//!
//! `cargo run -p grantry --example embed_axum` serves `http://127.0.0.1:8090`. `docs/embedding.md` explains each part.

use std::collections::HashMap;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use grantry::domain::connector::{ConnectorId, ConnectorKey};
use grantry::domain::encoding::hex;
use grantry::domain::ports::{ApiQuery, SecureRandom as _};
use grantry::domain::usecase::{Connections, ExecuteError, Execution, TokenError};
use grantry::prelude::*;
use grantry::runtime::SystemRandom;
use grantry::signals::StopSignals;

/// The users. A real host reads them from its database, like the roles.
const USERS: [&str; 3] = ["u_ada", "u_ben", "u_eva"];
/// User, space and role.
const MEMBERS: [(&str, &str, Role); 3] =
    [("u_ada", "default", Role::Admin), ("u_ada", "research", Role::Editor), ("u_ben", "research", Role::Viewer)];

/// The sessions of the host, by the value of the cookie `session`.
#[derive(Default)]
pub(crate) struct Host(Mutex<HashMap<String, UserId>>);

impl Host {
    fn user(&self, headers: &HeaderMap) -> Option<UserId> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let session = cookies.flat_map(|value| value.split("; ")).find_map(|cookie| cookie.strip_prefix("session="))?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(session).cloned()
    }
}

fn roles(user: &UserId) -> Vec<(SpaceId, Role)> {
    let rows = MEMBERS.iter().filter(|(id, ..)| *id == user.as_str());
    rows.filter_map(|(_, space, role)| Some((SpaceId::new(*space).ok()?, *role))).collect()
}

#[async_trait]
impl Directory for Host {
    async fn membership(&self, user: &UserId, space: &SpaceId) -> Result<Membership, DirectoryError> {
        let space_exists = MEMBERS.iter().any(|(_, id, _)| *id == space.as_str());
        let role = roles(user).into_iter().find(|(id, _)| id == space).map(|(_, role)| role);
        let user = if USERS.contains(&user.as_str()) { UserStatus::Active } else { UserStatus::Unknown };
        Ok(Membership { space_exists, user, role })
    }
}

#[async_trait]
impl UserDirectory for Host {
    async fn describe(&self, user: &UserId) -> Result<Option<UserView>, DirectoryError> {
        let spaces = roles(user).into_iter().map(|(id, role)| SpaceView { id, name: None, role }).collect();
        Ok(USERS.contains(&user.as_str()).then_some(UserView { username: None, display_name: None, spaces }))
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, DirectoryError> {
        ["default", "research"].into_iter().map(|id| SpaceId::new(id).map_err(|_| DirectoryError)).collect()
    }
}

#[async_trait]
impl Authenticator for Host {
    async fn authenticate(&self, headers: &HeaderMap, _: Option<IpAddr>) -> Result<Option<Principal>, AuthenticationError> {
        Ok(self.user(headers).map(|user| Principal::User { user, session: None }))
    }
}

/// The log-in page of the host.
const PAGE: &str = r#"<form method="post"><input name="name"><input name="password" type=password><button>Log in</button>"#;

/// The fields of the page.
type LogIn = Form<HashMap<String, String>>;
/// What the pages of the host share.
type Shared = (Arc<Host>, Arc<Connections>);

/// The log-in of the host, with `u_ada` and `u_ada-pw`. A real host compares with a password hash.
async fn log_in(State((host, _)): State<Shared>, headers: HeaderMap, Form(fields): LogIn) -> impl IntoResponse {
    // Another site must not log a user in to the account of an attacker.
    let is_from_here = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let [name, password] = ["name", "password"].map(|field| fields.get(field).cloned().unwrap_or_default());
    let is_correct = is_from_here && USERS.contains(&name.as_str()) && password == format!("{name}-pw");
    let user = UserId::new(name).ok().filter(|_| is_correct).ok_or(StatusCode::UNAUTHORIZED)?;
    let mut bytes = [0; 32];
    SystemRandom.fill(&mut bytes).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let session = hex(&bytes);
    // Over https also `Secure`.
    let cookie = format!("session={session}; Path=/; HttpOnly; SameSite=Lax");
    host.0.lock().unwrap_or_else(PoisonError::into_inner).insert(session, user);
    Ok::<_, StatusCode>((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to("/oauth/")))
}

/// A page of the host: who the user is at the API of the connector `files`.
async fn account(State((host, connections)): State<Shared>, headers: HeaderMap) -> Result<Response, StatusCode> {
    let user = host.user(&headers).ok_or(StatusCode::UNAUTHORIZED)?;
    let id = ConnectorId::new("files").map_err(|_| StatusCode::NOT_FOUND)?;
    let execution = Execution {
        actor: Actor::Person(user.clone()),
        connector: ConnectorKey { space: SpaceId::default_space(), id },
        user,
        connection: None,
        method: "GET".to_owned(),
        path: "/me".to_owned(),
        query: ApiQuery::default(),
        headers: Vec::new(),
        body: None,
    };
    let connector = execution.connector.clone();
    match connections.execute(execution).await {
        Ok(response) => Ok(response.body.into_response()),
        Err(ExecuteError::Token(TokenError::AuthorizationRequired { connection, .. })) => {
            Ok(Redirect::to(&connections.start_link(&connector, &connection)).into_response())
        }
        Err(error) => Ok((StatusCode::BAD_GATEWAY, error.to_string()).into_response()),
    }
}

/// Builds the application, with key and database in `folder`, and the router of the host with Grantry below `/oauth`.
pub(crate) async fn build(folder: &Path, origin: &str, egress: EgressPolicy) -> Result<(App, Router), Box<dyn Error>> {
    let (key, database) = (folder.join("primary.key"), folder.join("grantry.db"));
    // A new key beside an existing database would only hide that the key of its records is missing.
    if !key.exists() && !database.exists() {
        grantry::key_file::write_new(&key)?;
    }
    let keyring = Keyring::load(&KeySource::File("primary.key".into()), &[], folder)?;
    let store = AppStore::sqlite(&database).await?;
    let host = Arc::new(Host::default());
    let identity = Identity::with_authenticator(host.clone(), host.clone(), host.clone());
    let public = PublicBaseUrl::new(&format!("{origin}/oauth"))?;
    let app = App::builder(public, store, keyring, identity).egress(egress).build().await?;
    let pages = Router::new().route("/", get(async || "the page of the host"));
    let pages = pages.route("/log-in", get(async || Html(PAGE)).post(log_in)).route("/account", get(account));
    let router = pages.with_state((host, app.connections().clone())).nest_service("/oauth", app.router());
    Ok((app, router))
}

async fn serve() -> Result<(), Box<dyn Error>> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let folder = Path::new("target/embed_axum");
    std::fs::create_dir_all(folder)?;
    let (app, router) = build(folder, "http://127.0.0.1:8090", EgressPolicy::new(&["*"], &[])?).await?;
    let listener = listen((Ipv4Addr::LOCALHOST, 8090).into()).await?;
    let stop = StopSignals::listen()?;
    eprintln!("serving http://127.0.0.1:8090");
    Server::new(app, listener).with_router(router).run(Periods::default(), stop.requested()).await;
    Ok(())
}

/// Prints an error as its text, which names what to do.
#[tokio::main]
pub(crate) async fn main() -> ExitCode {
    let Err(error) = serve().await else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    ExitCode::FAILURE
}

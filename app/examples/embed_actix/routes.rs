//! The routes of the host. Each authenticates, calls one use case, and writes the result.

use std::future::{Ready, ready};

use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::dev::Payload;
use actix_web::error::{ErrorBadRequest, ErrorForbidden, ErrorUnauthorized};
use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path, Query, ServiceConfig, get, post};
use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder};
use grantry_domain::connector::{CallbackId, ConnectorId, ConnectorKey};
use grantry_domain::identity::{Actor, ConnectionName, SpaceId, UserId};
use grantry_domain::ports::ApiQuery;
use grantry_domain::provider::Callback;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::{
    AuthorizationResponse, CallbackRequest, ExecuteError, Execution, Outcome, StartRequest, TokenError,
};
use serde::Deserialize;
use serde_json::json;

use super::Host;

/// Prefix of the names of flow cookies, which bind a flow to the browser that started it.
const FLOW_COOKIE: &str = "flow_";

/// All routes.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/connectors/{id}/connect", get().to(confirm))
        .route("/connectors/{id}/connect", post().to(start))
        .route("/connectors/{id}/disconnect", post().to(disconnect))
        .route("/connectors/{id}/api/{path:.*}", get().to(run))
        .route("/callback/issuers", get().to(issuer_callback))
        .route("/callback/profiles", get().to(profile_callback))
        .route("/callback/connectors/{id}", get().to(connector_callback));
}

/// The signed-in user. The header stands for the session of a real host.
struct User(UserId);

impl FromRequest for User {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.headers().get("x-user").and_then(|value| UserId::new(value.to_str().ok()?).ok());
        ready(id.map(Self).ok_or_else(|| ErrorUnauthorized("log in first")))
    }
}

/// A request that changes state, from a page of this origin or from a client other than a browser.
struct SameOrigin;

impl FromRequest for SameOrigin {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let headers = request.headers();
        let is_same = match (headers.get("sec-fetch-site"), headers.get(header::ORIGIN)) {
            (Some(site), _) => site == "same-origin",
            // Browsers send no `Sec-Fetch-Site` over plain http.
            (None, Some(origin)) => request.app_data::<Data<Host>>().is_some_and(|host| *origin == host.origin),
            // No browser.
            (None, None) => true,
        };
        ready(if is_same { Ok(Self) } else { Err(ErrorForbidden("a request of another site")) })
    }
}

fn key(id: String) -> Result<ConnectorKey, Error> {
    Ok(ConnectorKey { space: SpaceId::default_space(), id: ConnectorId::new(id).map_err(ErrorBadRequest)? })
}

/// A refusal with the stable code of a use case error.
fn refused(code: &str) -> HttpResponseBuilder {
    HttpResponseBuilder::new(match code {
        "authorization_required" | "connection_ambiguous" => StatusCode::CONFLICT,
        "not_found" | "flow_not_found" | "connection_not_found" => StatusCode::NOT_FOUND,
        "forbidden" | "user_mismatch" | "browser_mismatch" | "destination_refused" => StatusCode::FORBIDDEN,
        "invalid_request" | "flow_expired" | "flow_already_used" => StatusCode::BAD_REQUEST,
        "rate_limited" => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    })
}

/// The page behind the start link. A flow starts with a click, never with opening a link.
async fn confirm(_: User, id: Path<String>) -> Result<HttpResponse, Error> {
    let key = key(id.into_inner())?;
    let page = format!("<!doctype html><form method=\"post\"><button>Connect {}</button></form>", key.id);
    let mut response = HttpResponse::Ok();
    // A page of another site must not lead the user to this button unseen.
    response.insert_header((header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"));
    Ok(response.content_type("text/html; charset=utf-8").body(page))
}

/// Starts a flow and redirects to the provider.
async fn start(host: Data<Host>, user: User, _: SameOrigin, id: Path<String>) -> Result<HttpResponse, Error> {
    let request = StartRequest {
        actor: Actor::Person(user.0),
        connector: key(id.into_inner())?,
        connection: ConnectionName::default(),
        shown: None,
        return_path: None,
        allow_account_change: false,
        select_account: false,
    };
    let started = match host.connections.start(request).await {
        Ok(started) => started,
        Err(error) => return Ok(refused(error.code()).json(json!({ "code": error.code() }))),
    };
    let text = |secret: &Secret| secret.expose_text().unwrap_or_default().to_owned();
    let cookie = Cookie::build(format!("{FLOW_COOKIE}{}", started.flow_id), text(&started.flow_cookie))
        .path("/callback")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(host.origin.starts_with("https://"))
        .max_age(time::Duration::try_from(started.expires_in).map_err(ErrorBadRequest)?);
    let location = (header::LOCATION, text(&started.authorization_url));
    Ok(HttpResponse::SeeOther().cookie(cookie.finish()).insert_header(location).finish())
}

/// The parameters of an authorization response (RFC 6749 §4.1.2, RFC 9207 §2). A repeated one is refused.
#[derive(Deserialize)]
struct Redirect {
    state: String,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

async fn issuer_callback(host: Data<Host>, user: User, request: HttpRequest, query: Query<Redirect>) -> HttpResponse {
    complete(&host, user, &request, query, Callback::Issuers).await
}

async fn profile_callback(host: Data<Host>, user: User, request: HttpRequest, query: Query<Redirect>) -> HttpResponse {
    complete(&host, user, &request, query, Callback::Profiles).await
}

async fn connector_callback(
    host: Data<Host>,
    user: User,
    request: HttpRequest,
    id: Path<String>,
    query: Query<Redirect>,
) -> HttpResponse {
    match CallbackId::parse(&id) {
        Some(id) => complete(&host, user, &request, query, Callback::Connector(id)).await,
        None => refused("not_found").finish(),
    }
}

/// Completes the flow and redirects to a URL without code and state.
async fn complete(
    host: &Host,
    user: User,
    request: &HttpRequest,
    query: Query<Redirect>,
    callback: Callback,
) -> HttpResponse {
    let Redirect { state, code, error, iss } = query.into_inner();
    let response = match (code, error) {
        (Some(code), None) => AuthorizationResponse::Code(Secret::from_text(&code)),
        (None, Some(error)) => AuthorizationResponse::Error { denied: error == "access_denied" },
        (None, None) | (Some(_), Some(_)) => return refused("invalid_request").finish(),
    };
    let cookies = request.cookies().map(|cookies| cookies.clone()).unwrap_or_default();
    let flow_cookies = cookies.iter().filter(|cookie| cookie.name().starts_with(FLOW_COOKIE));
    let flow_cookies = flow_cookies.map(|cookie| Secret::from_text(cookie.value())).collect();
    let state = Secret::from_text(&state);
    // Further parameters are needed for profiles whose provider names the API of the grant in the redirect.
    let parameters = Vec::new();
    let request = CallbackRequest { user: user.0, flow_cookies, callback, state, issuer: iss, response, parameters };
    let completed = match host.connections.complete(request).await {
        Ok(completed) => completed,
        Err(error) => return refused(error.code()).json(json!({ "code": error.code() })),
    };
    let result = match completed.outcome {
        Outcome::Connected => "connected",
        Outcome::Failed(failure) => failure.code(),
    };
    let mut done = Cookie::build(format!("{FLOW_COOKIE}{}", completed.flow_id), "").path("/callback").finish();
    done.make_removal();
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::REFERRER_POLICY, "no-referrer"));
    response.cookie(done).insert_header((header::LOCATION, format!("/?result={result}"))).finish()
}

/// Sends one request to the API behind the connector, with the token of the user. The path and the query are passed on as they
/// were sent: decoded ones could name another resource.
async fn run(host: Data<Host>, user: User, request: HttpRequest, id: Path<(String, String)>) -> Result<HttpResponse, Error> {
    let connector = key(id.into_inner().0)?;
    let path = request.uri().path().strip_prefix(&format!("/connectors/{}/api", connector.id));
    let path = path.ok_or_else(|| ErrorBadRequest("the id of the connector is escaped"))?.to_owned();
    let execution = Execution {
        actor: Actor::Person(user.0.clone()),
        connector: connector.clone(),
        user: user.0,
        connection: None,
        method: "GET".to_owned(),
        path,
        query: ApiQuery::Encoded(request.uri().query().unwrap_or_default().to_owned()),
        headers: Vec::new(),
        body: None,
    };
    Ok(match host.connections.execute(execution).await {
        Ok(response) => {
            let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
            let content_type = response.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
            let mut built = HttpResponseBuilder::new(status);
            if let Some((_, value)) = content_type {
                built.insert_header((header::CONTENT_TYPE, value.as_slice()));
            }
            // A browser must not take what an API returns for a page of this origin.
            built.insert_header((header::CONTENT_SECURITY_POLICY, "sandbox")).body(response.body)
        }
        Err(error) => {
            let mut link = None;
            if let ExecuteError::Token(TokenError::AuthorizationRequired { connection, .. }) = &error {
                link = Some(host.connections.start_link(&connector, connection));
            }
            refused(error.code()).json(json!({ "code": error.code(), "startUrl": link }))
        }
    })
}

/// Disconnects the user.
async fn disconnect(host: Data<Host>, user: User, _: SameOrigin, id: Path<String>) -> Result<HttpResponse, Error> {
    let key = key(id.into_inner())?;
    Ok(match host.connections.disconnect(&Actor::Person(user.0), &key, None).await {
        Ok(_) => HttpResponse::NoContent().finish(),
        Err(error) => refused(error.code()).json(json!({ "code": error.code() })),
    })
}

//! Relaying a request to the API of a connector while its bodies arrive: for the user, or by an agent for a named user.
//!
//! The route is not in the `OpenAPI` document, because its methods, bodies and responses are those of the API.

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use futures_util::{StreamExt as _, TryStreamExt as _};
use grantry_domain::identity::ConnectionName;
use grantry_domain::ports::{ApiError, BodyCut, StreamedBody, StreamedResponse};
use grantry_domain::usecase::{ExecuteError, Relay};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use url::Url;
use utoipa_axum::router::OpenApiRouter;

use crate::api::execute::user_of;
use crate::api::relay_fields::{request_fields, response_headers};
use crate::auth::Principal;
use crate::error_mapping::execute_problem;
use crate::extract::CallerAtConnector;
use crate::guard::checks::names_its_site;
use crate::problem::{Code, Problem};
use crate::relay_routes::{ROUTES, Relayed};
use crate::state::App;
use crate::user_limit::TOO_MANY_RUNS;

/// The segments before the path of the API: those of the routes, and the empty one before the first slash.
const SEGMENTS_BEFORE: usize = 6;
/// Names the user for whom an agent acts.
const USER: &str = "x-grantry-user";
/// Names the connection. Default: the only one, or the user's default.
const CONNECTION: &str = "x-grantry-connection";

pub(super) fn routes() -> OpenApiRouter<App> {
    ROUTES.into_iter().fold(OpenApiRouter::new(), |router, route| router.route(route, any(relay)))
}

/// Whether a browser uses the response as data (Fetch Metadata, `Sec-Fetch-Dest`). A response of an API is one of this origin, so as
/// a page, a script or a style sheet it would pass the policies of pages that trust this origin.
fn is_data(headers: &HeaderMap) -> bool {
    let destination = headers.get("sec-fetch-dest").map(HeaderValue::as_bytes);
    destination.is_none_or(|destination| [&b"empty"[..], b"image", b"audio", b"video"].contains(&destination))
}

async fn relay(
    State(app): State<App>,
    CallerAtConnector { caller, connector }: CallerAtConnector,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // An older browser that names neither site nor origin could have been led here by another site.
    if matches!(caller, Principal::User { .. }) && !names_its_site(&parts.headers) {
        return Err(Problem::new(Code::Forbidden).because("The request names neither its site nor its origin."));
    }
    if !is_data(&parts.headers) {
        return Err(
            Problem::new(Code::Forbidden).because("The content of an API is not shown as a page or run as a script.")
        );
    }
    refuse_upgrade(&parts.headers)?;
    let user = user_of(&caller, named(&parts.headers, USER)?, USER)?;
    let connection = named(&parts.headers, CONNECTION)?.map(ConnectionName::new).transpose();
    let connection = connection.map_err(|invalid| Problem::invalid(CONNECTION, invalid.problem))?;
    let relay = Relay {
        actor: caller.actor(),
        connector: connector.clone(),
        user: user.clone(),
        connection,
        method: parts.method.as_str().to_owned(),
        path: path_of(&parts.uri),
        headers: request_fields(&parts.headers, &app.api.authenticator.credential_fields()),
        body: streamed(body),
    };
    let run = app.runs.admit(user.as_str(), TOO_MANY_RUNS).await?;
    let response = app.api.connections.relay(relay).await;
    let response =
        response.map_err(|error| problem(error, |connection| app.api.connections.start_link(&connector, connection)))?;
    Ok(run.until_sent(passed_on(response, &app)?))
}

/// The value of a field, as text.
fn named(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::invalid(name, "is there more than once"));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Problem::invalid(name, "is not UTF-8"))?;
    Ok(Some(text.to_owned()))
}

/// A WebSocket cannot be relayed: its caller waits for 101. A server may ignore other upgrades (RFC 9110 §7.8).
fn refuse_upgrade(headers: &HeaderMap) -> Result<(), Problem> {
    let mut upgrades = headers.get_all(header::UPGRADE).iter().filter_map(|value| value.to_str().ok());
    let is_websocket = |value: &str| value.split(',').any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"));
    if upgrades.any(is_websocket) {
        return Err(Problem::invalid("upgrade", "must not be websocket: a relayed connection cannot be upgraded"));
    }
    Ok(())
}

/// The path and the query as the caller has encoded them.
fn path_of(uri: &http::Uri) -> String {
    let path = uri.path().splitn(SEGMENTS_BEFORE + 1, '/').nth(SEGMENTS_BEFORE).unwrap_or_default();
    match uri.query() {
        Some(query) => format!("/{path}?{query}"),
        None => format!("/{path}"),
    }
}

fn streamed(body: Body) -> Option<StreamedBody> {
    if body.is_end_stream() {
        return None;
    }
    let length = body.size_hint().exact();
    Some(StreamedBody { length, parts: body.into_data_stream().map_err(|_| BodyCut).boxed() })
}

/// The response of the API, with the fields that are for the caller.
fn passed_on(response: StreamedResponse, app: &App) -> Result<Response, Problem> {
    let StreamedResponse { status, headers, body } = response;
    let mut passed = Response::new(Body::from_stream(body.parts));
    *passed.status_mut() = StatusCode::from_u16(status).map_err(|_| Problem::new(Code::ApiUnreachable))?;
    *passed.headers_mut() = response_headers(headers, |url| is_own(url, app));
    passed.extensions_mut().insert(Relayed);
    Ok(passed)
}

/// The problem of a request that was not relayed. A field is one of the HTTP request, and not of a body with `params`.
fn problem(error: ExecuteError, start_link: impl FnOnce(&ConnectionName) -> String) -> Problem {
    let ExecuteError::Api(ApiError::Refused(refused)) = error else { return execute_problem(error, start_link) };
    Problem::invalid(refused.field.trim_start_matches("params."), refused.problem)
}

/// Whether a URL leads to this server.
fn is_own(url: &Url, app: &App) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let without_default = |allowed: &String| allowed.trim_end_matches(":443").trim_end_matches(":80") == host;
    app.hosts.iter().any(without_default)
}

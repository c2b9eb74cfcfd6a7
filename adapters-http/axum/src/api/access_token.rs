//! Issuing an access token to a back end, if the operator permits it for that agent.

use std::net::Ipv4Addr;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use grantry_domain::connector::ConnectorKey;
use grantry_domain::identity::{Actor, UserId};
use grantry_domain::provider::Origin;
use grantry_domain::secret::Secret;
use grantry_domain::usecase::AccessTokenRequest;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Principal;
use crate::error_mapping::token_problem;
use crate::extract::{CallerAtConnector, JsonBody, connection_name};
use crate::format::{self, rfc3339};
use crate::problem::{Code, Problem, Problems};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(issue_access_token))
}

/// Longest host name (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 253;

/// The user, and where the token will be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessTokenBody {
    /// Id of the user.
    user: String,
    /// URL or origin of the API. It must be among those the user consented to.
    #[schema(example = "https://api.example.com")]
    destination: String,
    /// Name of the connection. Default: the only one, or the user's default.
    connection: Option<String>,
}

/// A valid access token.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "names of the contract")]
pub(crate) struct AccessToken {
    /// The token.
    #[serde(serialize_with = "format::secret")]
    #[schema(value_type = String)]
    access_token: Secret,
    /// `Bearer`, as the provider spells it.
    token_type: String,
    /// When it expires; null if it does not.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// An agent that may get access tokens at the connector in the path.
struct PermittedAgent {
    actor: Actor,
    connector: ConnectorKey,
}

impl FromRequestParts<App> for PermittedAgent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let CallerAtConnector { caller, connector } = CallerAtConnector::from_request_parts(parts, app).await?;
        match &caller {
            Principal::Agent(agent) if agent.access_tokens => Ok(Self { actor: caller.actor(), connector }),
            Principal::Agent(_) | Principal::User { .. } => Err(Problem::new(Code::Forbidden)),
        }
    }
}

/// Issues a valid access token of a user. Only for agents that the operator permits to fetch tokens.
#[utoipa::path(post, path = "/internal/actions/connector/{id}/_access_token", operation_id = "accessToken", tag = "agents", security(("agent" = [])),
    params(("id" = String, Path)), request_body = AccessTokenBody, responses((status = 200, body = AccessToken), Problems))]
async fn issue_access_token(
    State(app): State<App>,
    PermittedAgent { actor, connector }: PermittedAgent,
    JsonBody(body): JsonBody<AccessTokenBody>,
) -> Result<Json<AccessToken>, Problem> {
    let user = UserId::new(body.user).map_err(|invalid| Problem::invalid("user", invalid.problem))?;
    let destination = origin_of(&body.destination)
        .ok_or_else(|| Problem::invalid("destination", "must be an absolute http or https URL"))?;
    let connection = connection_name(body.connection)?;
    let request = AccessTokenRequest { actor, connector, user, connection, destination };
    let issued = app.api.connections.access_token(&request).await;
    let issued = issued.map_err(|error| {
        token_problem(error, |connection| app.api.connections.start_link(&request.connector, connection))
    })?;
    let expires_at = issued.expires_at.map(rfc3339);
    Ok(Json(AccessToken { access_token: issued.token, token_type: issued.token_type, expires_at }))
}

/// The origin of a URL, if the URL has one that a token may be sent to.
fn origin_of(url: &str) -> Option<Origin> {
    origin_in_normal_form(url).or_else(|| parsed_origin(url))
}

/// As [`parsed_origin`], for a text that consists of scheme, host and port in the form that parsing would give them. Other texts
/// are `None`. Most back ends send this form, and parsing a URL takes longer than deciding about it.
fn origin_in_normal_form(text: &str) -> Option<Origin> {
    let (rest, default_port) =
        text.strip_prefix("https://").map(|rest| (rest, 443)).or_else(|| Some((text.strip_prefix("http://")?, 80)))?;
    let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
    let has_normal_port = port
        .is_none_or(|port| !port.starts_with(['0', '+']) && port.parse::<u16>().is_ok_and(|number| number != default_port));
    let is_plain = |label: &str| {
        let characters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && !label.starts_with("xn--") && label.bytes().all(characters)
    };
    // A host whose last label begins with a digit can be an IPv4 address in another notation.
    let is_name = || host.rsplit('.').next().is_some_and(|last| last.starts_with(|first: char| first.is_ascii_lowercase()));
    let is_normal = has_normal_port
        && host.len() <= LONGEST_NAME
        && host.split('.').all(is_plain)
        && (is_name() || host.parse::<Ipv4Addr>().is_ok());
    if is_normal { Origin::new(text).ok() } else { None }
}

fn parsed_origin(url: &str) -> Option<Origin> {
    let url = url::Url::parse(url).ok().filter(|url| url.username().is_empty() && url.password().is_none())?;
    Origin::new(url.origin().ascii_serialization()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_in_normal_form_is_recognised() {
        for text in [
            "https://api.example.com",
            "http://127.0.0.1:8081",
            "https://localhost:8443",
            "http://a-1.b--c.example:65535",
            "https://example.com:80",
        ] {
            let origin = origin_in_normal_form(text).expect(text);
            assert_eq!(origin.as_str(), text);
            assert_eq!(parsed_origin(text), Some(origin));
        }
    }

    #[test]
    fn every_other_text_is_parsed() {
        for text in [
            "https://api.example.com/",
            "https://api.example.com/path",
            "https://API.example.com",
            "HTTPS://api.example.com",
            "https://api.example.com:443",
            "http://api.example.com:80",
            "https://api.example.com:",
            "https://api.example.com:080",
            "https://api.example.com:+80",
            "https://api.example.com:65536",
            "https://api.example.com:1:2",
            "https://api.example.com.",
            "https://.example.com",
            "https://",
            "https://xn--bcher-kva.example",
            "https://b\u{fc}cher.example",
            "https://127.1",
            "https://0x7f.0.0.1",
            "https://127.0.0.01",
            "https://1.2.3.4.5",
            "https://[::1]",
            "https://user@example.com",
            "https://a_b.example",
            "https://a b.example",
            "https://a%2eb.example",
            "ftp://example.com",
            "example.com",
            "",
        ] {
            assert_eq!(origin_in_normal_form(text), None, "{text}");
        }
    }

    #[test]
    fn recognising_an_origin_equals_parsing_it() {
        let parts =
            ["a", "z9", "-", "--", "xn--", "1", "0", "0x7f", "127", "255", "256", ".", "..", ":", "80", "443", "8081"];
        for scheme in ["http://", "https://"] {
            for first in parts {
                for second in parts {
                    for third in parts {
                        for fourth in parts {
                            let text = format!("{scheme}{first}{second}{third}{fourth}");
                            if let Some(origin) = origin_in_normal_form(&text) {
                                assert_eq!(parsed_origin(&text), Some(origin), "{text}");
                            }
                        }
                    }
                }
            }
        }
    }
}

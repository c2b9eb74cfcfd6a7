//! What a caller does again and again.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use url::Url;

use crate::Result;
use crate::deployment::{as_agent, as_user, connector, relay_as_agent, user};
use crate::http::Connection;
use crate::start::introduce;

/// The grants of a seeded database: each of the users has one at each of the connectors.
#[derive(Debug, Clone, Copy)]
pub struct Population {
    /// Number of users.
    pub users: u32,
    /// Number of connectors.
    pub connectors: u32,
}

/// One kind of call.
#[derive(Debug)]
pub enum Workload {
    /// The agent fetches the access token of a random grant.
    Issues(Population),
    /// The agent runs `GET /me` with a random grant.
    Runs(Population),
    /// The agent relays `GET /me` with a random grant.
    Relays(Population),
    /// A random user requests the status at all connectors.
    Statuses(Population),
    /// A random user lists the connectors.
    Lists(Population),
    /// A user starts a flow and returns from the provider. Every user and connector takes its turn.
    Flows(Population, AtomicU64),
    /// GET of one path.
    Get(String),
}

/// How a call ended.
pub(crate) enum Outcome {
    /// As expected.
    Success,
    /// With another status.
    Unexpected(String),
}

/// One caller: a connection, a buffer, and random numbers.
pub(crate) struct Caller {
    /// The server, as requests name it. The connection may be to another node.
    pub(crate) server: SocketAddr,
    pub(crate) connection: Connection,
    pub(crate) request: Vec<u8>,
    pub(crate) random: Random,
}

impl Workload {
    /// Performs one call.
    pub(crate) async fn call(&self, caller: &mut Caller) -> io::Result<Outcome> {
        caller.request.clear();
        let Caller { server, request, random, .. } = caller;
        match self {
            Self::Issues(population) => issue(request, *server, random.grant(*population)),
            Self::Runs(population) => {
                let (user, connector) = random.grant(*population);
                let body = format!(r#"{{"params":{{"method":"GET","path":"/me"}},"act_as":"{user}"}}"#);
                as_agent(request, *server, &format!("/api/actions/connector/{connector}/_execute"), &body);
            }
            Self::Relays(population) => {
                let (user, connector) = random.grant(*population);
                relay_as_agent(request, *server, &user, &format!("/api/actions/connector/{connector}/_relay/me"));
            }
            Self::Statuses(population) => {
                let (user, _) = random.grant(*population);
                as_user(request, *server, &user, "POST", "/internal/actions/connectors/_me/auth_status", "{}");
            }
            Self::Lists(population) => {
                let (user, _) = random.grant(*population);
                as_user(request, *server, &user, "GET", "/api/actions/connectors", "");
            }
            Self::Flows(population, next) => {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let user = user(remainder(turn, population.users));
                let connector = connector(remainder(turn / u64::from(population.users), population.connectors));
                return flow(caller, &user, &connector).await;
            }
            Self::Get(path) => crate::http::write_request(request, "GET", path, &server.to_string(), "", ""),
        }
        let response = caller.connection.exchange(&caller.request).await?;
        Ok(expect(200, response.status, "", response.body))
    }
}

/// The request for the access token of a user at a connector. Its destination is the origin of the provider, the port after
/// that of the server.
pub(crate) fn issue(out: &mut Vec<u8>, server: SocketAddr, (user, connector): (String, String)) {
    let destination = SocketAddr::new(server.ip(), server.port() + 1);
    let body = format!(r#"{{"user":"{user}","destination":"http://{destination}"}}"#);
    as_agent(out, server, &format!("/internal/actions/connector/{connector}/_access_token"), &body);
}

/// The response to a request for the access token of the first user at the first connector.
pub async fn issue_once(server: SocketAddr) -> Result<String> {
    let mut connection = Connection::open(server).await?;
    introduce(&mut connection, server).await?;
    let mut request = Vec::new();
    issue(&mut request, server, (user(0), connector(0)));
    let response = connection.exchange(&request).await?;
    let text = response.text();
    if response.status == 200 { Ok(text) } else { Err(format!("{} {text}", response.status).into()) }
}

/// Starts a flow and opens its callback, as if the user had consented at once.
pub(crate) async fn flow(caller: &mut Caller, user: &str, connector: &str) -> io::Result<Outcome> {
    let Caller { server, connection, request, .. } = caller;
    request.clear();
    let path = format!("/internal/actions/connector/{connector}/_start_oauth_flow");
    as_user(request, *server, user, "POST", &path, "{}");
    let started = connection.exchange(request).await?;
    if started.status != 200 {
        return Ok(expect(200, started.status, "start ", started.body));
    }
    let cookie = started.field("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned();
    let callback = callback_path(started.body).ok_or(io::ErrorKind::InvalidData)?;
    request.clear();
    let fields = format!(
        "x-forwarded-user: {user}\r\ncookie: {cookie}\r\naccept: text/html\r\n\
         sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n"
    );
    crate::http::write_request(request, "GET", &callback, &server.to_string(), &fields, "");
    let finished = connection.exchange(request).await?;
    if finished.field("location").is_none_or(|location| !location.contains("/_oauth_callback_result/")) {
        return Ok(Outcome::Unexpected(format!("callback {} {}", finished.status, finished.text())));
    }
    Ok(expect(303, finished.status, "callback ", finished.body))
}

/// The path of the callback with a code, from the response to a started flow.
fn callback_path(started: &[u8]) -> Option<String> {
    let started: serde_json::Value = serde_json::from_slice(started).ok()?;
    let authorization = Url::parse(started.get("authorizationUrl")?.as_str()?).ok()?;
    let parameter = |name: &str| authorization.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value);
    let redirect = Url::parse(&parameter("redirect_uri")?).ok()?;
    Some(format!("{}?code=load&state={}", redirect.path(), parameter("state")?))
}

fn expect(expected: u16, status: u16, what: &str, body: &[u8]) -> Outcome {
    if status == expected {
        return Outcome::Success;
    }
    let body = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    Outcome::Unexpected(format!("{what}{status} {body}"))
}

/// xorshift64: which grant is meant, and nothing else, depends on it.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A user and a connector.
    pub(crate) fn grant(&mut self, population: Population) -> (String, String) {
        let number = self.next() >> 16;
        (user(remainder(number, population.users)), connector(remainder(number >> 20, population.connectors)))
    }
}

fn remainder(number: u64, divisor: u32) -> u32 {
    u32::try_from(number % u64::from(divisor.max(1))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_grants_reach_every_user_and_every_connector() {
        let population = Population { users: 5, connectors: 3 };
        let mut random = Random::new(1);
        let seen: std::collections::BTreeSet<_> = (0..1000).map(|_| random.grant(population)).collect();
        assert_eq!(seen.len(), 15);
    }

    #[test]
    fn the_callback_is_that_of_the_authorization_url() {
        let started =
            br#"{"authorizationUrl":"http://p/authorize?state=s1&redirect_uri=http%3A%2F%2Fh%2Fa%2F_oauth_context%2Fx"}"#;
        assert_eq!(callback_path(started).as_deref(), Some("/a/_oauth_context/x?code=load&state=s1"));
        assert_eq!(callback_path(b"{}"), None);
    }
}

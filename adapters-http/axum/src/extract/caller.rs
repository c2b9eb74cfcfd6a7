//! The caller of a request and the client's address.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use grantry_domain::connector::ConnectorKey;
use grantry_domain::identity::{Actor, UserId};
use http::HeaderMap;
use http::request::Parts;

use crate::auth::Principal;
use crate::extract::url::{ConnectorPath, SpacePath};
use crate::network::Network;
use crate::problem::{Code, Problem};
use crate::state::App;

/// The caller: a user or an agent. An anonymous request is `not_signed_in`.
struct Caller(Principal);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let peer = peer(parts);
        match app.api.authenticator.authenticate(&parts.headers, peer).await {
            Ok(Some(principal)) => {
                parts.extensions.insert(KnownCaller::of(&principal));
                Ok(Self(principal))
            }
            Ok(None) => Err(Problem::new(Code::NotSignedIn)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Who sends the body of a request, for the limits of bodies. A request without a body extractor does not need it.
#[derive(Clone)]
pub(super) enum KnownCaller {
    /// A user.
    User(UserId),
    /// A back end.
    Agent,
}

impl KnownCaller {
    fn of(principal: &Principal) -> Self {
        match principal {
            Principal::User { user, .. } => Self::User(user.clone()),
            Principal::Agent(_) => Self::Agent,
        }
    }
}

/// A user with an interactive session. Routes with this extractor are closed to agents.
pub(crate) struct User {
    pub(crate) id: UserId,
}

impl User {
    /// The actor of the user in audit events.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Person(self.id.clone())
    }
}

impl FromRequestParts<App> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match Caller::from_request_parts(parts, app).await?.0 {
            Principal::User { user, .. } => Ok(Self { id: user }),
            Principal::Agent(_) => Err(Problem::new(Code::Forbidden)),
        }
    }
}

/// A user who may edit connectors of the space in the path. The permission is checked before the body is read.
pub(crate) struct Editor(pub(crate) Actor);

impl FromRequestParts<App> for Editor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let actor = User::from_request_parts(parts, app).await?.actor();
        let SpacePath(space) = SpacePath::from_request_parts(parts, app).await?;
        app.api.connections.may_edit_connectors(&actor, &space).await?;
        Ok(Self(actor))
    }
}

/// The caller and the connector in the path. An agent without access to the space is refused before the body is read.
pub(crate) struct CallerAtConnector {
    pub(crate) caller: Principal,
    pub(crate) connector: ConnectorKey,
}

impl FromRequestParts<App> for CallerAtConnector {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Caller(caller) = Caller::from_request_parts(parts, app).await?;
        let ConnectorPath(connector) = ConnectorPath::from_request_parts(parts, app).await?;
        match &caller {
            Principal::Agent(agent) if !agent.spaces.contains(&connector.space) => Err(Problem::new(Code::NotFound)),
            Principal::Agent(_) | Principal::User { .. } => Ok(Self { caller, connector }),
        }
    }
}

/// The address for rate limits: of the peer, or the one that a trusted proxy names.
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl ClientAddress {
    /// The address for a rate limit. All addresses of an IPv6 site count as one.
    pub(crate) fn to_limit(&self) -> Option<String> {
        self.0.map(|address| Network::of_client(address).to_string())
    }
}

impl FromRequestParts<App> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(peer(parts).map(|peer| client_of(peer, &parts.headers, &app.api.trusted_proxies))))
    }
}

fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical())
}

/// Follows `X-Forwarded-For` from the right while the previous hop is trusted. Headers of other peers are ignored.
pub(crate) fn client_of(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let values = headers.get_all("x-forwarded-for").iter();
    // A client can send other bytes than text, in the part before the address that the first trusted proxy adds.
    let hops: Vec<&[u8]> = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).collect();
    let mut client = peer;
    for hop in hops.iter().rev() {
        if !trusted.iter().any(|network| network.contains(client)) {
            break;
        }
        match std::str::from_utf8(hop).ok().and_then(|hop| address_of(hop.trim())) {
            Some(address) => client = address.to_canonical(),
            None => break,
        }
    }
    client
}

/// The address of a hop. Some proxies add the port, or write an IPv6 address in brackets.
fn address_of(hop: &str) -> Option<IpAddr> {
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    hop.parse().ok().or_else(with_port).or_else(|| bracketed().map(IpAddr::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r57_forwarded_addresses_count_only_from_trusted_proxies() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.2".parse().unwrap());
        let trusted = [ip("10.0.0.1").into(), ip("10.0.0.2").into()];
        assert_eq!(client_of(ip("10.0.0.1"), &headers, &trusted), ip("203.0.113.9"));
        assert_eq!(client_of(ip("198.51.100.7"), &headers, &trusted), ip("198.51.100.7"));
        assert_eq!(client_of(ip("10.0.0.1"), &HeaderMap::new(), &trusted), ip("10.0.0.1"));
        for (hop, address) in [
            ("203.0.113.9:4711", "203.0.113.9"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("unknown", "10.0.0.1"),
            ("203.0.113.9:", "10.0.0.1"),
            ("[203.0.113.9]", "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", hop.parse().unwrap());
            assert_eq!(client_of(ip("10.0.0.1"), &headers, &trusted), ip(address), "{hop}");
        }
        let mut forged = HeaderMap::new();
        forged.insert("x-forwarded-for", http::HeaderValue::from_bytes(b"\xe4, 203.0.113.9").unwrap());
        assert_eq!(client_of(ip("10.0.0.1"), &forged, &trusted), ip("203.0.113.9"));
        let network = ["10.0.0.0/30".parse().unwrap()];
        assert_eq!(client_of(ip("10.0.0.3"), &headers, &network), ip("203.0.113.9"));
        assert_eq!(client_of(ip("10.0.0.4"), &headers, &network), ip("10.0.0.4"));
    }
}

//! The transport and its limits.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::secret::Secret;
use grantry_provider_oauth2::{
    AddressScope, AllowedUrl, EgressPolicy, HttpRequest, HttpResponse, HttpTransport, StreamRequest, StreamResponse,
    TransportError,
};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION};
use http::{HeaderMap, HeaderValue};
use reqwest::{Client, ClientBuilder, Response, redirect, retry};
use tokio::time::Instant;

use crate::classification::classify;
use crate::concurrency_limit::ConcurrencyLimit;
use crate::resolver::{FilteringResolver, NameLookup, SHARE, SystemLookup};
use crate::tls::{Protocols, TransportSetupError};
use crate::{body, decoding, stream, tls};

/// No compression (RFC 9110 §12.5.3).
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Limits of one transport. The limit of the response body comes with each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time for name resolution, connection and TLS, and separately for the wait for a free connection slot.
    pub connect: Duration,
    /// Time from the call to the last byte of the response.
    pub total: Duration,
    /// Size of a response's header fields in bytes, names and values.
    pub max_headers: usize,
    /// Concurrent requests to all hosts. Those of one share use at most an eighth of them.
    pub in_total: usize,
    /// Concurrent requests to one host and port. Those of one share use at most an eighth of them.
    pub per_host: usize,
    /// Concurrent requests with streamed bodies, besides the others. Those of one share use at most an eighth of them.
    pub streams: usize,
    /// Time without a byte in either direction after which a request with streamed bodies is cut off.
    pub stream_idle: Duration,
    /// Idle connections to one host and port that are kept.
    pub idle_per_host: usize,
    /// How long an idle connection is kept. With zero every request opens a new connection: a request on a reused one
    /// can meet a server that is just closing it, which leaves unknown whether the request was processed.
    pub keep_alive: Duration,
}

impl Limits {
    /// For OAuth endpoints.
    pub const OAUTH: Self = Self {
        connect: Duration::from_secs(5),
        total: Duration::from_secs(15),
        max_headers: 32 * 1024,
        in_total: 64,
        per_host: 16,
        streams: 8,
        stream_idle: Duration::from_secs(15),
        idle_per_host: 0,
        keep_alive: Duration::ZERO,
    };

    /// For calls to APIs.
    pub const API: Self = Self {
        total: Duration::from_mins(1),
        in_total: 128,
        per_host: 64,
        streams: 128,
        stream_idle: Duration::from_mins(2),
        idle_per_host: 16,
        keep_alive: Duration::from_secs(20),
        ..Self::OAUTH
    };

    /// The limits for a process that may have this many open files: proportionally fewer connections below 1024.
    #[must_use]
    pub fn within(self, descriptors: u64) -> Self {
        let part = |most: usize| {
            let scaled = u64::try_from(most).unwrap_or(u64::MAX).saturating_mul(descriptors.min(1024)) / 1024;
            usize::try_from(scaled).unwrap_or(most)
        };
        let in_total = part(self.in_total).max(8);
        Self {
            in_total,
            per_host: self.per_host.min(in_total),
            streams: part(self.streams).max(8),
            idle_per_host: part(self.idle_per_host),
            ..self
        }
    }
}

/// Sends requests over reqwest.
pub struct ReqwestTransport {
    policy: EgressPolicy,
    limits: Limits,
    concurrency: ConcurrencyLimit,
    streams: ConcurrencyLimit,
    clients: Clients,
    stream_clients: Clients,
}

/// One client per address scope.
struct Clients {
    public: Client,
    listed: Client,
    loopback: Client,
}

impl Clients {
    fn of(&self, address_scope: AddressScope) -> &Client {
        match address_scope {
            AddressScope::Public => &self.public,
            AddressScope::Listed => &self.listed,
            AddressScope::Loopback => &self.loopback,
        }
    }
}

impl ReqwestTransport {
    /// Creates a transport with a policy and limits.
    pub fn new(policy: EgressPolicy, limits: Limits) -> Result<Self, TransportSetupError> {
        let system: Arc<dyn NameLookup> = Arc::new(SystemLookup::new());
        Self::build(policy, limits, &system, tls::with_platform_roots)
    }

    /// One client per address scope: its resolver applies that scope, and connections of different scopes never share a
    /// pool.
    pub(crate) fn build(
        policy: EgressPolicy,
        limits: Limits,
        lookup: &Arc<dyn NameLookup>,
        with_tls: impl Fn(ClientBuilder, Protocols) -> Result<ClientBuilder, TransportSetupError>,
    ) -> Result<Self, TransportSetupError> {
        let client = |address_scope, protocols| {
            let resolver = FilteringResolver::new(Arc::clone(lookup), address_scope);
            let builder = with_tls(builder(limits, protocols), protocols)?
                .dns_resolver(resolver)
                .https_only(address_scope != AddressScope::Loopback);
            builder.build().map_err(|_| TransportSetupError)
        };
        let clients = |protocols| {
            Ok(Clients {
                public: client(AddressScope::Public, protocols)?,
                listed: client(AddressScope::Listed, protocols)?,
                loopback: client(AddressScope::Loopback, protocols)?,
            })
        };
        Ok(Self {
            policy,
            limits,
            concurrency: ConcurrencyLimit::new(limits.in_total, limits.per_host),
            streams: ConcurrencyLimit::new(limits.streams, limits.streams),
            clients: clients(Protocols::Any)?,
            // Streams of HTTP/2 share the window of their connection, so that a slow reader would stop the others.
            stream_clients: clients(Protocols::Http1)?,
        })
    }

    /// The URL, if the policy allows it now.
    fn allowed(&self, url: &str) -> Result<AllowedUrl, TransportError> {
        let url = self.policy.check(url).map_err(|_| TransportError::NotAllowed)?;
        // An address in the URL does not pass the resolver.
        if url.literal().is_some_and(|address| !url.address_scope().allows(address)) {
            return Err(TransportError::NotAllowed);
        }
        Ok(url)
    }

    /// Checks the head of a response.
    fn check(&self, url: &AllowedUrl, response: &Response) -> Result<(), TransportError> {
        // Defence in depth: the resolver returned only allowed addresses; this checks the actual peer.
        let peer: Option<IpAddr> = response.remote_addr().map(|address| address.ip());
        if !peer.is_some_and(|address| url.address_scope().allows(address)) {
            return Err(TransportError::Cut);
        }
        if size(response.headers()) > self.limits.max_headers {
            return Err(TransportError::TooLarge);
        }
        tracing::debug!(host = url.host(), status = response.status().as_u16(), "response received");
        Ok(())
    }

    async fn exchange(&self, url: &AllowedUrl, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let headers = complete(request.headers, request.authorization)?;
        let mut sending =
            self.clients.of(url.address_scope()).request(request.method, url.as_url().clone()).headers(headers);
        if let Some(secret) = request.body {
            sending = sending.body(body::into_bytes(secret));
        }
        let mut response = SHARE.scope(request.share, sending.send()).await.map_err(|error| classify(&error))?;
        self.check(url, &response)?;
        let read = body::read(&mut response, request.max_body).await?;
        let (status, mut headers) = (response.status(), std::mem::take(response.headers_mut()));
        let body = decoding::decode(&mut headers, read, request.max_body)?;
        Ok(HttpResponse { status, headers, body })
    }
}

#[async_trait]
impl HttpTransport for ReqwestTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let url = self.allowed(&request.url)?;
        // The wait for a permit is bounded like the connection and counts towards the total.
        let deadline = Instant::now() + self.limits.total;
        let target = url.as_url().origin().ascii_serialization();
        let timeout = self.limits.connect.min(self.limits.total);
        let share = request.share.as_deref();
        let _permits = self.concurrency.acquire(&target, share, timeout).await.ok_or(TransportError::NotSent)?;
        let exchange = self.exchange(&url, request);
        tokio::time::timeout_at(deadline, exchange).await.unwrap_or(Err(TransportError::Cut))
    }

    async fn open(&self, request: StreamRequest) -> Result<StreamResponse, TransportError> {
        let url = self.allowed(&request.url)?;
        let target = url.as_url().origin().ascii_serialization();
        let permits = self.streams.acquire(&target, request.share.as_deref(), self.limits.connect).await;
        let permits = permits.ok_or(TransportError::NotSent)?;
        let headers = complete(request.headers, request.authorization)?;
        let client = self.stream_clients.of(url.address_scope());
        let sending = client.request(request.method, url.as_url().clone()).headers(headers);
        let exchange = stream::Exchange::new(permits, self.limits.stream_idle);
        let response = exchange.head(sending, request.body, request.share).await?;
        self.check(&url, &response)?;
        // 101 without a request to switch protocols: what follows is no response (RFC 9110 §15.2.2).
        if response.status().is_informational() {
            return Err(TransportError::Cut);
        }
        Ok(exchange.response(response))
    }
}

/// Adds the fields of the transport.
fn complete(mut headers: HeaderMap, authorization: Option<Secret>) -> Result<HeaderMap, TransportError> {
    headers.entry(ACCEPT_ENCODING).or_insert(IDENTITY);
    if let Some(secret) = authorization {
        headers.insert(AUTHORIZATION, sensitive(secret)?);
    }
    Ok(headers)
}

fn builder(limits: Limits, protocols: Protocols) -> ClientBuilder {
    let builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(limits.connect)
        .pool_idle_timeout(limits.keep_alive)
        .pool_max_idle_per_host(limits.idle_per_host)
        .http2_max_header_list_size(u32::try_from(limits.max_headers).unwrap_or(u32::MAX));
    match protocols {
        Protocols::Any => builder,
        Protocols::Http1 => builder.http1_only(),
    }
}

/// A header value that is not printed and not put into an HPACK table (RFC 7541 §7.1.3).
fn sensitive(secret: Secret) -> Result<HeaderValue, TransportError> {
    let mut value = HeaderValue::from_maybe_shared(body::into_bytes(secret)).map_err(|_| TransportError::NotSent)?;
    value.set_sensitive(true);
    Ok(value)
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r77_the_authorization_field_is_sensitive_and_must_be_one_field() {
        let value = sensitive(Secret::from_text("Bearer canary")).unwrap();
        assert!(value.is_sensitive() && !format!("{value:?}").contains("canary"));
        assert!(sensitive(Secret::from_text("Bearer a\r\nX: b")).is_err());
    }
}

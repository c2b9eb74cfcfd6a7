//! The transport.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::secret::Secret;
use grantry_provider_oauth2::{
    AddressScope, AllowedUrl, EgressPolicy, HttpRequest, HttpResponse, HttpTransport, TransportError,
};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use reqwest::{Client, ClientBuilder, redirect, retry};
use thiserror::Error;
use tokio::time::Instant;

use crate::concurrency_limit::ConcurrencyLimit;
use crate::limits::Limits;
use crate::resolver::{AddressNotAllowed, FilteringResolver, NameLookup, SystemLookup};
use crate::{body, tls};

/// Sends requests over reqwest.
pub struct ReqwestTransport {
    policy: EgressPolicy,
    limits: Limits,
    slots: ConcurrencyLimit,
    public: Client,
    listed: Client,
    loopback: Client,
}

/// The HTTP client could not be set up: TLS is not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the HTTP client could not be set up")]
pub struct TransportSetupError;

impl ReqwestTransport {
    /// A transport that holds to a policy and to limits.
    pub fn new(policy: EgressPolicy, limits: Limits) -> Result<Self, TransportSetupError> {
        let system: Arc<dyn NameLookup> = Arc::new(SystemLookup);
        Self::build(policy, limits, &system, tls::with_platform_roots)
    }

    /// One client for each address_scope: its resolver knows nothing but that address_scope, and connections of different reach never
    /// share a pool.
    pub(crate) fn build(
        policy: EgressPolicy,
        limits: Limits,
        lookup: &Arc<dyn NameLookup>,
        with_tls: impl Fn(ClientBuilder) -> Result<ClientBuilder, TransportSetupError>,
    ) -> Result<Self, TransportSetupError> {
        let client = |address_scope| {
            let resolver = FilteringResolver::new(Arc::clone(lookup), address_scope);
            let builder =
                with_tls(builder(limits))?.dns_resolver(resolver).https_only(address_scope != AddressScope::Loopback);
            builder.build().map_err(|_| TransportSetupError)
        };
        Ok(Self {
            policy,
            limits,
            slots: ConcurrencyLimit::new(limits.per_host),
            public: client(AddressScope::Public)?,
            listed: client(AddressScope::Listed)?,
            loopback: client(AddressScope::Loopback)?,
        })
    }

    fn client(&self, address_scope: AddressScope) -> &Client {
        match address_scope {
            AddressScope::Public => &self.public,
            AddressScope::Listed => &self.listed,
            AddressScope::Loopback => &self.loopback,
        }
    }

    async fn exchange(&self, url: &AllowedUrl, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut headers = request.headers;
        if let Some(secret) = request.authorization {
            headers.insert(AUTHORIZATION, sensitive(secret)?);
        }
        let mut sending = self.client(url.address_scope()).request(request.method, url.as_url().clone()).headers(headers);
        if let Some(secret) = request.body {
            sending = sending.body(body::into_bytes(secret));
        }
        let mut response = sending.send().await.map_err(|error| classify(&error))?;

        // The resolver gave only allowed addresses; here the connection itself is asked.
        let peer: Option<IpAddr> = response.remote_addr().map(|address| address.ip());
        if !peer.is_some_and(|address| url.address_scope().allows(address)) {
            return Err(TransportError::Cut);
        }
        if size(response.headers()) > self.limits.max_headers {
            return Err(TransportError::TooLarge);
        }
        let read = body::read(&mut response, request.max_body).await?;
        tracing::debug!(host = url.host(), status = response.status().as_u16(), "answered");
        Ok(HttpResponse { status: response.status(), headers: std::mem::take(response.headers_mut()), body: read })
    }
}

#[async_trait]
impl HttpTransport for ReqwestTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let url = self.policy.check(&request.url).map_err(|_| TransportError::NotAllowed)?;
        // Resolvers are not asked about addresses, so that these are judged here.
        if url.literal().is_some_and(|address| !url.address_scope().allows(address)) {
            return Err(TransportError::NotAllowed);
        }
        // Waiting for a slot counts like waiting for a connection, and the whole stays within the total.
        let deadline = Instant::now() + self.limits.total;
        let target = url.as_url().origin().ascii_serialization();
        let patience = self.limits.connect.min(self.limits.total);
        let _slot = self.slots.take(&target, patience).await.ok_or(TransportError::NotSent)?;
        let exchange = self.exchange(&url, request);
        tokio::time::timeout_at(deadline, exchange).await.unwrap_or(Err(TransportError::Cut))
    }
}

fn builder(limits: Limits) -> ClientBuilder {
    let idle_per_host = if limits.keep_alive == Duration::ZERO { 0 } else { limits.per_host };
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(limits.connect)
        .pool_idle_timeout(limits.keep_alive)
        .pool_max_idle_per_host(idle_per_host)
        .http2_max_header_list_size(u32::try_from(limits.max_headers).unwrap_or(u32::MAX))
}

/// A header value that nothing prints or puts into a compression table (R77).
fn sensitive(secret: Secret) -> Result<HeaderValue, TransportError> {
    let mut value = HeaderValue::from_maybe_shared(body::into_bytes(secret)).map_err(|_| TransportError::NotSent)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What an error of the library means. Its text is not looked at and goes nowhere (R78).
fn classify(error: &reqwest::Error) -> TransportError {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<AddressNotAllowed>() {
            return TransportError::NotAllowed;
        }
        source = cause.source();
    }
    if error.is_connect() || error.is_builder() { TransportError::NotSent } else { TransportError::Cut }
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

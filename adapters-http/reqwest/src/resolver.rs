//! Name resolution that returns only allowed addresses to the HTTP client.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use grantry_provider_oauth2::AddressScope;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Looks names up. A trait, so that tests can inject addresses.
#[async_trait]
pub(crate) trait NameLookup: Send + Sync {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
pub(crate) struct SystemLookup;

#[async_trait]
impl NameLookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Gives reqwest only allowed addresses. reqwest connects to one of them without a second look-up, so that DNS rebinding
/// cannot replace the checked address.
pub(crate) struct FilteringResolver {
    lookup: Arc<dyn NameLookup>,
    address_scope: AddressScope,
}

/// The name exists, but none of its addresses is allowed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no address of the host is allowed")]
pub(crate) struct AddressNotAllowed;

impl FilteringResolver {
    pub(crate) fn new(lookup: Arc<dyn NameLookup>, address_scope: AddressScope) -> Self {
        Self { lookup, address_scope }
    }
}

/// Keeps the allowed addresses. A name that exists but has none is an error; a name without addresses is not, so that it
/// is reported as unreachable.
fn filter(found: Vec<IpAddr>, address_scope: AddressScope) -> Result<Vec<IpAddr>, AddressNotAllowed> {
    let exists = !found.is_empty();
    let allowed: Vec<IpAddr> = found.into_iter().filter(|address| address_scope.allows(*address)).collect();
    if exists && allowed.is_empty() { Err(AddressNotAllowed) } else { Ok(allowed) }
}

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, address_scope) = (Arc::clone(&self.lookup), self.address_scope);
        Box::pin(async move {
            let allowed = filter(lookup.lookup(name.as_str()).await?, address_scope)?;
            let addresses: Addrs = Box::new(allowed.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn r69_every_resolved_address_is_checked() {
        let public = |texts: &[&str]| filter(addresses(texts), AddressScope::Public);
        assert_eq!(public(&["1.1.1.1"]).unwrap(), addresses(&["1.1.1.1"]));
        assert_eq!(public(&["10.0.0.1", "1.1.1.1", "::1"]).unwrap(), addresses(&["1.1.1.1"]), "a mixed response");
        assert!(public(&["127.0.0.1"]).is_err());
        assert!(public(&["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"]).is_err());
        assert!(public(&[]).unwrap().is_empty(), "an unknown name is not a policy error");
        assert!(filter(addresses(&["10.0.0.1"]), AddressScope::Listed).is_ok());
        assert!(filter(addresses(&["10.0.0.1"]), AddressScope::Loopback).is_err());
        assert!(filter(addresses(&["127.0.0.1"]), AddressScope::Loopback).is_ok());
    }
}

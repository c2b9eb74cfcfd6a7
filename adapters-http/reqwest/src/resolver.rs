//! Name resolution whose every response is judged before a connection can use it (R69).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use grantry_provider_oauth2::AddressScope;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Looks names up. Behind a trait, so that tests can lie.
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

/// Gives reqwest only addresses that may be connected to. It connects to one of these, without another look-up.
pub(crate) struct FilteringResolver {
    lookup: Arc<dyn NameLookup>,
    address_scope: AddressScope,
}

/// The name exists, but no address of it may be connected to.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no address of the host is allowed")]
pub(crate) struct AddressNotAllowed;

impl FilteringResolver {
    pub(crate) fn new(lookup: Arc<dyn NameLookup>, address_scope: AddressScope) -> Self {
        Self { lookup, address_scope }
    }
}

/// Keeps the addresses that may be connected to. A name without any is refused, one that does not exist is not.
fn judged(found: Vec<IpAddr>, address_scope: AddressScope) -> Result<Vec<IpAddr>, AddressNotAllowed> {
    let exists = !found.is_empty();
    let allowed: Vec<IpAddr> = found.into_iter().filter(|address| address_scope.allows(*address)).collect();
    if exists && allowed.is_empty() { Err(AddressNotAllowed) } else { Ok(allowed) }
}

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, address_scope) = (Arc::clone(&self.lookup), self.address_scope);
        Box::pin(async move {
            let allowed = judged(lookup.lookup(name.as_str()).await?, address_scope)?;
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
    fn r69_every_resolver_answer_is_judged() {
        let public = |texts: &[&str]| judged(addresses(texts), AddressScope::Public);
        assert_eq!(public(&["1.1.1.1"]).unwrap(), addresses(&["1.1.1.1"]));
        assert_eq!(public(&["10.0.0.1", "1.1.1.1", "::1"]).unwrap(), addresses(&["1.1.1.1"]), "a mixed response");
        assert!(public(&["127.0.0.1"]).is_err());
        assert!(public(&["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"]).is_err());
        assert!(public(&[]).unwrap().is_empty(), "no such name is no matter of policy");
        assert!(judged(addresses(&["10.0.0.1"]), AddressScope::Listed).is_ok());
        assert!(judged(addresses(&["10.0.0.1"]), AddressScope::Loopback).is_err());
        assert!(judged(addresses(&["127.0.0.1"]), AddressScope::Loopback).is_ok());
    }
}

//! Name resolution that returns only allowed addresses to the HTTP client.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use async_trait::async_trait;
use grantry_provider_oauth2::AddressScope;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::concurrency_limit::Table;

/// Looks names up. A trait, so that tests can inject addresses.
#[async_trait]
pub(crate) trait NameLookup: Send + Sync {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// How many look-ups run at the same time. Each blocks a thread, also after its request has been abandoned.
const LOOKUPS: usize = 64;
/// How many of them one share may use.
const LOOKUPS_PER_SHARE: usize = 4;

tokio::task_local! {
    /// The share of the request that is being sent.
    pub(crate) static SHARE: Option<String>;
}

/// The operating system's resolver.
pub(crate) struct SystemLookup {
    look_up: fn(&str) -> io::Result<Vec<IpAddr>>,
    in_total: Arc<Semaphore>,
    /// By share, or by host name for requests without a share.
    shares: Table<Result<String, String>>,
}

impl SystemLookup {
    pub(crate) fn new() -> Self {
        Self::with(|host| Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    fn with(look_up: fn(&str) -> io::Result<Vec<IpAddr>>) -> Self {
        Self { look_up, in_total: Arc::new(Semaphore::new(LOOKUPS)), shares: Table::new(LOOKUPS_PER_SHARE) }
    }
}

#[async_trait]
impl NameLookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let share = SHARE.try_with(Clone::clone).ok().flatten();
        let share = self.shares.get(share.ok_or_else(|| host.to_owned()));
        let of_share = share.acquire_owned().await.map_err(io::Error::other)?;
        let in_total = Arc::clone(&self.in_total).acquire_owned().await.map_err(io::Error::other)?;
        let (look_up, host) = (self.look_up, host.to_owned());
        let look_up = move || {
            // The look-up cannot be cancelled, so it keeps its permits longer than the request.
            let _permits = (of_share, in_total);
            look_up(&host)
        };
        tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)?
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
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    use super::*;

    /// How many look-ups are blocked, and whether they go on.
    static BLOCKED: (Mutex<(usize, bool)>, Condvar) = (Mutex::new((0, false)), Condvar::new());

    #[expect(clippy::unnecessary_wraps, reason = "the signature of a look-up")]
    fn blocking(host: &str) -> io::Result<Vec<IpAddr>> {
        if host.ends_with("slow.test") {
            let (state, changed) = &BLOCKED;
            let mut state = state.lock().unwrap();
            state.0 += 1;
            changed.notify_all();
            drop(changed.wait_while(state, |(_, goes_on)| !*goes_on).unwrap());
        }
        Ok(addresses(&["1.1.1.1"]))
    }

    fn wait_for_blocked(count: usize) {
        let (state, changed) = &BLOCKED;
        drop(changed.wait_while(state.lock().unwrap(), |(blocked, _)| *blocked < count).unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn r71_look_ups_that_outlive_their_requests_are_limited_for_each_share() {
        let system = Arc::new(SystemLookup::with(blocking));
        let look_up = |share: Option<&str>, host: String| {
            let (system, share) = (Arc::clone(&system), share.map(str::to_owned));
            SHARE.scope(share, async move { system.lookup(&host).await })
        };
        // The callers are cancelled; the look-ups go on.
        for number in 0..LOOKUPS_PER_SHARE {
            let caller = tokio::spawn(look_up(Some("mallory"), format!("{number}.slow.test")));
            wait_for_blocked(number + 1);
            caller.abort();
        }
        let waiting = look_up(Some("mallory"), "another.test".to_owned());
        assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
        assert!(look_up(Some("alice"), "another.test".to_owned()).await.is_ok());
        assert!(look_up(None, "another.test".to_owned()).await.is_ok());
        assert_eq!(system.in_total.available_permits(), LOOKUPS - LOOKUPS_PER_SHARE);
        BLOCKED.0.lock().unwrap().1 = true;
        BLOCKED.1.notify_all();
        assert!(look_up(Some("mallory"), "another.test".to_owned()).await.is_ok());
    }

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

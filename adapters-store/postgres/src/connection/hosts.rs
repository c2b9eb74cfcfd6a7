//! The addresses of the server. One that could not be reached is tried after the others, so that a lost host does not use up
//! the time of a caller again and again.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::url::PORT;

/// One host of the URL.
struct Endpoint {
    /// The name, which a certificate is compared with.
    host: Host,
    /// The address of the URL. `None`: those of the name.
    address: Option<IpAddr>,
    port: u16,
}

/// The number of a host, and one of its addresses; `None` for a Unix socket.
pub(super) type Address = (usize, Option<IpAddr>);

/// The hosts of a URL.
pub(super) struct Hosts {
    /// The URL without hosts and ports.
    settings: Config,
    endpoints: Vec<Endpoint>,
    /// Addresses whose last attempt failed.
    failed: Mutex<Vec<Address>>,
}

impl Hosts {
    pub(super) fn new(settings: Config, config: &Config) -> Self {
        let (names, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
        let endpoints = names.iter().enumerate().map(|(number, host)| Endpoint {
            host: host.clone(),
            address: addresses.get(number).copied(),
            // One port is that of all hosts.
            port: ports.get(number).or(ports.first()).copied().unwrap_or(PORT),
        });
        Self { settings, endpoints: endpoints.collect(), failed: Mutex::default() }
    }

    /// The addresses in the order in which they are tried. A name that is not resolved in time has none.
    pub(super) async fn addresses(&self, limit: Duration) -> Vec<Address> {
        let mut found = Vec::new();
        for (number, endpoint) in self.endpoints.iter().enumerate() {
            match (&endpoint.host, endpoint.address) {
                (_, Some(address)) => found.push((number, Some(address))),
                (Host::Tcp(name), None) => {
                    if let Ok(Ok(addresses)) = timeout(limit, lookup_host((name.as_str(), endpoint.port))).await {
                        found.extend(addresses.map(|address| (number, Some(address.ip()))));
                    }
                }
                #[cfg(unix)]
                (Host::Unix(_), None) => found.push((number, None)),
            }
        }
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        // A name may have other addresses now.
        failed.retain(|address| found.contains(address));
        found.sort_by_key(|address| failed.contains(address));
        found
    }

    /// What the driver needs to connect to one address.
    pub(super) fn config(&self, (number, address): Address) -> Config {
        let (endpoint, mut config) = (&self.endpoints[number], self.settings.clone());
        config.port(endpoint.port);
        match &endpoint.host {
            Host::Tcp(name) => config.host(name),
            #[cfg(unix)]
            Host::Unix(path) => config.host_path(path),
        };
        if let Some(address) = address {
            config.hostaddr(address);
        }
        config
    }

    /// Records how the last attempt at an address ended.
    pub(super) fn record(&self, address: Address, is_connected: bool) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|other| *other != address);
        if !is_connected {
            failed.push(address);
        }
    }
}

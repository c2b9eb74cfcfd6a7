//! What a host gives to the router, and what the router makes of it.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::usecase::{Connections, PublicBaseUrl};

use crate::auth::{Authenticator, IdentityMode, People};
use crate::connector_types::ConnectorType;
use crate::cookies::CookieNames;
use crate::guard::CorrelationIds;
use crate::pages::assets::PageAssets;

/// Everything the router needs. Plain data without a default, so that a forgotten part does not compile.
pub struct Api {
    /// The use cases.
    pub connections: Arc<Connections>,
    /// Who is asking.
    pub authenticator: Arc<dyn Authenticator>,
    /// How people are told apart.
    pub identity: IdentityMode,
    /// People and spaces, for display.
    pub people: Arc<dyn People>,
    /// Where this deployment is reached. Its host is the first of the allowed ones (R57).
    pub public: PublicBaseUrl,
    /// Further values of `Host` that are answered, such as `127.0.0.1:8080` for a health check.
    pub more_hosts: Vec<String>,
    /// Addresses of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Sizes and times.
    pub limits: Limits,
    /// Provider profiles that connectors can be made from.
    pub connector_types: Vec<ConnectorType>,
    /// Whether this process can serve.
    pub readiness: Arc<dyn Readiness>,
    /// Prometheus text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The console, where there is one. Without it `/` lists the connectors with their start links.
    pub console: Option<Arc<dyn ConsoleAssets>>,
}

/// Sizes and times of requests (R58).
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest path with query, in bytes.
    pub url: usize,
    /// Most header fields.
    pub header_fields: usize,
    /// Longest header section, in bytes: names and values.
    pub headers: usize,
    /// Longest body, in bytes.
    pub body: usize,
    /// Longest body of `_execute`, in bytes.
    pub execute_body: usize,
    /// How long a body may take to arrive. The server's own deadline for the header section should be the same.
    pub read_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            url: 8 * 1024,
            header_fields: 64,
            headers: 16 * 1024,
            body: 64 * 1024,
            execute_body: 1024 * 1024,
            read_deadline: Duration::from_secs(10),
        }
    }
}

/// Whether this process can serve, for `/readyz`.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// `Err` names the part that is not ready, for the operator; never foreign text (R78).
    async fn check(&self) -> Result<(), &'static str>;
}

/// A file of the console.
#[derive(Clone)]
pub struct ConsoleAsset {
    /// Its content.
    pub bytes: std::borrow::Cow<'static, [u8]>,
    /// Its type, with charset where it is text.
    pub content_type: &'static str,
    /// Hash of the content, without quotes.
    pub etag: String,
    /// Whether its name changes with its content, so that it may be kept for ever.
    pub immutable: bool,
}

/// The built console. Paths have no leading slash: `index.html`, `connect.html`, `assets/index-Dx3.js`.
pub trait ConsoleAssets: Send + Sync {
    /// One file, if there is one of that name.
    fn get(&self, path: &str) -> Option<ConsoleAsset>;
}

/// The state of every handler: what the host gave, and what follows from it.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    /// What the host gave.
    pub(crate) api: Api,
    /// Names and attributes of our cookies.
    pub(crate) cookies: CookieNames,
    /// Scripts and sheet of the pages.
    pub(crate) pages: PageAssets,
    /// Allowed values of `Host`, lower case.
    pub(crate) hosts: Vec<String>,
    /// Names of requests.
    pub(crate) correlation: CorrelationIds,
}

impl App {
    pub(crate) fn new(api: Api) -> Self {
        let vault = Arc::clone(&api.connections.ports().vault);
        let pages = PageAssets::new(&api.public, |bytes| vault.fingerprint(bytes));
        let mut hosts = vec![crate::guard::host::host_of(&api.public)];
        hosts.extend(api.more_hosts.iter().map(|host| host.to_ascii_lowercase()));
        let correlation = CorrelationIds::new(&*api.connections.ports().random);
        Self(Arc::new(Inner { correlation, cookies: CookieNames::of(&api.public), pages, hosts, api }))
    }
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("App")
    }
}

//! What a host supplies to the router.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use grantry_domain::ports::Clock;
use grantry_domain::usecase::Connections;

use crate::auth::{Accounts, Authenticator, UserDirectory};
use crate::connector_types::ConnectorType;
use crate::identity_mode::IdentityModeName;
use crate::metrics_access::MetricsAccess;
use crate::network::Network;
use crate::public_url::PublicBaseUrl;

/// Everything the router needs. There is no default, so code that omits a part does not compile.
pub struct Api {
    /// The use cases.
    pub connections: Arc<Connections>,
    /// Identifies the caller of a request.
    pub authenticator: Arc<dyn Authenticator>,
    /// How users sign in.
    pub identity: IdentityMode,
    /// Users and spaces, for display.
    pub users: Arc<dyn UserDirectory>,
    /// Where this deployment is reached. Its host is the first allowed one.
    pub public: PublicBaseUrl,
    /// Further allowed values of `Host`, such as `127.0.0.1:8080` for a health check.
    pub additional_hosts: Vec<String>,
    /// Networks of proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// Sizes and times.
    pub limits: Limits,
    /// Provider profiles from which connectors can be created.
    pub connector_types: Vec<ConnectorType>,
    /// The time, for display.
    pub clock: Arc<dyn Clock>,
    /// Whether this process can serve.
    pub readiness: Arc<dyn Readiness>,
    /// Prometheus text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Who may read it.
    pub metrics_access: MetricsAccess,
    /// Whether the router has `/livez`, `/readyz` and `/metrics`. Otherwise the host serves
    /// [`operations_router`](crate::operations_router) elsewhere.
    pub serves_operations: bool,
    /// The console, if there is one. Without it `/` lists the connectors with their start links.
    pub console: Option<Arc<dyn ConsoleAssets>>,
}

/// How users sign in.
#[derive(Clone)]
#[non_exhaustive]
pub enum IdentityMode {
    /// Accounts of this deployment, with log-in and log-out here.
    Accounts(Arc<Accounts>),
    /// A proxy in front signs users in.
    ProxyHeader,
    /// The application that contains this one signs users in.
    Host,
}

impl IdentityMode {
    pub(crate) fn name(&self) -> IdentityModeName {
        match self {
            Self::Accounts(_) => IdentityModeName::Accounts,
            Self::ProxyHeader => IdentityModeName::ProxyHeader,
            Self::Host => IdentityModeName::Host,
        }
    }

    /// The name used in configuration and responses.
    pub fn as_str(&self) -> &'static str {
        self.name().as_str()
    }

    /// Whether this crate serves the log-in page.
    pub(crate) fn has_log_in(&self) -> bool {
        match self {
            Self::Accounts(_) => true,
            Self::ProxyHeader | Self::Host => false,
        }
    }
}

/// Sizes and times of requests.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest path with query, in bytes.
    pub url: usize,
    /// Largest number of header fields.
    pub header_fields: usize,
    /// Longest header section, in bytes: names and values.
    pub headers: usize,
    /// Longest body, in bytes.
    pub body: usize,
    /// Longest body of `_execute`, in bytes.
    pub execute_body: usize,
    /// How long a body may take to arrive. The server's deadline for the header section should be the same.
    pub read_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            url: 8 * 1024,
            header_fields: 64,
            headers: 32 * 1024,
            body: 64 * 1024,
            execute_body: 1024 * 1024,
            read_deadline: Duration::from_secs(10),
        }
    }
}

/// Whether this process can serve, for `/readyz`.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// `Err` names the part that is not ready, for the operator; never text of another library.
    async fn check(&self) -> Result<(), &'static str>;
}

/// A file of the console.
#[derive(Clone)]
pub struct ConsoleAsset {
    /// Its content.
    pub content: Bytes,
    /// The content compressed with brotli, for clients that accept it.
    pub brotli: Option<Bytes>,
    /// The content compressed with gzip, for clients that accept it.
    pub gzip: Option<Bytes>,
    /// Its type, with the charset of text.
    pub content_type: &'static str,
    /// Hash of the content, without quotes.
    pub etag: String,
    /// Whether its name changes with its content, so that it can be cached without an end.
    pub immutable: bool,
}

/// The built console. Paths have no leading slash: `index.html`, `connect.html`, `assets/index-Dx3.js`.
pub trait ConsoleAssets: Send + Sync {
    /// The file of this name.
    fn get(&self, path: &str) -> Option<ConsoleAsset>;
}

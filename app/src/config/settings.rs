//! Every setting: its name, meaning, type with bounds, and default. Adding a setting here adds its key in the file and its
//! environment variable; a test compares `grantry.example.toml` with this declaration.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use grantry_crypto_aes_gcm::KeySource;
use grantry_domain::connector::ProfileId;
use grantry_domain::identity::{Role, SpaceId, UserId};
use grantry_domain::usecase::OnAuditFailure;
use grantry_http_axum::{Network, PublicBaseUrl};
use grantry_runtime::{Quota, RateLimits};
use http::HeaderName;
use serde::{Deserialize, Serialize};

use crate::config::value::{Digest, IdentityMode, LogFilter, Within, list, map, optional, optional_list, text};
use crate::store::StoreUrl;

/// All settings, by section.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The address to listen on.
    #[serde(with = "text")]
    pub listen: SocketAddr,
    /// The URL under which users reach this server. Required.
    #[serde(with = "optional")]
    pub(super) public_base_url: Option<PublicBaseUrl>,
    /// Further values of `Host` that are accepted.
    pub additional_hosts: Vec<String>,
    /// `[store]`
    pub store: Store,
    /// `[keys]`
    pub keys: Keys,
    /// Spaces besides `default`.
    pub(super) spaces: Vec<Space>,
    /// `[identity]`
    pub identity: Identity,
    /// `[egress]`
    pub egress: Egress,
    /// `[oauth]`
    pub oauth: OAuth,
    /// `[execute]`
    pub execute: Execute,
    /// `[providers]`
    pub providers: Providers,
    /// `[retention]`
    pub retention: Retention,
    /// `[audit]`
    pub audit: Audit,
    /// `[telemetry]`
    pub telemetry: Telemetry,
}

impl Settings {
    /// The environment variables that contain secrets.
    pub(super) fn secret_variables(&self) -> Vec<String> {
        let variable = |source: &KeySource| match source {
            KeySource::Environment(name) => Some(name.clone()),
            KeySource::File(_) => None,
        };
        self.keys.sources().chain(&self.telemetry.metrics_token).filter_map(variable).collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_base_url: None,
            additional_hosts: Vec::new(),
            store: Store::default(),
            keys: Keys::default(),
            spaces: Vec::new(),
            identity: Identity::default(),
            egress: Egress::default(),
            oauth: OAuth::default(),
            execute: Execute::default(),
            providers: Providers::default(),
            retention: Retention::default(),
            audit: Audit::default(),
            telemetry: Telemetry::default(),
        }
    }
}

/// The store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The database: `sqlite:` and a path, or `postgres://USER@HOST/DATABASE`. Relative paths start at the folder of the file. A
    /// password belongs into the variable, so that it is in no file.
    #[serde(with = "text")]
    pub(super) url: StoreUrl,
    /// The deployment that the database must belong to; `None`: any.
    #[serde(with = "optional")]
    pub deployment_id: Option<Digest<16>>,
    /// Connections to `PostgreSQL` of this node for writes and long reads; more callers wait.
    pub connections: Within<1, 1000>,
    /// Whether statements are prepared once per connection to `PostgreSQL`. A pooler in between must support that: `PgBouncer` from 1.21, with
    /// `max_prepared_statements`.
    pub statement_cache: bool,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: StoreUrl::default(), deployment_id: None, connections: Within::new(10), statement_cache: false }
    }
}

/// The keys that seal records.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// The key that seals. Required.
    #[serde(with = "optional")]
    pub(super) write: Option<KeySource>,
    /// Older keys, which only open.
    #[serde(with = "list")]
    pub read: Vec<KeySource>,
}

impl Keys {
    /// Where the keys are.
    fn sources(&self) -> impl Iterator<Item = &KeySource> {
        self.write.iter().chain(&self.read)
    }
}

/// A space.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Space {
    /// Its id.
    #[serde(with = "text")]
    pub(super) id: SpaceId,
    /// The name that users see; empty: the id.
    #[serde(default)]
    pub(super) name: String,
}

/// Users and back ends.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// How users sign in.
    #[serde(with = "text")]
    pub mode: IdentityMode,
    /// Users of this deployment.
    pub accounts: Vec<Account>,
    /// Back ends with an API key.
    pub agents: Vec<Agent>,
    /// The proxy in front.
    pub proxy: Proxy,
}

/// A user.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The immutable id, never reassigned. Grants and `act_as` refer to it.
    #[serde(with = "text")]
    pub id: UserId,
    /// The name that users see; empty: the name for log-in, or else the id.
    #[serde(default)]
    pub name: String,
    /// The name for log-in. Required with mode `accounts`.
    #[serde(default)]
    pub username: String,
    /// Argon2id, as a PHC string. Required with mode `accounts`.
    #[serde(default)]
    pub password_hash: String,
    /// The role in each space that the user may enter.
    #[serde(default, with = "map")]
    pub roles: BTreeMap<SpaceId, Role>,
}

/// A back end with an API key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its name in the audit trail.
    pub name: String,
    /// SHA-256 of the whole key.
    #[serde(with = "text")]
    pub key_sha256: Digest<32>,
    /// The spaces where it may act.
    #[serde(with = "list")]
    pub spaces: Vec<SpaceId>,
    /// Whether it may fetch access tokens.
    #[serde(default)]
    pub access_tokens: bool,
}

/// The proxy that signs users in, or terminates TLS.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// The header with the id of the user.
    #[serde(with = "text")]
    pub user_header: HeaderName,
    /// The header with the roles of the user; `None`: the roles of the accounts apply.
    #[serde(with = "optional")]
    pub roles_header: Option<HeaderName>,
    /// Networks whose headers are used. `None`: none, or this machine with mode `proxy-header`.
    #[serde(with = "optional_list")]
    pub(super) trusted_proxies: Option<Vec<Network>>,
}

impl Default for Proxy {
    fn default() -> Self {
        Self { user_header: HeaderName::from_static("x-forwarded-user"), roles_header: None, trusted_proxies: None }
    }
}

/// Hosts that connectors may use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    /// Public hosts: `*`, `*.suffix` or names.
    pub(super) allowed_hosts: Vec<String>,
    /// `host:port` targets that may be private, or use plain http on loopback.
    pub(super) allow: Vec<String>,
}

impl Default for Egress {
    fn default() -> Self {
        Self { allowed_hosts: vec!["*".to_owned()], allow: Vec::new() }
    }
}

/// Authorization flows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth {
    /// How long a user may take at the provider.
    #[serde(with = "text")]
    pub flow_ttl: Duration,
    /// Most pending flows of one user.
    pub pending_per_user: Within<1, 10>,
    /// How many unclear refusals of a refresh end a connection.
    pub refusals: Within<1, 100>,
    /// How long they must have lasted.
    #[serde(with = "text")]
    pub refusal_window: Duration,
    /// Token hosts whose connectors may switch PKCE off.
    pub pkce_off_hosts: Vec<String>,
    /// Rate limits.
    pub rate_limits: Rates,
}

impl Default for OAuth {
    fn default() -> Self {
        Self {
            flow_ttl: Duration::from_mins(10),
            pending_per_user: Within::new(10),
            refusals: Within::new(3),
            refusal_window: Duration::from_mins(10),
            pkce_off_hosts: Vec::new(),
            rate_limits: Rates::default(),
        }
    }
}

/// Rate limits per user or address.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Starting flows. Twice as much is allowed for reading the metadata of an issuer before that.
    #[serde(with = "text")]
    pub(super) start: Quota,
    /// Callbacks.
    #[serde(with = "text")]
    pub(super) callback: Quota,
    /// Log-ins.
    #[serde(with = "text")]
    pub(super) log_in: Quota,
    /// Status requests.
    #[serde(with = "text")]
    pub(super) status: Quota,
    /// Disconnects.
    #[serde(with = "text")]
    pub(super) disconnect: Quota,
}

impl Default for Rates {
    fn default() -> Self {
        let RateLimits { start, callback, log_in, status, disconnect } = RateLimits::default();
        Self { start, callback, log_in, status, disconnect }
    }
}

impl From<&Rates> for RateLimits {
    fn from(rates: &Rates) -> Self {
        let Rates { start, callback, log_in, status, disconnect } = *rates;
        Self { start, callback, log_in, status, disconnect }
    }
}

/// Running connectors.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Execute {
    /// Largest body in both directions, in bytes. Bodies are held in memory.
    pub max_body: Within<1024, 67_108_864>,
}

impl Default for Execute {
    fn default() -> Self {
        Self { max_body: Within::new(1_048_576) }
    }
}

/// Provider profiles.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Providers {
    /// Built-in profiles that may not be used. An unknown id would deny nothing, so it is refused.
    #[serde(with = "list")]
    pub deny: Vec<ProfileId>,
    /// A folder with further profiles. Relative paths start at the folder of the file; empty: none.
    pub folder: String,
    /// Whether the server starts without the profiles of the folder that are not valid. `grantry check` reports them.
    pub skip_invalid: bool,
}

/// How long records are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Grants that were not used for this long are revoked.
    #[serde(with = "text")]
    pub unused_grants: Duration,
    /// Ended grants are deleted after this.
    #[serde(with = "text")]
    pub ended: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self { unused_grants: 90 * DAY, ended: 30 * DAY }
    }
}

/// The audit trail of access tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// What happens to access tokens while the trail cannot be written.
    #[serde(with = "text")]
    pub on_failure: OnAuditFailure,
}

/// Logs, health and metrics.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// What is logged, such as `info` or `info,grantry=debug`.
    #[serde(with = "text")]
    pub log: LogFilter,
    /// The address of `/livez`, `/readyz` and `/metrics`; `None`: that of everything else.
    #[serde(with = "optional")]
    pub listen: Option<SocketAddr>,
    /// The bearer token of `/metrics`; `None`: `/metrics` is served at the address above only.
    #[serde(with = "optional")]
    pub metrics_token: Option<KeySource>,
}

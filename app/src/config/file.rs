//! The configuration as it is written: every value still text, numbers and lists. What is absent is empty.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<String>,
    pub(super) public_base_url: String,
    pub(super) store: Store,
    pub(super) keys: Keys,
    pub(super) spaces: Vec<Space>,
    pub(super) identity: Identity,
    pub(super) egress: Egress,
    pub(super) oauth: OAuth,
    pub(super) execute: Execute,
    pub(super) providers: Providers,
    pub(super) retention: Retention,
    pub(super) telemetry: Telemetry,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    pub(super) url: Option<String>,
    pub(super) deployment_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Keys {
    pub(super) write: String,
    pub(super) read: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Space {
    pub(super) id: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) mode: Option<String>,
    pub(super) accounts: Vec<Account>,
    pub(super) agents: Vec<Agent>,
    pub(super) proxy: Proxy,
    pub(super) jwt: Jwt,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) username: String,
    pub(super) password_hash: String,
    pub(super) roles: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) key_sha256: String,
    pub(super) spaces: Vec<String>,
    pub(super) access_tokens: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Proxy {
    pub(super) user_header: Option<String>,
    pub(super) roles_header: String,
    pub(super) trusted_proxies: Option<Vec<String>>,
}

/// Accepted in shape already, refused by mode.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Jwt {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) jwks_url: String,
    pub(super) roles_claim: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Egress {
    pub(super) allowed_hosts: Option<Vec<String>>,
    pub(super) allow: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OAuth {
    pub(super) flow_ttl: Option<String>,
    pub(super) pending_per_user: Option<i64>,
    pub(super) callback_mode: Option<String>,
    pub(super) pkce_off_hosts: Vec<String>,
    pub(super) rate_limits: Rates,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rates {
    pub(super) start: Option<String>,
    pub(super) callback: Option<String>,
    pub(super) log_in: Option<String>,
    pub(super) status: Option<String>,
    pub(super) disconnect: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Execute {
    pub(super) max_body: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Providers {
    pub(super) deny: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Retention {
    pub(super) unused_grants: Option<String>,
    pub(super) ended: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Telemetry {
    pub(super) log: Option<String>,
    pub(super) otlp_endpoint: String,
}

//! Who may come in: accounts, agents, and the proxy in front.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use argon2::password_hash::phc::PasswordHash;
use grantry_domain::identity::{Role, SpaceId, UserId};
use http::HeaderName;

use crate::config::{ConfigError, file};

/// How people are told apart.
pub enum Identity {
    /// Accounts of this deployment, each with a password.
    Accounts(Vec<Account>),
    /// A proxy in front signs people in and names them in a header.
    ProxyHeader(Proxy),
}

/// A person known to this deployment.
pub struct Account {
    /// Immutable, never reassigned; `act_as` and every grant mean this.
    pub id: UserId,
    /// Only for log-in.
    pub username: String,
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    /// The role in each space open to them.
    pub roles: BTreeMap<SpaceId, Role>,
}

/// The proxy that signs people in.
pub struct Proxy {
    /// The header with the user's id.
    pub user_header: HeaderName,
    /// The header with the user's roles: `editor` everywhere, `marketing=viewer` in one space, separated by commas.
    /// Without one, roles stand in [`accounts`](Self::accounts).
    pub roles_header: Option<HeaderName>,
    /// Roles by id, where the proxy does not tell them. Passwords are not used.
    pub accounts: Vec<Account>,
}

/// A back end with an API key.
pub struct Agent {
    /// Name in the audit trail.
    pub name: String,
    /// SHA-256 of the whole key.
    pub key_sha256: [u8; 32],
    /// Where it may act.
    pub spaces: Vec<SpaceId>,
    /// Whether it may fetch access tokens (R44).
    pub access_tokens: bool,
}

/// Reads a role's name.
pub(crate) fn role(text: &str) -> Option<Role> {
    [Role::Viewer, Role::Editor, Role::Admin].into_iter().find(|role| role.as_str() == text)
}

/// The configuration of people, back ends and proxies.
pub(super) struct Validated {
    pub(super) identity: Identity,
    pub(super) agents: Vec<Agent>,
    pub(super) trusted_proxies: Vec<IpAddr>,
}

pub(super) fn validate(written: file::Identity, spaces: &[SpaceId]) -> Result<Validated, ConfigError> {
    let agents = agents(written.agents, spaces)?;
    match written.mode.as_deref().unwrap_or("accounts") {
        "accounts" => {
            let accounts = accounts(written.accounts, spaces, true)?;
            if accounts.is_empty() {
                let problem =
                    "is empty, so nobody could sign in; add an account, with a hash of `grantry accounts hash-password`";
                return Err(ConfigError::invalid("identity.accounts", problem));
            }
            // Nothing is believed of a proxy that nobody has named.
            let trusted_proxies = trusted_proxies(written.proxy.trusted_proxies.as_deref().unwrap_or_default())?;
            Ok(Validated { identity: Identity::Accounts(accounts), agents, trusted_proxies })
        }
        "proxy-header" => {
            let this_machine = vec!["127.0.0.1".to_owned()];
            let trusted_proxies = trusted_proxies(written.proxy.trusted_proxies.as_ref().unwrap_or(&this_machine))?;
            if trusted_proxies.is_empty() {
                let problem = "is empty, so nobody could sign in; set it to the addresses your proxy connects from";
                return Err(ConfigError::invalid("identity.proxy.trusted_proxies", problem));
            }
            let proxy = proxy(&written.proxy, accounts(written.accounts, spaces, false)?)?;
            Ok(Validated { identity: Identity::ProxyHeader(proxy), agents, trusted_proxies })
        }
        "jwt" => Err(ConfigError::invalid(
            "identity.mode",
            "names `jwt`, which is not available yet; set it to \"accounts\" or \"proxy-header\"",
        )),
        _ => Err(ConfigError::invalid("identity.mode", "must be \"accounts\" or \"proxy-header\"")),
    }
}

fn trusted_proxies(written: &[String]) -> Result<Vec<IpAddr>, ConfigError> {
    let address = |text: &String| {
        let problem = "must hold IP addresses, such as \"127.0.0.1\"";
        text.parse().map_err(|_| ConfigError::invalid("identity.proxy.trusted_proxies", problem))
    };
    written.iter().map(address).collect()
}

fn accounts(accounts: Vec<file::Account>, spaces: &[SpaceId], with_passwords: bool) -> Result<Vec<Account>, ConfigError> {
    let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
    let understand = |(index, account): (usize, file::Account)| {
        let key = |name: &str| format!("identity.accounts[{index}].{name}");
        let id = UserId::new(account.id).map_err(|error| {
            ConfigError::invalid(&key("id"), format!("{}; set it to the id that never changes", error.problem))
        })?;
        if !ids.insert(id.clone()) {
            return Err(ConfigError::invalid(
                &key("id"),
                "is used by another account; every id belongs to one person for ever",
            ));
        }
        if with_passwords {
            if account.username.is_empty() {
                return Err(ConfigError::invalid(&key("username"), "is missing; set it to the name for log-in"));
            }
            if !names.insert(account.username.clone()) {
                return Err(ConfigError::invalid(&key("username"), "is used by another account"));
            }
            let hash = PasswordHash::new(&account.password_hash);
            if !hash.is_ok_and(|hash| hash.algorithm.as_str() == "argon2id" && hash.hash.is_some()) {
                return Err(ConfigError::invalid(
                    &key("password_hash"),
                    "is not an Argon2id hash; make one with `grantry accounts hash-password`",
                ));
            }
        }
        let roles = account
            .roles
            .iter()
            .map(|(space, name)| {
                let at = key(&format!("roles.{space}"));
                let role =
                    role(name).ok_or_else(|| ConfigError::invalid(&at, "must be \"viewer\", \"editor\" or \"admin\""))?;
                Ok((known_space(spaces, space, &at)?, role))
            })
            .collect::<Result<_, ConfigError>>()?;
        Ok(Account { id, username: account.username, password_hash: account.password_hash, roles })
    };
    accounts.into_iter().enumerate().map(understand).collect()
}

fn agents(agents: Vec<file::Agent>, spaces: &[SpaceId]) -> Result<Vec<Agent>, ConfigError> {
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    let understand = |(index, agent): (usize, file::Agent)| {
        let key = |name: &str| format!("identity.agents[{index}].{name}");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if agent.name.is_empty() || agent.name.len() > 64 || !agent.name.bytes().all(plain) {
            return Err(ConfigError::invalid(&key("name"), "must be 1 to 64 letters, digits, '-', '_' and '.'"));
        }
        if !names.insert(agent.name.clone()) {
            return Err(ConfigError::invalid(&key("name"), "is used by another agent"));
        }
        let key_sha256 = lower_hex::<32>(&agent.key_sha256).ok_or_else(|| {
            ConfigError::invalid(&key("key_sha256"), "must be 64 lower-case hex digits, as `grantry agents new` prints them")
        })?;
        if !keys.insert(key_sha256) {
            return Err(ConfigError::invalid(&key("key_sha256"), "is used by another agent"));
        }
        if agent.spaces.is_empty() {
            return Err(ConfigError::invalid(&key("spaces"), "is missing; set it to the spaces where the agent may act"));
        }
        let spaces =
            agent.spaces.iter().map(|space| known_space(spaces, space, &key("spaces"))).collect::<Result<_, _>>()?;
        Ok(Agent { name: agent.name, key_sha256, spaces, access_tokens: agent.access_tokens })
    };
    agents.into_iter().enumerate().map(understand).collect()
}

fn proxy(proxy: &file::Proxy, accounts: Vec<Account>) -> Result<Proxy, ConfigError> {
    let header = |key: &str, name: &str| {
        HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| ConfigError::invalid(key, "is not a header name; set it to one such as \"x-forwarded-user\""))
    };
    let user_header = header("identity.proxy.user_header", proxy.user_header.as_deref().unwrap_or("x-forwarded-user"))?;
    let roles_header = match proxy.roles_header.as_str() {
        "" => None,
        name => Some(header("identity.proxy.roles_header", name)?),
    };
    Ok(Proxy { user_header, roles_header, accounts })
}

fn known_space(spaces: &[SpaceId], name: &str, key: &str) -> Result<SpaceId, ConfigError> {
    spaces
        .iter()
        .find(|space| space.as_str() == name)
        .cloned()
        .ok_or_else(|| ConfigError::invalid(key, "names a space that does not exist; add it under [[spaces]]"))
}

/// Decodes lower-case hex of exactly `N` bytes.
pub(super) fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|digit| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (digits.len() == 2 * N).then(|| bytes.try_into().ok()).flatten()
}

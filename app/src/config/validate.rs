//! Rules that span several settings.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use argon2::password_hash::phc::PasswordHash;
use grantry_domain::identity::SpaceId;
use grantry_provider_oauth2::EgressPolicy;

use crate::config::settings::{Account, Agent, Egress, Settings, Space};
use crate::config::value::IdentityMode;
use crate::config::{Config, ConfigError};

/// Checks the settings against each other, and derives what follows from them.
pub(super) fn validate(settings: Settings, folder: PathBuf) -> Result<Config, ConfigError> {
    let public_base_url = settings.public_base_url.clone().ok_or_else(|| {
        let problem =
            "is missing; set it to the URL under which users reach this server, such as \"https://connect.example.com\"";
        ConfigError::invalid("public_base_url", problem)
    })?;
    let write_key = settings.keys.write.clone().ok_or_else(|| {
        let problem =
            "is missing; make a key with `grantry keys generate --out primary.key` and set it to \"file:primary.key\"";
        ConfigError::invalid("keys.write", problem)
    })?;
    let spaces = spaces(&settings.spaces)?;
    agents(&settings.identity.agents, &spaces)?;
    accounts(&settings.identity.accounts, &spaces, settings.identity.mode)?;
    Ok(Config {
        database: settings.store.url.file(&folder),
        egress: egress(&settings.egress)?,
        trusted_proxies: trusted_proxies(&settings)?,
        public_base_url,
        write_key,
        spaces,
        folder,
        settings,
    })
}

fn spaces(listed: &[Space]) -> Result<Vec<SpaceId>, ConfigError> {
    let mut spaces = vec![SpaceId::default_space()];
    // The default space may be listed, too.
    for (index, Space { id }) in listed.iter().enumerate().filter(|(_, space)| !space.id.is_default()) {
        if spaces.contains(id) {
            return Err(ConfigError::invalid(&format!("spaces[{index}].id"), "is listed twice"));
        }
        spaces.push(id.clone());
    }
    Ok(spaces)
}

fn egress(lists: &Egress) -> Result<EgressPolicy, ConfigError> {
    EgressPolicy::new(&lists.allowed_hosts, &lists.allow).map_err(|error| {
        let expected = if error.list == "allow" { "\"host:port\" entries" } else { "\"*\", \"*.suffix\" or host names" };
        ConfigError::invalid(&format!("egress.{}", error.list), format!("must contain {expected}, in lower case"))
    })
}

fn trusted_proxies(settings: &Settings) -> Result<Vec<IpAddr>, ConfigError> {
    let this_machine = IpAddr::from(Ipv4Addr::LOCALHOST);
    match (settings.identity.mode, &settings.identity.proxy.trusted_proxies) {
        (IdentityMode::Accounts, None) => Ok(Vec::new()),
        (IdentityMode::ProxyHeader, None) => Ok(vec![this_machine]),
        (IdentityMode::ProxyHeader, Some(proxies)) if proxies.is_empty() => Err(ConfigError::invalid(
            "identity.proxy.trusted_proxies",
            "is empty, so no user could sign in; set it to the addresses from which your proxy connects",
        )),
        (IdentityMode::Accounts | IdentityMode::ProxyHeader, Some(proxies)) => Ok(proxies.clone()),
    }
}

fn accounts(accounts: &[Account], spaces: &[SpaceId], mode: IdentityMode) -> Result<(), ConfigError> {
    let log_in = mode == IdentityMode::Accounts;
    if log_in && accounts.is_empty() {
        let problem = "is empty, so no user could sign in; add an account, with a hash of `grantry accounts hash-password`";
        return Err(ConfigError::invalid("identity.accounts", problem));
    }
    let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (index, account) in accounts.iter().enumerate() {
        let key = |name: &str| format!("identity.accounts[{index}].{name}");
        let invalid = |name: &str, problem: &str| Err(ConfigError::invalid(&key(name), problem));
        if !ids.insert(&account.id) {
            return invalid("id", "is used by another account; an id is never reassigned");
        }
        if log_in && account.username.is_empty() {
            return invalid("username", "is missing; set it to the name for log-in");
        }
        if log_in && !names.insert(&account.username) {
            return invalid("username", "is used by another account");
        }
        if log_in && !is_argon2id(&account.password_hash) {
            return invalid("password_hash", "is not an Argon2id hash; make one with `grantry accounts hash-password`");
        }
        for space in account.roles.keys() {
            existing(spaces, space, &key(&format!("roles.{space}")))?;
        }
    }
    Ok(())
}

fn is_argon2id(hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| hash.algorithm.as_str() == "argon2id" && hash.hash.is_some())
}

fn agents(agents: &[Agent], spaces: &[SpaceId]) -> Result<(), ConfigError> {
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for (index, agent) in agents.iter().enumerate() {
        let key = |name: &str| format!("identity.agents[{index}].{name}");
        let invalid = |name: &str, problem: &str| Err(ConfigError::invalid(&key(name), problem));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if agent.name.is_empty() || agent.name.len() > 64 || !agent.name.bytes().all(plain) {
            return invalid("name", "must be 1 to 64 letters, digits, '-', '_' and '.'");
        }
        if !names.insert(&agent.name) {
            return invalid("name", "is used by another agent");
        }
        if !keys.insert(agent.key_sha256) {
            return invalid("key_sha256", "is used by another agent");
        }
        if agent.spaces.is_empty() {
            return invalid("spaces", "is empty; set it to the spaces where the agent may act");
        }
        for space in &agent.spaces {
            existing(spaces, space, &key("spaces"))?;
        }
    }
    Ok(())
}

fn existing(spaces: &[SpaceId], space: &SpaceId, key: &str) -> Result<(), ConfigError> {
    if spaces.contains(space) {
        Ok(())
    } else {
        Err(ConfigError::invalid(key, "names a space that does not exist; add it under [[spaces]]"))
    }
}

//! Rules that span several settings. Every mistake is collected, and none that only follows from another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use argon2::password_hash::phc::PasswordHash;
use grantry_domain::identity::SpaceId;
use grantry_domain::ports::{PendingLimits, SweepPolicy};
use grantry_domain::usecase::{Policy, PolicyBounds};
use grantry_http_axum::Network;
use grantry_provider_oauth2::EgressPolicy;

use crate::config::error::Mistake;
use crate::config::settings::{Account, Agent, Egress, Settings, Space};
use crate::config::tree::Node;
use crate::config::value::IdentityMode;
use crate::config::{Config, MOST_MISTAKES};

/// Longest display name, in characters.
const LONGEST_NAME: usize = 100;

/// The settings of a tree without the nodes that are mistakes, and the mistakes.
pub(super) struct Validator<'a> {
    pub(super) tree: &'a Node,
    pub(super) mistakes: &'a mut Vec<Mistake>,
}

impl Validator<'_> {
    /// Checks the settings against each other, and derives what follows from them. `None` after a mistake.
    pub(super) fn validate(&mut self, settings: Settings, folder: PathBuf) -> Option<Config> {
        if settings.public_base_url.is_none() {
            self.refuse(
                "public_base_url",
                "is missing; set it to the URL under which users reach this server, such as \"https://connect.example.com\"",
            );
        }
        if settings.keys.write.is_none() {
            self.refuse(
                "keys.write",
                "is missing; make a key with `grantry keys generate --out primary.key` and set it to \"file:primary.key\"",
            );
        }
        self.hosts(&settings);
        self.policy(&settings);
        let (spaces, space_names) = self.spaces(&settings.spaces);
        self.agents(&settings.identity.agents, &spaces);
        self.accounts(&settings.identity.accounts, &spaces, settings.identity.mode);
        let trusted_proxies = self.trusted_proxies(&settings);
        let egress = self.egress(&settings.egress);
        if !self.mistakes.is_empty() {
            return None;
        }
        Some(Config {
            database: settings.store.url.database(&folder),
            egress: egress?,
            trusted_proxies,
            public_base_url: settings.public_base_url.clone()?,
            write_key: settings.keys.write.clone()?,
            spaces,
            space_names,
            ignored_variables: Vec::new(),
            folder,
            settings,
        })
    }

    /// Adds a mistake, unless the key or a part of it is one already.
    fn refuse(&mut self, key: &str, problem: impl Into<String>) {
        if self.mistakes.len() < MOST_MISTAKES && !self.has_mistake(key) {
            let name = self.tree.name_at(key).unwrap_or(key);
            self.mistakes.push(Mistake::invalid(name, problem));
        }
    }

    /// Whether the value of a key is incomplete, because a part of it or what contains it is a mistake.
    fn has_mistake(&self, key: &str) -> bool {
        let is_within = |part: &str, whole: &str| {
            part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let names = [key.to_owned(), super::variable(key)];
        let is_affected =
            |mistake: &Mistake| names.iter().any(|name| is_within(&mistake.key, name) || is_within(name, &mistake.key));
        self.mistakes.iter().any(is_affected)
    }

    /// The names of the items of a list, by their positions in the file.
    fn rows(&self, key: &str, count: usize) -> Vec<String> {
        let names = self.tree.item_names(key);
        if names.len() == count { names } else { (0..count).map(|index| format!("{key}[{index}]")).collect() }
    }

    fn hosts(&mut self, settings: &Settings) {
        let is_host = |host: &str| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte))
        };
        for (index, _) in settings.additional_hosts.iter().enumerate().filter(|(_, host)| !is_host(host)) {
            let problem = "must be a host name, with its port unless that is the default one, such as \"grantry:8080\"";
            self.refuse(&format!("additional_hosts[{index}]"), problem);
        }
        if settings.telemetry.listen.is_some_and(|listen| listen == settings.listen) {
            self.refuse("telemetry.listen", "must be another address than `listen`; leave it out to use that one");
        }
    }

    /// Each setting by itself, because the check of a policy ends at the first mistake.
    fn policy(&mut self, settings: &Settings) {
        let default = Policy::default();
        let (oauth, retention) = (&settings.oauth, &settings.retention);
        let pending = PendingLimits { per_user: oauth.pending_per_user.get(), ..default.pending };
        let unused = SweepPolicy { unused_grants: retention.unused_grants, ..default.sweep };
        let ended = SweepPolicy { ended_grants: retention.ended, ..default.sweep };
        for policy in [
            Policy { flow_ttl: oauth.flow_ttl, ..default.clone() },
            Policy { pending, ..default.clone() },
            Policy { sweep: unused, ..default.clone() },
            Policy { sweep: ended, ..default },
        ] {
            if let Err(error) = policy.check(&PolicyBounds::default()) {
                self.refuse(error.setting, error.problem);
            }
        }
    }

    fn spaces(&mut self, listed: &[Space]) -> (Vec<SpaceId>, BTreeMap<SpaceId, String>) {
        let (mut spaces, mut names) = (vec![SpaceId::default_space()], BTreeMap::new());
        let mut seen = BTreeSet::new();
        let rows = self.rows("spaces", listed.len());
        for (Space { id, name }, row) in listed.iter().zip(rows) {
            // The default space exists without being listed.
            if !seen.insert(id) {
                self.refuse(&format!("{row}.id"), "is listed twice");
            }
            if !spaces.contains(id) {
                spaces.push(id.clone());
            }
            self.display_name(&row, name);
            if !name.is_empty() {
                names.insert(id.clone(), name.clone());
            }
        }
        (spaces, names)
    }

    fn display_name(&mut self, row: &str, name: &str) {
        let is_visible = name.is_empty() || !name.trim().is_empty();
        if !is_visible || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            self.refuse(&format!("{row}.name"), format!("must be 1 to {LONGEST_NAME} characters on one line"));
        }
    }

    fn egress(&mut self, lists: &Egress) -> Option<EgressPolicy> {
        // One list at a time, because the policy reports its first mistake.
        let none: &[String] = &[];
        for (allowed_hosts, allow) in [(lists.allowed_hosts.as_slice(), none), (none, lists.allow.as_slice())] {
            if let Err(error) = EgressPolicy::new(allowed_hosts, allow) {
                let expected =
                    if error.list == "allow" { "\"host:port\" entries" } else { "\"*\", \"*.suffix\" or host names" };
                self.refuse(&format!("egress.{}", error.list), format!("must contain {expected}, in lower case"));
            }
        }
        EgressPolicy::new(&lists.allowed_hosts, &lists.allow).ok()
    }

    fn trusted_proxies(&mut self, settings: &Settings) -> Vec<Network> {
        let this_machine = IpAddr::from(Ipv4Addr::LOCALHOST).into();
        match (settings.identity.mode, &settings.identity.proxy.trusted_proxies) {
            (IdentityMode::Accounts, None) => Vec::new(),
            (IdentityMode::ProxyHeader, None) => vec![this_machine],
            (IdentityMode::ProxyHeader, Some(proxies)) if proxies.is_empty() => {
                let problem =
                    "is empty, so no user could sign in; set it to the addresses or networks from which your proxy connects";
                self.refuse("identity.proxy.trusted_proxies", problem);
                Vec::new()
            }
            (IdentityMode::Accounts | IdentityMode::ProxyHeader, Some(proxies)) => proxies.clone(),
        }
    }

    fn accounts(&mut self, accounts: &[Account], spaces: &[SpaceId], mode: IdentityMode) {
        let log_in = mode == IdentityMode::Accounts && !self.has_mistake("identity.mode");
        if log_in && accounts.is_empty() {
            let problem =
                "is empty, so no user could sign in; add an account, with a hash of `grantry accounts hash-password`";
            self.refuse("identity.accounts", problem);
        }
        let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
        let rows = self.rows("identity.accounts", accounts.len());
        for (account, row) in accounts.iter().zip(rows) {
            if !ids.insert(&account.id) {
                self.refuse(&format!("{row}.id"), "is used by another account; an id is never reassigned");
            }
            self.display_name(&row, &account.name);
            if log_in && account.username.is_empty() {
                self.refuse(&format!("{row}.username"), "is missing; set it to the name for log-in");
            } else if log_in && !names.insert(&account.username) {
                self.refuse(&format!("{row}.username"), "is used by another account");
            }
            if log_in && !is_argon2id(&account.password_hash) {
                let problem = "is not an Argon2id hash; make one with `grantry accounts hash-password`";
                self.refuse(&format!("{row}.password_hash"), problem);
            }
            for space in account.roles.keys() {
                self.existing(spaces, space, &format!("{row}.roles.{space}"));
            }
        }
    }

    fn agents(&mut self, agents: &[Agent], spaces: &[SpaceId]) {
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        let rows = self.rows("identity.agents", agents.len());
        for (agent, row) in agents.iter().zip(rows) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if agent.name.is_empty() || agent.name.len() > 64 || !agent.name.bytes().all(plain) {
                self.refuse(&format!("{row}.name"), "must be 1 to 64 letters, digits, '-', '_' and '.'");
            } else if !names.insert(&agent.name) {
                self.refuse(&format!("{row}.name"), "is used by another agent");
            }
            if !keys.insert(agent.key_sha256) {
                self.refuse(&format!("{row}.key_sha256"), "is used by another agent");
            }
            if agent.spaces.is_empty() {
                self.refuse(&format!("{row}.spaces"), "is empty; set it to the spaces where the agent may act");
            }
            for space in &agent.spaces {
                self.existing(spaces, space, &format!("{row}.spaces"));
            }
        }
    }

    fn existing(&mut self, spaces: &[SpaceId], space: &SpaceId, key: &str) {
        if !spaces.contains(space) && !self.has_mistake("spaces") {
            self.refuse(key, "names a space that does not exist; add it under [[spaces]]");
        }
    }
}

fn is_argon2id(hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| hash.algorithm.as_str() == "argon2id" && hash.hash.is_some())
}

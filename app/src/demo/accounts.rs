//! The accounts of the demo and its configuration.

use std::fmt::Write;

use grantry_domain::ports::RandomUnavailable;
use grantry_domain::secret::Secret;
use grantry_runtime::SystemRandom;
use grantry_testkit::provider::User;

use crate::demo::folder::{DATABASE, KEY};
use crate::passwords;

/// A user with an account here and at the demo provider.
pub(super) struct DemoUser {
    /// The user name at both.
    pub(super) name: &'static str,
    /// The roles in `default` and in `marketing`.
    pub(super) roles: [&'static str; 2],
}

impl DemoUser {
    /// The password here. These accounts protect nothing.
    pub(super) fn password(&self) -> String {
        format!("{}-demo", self.name)
    }

    /// The password at the demo provider.
    pub(super) fn provider_password(&self) -> String {
        format!("{}-pw", self.name)
    }

    /// The account at the demo provider.
    pub(super) fn account(&self) -> User {
        User::new(self.name, &self.provider_password())
    }
}

pub(super) const ACCOUNTS: [DemoUser; 3] = [
    DemoUser { name: "alice", roles: ["editor", "viewer"] },
    DemoUser { name: "bob", roles: ["viewer", "viewer"] },
    DemoUser { name: "carol", roles: ["admin", "admin"] },
];

/// The configuration of a new demo.
pub(super) fn config(port: u16, provider_port: u16) -> Result<String, RandomUnavailable> {
    let mut text = format!(
        r#"# Written by `grantry demo`. `grantry serve --config` accepts this file, too; its connectors need the demo provider.

listen = "127.0.0.1:{port}"
public_base_url = "http://127.0.0.1:{port}"

[store]
url = "sqlite:{DATABASE}"

[keys]
write = "file:{KEY}"

[[spaces]]
id = "marketing"

[egress]
# The demo provider, on this machine.
allow = ["127.0.0.1:{provider_port}"]

[identity]
mode = "accounts"
"#
    );
    for user in &ACCOUNTS {
        let (name, [default, marketing]) = (user.name, user.roles);
        let hash = passwords::hash(&Secret::from_text(&user.password()), &SystemRandom)?;
        // Writing to a string does not fail.
        let _ = write!(
            text,
            r#"
[[identity.accounts]]
id = "u_{name}"
username = "{name}"
password_hash = "{hash}"
roles = {{ default = "{default}", marketing = "{marketing}" }}
"#
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_configuration_of_a_new_demo_is_valid() {
        let text = config(9000, 9001).unwrap();
        let config = Config::parse(&text, Path::new("grantry.toml"), PathBuf::from("demo"), []).unwrap();
        assert_eq!(config.public_base_url.as_str(), "http://127.0.0.1:9000");
        assert_eq!(config.database.to_string(), "demo/grantry.db");
        assert_eq!(config.spaces.len(), 2);
        let accounts = config.settings.identity.accounts;
        let names: Vec<&str> = accounts.iter().map(|account| account.username.as_str()).collect();
        assert_eq!(names, ["alice", "bob", "carol"]);
        assert!(accounts.iter().all(|account| account.roles.len() == 2));
        assert!(config.egress.check("http://127.0.0.1:9001/token").is_ok());
        assert!(config.egress.check("http://127.0.0.1:9002/token").is_err());
    }
}

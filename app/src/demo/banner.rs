//! The text shown when the demo is ready.

use std::fmt;
use std::path::{Path, PathBuf};

use grantry_testkit::provider::MockProvider;

use crate::config::Config;
use crate::demo::accounts::ACCOUNTS;
use crate::demo::provider::ACCESS_TTL;

/// Addresses, accounts, and steps to try.
pub struct Banner {
    server: String,
    provider: String,
    folder: PathBuf,
}

impl Banner {
    pub(super) fn new(config: &Config, provider: &MockProvider, folder: &Path) -> Self {
        Self {
            server: config.public_base_url.to_string(),
            provider: provider.base_url().to_owned(),
            folder: folder.to_owned(),
        }
    }
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, provider, folder } = self;
        writeln!(f, "\nThe Grantry demo is running. Ctrl-C stops it; its data is kept in {}.\n", folder.display())?;
        writeln!(f, "  Space default     {server}/")?;
        writeln!(f, "  Space marketing   {server}/s/marketing/")?;
        writeln!(f, "  Demo provider     {provider}/\n")?;
        writeln!(f, "  {:21}{:13}{:15}at the provider as", "log in here as", "in default", "in marketing")?;
        for user in &ACCOUNTS {
            let here = format!("{} / {}", user.name, user.password());
            let [default, marketing] = user.roles;
            let there = format!("{} / {}", user.name, user.provider_password());
            writeln!(f, "  {here:21}{default:13}{marketing:15}{there}")?;
        }
        let ttl = ACCESS_TTL.as_secs();
        write!(
            f,
            r#"
What to try

  1. Open {server}/ (the console) and log in as alice. Connect "Demo files": log in at the provider and allow access.
  2. Do the same as bob in a private window. Both use the same connector with different accounts. As carol, an admin, list
     the connections of all users and revoke one.
  3. Run the connector as alice:

     curl -sc alice.jar -H 'content-type: application/json' \
       -d '{{"username": "alice", "password": "alice-demo"}}' {server}/api/session
     curl -sb alice.jar -H 'content-type: application/json' \
       -d '{{"params": {{"method": "GET", "path": "/me"}}}}' {server}/api/actions/connector/files/_execute

  4. Run it again after {ttl} seconds: the access token has expired, and the log below shows a refresh. The response contains
     another token_id and the same user.
  5. Disconnect in the console or with this command. The tokens are revoked at the provider:

     curl -sb alice.jar -X POST {server}/internal/actions/connector/files/_oauth_disconnect

  6. In {server}/s/marketing/ the connector "campaign-files" discovers its provider by issuer, and uses the
     callback that all spaces share.
"#
        )
    }
}

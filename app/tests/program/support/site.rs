//! A folder with a configuration, a key and the files of a server.

use std::fs;
use std::path::{Path, PathBuf};

use grantry::app::App;
use grantry::config::Config;
use grantry_domain::connector::{AuthMode, Connector, ConnectorId, ConnectorName, ProfileId};
use grantry_domain::identity::{Actor, SpaceId};
use grantry_domain::secret::Secret;
use grantry_domain::usecase::ConnectorDraft;
use grantry_runtime::SystemRandom;
use tempfile::TempDir;

use crate::support::{Running, grantry};

/// The password of every account.
pub(crate) const PASSWORD: &str = "password-canary";

pub(crate) struct Site {
    folder: TempDir,
    pub(crate) port: u16,
}

impl Site {
    /// A configuration with alice (editor in `default`, viewer in `marketing`), to which `lines` are prepended.
    pub(crate) fn new(lines: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap(), port: grantry_test_ports::reserve() };
        grantry::key_file::write_new(&site.path("primary.key")).unwrap();
        let hash = grantry::passwords::hash(&Secret::from_text(PASSWORD), &SystemRandom).unwrap();
        site.write(&format!(
            r#"{lines}
listen = "127.0.0.1:{port}"
public_base_url = "http://127.0.0.1:{port}"
keys.write = "file:primary.key"
[[spaces]]
id = "marketing"
[[identity.accounts]]
id = "u_alice"
username = "alice"
password_hash = "{hash}"
roles = {{ default = "editor", marketing = "viewer" }}
"#,
            port = site.port
        ));
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config_path(&self) -> String {
        self.path("grantry.toml").to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, text: &str) {
        fs::write(self.path("grantry.toml"), text).unwrap();
    }

    /// Replaces a text in the configuration.
    pub(crate) fn replace(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("grantry.toml")).unwrap();
        assert!(text.contains(from), "{from} is in the configuration");
        self.write(&text.replace(from, to));
    }

    /// Starts the server and waits until it is ready.
    pub(crate) fn serve(&self) -> Running {
        let mut server = Running::start(&mut grantry(&["serve", "--config", &self.config_path()]));
        server.until("\"ready\"");
        server
    }

    pub(crate) fn config(&self) -> Config {
        let text = fs::read_to_string(self.path("grantry.toml")).unwrap();
        Config::parse(&text, Path::new("grantry.toml"), self.folder.path().to_owned(), []).unwrap()
    }

    /// Puts a connector into the store, without a server.
    pub(crate) async fn install(&self, id: &str, config: serde_json::Value, secret: &str) -> Connector {
        // As `main` does.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let app = App::from_config(&self.config()).await.unwrap().build().await.unwrap();
        let draft = ConnectorDraft {
            name: ConnectorName::new(id).unwrap(),
            profile: ProfileId::new(".oauth2").unwrap(),
            auth_mode: AuthMode::PerUser,
            settings: config.to_string(),
            client_id: Some(format!("client-of-{id}")),
            client_secret: Some(Secret::from_text(secret)),
        };
        let id = Some(ConnectorId::new(id).unwrap());
        let connector = app.connections().install_connector(&Actor::System, &SpaceId::default_space(), id, draft).await;
        app.store().close().await;
        connector.unwrap()
    }
}

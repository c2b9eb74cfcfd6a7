//! The URLs of a host that serves no routes.

use grantry_domain::connector::{CallbackId, ConnectorKey};
use grantry_domain::identity::ConnectionName;
use grantry_domain::ports::Urls;

/// URLs below `https://host.example`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestUrls;

impl Urls for TestUrls {
    fn start_link(&self, connector: &ConnectorKey, connection: &ConnectionName) -> String {
        format!("https://host.example/{}/{}/start?connection={connection}", connector.space, connector.id)
    }

    fn issuer_callback(&self) -> String {
        "https://host.example/callback".to_owned()
    }

    fn profile_callback(&self) -> String {
        "https://host.example/profile-callback".to_owned()
    }

    fn connector_callback(&self, callback_id: CallbackId) -> String {
        format!("https://host.example/own-callback/{}", callback_id.to_text())
    }
}

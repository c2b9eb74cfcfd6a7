//! URLs of the host's routes.

use crate::connector::{CallbackId, ConnectorKey};
use crate::identity::ConnectionName;

/// URLs that the host serves. The domain returns them and puts them into authorization requests, and never parses them.
///
/// ```
/// use grantry_domain::connector::{CallbackId, ConnectorKey};
/// use grantry_domain::identity::ConnectionName;
/// use grantry_domain::ports::Urls;
///
/// /// The routes of a host.
/// struct Routes;
///
/// impl Urls for Routes {
///     fn start_link(&self, connector: &ConnectorKey, connection: &ConnectionName) -> String {
///         let (connector, connection) = (connector.id.as_str(), connection.as_str());
///         format!("https://host.example/connect/{connector}?connection={connection}")
///     }
///
///     fn issuer_callback(&self) -> String {
///         "https://host.example/callback/issuer".to_owned()
///     }
///
///     fn profile_callback(&self) -> String {
///         "https://host.example/callback".to_owned()
///     }
///
///     fn connector_callback(&self, callback_id: CallbackId) -> String {
///         format!("https://host.example/callback/{}", callback_id.to_text())
///     }
/// }
/// ```
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Urls: Send + Sync {
    /// The link that lets a user connect: a page that asks for confirmation, safe to send by chat or mail.
    fn start_link(&self, connector: &ConnectorKey, connection: &ConnectionName) -> String;

    /// The redirect URI that connectors in issuer mode share (RFC 6749 §3.1.2).
    fn issuer_callback(&self) -> String;

    /// The redirect URI that connectors of operator-approved profiles share.
    fn profile_callback(&self) -> String;

    /// The redirect URI of one connector.
    fn connector_callback(&self, callback_id: CallbackId) -> String;
}

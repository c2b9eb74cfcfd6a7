//! The routes of a connector, and the request body that creates it.

use serde_json::{Value, json};

/// A connector's space and id, and the paths of its routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectorPath {
    /// The space.
    pub space: &'static str,
    /// The connector's id.
    pub id: &'static str,
}

impl ConnectorPath {
    /// A connector of the default space.
    pub const fn of(id: &'static str) -> Self {
        Self { space: "default", id }
    }

    /// The connector with the same id in another space.
    #[must_use]
    pub const fn in_other_space(self, space: &'static str) -> Self {
        Self { space, ..self }
    }

    /// A path in the connector's space.
    pub fn in_space(self, path: &str) -> String {
        if self.space == "default" { path.to_owned() } else { format!("/s/{}{path}", self.space) }
    }

    /// A public route of the connector.
    pub fn public(self, rest: &str) -> String {
        self.in_space(&format!("/api/actions/connector/{}{rest}", self.id))
    }

    /// An internal route of the connector.
    pub fn internal(self, rest: &str) -> String {
        self.in_space(&format!("/internal/actions/connector/{}{rest}", self.id))
    }
}

/// The body of a request that creates or edits a connector.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The body.
    pub body: Value,
}

impl Draft {
    /// A connector that discovers its endpoints from an issuer and uses the shared callback.
    pub fn issuer(issuer: &str, base_url: &str) -> Self {
        Self::new(&json!({ "issuer": issuer, "baseUrl": base_url, "scope": "openid files.read offline_access" }))
    }

    /// A connector with endpoints that an editor entered, and a separate callback.
    pub fn with_endpoints(provider: &str) -> Self {
        Self::new(&json!({
            "authorizationUrl": format!("{provider}/authorize"),
            "tokenUrl": format!("{provider}/token"),
            "revocationUrl": format!("{provider}/revoke"),
            "userinfoUrl": format!("{provider}/userinfo"),
            "baseUrl": format!("{provider}/api"),
            "scope": "files.read",
        }))
    }

    fn new(config: &Value) -> Self {
        let secrets = json!({ "clientId": "demo", "clientSecret": "demo-secret" });
        let name = "A test connector";
        Self { body: json!({ "name": name, "connector_type_id": ".oauth2", "config": config, "secrets": secrets }) }
    }

    /// Sets a setting.
    #[must_use]
    pub fn config(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body["config"][name] = value.into();
        self
    }

    /// Removes the secrets, as an edit that keeps them.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.remove("secrets");
        }
        self
    }

    /// Sets the client.
    #[must_use]
    pub fn client(mut self, id: &str, secret: &str) -> Self {
        self.body["secrets"] = json!({ "clientId": id, "clientSecret": secret });
        self
    }
}

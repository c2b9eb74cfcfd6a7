//! Where a connector is, and the paths of its routes.

use serde_json::{Value, json};

/// A connector's space and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The space.
    pub space: &'static str,
    /// The connector's id.
    pub connector: &'static str,
}

impl Place {
    /// A connector of the default space.
    pub const fn of(connector: &'static str) -> Self {
        Self { space: "default", connector }
    }

    /// The connector of the same id in another space.
    #[must_use]
    pub const fn in_other_space(self, space: &'static str) -> Self {
        Self { space, ..self }
    }

    /// A path of its space.
    pub fn in_space(self, path: &str) -> String {
        if self.space == "default" { path.to_owned() } else { format!("/s/{}{path}", self.space) }
    }

    /// A public route of it.
    pub fn public(self, rest: &str) -> String {
        self.in_space(&format!("/api/actions/connector/{}{rest}", self.connector))
    }

    /// An internal route of it.
    pub fn internal(self, rest: &str) -> String {
        self.in_space(&format!("/internal/actions/connector/{}{rest}", self.connector))
    }
}

/// What a test connector is made of.
#[derive(Debug, Clone)]
pub struct Draft {
    /// As the API takes it.
    pub body: Value,
}

impl Draft {
    /// A connector in issuer mode: discovery, and the shared callback.
    pub fn issuer(issuer: &str, base_url: &str) -> Self {
        Self::with(&json!({ "issuer": issuer, "baseUrl": base_url, "scope": "openid files.read offline_access" }))
    }

    /// A connector with hand-written endpoints, and a callback of its own.
    pub fn pinned(provider: &str) -> Self {
        Self::with(&json!({
            "authorizationUrl": format!("{provider}/authorize"),
            "tokenUrl": format!("{provider}/token"),
            "revocationUrl": format!("{provider}/revoke"),
            "userinfoUrl": format!("{provider}/userinfo"),
            "baseUrl": format!("{provider}/api"),
            "scope": "files.read",
        }))
    }

    fn with(config: &Value) -> Self {
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

    /// Takes the secrets out, as an edit does that keeps them.
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

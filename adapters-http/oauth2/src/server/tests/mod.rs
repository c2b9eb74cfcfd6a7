//! Requests and responses over a scripted transport.

mod authorization;
mod identity;
mod metadata;
mod revocation;
mod token;

/// A connector that contains its endpoints.
const BY_HAND: &str = r#"{"authorizationUrl":"https://as.example/authorize","tokenUrl":"https://as.example/token",
    "revocationUrl":"https://as.example/revoke","userinfoUrl":"https://as.example/userinfo",
    "baseUrl":"https://api.example/v1"}"#;

/// The same with further settings.
fn by_hand(settings: &str) -> String {
    format!("{},{settings}}}", BY_HAND.strip_suffix('}').unwrap_or_default())
}

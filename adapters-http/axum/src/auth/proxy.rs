//! A proxy in front signs users in and names them in a header.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use grantry_domain::identity::UserId;
use http::{HeaderMap, HeaderName};

use crate::auth::authenticator::{AuthenticationError, Authenticator, Principal};
use crate::network::Network;

/// Receives the roles that the proxy sends for a user. The directory of the host keeps them.
pub trait RoleSink: Send + Sync {
    /// Called for every request of the user.
    fn record(&self, user: &UserId, roles: &[&str]);
}

/// Trusts a header on connections from the addresses of the proxy.
pub struct ProxyHeaderAuthenticator {
    user_header: HeaderName,
    roles: Option<(HeaderName, Arc<dyn RoleSink>)>,
    trusted: Vec<Network>,
}

impl ProxyHeaderAuthenticator {
    /// `trusted` are the addresses or networks of the proxy. On other connections the header is ignored.
    pub fn new(user_header: HeaderName, trusted: impl IntoIterator<Item = impl Into<Network>>) -> Self {
        Self { user_header, roles: None, trusted: trusted.into_iter().map(Into::into).collect() }
    }

    /// Also passes the comma-separated roles of a header to the host.
    #[must_use]
    pub fn with_roles(mut self, header: HeaderName, sink: Arc<dyn RoleSink>) -> Self {
        self.roles = Some((header, sink));
        self
    }
}

#[async_trait]
impl Authenticator for ProxyHeaderAuthenticator {
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Option<Principal>, AuthenticationError> {
        if !peer.is_some_and(|peer| self.trusted.iter().any(|network| network.contains(peer))) {
            return Ok(None);
        }
        // A second value may have been sent past the proxy by the client.
        let Some(user) = single(headers, &self.user_header).and_then(|value| UserId::new(value).ok()) else {
            return Ok(None);
        };
        if let Some((header, sink)) = &self.roles {
            let roles = single(headers, header).unwrap_or_default();
            sink.record(&user, &roles.split(',').map(str::trim).filter(|role| !role.is_empty()).collect::<Vec<_>>());
        }
        Ok(Some(Principal::User { user, session: None }))
    }

    fn credential_fields(&self) -> Vec<HeaderName> {
        let roles = self.roles.iter().map(|(header, _)| header);
        std::iter::once(&self.user_header).chain(roles).cloned().collect()
    }
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => std::str::from_utf8(value.as_bytes()).ok(),
        (_, Some(_)) | (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn user_of(peer: &str, values: &[&str]) -> Option<Principal> {
        let trusted: [Network; 2] = ["10.0.0.1".parse().unwrap(), "10.244.0.0/16".parse().unwrap()];
        let authenticator = ProxyHeaderAuthenticator::new(HeaderName::from_static("x-forwarded-user"), trusted);
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-user", value.parse().unwrap());
        }
        authenticator.authenticate(&headers, Some(peer.parse().unwrap())).await.unwrap()
    }

    struct Roles;

    impl RoleSink for Roles {
        fn record(&self, _: &UserId, _: &[&str]) {}
    }

    #[test]
    fn the_headers_of_the_proxy_are_credentials() {
        let [user, roles] = ["x-forwarded-user", "x-roles"].map(HeaderName::from_static);
        let without_roles = ProxyHeaderAuthenticator::new(user.clone(), Vec::<Network>::new());
        assert_eq!(without_roles.credential_fields(), std::slice::from_ref(&user));
        let authenticator = without_roles.with_roles(roles.clone(), Arc::new(Roles));
        assert_eq!(authenticator.credential_fields(), [user, roles]);
    }

    #[tokio::test]
    async fn r57_the_user_header_counts_only_once_and_only_from_the_proxy() {
        let alice = Principal::User { user: UserId::new("u_alice").unwrap(), session: None };
        assert_eq!(user_of("10.0.0.1", &["u_alice"]).await, Some(alice.clone()));
        assert_eq!(user_of("10.244.9.9", &["u_alice"]).await, Some(alice));
        assert_eq!(user_of("10.245.0.1", &["u_alice"]).await, None);
        assert_eq!(user_of("10.0.0.2", &["u_alice"]).await, None);
        assert_eq!(user_of("10.0.0.1", &["u_alice", "u_bob"]).await, None);
        assert_eq!(user_of("10.0.0.1", &[]).await, None);
    }
}

//! The contract of [`AuthorizationServer`] with a provider that rotates refresh tokens.
//! [`authorization_server_contract!`](crate::authorization_server_contract) expands to its rules.

use async_trait::async_trait;
use grantry_domain::ports::{
    AuthorizationServer, ClientCredentials, ProviderErrorKind, RevocationResponse, TokenKind, TokenResponse,
};
use grantry_domain::provider::{ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;

/// A client of authorization servers under test, and a provider that ends a grant when a used refresh token is presented.
#[async_trait]
pub trait AuthorizationServerBackend: Send + Sync {
    /// The client.
    fn server(&self) -> &dyn AuthorizationServer;

    /// The provider, as it is frozen at the start of a flow.
    fn provider(&self) -> &ProviderSnapshot;

    /// The credentials of the client.
    fn credentials(&self) -> &ClientCredentials;

    /// A code of a new consent with its verifier.
    async fn consent(&self) -> (Secret, Secret);

    /// The next request to the token endpoint is lost at this place.
    fn lose_next(&self, lost: Lost);

    /// The number of requests for tokens that were sent.
    fn token_requests(&self) -> usize;
}

/// What does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The request: the provider does not process it.
    Request,
    /// The response to a processed request.
    Response,
}

/// Expands to one test for each rule. The factory is an `async fn() -> impl AuthorizationServerBackend`.
#[macro_export]
macro_rules! authorization_server_contract {
    ($factory:path) => {
        $crate::port_rules! {
            authorization_server $factory;
            a_code_becomes_tokens_by_one_request,
            a_refresh_replaces_both_tokens_by_one_request,
            a_used_refresh_token_is_an_invalid_grant,
            an_unknown_refresh_token_is_an_invalid_grant,
            a_revoked_refresh_token_is_an_invalid_grant,
            an_unknown_token_is_revoked_already,
            a_lost_request_is_not_repeated_and_leaves_the_token_valid,
            a_lost_response_is_not_repeated_and_has_used_the_token,
        }
        $crate::port_rules! {
            @pure authorization_server $factory;
            the_tokens_to_revoke_are_named_once_each,
        }
    };
}

type Refreshed = Result<TokenResponse, ProviderErrorKind>;

async fn connect(backend: &impl AuthorizationServerBackend) -> TokenResponse {
    let (code, verifier) = backend.consent().await;
    let exchanged = backend.server().exchange(backend.provider(), backend.credentials(), &code, &verifier).await;
    exchanged.unwrap_or_else(|error| panic!("the code is valid: {error:?}"))
}

async fn refresh(backend: &impl AuthorizationServerBackend, token: &Secret) -> Refreshed {
    let refreshed = backend.server().refresh(backend.provider(), backend.credentials(), token, &Scopes::default()).await;
    refreshed.map_err(|error| error.kind)
}

async fn revoke(backend: &impl AuthorizationServerBackend, token: &Secret, kind: TokenKind) {
    let revoked = backend.server().revoke(backend.provider(), backend.credentials(), token, kind).await;
    assert_eq!(revoked, Ok(RevocationResponse::Done));
}

fn refresh_token(response: &TokenResponse) -> &Secret {
    response.refresh_token.as_ref().expect("the response has a refresh token")
}

fn failure(refreshed: Refreshed) -> Option<ProviderErrorKind> {
    refreshed.err()
}

/// Both tokens are returned (RFC 6749 §4.1.4).
pub async fn a_code_becomes_tokens_by_one_request<B: AuthorizationServerBackend>(backend: B) {
    let tokens = connect(&backend).await;
    assert!(!tokens.access_token.expose().is_empty() && !refresh_token(&tokens).expose().is_empty());
    assert!(tokens.token_type.eq_ignore_ascii_case("bearer"), "{}", tokens.token_type);
    assert_eq!(backend.token_requests(), 1);
}

/// Tokens of an earlier response are not returned again (RFC 6749 §6).
pub async fn a_refresh_replaces_both_tokens_by_one_request<B: AuthorizationServerBackend>(backend: B) {
    let first = connect(&backend).await;
    let second = refresh(&backend, refresh_token(&first)).await.unwrap_or_else(|error| panic!("refused: {error}"));
    assert_ne!(first.access_token.expose(), second.access_token.expose());
    assert_ne!(refresh_token(&first).expose(), refresh_token(&second).expose());
    assert_eq!(backend.token_requests(), 2);
}

/// And the newer token is refused as well: the grant has ended (RFC 9700 §4.14.2).
pub async fn a_used_refresh_token_is_an_invalid_grant<B: AuthorizationServerBackend>(backend: B) {
    let first = connect(&backend).await;
    let second = refresh(&backend, refresh_token(&first)).await.unwrap_or_else(|error| panic!("refused: {error}"));
    for token in [refresh_token(&first), refresh_token(&second)] {
        assert_eq!(failure(refresh(&backend, token).await), Some(ProviderErrorKind::InvalidGrant));
    }
}

/// It belongs to no grant.
pub async fn an_unknown_refresh_token_is_an_invalid_grant<B: AuthorizationServerBackend>(backend: B) {
    let refused = refresh(&backend, &Secret::from_text("rt-of-another-server")).await;
    assert_eq!(failure(refused), Some(ProviderErrorKind::InvalidGrant));
}

/// Revoking it ends the grant, and no other one (RFC 7009 §2.1).
pub async fn a_revoked_refresh_token_is_an_invalid_grant<B: AuthorizationServerBackend>(backend: B) {
    let [ended, other] = [connect(&backend).await, connect(&backend).await];
    revoke(&backend, refresh_token(&ended), TokenKind::Refresh).await;
    let refused = refresh(&backend, refresh_token(&ended)).await;
    assert_eq!(failure(refused), Some(ProviderErrorKind::InvalidGrant));
    assert_eq!(failure(refresh(&backend, refresh_token(&other)).await), None);
}

/// A token that the provider does not accept needs no revocation (RFC 7009 §2.2).
pub async fn an_unknown_token_is_revoked_already<B: AuthorizationServerBackend>(backend: B) {
    for kind in [TokenKind::Refresh, TokenKind::Access] {
        revoke(&backend, &Secret::from_text("token-of-another-server"), kind).await;
    }
}

/// The caller decides whether to send it again.
pub async fn a_lost_request_is_not_repeated_and_leaves_the_token_valid<B: AuthorizationServerBackend>(backend: B) {
    let tokens = connect(&backend).await;
    backend.lose_next(Lost::Request);
    let lost = refresh(&backend, refresh_token(&tokens)).await;
    assert_eq!((failure(lost), backend.token_requests()), (Some(ProviderErrorKind::NoResponse), 2));
    assert_eq!(failure(refresh(&backend, refresh_token(&tokens)).await), None);
}

/// The error is the same as for a lost request: a client cannot distinguish the two.
pub async fn a_lost_response_is_not_repeated_and_has_used_the_token<B: AuthorizationServerBackend>(backend: B) {
    let tokens = connect(&backend).await;
    backend.lose_next(Lost::Response);
    let lost = refresh(&backend, refresh_token(&tokens)).await;
    assert_eq!((failure(lost), backend.token_requests()), (Some(ProviderErrorKind::NoResponse), 2));
    let reused = refresh(&backend, refresh_token(&tokens)).await;
    assert_eq!(failure(reused), Some(ProviderErrorKind::InvalidGrant));
}

/// In the order in which they are revoked.
pub fn the_tokens_to_revoke_are_named_once_each<B: AuthorizationServerBackend>(backend: &B) {
    let order = backend.server().revocation_order(backend.provider());
    let times = |kind| order.iter().filter(|named| **named == kind).count();
    assert!(!order.is_empty() && times(TokenKind::Refresh) <= 1 && times(TokenKind::Access) <= 1, "{order:?}");
}

//! The contract of [`AuthorizationServer`] with a provider that rotates refresh tokens.
//! [`authorization_server_contract!`](crate::authorization_server_contract) expands to its rules.

use async_trait::async_trait;
use grantry_domain::ports::{
    AuthorizationRequest, AuthorizationServer, ClientCredentials, CodeExchange, Identified, ProviderError,
    ProviderErrorKind, RevocationResponse, TokenKind, TokenResponse,
};
use grantry_domain::provider::{Account, ProviderSettings, ProviderSnapshot, Scopes};
use grantry_domain::secret::Secret;
use url::Url;

/// A client of authorization servers under test, and a provider that ends a grant when a used refresh token is presented. The
/// provider keeps to the RFCs: the names of parameters are those of RFC 6749, with PKCE and without pushed requests.
#[async_trait]
pub trait AuthorizationServerBackend: Send + Sync {
    /// The client.
    fn server(&self) -> &dyn AuthorizationServer;

    /// The settings of a connector to the provider.
    fn settings(&self) -> &ProviderSettings;

    /// The provider, as it is frozen at the start of a flow.
    fn provider(&self) -> &ProviderSnapshot;

    /// The credentials of the client.
    fn credentials(&self) -> &ClientCredentials;

    /// A new consent of the [account](Self::account).
    async fn consent(&self) -> Consent;

    /// The next request to the token endpoint is lost at this place.
    fn lose_next(&self, lost: Lost);

    /// The number of requests for tokens that were sent.
    fn token_requests(&self) -> usize;

    /// The scopes that the last request for tokens named; `None` if it named none.
    fn requested_scopes(&self) -> Option<Scopes>;

    /// The kinds of tokens that the provider revokes.
    fn revocable(&self) -> &[TokenKind];

    /// The account that consents; `None` for a provider that does not reveal it.
    fn account(&self) -> Option<Account>;

    /// Makes unreadable what the provider reveals about the account. Returns whether that is possible.
    fn break_identity(&self) -> bool;

    /// Makes the metadata of an issuer name another issuer, and returns the settings of a connector to it. `None` for a
    /// provider without metadata.
    fn break_metadata(&self) -> Option<ProviderSettings>;
}

/// A code with what its flow has stored.
pub struct Consent {
    /// The code.
    pub code: Secret,
    /// The PKCE verifier.
    pub verifier: Secret,
    /// The nonce of the request, if the provider issues an ID token for it.
    pub nonce: Option<String>,
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
            a_snapshot_has_the_settings_and_the_redirect_uri,
            metadata_of_another_issuer_is_refused,
            an_authorization_url_has_each_parameter_once,
            an_authorization_url_has_no_parameter_that_was_not_requested,
            a_code_becomes_tokens_by_one_request,
            a_refresh_replaces_both_tokens_by_one_request,
            a_refresh_requests_no_more_scopes_than_granted,
            a_used_refresh_token_is_an_invalid_grant,
            an_unknown_refresh_token_is_an_invalid_grant,
            a_revoked_refresh_token_is_an_invalid_grant,
            an_unknown_token_is_revoked_already,
            a_lost_exchange_is_not_repeated,
            a_lost_request_is_not_repeated_and_leaves_the_token_valid,
            a_lost_response_is_not_repeated_and_has_used_the_token,
            a_client_gets_a_token_by_one_request,
            a_lost_request_for_a_client_token_is_not_repeated,
            the_account_that_consented_is_identified,
            an_id_token_of_another_request_is_refused,
            an_account_that_cannot_be_read_is_no_error,
        }
        $crate::port_rules! {
            @pure authorization_server $factory;
            the_tokens_to_revoke_are_named_once_each,
        }
    };
}

type Refreshed = Result<TokenResponse, ProviderErrorKind>;

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn exchange(backend: &impl AuthorizationServerBackend, consent: &Consent) -> Result<TokenResponse, ProviderError> {
    let Consent { code, verifier, .. } = consent;
    let exchange = CodeExchange { code: code.clone_secret(), verifier: verifier.clone_secret(), parameters: Vec::new() };
    backend.server().exchange(backend.provider(), backend.credentials(), &exchange).await
}

async fn connect(backend: &impl AuthorizationServerBackend) -> TokenResponse {
    connect_with_nonce(backend).await.0
}

/// Tokens of a consent and the nonce of its request.
async fn connect_with_nonce(backend: &impl AuthorizationServerBackend) -> (TokenResponse, Option<String>) {
    let consent = backend.consent().await;
    let exchanged = exchange(backend, &consent).await;
    (exchanged.unwrap_or_else(|error| panic!("the code is valid: {error:?}")), consent.nonce)
}

async fn refresh(backend: &impl AuthorizationServerBackend, token: &Secret) -> Refreshed {
    let refreshed = backend.server().refresh(backend.provider(), backend.credentials(), token, &Scopes::default()).await;
    refreshed.map_err(|error| error.kind)
}

/// The response is the one for a provider that revokes tokens of this kind, or does not.
async fn revoke(backend: &impl AuthorizationServerBackend, token: &Secret, kind: TokenKind) {
    let is_revocable = backend.revocable().contains(&kind);
    let expected = if is_revocable { RevocationResponse::Done } else { RevocationResponse::NotSupported };
    let revoked = backend.server().revoke(backend.provider(), backend.credentials(), token, kind).await;
    assert_eq!(revoked, Ok(expected), "{kind:?}");
}

async fn client_token(backend: &impl AuthorizationServerBackend, scopes: &Scopes) -> Result<TokenResponse, ProviderError> {
    backend.server().client_credentials(backend.provider(), backend.credentials(), scopes).await
}

async fn identify(
    backend: &impl AuthorizationServerBackend,
    tokens: &TokenResponse,
    nonce: Option<String>,
) -> Result<Identified, ProviderError> {
    backend.server().identify(backend.provider(), backend.credentials(), tokens, nonce).await
}

/// The URL without its query, and the parameters.
async fn authorization_url(
    backend: &impl AuthorizationServerBackend,
    request: AuthorizationRequest,
) -> (String, Vec<(String, String)>) {
    let built = backend.server().authorization_url(backend.provider(), backend.credentials(), request).await;
    let built = built.unwrap_or_else(|error| panic!("the request is acceptable: {error:?}"));
    let mut url = Url::parse(built.expose_text().expect("text")).expect("an absolute URL");
    let parameters = url.query_pairs().into_owned().collect();
    url.set_query(None);
    (url.into(), parameters)
}

fn request(scopes: &Scopes) -> AuthorizationRequest {
    AuthorizationRequest {
        state: Secret::from_text("state-1"),
        code_challenge: CHALLENGE.to_owned(),
        scopes: scopes.clone(),
        nonce: None,
        login_hint: None,
        select_account: false,
    }
}

fn values<'a>(parameters: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    parameters.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

fn refresh_token(response: &TokenResponse) -> &Secret {
    response.refresh_token.as_ref().expect("the response has a refresh token")
}

fn failure(refreshed: Refreshed) -> Option<ProviderErrorKind> {
    refreshed.err()
}

/// Endpoints are the configured ones, or those of the issuer. The text of the settings stays as it is.
pub async fn a_snapshot_has_the_settings_and_the_redirect_uri<B: AuthorizationServerBackend>(backend: B) {
    let (settings, provider) = (backend.settings(), backend.provider());
    let redirect_uri = "https://host.example/another-callback";
    let resolved = backend.server().resolve(settings, redirect_uri, &provider.config).await;
    let resolved = resolved.unwrap_or_else(|error| panic!("the settings are valid: {error:?}"));
    assert_eq!(resolved, ProviderSnapshot { redirect_uri: redirect_uri.to_owned(), ..provider.clone() });
    assert_eq!((&resolved.profile, &resolved.issuer), (&settings.profile, &settings.issuer));
    assert_eq!((&resolved.client_id, resolved.authentication), (&settings.client_id, settings.authentication));
    assert_eq!((&resolved.resources, &resolved.destinations), (&settings.resources, &settings.destinations));
    match &settings.endpoints {
        Some(configured) => assert_eq!(&resolved.endpoints, configured),
        None => assert!(!resolved.endpoints.authorization.is_empty() && !resolved.endpoints.token.is_empty()),
    }
}

/// Endpoints of another issuer would receive the codes of this one (RFC 8414 §3.3).
pub async fn metadata_of_another_issuer_is_refused<B: AuthorizationServerBackend>(backend: B) {
    let Some(settings) = backend.break_metadata() else { return };
    let resolved = backend.server().resolve(&settings, "https://host.example/callback", &backend.provider().config).await;
    assert_eq!(resolved.map_err(|error| error.kind), Err(ProviderErrorKind::BadMetadata));
}

/// With the value of the request (RFC 6749 §4.1.1, RFC 7636 §4.3). A provider refuses a request with a repeated parameter.
pub async fn an_authorization_url_has_each_parameter_once<B: AuthorizationServerBackend>(backend: B) {
    let (scopes, hint) = (Scopes::new(["files.read", "files.write"]), "alice+a&b=c #\u{e4}@example.test");
    let request = AuthorizationRequest {
        nonce: Some("nonce-1".to_owned()),
        login_hint: Some(hint.to_owned()),
        select_account: true,
        ..request(&scopes)
    };
    let (url, parameters) = authorization_url(&backend, request).await;
    let provider = backend.provider();
    assert_eq!(url, provider.endpoints.authorization);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", provider.client_id.as_str()),
        ("redirect_uri", provider.redirect_uri.as_str()),
        ("state", "state-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("nonce", "nonce-1"),
        ("login_hint", hint),
        ("prompt", "select_account"),
    ] {
        assert_eq!(values(&parameters, name), [value], "{name}");
    }
    let [scope] = values(&parameters, "scope")[..] else { panic!("scope occurs once: {parameters:?}") };
    assert_eq!(Scopes::new(scope.split(' ')), scopes);
}

/// Nonce, login hint and account chooser are optional, and so is the scope (RFC 6749 §3.3).
pub async fn an_authorization_url_has_no_parameter_that_was_not_requested<B: AuthorizationServerBackend>(backend: B) {
    let (_, parameters) = authorization_url(&backend, request(&Scopes::default())).await;
    for name in ["nonce", "login_hint", "prompt", "scope"] {
        assert!(values(&parameters, name).is_empty(), "{name}");
    }
    assert_eq!(values(&parameters, "state"), ["state-1"]);
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

/// It may name none, which means as granted (RFC 6749 §6).
pub async fn a_refresh_requests_no_more_scopes_than_granted<B: AuthorizationServerBackend>(backend: B) {
    let (tokens, granted) = (connect(&backend).await, Scopes::new(["files.read"]));
    let (provider, client) = (backend.provider(), backend.credentials());
    let refreshed = backend.server().refresh(provider, client, refresh_token(&tokens), &granted).await;
    assert_eq!(refreshed.err(), None);
    let further = backend.requested_scopes().map(|requested| requested.without(&granted));
    assert!(further.as_ref().is_none_or(Scopes::is_empty), "{further:?}");
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

/// Revoking it ends the grant, and no other one (RFC 7009 §2.1). Where that is not supported, the grant continues.
pub async fn a_revoked_refresh_token_is_an_invalid_grant<B: AuthorizationServerBackend>(backend: B) {
    let [ended, other] = [connect(&backend).await, connect(&backend).await];
    revoke(&backend, refresh_token(&ended), TokenKind::Refresh).await;
    let is_revoked = backend.revocable().contains(&TokenKind::Refresh);
    let refused = refresh(&backend, refresh_token(&ended)).await;
    assert_eq!(failure(refused), is_revoked.then_some(ProviderErrorKind::InvalidGrant));
    assert_eq!(failure(refresh(&backend, refresh_token(&other)).await), None);
}

/// A token that the provider does not accept needs no revocation (RFC 7009 §2.2).
pub async fn an_unknown_token_is_revoked_already<B: AuthorizationServerBackend>(backend: B) {
    for kind in [TokenKind::Refresh, TokenKind::Access] {
        revoke(&backend, &Secret::from_text("token-of-another-server"), kind).await;
    }
}

/// A code is used once: a repeated request could end the grant that the first one made (RFC 6749 §4.1.2).
pub async fn a_lost_exchange_is_not_repeated<B: AuthorizationServerBackend>(backend: B) {
    let consent = backend.consent().await;
    backend.lose_next(Lost::Response);
    let lost = exchange(&backend, &consent).await.map_err(|error| error.kind);
    assert_eq!((lost.err(), backend.token_requests()), (Some(ProviderErrorKind::NoResponse), 1));
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

/// The token is that of the client (RFC 6749 §4.4).
pub async fn a_client_gets_a_token_by_one_request<B: AuthorizationServerBackend>(backend: B) {
    let scopes = Scopes::new(["files.read"]);
    let tokens = client_token(&backend, &scopes).await.unwrap_or_else(|error| panic!("refused: {error}"));
    assert!(!tokens.access_token.expose().is_empty());
    assert!(tokens.token_type.eq_ignore_ascii_case("bearer"), "{}", tokens.token_type);
    assert_eq!((backend.token_requests(), backend.requested_scopes()), (1, Some(scopes)));
}

/// The caller decides whether to send it again.
pub async fn a_lost_request_for_a_client_token_is_not_repeated<B: AuthorizationServerBackend>(backend: B) {
    backend.lose_next(Lost::Request);
    let lost = client_token(&backend, &Scopes::default()).await.map_err(|error| error.kind);
    assert_eq!((lost.err(), backend.token_requests()), (Some(ProviderErrorKind::NoResponse), 1));
}

/// From the ID token or from userinfo.
pub async fn the_account_that_consented_is_identified<B: AuthorizationServerBackend>(backend: B) {
    let (tokens, nonce) = connect_with_nonce(&backend).await;
    let identified = identify(&backend, &tokens, nonce).await;
    let identified = identified.unwrap_or_else(|error| panic!("the tokens are those of this consent: {error:?}"));
    assert_eq!(identified, Identified { account: backend.account(), ..Identified::default() });
}

/// Its tokens would connect the account of another user (`OpenID` Connect Core §15.5.2).
pub async fn an_id_token_of_another_request_is_refused<B: AuthorizationServerBackend>(backend: B) {
    let (tokens, nonce) = connect_with_nonce(&backend).await;
    if nonce.is_some() {
        assert!(identify(&backend, &tokens, Some("nonce-of-another-request".to_owned())).await.is_err());
    }
}

/// The tokens are usable without it. An ID token that could not be verified is reported.
pub async fn an_account_that_cannot_be_read_is_no_error<B: AuthorizationServerBackend>(backend: B) {
    let (tokens, nonce) = connect_with_nonce(&backend).await;
    if !backend.break_identity() {
        return;
    }
    let identified = identify(&backend, &tokens, nonce).await;
    let identified = identified.unwrap_or_else(|error| panic!("the account is only a label: {error:?}"));
    assert_eq!(identified.account, None);
    assert!(tokens.id_token.is_none() || !identified.anomalies.is_empty());
}

/// A kind that cannot be revoked may be among them. Without a kind that can, tokens would remain valid.
pub fn the_tokens_to_revoke_are_named_once_each<B: AuthorizationServerBackend>(backend: &B) {
    let (order, revocable) = (backend.server().revocation_order(backend.provider()), backend.revocable());
    let times = |kind| order.iter().filter(|named| **named == kind).count();
    assert!(times(TokenKind::Refresh) <= 1 && times(TokenKind::Access) <= 1, "{order:?}");
    assert!(revocable.is_empty() || order.iter().any(|kind| revocable.contains(kind)), "{order:?}");
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::sync::Mutex;

    use grantry_domain::connector::{ConnectorConfig, ProfileId};
    use grantry_domain::ports::ProviderProfiles as _;

    use super::*;
    use crate::contract::rejects;
    use crate::doubles::{Operation, ProviderFault, Reuse, RotatingAuthorizationServer, TestProfiles, locked};

    /// What is wrong with a client.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        None,
        ResolvesAnotherRedirectUri,
        TrustsAnyMetadata,
        RepeatsAParameter,
        EncodesNothing,
        ChoosesTheAccountAlways,
        RepeatsExchanges,
        RepeatsRequestsForClientTokens,
        RequestsFurtherScopes,
        SkipsRevocation,
        ClaimsRevocation,
        NamesNoToken,
        NamesATokenTwice,
        IdentifiesAnotherAccount,
        AcceptsAnyNonce,
        FailsWithoutAnAccount,
        LosesTheRefreshToken,
        KeepsTheUsedRefreshToken,
        ReportsRefusalsAsMalformed,
        RepeatsRefreshes,
    }

    struct Client {
        rotating: RotatingAuthorizationServer,
        /// The scopes of the last request for tokens that named some.
        requested: Mutex<Option<Scopes>>,
        flaw: Flaw,
        settings: ProviderSettings,
        provider: ProviderSnapshot,
        credentials: ClientCredentials,
    }

    impl Client {
        fn new(flaw: Flaw) -> Self {
            let config = ConnectorConfig {
                profile: ProfileId::new(".oauth2").unwrap(),
                settings: "{}".to_owned(),
                client_id: Some("client-1".to_owned()),
            };
            let settings = TestProfiles::default().settings(&config).unwrap();
            let provider = ProviderSnapshot {
                profile: settings.profile.clone(),
                issuer: None,
                issuer_in_response: false,
                endpoints: settings.endpoints.clone().unwrap(),
                client_id: settings.client_id.clone(),
                authentication: settings.authentication,
                resources: Vec::new(),
                destinations: settings.destinations.clone(),
                redirect_uri: "https://host.example/callback".to_owned(),
                config: config.settings,
                api: None,
            };
            let credentials = ClientCredentials { secret: None, user: None };
            let (rotating, requested) = (RotatingAuthorizationServer::new(Reuse::Strict), Mutex::default());
            Self { rotating, requested, flaw, settings, provider, credentials }
        }

        /// The scopes that a request names.
        fn requested(&self, scopes: &Scopes) -> Scopes {
            let further = Scopes::new(["files.write"]);
            let requested = if self.flaw == Flaw::RequestsFurtherScopes { scopes.and(&further) } else { scopes.clone() };
            locked(&self.requested).insert(requested).clone()
        }
    }

    #[async_trait]
    impl AuthorizationServerBackend for Client {
        fn server(&self) -> &dyn AuthorizationServer {
            self
        }

        fn settings(&self) -> &ProviderSettings {
            &self.settings
        }

        fn provider(&self) -> &ProviderSnapshot {
            &self.provider
        }

        fn credentials(&self) -> &ClientCredentials {
            &self.credentials
        }

        async fn consent(&self) -> Consent {
            let nonce = (self.flaw == Flaw::AcceptsAnyNonce).then(|| "nonce-1".to_owned());
            Consent { code: Secret::from_text("alice#0"), verifier: Secret::from_text("verifier"), nonce }
        }

        fn lose_next(&self, lost: Lost) {
            let fault = match lost {
                Lost::Request => ProviderFault::RequestLost,
                Lost::Response => ProviderFault::ResponseLost,
            };
            for operation in [Operation::Exchange, Operation::Refresh, Operation::ClientCredentials] {
                self.rotating.fail_next(operation, fault);
            }
        }

        fn token_requests(&self) -> usize {
            let requests = [Operation::Exchange, Operation::Refresh, Operation::ClientCredentials];
            requests.into_iter().map(|operation| self.rotating.count(operation)).sum()
        }

        fn requested_scopes(&self) -> Option<Scopes> {
            locked(&self.requested).clone()
        }

        fn revocable(&self) -> &[TokenKind] {
            if self.flaw == Flaw::ClaimsRevocation { &[] } else { &[TokenKind::Refresh, TokenKind::Access] }
        }

        fn account(&self) -> Option<Account> {
            Some(Account { subject: "alice".to_owned(), label: "alice".to_owned() })
        }

        fn break_identity(&self) -> bool {
            self.flaw == Flaw::FailsWithoutAnAccount
        }

        fn break_metadata(&self) -> Option<ProviderSettings> {
            (self.flaw == Flaw::TrustsAnyMetadata).then(|| self.settings.clone())
        }
    }

    /// Forwards to the double, except where its flaw is.
    #[async_trait]
    impl AuthorizationServer for Client {
        async fn resolve(
            &self,
            settings: &ProviderSettings,
            redirect_uri: &str,
            config: &str,
        ) -> Result<ProviderSnapshot, ProviderError> {
            let is_flawed = self.flaw == Flaw::ResolvesAnotherRedirectUri;
            self.rotating.resolve(settings, if is_flawed { "https://evil.example/" } else { redirect_uri }, config).await
        }

        async fn authorization_url(
            &self,
            provider: &ProviderSnapshot,
            client: &ClientCredentials,
            mut request: AuthorizationRequest,
        ) -> Result<Secret, ProviderError> {
            request.select_account |= self.flaw == Flaw::ChoosesTheAccountAlways;
            let url = self.rotating.authorization_url(provider, client, request).await?;
            let url = url.expose_text().unwrap();
            let url = if self.flaw == Flaw::RepeatsAParameter { format!("{url}&state=state-1") } else { url.to_owned() };
            Ok(Secret::from_text(&if self.flaw == Flaw::EncodesNothing { url.replace("%26", "&") } else { url }))
        }

        async fn exchange(
            &self,
            provider: &ProviderSnapshot,
            client: &ClientCredentials,
            exchange: &CodeExchange,
        ) -> Result<TokenResponse, ProviderError> {
            let exchanged = self.rotating.exchange(provider, client, exchange).await;
            if exchanged.is_err() && self.flaw == Flaw::RepeatsExchanges {
                return self.rotating.exchange(provider, client, exchange).await;
            }
            if self.flaw == Flaw::LosesTheRefreshToken {
                return exchanged.map(|tokens| TokenResponse { refresh_token: None, ..tokens });
            }
            exchanged
        }

        async fn refresh(
            &self,
            provider: &ProviderSnapshot,
            client: &ClientCredentials,
            refresh_token: &Secret,
            granted: &Scopes,
        ) -> Result<TokenResponse, ProviderError> {
            let granted = &self.requested(granted);
            let refreshed = self.rotating.refresh(provider, client, refresh_token, granted).await;
            match (self.flaw, refreshed) {
                (Flaw::RepeatsRefreshes, Err(_)) => self.rotating.refresh(provider, client, refresh_token, granted).await,
                (Flaw::KeepsTheUsedRefreshToken, Ok(tokens)) => {
                    Ok(TokenResponse { refresh_token: Some(refresh_token.clone_secret()), ..tokens })
                }
                (Flaw::ReportsRefusalsAsMalformed, Err(error)) if error.kind == ProviderErrorKind::InvalidGrant => {
                    Err(ProviderErrorKind::Malformed.into())
                }
                (_, refreshed) => refreshed,
            }
        }

        async fn revoke(
            &self,
            provider: &ProviderSnapshot,
            client: &ClientCredentials,
            token: &Secret,
            kind: TokenKind,
        ) -> Result<RevocationResponse, ProviderError> {
            if self.flaw == Flaw::SkipsRevocation {
                return Ok(RevocationResponse::NotSupported);
            }
            self.rotating.revoke(provider, client, token, kind).await
        }

        fn revocation_order(&self, provider: &ProviderSnapshot) -> Vec<TokenKind> {
            let times = if self.flaw == Flaw::NamesATokenTwice { 2 } else { usize::from(self.flaw != Flaw::NamesNoToken) };
            self.rotating.revocation_order(provider).repeat(times)
        }

        async fn client_credentials(
            &self,
            provider: &ProviderSnapshot,
            client: &ClientCredentials,
            scopes: &Scopes,
        ) -> Result<TokenResponse, ProviderError> {
            let scopes = &self.requested(scopes);
            let response = self.rotating.client_credentials(provider, client, scopes).await;
            if response.is_err() && self.flaw == Flaw::RepeatsRequestsForClientTokens {
                return self.rotating.client_credentials(provider, client, scopes).await;
            }
            response
        }

        async fn identify(
            &self,
            provider: &ProviderSnapshot,
            client: &ClientCredentials,
            response: &TokenResponse,
            nonce: Option<String>,
        ) -> Result<Identified, ProviderError> {
            if self.flaw == Flaw::FailsWithoutAnAccount {
                return Err(ProviderErrorKind::Malformed.into());
            }
            let mut identified = self.rotating.identify(provider, client, response, nonce).await?;
            if let (Some(account), Flaw::IdentifiesAnotherAccount) = (&mut identified.account, self.flaw) {
                "bob".clone_into(&mut account.subject);
            }
            Ok(identified)
        }
    }

    mod of_the_double {
        use super::*;

        fn strict() -> Ready<Client> {
            ready(Client::new(Flaw::None))
        }

        crate::authorization_server_contract!(strict);
    }

    #[tokio::test]
    async fn a_client_that_prepares_a_wrong_flow_is_rejected() {
        let flawed = Client::new;
        let of_settings = a_snapshot_has_the_settings_and_the_redirect_uri(flawed(Flaw::ResolvesAnotherRedirectUri));
        assert!(rejects(of_settings).await);
        assert!(rejects(metadata_of_another_issuer_is_refused(flawed(Flaw::TrustsAnyMetadata))).await);
        assert!(rejects(an_authorization_url_has_each_parameter_once(flawed(Flaw::RepeatsAParameter))).await);
        assert!(rejects(an_authorization_url_has_each_parameter_once(flawed(Flaw::EncodesNothing))).await);
        let of_url = an_authorization_url_has_no_parameter_that_was_not_requested(flawed(Flaw::ChoosesTheAccountAlways));
        assert!(rejects(of_url).await);
    }

    #[tokio::test]
    async fn a_client_that_sends_other_requests_is_rejected() {
        let flawed = Client::new;
        assert!(rejects(a_lost_exchange_is_not_repeated(flawed(Flaw::RepeatsExchanges))).await);
        assert!(rejects(a_code_becomes_tokens_by_one_request(flawed(Flaw::LosesTheRefreshToken))).await);
        let of_refresh = a_refresh_replaces_both_tokens_by_one_request(flawed(Flaw::KeepsTheUsedRefreshToken));
        assert!(rejects(of_refresh).await);
        let refusals = || flawed(Flaw::ReportsRefusalsAsMalformed);
        assert!(rejects(a_used_refresh_token_is_an_invalid_grant(refusals())).await);
        assert!(rejects(an_unknown_refresh_token_is_an_invalid_grant(refusals())).await);
        let of_request = a_lost_request_is_not_repeated_and_leaves_the_token_valid(flawed(Flaw::RepeatsRefreshes));
        assert!(rejects(of_request).await);
        let of_response = a_lost_response_is_not_repeated_and_has_used_the_token(flawed(Flaw::RepeatsRefreshes));
        assert!(rejects(of_response).await);
        let of_client = a_lost_request_for_a_client_token_is_not_repeated(flawed(Flaw::RepeatsRequestsForClientTokens));
        assert!(rejects(of_client).await);
        assert!(rejects(a_client_gets_a_token_by_one_request(flawed(Flaw::RequestsFurtherScopes))).await);
        assert!(rejects(a_refresh_requests_no_more_scopes_than_granted(flawed(Flaw::RequestsFurtherScopes))).await);
        for flaw in [Flaw::SkipsRevocation, Flaw::ClaimsRevocation] {
            assert!(rejects(a_revoked_refresh_token_is_an_invalid_grant(flawed(flaw))).await);
            assert!(rejects(an_unknown_token_is_revoked_already(flawed(flaw))).await);
        }
        for flaw in [Flaw::NamesNoToken, Flaw::NamesATokenTwice] {
            assert!(rejects(async move { the_tokens_to_revoke_are_named_once_each(&flawed(flaw)) }).await);
        }
    }

    #[tokio::test]
    async fn a_client_that_identifies_a_wrong_account_is_rejected() {
        let flawed = Client::new;
        assert!(rejects(the_account_that_consented_is_identified(flawed(Flaw::IdentifiesAnotherAccount))).await);
        assert!(rejects(an_id_token_of_another_request_is_refused(flawed(Flaw::AcceptsAnyNonce))).await);
        assert!(rejects(an_account_that_cannot_be_read_is_no_error(flawed(Flaw::FailsWithoutAnAccount))).await);
    }
}

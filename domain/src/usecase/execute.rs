//! Running a connector: one request to its API with the user's access token. The request is that of the caller, or the one with
//! which users try their connections.

use std::sync::Arc;

use thiserror::Error;

use crate::authorization::Reason;
use crate::connector::ConnectorKey;
use crate::encoding::sha256;
use crate::identity::{Actor, ConnectionName, Role, UserId};
use crate::ports::{ApiError, ApiQuery, ApiRequest, ApiRequestRefused, ApiResponse, ConnectorStore, Probe, ResourceServer};
use crate::provider::Origin;
use crate::secret::Secret;
use crate::usecase::access::{Access, AccessError};
use crate::usecase::access_token::AccessTokens;
use crate::usecase::settings::{AuthenticSettings, ConnectorSettings};
use crate::usecase::token::{AccessTokenRequest, TokenError};

/// A request to the API behind a connector.
pub struct Execution {
    /// The caller.
    pub actor: Actor,
    /// The connector.
    pub connector: ConnectorKey,
    /// The user whose token is used.
    pub user: UserId,
    /// The connection; `None` means the only one, or the user's default.
    pub connection: Option<ConnectionName>,
    /// HTTP method.
    pub method: String,
    /// Path below the connector's base URL, with or without a query.
    pub path: String,
    /// Query, after that of the path.
    pub query: ApiQuery,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<Vec<u8>>,
}

/// What a user finds out about a connection. Contains nothing of the response but its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedConnection {
    /// HTTP status of the response of the API.
    pub http_status: u16,
    /// The connection that was used.
    pub connection: ConnectionName,
    /// Label of its account at the provider, if it is known.
    pub account: Option<String>,
}

/// Why there is no response of the API.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The request is not acceptable, or the API did not respond.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl ExecuteError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Token(error) => error.code(),
            Self::Api(ApiError::Refused(_)) => "invalid_request",
            Self::Api(ApiError::NotAllowed) => "destination_refused",
            Self::Api(ApiError::TooLarge) => "response_too_large",
            Self::Api(ApiError::Unreachable) => "api_unreachable",
        }
    }
}

/// The type of the connector has no such request.
const NOTHING_TO_TRY: ApiRequestRefused =
    ApiRequestRefused { field: "connector_type_id", problem: "has no request with which a connection can be tried" };

/// Runs connectors.
pub(crate) struct Executor {
    pub(super) connectors: Arc<dyn ConnectorStore>,
    pub(super) resource: Arc<dyn ResourceServer>,
    pub(super) access: Access,
    pub(super) settings: ConnectorSettings,
    pub(super) tokens: Arc<AccessTokens>,
}

/// A call of an API whose token is not issued yet.
pub(super) struct Call<'a> {
    pub(super) actor: Actor,
    pub(super) connector: ConnectorKey,
    pub(super) user: UserId,
    pub(super) connection: Option<ConnectionName>,
    pub(super) path: &'a str,
    pub(super) query: &'a ApiQuery,
}

/// A call with its token.
pub(super) struct AuthorizedCall {
    pub(super) url: String,
    pub(super) token: Secret,
    request: AccessTokenRequest,
    connection: Option<ConnectionName>,
    /// Path and query, if they are joined to the base URL of the grant. A refresh can bring another one.
    below_grant: Option<(String, ApiQuery)>,
}

impl AuthorizedCall {
    /// The API rejected two tokens in a row, so the user must consent again.
    pub(super) fn rejected_again(self) -> ExecuteError {
        let connection = self.request.connection.unwrap_or_default();
        TokenError::AuthorizationRequired { reason: Reason::TokenRejected, connection }.into()
    }
}

impl Executor {
    /// Sends one request with the user's token, to the origins consented to only. A 401 forces at most one refresh and one
    /// retry with the new token; a second 401 is final.
    pub(super) async fn execute(&self, execution: Execution) -> Result<ApiResponse, ExecuteError> {
        let Execution { actor, connector, user, connection, method, path, query, headers, body } = execution;
        let call = Call { actor, connector, user: user.clone(), connection, path: &path, query: &query };
        let first = self.authorize(call).await?;
        let api_request = ApiRequest { method, url: first.url.clone(), headers, body, user };
        self.send(first, api_request).await
    }

    /// Sends the request of the profile that succeeds with every valid token, with that of the calling user.
    pub(super) async fn try_connection(
        &self,
        actor: &Actor,
        connector: ConnectorKey,
        connection: Option<ConnectionName>,
    ) -> Result<TriedConnection, ExecuteError> {
        let user =
            self.access.authorize_user(actor, &connector.space, Role::Viewer).await.map_err(TokenError::from)?.clone();
        let settings = self.usable_settings(&connector).await?;
        let Probe { url, origin, headers } =
            settings.probe.clone().filter(|_| settings.can_be_tried).ok_or(ApiError::Refused(NOTHING_TO_TRY))?;
        let request = AccessTokenRequest {
            actor: actor.clone(),
            connector,
            user: user.clone(),
            connection,
            destination: Some(origin),
        };
        let issued = self.tokens.issue(&request, None).await?;
        let (connection, account) = (issued.connection.clone().unwrap_or_default(), issued.account);
        let api_request = ApiRequest { method: "GET".to_owned(), url: url.clone(), headers, body: None, user };
        let first = AuthorizedCall { url, token: issued.token, request, connection: issued.connection, below_grant: None };
        let response = self.send(first, api_request).await?;
        Ok(TriedConnection { http_status: response.status, connection, account })
    }

    async fn usable_settings(&self, key: &ConnectorKey) -> Result<Arc<AuthenticSettings>, TokenError> {
        let connector = self.connectors.get(key).await?.ok_or(AccessError::NotFound)?;
        self.tokens.usable_settings(&connector, self.settings.of(&connector))
    }

    /// Sends a request with its token, and after a 401 once more with another one.
    async fn send(&self, first: AuthorizedCall, api_request: ApiRequest) -> Result<ApiResponse, ExecuteError> {
        let response = self.resource.send(&api_request, &first.token).await?;
        if response.status != 401 {
            return Ok(response);
        }
        let second = Box::pin(self.replace_token(first)).await?;
        let api_request = ApiRequest { url: second.url.clone(), ..api_request };
        let response = self.resource.send(&api_request, &second.token).await?;
        if response.status == 401 { Err(second.rejected_again()) } else { Ok(response) }
    }

    /// Checks access and destination, and issues the token.
    pub(super) async fn authorize(&self, call: Call<'_>) -> Result<AuthorizedCall, ExecuteError> {
        let Call { actor, connector, user, connection, path, query } = call;
        let request = AccessTokenRequest { actor, connector, user, connection, destination: None };
        let read = self.tokens.read(request).await?;
        let settings = self.tokens.usable_settings(read.connector(), self.settings.of(read.connector()))?;
        // A request that is refused in any case needs no token. The base URL of a grant is known with its token only.
        let joined = settings.provider.base_url.as_deref().map(|base_url| self.join(base_url, path, query)).transpose()?;
        let (url, destination) = joined.unzip();
        let (request, issued) = self.tokens.issue_from(read.with_destination(destination)).await?;
        let (url, below_grant) = match url {
            Some(url) => (url, None),
            None => (self.join(&issued.base_url, path, query)?.0, Some((path.to_owned(), query.clone()))),
        };
        Ok(AuthorizedCall { url, token: issued.token, request, connection: issued.connection, below_grant })
    }

    fn join(&self, base_url: &str, path: &str, query: &ApiQuery) -> Result<(String, Origin), ApiError> {
        self.resource.join(base_url, path, query).map_err(ApiError::Refused)
    }

    /// The same call with another token than the rejected one.
    pub(super) async fn replace_token(&self, call: AuthorizedCall) -> Result<AuthorizedCall, ExecuteError> {
        let AuthorizedCall { url, token, request, connection, below_grant } = call;
        // The retry uses the same connection, also if the user's default changes in between.
        let request = AccessTokenRequest { connection: connection.or(request.connection), ..request };
        let issued = self.tokens.issue(&request, Some(sha256(token.expose()))).await?;
        let url = match &below_grant {
            Some((path, query)) => self.join(&issued.base_url, path, query)?.0,
            None => url,
        };
        Ok(AuthorizedCall { url, token: issued.token, request, connection: issued.connection, below_grant })
    }
}

//! Running a connector: one request to its API with the user's access token.

use std::sync::Arc;

use thiserror::Error;

use crate::authorization::Reason;
use crate::connector::ConnectorKey;
use crate::identity::{Actor, ConnectionName, Role, UserId};
use crate::ports::{ApiError, ApiQuery, ApiRequest, ApiResponse, ConnectorStore, ResourceServer};
use crate::usecase::access::{Access, AccessError};
use crate::usecase::access_token::AccessTokens;
use crate::usecase::settings::ConnectorSettings;
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

/// Runs connectors.
pub(crate) struct Executor {
    pub(super) connectors: Arc<dyn ConnectorStore>,
    pub(super) resource: Arc<dyn ResourceServer>,
    pub(super) access: Access,
    pub(super) settings: ConnectorSettings,
    pub(super) tokens: Arc<AccessTokens>,
}

impl Executor {
    /// Sends one request with the user's token, to the origins consented to only. A 401 forces at most one refresh and one
    /// retry with the new token; a second 401 is final.
    pub(super) async fn execute(&self, execution: Execution) -> Result<ApiResponse, ExecuteError> {
        let space = &execution.connector.space;
        self.access.authorize(&execution.user, space, Role::Viewer).await.map_err(TokenError::from)?;
        let found = self.connectors.get(&execution.connector).await.map_err(TokenError::from)?;
        let connector = found.ok_or(TokenError::Access(AccessError::NotFound))?;
        let settings = self.tokens.usable_settings(&connector, self.settings.of(&connector))?;
        let Execution { method, path, query, headers, body, .. } = execution;
        let join = |base_url: &str| self.resource.join(base_url, &path, &query).map_err(ApiError::Refused);
        // A request that is refused in any case needs no token. The base URL of a grant is known with its token only.
        let joined = settings.provider.base_url.as_deref().map(join).transpose()?;
        let (url, destination) = joined.unzip();
        let request = AccessTokenRequest {
            actor: execution.actor,
            connector: execution.connector,
            user: execution.user,
            connection: execution.connection,
            destination,
        };
        let first = self.tokens.issue(&request, None).await?;
        let url = match url {
            Some(url) => url,
            None => join(&first.base_url)?.0,
        };
        let api_request = ApiRequest { method, url, headers, body, user: request.user.clone() };
        let response = self.resource.send(&api_request, &first.token).await?;
        if response.status != 401 {
            return Ok(response);
        }
        let rejected = first.sha256();
        // The retry uses the same connection, also if the user's default changes in between.
        let request = AccessTokenRequest { connection: first.connection.or(request.connection), ..request };
        let second = self.tokens.issue(&request, Some(rejected)).await?;
        let response = self.resource.send(&api_request, &second.token).await?;
        if response.status == 401 {
            let connection = request.connection.unwrap_or_default();
            return Err(TokenError::AuthorizationRequired { reason: Reason::TokenRejected, connection }.into());
        }
        Ok(response)
    }
}

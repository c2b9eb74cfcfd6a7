//! Running a connector: one request to its API with the right person's token.

use std::sync::Arc;

use thiserror::Error;

use crate::authorization::Reason;
use crate::connector::ConnectorKey;
use crate::identity::{Actor, Role, UserId};
use crate::ports::{ApiError, ApiRequest, ApiResponse};
use crate::usecase::Connections;
use crate::usecase::access_token::{AccessTokenRequest, TokenError};

/// A request to the API behind a connector.
pub struct Execution {
    /// Who asks.
    pub actor: Actor,
    /// Which connector.
    pub connector: ConnectorKey,
    /// As whom.
    pub user: UserId,
    /// HTTP method.
    pub method: String,
    /// Path below the connector's base URL.
    pub path: String,
    /// Query parameters.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<Vec<u8>>,
}

/// Why the API was not called, or gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The request is not acceptable, or the API did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl ExecuteError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Token(error) => error.code(),
            Self::Api(ApiError::Refused(_)) => "invalid_request",
            Self::Api(ApiError::NotAllowed) => "destination_refused",
            Self::Api(ApiError::TooLarge) => "response_too_large",
            Self::Api(ApiError::Unreachable) => "api_unreachable",
        }
    }
}

impl Connections {
    /// Sends one request with the user's token, to the origins consented to and nowhere else (R43). A 401 forces at most one
    /// renewal and one retry, with the new token; a second 401 is final.
    pub async fn execute(self: &Arc<Self>, execution: Execution) -> Result<ApiResponse, ExecuteError> {
        let space = &execution.connector.space;
        self.authorize(&execution.user, space, Role::Viewer).await.map_err(TokenError::from)?;
        let found = self.ports.connectors.get(&execution.connector).await.map_err(TokenError::from)?;
        let connector = found.filter(|connector| connector.enabled).ok_or(TokenError::NotFound)?;
        let (settings, _) = self.settings_of(&connector).map_err(|_| TokenError::Misconfigured)?;
        let joined = self.ports.resource.join(&settings.base_url, &execution.path, &execution.query);
        let (url, destination) = joined.map_err(ApiError::Refused)?;
        let request = ApiRequest { method: execution.method, url, headers: execution.headers, body: execution.body };
        let demand =
            AccessTokenRequest { actor: execution.actor, connector: execution.connector, user: execution.user, destination };
        let first = self.access_token(&demand).await?;
        let answer = self.ports.resource.send(&request, &first.token).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let second = self.report_unauthorized(&demand, first.fingerprint).await?;
        let answer = self.ports.resource.send(&request, &second.token).await?;
        if answer.status == 401 {
            return Err(TokenError::AuthorizationRequired { reason: Reason::TokenRejected }.into());
        }
        Ok(answer)
    }
}

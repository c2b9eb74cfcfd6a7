//! Relaying one request to the API of a connector with the user's access token, while its bodies arrive.

use crate::connector::ConnectorKey;
use crate::identity::{Actor, ConnectionName, UserId};
use crate::ports::{ApiQuery, StreamedBody, StreamedRequest, StreamedResponse};
use crate::usecase::execute::{Call, ExecuteError, Executor};
use crate::usecase::repeatable_body::repeatable;

/// A request to the API behind a connector, with a body that is still arriving.
pub struct Relay {
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
    /// Headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Option<StreamedBody>,
}

impl Executor {
    /// Opens one request with the user's token, to the origins consented to only. A 401 forces at most one refresh. The request
    /// is sent again with the new token if its body can be repeated; then a second 401 is final. Otherwise the 401 is returned,
    /// and the next request of the caller uses the new token.
    pub(super) async fn relay(&self, relay: Relay) -> Result<StreamedResponse, ExecuteError> {
        let Relay { actor, connector, user, connection, method, path, headers, body } = relay;
        let query = ApiQuery::default();
        let call = Call { actor, connector, user: user.clone(), connection, path: &path, query: &query };
        let first = self.authorize(call).await?;
        let (body, kept) = body.map(repeatable).unzip();
        let request = StreamedRequest {
            method: method.clone(),
            url: first.url.clone(),
            headers: headers.clone(),
            body,
            user: user.clone(),
        };
        let response = self.resource.open(request, &first.token).await?;
        if response.status != 401 {
            if let Some(kept) = kept {
                kept.forget();
            }
            return Ok(response);
        }
        let body = match kept {
            None => None,
            Some(kept) => {
                let Some(body) = kept.take_back() else {
                    Box::pin(self.replace_token(first)).await?;
                    return Ok(response);
                };
                Some(body)
            }
        };
        // The second attempt takes the place of the first one among the requests of its user.
        drop(response);
        let second = Box::pin(self.replace_token(first)).await?;
        let request = StreamedRequest { method, url: second.url.clone(), headers, body, user };
        let response = self.resource.open(request, &second.token).await?;
        if response.status == 401 { Err(second.rejected_again()) } else { Ok(response) }
    }
}

"""Client of Grantry for back ends: runs connectors and fetches access tokens for users of the host."""

from grantry._client import AsyncClient, Client
from grantry.errors import (
    ApiFailed,
    AuthorizationRequired,
    ConnectionAmbiguous,
    ConnectionNotFound,
    Forbidden,
    GrantryError,
    InvalidRequest,
    Misconfigured,
    NetworkError,
    NotFound,
    RateLimited,
    RefreshRefused,
    RequestTimeout,
    Unauthenticated,
    Unavailable,
    UnexpectedResponse,
)
from grantry.generated.models import ERROR_CODES, AccessToken, ExecuteData, ExecuteResult, ProblemConnection

__all__ = [
    "ERROR_CODES",
    "AccessToken",
    "ApiFailed",
    "AsyncClient",
    "AuthorizationRequired",
    "Client",
    "ConnectionAmbiguous",
    "ConnectionNotFound",
    "ExecuteData",
    "ExecuteResult",
    "Forbidden",
    "GrantryError",
    "InvalidRequest",
    "Misconfigured",
    "NetworkError",
    "NotFound",
    "ProblemConnection",
    "RateLimited",
    "RefreshRefused",
    "RequestTimeout",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedResponse",
]

"""What the failure of a request raises: a class for each kind. `code` is stable and distinguishes further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from grantry import _read as read
from grantry.generated.models import ProblemConnection


class GrantryError(Exception):
    """Every failure of a request. A code of flows, `internal`, or a code of a newer server has this class."""

    code: str
    """Code of the server, `network_error` or `unexpected_response`."""
    status: int
    """HTTP status; 0 where no response arrived."""
    field: str | None
    """Path of the member that is wrong."""
    correlation_id: str | None
    """Id of the response in the log of the operator."""
    retry_after: int | None
    """Seconds to wait, from `Retry-After`."""
    members: Mapping[str, Any]
    """All members of the problem (RFC 9457)."""

    # A message is the only argument without a name, so that errors can be pickled.
    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int = 0,
        retry_after: int | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after = retry_after
        self.members = members or {}
        self.field = self._text("field")
        self.correlation_id = self._text("correlation_id")

    def _text(self, member: str) -> str | None:
        value = self.members.get(member)
        return value if isinstance(value, str) else None


class _AtStartLink(GrantryError):
    @property
    def start_url(self) -> str:
        """Absolute URL of the page on which the user connects. The user must sign in there."""
        return self._text("startUrl") or ""

    @property
    def connection(self) -> str:
        """Name of the connection. The start link contains it unless it is `default`."""
        try:
            query = urlsplit(self.start_url).query
        except ValueError:
            # Not a URL. An error must not fail where it is reported.
            query = ""
        return parse_qs(query).get("connection", ["default"])[0]


class AuthorizationRequired(_AtStartLink):
    """The user must connect first (`authorization_required`). Show `start_url` to the user."""

    @property
    def reason(self) -> str:
        """Why, such as `not_connected`. Further values may be added."""
        return self._text("reason") or ""


class RefreshRefused(_AtStartLink):
    """The provider refuses to refresh for now (`refresh_refused`). Wait for `retry_after` seconds, or show `start_url`."""

    @property
    def provider_status(self) -> int | None:
        """HTTP status of the provider's response."""
        status = self.members.get("providerStatus")
        return status if isinstance(status, int) else None


class ConnectionAmbiguous(GrantryError):
    """The user has several connections and no default one (`connection_ambiguous`). Name one of `connections`."""

    @property
    def connections(self) -> Sequence[ProblemConnection]:
        """The connections to choose from."""
        try:
            return read.list_of(ProblemConnection.from_json)(self.members.get("connections"))
        except ValueError:
            return []


class ConnectionNotFound(GrantryError):
    """The user has no connection of this name (`connection_not_found`)."""


class Unauthenticated(GrantryError):
    """The key is missing or not valid (`not_signed_in`)."""


class Forbidden(GrantryError):
    """The agent or the user lacks a permission, or tokens may not be sent to the destination."""


class NotFound(GrantryError):
    """The connector does not exist in the space, or the agent or the user has no access to it (`not_found`)."""


class InvalidRequest(GrantryError):
    """The request is wrong; `field` names the member where there is one."""


class RateLimited(GrantryError):
    """Too many requests (`rate_limited`). The request may have reached the API."""


class Unavailable(GrantryError):
    """Grantry, its store or the provider is not available at the moment. The API has not processed the request."""


class Misconfigured(GrantryError):
    """The operator must correct the connector, the server or a proxy in front of it."""


class ApiFailed(GrantryError):
    """The API did not respond, or its response is too large. The API may have processed the request."""


class NetworkError(GrantryError):
    """No response arrived (`network_error`). The API may have processed the request."""


class RequestTimeout(NetworkError):
    """No response arrived in time. The API may have processed the request."""


class UnexpectedResponse(GrantryError):
    """The response is not one of the API (`unexpected_response`), for example that of a proxy."""


# A code that is absent only occurs in flows, or is a defect.
CLASSES: Mapping[str, type[GrantryError]] = {
    "authorization_required": AuthorizationRequired,
    "refresh_refused": RefreshRefused,
    "connection_ambiguous": ConnectionAmbiguous,
    "connection_not_found": ConnectionNotFound,
    "not_signed_in": Unauthenticated,
    "forbidden": Forbidden,
    "destination_refused": Forbidden,
    "permission_lost": Forbidden,
    "user_deprovisioned": Forbidden,
    "not_found": NotFound,
    "invalid_request": InvalidRequest,
    "payload_too_large": InvalidRequest,
    "unsupported_media_type": InvalidRequest,
    "url_too_long": InvalidRequest,
    "headers_too_large": InvalidRequest,
    "method_not_allowed": InvalidRequest,
    "rate_limited": RateLimited,
    "provider_unavailable": Unavailable,
    "store_unavailable": Unavailable,
    "audit_unavailable": Unavailable,
    "directory_unavailable": Unavailable,
    "provider_misconfigured": Misconfigured,
    "connector_tampered": Misconfigured,
    "connector_incomplete": Misconfigured,
    "host_not_allowed": Misconfigured,
    "wrong_host": Misconfigured,
    "api_unreachable": ApiFailed,
    "response_too_large": ApiFailed,
}


def of_problem(status: int, problem: object, retry_after: int | None) -> GrantryError:
    """The error of a response that is not a success."""
    code = problem.get("code") if isinstance(problem, dict) else None
    if not isinstance(problem, dict) or not isinstance(code, str):
        message = f"The server sent an unexpected response with status {status}."
        return UnexpectedResponse(message, code="unexpected_response", status=status, retry_after=retry_after)
    detail = problem.get("detail")
    message = detail if isinstance(detail, str) else code
    of_code = CLASSES.get(code, GrantryError)
    return of_code(message, code=code, status=status, retry_after=retry_after, members=problem)

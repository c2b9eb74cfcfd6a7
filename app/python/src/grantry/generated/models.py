"""Generated from openapi.json by scripts/generate_models.py. Do not edit by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from grantry import _read as read


# Every error code of the server. The codes are stable.
ERROR_CODES: Final = (
    "not_signed_in",
    "forbidden",
    "not_found",
    "conflict",
    "invalid_request",
    "payload_too_large",
    "unsupported_media_type",
    "url_too_long",
    "headers_too_large",
    "wrong_host",
    "rate_limited",
    "host_not_allowed",
    "connector_incomplete",
    "return_url_refused",
    "destination_refused",
    "method_not_allowed",
    "internal",
    "api_unreachable",
    "response_too_large",
    "store_unavailable",
    "audit_unavailable",
    "directory_unavailable",
    "authorization_required",
    "connection_ambiguous",
    "connection_not_found",
    "provider_unavailable",
    "refresh_refused",
    "provider_misconfigured",
    "flow_not_found",
    "flow_expired",
    "flow_already_used",
    "user_mismatch",
    "browser_mismatch",
    "issuer_mismatch",
    "callback_mismatch",
    "access_denied",
    "provider_error",
    "exchange_failed",
    "connector_changed",
    "connector_tampered",
    "connector_gone",
    "permission_lost",
    "user_deprovisioned",
    "insufficient_scope",
    "account_already_connected",
    "account_mismatch",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A valid access token."""

    access_token: str = field(repr=False)
    """The token."""
    base_url: str
    """The base URL of the API: that of the user's account, if the provider names one, or else that of the
    connector.
    """
    token_type: str
    """`Bearer`, as the provider spells it."""
    expires_at: datetime | None = None
    """When it expires; null if it does not."""

    @classmethod
    def from_json(cls, value: object) -> AccessToken:
        """Reads the JSON of the API. Raises ValueError if a member is missing or has another type."""
        members = read.members(value)
        return cls(
            access_token=read.required(members, "access_token", read.text),
            base_url=read.required(members, "base_url", read.text),
            token_type=read.required(members, "token_type", read.text),
            expires_at=read.optional(members, "expires_at", read.timestamp),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokenBody:
    """The user, and where the token will be sent."""

    user: str
    """Id of the user."""
    connection: str | None = None
    """Name of the connection. Default: the only one, or the user's default."""
    destination: str | None = None
    """URL or origin that the token will be sent to. It must be among those the user consented to. Default:
    the base URL of the API, which the response contains.
    """

    def to_json(self) -> dict[str, Any]:
        """The JSON of the API, without members that are None."""
        members: dict[str, Any] = {
            "user": self.user,
            "connection": self.connection,
            "destination": self.destination,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteParams:
    """One request to a connector's API."""

    method: str
    """HTTP method."""
    path: str
    """Path below the connector's base URL, sent as it is written, with or without a query."""
    body: Any = None
    """Body: a string is sent as text, any other value unchanged as JSON, at most 128 levels deep."""
    headers: Mapping[str, str | float | bool] | None = None
    """Headers: an object of strings, numbers and booleans. Credentials and headers of the connection are
    refused.
    """
    query: Mapping[str, str | float | bool | Sequence[str | float | bool]] | str | None = None
    """Query, after that of the path: an object of strings, numbers, booleans and lists of them, whose
    names may be repeated; or a string that is already encoded.
    """

    def to_json(self) -> dict[str, Any]:
        """The JSON of the API, without members that are None."""
        members: dict[str, Any] = {
            "method": self.method,
            "path": self.path,
            "body": self.body,
            "headers": self.headers,
            "query": self.query,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteBody:
    """The request to send, and for which user."""

    params: ExecuteParams
    """The request to the API."""
    act_as: str | None = None
    """The user an agent acts for. A user may only name themselves."""
    connection: str | None = None
    """Name of the connection. Default: the only one, or the user's default."""

    def to_json(self) -> dict[str, Any]:
        """The JSON of the API, without members that are None."""
        members: dict[str, Any] = {
            "params": self.params.to_json(),
            "act_as": self.act_as,
            "connection": self.connection,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteData:
    """A response of the API."""

    headers: Mapping[str, str]
    """Its headers, without cookies and headers of the connection. Values of one name are joined by `, `. A
    value that is not UTF-8 is read as ISO 8859-1.
    """
    status: int
    """Its HTTP status."""
    body: Any = None
    """Its body: JSON as JSON, text as text, other content in base64."""
    body_encoding: str | None = None
    """`base64` if the body is encoded in base64."""
    headers_base64: Mapping[str, str] | None = None
    """The bytes of the values that are not UTF-8, in base64."""

    @classmethod
    def from_json(cls, value: object) -> ExecuteData:
        """Reads the JSON of the API. Raises ValueError if a member is missing or has another type."""
        members = read.members(value)
        return cls(
            headers=read.required(members, "headers", read.mapping_of(read.text)),
            status=read.required(members, "status", read.integer),
            body=read.optional(members, "body", read.anything),
            body_encoding=read.optional(members, "body_encoding", read.text),
            headers_base64=read.optional(members, "headers_base64", read.mapping_of(read.text)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteResult:
    """The response of the API."""

    connector_id: str
    """The connector."""
    data: ExecuteData
    """The response."""
    status: str
    """Always `ok`: the API responded, with any status."""

    @classmethod
    def from_json(cls, value: object) -> ExecuteResult:
        """Reads the JSON of the API. Raises ValueError if a member is missing or has another type."""
        members = read.members(value)
        return cls(
            connector_id=read.required(members, "connector_id", read.text),
            data=read.required(members, "data", ExecuteData.from_json),
            status=read.required(members, "status", read.text),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemConnection:
    """A connection to choose."""

    name: str
    """Its name."""
    account: str | None = None
    """The account at the provider."""

    @classmethod
    def from_json(cls, value: object) -> ProblemConnection:
        """Reads the JSON of the API. Raises ValueError if a member is missing or has another type."""
        members = read.members(value)
        return cls(
            name=read.required(members, "name", read.text),
            account=read.optional(members, "account", read.text),
        )

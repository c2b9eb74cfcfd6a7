"""What both clients share: the requests, their responses, and when to repeat a request. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

import httpx

from grantry import errors
from grantry.generated.models import AccessToken, AccessTokenBody, ExecuteBody, ExecuteParams, ExecuteResult

T = TypeVar("T")

# Methods whose repetition has the effect of one request (RFC 9110 section 9.2.2).
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
# Codes that are sent before the API accepts a request, so that any request may be repeated.
_BEFORE_THE_API = frozenset(
    {"provider_unavailable", "refresh_refused", "store_unavailable", "audit_unavailable", "directory_unavailable"}
)
# What sending a request raises without a response. httpx also reads the target of a redirect that it does not follow, with
# InvalidURL and UnicodeError for some targets; the latter also arises for a host name that has no form in IDNA.
SEND_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError)


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request to the server."""

    path: str
    body: dict[str, Any]
    # Whether the request may reach the API twice.
    idempotent: bool
    reader: Callable[[object], T]


def execute(user: str, connector: str, params: ExecuteParams, connection: str | None) -> Call[ExecuteResult]:
    return Call(
        path=f"/api/actions/connector/{_segment('connector', connector)}/_execute",
        body=ExecuteBody(act_as=user, params=params, connection=connection).to_json(),
        idempotent=params.method.upper() in _IDEMPOTENT,
        reader=ExecuteResult.from_json,
    )


def access_token(user: str, connector: str, destination: str, connection: str | None) -> Call[AccessToken]:
    return Call(
        path=f"/internal/actions/connector/{_segment('connector', connector)}/_access_token",
        body=AccessTokenBody(user=user, destination=destination, connection=connection).to_json(),
        idempotent=True,
        reader=AccessToken.from_json,
    )


def params_of(
    method: str,
    path: str,
    query: Mapping[str, Any] | str | None,
    headers: Mapping[str, str] | None,
    body: object,
) -> ExecuteParams:
    return ExecuteParams(
        method=method,
        path=path,
        query=query if query is None or isinstance(query, str) else dict(query),
        headers=None if headers is None else dict(headers),
        body=body,
    )


@dataclass(frozen=True)
class Server:
    """How to reach the server, and when to repeat a request."""

    base_url: str
    key: str = field(repr=False)
    space: str | None
    max_retries: int
    max_retry_wait: float

    def __post_init__(self) -> None:
        if not _is_absolute(self.base_url):
            raise ValueError("base_url: is not an absolute URL of http or https")
        if "@" in urlsplit(self.base_url).netloc or "?" in self.base_url or "#" in self.base_url:
            raise ValueError("base_url: contains credentials, a query or a fragment")
        # A library below could quote a key that is not a header value in its error.
        if not self.key or any(not "!" <= character <= "~" for character in self.key):
            raise ValueError("key: is empty, or contains white space or a character that is not ASCII")
        for name, value in (("max_retries", self.max_retries), ("max_retry_wait", self.max_retry_wait)):
            # NaN would compare as neither reached nor exceeded.
            if not value >= 0:
                raise ValueError(f"{name}: is not a number of at least 0")
        if self.max_retries == float("inf"):
            raise ValueError("max_retries: is not finite")
        _prefix(self.space)

    def request(
        self, http: httpx.Client | httpx.AsyncClient, call: Call[T], space: str | None, timeout: float
    ) -> httpx.Request:
        """The request of a call. What it raises is a mistake of the caller."""
        url = self.base_url.rstrip("/") + _prefix(self.space if space is None else space) + call.path
        content = json.dumps(call.body, allow_nan=False, separators=(",", ":")).encode()
        headers = {
            "accept": "application/json",
            "authorization": f"Bearer {self.key}",
            "content-type": "application/json",
        }
        try:
            return http.build_request("POST", url, headers=headers, content=content, timeout=timeout)
        except httpx.InvalidURL as error:
            # The base URL is valid, and the rest is encoded: it is too long.
            raise ValueError(f"connector or space: {error}") from None

    def pause_before_retry(self, error: errors.GrantryError, call: Call[T], attempt: int) -> int | None:
        """Seconds to wait before a repetition; None if there must be none.

        Only a response with `Retry-After` permits one. `rate_limited` can arrive after the request has reached the API, and
        permits it for idempotent requests only.
        """
        repeatable = error.code in _BEFORE_THE_API or (error.code == "rate_limited" and call.idempotent)
        wait = error.retry_after
        if not repeatable or attempt >= self.max_retries or wait is None or wait > self.max_retry_wait:
            return None
        return wait


def result_of(response: httpx.Response, call: Call[T]) -> T:
    """The result in a response that is completely read. Raises the error in it."""
    value = _json_of(response)
    status = response.status_code
    failure: errors.GrantryError
    if response.is_success:
        try:
            return call.reader(value)
        except ValueError as error:
            # Not as the cause: its traceback would keep the response, which can contain a token.
            message = f"The server sent an unexpected response: {error}."
        failure = errors.UnexpectedResponse(message, code="unexpected_response", status=status)
    else:
        failure = errors.of_problem(status, value, _retry_after(response))
    # The traceback keeps this frame, which tools that report errors read.
    del response, value
    raise failure


def failure_of(error: Exception) -> errors.GrantryError:
    """The error for a request without a response."""
    if isinstance(error, httpx.TimeoutException):
        return errors.RequestTimeout("The server did not respond in time.", code="network_error")
    return errors.NetworkError("The server could not be reached.", code="network_error")


def _is_absolute(url: str) -> bool:
    """Whether it is a URL of http or https that requests can be sent to."""
    try:
        # Each of the two parsers accepts URLs that the other one refuses. A port is only read on access.
        port, parsed = urlsplit(url).port, httpx.URL(url)
        return parsed.scheme in ("http", "https") and parsed.host != "" and port != 0
    except (httpx.InvalidURL, ValueError):
        return False


def _prefix(space: str | None) -> str:
    """The path of a space; empty for the default one."""
    return "" if space is None or space == "default" else f"/s/{_segment('space', space)}"


def _segment(name: str, value: str) -> str:
    """One encoded segment of a path.

    Raises ValueError for the segments that would change the target of the request and cannot be encoded (RFC 3986 section
    5.2.4); `name` is the argument that contains it.
    """
    if value in ("", ".", ".."):
        raise ValueError(f"{name}: is empty, `.` or `..`")
    return quote(value, safe="")


def _json_of(response: httpx.Response) -> object:
    """The JSON; None if it is not JSON."""
    try:
        value: object = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    return value


def _retry_after(response: httpx.Response) -> int | None:
    """Whole seconds; the server does not send the date form (RFC 9110 section 10.2.3)."""
    value = response.headers.get("retry-after", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None

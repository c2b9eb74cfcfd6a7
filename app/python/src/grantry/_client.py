"""The two clients."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar

import anyio
import httpx

from grantry import _calls as calls
from grantry.errors import GrantryError
from grantry.generated.models import AccessToken, ExecuteResult

T = TypeVar("T")

DEFAULT_TIMEOUT = 60.0
DEFAULT_MAX_RETRIES = 2
DEFAULT_MAX_RETRY_WAIT = 10.0


class Client:
    """Runs connectors and fetches access tokens for users, with the API key of a back end.

    It may be used by several threads. Close it, or use it in a `with` statement. Every failure of a request is a
    :class:`grantry.GrantryError`. A mistake of the caller is found before anything is sent: ValueError for a space or
    connector that is empty, `.`, `..` or too long, and for a body with NaN or a cycle; TypeError for a body that is not
    JSON; RuntimeError for a client that is closed.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        space: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_retry_wait: float = DEFAULT_MAX_RETRY_WAIT,
        http_client: httpx.Client | None = None,
    ) -> None:
        """Raises ValueError for an unusable URL, key, space or number; the message does not contain the key.

        :param base_url: URL of the server with the path of its mount.
        :param key: API key of the back end: `gak_…`.
        :param space: space of calls that name none; None is the default space.
        :param timeout: seconds that each phase of a request (connect, write, read) may take.
        :param max_retries: repetitions after a response with `Retry-After`.
        :param max_retry_wait: seconds; a response with a longer `Retry-After` is not waited for.
        :param http_client: sends the requests, for example through a proxy. It is not closed with the client.
        """
        self._server = calls.Server(base_url, key, space, max_retries, max_retry_wait)
        self._timeout = timeout
        self._http = http_client or httpx.Client()
        self._owns_http = http_client is None

    def execute_as(
        self,
        user: str,
        connector: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        connection: str | None = None,
        space: str | None = None,
        timeout: float | None = None,
    ) -> ExecuteResult:
        """Sends one request to the API of a connector with the access token of a user.

        Every response of the API is a result, with its status in `data.status`. A body that is a string is sent as text,
        any other as JSON. Without `connection` the only one is used, or the user's default one.
        """
        call = calls.execute(user, connector, calls.params_of(method, path, query, headers, body), connection)
        return self._result(call, space, timeout)

    def access_token_for(
        self,
        user: str,
        connector: str,
        destination: str,
        *,
        connection: str | None = None,
        space: str | None = None,
        timeout: float | None = None,
    ) -> AccessToken:
        """Fetches a valid access token of a user, for requests to `destination` (URL or origin of the API).

        Only agents with `access_tokens = true` may. Do not store the token: fetch one before each use.
        """
        return self._result(calls.access_token(user, connector, destination, connection), space, timeout)

    def close(self) -> None:
        """Closes the connections."""
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _result(self, call: calls.Call[T], space: str | None, timeout: float | None) -> T:
        attempt = 0
        while True:
            try:
                # Not in a variable: the traceback of an error must not keep the response.
                return calls.result_of(self._send(call, space, timeout), call)
            except GrantryError as error:
                pause = self._server.pause_before_retry(error, call, attempt)
                if pause is None:
                    raise
            time.sleep(pause)
            attempt += 1

    def _send(self, call: calls.Call[T], space: str | None, timeout: float | None) -> httpx.Response:
        timeout = self._timeout if timeout is None else timeout
        request = self._server.request(self._http, call, space, timeout)
        try:
            # No route of the API redirects; the key must not follow one.
            return self._http.send(request, auth=None, follow_redirects=False)
        except calls.SEND_ERRORS as error:
            raise calls.failure_of(error) from error


class AsyncClient:
    """The same as :class:`grantry.Client`, for asyncio and trio.

    Close it with `aclose`, or use it in an `async with` statement. A deadline for a whole call is set with
    `asyncio.timeout` or `anyio.fail_after`.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        space: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_retry_wait: float = DEFAULT_MAX_RETRY_WAIT,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        """See :meth:`grantry.Client.__init__`."""
        self._server = calls.Server(base_url, key, space, max_retries, max_retry_wait)
        self._timeout = timeout
        self._http = http_client or httpx.AsyncClient()
        self._owns_http = http_client is None

    async def execute_as(
        self,
        user: str,
        connector: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        connection: str | None = None,
        space: str | None = None,
        timeout: float | None = None,
    ) -> ExecuteResult:
        """See :meth:`grantry.Client.execute_as`."""
        call = calls.execute(user, connector, calls.params_of(method, path, query, headers, body), connection)
        return await self._result(call, space, timeout)

    async def access_token_for(
        self,
        user: str,
        connector: str,
        destination: str,
        *,
        connection: str | None = None,
        space: str | None = None,
        timeout: float | None = None,
    ) -> AccessToken:
        """See :meth:`grantry.Client.access_token_for`."""
        return await self._result(calls.access_token(user, connector, destination, connection), space, timeout)

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._owns_http:
            await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _result(self, call: calls.Call[T], space: str | None, timeout: float | None) -> T:
        attempt = 0
        while True:
            try:
                return calls.result_of(await self._send(call, space, timeout), call)
            except GrantryError as error:
                pause = self._server.pause_before_retry(error, call, attempt)
                if pause is None:
                    raise
            await anyio.sleep(pause)
            attempt += 1

    async def _send(self, call: calls.Call[T], space: str | None, timeout: float | None) -> httpx.Response:
        timeout = self._timeout if timeout is None else timeout
        request = self._server.request(self._http, call, space, timeout)
        try:
            return await self._http.send(request, auth=None, follow_redirects=False)
        except calls.SEND_ERRORS as error:
            raise calls.failure_of(error) from error

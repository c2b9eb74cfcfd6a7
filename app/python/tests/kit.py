"""A client, sync or async, of a server that returns given responses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import anyio
import httpx

from grantry import AsyncClient, Client

# A key of the form that the server prints.
KEY = "gak_" + 43 * "A"

RESULT = {
    "status": "ok",
    "connector_id": "files",
    "data": {"status": 404, "headers": {"content-type": "text/plain"}, "body": "no"},
}
TOKEN = {
    "access_token": "secret-1",
    "token_type": "Bearer",
    "expires_at": "2030-01-01T00:00:00.25Z",
    "base_url": "https://api.example.com",
}


class Scripted:
    """Returns responses, or raises errors, in order, and keeps the requests."""

    def __init__(self, *steps: httpx.Response | Exception) -> None:
        self._steps = list(steps)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        # A copy: a response that was read by one client cannot be read by the other.
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)


class AnyClient:
    """Calls one of the two clients. Every call of the async one runs in an event loop of the test."""

    def __init__(self, kind: str, server: Callable[[httpx.Request], httpx.Response], **options: Any) -> None:
        self._kind = kind
        self._transport = httpx.MockTransport(server)
        self._options = {"base_url": "https://grantry.example/hub/", "key": KEY, **options}

    def execute_as(self, *positional: Any, **named: Any) -> Any:
        return self._call("execute_as", positional, named)

    def access_token_for(self, *positional: Any, **named: Any) -> Any:
        return self._call("access_token_for", positional, named)

    def _call(self, method: str, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self._kind == "sync":
            with httpx.Client(transport=self._transport) as http, Client(**self._options, http_client=http) as client:
                return getattr(client, method)(*positional, **named)
        return anyio.run(functools.partial(self._call_async, method, positional, named), backend=self._kind)

    async def _call_async(self, method: str, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        async with (
            httpx.AsyncClient(transport=self._transport) as http,
            AsyncClient(**self._options, http_client=http) as client,
        ):
            return await getattr(client, method)(*positional, **named)


def problem(code: str, status: int, /, *, retry_after: int | None = None, **members: object) -> httpx.Response:
    """A problem as the server sends it (RFC 9457)."""
    body = {"type": "about:blank", "status": status, "detail": "Why.", "code": code, "correlation_id": "c1", **members}
    headers = {"content-type": "application/problem+json"}
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return httpx.Response(status, json=body, headers=headers)

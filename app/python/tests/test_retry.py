from __future__ import annotations

import time

import anyio
import httpx
import pytest

import grantry
from kit import RESULT, AnyClient, Scripted, problem


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of the clients, which do not last."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(time, "sleep", made.append)
    monkeypatch.setattr(anyio, "sleep", sleep)
    return made


def ok() -> httpx.Response:
    return httpx.Response(200, json=RESULT)


def test_it_waits_as_long_as_retry_after_requires(kind: str, pauses: list[float]) -> None:
    server = Scripted(problem("rate_limited", 429, retry_after=3), ok())
    AnyClient(kind, server).execute_as("u", "files", "get", "/")
    assert (pauses, len(server.requests)) == ([3], 2)


def test_it_stops_after_the_maximum_with_the_last_error(kind: str, pauses: list[float]) -> None:
    limited = [problem("rate_limited", 429, retry_after=1) for _ in range(2)]
    server = Scripted(*limited, problem("provider_unavailable", 503, retry_after=2))
    with pytest.raises(grantry.Unavailable):
        AnyClient(kind, server).execute_as("u", "files", "GET", "/")
    assert pauses == [1, 1]


def test_a_rate_limited_request_that_may_have_changed_something_is_not_repeated(
    kind: str, pauses: list[float]
) -> None:
    with pytest.raises(grantry.RateLimited) as failure:
        limited = Scripted(problem("rate_limited", 429, retry_after=1))
        AnyClient(kind, limited).execute_as("u", "files", "POST", "/")
    assert (failure.value.retry_after, pauses) == (1, [])


def test_any_request_that_did_not_reach_the_api_is_repeated(kind: str, pauses: list[float]) -> None:
    refused = problem("refresh_refused", 503, retry_after=2)
    server = Scripted(problem("store_unavailable", 503, retry_after=1), refused, ok())
    AnyClient(kind, server).execute_as("u", "files", "POST", "/")
    assert pauses == [1, 2]


@pytest.mark.parametrize(
    "response",
    [
        problem("rate_limited", 429),
        problem("rate_limited", 429, retry_after=11),
        problem("api_unreachable", 502, retry_after=1),
        httpx.Response(503, headers={"retry-after": "1"}),
        httpx.Response(429, json={"code": "rate_limited"}, headers={"retry-after": "Fri, 01 Jan 2027 00:00:00 GMT"}),
    ],
)
def test_it_does_not_wait_otherwise(kind: str, pauses: list[float], response: httpx.Response) -> None:
    server = Scripted(response)
    with pytest.raises(grantry.GrantryError):
        AnyClient(kind, server).access_token_for("u", "files", "https://api.example")
    assert (pauses, len(server.requests)) == ([], 1)

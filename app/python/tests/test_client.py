from __future__ import annotations

import json
import math
import traceback
from datetime import datetime, timedelta, timezone
from typing import Any

import anyio
import httpx
import pytest

import grantry
from kit import KEY, RESULT, TOKEN, AnyClient, Scripted


def body_of(request: httpx.Request) -> object:
    return json.loads(request.content)


def test_it_runs_a_connector_for_a_user_below_the_path_of_the_mount(kind: str) -> None:
    server = Scripted(httpx.Response(200, json=RESULT))
    result = AnyClient(kind, server).execute_as("u_alice", "files", "GET", "/files", query={"page": 2})
    assert result == grantry.ExecuteResult(
        status="ok",
        connector_id="files",
        data=grantry.ExecuteData(status=404, headers={"content-type": "text/plain"}, body="no"),
    )
    (request,) = server.requests
    assert (request.method, str(request.url)) == (
        "POST",
        "https://grantry.example/hub/api/actions/connector/files/_execute",
    )
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert body_of(request) == {
        "act_as": "u_alice",
        "params": {"method": "GET", "path": "/files", "query": {"page": 2}},
    }


def test_all_parts_of_a_request_are_sent(kind: str) -> None:
    server = Scripted(httpx.Response(200, json=RESULT))
    headers = {"accept": "text/plain"}
    AnyClient(kind, server).execute_as(
        "u", "files", "POST", "/", query="a=1", headers=headers, body={"n": 10**30}, connection="work"
    )
    assert body_of(server.requests[0]) == {
        "act_as": "u",
        "connection": "work",
        "params": {"method": "POST", "path": "/", "query": "a=1", "headers": headers, "body": {"n": 10**30}},
    }


def test_it_fetches_an_access_token_for_a_destination(kind: str) -> None:
    server = Scripted(httpx.Response(200, json=TOKEN))
    client = AnyClient(kind, server)
    token = client.access_token_for("u_alice", "files", "https://api.example", connection="work")
    assert (token.access_token, token.token_type) == ("secret-1", "Bearer")
    assert token.expires_at == datetime(2030, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=250)
    assert server.requests[0].url.path == "/hub/internal/actions/connector/files/_access_token"
    expected = {"user": "u_alice", "destination": "https://api.example", "connection": "work"}
    assert body_of(server.requests[0]) == expected


def test_a_space_of_the_call_precedes_that_of_the_client_and_ids_are_encoded(kind: str) -> None:
    server = Scripted(*(httpx.Response(200, json=TOKEN) for _ in range(3)))
    client = AnyClient(kind, server, space="marketing")
    client.access_token_for("u", "a/b", "https://api.example")
    client.access_token_for("u", "files", "https://api.example", space="other")
    client.access_token_for("u", "files", "https://api.example", space="default")
    assert [request.url.raw_path for request in server.requests] == [
        b"/hub/s/marketing/internal/actions/connector/a%2Fb/_access_token",
        b"/hub/s/other/internal/actions/connector/files/_access_token",
        b"/hub/internal/actions/connector/files/_access_token",
    ]


def test_the_timeout_of_the_call_precedes_that_of_the_client(kind: str) -> None:
    server = Scripted(*(httpx.Response(200, json=RESULT) for _ in range(2)))
    client = AnyClient(kind, server, timeout=7)
    client.execute_as("u", "files", "GET", "/")
    client.execute_as("u", "files", "GET", "/", timeout=0.5)
    assert [request.extensions["timeout"]["read"] for request in server.requests] == [7, 0.5]


@pytest.mark.parametrize("client", [grantry.Client, grantry.AsyncClient])
@pytest.mark.parametrize("key", ["", KEY + "\n", "gak_ä", KEY + " "])
def test_a_key_that_is_no_header_value_is_refused_without_quoting_it(
    client: type[grantry.Client] | type[grantry.AsyncClient], key: str
) -> None:
    with pytest.raises(ValueError, match="^key: ") as refused:
        client("https://grantry.example", key)
    assert "gak_" not in str(refused.value)


@pytest.mark.parametrize("client", [grantry.Client, grantry.AsyncClient])
@pytest.mark.parametrize(
    "base_url",
    [
        *("", "/hub", "http:", "http:///hub", "ftp://a"),
        *("https://u:p@a", "https://@a", "https://a/?x", "https://a/?", "https://a/#x"),
        *("http://[", "http://[::1", "http://a:b", "http://a:99999", "http://a:0"),
        *(" http://a", "http://a\n", "http://a\x00"),
        *("http://1.2.3.999", "http://a\u2100b", "http://xn--/", "http://" + 70_000 * "a"),
    ],
)
def test_a_base_url_that_is_none_is_refused_without_quoting_the_key(
    client: type[grantry.Client] | type[grantry.AsyncClient], base_url: str
) -> None:
    with pytest.raises(ValueError, match="^base_url: ") as refused:
        client(base_url, KEY)
    assert type(refused.value) is ValueError
    assert "gak_" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("client", [grantry.Client, grantry.AsyncClient])
@pytest.mark.parametrize("value", [math.nan, -1])
@pytest.mark.parametrize("name", ["max_retries", "max_retry_wait"])
def test_repetitions_and_pauses_are_numbers_of_at_least_0(
    client: type[grantry.Client] | type[grantry.AsyncClient], name: str, value: float
) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"^{name}: "):
        client("https://grantry.example", KEY, **options)


@pytest.mark.parametrize("client", [grantry.Client, grantry.AsyncClient])
def test_endless_repetitions_are_refused(client: type[grantry.Client] | type[grantry.AsyncClient]) -> None:
    options: dict[str, Any] = {"max_retries": math.inf}
    with pytest.raises(ValueError, match="^max_retries: "):
        client("https://grantry.example", KEY, **options)


@pytest.mark.parametrize("base_url", ["https://grantry.example", "http://[::1]:8080/hub/", "http://ä.example:80"])
def test_a_base_url_may_have_an_address_a_port_and_a_path(base_url: str) -> None:
    grantry.Client(base_url, KEY).close()


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_segment_that_would_change_the_target_is_refused(kind: str, name: str) -> None:
    server = Scripted()
    client = AnyClient(kind, server)
    with pytest.raises(ValueError, match="^connector: "):
        client.execute_as("u", name, "GET", "/")
    with pytest.raises(ValueError, match="^connector: "):
        client.access_token_for("u", name, "https://api.example")
    with pytest.raises(ValueError, match="^space: "):
        client.execute_as("u", "files", "GET", "/", space=name)
    with pytest.raises(ValueError, match="^space: "):
        client.access_token_for("u", "files", "https://api.example", space=name)
    with pytest.raises(ValueError, match="^space: "):
        grantry.Client("https://grantry.example", KEY, space=name)
    assert server.requests == []


def test_a_mistake_of_the_caller_is_an_error_of_python(kind: str) -> None:
    server = Scripted()
    client = AnyClient(kind, server)
    cycle: list[object] = []
    cycle.append(cycle)
    mistakes: list[tuple[type[Exception], object]] = [(ValueError, math.nan), (ValueError, cycle), (TypeError, {1, 2})]
    for expected, body in mistakes:
        with pytest.raises(expected):
            client.execute_as("u", "files", "POST", "/", body=body)
    with pytest.raises(ValueError, match="^connector or space: "):
        client.execute_as("u", 70_000 * "a", "GET", "/")
    assert server.requests == []


def test_a_closed_client_is_a_runtime_error() -> None:
    client = grantry.Client("https://grantry.example", KEY)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.execute_as("u", "files", "GET", "/")


def test_a_closed_asynchronous_client_is_a_runtime_error() -> None:
    async def run() -> None:
        client = grantry.AsyncClient("https://grantry.example", KEY)
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.execute_as("u", "files", "GET", "/")

    anyio.run(run)


def test_neither_the_key_nor_a_token_is_printed(kind: str) -> None:
    token = AnyClient(kind, Scripted(httpx.Response(200, json=TOKEN))).access_token_for("u", "c", "https://a")
    assert "secret-1" not in repr(token)
    with grantry.Client("https://grantry.example", KEY) as client:
        assert KEY not in repr(client) + repr(vars(client))


def test_a_client_of_the_caller_stays_open() -> None:
    with httpx.Client(transport=httpx.MockTransport(Scripted())) as http:
        grantry.Client("https://grantry.example", KEY, http_client=http).close()
        assert not http.is_closed


def test_the_key_precedes_credentials_of_the_http_client() -> None:
    server = Scripted(httpx.Response(200, json=RESULT))
    http = httpx.Client(transport=httpx.MockTransport(server), auth=("name", "password"))
    with http:
        grantry.Client("https://grantry.example", KEY, http_client=http).execute_as("u", "c", "GET", "/")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"

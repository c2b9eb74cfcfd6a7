from __future__ import annotations

import pickle
import traceback
import types
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

import grantry
from grantry import _calls
from grantry.errors import CLASSES
from kit import RESULT, TOKEN, AnyClient, Scripted, problem

START = "https://grantry.example/api/actions/connector/files/oauth/start"


def failure_of(kind: str, step: httpx.Response | Exception) -> grantry.GrantryError:
    with pytest.raises(grantry.GrantryError) as failure:
        AnyClient(kind, Scripted(step), max_retries=0).execute_as("u_alice", "files", "GET", "/")
    return failure.value


def test_authorization_required_has_connection_reason_and_start_link(kind: str) -> None:
    error = failure_of(kind, problem("authorization_required", 409, reason="not_connected", startUrl=START))
    assert isinstance(error, grantry.AuthorizationRequired)
    assert (error.connection, error.reason, error.start_url) == ("default", "not_connected", START)
    assert (str(error), error.code, error.status) == ("Why.", "authorization_required", 409)
    assert error.correlation_id == "c1"

    named = failure_of(kind, problem("authorization_required", 409, startUrl=START + "?connection=work"))
    assert isinstance(named, grantry.AuthorizationRequired)
    assert named.connection == "work"


def test_refresh_refused_has_the_status_of_the_provider_the_wait_and_the_start_link(kind: str) -> None:
    error = failure_of(kind, problem("refresh_refused", 503, retry_after=60, providerStatus=400, startUrl=START))
    assert isinstance(error, grantry.RefreshRefused)
    assert (error.provider_status, error.retry_after, error.start_url) == (400, 60, START)


def test_connection_ambiguous_has_the_connections(kind: str) -> None:
    connections = [{"name": "home"}, {"name": "work", "account": "a@b"}]
    error = failure_of(kind, problem("connection_ambiguous", 409, connections=connections))
    assert isinstance(error, grantry.ConnectionAmbiguous)
    assert [(one.name, one.account) for one in error.connections] == [("home", None), ("work", "a@b")]


@pytest.mark.parametrize(
    ("expected", "codes"),
    [
        (grantry.ConnectionNotFound, "connection_not_found"),
        (grantry.Unauthenticated, "not_signed_in"),
        (grantry.Forbidden, "forbidden destination_refused permission_lost user_deprovisioned"),
        (grantry.NotFound, "not_found"),
        (grantry.InvalidRequest, "invalid_request payload_too_large unsupported_media_type url_too_long"),
        (grantry.InvalidRequest, "headers_too_large method_not_allowed"),
        (grantry.RateLimited, "rate_limited"),
        (grantry.Unavailable, "provider_unavailable store_unavailable audit_unavailable directory_unavailable"),
        (grantry.Misconfigured, "provider_misconfigured connector_tampered connector_incomplete"),
        (grantry.Misconfigured, "host_not_allowed wrong_host"),
        (grantry.ApiFailed, "api_unreachable response_too_large"),
        (grantry.GrantryError, "internal flow_expired code_of_a_newer_server"),
    ],
)
def test_each_code_has_its_class(kind: str, expected: type[grantry.GrantryError], codes: str) -> None:
    for code in codes.split():
        error = failure_of(kind, problem(code, 400, field="params.path"))
        assert type(error) is expected, code
        assert (error.code, error.field) == (code, "params.path")


def test_the_table_of_the_readme_has_every_class_with_its_codes() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    rows = [line.split("|") for line in readme.partition("## Errors")[2].splitlines() if line.startswith("| `")]
    documented = {code: name.split("`")[1] for _, name, codes, *_ in rows for code in codes.split("`")[1::2]}
    of_the_client = {"network_error": "NetworkError", "unexpected_response": "UnexpectedResponse"}
    of_the_server = {code: of_code.__name__ for code, of_code in CLASSES.items()}
    assert documented == {**of_the_server, **of_the_client, "internal": "GrantryError"}
    assert set(CLASSES) < set(grantry.ERROR_CODES)


def test_the_readme_names_the_codes_after_which_a_request_is_repeated() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    always = readme.partition("The code of the response decides:")[2].partition("permit it")[0]
    assert set(always.split("`")[1::2]) == set(_calls._BEFORE_THE_API)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (httpx.Response(502, html="<h1>Bad gateway</h1>"), "status 502"),
        (httpx.Response(307, headers={"location": "https://elsewhere.example/"}), "status 307"),
        (httpx.Response(401, json=["not_signed_in"]), "status 401"),
        (httpx.Response(200, text="{"), "is not an object"),
        (httpx.Response(200, json={**RESULT, "data": {"headers": {}}}), "data: status: is missing"),
        (httpx.Response(200, json={**RESULT, "connector_id": 1}), "connector_id: is not a string"),
    ],
)
def test_a_response_that_is_not_of_the_api_is_unexpected(kind: str, response: httpx.Response, message: str) -> None:
    error = failure_of(kind, response)
    assert isinstance(error, grantry.UnexpectedResponse)
    assert message in str(error)
    assert (error.code, error.status) == ("unexpected_response", response.status_code)


def test_a_malformed_token_response_does_not_quote_the_token(kind: str) -> None:
    server = Scripted(httpx.Response(200, json={**TOKEN, "expires_at": "secret-2"}))
    with pytest.raises(grantry.UnexpectedResponse) as failure:
        AnyClient(kind, server).access_token_for("u", "files", "https://api.example")
    assert "expires_at: is not a point in time" in str(failure.value)
    assert "secret" not in str(failure.value)
    assert (failure.value.__cause__, failure.value.__context__) == (None, None)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {**TOKEN, "expires_at": "secret-2"}),
        (200, {**TOKEN, "token_type": 1}),
        # The error contains no member of a response that is not a problem.
        (500, TOKEN),
    ],
)
def test_no_frame_of_a_traceback_contains_the_token(kind: str, status: int, body: object) -> None:
    def fail() -> grantry.GrantryError:
        server = Scripted(httpx.Response(status, json=body))
        with pytest.raises(grantry.UnexpectedResponse) as failure:
            AnyClient(kind, server).access_token_for("u", "files", "https://api.example")
        return failure.value

    error = fail()
    # Without the frame of `fail`.
    assert error.__traceback__ is not None
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__.tb_next)]
    assert {"_result", "result_of"} <= {frame.f_code.co_name for frame in frames}
    holding = [(frame.f_code.co_name, name) for frame in frames for name in names_with(frame.f_locals, "secret")]
    assert holding == []
    assert "secret" not in repr(vars(error))


def names_with(variables: Mapping[str, object], secret: str) -> list[str]:
    return [name for name, value in variables.items() if contains(value, secret, set())]


def contains(value: object, secret: str, seen: set[int]) -> bool:
    """Whether a text is in a value, in its items or in its attributes. Code is left out: it contains the test data."""
    if isinstance(value, (str, bytes, bytearray)):
        return secret in value if isinstance(value, str) else secret.encode() in value
    if id(value) in seen or isinstance(value, (type, types.ModuleType, types.FunctionType, types.MethodType)):
        return False
    seen.add(id(value))
    parts: list[object] = []
    if isinstance(value, Mapping):
        parts += [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        parts += value
    parts += getattr(value, "__dict__", {}).values()
    parts += [getattr(value, name, None) for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    return any(contains(part, secret, seen) for part in parts)


def test_the_search_finds_a_text_in_a_response() -> None:
    response = httpx.Response(200, json=TOKEN)
    token = grantry.AccessToken(access_token="secret-1", token_type="Bearer", base_url="https://api.example.com")
    assert names_with({"a": response, "b": [{"c": TOKEN}], "d": token, "e": "other"}, "secret") == ["a", "b", "d"]


def test_a_failed_connection_and_a_timeout_have_classes(kind: str) -> None:
    cause = httpx.ConnectError("refused")
    error = failure_of(kind, cause)
    assert type(error) is grantry.NetworkError
    assert (error.code, error.status, error.__cause__) == ("network_error", 0, cause)
    assert type(failure_of(kind, httpx.ReadTimeout("late"))) is grantry.RequestTimeout


@pytest.mark.parametrize("cause", [httpx.InvalidURL("URL too long"), httpx.StreamClosed(), httpx.DecodingError("gzip")])
def test_every_failure_of_sending_is_a_network_error(kind: str, cause: Exception) -> None:
    error = failure_of(kind, cause)
    assert (type(error), error.code, error.__cause__) == (grantry.NetworkError, "network_error", cause)


@pytest.mark.parametrize("location", ["mailto:x", "http:x", "//xn--/", "//[::1", "https://elsewhere.example/"])
def test_no_redirect_raises_an_error_of_httpx(kind: str, location: str) -> None:
    failure_of(kind, httpx.Response(307, headers={"location": location}))


@pytest.mark.parametrize("start", ["http://[", "https://a\u2100b/?connection=work", "", 1])
def test_the_connection_of_a_malformed_start_link_is_the_default(kind: str, start: object) -> None:
    required = failure_of(kind, problem("authorization_required", 409, startUrl=start))
    refused = failure_of(kind, problem("refresh_refused", 503, startUrl=start))
    assert isinstance(required, grantry.AuthorizationRequired)
    assert isinstance(refused, grantry.RefreshRefused)
    assert (required.connection, refused.connection) == ("default", "default")


def test_errors_can_be_pickled(kind: str) -> None:
    error = failure_of(kind, problem("authorization_required", 409, reason="not_connected", startUrl=START))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is grantry.AuthorizationRequired
    assert (str(copy), copy.reason, copy.start_url, copy.status) == ("Why.", "not_connected", START, 409)

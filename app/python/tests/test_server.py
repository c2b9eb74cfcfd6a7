"""Both clients against the real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import anyio
import httpx
import pytest

import grantry
from demo import ROOT, Demo, User, demo, free_port, new_key


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(site: Demo) -> Iterator[grantry.Client]:
    with grantry.Client(site.url, site.key) as made:
        yield made


def test_the_quick_start_prints_the_start_link_and_after_consent_the_response(site: Demo) -> None:
    before = run_example(site, 0)
    assert before == f"Connect first: {site.url}/api/actions/connector/files/oauth/start\n"
    # The asynchronous example does the same.
    assert run_example(site, 1) == before
    with User(site.url, "alice") as alice:
        alice.connect(before.removeprefix("Connect first: ").strip())
    for example in (0, 1):
        assert re.match(r"200 .*'user': 'alice@example.test'", run_example(site, example))


def run_example(site: Demo, number: int) -> str:
    """The output of an example of the README, run as a program."""
    readme = (ROOT / "app/python/README.md").read_text("utf-8")
    program = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[number]
    assert "http://127.0.0.1:8080" in program
    return subprocess.run(
        [sys.executable, "-c", program.replace("http://127.0.0.1:8080", site.url)],
        env={**os.environ, "WORKFLOWS_KEY": site.key, "PYTHONPATH": str(ROOT / "app/python/src")},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def test_a_user_connects_by_the_start_link_and_the_agent_fetches_a_token(site: Demo, client: grantry.Client) -> None:
    with pytest.raises(grantry.AuthorizationRequired) as required:
        client.execute_as("u_carol", "files", "GET", "/me")
    assert (required.value.connection, required.value.reason) == ("default", "not_connected")
    with User(site.url, "carol") as carol:
        carol.connect(required.value.start_url)
        api = carol.origin_of_api("files")

    data = client.execute_as("u_carol", "files", "GET", "/me", query={"verbose": True}).data
    assert (data.status, data.body["user"]) == (200, "carol@example.test")

    token = client.access_token_for("u_carol", "files", api)
    assert token.expires_at is not None
    assert token.expires_at > datetime.now(timezone.utc)
    direct = httpx.get(f"{api}/api/me", headers={"authorization": f"{token.token_type} {token.access_token}"})
    assert direct.json()["user"] == "carol@example.test"


def test_a_named_connection_is_in_the_start_link_and_two_connections_are_ambiguous(
    site: Demo, client: grantry.Client
) -> None:
    for connection, account in [("home", "bob"), ("work", "carol")]:
        with pytest.raises(grantry.AuthorizationRequired) as required:
            client.execute_as("u_bob", "files", "GET", "/me", connection=connection)
        assert required.value.connection == connection
        with User(site.url, "bob") as bob:
            bob.connect(required.value.start_url, account)
    with pytest.raises(grantry.ConnectionAmbiguous) as ambiguous:
        client.execute_as("u_bob", "files", "GET", "/me")
    assert [(one.name, one.account) for one in ambiguous.value.connections] == [
        ("home", "bob@example.test"),
        ("work", "carol@example.test"),
    ]
    data = client.execute_as("u_bob", "files", "GET", "/me", connection="work").data
    assert data.body["user"] == "carol@example.test"


def test_each_refusal_has_its_class(site: Demo, client: grantry.Client) -> None:
    with grantry.Client(site.url, new_key()) as unknown, pytest.raises(grantry.Unauthenticated):
        unknown.execute_as("u_alice", "files", "GET", "/me")
    with grantry.Client(site.url, site.runner_key) as runner, pytest.raises(grantry.Forbidden):
        runner.access_token_for("u_alice", "files", "https://api.example")
    with pytest.raises(grantry.NotFound):
        client.execute_as("u_alice", "absent", "GET", "/me")
    with pytest.raises(grantry.NotFound):
        client.execute_as("u_alice", "files", "GET", "/me", space="marketing")
    with pytest.raises(grantry.InvalidRequest) as invalid:
        client.execute_as("u_alice", "files", "GET", "/me", connection="No name")
    assert invalid.value.field == "connection"
    with grantry.Client(f"http://127.0.0.1:{free_port()}", site.key) as closed, pytest.raises(grantry.NetworkError):
        closed.execute_as("u_alice", "files", "GET", "/me")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_asynchronous_client_runs_many_requests_at_the_same_time(site: Demo, backend: str) -> None:
    async def run() -> list[grantry.GrantryError]:
        failures: list[grantry.GrantryError] = []

        async def one(client: grantry.AsyncClient) -> None:
            with pytest.raises(grantry.AuthorizationRequired) as required:
                await client.execute_as("u_alice", "notes", "GET", "/me")
            failures.append(required.value)

        async with grantry.AsyncClient(site.url, site.key) as client, anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one, client)
        return failures

    assert len({failure.correlation_id for failure in anyio.run(run, backend=backend)}) == 20

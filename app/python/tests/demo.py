"""The real server with its demo provider, and users who sign in and connect with requests instead of a browser."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

ROOT = Path(__file__).resolve().parents[3]
# Enough for a debug build on a busy machine.
START_TIMEOUT = 60.0


@dataclass(frozen=True)
class Demo:
    """A running demo with two agents."""

    url: str
    # The key of an agent that may fetch access tokens.
    key: str
    # The key of an agent that may only run connectors.
    runner_key: str


@contextmanager
def demo(folder: Path) -> Iterator[Demo]:
    """Starts the demo on fresh data."""
    data, log = folder / "demo", folder / "log"
    port = free_port()
    running = Demo(url=f"http://127.0.0.1:{port}", key=new_key(), runner_key=new_key())
    command = [str(binary()), "demo", "--data", str(data), "--port", str(port)]
    # The demo writes its configuration at the first start, and keeps it afterwards.
    with started(command, running.url, log):
        pass
    agents = agent("workflows", running.key, True) + agent("runner", running.runner_key, False)
    with (data / "grantry.toml").open("a") as configuration:
        configuration.write(agents)
    with started(command, running.url, log):
        yield running


def binary() -> Path:
    """The program that the test command builds; `SERVER_BINARY` names another one."""
    path = Path(os.environ.get("SERVER_BINARY") or ROOT / "target/debug/grantry")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: run `cargo build --bin grantry`, or set SERVER_BINARY")
    return path


@contextmanager
def started(command: list[str], url: str, log: Path) -> Iterator[None]:
    """Starts the server, and waits until it is ready."""
    with log.open("w") as output:
        server = start(command, output)
        try:
            deadline = time.monotonic() + START_TIMEOUT
            while not is_ready(url):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the server did not become ready:\n{log.read_text()}")
                time.sleep(0.05)
            yield
        finally:
            server.terminate()
            server.wait()


def start(command: list[str], output: IO[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.TransportError:
        return False


def free_port() -> int:
    """A port that is free at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def new_key() -> str:
    return "gak_" + secrets.token_urlsafe(32)


def agent(name: str, key: str, access_tokens: bool) -> str:
    return f"""
[[identity.agents]]
name = "{name}"
key_sha256 = "{hashlib.sha256(key.encode()).hexdigest()}"
spaces = ["default"]
access_tokens = {str(access_tokens).lower()}
"""


class User:
    """A signed-in user of the demo."""

    def __init__(self, site: str, name: str) -> None:
        self._site = site
        self._name = name
        self._http = httpx.Client(follow_redirects=True)
        self._post("/api/session", {"username": name, "password": f"{name}-demo"})

    def __enter__(self) -> User:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def origin_of_api(self, connector: str) -> str:
        """Origin of the API of a connector."""
        response = self._http.get(f"{self._site}/api/actions/connector/{connector}").raise_for_status()
        parts = urlsplit(response.json()["config"]["baseUrl"])
        return f"{parts.scheme}://{parts.netloc}"

    def connect(self, start_url: str, account: str | None = None) -> None:
        """Connects as a click on the page of a start link does, and allows access with an account of the provider."""
        link = urlsplit(start_url)
        connector = link.path.split("/")[-3]
        connection = parse_qs(link.query).get("connection", [None])[0]
        path = f"/internal/actions/connector/{connector}/_start_oauth_flow"
        flow = self._post(path, {"connection": connection}).json()["flowId"]
        page = self._http.get(f"{self._site}/connect/{connector}?flow={flow}").raise_for_status()
        if 'name="password"' in page.text:
            account = account or self._name
            page = self._submit(page, {"username": account, "password": f"{account}-pw"})
        self._submit(page, {"decision": "allow"})
        status = self._http.get(f"{self._site}/internal/actions/oauth_flow/{flow}").json()["status"]
        assert status == "authorized"

    def _post(self, path: str, body: object) -> httpx.Response:
        return self._http.post(self._site + path, json=body).raise_for_status()

    def _submit(self, page: httpx.Response, values: dict[str, str]) -> httpx.Response:
        """Submits the form of a page with its hidden and checked fields."""
        action = re.search(r'<form method="post" action="([^"]+)"', page.text)
        assert action is not None, page.url
        fields: dict[str, list[str]] = {name: [value] for name, value in values.items()}
        for element in re.findall(r'<input type="hidden"[^>]*>|<input [^>]*\bchecked>', page.text):
            fields.setdefault(attribute(element, "name"), []).append(attribute(element, "value"))
        return self._http.post(urljoin(str(page.url), action[1]), data=fields).raise_for_status()


def attribute(element: str, name: str) -> str:
    match = re.search(rf'\b{name}="([^"]*)"', element)
    return match[1] if match else ""

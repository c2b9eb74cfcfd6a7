"""The content of the packages that are published."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parent.parent
PROJECT = (PYTHON / "pyproject.toml").read_text("utf-8")
NAME = "grantry-" + re.findall(r'^version = "(.+)"$', PROJECT, re.MULTILINE)[0]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the source distribution and of the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("packages")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(PYTHON)])
    yield folder


def run(command: list[str], **environment: str) -> str:
    env = {**os.environ, **environment}
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout


def modules() -> set[str]:
    """The files of the package, from `src`."""
    found = (PYTHON / "src").rglob("*")
    return {path.relative_to(PYTHON / "src").as_posix() for path in found if path.suffix == ".py" or path.name == "py.typed"}


def test_the_wheel_contains_the_package_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(f"{NAME}.dist-info/METADATA").decode()
    files = {f"{NAME}.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")}
    assert names == modules() | files
    assert "grantry/py.typed" in names
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.10" in metadata


def test_the_source_distribution_contains_what_a_build_requires(built: Path) -> None:
    with tarfile.open(built / f"{NAME}.tar.gz") as source:
        names = {member.name for member in source.getmembers() if member.isfile()}
    beside = {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", ".gitignore"}
    assert names == {f"{NAME}/{name}" for name in beside | {f"src/{module}" for module in modules()}}


def test_the_installed_wheel_can_be_imported(built: Path, tmp_path: Path) -> None:
    wheel = str(built / f"{NAME}-py3-none-any.whl")
    run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(tmp_path), wheel])
    program = "import grantry; print(grantry.__file__); assert all(hasattr(grantry, name) for name in grantry.__all__)"
    assert run([sys.executable, "-c", program], PYTHONPATH=str(tmp_path)).startswith(str(tmp_path))

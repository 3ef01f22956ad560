"""Fixtures that several black-box suites use: the conftest.py of each imports those it wants.

WEIR_BINARY names the program (default: the release build), WEIR_ENVOY an Envoy 1.40 or later
(default: the one of .venv-envoy).
"""

import os
import pathlib

import pytest

import stubs
from requirements import missing, tool

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent

_MEASURED = []


@pytest.fixture(scope="session")
def binary():
    path = os.environ.get("WEIR_BINARY", str(REPOSITORY / "build" / "release" / "weir"))
    if not os.access(path, os.X_OK):
        pytest.fail(f"no program at {path}: build it, or set WEIR_BINARY", pytrace=False)
    return os.path.abspath(path)


@pytest.fixture(scope="session")
def envoy_binary():
    path = os.environ.get("WEIR_ENVOY", str(REPOSITORY / ".venv-envoy" / "bin" / "envoy"))
    if not os.access(path, os.X_OK):
        missing(f"no Envoy at {path}: run ./dev setup, or set WEIR_ENVOY")
    return os.path.abspath(path)


@pytest.fixture(scope="session")
def redis_program():
    return tool("redis-server", "redis-server")


@pytest.fixture(scope="session")
def stubs_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stubs")


@pytest.fixture(scope="session")
def api(stubs_folder):
    """The Python messages and stubs of proto/."""
    return stubs.generate(REPOSITORY / "proto", stubs_folder)


@pytest.fixture(scope="session")
def report():
    """Takes what a test measured: it is printed after the run, whether the test passed or not."""
    return lambda name, text: _MEASURED.append(f"{name}: {text}")


def pytest_terminal_summary(terminalreporter):
    if _MEASURED:
        terminalreporter.section("measured")
        for line in _MEASURED:
            terminalreporter.write_line(line)

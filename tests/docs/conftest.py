"""Fixtures of the documents' suite: what a page shows is run against the real program.

WEIR_BINARY names the program (default: the release build), WEIR_ENVOY an Envoy 1.40.
"""

import pathlib
import shutil
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent.parent
# Starting the program is shared with the conformance suite, starting Redis with the integration
# suite.
sys.path += [str(FOLDER.parent / "conformance"), str(FOLDER.parent / "integration")]

import cases  # noqa: E402
import program  # noqa: E402
import redis_server  # noqa: E402

pytest_plugins = ["shared_fixtures"]


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="only what ./dev docs-go runs")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes minutes at its first run")


def pytest_collection_modifyitems(config, items):
    wanted = config.getoption("--slow")
    items[:] = [item for item in items if bool(item.get_closest_marker("slow")) == wanted]


@pytest.fixture
def start_weir(binary, tmp_path):
    """start_weir(flag, …): the program with the rules of docs/example/rules."""
    started = []

    def start(*flags):
        folder = tmp_path / f"weir{len(started)}"
        shutil.copytree(REPOSITORY / "docs" / "example" / "rules", folder / "rules")
        started.append(program.Program(binary, folder, cases.Setup(flags=flags)))
        return started[-1]
    yield start
    for weir in started:
        if weir.running():
            weir.stop()


@pytest.fixture
def weir(start_weir):
    return start_weir()


@pytest.fixture
def redis(redis_program):
    """The port of a Redis of this test."""
    server = redis_server.Redis(redis_program)
    yield server.port
    server.close()

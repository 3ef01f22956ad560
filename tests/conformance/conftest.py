"""Fixtures of the conformance suite: it talks to the real program, over real sockets.

With --redis the programs count in a redis-server of the suite's own, and must answer the same.
WEIR_BINARY names the program (default: the release build). Everything else of the environment is
passed on to it, except what would change its settings.
"""

import pathlib

import pytest

import cases
import program
import redis_option

FOLDER = pathlib.Path(__file__).resolve().parent

pytest_plugins = ["shared_fixtures"]


def pytest_addoption(parser):
    parser.addoption("--case", default="", help="only cases whose name contains this text")
    redis_option.add(parser)


def pytest_configure(config):
    redis_option.configure(config)


@pytest.fixture(scope="session")
def servers(binary, tmp_path_factory):
    """Started programs by what they were started with; each must end well when told to."""
    pool = program.Pool(binary, tmp_path_factory.mktemp("weir"))
    yield pool
    pool.stop_all()


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--case")
        selected = [c for c in cases.load(FOLDER / "cases") if wanted in c.name]
        metafunc.parametrize("case", selected, ids=[c.id for c in selected])

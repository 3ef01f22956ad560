"""Fixtures of the integration suite: three real Weirs, a real Redis, and real faults.

WEIR_BINARY names the program (default: the release build). WEIR_INTEGRATION_SCALE (default 1)
multiplies the time each test spends under load: ./dev soak sets it.
"""

import os
import pathlib
import sys

import pytest

# Long forms run more cases, and each for longer.
SCALE = float(os.environ.get("WEIR_INTEGRATION_SCALE", "1"))

FOLDER = pathlib.Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent.parent
# Starting the program and generating stubs is shared with the conformance suite.
sys.path.append(str(FOLDER.parent / "conformance"))

import fleet as fleets  # noqa: E402
import redis_server  # noqa: E402
import rules  # noqa: E402

pytest_plugins = ["shared_fixtures"]


@pytest.fixture(scope="session")
def scale():
    return SCALE


@pytest.fixture
def start_redis(redis_program):
    """Starts servers; ends them after the test."""
    started = []

    def start(*arguments, executable=redis_program, **options):
        started.append(redis_server.Redis(executable, arguments, **options))
        return started[-1]
    yield start
    for server in started:
        server.close()


@pytest.fixture
def start_fleet(binary, tmp_path):
    """Starts fleets; they must end well after the test."""
    started = []

    def start(url, *flags, nodes=rules.NODES, urls=None, **options):
        folder = tmp_path / f"fleet{len(started)}"
        folder.mkdir()
        started.append(fleets.Fleet(binary, folder, urls or [url] * nodes, flags, **options))
        return started[-1]
    yield start
    errors = []
    for fleet in started:
        print(fleet.logs())  # shown of a test that failed
        try:
            fleet.stop()
        except Exception as error:  # the others must be stopped all the same
            errors.append(str(error))
    if errors:
        raise RuntimeError("\n".join(errors))

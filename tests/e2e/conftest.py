"""Fixtures of the end-to-end suite: a real Envoy in front of the real program.

WEIR_BINARY names the program (default: the release build), WEIR_ENVOY an Envoy 1.40 or later
(default: the one of .venv-envoy). Without an Envoy its tests are skipped. With --redis the programs
count in a redis-server of the suite's own, and must answer the same.
"""

import pathlib
import shutil
import sys
import time

import grpc
import pytest

FOLDER = pathlib.Path(__file__).resolve().parent
# Starting the program and generating stubs is shared with the conformance suite.
sys.path.append(str(FOLDER.parent / "conformance"))

import bootstrap  # noqa: E402
import cases  # noqa: E402
import program  # noqa: E402
import proxy  # noqa: E402
import redis_option  # noqa: E402

pytest_plugins = ["shared_fixtures"]
WINDOW_SECONDS = 3600
TEST_SECONDS = 15


def pytest_addoption(parser):
    redis_option.add(parser)


def pytest_configure(config):
    redis_option.configure(config)


@pytest.fixture(autouse=True)
def inside_one_window():
    """A test that a window's end cuts in two proves nothing: one that would begin shortly before
    it waits for the next window."""
    def fits():
        return WINDOW_SECONDS - time.time() % WINDOW_SECONDS > TEST_SECONDS
    program.poll(fits, 2 * TEST_SECONDS, "the end of the hour")


class Weirs:
    """Starts the program under test; what still runs at the end of the test must end well."""

    def __init__(self, binary, folder):
        self._binary = binary
        self._folder = folder
        self._started = []

    def __call__(self, *flags, name="weir", rules=FOLDER / "rules", env=None):
        """A program that serves the rules of this folder. A second one of the same name takes
        over its folder and logs."""
        folder = self._folder / name
        if not folder.exists():
            shutil.copytree(rules, folder / "rules")
        setup = cases.Setup(flags=flags, env_items=tuple((env or {}).items()))
        started = program.Program(self._binary, folder, setup)
        self._started.append(started)
        return started

    def kill(self, weir):
        """Ends it without a chance to say goodbye."""
        weir.signal("KILL")
        weir.wait()
        self._started.remove(weir)

    def stop_all(self):
        errors = []
        # Twice, here and in stop(): the second signal cuts a drain short.
        for weir in self._started:
            if weir.running():
                weir.signal("TERM")
        for weir in self._started:
            try:
                weir.stop()
            except Exception as error:  # the others must be stopped all the same
                errors.append(str(error))
        if errors:
            raise RuntimeError("\n".join(errors))


@pytest.fixture
def start_weir(binary, tmp_path):
    weirs = Weirs(binary, tmp_path)
    yield weirs
    weirs.stop_all()


@pytest.fixture
def weir(start_weir):
    return start_weir()


@pytest.fixture
def channel_to():
    """Opens gRPC channels to programs, for tests that ask Weir directly."""
    opened = []

    def open_channel(weir):
        # A pool of its own, so that a port used again is not mistaken for an old connection.
        opened.append(grpc.insecure_channel(weir.addresses["grpc"],
                                            [("grpc.use_local_subchannel_pool", 1)]))
        return opened[-1]
    yield open_channel
    for channel in opened:
        channel.close()


@pytest.fixture
def start_envoy(envoy_binary, tmp_path):
    """Starts Envoy with a bootstrap; ends it after the test."""
    started = []

    def start(config):
        started.append(proxy.Envoy(envoy_binary, tmp_path / f"envoy{len(started)}", config))
        return started[-1]
    yield start
    for envoy in started:
        envoy.stop()


def port_of(weir):
    return int(weir.addresses["grpc"].rsplit(":", 1)[1])


@pytest.fixture
def config_for():
    """The documented configuration in front of this program."""
    return lambda weir: bootstrap.Bootstrap(port_of(weir), program.free_port())


@pytest.fixture
def config(weir, config_for):
    return config_for(weir)

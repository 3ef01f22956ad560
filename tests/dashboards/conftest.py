"""Fixtures of the suite of dashboards and alerts.

WEIR_BINARY names the program (default: the release build), WEIR_ENVOY an Envoy (default: the one of
.venv-envoy).
"""

import contextlib
import os
import pathlib
import shutil
import sys
import types

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent.parent
# Starting Weir, Redis and Envoy is shared with the other black-box suites.
for suite in ("conformance", "integration", "e2e"):
    sys.path.append(str(FOLDER.parent / suite))

import bootstrap  # noqa: E402
import mixin  # noqa: E402
import program  # noqa: E402
import prometheus  # noqa: E402
import proxy  # noqa: E402
import redis_server  # noqa: E402
import scene as scenes  # noqa: E402
import stubs  # noqa: E402


def missing(what):
    """A skip that is seen; where everything must be installed, a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def tool(name, package):
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not installed: apt-get install {package}")
    return found


@pytest.fixture(scope="session")
def jsonnet():
    return tool("jsonnet", "jsonnet")


@pytest.fixture(scope="session")
def promtool():
    tool("promtool", "prometheus")
    return mixin.promtool


@pytest.fixture(scope="session")
def binary():
    path = os.environ.get("WEIR_BINARY", str(REPOSITORY / "build" / "release" / "weir"))
    if not os.access(path, os.X_OK):
        pytest.fail(f"no program at {path}: build it, or set WEIR_BINARY", pytrace=False)
    return os.path.abspath(path)


@pytest.fixture(scope="session")
def programs(binary):
    """What the scene is made of, each a path."""
    envoy = os.environ.get("WEIR_ENVOY", str(REPOSITORY / ".venv-envoy" / "bin" / "envoy"))
    if not os.access(envoy, os.X_OK):
        missing(f"no Envoy at {envoy}: run ./dev setup, or set WEIR_ENVOY")
    return types.SimpleNamespace(
        weir=binary, envoy=os.path.abspath(envoy), redis=tool("redis-server", "redis-server"),
        prometheus=tool("prometheus", "prometheus"))


@pytest.fixture(scope="session")
def scene(programs, tmp_path_factory):
    """The bad day of scene.py, after it happened and while it is still being scraped."""
    folder = tmp_path_factory.mktemp("scene")
    api = stubs.generate(REPOSITORY / "proto", tmp_path_factory.mktemp("stubs"))
    with contextlib.ExitStack() as stack:
        def ending(thing, end="stop"):
            stack.callback(getattr(thing, end))
            return thing
        redis = ending(redis_server.Redis(programs.redis), "close")
        store = ("--store=redis", f"--redis-url={redis.address}", "--replicas=2")
        shared = [ending(scenes.start_weir(programs.weir, folder / f"node{i}", *store, *flags))
                  for i, flags in enumerate(((), ("--compat=ratelimit",)))]
        alone = ending(scenes.start_weir(programs.weir, folder / "alone", "--store=memory",
                                         f"--keys-max={scenes.KEYS_MAX}"))
        guarded = ending(scenes.start_weir(programs.weir, folder / "guarded",
                                           *scenes.guards(folder / "guards")))
        busy = [*shared, alone]
        weirs = [*busy, guarded]
        asked = bootstrap.Bootstrap(int(shared[0].addresses["grpc"].rpartition(":")[2]),
                                    program.free_port())
        asked.rate_limit_filter.update(failure_mode_deny=False, timeout="0.05s")
        envoy = ending(proxy.Envoy(programs.envoy, folder / "envoy", asked))
        dead = f"127.0.0.1:{program.free_port()}"
        server = ending(prometheus.Prometheus(programs.prometheus, folder, {
            "weir": ("/metrics", [*(weir.addresses["http"] for weir in weirs), dead]),
            "envoy": ("/stats/prometheus", [f"127.0.0.1:{envoy.admin_port}"])}))
        ending(scenes.Callers(api, [weir.addresses["grpc"] for weir in busy]))
        ending(scenes.Visitors(envoy))
        scenes.bad_day(redis, shared, alone, envoy, server)

        def run(command, weir):
            """A command of a runbook, about this instance."""
            return scenes.run(command, {
                "localhost:8080": weir.addresses["http"], "localhost:8081": weir.addresses["grpc"],
                "localhost:6070": weir.addresses["admin"],
                "localhost:9901": f"127.0.0.1:{envoy.admin_port}",
                "-p 6379": f"-p {redis.port}", "/etc/weir/rules": str(weir.rules)}, programs.weir)
        yield types.SimpleNamespace(prometheus=server, weirs=weirs, run=run)

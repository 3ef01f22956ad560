"""Fixtures of the suite of dashboards and alerts.

WEIR_BINARY names the program (default: the release build), WEIR_ENVOY an Envoy (default: the one of
.venv-envoy).
"""

import contextlib
import pathlib
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
from requirements import tool  # noqa: E402

pytest_plugins = ["shared_fixtures"]


@pytest.fixture(scope="session")
def jsonnet():
    return tool("jsonnet", "jsonnet")


@pytest.fixture(scope="session")
def promtool():
    tool("promtool", "prometheus")
    return mixin.promtool


@pytest.fixture(scope="session")
def programs(binary, envoy_binary, redis_program):
    """What the scene is made of, each a path."""
    return types.SimpleNamespace(
        weir=binary, envoy=envoy_binary, redis=redis_program,
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

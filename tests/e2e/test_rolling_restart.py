"""Three Weirs behind Envoy: each restarts under load, and no request fails."""

import collections
import math
import os
import re
import shutil
import subprocess
import threading
import time

import pytest

import bootstrap
import program
from conftest import port_of

# Longer than the health check of docs/envoy.md needs to notice: two checks of at most 0.5 s each,
# 0.5 s apart.
DRAIN_S = 2.5
DRAIN = f"--drain-delay={int(DRAIN_S * 1000)}ms"
WEIRS = 3
SECONDS = 30
CONNECTIONS, CALLS_PER_S = 8, 1000
# Restarts of all of them: ./dev soak makes it twenty single restarts.
ROUNDS = max(1, math.ceil(2 * float(os.environ.get("WEIR_INTEGRATION_SCALE", "1")) / WEIRS))


class Load:
    """h2load asks at a steady rate, in batches, until it is told to end."""

    def __init__(self, envoy):
        program_path = shutil.which("h2load")
        if program_path is None:
            missing = "h2load is not installed: apt-get install nghttp2-client"
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
        self._command = [
            program_path, "--h1", f"--requests={CALLS_PER_S}", f"--clients={CONNECTIONS}",
            f"--rps={CALLS_PER_S // CONNECTIONS}", f"http://127.0.0.1:{envoy.port}/"]
        self._envoy = envoy
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.outcomes = collections.Counter()  # "2xx", "failed" … -> requests
        self.seconds = 0
        self.max_ms = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _run(self):
        began = time.monotonic()
        while not self._end.is_set():
            done = subprocess.run(self._command, capture_output=True, text=True, check=False)
            self._read(done.stdout)
        self.seconds = time.monotonic() - began

    def _read(self, text):
        """requests: 1000 total, …, 1000 succeeded, 0 failed, 0 errored, 0 timeout
        status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx"""
        for line in ("requests", "status codes"):
            found = re.search(rf"^{line}: (.*)$", text, re.M)
            for number, what in re.findall(r"(\d+) (\w+)", found[1]):
                self.outcomes[what] += int(number)
        slowest = re.search(r"^time for request: +\S+ +([\d.]+)(us|ms|s) ", text, re.M)
        scale = {"us": 0.001, "ms": 1, "s": 1000}[slowest[2]]
        self.max_ms = max(self.max_ms, float(slowest[1]) * scale)

    def poll(self, done, what):
        """Waits until done() while requests keep being answered, a hundred at least."""
        def answered():
            return self._envoy.rate_limit_stats().get("ok", 0)
        before = answered()
        program.poll(lambda: done() and answered() >= before + 100, SECONDS, what)


def decisions(weir):
    """ShouldRateLimit calls this process has answered."""
    _, _, text = weir.http("/metrics")
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith('weir_requests_total{') and 'ShouldRateLimit' in line)


def test_restart_fails_no_request(start_weir, config_for, start_envoy, report):
    weirs = [start_weir(DRAIN, name=f"weir{i}") for i in range(WEIRS)]
    ports = [port_of(weir) for weir in weirs]
    config = config_for(weirs[0])
    config.rate_limit_filter["domain"] = "load"
    # Every call that fails shows.
    assert config.rate_limit_filter["failure_mode_deny"] is True
    # This is about restarts, not about how busy the machine is.
    config.rate_limit_filter["timeout"] = "10s"
    config.cluster("weir").update(bootstrap.snippet(
        "two-weirs", **{"8081": ports[0], "8091": ports[1]}))
    endpoints = config.cluster("weir")["load_assignment"]["endpoints"][0]["lb_endpoints"]
    for port in ports[2:]:
        endpoints.append({"endpoint": {"address": {"socket_address": {
            "address": "127.0.0.1", "port_value": port}}}})
    envoy = start_envoy(config)
    program.poll(lambda: envoy.healthy("weir") == set(ports), SECONDS, "all Weirs to be healthy")

    drains = []
    with Load(envoy) as load:
        load.poll(lambda: all(decisions(weir) for weir in weirs), "requests to each")
        for i in list(range(WEIRS)) * ROUNDS:
            weirs[i].signal("TERM")
            began = time.monotonic()
            load.poll(lambda: envoy.healthy("weir") == set(ports) - {ports[i]}, "Envoy to notice")
            assert weirs[i].running(), "it ended before Envoy knew"
            program.poll(lambda: not weirs[i].running(), SECONDS, "its end")
            drains.append(time.monotonic() - began)
            assert weirs[i].wait() == 0
            weirs[i] = start_weir(DRAIN, f"--grpc-listen=127.0.0.1:{ports[i]}", name=f"weir{i}")
            load.poll(lambda: envoy.healthy("weir") == set(ports), "Envoy to notice it is back")
            load.poll(lambda: decisions(weirs[i]), "requests to the new one")

    total = load.outcomes["total"]
    report("rolling restart", f"{len(drains)} restarts of {WEIRS} Weirs, {total} requests, "
           f"{total / load.seconds:.0f} a second, slowest {load.max_ms:.0f} ms; "
           f"drained in {min(drains):.2f} to {max(drains):.2f} s ({DRAIN})")
    assert total > 0 and load.outcomes["2xx"] == load.outcomes["succeeded"] == total, load.outcomes
    # Each was asked about, and Weir answered each.
    assert envoy.rate_limit_stats() == {"ok": total}
    # The delay, the end of connections, and no call that had to be cut off.
    assert max(drains) < DRAIN_S + 5


def test_drain_says_so_everywhere(start_weir, api, channel_to):
    """What a balancer that asks over HTTP, and one that asks over gRPC, see while Weir drains."""
    weir = start_weir(DRAIN)
    stub = api.health_grpc.HealthStub(channel_to(weir))
    request = api.health.HealthCheckRequest(service="ratelimit")
    assert stub.Check(request, timeout=10).status == api.health.HealthCheckResponse.SERVING
    assert weir.http("/healthcheck")[0] == weir.http("/readyz")[0] == 200
    weir.signal("TERM")
    not_serving = api.health.HealthCheckResponse.NOT_SERVING
    program.poll(lambda: stub.Check(request, timeout=10).status == not_serving, 10, "NOT_SERVING")
    assert weir.http("/healthcheck")[0] == 500
    assert weir.http("/readyz")[0] == 503
    assert weir.http("/livez")[0] == 200
    assert weir.wait() == 0

"""Three Weirs behind Envoy: each restarts under load, and no request fails."""

import math
import time

import bootstrap
import program
from conftest import port_of
from load import CHANGES, SECONDS, Load

# Longer than the health check of docs/envoy.md needs to notice: two checks of at most 0.5 s each,
# 0.5 s apart.
DRAIN_S = 2.5
DRAIN = f"--drain-delay={int(DRAIN_S * 1000)}ms"
WEIRS = 3
# Of all of them.
ROUNDS = math.ceil(CHANGES / WEIRS)


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

    report("rolling restart", f"{len(drains)} restarts of {WEIRS} Weirs, {load.text()}; "
           f"drained in {min(drains):.2f} to {max(drains):.2f} s ({DRAIN})")
    load.judge()
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

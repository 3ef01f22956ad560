"""Envoy while Weir is away, and when it is back."""

import pytest

import bootstrap
import program


@pytest.mark.parametrize("deny, status, stats", [
    (True, 500, {"ok": 1, "error": 2}),
    (False, 200, {"ok": 1, "error": 2, "failure_mode_allowed": 2}),
])
def test_weir_dies(deny, status, stats, weir, config, start_weir, start_envoy):
    config.rate_limit_filter["failure_mode_deny"] = deny
    envoy = start_envoy(config)
    assert envoy.get(user="ann").status == 200
    start_weir.kill(weir)
    for _ in range(2):
        answer = envoy.get(user="ann")
        assert answer.status == status
        assert "x-ratelimit-limit" not in answer.headers
    assert envoy.rate_limit_stats() == stats


def test_weir_comes_back(weir, config, start_weir, start_envoy):
    envoy = start_envoy(config)
    assert [envoy.get(user="ann").status for _ in range(6)] == [200] * 5 + [429]
    start_weir.kill(weir)
    assert envoy.get(user="ann").status == 500
    start_weir(f"--grpc-listen={weir.addresses['grpc']}", name="again")
    answer = program.poll(lambda: (a := envoy.get(user="ann")).status != 500 and a, 10,
                          "an answer of the new Weir")
    # The memory store forgot: the first of five.
    assert (answer.status, answer.number("x-ratelimit-remaining")) == (200, 4)
    assert [envoy.get(user="ann").status for _ in range(5)] == [200] * 4 + [429]


def test_full_circuit_breaker_is_like_no_answer(weir, config, start_envoy):
    config.cluster("weir")["circuit_breakers"] = {"thresholds": [{"max_requests": 0}]}
    envoy = start_envoy(config)
    assert envoy.get(user="ann").status == 500
    assert envoy.rate_limit_stats() == {"error": 1}


def test_unix_socket(start_weir, config_for, start_envoy, tmp_path):
    path = tmp_path / "weir.sock"
    weir = start_weir(f"--grpc-listen=unix:{path}")
    assert weir.addresses["grpc"] == f"unix:{path}"
    config = bootstrap.Bootstrap(program.free_port(), program.free_port())
    config.cluster("weir").update(
        bootstrap.snippet("unix-socket", **{"/run/weir/weir.sock": path}))
    envoy = start_envoy(config)
    assert [envoy.get(user="ann").status for _ in range(6)] == [200] * 5 + [429]
    assert envoy.rate_limit_stats() == {"ok": 5, "over_limit": 1}


def test_unix_socket_of_one_that_died_is_taken_over(start_weir, start_envoy, tmp_path):
    path = tmp_path / "weir.sock"
    first = start_weir(f"--grpc-listen=unix:{path}")
    config = bootstrap.Bootstrap(program.free_port(), program.free_port())
    config.cluster("weir")["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"][
        "address"] = {"pipe": {"path": str(path)}}
    envoy = start_envoy(config)
    assert envoy.get(user="ann").status == 200
    start_weir.kill(first)
    assert path.exists()
    start_weir(f"--grpc-listen=unix:{path}", name="again")
    program.poll(lambda: envoy.get(user="ann").status == 200, 10, "an answer of the new Weir")

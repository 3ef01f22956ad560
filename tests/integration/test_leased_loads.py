"""What callers may do to leases, without a fault: every shape of load on one fleet, each algorithm.

Judged: no interval above its bound, nothing by policy. Measured beside it: what was admitted of
what one limiter would have, who decided, how often Redis was called, how even the nodes are.
"""

import collections
import time

import pytest

import audit
import conftest
import fleet as fleets
import load
import loads
import redis_server
import rules
import scenario

NODES = 4 if conftest.SCALE <= 1 else 5
LOAD_S = 3.2
# Floors that hold on a busy machine in a run of three seconds; the goals are in bench/.
LEAST_OF_ORACLE = {"fixed_window": 0.9, "sliding_window": 0.65, "token_bucket": 0.75}
# A machine that runs four Weirs, Redis and Python on two cores lets calls wait: nothing is to be
# decided by policy here.
PATIENT = ("--store-wait=2s", "--redis-isolate-after=2s", "--charge-denied=never")


class Leased:
    """Redis and a fleet for all tests of this file."""

    def __init__(self, redis_program, binary, folder):
        self.redis = redis_server.Redis(redis_program)
        self.fleet = None
        try:
            self.fleet = fleets.Fleet(binary, folder, [self.redis.address] * NODES, PATIENT)
            self.fleet.wait_ready(knows_all=False)
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.fleet is not None:
            self.fleet.kill()
        self.redis.close()


@pytest.fixture(scope="module")
def leased(redis_program, binary, tmp_path_factory):
    made = Leased(redis_program, binary, tmp_path_factory.mktemp("leased"))
    yield made
    made.fleet.stop()
    made.close()


def run(leased, shape, name, stubs_folder, folder, report, scale):
    """Load of this shape; returns the run, judged, and the calls of the store."""
    def store_calls():
        return sum(leased.fleet.totals('weir_store_calls_total{op="take"}'))
    before = store_calls()
    with scenario.Scenario(leased.fleet, stubs_folder, folder, name, report, rate=shape.rate,
                           kinds=shape.kinds(name),
                           node_weights=shape.node_weights(NODES)) as done:
        time.sleep(LOAD_S * scale - scenario.SETTLE_S)
    done.judge_admitted()
    assert scenario.POLICY not in {r.source for r in done.records}, "decided by policy"
    return done, store_calls() - before


def of_oracle(done, key):
    """Hits admitted of a rule, over all its keys, and what one limiter per key would admit."""
    offset_ns = time.time_ns() - time.monotonic_ns()
    admitted = oracle = 0
    for (of, *_), records in done.by_key().items():
        if of == key:
            admitted += sum(r.hits for r in records if r.allowed)
            oracle += rules.RULES[key].bound.admits(
                (r.start_ns + offset_ns, r.hits) for r in records)
    return admitted, oracle


def evenness(records):
    """Jain's index over the nodes, of hits admitted per hit asked for."""
    asked, got = collections.Counter(), collections.Counter()
    for r in records:
        asked[r.node] += r.hits
        got[r.node] += r.hits if r.allowed else 0
    return audit.jain(got[node] / asked[node] for node in asked)


def shares(records):
    """How many decisions came from where, in percent."""
    names = {scenario.LEASE: "lease", scenario.STORE: "store",
             scenario.DENIED_CACHE: "denied_cache", scenario.POLICY: "policy"}
    seen = collections.Counter(r.source for r in records)
    return ", ".join(f"{name} {100 * seen[source] / len(records):.0f} %"
                     for source, name in names.items())


@pytest.mark.parametrize("name", loads.SHAPES)
def test_shape(name, leased, api, stubs_folder, tmp_path, report, scale):
    shape = loads.SHAPES[name]
    done, calls = run(leased, shape, name, stubs_folder, tmp_path, report, scale)
    report(f"leased[{name}]", f"{len(done.records)} decisions on {NODES} nodes, "
           f"{shares(done.records)}; store calls per decision {calls / len(done.records):.2f}")
    kinds = shape.kinds(name)
    # What another limit denies, one limiter would have admitted.
    beside = {kind.key for kind in kinds if kind.also}
    for key in sorted({kind.key for kind in kinds} - beside):
        admitted, oracle = of_oracle(done, key)
        report(f"leased[{name}]", f"{key}: {admitted} hits admitted, one limiter {oracle}: "
               f"{admitted / oracle:.3f}; Jain {evenness(done.of(key)):.3f}")
        assert admitted >= LEAST_OF_ORACLE[rules.RULES[key].bound.algorithm] * oracle, key


def test_large_limit(leased, api, stubs_folder, tmp_path, report, scale):
    """A limit of a thousand a second, asked for twice."""
    big = rules.of_length("big")
    for rule in big:
        shape = loads.Shape(800, lambda value, key=rule.key: [
            load.Kind(key, value, hits=hits) for hits in (1, 2, 2, 5)])
        done, calls = run(leased, shape, "big", stubs_folder, tmp_path, report, scale)
        admitted, oracle = of_oracle(done, rule.key)
        report("leased[large_limit]", f"{rule.key}: {admitted} hits admitted, one limiter {oracle}:"
               f" {admitted / oracle:.3f}; {shares(done.records)}; store calls per decision "
               f"{calls / len(done.records):.2f}; Jain {evenness(done.records):.3f}")

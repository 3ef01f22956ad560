"""Three Weirs race for one key: together they admit what one limiter would, to the hit."""

import time

import pytest

import audit
import load
import rules
import scenario

CALLS_PER_S = 900
LOAD_S = 3.0
# Nothing is to be decided by policy: this is about the store's answers.
PATIENT = "--store-wait=2s"


@pytest.mark.parametrize("charge_denied", ["first", "never"])
def test_one_hot_key(charge_denied, start_redis, start_fleet, api, stubs_folder, tmp_path, report,
                     scale):
    redis = start_redis()
    fleet = start_fleet(redis.address, PATIENT, f"--charge-denied={charge_denied}")
    fleet.wait_ready(knows_all=False)
    hot = [f"hot_{algorithm}_deny" for algorithm in rules.ALGORITHMS]
    running = load.Load(stubs_folder, fleet.addresses, rules.DOMAIN,
                        [load.Kind(key, "one") for key in hot], CALLS_PER_S, tmp_path)
    with running:
        time.sleep(LOAD_S * scale)
    offset_ns = time.time_ns() - time.monotonic_ns()
    sources = {r.source for r in running.records}
    assert sources <= {scenario.STORE, scenario.DENIED_CACHE}, running.errors
    assert scenario.DENIED_CACHE in sources, "every denial was asked for"
    since_ns = min(r.start_ns for r in running.records) + offset_ns
    until_ns = max(r.start_ns for r in running.records) + offset_ns
    length_s = (until_ns - since_ns) / audit.NS
    for key in hot:
        bound = rules.RULES[key].bound
        own = [r for r in running.records if running.value(r).key == key]
        assert len(own) > 2 * bound.limit * length_s, "demand was not above the limit"
        assert all(r.source == scenario.STORE for r in own if r.allowed)
        admitted = [audit.Hit(r.start_ns + offset_ns, r.end_ns + offset_ns) for r in own
                    if r.allowed]
        assert bound.excess(admitted) == pytest.approx(0, abs=1e-6), key
        if bound.algorithm == "fixed_window":
            assert audit.fixed_window_shortfall(admitted, bound.limit, audit.NS, since_ns,
                                                until_ns) == 0
        # Ten sub-buckets in a window: a steady stream gets 10/11 of a sliding one.
        least = {"fixed_window": length_s - 2, "sliding_window": length_s * 10 / 11 - 1,
                 "token_bucket": 0.97 * length_s + 1}[bound.algorithm]
        assert len(admitted) >= bound.limit * least, key
        report(f"one_hot_key[{charge_denied}]", f"{key}: {len(admitted)} of {len(own)} calls "
               f"admitted in {length_s:.1f} s, limit {bound.limit}/s")


@pytest.mark.parametrize("algorithm", rules.ALGORITHMS)
def test_limit_is_used_up_to_the_last_hit(algorithm, start_redis, start_fleet, api, stubs_folder,
                                          tmp_path):
    """A window that does not end: exactly L of many concurrent calls pass, for each of 20 keys."""
    redis = start_redis()
    fleet = start_fleet(f"unix:{redis.unix_path}", PATIENT)
    fleet.wait_ready(knows_all=False)
    key = f"long_{algorithm}_deny"
    kinds = [load.Kind(key, f"key{i}") for i in range(20)]
    running = load.Load(stubs_folder, fleet.addresses, rules.DOMAIN, kinds, 1500, tmp_path)
    with running:
        time.sleep(2)
    bound = rules.RULES[key].bound
    length_s = (max(r.end_ns for r in running.records) -
                min(r.start_ns for r in running.records)) / audit.NS
    # A bucket refills one hit a minute.
    refilled = int(length_s * bound.limit / bound.window_s) + 1
    most = bound.limit + (refilled if algorithm == "token_bucket" else 0)
    for i in range(len(kinds)):
        own = [r for r in running.records if r.kind == i]
        assert len(own) > most
        assert bound.limit <= sum(r.allowed for r in own) <= most, kinds[i]

"""A primary under sentinels is replaced, because it died or because somebody ordered it."""

import pytest

import program
import redis_topology
import rules
import scenario
from test_compatible_servers import ask, spend
from test_credentials import RIGHT, WRONG, probe

# A sentinel asks a server every second who it is: so long may a promotion stay unknown to all.
SENTINEL_INFO_S = 1.0
# From there on: what Weir promises of any store that answers again.
PROMOTION_TO_DECISION_S = SENTINEL_INFO_S + 1.0
# Replication sends a write after its reply has left: what was granted last may be lost.
UNREPLICATED_NS = 100 * scenario.MS

FLAGS = ("--redis-type=sentinel", "--charge-denied=never")


@pytest.fixture
def start_group(redis_program):
    started = []

    def start(**options):
        started.append(redis_topology.SentinelGroup(redis_program, **options))
        return started[-1]
    yield start
    for group in started:
        group.close()


def granted(run, since_ns, until_ns):
    """A function of a rule: what the store admitted in that time, wherever it may have been
    decided."""
    def of(rule):
        hits = sum(r.hits for r in run.of(rule.key) if r.allowed and
                   r.source == scenario.STORE and r.end_ns >= since_ns and r.start_ns <= until_ns)
        return hits
    return of


def lost_by_kill(run):
    """What a failover may admit once more: the hits of lost writes, up to the limit."""
    last = granted(run, run.marks.fault_ns - UNREPLICATED_NS, run.marks.fault_ns)
    return lambda rule: min(last(rule), rule.bound.limit)


def first_decision_ns(watch, server):
    return watch.decided_ns(server)[0]


def promoted(watch, group):
    """The server that is the primary now and was not when the watch began; None: there is none."""
    return next((s for s in group.data if watch.promoted_ns(s) is not None), None)


def test_primary_killed(start_group, start_fleet, api, stubs_folder, tmp_path, report, scale):
    group = start_group()
    fleet = start_fleet(group.url, *FLAGS)
    fleet.wait_ready()
    with redis_topology.Watch(group.data) as watch, scenario.Scenario(
            fleet, stubs_folder, tmp_path, "primary_killed", report, scale) as run:
        old = group.primary()
        run.fault_begins()
        old.kill()
        run.last(1.0)
        # From then on whichever sentinel answers names the new one.
        run.fault_ends(lambda: all(group.named(s) is not old for s in group.sentinels))
    new = promoted(watch, group)
    took_s = (first_decision_ns(watch, new) - watch.promoted_ns(new)) / 1e9
    run.notes.append(f"decided {took_s * 1000:.0f} ms after the promotion")
    run.judge(extra=lost_by_kill(run))
    run.judge_counted("weir_store_failovers_total")
    assert took_s < PROMOTION_TO_DECISION_S
    assert fleet.totals(f'weir_redis_connected{{node="{new.address}"}}') == [1] * rules.NODES


def test_ordered_failover(start_group, start_fleet, api, stubs_folder, tmp_path, report, scale):
    """The old primary lives on and takes writes until a sentinel demotes it, some ten seconds
    later: Weir leaves it because sentinels say so."""
    group = start_group()
    fleet = start_fleet(group.url, *FLAGS)
    fleet.wait_ready()
    with redis_topology.Watch(group.data) as watch, scenario.Scenario(
            fleet, stubs_folder, tmp_path, "ordered_failover", report, scale) as run:
        old = group.primary()
        run.fault_begins()
        group.order_failover()
        new = program.poll(lambda: promoted(watch, group), 10, "a promotion")
        run.fault_ends(lambda: watch.decided_ns(new))
    since_ns = watch.promoted_ns(new)
    first_s = (first_decision_ns(watch, new) - since_ns) / 1e9
    last_ns = watch.decided_ns(old)[-1]
    run.notes.append(f"promotion to first decision {first_s * 1000:.0f} ms, to the last of the "
                     f"old primary {(last_ns - since_ns) / scenario.MS:.0f} ms")
    # Two primaries took writes: the new one never hears of what the old one admitted since.
    run.judge(extra=granted(run, since_ns - UNREPLICATED_NS, last_ns), answered_by_policy=False)
    assert old.call("ROLE")[0] == b"master", "demoted: this was no test of the sentinels' word"
    assert first_s < PROMOTION_TO_DECISION_S
    assert last_ns - since_ns < PROMOTION_TO_DECISION_S * 1e9, "a node stayed at the old primary"
    assert fleet.totals(f'weir_redis_connected{{node="{new.address}"}}') == [1] * rules.NODES
    run.judge_counted("weir_store_failovers_total")


def test_passwords_and_tls(start_group, start_fleet, api, tmp_path):
    """Everything encrypted both ways and behind passwords; one sentinel dies, then the primary."""
    certificates = redis_topology.Certificates(tmp_path)
    group = start_group(password=RIGHT, sentinel_password="sen8Xb-tinel",
                        certificates=certificates)
    flags = ("--redis-type=sentinel", f"--redis-password={RIGHT}", *certificates.weir_flags())
    fleet = start_fleet(group.url, *flags, "--redis-sentinel-password=sen8Xb-tinel",
                        "--store-wait=2s", "--redis-isolate-after=2s")
    locked_out = start_fleet(group.url, *flags, f"--redis-sentinel-password={WRONG}", nodes=1)
    fleet.wait_ready(knows_all=False)
    long = f"long_{rules.ALGORITHMS[0]}_deny"
    assert spend(api, fleet, long, "before") == rules.LONG_LIMIT
    old = group.primary()
    group.sentinels[0].kill()
    old.kill()
    # Well before a replica is promoted, as the sentinels still wait for the dead one.
    assert {ask(api, node, rules.PROBE).source for node in fleet.programs} == {scenario.POLICY}
    for node in fleet.programs:
        program.poll(lambda n=node: ask(api, n, rules.PROBE).source == scenario.STORE, 20,
                     "the store to answer again")
    assert spend(api, fleet, long, "after") == rules.LONG_LIMIT
    assert spend(api, fleet, long, "before") == 0, "the replica did not know it was used up"

    assert probe(api, locked_out.programs[0], 5) == [scenario.POLICY] * 5
    log = locked_out.programs[0].output("stderr")
    assert "WRONGPASS" in log and WRONG not in log and RIGHT not in log, log

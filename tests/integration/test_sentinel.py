"""A primary under sentinels is replaced, because it died or because somebody ordered it."""

import pytest

import program
import redis_topology
import rules
import scenario
from redis_server import RIGHT, WRONG
from single_calls import ask, sources, spend

# A sentinel asks a server every second who it is: so long may a promotion stay unknown to all.
SENTINEL_INFO_S = 1.0
# From there on: what Weir promises of any store that answers again.
PROMOTION_TO_DECISION_S = SENTINEL_INFO_S + 1.0

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


@pytest.fixture
def watched(start_group, start_fleet, api, stubs_folder, tmp_path, report, scale):
    """Runs the course of a failover under load: a group, who was promoted and when it decided, and
    the run, once it is over. `course(group, watch, run)`."""
    def go(value, course):
        group = start_group()
        fleet = start_fleet(group.url, *FLAGS)
        fleet.wait_ready()
        with redis_topology.Watch(group.data) as watch, scenario.Scenario(
                fleet, stubs_folder, tmp_path, value, report, scale) as run:
            run.fault_begins()
            course(group, watch, run)
        new = group.promoted(watch)
        took_s = (watch.first_decision_ns(new) - watch.promoted_ns(new)) / 1e9
        run.notes.append(f"decided {took_s * 1000:.0f} ms after the promotion")
        assert took_s < PROMOTION_TO_DECISION_S, run.notes
        assert fleet.totals(f'weir_redis_connected{{node="{new.address}"}}') == [1] * rules.NODES
        return watch, run, new
    return go


def test_primary_killed(watched):
    def course(group, _, run):
        old = group.primary()
        old.kill()
        run.last(1.0)
        # From then on whichever sentinel answers names the new one.
        run.fault_ends(lambda: all(group.named(s) is not old for s in group.sentinels))
    _, run, _ = watched("primary_killed", course)
    run.judge(extra=run.lost_by_kill())
    run.judge_counted("weir_store_failovers_total")


def test_ordered_failover(watched):
    """The old primary lives on and takes writes until a sentinel demotes it, some ten seconds
    later: Weir leaves it because sentinels say so."""
    olds = []

    def course(group, watch, run):
        olds.append(group.primary())
        group.order_failover()
        new = program.poll(lambda: group.promoted(watch), 10, "a promotion")
        run.fault_ends(lambda: watch.decided_ns(new))
    watch, run, new = watched("ordered_failover", course)
    old, since_ns = olds[0], watch.promoted_ns(new)
    last_ns = watch.decided_ns(old)[-1]
    run.notes.append(f"the old primary's last decision {(last_ns - since_ns) / scenario.MS:.0f} ms "
                     "after it")
    # Two primaries took writes: the new one never hears of what the old one granted since.
    run.judge(extra=run.granted(since_ns - scenario.UNREPLICATED_NS, last_ns,
                                last_ns + int(scenario.RECOVERY_S * 1e9)),
              answered_by_policy=False)
    assert old.call("ROLE")[0] == b"master", "demoted: this was no test of the sentinels' word"
    assert last_ns - since_ns < PROMOTION_TO_DECISION_S * 1e9, "a node stayed at the old primary"
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

    assert sources(api, locked_out.programs[0], 5) == [scenario.POLICY] * 5
    log = locked_out.programs[0].output("stderr")
    assert "WRONGPASS" in log and WRONG not in log and RIGHT not in log, log

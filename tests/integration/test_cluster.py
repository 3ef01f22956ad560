"""A Redis Cluster: its masters die, hand over and give slots away, under load on three Weirs.

One cluster serves all of these tests: each leaves it whole, whoever has which slots then, and one
that does not makes the next begin anew. So does one fleet for each setting of store_wait.
"""

import collections
import time

import pytest

import audit
import fleet as fleets
import load
import program
import redis_topology
import rules
import scenario
from single_calls import BY_STORE, spend, store_key

FLAGS = ("--redis-type=cluster", "--charge-denied=never")
# Nothing is to be decided by policy, also where a machine with a dozen programs lets one of them
# stand still for a while: this is about the store's answers.
PATIENT = ("--store-wait=2s", "--redis-isolate-after=2s")
# Far below what a call takes that was forgotten somewhere: a command waits 500 ms for a server.
REDIRECTED_P99_MS = 100


class Shared:
    """The cluster and its fleets, started when first needed and again when they are not well."""

    def __init__(self, redis_program, binary, folder):
        self._redis_program = redis_program
        self._binary = binary
        self._folder = folder
        self.cluster = None
        self._fleets = {}

    def ready(self):
        if self.cluster is not None and not (self.cluster.healthy() and all(
                f.connected() for f in self._fleets.values())):
            self.close()
        if self.cluster is None:
            self.cluster = redis_topology.Cluster(self._redis_program)
        return self.cluster

    def fleet(self, *flags):
        """Ready, with all nodes known to each other."""
        if flags not in self._fleets:
            folder = self._folder / f"fleet{len(self._fleets)}"
            folder.mkdir(exist_ok=True)
            # Each node begins at another server, the replicas among them.
            starts = [n.address for n in self.cluster.nodes[::2]]
            self._fleets[flags] = fleets.Fleet(
                self._binary, folder, starts[:rules.NODES],
                [*FLAGS, f"--cache-key-prefix={len(self._fleets)}:", *flags])
        self._fleets[flags].wait_ready()
        return self._fleets[flags]

    def logs(self):
        """Their ends."""
        return "".join([*(fleet.logs() for fleet in self._fleets.values()),
                        *(f"--- {n.address}\n{n.log()[-2000:]}" for n in self.cluster.nodes)])

    def close(self, well=False):
        for fleet in self._fleets.values():
            if well:
                fleet.stop()
            else:
                fleet.kill()
        self._fleets = {}
        if self.cluster is not None:
            self.cluster.close()
        self.cluster = None


@pytest.fixture(scope="module")
def shared(redis_program, binary, tmp_path_factory):
    all_of_it = Shared(redis_program, binary, tmp_path_factory.mktemp("shared"))
    yield all_of_it
    all_of_it.close(well=True)


@pytest.fixture
def cluster(shared):
    yield shared.ready()
    # Shown of a test that failed.
    print(shared.logs())


@pytest.fixture
def under_load(cluster, shared, api, stubs_folder, tmp_path, report, scale):
    """Load on the fleet of these flags, with values of the test's own."""
    return lambda value, *flags: scenario.Scenario(shared.fleet(*flags), stubs_folder, tmp_path,
                                                   value, report, scale)


def places(api, fleet, value):
    """{key of a rule: slot} of what a scenario asks for."""
    return {key: redis_topology.slot_of(store_key(api, fleet.programs[0], key, value))
            for key in rules.RULES}


def slots_of_fleet(prefix):
    """Where META and NODES are."""
    return [redis_topology.slot_of(prefix + name) for name in ("weir:meta", "weir:nodes")]


def by_store(records):
    return sum(r.source in BY_STORE for r in records)


def test_exact_over_many_keys(cluster, shared, api, stubs_folder, tmp_path, report):
    fleet = shared.fleet(*PATIENT)
    values = [f"many{i}" for i in range(20)]
    kinds = [load.Kind(f"long_{algorithm}_deny", value, hits=3)
             for algorithm in rules.ALGORITHMS for value in values]
    running = load.Load(stubs_folder, fleet.addresses, rules.DOMAIN, kinds, 1200, tmp_path)
    with running:
        time.sleep(2.5)
    assert {r.source for r in running.records} <= BY_STORE, running.errors
    length_s = (max(r.end_ns for r in running.records) -
                min(r.start_ns for r in running.records)) / audit.NS
    used = collections.Counter()
    for i, kind in enumerate(kinds):
        bound = rules.RULES[kind.key].bound
        # A bucket refills one hit a minute.
        refilled = int(length_s * bound.limit / bound.window_s) + 1
        own = [r for r in running.records if r.kind == i]
        assert kind.hits * len(own) > bound.limit + refilled, "demand was not above the limit"
        admitted = sum(r.hits for r in own if r.allowed)
        most = bound.limit + (refilled if bound.algorithm == "token_bucket" else 0)
        assert bound.limit <= admitted <= most, kind
        slot = redis_topology.slot_of(store_key(api, fleet.programs[i % 3], kind.key, kind.value))
        used[cluster.owner(slot).port] += 1
    assert len(used) == cluster.MASTERS, f"not all masters were used: {used}"
    report("cluster_many_keys", f"{len(running.records)} calls, keys per master {used}")


def _kill(cluster, run, api, value, over):
    """Kills the master of what is watched, until its replica has taken over and over(old) holds.
    Returns the rules whose keys other masters have."""
    placed = places(api, run.fleet, value)
    old = cluster.owner(placed[rules.PROBE])
    new = cluster.replica_of(old)
    elsewhere = {key for key, slot in placed.items() if cluster.owner(slot) is not old}
    with redis_topology.Watch([new]) as watch:
        run.fault_begins()
        old.kill()
        run.last(1.0)
        run.fault_ends(lambda: watch.promoted_ns(new) and over(old))
    promoted_ns = watch.promoted_ns(new)
    took_s = (watch.first_decision_ns(new) - promoted_ns) / 1e9
    run.notes.append(f"promoted after {(promoted_ns - run.marks.fault_ns) / scenario.MS:.0f} ms, "
                     f"decided {took_s * 1000:.0f} ms later")
    old.restart(wipe=False)
    return elsewhere


def _judge_killed(cluster, run, elsewhere):
    lost = run.lost_by_kill()
    run.judge(extra=lambda rule: 0 if rule.key in elsewhere else lost(rule))
    # Which shows as well that what was promoted became a primary of theirs.
    run.judge_counted("weir_store_failovers_total")
    program.poll(cluster.healthy, 20, "the cluster to be whole again")
    program.poll(run.fleet.connected, 5, "all nodes to be content")


def test_master_killed(cluster, under_load, api):
    """Without full coverage the other masters go on, and nobody may notice there."""
    value = "master_killed"
    with under_load(value) as run:
        elsewhere = _kill(cluster, run, api, value, lambda old: True)
    others = [r for key in elsewhere for r in run.of(key)
              if run.marks.fault_ns <= r.start_ns <= run.marks.healed_ns]
    assert len(others) > 100, "too few keys at the other masters"
    assert by_store(others) >= 0.99 * len(others), \
        f"of other masters' keys only {by_store(others)} of {len(others)} were decided by the store"
    _judge_killed(cluster, run, elsewhere)


def test_master_killed_with_full_coverage(cluster, under_load, api):
    """Redis' default: all masters refuse (CLUSTERDOWN) while one has no successor."""
    for node in cluster.nodes:
        node.call("CONFIG", "SET", "cluster-require-full-coverage", "yes")
    value = "master_killed_with_full_coverage"
    with under_load(value) as run:
        elsewhere = _kill(cluster, run, api, value, lambda old: (
            old not in (masters := cluster.masters()) and
            all(b"cluster_state:ok" in m.call("CLUSTER", "INFO") for m in masters)))
    _judge_killed(cluster, run, elsewhere)
    for node in cluster.nodes:
        node.call("CONFIG", "SET", "cluster-require-full-coverage", "no")


def test_ordered_failover(cluster, under_load, api):
    """The old master stops, hands everything over and redirects: nothing is lost, so nothing is
    admitted twice, and its callers hardly notice."""
    value = "cluster_ordered_failover"
    with under_load(value) as run:
        placed = places(api, run.fleet, value)
        old = cluster.owner(placed[rules.PROBE])
        new = cluster.replica_of(old)
        with redis_topology.Watch([old, new]) as watch:
            run.fault_begins()
            cluster.order_failover(new)
            program.poll(lambda: watch.promoted_ns(new), 10, "a promotion")
            run.last(0.5)
            run.fault_ends(lambda: watch.decided_ns(new))
    took_s = (watch.first_decision_ns(new) - watch.promoted_ns(new)) / 1e9
    gap = [r for r in run.records if r.source == scenario.POLICY and
           r.start_ns >= run.marks.fault_ns]
    # A machine with a dozen programs lets a call wait too long now and then, at any time.
    stray = [r for r in gap if r.start_ns > watch.promoted_ns(new) + scenario.RECOVERY_S * 1e9]
    assert len(stray) <= 0.01 * len(run.records), f"{len(stray)} calls fell to the policy late"
    gap = [r for r in gap if r not in stray]
    gap_ms = ((max(r.end_ns for r in gap) - min(r.start_ns for r in gap)) / scenario.MS
              if gap else 0)
    run.notes.append(f"decided {took_s * 1000:.0f} ms after the promotion; {len(gap)} of "
                     f"{len(run.records)} answers by policy, within {gap_ms:.0f} ms")
    run.judge(answered_by_policy=False)
    # A node met the hand-over in an answer, or in the role that it asks for each second.
    run.judge_counted("weir_redis_redirects_total", 'weir_redis_errors_total{kind="replica"}')
    assert took_s < scenario.RECOVERY_S
    assert gap_ms <= 1000 * scenario.RECOVERY_S
    program.poll(cluster.healthy, 10, "the cluster to be whole again")


def _move(cluster, slots, target_of, pause_s):
    """All at once, so that each slot is half moved for a while: its keys still where they were,
    then between both. Returns how many keys moved."""
    moving = {slot: (cluster.begin_move(slot, target_of(slot)), target_of(slot)) for slot in slots}
    time.sleep(10 * pause_s)
    moved = sum(cluster.move_keys(slot, source, target, pause_s)
                for slot, (source, target) in moving.items())
    time.sleep(10 * pause_s)
    for slot, (_, target) in moving.items():
        cluster.end_move(slot, target)
        time.sleep(pause_s)
    return moved


@pytest.mark.parametrize("flags,share_by_policy", [(PATIENT, 0), ((), 0.25)],
                         ids=["patient", "default"])
def test_slots_move(flags, share_by_policy, cluster, shared, under_load, api, report, scale):
    """Every slot in use goes to the next master, then to one that had none, then home again; META
    and NODES as well. Nobody falls to the policy, nothing is admitted twice. Who waits for 10 ms
    only may not have the time to be sent to a server that nobody was connected to: of the calls
    that were sent on, a few may end so."""
    fleet = shared.fleet(*flags)
    value = "slots_move" + "".join(flags[:1])
    placed = places(api, fleet, value)
    prefix = store_key(api, fleet.programs[0], rules.PROBE, "x").partition("weir1:")[0]
    slots = {*placed.values(), *slots_of_fleet(prefix)}
    home = {slot: cluster.owner(slot) for slot in slots}
    masters = cluster.masters()
    following = dict(zip(masters, [*masters[1:], masters[0]]))
    before = fleet.totals("weir_redis_redirects_total")
    moved = []
    with under_load(value, *flags) as run:
        for target_of in (lambda slot: following[home[slot]], lambda slot: cluster.empty,
                          home.get):
            moved.append(_move(cluster, slots, target_of, 0.02 * scale))
            for slot in slots:
                assert cluster.owner(slot) is target_of(slot)
        time.sleep(scenario.RECOVERY_S)
        known = fleet.totals("weir_redis_redirects_total")
        time.sleep(0.5)
        after = fleet.totals("weir_redis_redirects_total")
    run.judge_admitted()
    times = audit.quantiles([(r.end_ns - r.start_ns) / scenario.MS for r in run.records])
    lag = audit.quantiles([(r.start_ns - r.due_ns) / scenario.MS for r in run.records])
    redirects = [now - then for now, then in zip(after, before)]
    asked = [r for r in run.records if r.source not in BY_STORE]
    report(value, f"{moved} keys of {len(slots)} slots moved; redirects {redirects}; {len(asked)} "
           f"of {len(run.records)} answers by policy; client ms p50 {times[0.5]:.1f} "
           f"p99 {times[0.99]:.1f} max {times[1]:.1f} (send lag p99 {lag[0.99]:.1f})")
    assert min(moved) > len(rules.RULES) / 2, "hardly a key was there to be moved"
    assert len(asked) <= share_by_policy * sum(redirects), \
        f"{len(asked)} of {len(run.records)} calls fell to the policy"
    assert times[0.99] <= REDIRECTED_P99_MS + lag[0.99]
    assert all(redirects), "a node was never sent on"
    assert after == known, "a node still does not know where the slots are"


def test_full_at_the_end_of_a_move(cluster, shared, api):
    """A window that does not end: what was admitted before its slot moved stays charged."""
    fleet = shared.fleet(*PATIENT)
    for algorithm in rules.ALGORITHMS:
        key = f"long_{algorithm}_deny"
        name = store_key(api, fleet.programs[0], key, "moved full")
        slot = redis_topology.slot_of(name)
        assert spend(api, fleet, key, "moved full") == rules.LONG_LIMIT
        home = cluster.owner(slot)
        source = cluster.begin_move(slot, cluster.empty)
        assert spend(api, fleet, key, "moved full") == 0
        assert cluster.move_keys(slot, source, cluster.empty) >= 1
        assert spend(api, fleet, key, "moved full") == 0
        cluster.end_move(slot, cluster.empty)
        assert spend(api, fleet, key, "moved full") == 0
        cluster.move(slot, home)
        assert spend(api, fleet, key, "moved full") == 0


def test_start_while_meta_moves(cluster, shared, start_fleet, api):
    """Who starts then finds the fleet's secret all the same, and so counts with the others."""
    fleet = shared.fleet(*PATIENT)
    key = f"long_{rules.ALGORITHMS[0]}_deny"
    assert spend(api, fleet, key, "before") == rules.LONG_LIMIT
    prefix = store_key(api, fleet.programs[0], key, "before").partition("weir1:")[0]
    for slot in dict.fromkeys(slots_of_fleet(prefix)):
        source = cluster.begin_move(slot, cluster.empty)
        assert cluster.move_keys(slot, source, cluster.empty) == 1
        late = start_fleet(cluster.nodes[0].address, *FLAGS, *PATIENT,
                           f"--cache-key-prefix={prefix}", nodes=2)
        late.wait_ready(knows_all=False)
        assert store_key(api, late.programs[0], key, "x") == store_key(
            api, fleet.programs[0], key, "x")
        assert spend(api, late, key, "before") == 0
        cluster.end_move(slot, cluster.empty)
        cluster.move(slot, source)


@pytest.mark.parametrize("seeds", ["one_alive", "a_replica"])
def test_seeds(seeds, cluster, start_fleet, api):
    """One server that answers is enough, whatever it is."""
    alive = cluster.masters()[0] if seeds == "one_alive" else cluster.replicas()[0]
    dead = [f"127.0.0.1:{port}" for port in redis_topology.free_ports(2)]
    url = ",".join([*dead, alive.address] if seeds == "one_alive" else [alive.address])
    fleet = start_fleet(url, "--redis-type=cluster", *PATIENT, f"--cache-key-prefix={seeds}:",
                        nodes=2)
    fleet.wait_ready(knows_all=False)
    for i in range(9):
        key = f"long_{rules.ALGORITHMS[i % 3]}_deny"
        assert spend(api, fleet, key, f"seeds{i}") == rules.LONG_LIMIT
    for node, metrics in enumerate(fleet.metrics(i) for i in range(2)):
        connected = {labels["node"] for name, labels, value in metrics
                     if name == "weir_redis_connected" and value == 1}
        assert connected <= {m.address for m in cluster.masters()}, (node, connected)
    assert fleet.totals('weir_store_calls_total{result="error"}') == [0, 0]

"""The way to Redis fails while Redis is well. Each node has a proxy of its own, so that one node
alone can be cut off, which is when local shares matter: the others go on with the whole limit."""

import time

import pytest

import conftest
import fault_proxy
import fleet as fleets
import program
import redis_server
import rules
import scenario

FAULT_S = 1.2
# Within this time a silent connection must be found out.
DETECTION_S = 2.0


class Linked:
    """A Redis, one proxy per node, and the fleet."""

    def __init__(self, redis_program, binary, folder):
        self.redis = redis_server.Redis(redis_program)
        self.proxies = [fault_proxy.FaultProxy(("127.0.0.1", self.redis.port))
                        for _ in range(rules.NODES)]
        self.fleet = None
        try:
            self.fleet = fleets.Fleet(binary, folder, [proxy.address for proxy in self.proxies],
                                      ["--charge-denied=never"])
            self.fleet.wait_ready()
        except BaseException:
            self.close()
            raise

    def heal(self):
        for proxy in self.proxies:
            proxy.heal()

    def close(self):
        if self.fleet is not None:
            self.fleet.kill()
        for proxy in self.proxies:
            proxy.close()
        self.redis.close()


@pytest.fixture(scope="module")
def linked(redis_program, binary, tmp_path_factory):
    made = Linked(redis_program, binary, tmp_path_factory.mktemp("linked"))
    yield made
    made.heal()
    made.fleet.stop()
    made.close()


@pytest.fixture
def under_load(linked, api, stubs_folder, tmp_path, report, scale, request):
    linked.heal()
    linked.fleet.wait_ready(knows_all=False)
    value = request.node.name.removeprefix("test_")
    return scenario.Scenario(linked.fleet, stubs_folder, tmp_path, value, report, scale)


def isolated(fleet, nodes):
    """No request waits for Redis at these nodes any more."""
    states = [fleet.totals(f'weir_store_state{{state="{state}"}}')
              for state in ("isolated", "recovering")]
    return all(states[0][node] + states[1][node] == 1 for node in nodes)


def strike(linked, run, cut, fault):
    """The fault for its time, its detection, and the end of it."""
    run.fault_begins()
    for node in cut:
        fault(linked.proxies[node])
    program.poll(lambda: isolated(linked.fleet, cut), DETECTION_S, "the nodes to notice")
    run.last(FAULT_S)
    waiting = linked.fleet.totals("weir_waiting_requests")
    assert all(waiting[node] == 0 for node in cut), f"requests wait for nothing: {waiting}"
    linked.heal()
    run.fault_ends(linked.redis.answers)


FAULTS = {
    "commands_vanish": lambda proxy: proxy.stall(commands=True),
    # Redis executes and charges what nobody hears of.
    "replies_vanish": lambda proxy: proxy.stall(replies=True),
    "refused": lambda proxy: proxy.refuse(),
}
ONE, ALL = (0,), tuple(range(rules.NODES))
CASES = [("commands_vanish", ONE), ("replies_vanish", ALL), ("refused", ONE)]
if conftest.SCALE > 1:
    CASES = [(fault, cut) for fault in FAULTS for cut in (ONE, ALL)]


@pytest.mark.parametrize("fault, cut", CASES,
                         ids=[f"{fault}-{'one' if cut == ONE else 'all'}" for fault, cut in CASES])
def test_cut_off(fault, cut, linked, under_load):
    """Half open, either way: one direction is silent and neither end is told; or refused."""
    with under_load as run:
        strike(linked, run, cut, FAULTS[fault])
    run.judge(cut)


def test_slow_link_within_the_wait(linked, under_load):
    """2 ms each way: every answer is later, all are the store's."""
    with under_load as run:
        run.fault_begins()
        for proxy in linked.proxies:
            proxy.delay(0.002)
        run.last(FAULT_S)
        linked.heal()
        run.fault_ends(linked.redis.answers)
    run.judge(answered_by_policy=False)
    slow = [r for r in run.of(rules.PROBE)
            if run.marks.noticed_ns <= r.start_ns < run.marks.last_ns]
    by_store = sorted(r.end_ns - r.start_ns for r in slow if r.source == scenario.STORE)
    assert len(by_store) >= 0.9 * len(slow), f"{len(by_store)} of {len(slow)}"
    assert by_store[len(by_store) // 2] >= 4 * scenario.MS, "the link was not slow"


def test_slow_link_beyond_the_wait(linked, under_load):
    """30 ms each way: Redis charges each call in time, the answer comes too late for it."""
    with under_load as run:
        run.fault_begins()
        for proxy in linked.proxies:
            proxy.delay(0.03)
        run.last(FAULT_S)
        linked.heal()
        run.fault_ends(linked.redis.answers)
    run.judge()


def test_replies_come_late(linked, under_load):
    """Single replies are held for longer than anybody waits, then delivered: their hits were
    charged, and must not be admitted a second time."""
    with under_load as run:
        run.fault_begins()
        for _ in range(5):
            for proxy in linked.proxies:
                proxy.plan(fault_proxy.HOLD)
            run.last(0.3)
        linked.heal()
        run.fault_ends(linked.redis.answers)
    run.judge(answered_by_policy=False)
    assert sum(proxy.injected[fault_proxy.HOLD] for proxy in linked.proxies) >= 3


def test_node_frozen(linked, under_load):
    """A Weir that stands still finds replies to calls nobody waits for any more: late is allowed,
    more is not."""
    frozen = linked.fleet.programs[0]
    with under_load as run:
        run.fault_begins()
        frozen.signal("STOP")
        # What was on its way to the client when the signal came still arrives.
        begin_ns = time.monotonic_ns() + int(0.05e9)
        time.sleep(FAULT_S)
        end_ns = time.monotonic_ns()
        frozen.signal("CONT")
        time.sleep(scenario.RECOVERY_S + scenario.AFTERWARDS_S)
    run.judge_admitted()
    answered = [r for r in run.records if r.node == 0 and begin_ns < r.end_ns < end_ns]
    assert not answered, "it was not frozen"
    after = [r for r in run.of(rules.PROBE) if r.node == 0 and
             r.start_ns > end_ns + int(scenario.RECOVERY_S * 1e9)]
    by_store = sum(r.source == scenario.STORE for r in after)
    assert after and by_store >= 0.95 * len(after), f"{by_store} of {len(after)}"

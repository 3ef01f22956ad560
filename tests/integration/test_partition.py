"""Packets between a node and Redis vanish without a word: no RST, no FIN, no ICMP.

Redis and the three Weirs live in a network namespace of the test's own. Redis listens on one
loopback address per node, so that one node alone can be cut off. The load comes over Unix sockets,
which know no namespaces.
"""

import pytest

import fleet as fleets
import netns
import program
import redis_server
import requirements
import rules
import scenario

# Longer than the first retransmission of a SYN: the kernel's patience is not Weir's.
FAULT_S = 2.0
DETECTION_S = 2.0


HOSTS = [f"127.0.0.{2 + node}" for node in range(rules.NODES)]


class Inside:
    """Redis and the fleet in a namespace."""

    def __init__(self, redis_program, binary, folder):
        self.namespace = netns.Namespace()
        self.fleet = self.redis = None
        try:
            self.redis = redis_server.Redis(redis_program, ["--bind", *HOSTS],
                                            prefix=self.namespace.prefix)
            self.fleet = fleets.Fleet(
                binary, folder, [f"{host}:{self.redis.port}" for host in HOSTS],
                ["--charge-denied=never"], prefix=self.namespace.prefix, unix_sockets=True,
                inside=self.namespace.call)
            self.fleet.wait_ready()
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.fleet is not None:
            self.fleet.kill()
        if self.redis is not None:
            self.redis.close()
        self.namespace.close()


@pytest.fixture(scope="module")
def inside(redis_program, binary, tmp_path_factory):
    reason = netns.why_not()
    if reason is not None:
        requirements.missing(f"no network namespace with packet filters here: {reason}")
    made = Inside(redis_program, binary, tmp_path_factory.mktemp("inside"))
    yield made
    made.namespace.drop_nothing()
    made.fleet.stop()
    made.close()


@pytest.mark.parametrize("cut", [(0,), (0, 1, 2)], ids=["one", "all"])
def test_silent_partition(cut, inside, api, stubs_folder, tmp_path, report, scale, request):
    namespace, fleet, redis = inside.namespace, inside.fleet, inside.redis
    namespace.drop_nothing()
    fleet.wait_ready(knows_all=False)

    def noticed():
        connected = fleet.totals('weir_store_state{state="connected"}')
        return all(connected[node] == 0 for node in cut)
    value = request.node.name.removeprefix("test_")
    with scenario.Scenario(fleet, stubs_folder, tmp_path, value, report, scale) as run:
        run.fault_begins()
        for node in cut:
            namespace.drop(HOSTS[node], redis.port)
        program.poll(noticed, DETECTION_S, "the nodes to notice")
        run.last(FAULT_S)
        namespace.drop_nothing()
        run.fault_ends(redis.answers)
    run.judge(cut)

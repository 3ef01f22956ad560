"""Redis itself fails, in every way it can, under load on three Weirs.

One Redis and one fleet serve all of these tests: each leaves them as it found them, and one that
does not makes the next begin anew. Two nodes are connected over TCP, one over a Unix socket.
"""

import threading
import time

import pytest

import fleet as fleets
import program
import redis_server
import resp
import rules
import scenario

FAULT_S = 1.2


class Shared:
    """Redis and the fleet, started when first needed and again when they are not well."""

    def __init__(self, redis_program, binary, folder):
        self._redis_program = redis_program
        self._binary = binary
        self._folder = folder
        self.redis = self.fleet = None

    def ready(self):
        if self.fleet is None or not self._well():
            self.close()
            self.redis = redis_server.Redis(self._redis_program, [
                "--enable-debug-command", "yes", "--enable-protected-configs", "yes",
                # Written before the reply leaves: a killed process has told nobody more than that.
                "--appendonly", "yes", "--appendfsync", "everysec"])
            tcp, unix = self.redis.address, f"unix:{self.redis.unix_path}"
            self.fleet = fleets.Fleet(self._binary, self._folder, [tcp, unix, tcp],
                                      ["--charge-denied=never"])
            self.fleet.wait_ready()
        return self

    def _well(self):
        return (self.redis.answers() and all(p.running() for p in self.fleet.programs) and
                self.fleet.connected())

    def close(self, well=False):
        if self.fleet is not None:
            if well:
                self.fleet.stop()
            else:
                self.fleet.kill()
        if self.redis is not None:
            self.redis.close()
        self.fleet = self.redis = None


@pytest.fixture(scope="module")
def shared(redis_program, binary, tmp_path_factory):
    pair = Shared(redis_program, binary, tmp_path_factory.mktemp("shared"))
    yield pair
    pair.close(well=True)


@pytest.fixture
def redis(shared):
    return shared.ready().redis


@pytest.fixture
def under_load(shared, redis, api, stubs_folder, tmp_path, report, scale, request):
    """Load on the fleet, with values of this test's own."""
    value = request.node.name.removeprefix("test_")
    return scenario.Scenario(shared.fleet, stubs_folder, tmp_path, value, report, scale)


def test_frozen(redis, under_load):
    with under_load as run:
        run.fault_begins()
        redis.signal("STOP")
        run.last(FAULT_S)
        degraded = run.fleet.totals('weir_degraded{mode="deny"}')
        redis.signal("CONT")
        run.fault_ends(redis.answers)
    run.judge()
    run.judge_counted("weir_wait_timeouts_total")
    assert degraded == [1] * rules.NODES, "no node said so"
    program.poll(lambda: sum(run.fleet.totals("weir_degraded")) == 0, scenario.DEGRADED_S,
                 "all nodes to say that it is over")


def test_frozen_again_and_again(redis, under_load):
    """Short freezes: connections fall and rise faster than windows end."""
    with under_load as run:
        run.fault_begins()
        for _ in range(5):
            redis.signal("STOP")
            run.last(0.2)
            redis.signal("CONT")
            run.last(0.15)
        run.fault_ends(redis.answers)
    run.judge()


def test_debug_sleep(redis, under_load):
    with under_load as run:
        run.fault_begins()
        sleeper = threading.Thread(target=lambda: redis.call("DEBUG", "SLEEP", FAULT_S))
        sleeper.start()
        sleeper.join()
        run.fault_ends(redis.answers)
    run.judge()


def test_killed_and_restarted_with_its_data(redis, under_load):
    with under_load as run:
        run.fault_begins()
        redis.kill()
        run.last(FAULT_S)
        redis.restart(wipe=False)
        run.fault_ends(redis.answers)
    run.judge()
    run.judge_counted("weir_store_failovers_total")
    run.judge_counted("weir_redis_reconnects_total")


def test_killed_and_restarted_empty(redis, under_load):
    with under_load as run:
        run.fault_begins()
        redis.kill()
        run.last(FAULT_S)
        redis.restart(wipe=True)
        run.fault_ends(redis.answers)
    # The written exception: once more what was granted in the writes that were lost.
    run.judge(extra=lambda rule: rule.bound.limit)
    for rule in rules.RULES.values():
        if rule.key.startswith("long"):
            granted = sum(r.hits for r in run.of(rule.key) if r.allowed)
            assert granted > rule.bound.limit, "nothing was lost: this was no restart without data"


def test_scripts_flushed(redis, under_load):
    with under_load as run:
        run.fault_begins()
        for _ in range(20):
            redis.call("SCRIPT", "FLUSH")
            run.last(0.05)
        run.fault_ends(redis.answers)
    run.judge(answered_by_policy=False)
    # NOSCRIPT means that nothing was executed: the call is repeated, nobody falls to the policy.
    during = [r for r in run.of(rules.PROBE) if r.start_ns >= run.marks.fault_ns]
    by_store = sum(r.source == scenario.STORE for r in during)
    assert by_store >= 0.95 * len(during), f"{by_store} of {len(during)}"


def test_out_of_memory(redis, under_load):
    with under_load as run:
        run.fault_begins()
        redis.call("CONFIG", "SET", "maxmemory", "1")
        run.last(FAULT_S)
        redis.call("CONFIG", "SET", "maxmemory", "0")
        run.fault_ends(redis.answers)
    run.judge()
    run.judge_counted('weir_redis_errors_total{kind="oom"}')


def test_cannot_save(redis, under_load):
    """A full disk: MISCONF. The folder to write to is gone, which stops root as well."""
    folder = redis.folder / "gone"
    folder.mkdir()
    with under_load as run:
        run.fault_begins()
        redis.call("CONFIG", "SET", "dir", folder)
        folder.rmdir()
        redis.call("CONFIG", "SET", "save", "3600 1000000")
        redis.call("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes")
        redis.call("BGSAVE")
        while redis.info("persistence")["rdb_last_bgsave_status"] != "err":
            time.sleep(0.01)
        with pytest.raises(resp.Error, match="MISCONF"):
            redis.call("SET", "x", "y")
        run.last(FAULT_S)
        redis.call("CONFIG", "SET", "dir", redis.folder)
        redis.call("CONFIG", "SET", "save", "")
        redis.call("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
        run.fault_ends(redis.answers)
    run.judge()
    run.judge_counted('weir_redis_errors_total{kind="misconf"}')


def test_busy_script(redis, under_load):
    redis.call("CONFIG", "SET", "busy-reply-threshold", "10")
    with under_load as run:
        run.fault_begins()

        def spin():
            with pytest.raises(resp.Error, match="(?i)killed"):
                redis.call("EVAL", "while true do end", 0, timeout_s=30)
        spinner = threading.Thread(target=spin)
        spinner.start()
        run.last(FAULT_S)
        redis.call("SCRIPT", "KILL")
        spinner.join()
        run.fault_ends(redis.answers)
    run.judge()
    run.judge_counted('weir_redis_errors_total{kind="busy"}')


def test_became_a_replica(redis, under_load):
    """READONLY: what was the primary must not be asked any more until it is one again."""
    with under_load as run:
        run.fault_begins()
        redis.call("REPLICAOF", "127.0.0.1", "1")
        run.last(FAULT_S)
        redis.call("REPLICAOF", "NO", "ONE")
        run.fault_ends(redis.answers)
    run.judge()
    run.judge_counted('weir_redis_errors_total{kind="readonly"}',
                      'weir_redis_errors_total{kind="replica"}')


def test_clients_killed(redis, under_load):
    with under_load as run:
        run.fault_begins()
        killed = 0
        for _ in range(5):
            # A node that is between two attempts to connect has nothing to lose.
            killed += redis.call("CLIENT", "KILL", "TYPE", "normal")
            run.last(0.3)
        assert killed >= rules.NODES
        run.fault_ends(redis.answers)
    run.judge(answered_by_policy=False)


def test_password_set_under_way(redis, under_load):
    """Connections that stand stay good, new ones are refused with NOAUTH."""
    with under_load as run:
        run.fault_begins()
        redis.call("CONFIG", "SET", "requirepass", "secret")
        redis.login = ("secret",)
        redis.call("CLIENT", "KILL", "TYPE", "normal")
        run.last(FAULT_S)
        redis.call("CONFIG", "SET", "requirepass", "")
        redis.login = ()
        run.fault_ends(redis.answers)
    run.judge()
    run.judge_counted('weir_redis_errors_total{kind="noauth"}')

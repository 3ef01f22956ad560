"""The clock of Redis is set, forward and back, while intervals stay true.

Weir measures limits by that clock, so a step is a written exception: forward, every limit may be
granted once more. Back, a fixed window that is long gone begins again, which is the same once;
token buckets and sliding windows admit nothing more. After either nobody is banned for longer than
a window, or until a bucket would be full.
"""

import time

import pytest

import fleet as fleets
import program
import redis_server
import requirements
import rules
import scenario

STEP_S = 90
FAR_S = 30 * 24 * 3600


class Stepped:
    """A Redis whose clock can be set, and a fleet."""

    def __init__(self, redis_program, binary, folder):
        self.clock = redis_server.SteppedClock(folder)
        self.redis = redis_server.Redis(redis_program, environment=self.clock.environment())
        self.fleet = None
        try:
            self.fleet = fleets.Fleet(binary, folder, [self.redis.address] * rules.NODES,
                                      ["--charge-denied=never"])
            self.fleet.wait_ready()
        except BaseException:
            self.close()
            raise

    def step(self, offset_s):
        self.clock.set(offset_s)
        ahead_s = int(self.redis.call("TIME")[0]) - time.time()
        assert abs(ahead_s - offset_s) < 5, "the clock did not step"

    def close(self):
        if self.fleet is not None:
            self.fleet.kill()
        self.redis.close()


@pytest.fixture(scope="module")
def stepped(redis_program, binary, tmp_path_factory):
    if redis_server.SteppedClock.library() is None:
        requirements.missing("libfaketime is not installed: apt-get install faketime")
    made = Stepped(redis_program, binary, tmp_path_factory.mktemp("stepped"))
    yield made
    made.fleet.stop()
    made.close()


def run_steps(offsets_s, stepped, stubs_folder, folder, report, scale, request):
    """Sets the clock to each offset in turn, from the truth; returns what happened."""
    stepped.step(0)
    stepped.fleet.wait_ready(knows_all=False)
    value = request.node.name.removeprefix("test_")
    with scenario.Scenario(stepped.fleet, stubs_folder, folder, value, report, scale) as run:
        run.fault_begins()
        for offset_s in offsets_s:
            stepped.step(offset_s)
            run.last(1.0)
            program.poll(lambda o=offset_s: all(
                abs(seen - o) < 5
                for seen in stepped.fleet.totals("weir_redis_clock_offset_seconds")),
                10, "the nodes to report the offset")
        run.fault_ends(stepped.redis.answers)
    return run


def test_clock_stepped_forward(stepped, api, stubs_folder, tmp_path, report, scale, request):
    run = run_steps([STEP_S], stepped, stubs_folder, tmp_path, report, scale, request)
    run.judge(extra=lambda rule: rule.bound.limit, answered_by_policy=False)


def test_clock_stepped_back(stepped, api, stubs_folder, tmp_path, report, scale, request):
    run = run_steps([-STEP_S], stepped, stubs_folder, tmp_path, report, scale, request)

    # Hits of a fixed window may be out on leases when the window they were granted in comes again.
    out = run.granted(run.marks.fault_ns, run.marks.healed_ns)

    def once_more(rule):
        if rule.bound.algorithm != "fixed_window":
            return 0
        return rule.bound.limit + (min(out(rule), rule.bound.limit)
                                   if rule.consistency == "leased" else 0)
    run.judge(extra=once_more, answered_by_policy=False)
    run.judge_counted("weir_store_clock_faults_total")


def test_clock_there_and_back(stepped, api, stubs_folder, tmp_path, report, scale, request):
    """A month ahead and back to the truth: state from the future must not ban anybody."""
    run = run_steps([FAR_S, 0], stepped, stubs_folder, tmp_path, report, scale, request)
    # Two steps, each with the exception of its direction.
    run.judge(extra=lambda rule: 2 * rule.bound.limit, answered_by_policy=False)

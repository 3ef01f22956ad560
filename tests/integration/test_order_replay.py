"""Replies get lost: what Redis charged is compared with what callers were told.

Redis' own log of commands (MONITOR) is the record: each script call in the order of execution, and
what it wrote. Guarantee: a call is executed at most once however its reply was lost; nothing is
admitted that was not charged; what was charged and not admitted is at most what was under way when
a reply was lost.
"""

import collections
import re
import threading
import time

import pytest

import audit
import fault_proxy
import load
import rules
import scenario

LOAD_S = 5.0
LIES_S = 3.0
KEYS = [f"hot_{algorithm}_deny" for algorithm in rules.ALGORITHMS] + ["plenty_fixed_window_deny"]

_LINE = re.compile(rb'^\+?([\d.]+) \[\d+ (\S+)\] (.*)$')
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')


class Monitor:
    """The commands Redis executes, in order: (source, words); scripts' own have source b'lua'."""

    def __init__(self, redis):
        self.commands = []
        self._connection = redis.connect(timeout_s=10)
        assert self._connection.call("MONITOR") == b"OK"
        self._redis = redis
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while True:
            match = _LINE.match(self._connection.receive())
            words = _WORD.findall(match[3])
            if words[0].upper() == b"ECHO" and words[1] == b"end of the record":
                return
            self.commands.append((match[2], words))

    def stop(self):
        self._redis.call("ECHO", "end of the record")
        self._thread.join()
        self._connection.close()

    def takes(self):
        """[(store key, arguments, what it wrote or None)] of each script call that may charge."""
        found = []
        for source, words in self.commands:
            name = words[0].upper()
            if name == b"EVALSHA" and words[4:5] == [b"take"]:
                found.append([words[3], words[4:], None])
            elif source == b"lua" and name == b"SET" and found and words[1] == found[-1][0]:
                found[-1][2] = words[2]
        return found


class Course:
    """Load through one proxy per node, with faults at random moments, all recorded."""

    def __init__(self, start_redis, start_fleet, stubs_folder, folder, keys, *flags):
        self.redis = start_redis()
        self.proxies = [fault_proxy.FaultProxy(self.redis.unix_path) for _ in range(rules.NODES)]
        try:
            self.fleet = start_fleet(None, "--charge-denied=never", *flags,
                                     urls=[proxy.address for proxy in self.proxies])
            self.fleet.wait_ready(knows_all=False)
            self._load = load.Load(stubs_folder, self.fleet.addresses, rules.DOMAIN,
                                   [load.Kind(key, "replay") for key in keys], 900, folder)
        except BaseException:
            self.close()
            raise
        self.keys = keys

    def close(self):
        for proxy in self.proxies:
            proxy.close()

    def run(self, faults, seconds, every_s=0.25):
        """`faults`: planned for each proxy in turn, again and again."""
        self.monitor = Monitor(self.redis)
        try:
            with self._load:
                end = time.monotonic() + seconds
                turn = 0
                while time.monotonic() < end:
                    self.proxies[turn % len(self.proxies)].plan(faults[turn % len(faults)])
                    turn += 1
                    time.sleep(every_s)
                for proxy in self.proxies:
                    proxy.heal()
                time.sleep(0.5)
        finally:
            self.monitor.stop()
        self.records = self._load.records
        lost = [r for r in self.records if r.source == load.LOST]
        assert not lost, self._load.errors

    def injected(self):
        return sum((proxy.injected for proxy in self.proxies), collections.Counter())

    def of(self, key):
        return [r for r in self.records if self.keys[r.kind] == key]


@pytest.fixture
def course(start_redis, start_fleet, api, stubs_folder, tmp_path):
    made = []

    def make(keys, *flags):
        made.append(Course(start_redis, start_fleet, stubs_folder, tmp_path, keys, *flags))
        return made[-1]
    yield make
    for one in made:
        one.close()


def replay_fixed_window(takes, limit):
    """Hits charged, per window; a step that the script could not have taken is a contradiction."""
    charged = collections.Counter()
    for _, arguments, wrote in takes:
        assert int(arguments[1]) == limit
        hits = int(arguments[3])
        if wrote is None:
            continue  # denied
        window, count = (int(number) for number in wrote.split())
        assert count == charged[window] + hits, "a count that does not follow from the one before"
        charged[window] = count
    assert all(count <= limit for count in charged.values())
    return charged


def test_lost_and_cut_replies(course, report, scale):
    run = course(KEYS)
    run.run([fault_proxy.LOSE, fault_proxy.CUT, fault_proxy.HOLD, None], LOAD_S * scale)
    injected = run.injected()
    assert all(injected[kind] >= 3 for kind in (fault_proxy.LOSE, fault_proxy.CUT,
                                                fault_proxy.HOLD)), injected
    by_key = collections.defaultdict(list)
    for take in run.monitor.takes():
        by_key[take[0]].append(take)
    assert len(by_key) == len(KEYS), "each rule's value has one record"

    offset_ns = time.time_ns() - time.monotonic_ns()
    executed = sorted(len(takes) for takes in by_key.values())
    asked = sorted(sum(r.source != scenario.DENIED_CACHE for r in run.of(key)) for key in KEYS)
    assert all(done <= calls for done, calls in zip(executed, asked)), \
        f"executed {executed}, asked for at most {asked}: something was sent twice"
    for key in KEYS:
        admitted = [audit.Hit(r.start_ns + offset_ns, r.end_ns + offset_ns, r.hits)
                    for r in run.of(key) if r.allowed]
        assert rules.RULES[key].bound.excess(admitted) <= 1e-6, key

    # The record of the rule that is never over: all that was executed was charged.
    takes = next(t for t in by_key.values() if int(t[0][1][1]) == rules.PLENTY)
    charged = sum(replay_fixed_window(takes, rules.PLENTY).values())
    calls = run.of("plenty_fixed_window_deny")
    admitted = sum(r.allowed for r in calls)
    unknown = sum(r.source == scenario.POLICY for r in calls)
    report("order_replay", f"{len(calls)} calls, {admitted} admitted, {charged} charged, "
           f"{unknown} told that the store did not answer; {dict(injected)}")
    assert admitted <= charged <= admitted + unknown
    assert len(takes) == charged
    assert 0 < unknown < len(calls) / 2, "faults must hurt some calls and not all"

    # The hot fixed window: per window of Redis no more than the limit was charged, and whatever
    # callers were granted in total was charged.
    hot = next(t for t in by_key.values()
               if len(t[0][1]) == 10 and int(t[0][1][1]) == rules.HOT_LIMIT and
               int(t[0][1][2]) == 1_000_000)
    charged = replay_fixed_window(hot, rules.HOT_LIMIT)
    assert sum(r.allowed for r in run.of("hot_fixed_window_deny")) <= sum(charged.values())


def test_lost_and_cut_replies_of_leases(course, report, scale):
    """A grant that nobody hears of is charged and wasted: it is never asked for a second time."""
    keys = [rule.key for rule in rules.of_length("hot")]
    run = course(keys)
    run.run([fault_proxy.LOSE, fault_proxy.CUT, fault_proxy.HOLD, None], LOAD_S * scale)
    injected = run.injected()
    assert min(injected[kind] for kind in (fault_proxy.LOSE, fault_proxy.CUT,
                                           fault_proxy.HOLD)) >= 3, injected
    offset_ns = time.time_ns() - time.monotonic_ns()
    for key in keys:
        calls = run.of(key)
        assert {scenario.LEASE, scenario.POLICY} <= {r.source for r in calls}, key
        admitted = [audit.Hit(r.start_ns + offset_ns, r.end_ns + offset_ns, r.hits)
                    for r in calls if r.allowed]
        assert rules.RULES[key].bound.excess(admitted) <= 1e-6, key
        report("lost_replies_of_leases", f"{key}: {len(admitted)} of {len(calls)} calls admitted; "
               f"{dict(injected)}")
    scenario.judge_conserved(run.fleet)


@pytest.mark.parametrize("lie", [fault_proxy.DUPLICATE, fault_proxy.SWALLOW])
def test_replies_that_answer_the_wrong_call(lie, course, report, scale):
    """A broken proxy repeats or drops a single reply: from there on every reply is for another
    call than it seems. Weir must find out and make a new connection."""
    run = course(["plenty_fixed_window_deny"])
    before = [proxy.connections for proxy in run.proxies]
    run.run([lie], LIES_S * scale, every_s=0.4)
    takes = run.monitor.takes()
    charged = sum(replay_fixed_window(takes, rules.PLENTY).values())
    admitted = sum(r.allowed for r in run.records)
    lies = run.injected()[lie]
    remade = sum(proxy.connections for proxy in run.proxies) - sum(before)
    report(f"wrong_replies[{lie}]", f"{lies} lies, {remade} new connections, {admitted} admitted, "
           f"{charged} charged")
    assert lies >= 3
    assert len(takes) <= len(run.records)
    # At most the repeated replies themselves are believed twice.
    assert admitted <= charged + (lies if lie == fault_proxy.DUPLICATE else 0)
    assert remade >= 1

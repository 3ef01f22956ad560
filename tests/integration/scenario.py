"""One fault under load, and the judgement over every answer that was given."""

import collections
import dataclasses
import threading
import time

import audit
import exposition
import load
import program
import rules

CALLS_PER_S = 1000
# Before the first fault: connections are warm, buckets drained, several windows have passed.
SETTLE_S = 0.8
# What is measured begins this long after the fault: until then nobody can know of it.
NOTICE_S = 0.1
RECOVERY_S = 1.0
# Watched after that: a whole short window, wherever it begins.
AFTERWARDS_S = 1.5

MS = 1_000_000
# What this suite asserts of answers during a fault, by the server's own histogram: its next bounds
# above store_wait (10 ms). The client's times are printed; in them Python, three Weirs and Redis
# wait for each other and for whatever else runs on the machine. test_answers_in_time.py measures.
SERVER_P99_MS = 20
SERVER_P999_MS = 50
CLIENT_MS_MAX = 1000

# Replication sends a write after its reply has left: what was granted last may be lost.
UNREPLICATED_NS = 100 * MS

# How long weir_degraded may stay up after the last answer by policy.
DEGRADED_S = 15

LEASE, STORE, DENIED_CACHE, POLICY = 2, 3, 4, 5  # weir.v1.Source


@dataclasses.dataclass
class Marks:
    """Moments of CLOCK_MONOTONIC."""
    fault_ns: int = 0
    noticed_ns: int = 0
    last_ns: int = 0     # the fault still held
    healed_ns: int = 0   # Redis answered again
    end_ns: int = 0


def judge_conserved(fleet):
    """No node admitted more hits from leases than it was granted and has not given back."""
    for node, running in enumerate(fleet.programs):
        if not running.running():
            continue
        for rule, hits in fleet.leased_hits(node).items():
            spent = hits["admitted"] + hits["returned"] + hits["expired"]
            assert spent <= hits["granted"], f"node {node}, {rule}: {dict(hits)}"


class Scenario:
    """Load runs inside the with block; judge() comes after it."""

    def __init__(self, fleet, stubs_folder, folder, value, report, scale=1.0,
                 rate=CALLS_PER_S, kinds=None, node_weights=()):
        """`kinds` of calls at this `rate` (load.py): by default all of rules.mix()."""
        self.fleet = fleet
        self.marks = Marks()
        self.notes = []
        self._report = report
        self._scale = scale
        self._value = value
        self._load = load.Load(stubs_folder, fleet.addresses, rules.DOMAIN,
                               kinds or rules.mix(value), rate, folder,
                               node_weights=node_weights)
        self._metrics = []
        self._before = self._after = {}
        self._notice = None

    def __enter__(self):
        self._load.__enter__()
        time.sleep(SETTLE_S)
        self._metrics = self._scrape()
        return self

    def __exit__(self, *details):
        if self._notice is not None:
            self._notice.join()
        self.marks.end_ns = time.monotonic_ns()
        self._load.__exit__(*details)

    # ---- the course of events

    def fault_begins(self):
        """Called just before the fault."""
        self.marks.fault_ns = time.monotonic_ns()
        self.marks.noticed_ns = self.marks.fault_ns + int(NOTICE_S * 1e9)

        def notice():
            time.sleep(max(self.marks.noticed_ns - time.monotonic_ns(), 0) / 1e9)
            self._before = self._durations()
        self._notice = threading.Thread(target=notice)
        self._notice.start()

    def last(self, seconds):
        """Lets the fault last."""
        time.sleep(seconds * self._scale)
        self.marks.last_ns = time.monotonic_ns()

    def fault_ends(self, answers):
        """Called just after the fault; waits until answers() says that Redis answers."""
        self._notice.join()
        self._after = self._durations()
        program.poll(answers, 30, "Redis to answer again")
        self.marks.healed_ns = time.monotonic_ns()
        time.sleep(RECOVERY_S + AFTERWARDS_S * self._scale)

    def _scrape(self):
        return [self.fleet.metrics(i) for i in range(len(self.fleet.programs))]

    def judge_counted(self, *selectors):
        """Each of these counters, or all of them together, grew on every node since the fault."""
        for node, (before, after) in enumerate(zip(self._metrics, self._scrape())):
            grown = sum(exposition.total(after, s) - exposition.total(before, s)
                        for s in selectors)
            assert grown > 0, f"node {node}: none of {selectors} grew"

    def _durations(self):
        return [self.fleet.durations(i) for i in range(len(self.fleet.programs))]

    # ---- written exceptions, as functions of a rule

    def granted(self, since_ns, until_ns, leases_until_ns=None):
        """What the store granted in that time, wherever it may have been decided. What it leased
        then is seen when it is spent, which is until the leases end at the latest."""
        leases_until_ns = leases_until_ns or until_ns

        def of(rule):
            ends = {STORE: until_ns, LEASE: leases_until_ns}
            return sum(r.hits for r in self.of(rule.key) if r.allowed and
                       r.end_ns >= since_ns and r.start_ns <= ends.get(r.source, 0))
        return of

    def lost_by_kill(self):
        """What a failover may admit once more: the hits of lost writes, up to the limit. A node
        drops what a primary leased when it meets the next one."""
        fault_ns = self.marks.fault_ns
        last = self.granted(fault_ns - UNREPLICATED_NS, fault_ns,
                            self.marks.healed_ns + int(RECOVERY_S * 1e9))
        return lambda rule: min(last(rule), rule.bound.limit)

    # ---- the judgement

    def judge_admitted(self, extra=None):
        """Only that no call was lost and no bound broken: for faults of Weir itself."""
        self._judge_none_lost()
        self._judge_bounds(extra or (lambda rule: 0))
        self._judge_leases()

    @property
    def records(self):
        return self._load.records

    def of(self, key):
        """The calls that asked for this rule, alone or beside another."""
        asked = {i for i, kind in enumerate(self._load.kinds) if key in (kind.key, kind.also)}
        return [r for r in self.records if r.kind in asked]

    def forgive(self, records):
        """Leaves these calls out of the judgement: nobody was there to answer them."""
        left_out = {id(r) for r in records}
        self._load.records = [r for r in self.records if id(r) not in left_out]

    def by_key(self):
        """{(key of a rule, value, which of its values): records}."""
        found = collections.defaultdict(list)
        for record in self.records:
            kind = self._load.value(record)
            for key in (kind.key, *filter(None, [kind.also])):
                found[key, kind.value, record.which].append(record)
        return found

    def judge(self, cut=(0, 1, 2), extra=None, answered_by_policy=True, recovery_s=RECOVERY_S):
        """`cut`: the nodes that lost Redis; `extra`: a function of a rule, the hits that a written
        exception allows beyond its bound, once."""
        self._judge_none_lost()
        self._judge_bounds(extra or (lambda rule: 0))
        self._judge_leases()
        self._judge_times()
        if self.marks.healed_ns:
            self._judge_policy_used(cut, answered_by_policy)
            self._judge_recovery(recovery_s)
            self._judge_liveness()
        self._report(self._value, "; ".join(self.notes))

    def _judge_none_lost(self):
        assert self.records, "the load made no calls"
        lost = [r for r in self.records if r.source == load.LOST]
        assert not lost, f"{len(lost)} of {len(self.records)} calls lost: {self._load.errors}"
        refused = {self._load.value(r).key for r in self.records if r.source == load.UNAVAILABLE}
        assert all(rules.RULES[key].policy == "error" for key in refused), \
            f"UNAVAILABLE for {refused}: {self._load.errors}"

    def _judge_bounds(self, extra):
        """Every key of every rule for itself."""
        offset_ns = time.time_ns() - time.monotonic_ns()
        nodes = len(self.fleet.programs)

        def admitted(records, by_policy):
            return [audit.Hit(r.start_ns + offset_ns, r.end_ns + offset_ns, r.hits)
                    for r in records if r.allowed and (r.source == POLICY) == by_policy]
        wrong = []
        for (key, *_), records in self.by_key().items():
            rule = rules.RULES[key]
            by_store = rule.bound.excess(admitted(records, False))
            if by_store > extra(rule) + 1e-6:
                wrong.append(f"{rule.key}: the store admitted {by_store:.2f} hits above the bound, "
                             f"{extra(rule)} allowed")
            by_policy = admitted(records, True)
            if rule.policy in ("deny", "error") and by_policy:
                wrong.append(f"{rule.key}: {len(by_policy)} calls admitted without the store")
            if rule.policy == "local_share":
                # Node by node: one that was not cut off may still have waited in vain once, and
                # each may admit its own share.
                for node in range(nodes):
                    over = rule.bound.share(1, nodes).excess(
                        admitted([r for r in records if r.node == node], True))
                    if over > 1e-6:
                        wrong.append(f"{rule.key}: node {node} admitted {over:.2f} hits above its "
                                     "share")
            if rule.policy == "allow":
                denied = [r for r in records if r.source == POLICY and not r.allowed]
                if denied:
                    wrong.append(f"{rule.key}: {len(denied)} calls denied by policy")
        assert not wrong, "\n".join(wrong)

    def _judge_leases(self):
        """Leases were used, and no node spent more than it was granted."""
        judge_conserved(self.fleet)
        sources = collections.defaultdict(set)
        for record in self.records:
            sources[self._load.value(record).key].add(record.source)
        for key, seen in sources.items():
            rule = rules.RULES[key]
            # Too few calls for each key; or leases of 50 ms, which a call of 12 ms makes useless
            # for the next hundred or so.
            rare = rule.length == "user" or (
                rule.bound.algorithm == "sliding_window" and rule.bound.window_s == 1)
            if rule.consistency == "exact":
                assert LEASE not in seen, f"{key}: leased, and yet exact"
            else:
                assert LEASE in seen or rare, f"{key}: never answered from a lease"

    def _judge_times(self):
        marks = self.marks
        times = [r.end_ns - r.start_ns for r in self.records
                 if not marks.fault_ns or marks.noticed_ns <= r.start_ns <= marks.healed_ns]
        seen = audit.quantiles([t / MS for t in times])
        assert seen, "no call during the fault"
        lag = audit.quantiles([(r.start_ns - r.due_ns) / MS for r in self.records])
        self.notes.append(
            f"client ms p50 {seen[0.5]:.1f} p99 {seen[0.99]:.1f} p99.9 {seen[0.999]:.1f} "
            f"max {seen[1]:.1f} (send lag p99 {lag[0.99]:.1f})")
        if self._after:
            slowest = self._server_quantiles()
            self.notes.append("server ≤ ms p50 {:g} p99 {:g} p99.9 {:g}".format(*slowest))
            assert slowest[1] <= SERVER_P99_MS, self.notes[-1]
            assert slowest[2] <= SERVER_P999_MS, self.notes[-1]
        # A generator that stood still saw its answers late.
        assert seen[1] <= CLIENT_MS_MAX + lag[1], self.notes[0]

    def _server_quantiles(self):
        """Upper bounds in ms, of the node that is worst in each."""
        shares = (0.5, 0.99, 0.999)
        worst = [0.0] * len(shares)
        for before, after in zip(self._before, self._after):
            found = audit.bucket_quantiles(before, after, shares)
            worst = [max(w, 1000 * found.get(share, 0)) for w, share in zip(worst, shares)]
        return worst

    def _probe(self, node, since_ns, until_ns):
        return [r for r in self.of(rules.PROBE)
                if r.node == node and since_ns <= r.start_ns < until_ns]

    def _judge_policy_used(self, cut, expected):
        """A fault that nobody noticed proves nothing."""
        for node in cut:
            during = self._probe(node, self.marks.noticed_ns, self.marks.healed_ns)
            by_policy = sum(r.source == POLICY for r in during)
            assert during and (by_policy > 0 or not expected), \
                f"node {node}: the fault was never felt in {len(during)} calls"
        for node in set(range(rules.NODES)) - set(cut):
            during = self._probe(node, self.marks.noticed_ns, self.marks.healed_ns)
            by_store = sum(r.source == STORE for r in during)
            assert by_store >= 0.9 * len(during), \
                f"node {node} was not cut, but only {by_store} of {len(during)} asked the store"

    def _judge_recovery(self, recovery_s):
        worst_ms = 0
        healed_ns = self.marks.healed_ns
        for node in range(rules.NODES):
            after = self._probe(node, healed_ns, self.marks.end_ns)
            back = [r.start_ns for r in after if r.source == STORE]
            assert back, f"node {node} never came back\n{self.fleet.logs()}"
            worst_ms = max(worst_ms, (back[0] - healed_ns) / MS)
            later = [r for r in after if r.start_ns >= healed_ns + int(recovery_s * 1e9)]
            by_store = sum(r.source == STORE for r in later)
            assert by_store >= 0.95 * len(later), \
                f"node {node}: only {by_store} of {len(later)} calls asked the store again"
        self.notes.append(f"recovered in {worst_ms:.0f} ms")
        assert worst_ms <= recovery_s * 1000, self.notes[-1]

    def _judge_liveness(self):
        """Short windows admit again, each at least half of what it may."""
        since_ns = self.marks.healed_ns + int(RECOVERY_S * 1e9)
        length_s = (self.marks.end_ns - since_ns) / 1e9
        for rule in rules.RULES.values():
            if rule.length != "short" or not self.of(rule.key):
                continue
            hits = sum(r.hits for r in self.of(rule.key)
                       if r.start_ns >= since_ns and r.allowed and r.source in (STORE, LEASE))
            assert hits >= rule.bound.limit * (length_s - 1) / 2, \
                f"{rule.key} admitted only {hits} hits in the last {length_s:.1f} s"

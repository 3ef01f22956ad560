"""Judges what a fleet admitted against what its rules promise.

A call is decided at some moment between its start and its end, nobody outside knows which. Each
function gives the largest number of hits above the bound that no choice of moments can explain
away: 0 means that the answers are consistent with the promise, more means that it is broken.
Times are nanoseconds.
"""

import bisect
import collections
import dataclasses
import math

NS = 1_000_000_000
SUB_BUCKETS = 10  # of a sliding window, Weir's default


@dataclasses.dataclass(frozen=True)
class Hit:
    """An admitted call."""
    start_ns: int
    end_ns: int
    hits: int = 1


def fixed_window_excess(admitted, limit, window_ns):
    """For windows aligned to the clock of start_ns and end_ns (wall time)."""
    surely = collections.Counter()  # (first window, last window) a call can be in -> hits
    for hit in admitted:
        surely[hit.start_ns // window_ns, hit.end_ns // window_ns] += hit.hits
    firsts = sorted({first for first, _ in surely})
    lasts = sorted({last for _, last in surely})
    worst = 0
    for first in firsts:
        inside = 0
        by_last = collections.Counter()
        for (begin, end), hits in surely.items():
            if begin >= first:
                by_last[end] += hits
        for last in lasts:
            if last < first:
                continue
            inside += by_last[last]
            worst = max(worst, inside - limit * (last - first + 1))
    return worst


def fixed_window_shortfall(admitted, limit, window_ns, since_ns, until_ns):
    """Hits missing to `limit` in the worst run of whole windows between the two moments, counting
    each call wherever it may have been decided. For demand that was always above the limit."""
    first, end = -(-since_ns // window_ns), until_ns // window_ns
    worst = 0
    for begin in range(first, end):
        for last in range(begin, end):
            inside = sum(hit.hits for hit in admitted
                         if hit.end_ns // window_ns >= begin and hit.start_ns // window_ns <= last)
            worst = max(worst, limit * (last - begin + 1) - inside)
    return worst


def sliding_window_excess(admitted, limit, window_ns):
    """Over all intervals shorter than one window that begin with a call."""
    starts = sorted(hit.start_ns for hit in admitted)
    by_end = sorted(admitted, key=lambda hit: hit.end_ns)
    ends = [hit.end_ns for hit in by_end]
    worst = 0
    for start in starts:
        inside = sum(hit.hits for hit in by_end[bisect.bisect_left(ends, start):
                                                bisect.bisect_left(ends, start + window_ns)]
                     if hit.start_ns >= start)
        worst = max(worst, inside - limit)
    return worst


def token_bucket_excess(admitted, burst, hits_per_s):
    """The smallest extra burst that explains the calls, over intervals of every length."""
    ordered = sorted(admitted, key=lambda hit: hit.end_ns)
    tree = _MaxPrefix(len(ordered))
    previous_ns = ordered[0].end_ns if ordered else 0
    # Leaf i holds what the level of an audit bucket changes by from end i - 1 to end i.
    place = {}
    origin_ns = previous_ns
    for i, hit in enumerate(ordered):
        tree.add(i, -hits_per_s * (hit.end_ns - previous_ns) / NS)
        previous_ns = hit.end_ns
        place[id(hit)] = i
    worst = 0.0
    # From the latest start to the earliest: in the tree are exactly the calls that began since.
    for hit in sorted(ordered, key=lambda hit: -hit.start_ns):
        tree.add(place[id(hit)], hit.hits, ends=True)
        refilled_before = -hits_per_s * (hit.start_ns - origin_ns) / NS
        worst = max(worst, tree.max() - refilled_before - burst)
    return worst


class _MaxPrefix:
    """A list of numbers and the largest sum of its first k, over those k where one may end."""

    def __init__(self, size):
        self._leaves = 1
        while self._leaves < size:
            self._leaves *= 2
        self._sum = [0.0] * (2 * self._leaves)
        self._max = [-math.inf] * (2 * self._leaves)

    def add(self, index, value, ends=False):
        i = index + self._leaves
        self._sum[i] += value
        if ends:
            self._max[i] = self._sum[i]
        while i > 1:
            i //= 2
            left, right = 2 * i, 2 * i + 1
            self._sum[i] = self._sum[left] + self._sum[right]
            self._max[i] = max(self._max[left], self._sum[left] + self._max[right])

    def max(self):
        return self._max[1]


@dataclasses.dataclass(frozen=True)
class Bound:
    """What a rule promises. `limit` hits per window; `burst` of a token bucket only."""
    algorithm: str
    limit: float
    window_s: int
    burst: float = 0

    def share(self, nodes, of):
        """What `nodes` nodes that each run their share of `of` may admit together."""
        def part(whole):
            return nodes * (int(whole) // of)
        if self.algorithm == "token_bucket":
            # A rate is divided exactly, a burst rounded down.
            return dataclasses.replace(self, limit=self.limit * nodes / of, burst=part(self.burst))
        return dataclasses.replace(self, limit=part(self.limit))

    def admits(self, calls):
        """Hits that one limiter admits of calls (start_ns, hits) that it decides when they start:
        Weir's algorithms, on one node."""
        window_ns = self.window_s * NS
        sub_ns = window_ns // SUB_BUCKETS
        width_ns = window_ns if self.algorithm == "fixed_window" else sub_ns
        kept = 0 if self.algorithm == "fixed_window" else SUB_BUCKETS
        counts = collections.Counter()
        level, level_ns, total = 0.0, 0, 0
        for now_ns, hits in sorted(calls):
            if self.algorithm == "token_bucket":
                refilled = (now_ns - level_ns) * self.limit / window_ns
                level, level_ns = max(level - refilled, 0.0), now_ns
                fits = level + hits <= self.burst
                level += hits if fits else 0
            else:
                now = now_ns // width_ns
                fits = sum(counts[now - i] for i in range(kept + 1)) + hits <= self.limit
                counts[now] += hits if fits else 0
            total += hits if fits else 0
        return total

    def excess(self, admitted):
        """Hits above the bound; start_ns and end_ns are wall time."""
        window_ns = self.window_s * NS
        if self.algorithm == "fixed_window":
            return fixed_window_excess(admitted, self.limit, window_ns)
        if self.algorithm == "sliding_window":
            return sliding_window_excess(admitted, self.limit, window_ns)
        return token_bucket_excess(admitted, self.burst, self.limit / self.window_s)


def jain(shares):
    """How even they are: 1 for all the same, 1/n for one that has everything."""
    shares = list(shares)
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def quantiles(values, shares=(0.5, 0.99, 0.999)):
    """{share: value} of a list, and its largest under 1; empty for an empty list."""
    ordered = sorted(values)
    if not ordered:
        return {}
    found = {share: ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in shares}
    return {**found, 1: ordered[-1]}


def bucket_quantiles(before, after, shares=(0.5, 0.99, 0.999)):
    """The same of a Prometheus histogram between two scrapes, {le: cumulative count} each: the
    upper bound of the bucket the value lies in."""
    grown = {float(le): after[le] - before.get(le, 0) for le in after}
    bounds = sorted(grown)
    total = grown[bounds[-1]] if bounds else 0
    if not total:
        return {}
    return {share: next(le for le in bounds if grown[le] >= share * total)
            for share in (*shares, 1)}

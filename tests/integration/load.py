"""Open-loop load on a fleet, every call recorded.

As a module: Load starts a generator and returns its records. As a program it is the generator, a
process of its own, so that neither the test nor its proxy slow the schedule down. Calls leave at
times fixed ahead, answered or not; each goes to the next node in turn, or to one drawn by weight.
"""

import array
import asyncio
import bisect
import collections
import dataclasses
import functools
import gc
import itertools
import json
import pathlib
import random
import subprocess
import sys
import time

CALL_SECONDS = 5
CONNECT_SECONDS = 20
FINISH_SECONDS = 60
# A generator that has nothing to send looks this often whether it is to end.
LOOK_SECONDS = 0.05
CHANNELS_PER_NODE = 2
# A node that is started again is found within a fifth of a second.
_CHANNEL_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0),
                    ("grpc.initial_reconnect_backoff_ms", 100),
                    ("grpc.min_reconnect_backoff_ms", 100),
                    ("grpc.max_reconnect_backoff_ms", 200)]
NS = 1_000_000_000

# How a call ended, beside the sources of weir.v1.Decision: no answer was given.
UNAVAILABLE = -1  # the answer of on_store_failure: error
LOST = -2         # any other error, or none within CALL_SECONDS
_FIELDS = 9


@dataclasses.dataclass(frozen=True)
class Kind:
    """A share of the calls. With `keys` above 1 each call draws one of as many values, the n-th
    with a weight of n to the power of -`zipf`: 0 is even. `also`: the key of a second descriptor,
    with the same value: a call passes if both do."""
    key: str
    value: str
    hits: int = 1
    weight: int = 1
    keys: int = 1
    zipf: float = 0.0
    also: str = ""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Calls per second as a function of time: `steps` of (seconds, rate), over and over. With
    `aligned` they begin where the wall clock is a multiple of their sum, less `ahead_s`."""
    steps: tuple
    aligned: bool = False
    ahead_s: float = 0.0

    def dues_ns(self, begin_ns, wall_offset_ns):
        """When calls are due, without end."""
        cycle_ns = int(sum(seconds for seconds, _ in self.steps) * NS)
        at_ns = begin_ns
        if self.aligned:
            ahead_ns = int(self.ahead_s * NS)
            at_ns -= (begin_ns + wall_offset_ns + ahead_ns) % cycle_ns
        for seconds, rate in itertools.cycle(self.steps):
            count = int(seconds * rate)
            for i in range(count):
                due_ns = at_ns + int(i * NS / rate)
                if due_ns >= begin_ns:
                    yield due_ns
            at_ns += int(seconds * NS)


@dataclasses.dataclass(frozen=True)
class Record:
    """One call. Times are of CLOCK_MONOTONIC, the same in all processes of the machine."""
    kind: int      # index into the kinds
    node: int
    due_ns: int    # when it was to leave
    start_ns: int  # when it left
    end_ns: int
    allowed: bool
    source: int    # weir.v1.Source of the first descriptor, UNAVAILABLE or LOST
    hits: int
    which: int = 0  # of the keys of its kind


class Load:
    """A generator that runs until the end of the with block; then `records` holds every call."""

    def __init__(self, stubs, addresses, domain, kinds, rate, folder, seed=1, node_weights=()):
        """`stubs`: the folder of the generated modules; `addresses`: one per node; `rate`: calls
        per second, or a Schedule of them."""
        schedule = rate if isinstance(rate, Schedule) else Schedule(((1.0, rate),))
        self.kinds = list(kinds)
        self.records = []
        self.errors = collections.Counter()
        folder = pathlib.Path(folder)
        self._out = folder / f"load-{time.monotonic_ns()}"
        self._log = open(folder / "load.txt", "ab")
        self._job = json.dumps({
            "stubs": str(stubs), "addresses": list(addresses), "domain": domain,
            "kinds": [dataclasses.asdict(kind) for kind in self.kinds],
            "schedule": dataclasses.asdict(schedule), "node_weights": list(node_weights),
            "out": str(self._out), "seed": seed})

    def __enter__(self):
        """Returns once all connections stand and the first calls are due."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._job], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log)
        if self._process.stdout.readline() != b"running\n":
            self._end()
            raise RuntimeError(f"the load generator did not start, see {self._log.name}")
        return self

    def __exit__(self, kind, *_):
        self._process.stdin.close()
        try:
            code = self._process.wait(FINISH_SECONDS)
        finally:
            self._end()
        if kind is None and code != 0:
            raise RuntimeError(f"the load generator ended with {code}, see {self._log.name}")
        if code == 0:
            self._read()

    def _end(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def _read(self):
        flat = array.array("q", self._out.with_suffix(".calls").read_bytes())
        self.records = [Record(*flat[i:i + 5], bool(flat[i + 5]), *flat[i + 6:i + _FIELDS])
                        for i in range(0, len(flat), _FIELDS)]
        self.errors.update(json.loads(self._out.with_suffix(".errors").read_text()))

    def value(self, record):
        return self.kinds[record.kind]


class _Keys:
    """The requests of a kind, and which of them is next."""

    def __init__(self, kind, request, draw):
        self.hits = kind["hits"]
        self._kind = kind
        self._request = request
        self._draw = draw
        self._made = {}
        weights = (n ** -kind["zipf"] for n in range(1, kind["keys"] + 1))
        self._below = list(itertools.accumulate(weights))

    def next(self):
        which = 0
        if len(self._below) > 1:
            which = bisect.bisect_right(self._below, self._draw.random() * self._below[-1])
        if which not in self._made:
            value = self._kind["value"] + (f"#{which}" if len(self._below) > 1 else "")
            self._made[which] = self._request(
                hits=self.hits,
                descriptors=[{"entries": [{"key": key, "value": value}]}
                             for key in (self._kind["key"], self._kind.get("also")) if key])
        return which, self._made[which]


class _Generator:
    def __init__(self, job):
        import grpc.aio
        import weir.v1.limiter_pb2 as messages
        import weir.v1.limiter_pb2_grpc as services
        self._grpc = grpc
        self._unavailable = grpc.StatusCode.UNAVAILABLE
        self._schedule = Schedule(**job["schedule"])
        self._random = random.Random(job["seed"])
        request = functools.partial(messages.CheckRequest, domain=job["domain"])
        self._kinds = [_Keys(kind, request, self._random) for kind in job["kinds"]]
        self._order = [i for i, kind in enumerate(job["kinds"]) for _ in range(kind["weight"])]
        self._node_weights = job["node_weights"]
        self._channels = [
            [grpc.aio.insecure_channel(address, _CHANNEL_OPTIONS)
             for _ in range(CHANNELS_PER_NODE)]
            for address in job["addresses"]]
        self._checks = [[services.LimiterStub(channel).Check for channel in channels]
                        for channels in self._channels]
        self.calls = array.array("q")
        self.errors = collections.Counter()
        self._in_flight = set()

    async def connect(self):
        for channels in self._channels:
            for channel in channels:
                await asyncio.wait_for(channel.channel_ready(), CONNECT_SECONDS)

    async def run(self, stopped):
        begin_ns = time.monotonic_ns()
        dues_ns = self._schedule.dues_ns(begin_ns, time.time_ns() - begin_ns)
        due_ns = next(dues_ns)
        sent = 0
        while not stopped.is_set():
            now_ns = time.monotonic_ns()
            while due_ns <= now_ns:
                task = asyncio.ensure_future(self._call(sent, due_ns))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)
                sent += 1
                due_ns = next(dues_ns)
            wait_s = (due_ns - time.monotonic_ns()) / NS
            await asyncio.sleep(min(max(wait_s, 0), LOOK_SECONDS))
        await asyncio.gather(*self._in_flight)

    def _node(self, number):
        if not self._node_weights:
            return number % len(self._checks)
        return self._random.choices(range(len(self._checks)), self._node_weights)[0]

    async def _call(self, number, due_ns):
        kind = self._random.choice(self._order)
        node = self._node(number)
        check = self._checks[node][number // len(self._checks) % CHANNELS_PER_NODE]
        which, request = self._kinds[kind].next()
        allowed = False
        start_ns = time.monotonic_ns()
        try:
            answer = await check(request, timeout=CALL_SECONDS)
            source = answer.items[0].source
            allowed = answer.allowed
        except self._grpc.aio.AioRpcError as error:
            source = UNAVAILABLE if error.code() == self._unavailable else LOST
            self.errors[f"{error.code().name}: {error.details()}"] += 1
        self.calls.extend((kind, node, due_ns, start_ns, time.monotonic_ns(), allowed, source,
                           self._kinds[kind].hits, which))


async def _main(job):
    generator = _Generator(job)
    await generator.connect()
    stopped = asyncio.Event()
    # The parent closes our standard input to end the run, or ends itself.
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stopped.set)
    gc.freeze()
    gc.disable()  # a collection would be a pause in the schedule, and a run makes little garbage
    sys.stdout.write("running\n")
    sys.stdout.flush()
    await generator.run(stopped)
    out = pathlib.Path(job["out"])
    out.with_suffix(".calls").write_bytes(generator.calls.tobytes())
    out.with_suffix(".errors").write_text(json.dumps(generator.errors))


if __name__ == "__main__":
    JOB = json.loads(sys.argv[1])
    sys.path.insert(0, JOB["stubs"])
    asyncio.run(_main(JOB))

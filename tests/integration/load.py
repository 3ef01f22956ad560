"""Open-loop load on a fleet, every call recorded.

As a module: Load starts a generator and returns its records. As a program it is the generator, a
process of its own, so that neither the test nor its proxy slow the schedule down. Calls leave at
times fixed ahead, answered or not; each goes to the next node in turn.
"""

import array
import asyncio
import collections
import dataclasses
import gc
import json
import pathlib
import random
import subprocess
import sys
import time

CALL_SECONDS = 5
CONNECT_SECONDS = 20
FINISH_SECONDS = 60
CHANNELS_PER_NODE = 2

# How a call ended, beside the sources of weir.v1.Decision: no answer was given.
UNAVAILABLE = -1  # the answer of on_store_failure: error
LOST = -2         # any other error, or none within CALL_SECONDS
_FIELDS = 8


@dataclasses.dataclass(frozen=True)
class Kind:
    """A share of the calls."""
    key: str
    value: str
    hits: int = 1
    weight: int = 1


@dataclasses.dataclass(frozen=True)
class Record:
    """One call. Times are of CLOCK_MONOTONIC, the same in all processes of the machine."""
    kind: int      # index into the kinds
    node: int
    due_ns: int    # when it was to leave
    start_ns: int  # when it left
    end_ns: int
    allowed: bool
    source: int    # weir.v1.Source, UNAVAILABLE or LOST
    hits: int


class Load:
    """A generator that runs until the end of the with block; then `records` holds every call."""

    def __init__(self, stubs, addresses, domain, kinds, calls_per_s, folder, seed=1):
        """`stubs`: the folder of the generated modules; `addresses`: one per node."""
        self.kinds = list(kinds)
        self.records = []
        self.errors = collections.Counter()
        folder = pathlib.Path(folder)
        self._out = folder / f"load-{time.monotonic_ns()}"
        self._log = open(folder / "load.txt", "ab")
        self._job = json.dumps({
            "stubs": str(stubs), "addresses": list(addresses), "domain": domain,
            "kinds": [dataclasses.asdict(kind) for kind in self.kinds], "rate": calls_per_s,
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
        self.records = [Record(*flat[i:i + 5], bool(flat[i + 5]), *flat[i + 6:i + 8])
                        for i in range(0, len(flat), _FIELDS)]
        self.errors.update(json.loads(self._out.with_suffix(".errors").read_text()))

    def value(self, record):
        return self.kinds[record.kind]


class _Generator:
    def __init__(self, job):
        import grpc.aio
        import weir.v1.limiter_pb2 as messages
        import weir.v1.limiter_pb2_grpc as services
        self._grpc = grpc
        self._unavailable = grpc.StatusCode.UNAVAILABLE
        self._rate = job["rate"]
        self._hits = [kind["hits"] for kind in job["kinds"]]
        self._requests = [messages.CheckRequest(
            domain=job["domain"], hits=kind["hits"],
            descriptors=[{"entries": [{"key": kind["key"], "value": kind["value"]}]}])
            for kind in job["kinds"]]
        self._order = [i for i, kind in enumerate(job["kinds"]) for _ in range(kind["weight"])]
        self._random = random.Random(job["seed"])
        self._channels = [
            [grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1),
                                                 ("grpc.enable_retries", 0)])
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
        sent = 0
        while not stopped.is_set():
            now_ns = time.monotonic_ns()
            while (due_ns := begin_ns + int(sent * 1e9 / self._rate)) <= now_ns:
                task = asyncio.ensure_future(self._call(sent, due_ns))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)
                sent += 1
            await asyncio.sleep(max(due_ns - time.monotonic_ns(), 0) / 1e9)
        await asyncio.gather(*self._in_flight)

    async def _call(self, number, due_ns):
        kind = self._random.choice(self._order)
        node = number % len(self._checks)
        check = self._checks[node][number // len(self._checks) % CHANNELS_PER_NODE]
        allowed = False
        start_ns = time.monotonic_ns()
        try:
            answer = await check(self._requests[kind], timeout=CALL_SECONDS)
            source = answer.items[0].source
            allowed = answer.allowed
        except self._grpc.aio.AioRpcError as error:
            source = UNAVAILABLE if error.code() == self._unavailable else LOST
            self.errors[f"{error.code().name}: {error.details()}"] += 1
        self.calls.extend((kind, node, due_ns, start_ns, time.monotonic_ns(), allowed, source,
                           self._hits[kind]))


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

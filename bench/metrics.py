#!/usr/bin/env python3
"""What metrics cost: a scrape of 10,000 series, decisions while scrapes go on, and an idle Weir.

    bench/metrics.py BIN        BIN is the folder of weir and weir_grpc_load

It exits with 1 when a number misses its target.
"""

import argparse
import contextlib
import http.client
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SERIES = 10_000
SCRAPE_MS_MAX = 30
SCRAPES = 60
# A request may bring 32 descriptors at most.
DESCRIPTORS = 25
# Above the limit of 1, so that a rule shows the series of both results.
CALLS_PER_RULE = 3

P99_RATIO_MAX = 1.2
ROUNDS = 9
SECONDS = 2
CALLS_PER_S = 2000
# 150 times as often as is usual, so that several calls of a hundred meet a scrape.
SCRAPE_EVERY_S = 0.1

IDLE_SECONDS = 20
IDLE_PERCENT_MAX = 0.5

LOAD_RULES = """domain: bench
descriptors:
  - key: user
    rate_limit: {unit: hour, requests_per_unit: 1000000}
"""


@contextlib.contextmanager
def weir(binaries, *rules):
    """A running weir with a file for each of these rules: (process, {listener: address})."""
    with tempfile.TemporaryDirectory() as folder:
        for i, text in enumerate(rules):
            (pathlib.Path(folder) / f"rules{i}.yaml").write_text(text, encoding="utf-8")
        process = subprocess.Popen(
            [binaries / "weir", "serve", f"--rules-dir={folder}", "--log-level=error",
             "--drain-delay=0s", "--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0",
             "--admin-listen=127.0.0.1:0", "--metrics-max-series=1000000"],
            stdout=subprocess.PIPE, text=True)
        try:
            words = process.stdout.readline().split()[1:]
            yield process, dict(word.split("=", 1) for word in words)
        finally:
            process.terminate()
            process.wait()


def scrape(connection):
    connection.request("GET", "/metrics")
    return connection.getresponse().read()


def series_of(text):
    return sum(1 for line in text.splitlines() if line and not line.startswith(b"#"))


def many_rules(count):
    return "domain: many\ndescriptors:\n" + "".join(
        f"  - key: k{i}\n    rate_limit: {{unit: day, requests_per_unit: 1}}\n"
        for i in range(count))


def use_rules(connection, count):
    for first in range(0, count, DESCRIPTORS):
        body = json.dumps({"domain": "many", "descriptors": [
            {"entries": [{"key": f"k{i}", "value": "v"}]}
            for i in range(first, min(first + DESCRIPTORS, count))]})
        for _ in range(CALLS_PER_RULE):
            connection.request("POST", "/json", body)
            connection.getresponse().read()


def cpu_s(process):
    """Seconds of a processor that its threads used: exact, where /proc/PID/stat counts ticks."""
    return sum(int(path.read_text(encoding="ascii").split()[0]) / 1e9
               for path in pathlib.Path(f"/proc/{process.pid}/task").glob("*/schedstat"))


@contextlib.contextmanager
def weir_of_many_series(binaries):
    """A running weir that shows at least SERIES: (process, {listener: address}, connection)."""
    rules = SERIES // 5
    with weir(binaries, many_rules(rules), LOAD_RULES) as (process, addresses):
        connection = http.client.HTTPConnection(addresses["http"])
        use_rules(connection, rules)
        if series_of(scrape(connection)) < SERIES:
            raise RuntimeError(f"{rules} rules show fewer than {SERIES} series")
        yield process, addresses, connection


def big_scrape(process, connection):
    times_ms, before_s = [], cpu_s(process)
    for _ in range(SCRAPES):
        begin = time.monotonic()
        text = scrape(connection)
        times_ms.append((time.monotonic() - begin) * 1000)
    used_ms = (cpu_s(process) - before_s) / SCRAPES * 1000
    median = statistics.median(times_ms)
    print(f"scrape of {series_of(text)} series, {len(text) / 1e6:.2f} MB: median {median:.1f} ms "
          f"({min(times_ms):.1f} to {max(times_ms):.1f}), weir's processor time {used_ms:.1f} ms; "
          f"target {SCRAPE_MS_MAX} ms", flush=True)
    return median <= SCRAPE_MS_MAX


class Scraper:
    """Scrapes on a schedule until the end of the with block."""

    def __init__(self, address):
        self._connection = http.client.HTTPConnection(address)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        scrape(self._connection)
        while not self._stopped.wait(SCRAPE_EVERY_S):
            scrape(self._connection)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._stopped.set()
        self._thread.join()


def p99_us(binaries, address):
    """Of calls that leave on a schedule."""
    done = subprocess.run(
        [binaries / "weir_grpc_load", f"--target={address}", "--connections=4", "--streams=25",
         f"--rate={CALLS_PER_S}", f"--seconds={SECONDS}"], capture_output=True, text=True,
        check=True)
    return json.loads(done.stdout)["p99_us"]


def decisions(binaries, addresses):
    """In turn, so that what else the machine does meets both."""
    without, during = [], []
    for _ in range(ROUNDS):
        without.append(p99_us(binaries, addresses["grpc"]))
        with Scraper(addresses["http"]):
            during.append(p99_us(binaries, addresses["grpc"]))
    ratios = [b / a for a, b in zip(without, during)]
    ratio = statistics.median(ratios)
    print(f"p99 of {CALLS_PER_S} calls/s: {statistics.median(without):.0f} us without scrapes, "
          f"{statistics.median(during):.0f} us with one each {SCRAPE_EVERY_S * 1000:.0f} ms, ratio "
          f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); target {P99_RATIO_MAX}",
          flush=True)
    return ratio <= P99_RATIO_MAX


def idle(binaries):
    with weir(binaries, LOAD_RULES) as (process, _):
        before_s, begin = cpu_s(process), time.monotonic()
        threading.Event().wait(IDLE_SECONDS)
        used = (cpu_s(process) - before_s) / (time.monotonic() - begin) * 100
    print(f"idle for {IDLE_SECONDS} s: {used:.3f} % of a core; target {IDLE_PERCENT_MAX} %",
          flush=True)
    return used <= IDLE_PERCENT_MAX


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", type=pathlib.Path)
    binaries = parser.parse_args().binaries
    with weir_of_many_series(binaries) as (process, addresses, connection):
        reached = [big_scrape(process, connection), decisions(binaries, addresses)]
    return 0 if all([*reached, idle(binaries)]) else 1


if __name__ == "__main__":
    sys.exit(main())

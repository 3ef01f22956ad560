#!/usr/bin/env python3
"""Measures gRPC servers under one load: which API of grpc++ is cheapest, and what Weir adds.

  transport.py                          the null server in each API of grpc++, as a table
  transport.py --pair "CMD A" "CMD B"   two servers in turn, and the ratio B / A

A server command may hold {port} and {port2} to {port9}: each becomes a free port, and the load
goes to {port}. Every measurement starts its server anew, pins it, checks its answers, measures,
and stops it; the order changes with every round, so that a slow minute of the machine meets all
alike. Medians over the rounds are printed, with the smallest and the largest value.

Two loads: `grpc` is weir_grpc_load (every answer checked, many keys), `h2load` is the program of
nghttp2 (one request over and over, answers checked beforehand only, but far cheaper for the
client, so that it reaches the ceiling of any grpc++ server).
"""

import argparse
import contextlib
import json
import os
import platform
import re
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

METHOD = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
APIS = {
    "sync": "--api=sync --threads=1",
    "callback": "--api=callback",
    "cq, 1 queue": "--api=cq --threads=1",
    "cq, 2 queues": "--api=cq --threads=2",
}
START_DEADLINE_S = 10
STOP_DEADLINE_S = 10
WARMUP_S = 0.3
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Something that makes the whole measurement worthless; its text is all the user needs."""


def free_ports(count):
    """Different ones: all are held until the last is chosen."""
    with contextlib.ExitStack() as held:
        listeners = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def cpu_seconds(pid):
    """User and system time of a process with all its threads (proc(5), fields 14 and 15)."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def pinned(cpus, words):
    return ["taskset", "-c", cpus] + words


class Server:
    """One server process: started by `with`, ready inside it, stopped at the end."""

    def __init__(self, command, options):
        names = ["port"] + [f"port{i}" for i in range(2, 10)]
        names = [name for name in names if "{" + name + "}" in command]
        ports = dict(zip(names, free_ports(len(names))))
        if "port" not in ports:
            raise Failure(f"the server command has no {{port}}: {command}")
        for name, port in ports.items():
            command = command.replace("{" + name + "}", str(port))
        self.target = f"127.0.0.1:{ports['port']}"
        self.words = pinned(options.server_cpu, shlex.split(command))
        self.output = tempfile.TemporaryFile()
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdout=self.output, stderr=subprocess.STDOUT)
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_until_ready(self):
        host, port = self.target.split(":")
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            if self.process.poll() is not None:
                raise Failure(f"ended at start: {shlex.join(self.words)}\n{self.said()}")
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Failure(f"not ready: {shlex.join(self.words)}\n{self.said()}") from error
            time.sleep(0.01)

    def said(self):
        self.output.seek(0)
        return self.output.read().decode(errors="replace")[-2000:]

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()


def run(words):
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise Failure(f"failed: {shlex.join(words)}\n{result.stdout}{result.stderr}")
    return result.stdout


def machine_ticks():
    """(busy, all) ticks of all CPUs since start (proc(5), /proc/stat)."""
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


class MachineWatch:
    """How much of the machine's CPU time went to processes that are not ours."""

    def __init__(self):
        self.ticks = machine_ticks()
        self.ours = self.own_ticks()

    @staticmethod
    def own_ticks():
        return sum(os.times()[:4]) * TICKS_PER_SECOND

    def others_share(self):
        busy, total = machine_ticks()
        ours = self.own_ticks() - self.ours
        return max(0.0, (busy - self.ticks[0] - ours) / max(1, total - self.ticks[1]))


def wait_until_quiet(seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        watch = MachineWatch()
        time.sleep(0.25)
        if watch.others_share() < 0.1:
            return


# ---- the two loads: each returns calls_per_second, server_us, load_share, p50_us, p99_us


def grpc_words(options, target, connections, streams, seconds):
    words = [os.path.join(options.bin, "weir_grpc_load"), f"--target={target}",
             f"--connections={connections}", f"--streams={streams}", f"--seconds={seconds}",
             f"--keys={options.keys}", f"--denied={options.denied}", f"--warmup={WARMUP_S}"]
    return pinned(options.load_cpu, words)


def measure_grpc(options, server, connections, streams):
    words = grpc_words(options, server.target, connections, streams, options.seconds)
    words.append(f"--server-pid={server.process.pid}")
    if options.rate:
        words.append(f"--rate={options.rate}")
    result = json.loads(run(words))
    return {"calls_per_second": result["calls_per_second"],
            "server_us": result["server_cpu_us_per_call"],
            "load_share": result["generator_cpu_share"],
            "p50_us": result["p50_us"], "p99_us": result["p99_us"]}


def field(number, payload):
    """One length-delimited protobuf field; every length here fits one byte."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def request_body():
    """RateLimitRequest{domain: "bench", descriptors: [{entries: [("user", "u1234")]}]}, framed."""
    entry = field(1, b"user") + field(2, b"u1234")
    message = field(1, b"bench") + field(2, field(1, entry))
    return b"\0" + len(message).to_bytes(4, "big") + message


def h2load_words(options, target, connections, streams, folder):
    body = os.path.join(folder, "body.bin")
    with open(body, "wb") as file:
        file.write(request_body())
    words = ["h2load", "-t", "1", "-c", str(connections), "-m", str(streams),
             "-D", f"{round(1000 * options.seconds)}ms", "-d", body,
             "-H", "content-type: application/grpc", "-H", "te: trailers",
             f"--log-file={os.path.join(folder, 'log')}",
             f"http://{target}{METHOD}"]
    return pinned(options.load_cpu, words)


def children_cpu_seconds():
    times = os.times()
    return times.children_user + times.children_system


def measure_h2load(options, server, connections, streams):
    with tempfile.TemporaryDirectory() as folder:
        words = h2load_words(options, server.target, connections, streams, folder)
        server_from, load_from = cpu_seconds(server.process.pid), children_cpu_seconds()
        started = time.monotonic()
        text = run(words)
        elapsed = time.monotonic() - started
        server_cpu = cpu_seconds(server.process.pid) - server_from
        load_cpu = children_cpu_seconds() - load_from
        with open(os.path.join(folder, "log"), encoding="ascii") as log:
            rows = [line.split("\t") for line in log]
    counts = re.search(r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed", text)
    if not counts or int(counts[3]) or not int(counts[1]) or counts[1] != counts[2]:
        raise Failure(f"h2load saw failures: {shlex.join(words)}\n{text}")
    # The log holds a few calls more than `done`: those answered after the time was up.
    latencies_us = sorted(int(row[2]) for row in rows if row[1] == "200")
    quantile = lambda share: latencies_us[min(len(latencies_us) - 1,
                                              int(share * len(latencies_us)))]
    return {"calls_per_second": int(counts[1]) / options.seconds,
            "server_us": server_cpu * 1e6 / len(latencies_us),
            "load_share": load_cpu / elapsed,
            "p50_us": quantile(0.50), "p99_us": quantile(0.99)}


def measure(options, command, shape):
    """One measurement of one server under one shape (connections, streams)."""
    connections, streams = shape
    load = measure_h2load if options.load == "h2load" else measure_grpc
    wait_until_quiet(options.quiet_wait)
    watch = MachineWatch()
    with Server(command, options) as server:
        run(grpc_words(options, server.target, connections, streams, WARMUP_S))  # checks answers
        result = load(options, server, connections, streams)
    return result | {"others_share": watch.others_share()}


# ---- reports


def median_of(results, name):
    return statistics.median(result[name] for result in results)


def show(results, name, digits=0):
    """The median, then the smallest and the largest value."""
    values = [result[name] for result in results]
    return (f"{statistics.median(values):,.{digits}f} "
            f"({min(values):,.{digits}f}–{max(values):,.{digits}f})")


def version(words):
    try:
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        return (result.stdout or result.stderr).strip().splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def print_conditions(options):
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        model = re.search(r"model name\s*: (.*)", cpuinfo.read())
    grpc = version(["dpkg-query", "-W", "-f", "${Version}", "libgrpc++1.51"])
    print(f"command: {shlex.join([os.path.basename(sys.argv[0])] + sys.argv[1:])}")
    print(f"machine: {model[1] if model else 'unknown'}, {os.cpu_count()} CPUs, "
          f"Linux {platform.release()}; server on CPU {options.server_cpu}, "
          f"load on CPU {options.load_cpu}")
    print(f"versions: grpc++ {grpc}, {version(['h2load', '--version'])}")
    print(f"load: {options.load}"
          + (f", open loop at {options.rate} calls/s" if options.rate else ", closed loop")
          + f"; {options.rounds} rounds of {options.seconds:g} s")


def in_turn(names, round_number):
    """Another order in every round: forwards and backwards, starting from each name in turn."""
    start = round_number // 2 % len(names)
    order = names[start:] + names[:start]
    return order if round_number % 2 == 0 else order[::-1]


def measure_all(options, commands):
    """{(name, shape): results}, one result a round."""
    results = {}
    for round_number in range(options.rounds):
        for shape in options.shapes:
            for name in in_turn(list(commands), round_number):
                result = measure(options, commands[name], shape)
                results.setdefault((name, shape), []).append(result)
                print(f"round {round_number + 1}: {name}, {shape[0]} x {shape[1]}: "
                      f"{result['calls_per_second']:,.0f} calls/s, "
                      f"{result['server_us']:.2f} us", file=sys.stderr)
    return results


def print_table(results):
    print("\n| server | connections x streams | calls/s | server CPU us per call "
          "| p50 us | p99 us | load's CPU | others |")
    print("|---|---|---|---|---|---|---|---|")
    for (name, shape), rows in sorted(results.items(), key=lambda item: item[0][1]):
        print(f"| {name} | {shape[0]} x {shape[1]} | {show(rows, 'calls_per_second')} "
              f"| {show(rows, 'server_us', 2)} | {median_of(rows, 'p50_us'):,.0f} "
              f"| {median_of(rows, 'p99_us'):,.0f} | {100 * median_of(rows, 'load_share'):.0f}% "
              f"| {100 * median_of(rows, 'others_share'):.0f}% |")


def print_ratios(options, results):
    """B / A of each round, in which the two ran side by side. Returns False if B is too slow."""
    good = True
    print("\n| connections x streams | calls/s, B / A | server CPU us per call, B / A |")
    print("|---|---|---|")
    for shape in options.shapes:
        ratios = [{name: second[name] / first[name] for name in ("calls_per_second", "server_us")}
                  for first, second in zip(results["A", shape], results["B", shape])]
        print(f"| {shape[0]} x {shape[1]} | {show(ratios, 'calls_per_second', 3)} "
              f"| {show(ratios, 'server_us', 3)} |")
        good = good and median_of(ratios, "calls_per_second") >= options.ratio_min
    return good


def shapes(text):
    parsed = re.findall(r"(\d+)x(\d+)", text)
    if not parsed or ",".join(f"{c}x{s}" for c, s in parsed) != text:
        raise argparse.ArgumentTypeError("expected CONNECTIONSxSTREAMS,…: 1x100,4x25")
    return [(int(c), int(s)) for c, s in parsed]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", nargs=2, metavar=("A", "B"), help="two server commands")
    parser.add_argument("--ratio-min", type=float, default=0,
                        help="with --pair: exit with 1 if the median of calls/s B / A is below")
    parser.add_argument("--bin", default="build/release",
                        help="folder of weir_null_server and weir_grpc_load [%(default)s]")
    parser.add_argument("--load", choices=("grpc", "h2load"), default="grpc")
    parser.add_argument("--shapes", type=shapes, default=shapes("1x100,4x25,25x4"),
                        help="connections x streams of each [1x100,4x25,25x4]")
    parser.add_argument("--apis", default=",".join(key.replace(", ", ":") for key in APIS),
                        help="rows of the table [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of one measurement")
    parser.add_argument("--rate", type=float, default=0, help="open loop, calls/s (grpc only)")
    parser.add_argument("--denied", type=float, default=0, help="share of denied calls (grpc only)")
    parser.add_argument("--keys", type=int, default=10000, help="distinct keys (grpc only)")
    parser.add_argument("--server-cpu", default="0", help="CPU list of the server [%(default)s]")
    parser.add_argument("--load-cpu", default="1", help="CPU list of the load [%(default)s]")
    parser.add_argument("--quiet-wait", type=float, default=10, metavar="SECONDS",
                        help="wait at most so long before each measurement until other programs "
                        "use less than 10%% of the machine [%(default)s]")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    null_server = os.path.join(options.bin, "weir_null_server") + " --listen=127.0.0.1:{port} "
    if options.pair:
        commands = {"A": options.pair[0], "B": options.pair[1]}
    else:
        chosen = [name.replace(":", ", ") for name in options.apis.split(",")]
        commands = {name: null_server + APIS[name] for name in chosen}
    results = measure_all(options, commands)
    print_conditions(options)
    for name, command in commands.items():
        print(f"server {name}: {command}")
    print_table(results)
    return 0 if not options.pair or print_ratios(options, results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        sys.exit(f"transport.py: {failure}")

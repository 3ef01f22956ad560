"""Requests through Envoy, at a steady rate."""

import collections
import os
import re
import shutil
import subprocess
import threading
import time

import pytest

import program

SECONDS = 30
CONNECTIONS, CALLS_PER_S = 8, 1000
# What changes under load changes so often; ./dev soak makes it twenty times.
CHANGES = max(3, round(2 * float(os.environ.get("WEIR_INTEGRATION_SCALE", "1"))))


class Load:
    """h2load asks at a steady rate, in batches, until it is told to end."""

    def __init__(self, envoy):
        program_path = shutil.which("h2load")
        if program_path is None:
            missing = "h2load is not installed: apt-get install nghttp2-client"
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
        self._command = [
            program_path, "--h1", f"--requests={CALLS_PER_S}", f"--clients={CONNECTIONS}",
            f"--rps={CALLS_PER_S // CONNECTIONS}", f"http://127.0.0.1:{envoy.port}/"]
        self._envoy = envoy
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.outcomes = collections.Counter()  # "2xx", "failed" … -> requests
        self.seconds = 0
        self.max_ms = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _run(self):
        began = time.monotonic()
        while not self._end.is_set():
            done = subprocess.run(self._command, capture_output=True, text=True, check=False)
            self._read(done.stdout)
        self.seconds = time.monotonic() - began

    def _read(self, text):
        """requests: 1000 total, …, 1000 succeeded, 0 failed, 0 errored, 0 timeout
        status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx"""
        for line in ("requests", "status codes"):
            found = re.search(rf"^{line}: (.*)$", text, re.M)
            for number, what in re.findall(r"(\d+) (\w+)", found[1]):
                self.outcomes[what] += int(number)
        slowest = re.search(r"^time for request: +\S+ +([\d.]+)(us|ms|s) ", text, re.M)
        scale = {"us": 0.001, "ms": 1, "s": 1000}[slowest[2]]
        self.max_ms = max(self.max_ms, float(slowest[1]) * scale)

    def text(self):
        total = self.outcomes["total"]
        return (f"{total} requests, {total / self.seconds:.0f} a second, "
                f"slowest {self.max_ms:.0f} ms")

    def judge(self):
        """All were allowed, each by an answer of Weir."""
        total = self.outcomes["total"]
        assert total > 0 and self.outcomes["2xx"] == self.outcomes["succeeded"] == total, (
            self.outcomes)
        assert self._envoy.rate_limit_stats() == {"ok": total}

    def poll(self, done, what):
        """Waits until done() while requests keep being answered, a hundred at least."""
        def answered():
            return self._envoy.rate_limit_stats().get("ok", 0)
        before = answered()
        program.poll(lambda: done() and answered() >= before + 100, SECONDS, what)

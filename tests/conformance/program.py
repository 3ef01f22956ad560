"""Starts and stops the program under test.

The contract: when all ports are open it prints one line to standard output,
`serving grpc=ADDRESS http=ADDRESS admin=ADDRESS`.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid

import grpc

# Generous, because a build with sanitizers on a busy machine is many times slower.
START_SECONDS = 60
STOP_SECONDS = 60
POLL_SECONDS = 0.02

# What is inherited but would change the program's settings (the variables it reads).
_SETTINGS = re.compile(
    r"(WEIR|GRPC_|RUNTIME_|CONFIG_|REDIS_|MEMCACHE_|XDS_|LIMIT_|STATSD_|PROMETHEUS_|TRACING_|OTEL_|"
    r"DOG_STATSD_|RESPONSE_|LOG_|DEBUG_|LOCAL_CACHE_).*|HOST|PORT|BACKEND_TYPE|NEAR_LIMIT_RATIO|"
    r"CACHE_KEY_PREFIX|EXPIRATION_JITTER_MAX_SECONDS|STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT|"
    r"SHADOW_MODE|QUOTA_MODE|HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED|MERGE_DOMAIN_CONFIG|"
    r"FORCE_START_WITHOUT_INITIAL_CONFIG|USE_PROMETHEUS|USE_STATSD|USE_DOG_STATSD.*|EXTRA_TAGS|"
    r"STATS_FLUSH_INTERVAL|DISABLE_STATS|ENABLE_NEGATIVE_HITS|USE_CALENDAR_MONTH_RATE_LIMIT|"
    r"SANITIZE_DESCRIPTOR_METRIC_DOTS")


def environment(extra):
    """The environment of this process without settings, and with `extra`."""
    kept = {k: v for k, v in os.environ.items() if not _SETTINGS.fullmatch(k)}
    return {**kept, **extra}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def poll(done, seconds, what):
    """Waits until done() gives something, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        result = done()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        threading.Event().wait(POLL_SECONDS)


def on_redis(setup):
    """Whether the program counts in the Redis that WEIR_TEST_REDIS names: not where a case is
    about the choice of the store or about the memory store's bounds."""
    chosen = ("--store", "--redis", "--cache-key-prefix", "--keys-max", "--overflow",
              "--state-bytes-max", "BACKEND_TYPE", "REDIS_", "WEIR_REDIS", "CACHE_KEY_PREFIX")
    given = [*setup.flags, *setup.env]
    return bool(os.environ.get("WEIR_TEST_REDIS")) and not any(
        name.startswith(chosen) for name in given)


class Program:
    """One running weir, with a folder of its own: rules/, stdout.txt, stderr.txt."""

    def __init__(self, binary, folder, setup):
        """`setup` is a cases.Setup; its rules must be in folder/rules."""
        self.folder = folder
        self.rules = folder / "rules"
        self._setup = setup
        executable = pathlib.Path(binary)
        if setup.name != "weir":
            executable = folder / setup.name
            executable.symlink_to(binary)
        self.ports = {f"$PORT{i}": str(free_port()) for i in range(4)}
        self._stdout = open(folder / "stdout.txt", "wb")
        self._stderr = open(folder / "stderr.txt", "wb")
        self._process = subprocess.Popen(
            [str(executable), *self._flags()], stdin=subprocess.DEVNULL, stdout=self._stdout,
            stderr=self._stderr, cwd=folder,
            env=environment({k: self.substitute(v) for k, v in setup.env.items()}))
        try:
            self._read_addresses()
        except Exception:
            self._process.kill()
            self._process.wait()
            raise
        # A pool of its own, so that a port used again is not mistaken for an old connection.
        self.channels = [
            grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1),
                                            ("grpc.max_send_message_length", -1)])
            for address in self.grpc_addresses]

    def substitute(self, text):
        text = str(text).replace("$DIR", str(self.folder))
        for name, port in self.ports.items():
            text = text.replace(name, port)
        return text

    def _flags(self):
        flags = [self.substitute(flag) for flag in self._setup.flags]
        given = {flag.partition("=")[0] for flag in flags}
        defaults = [] if self._setup.listen_by_settings else [
            "--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0",
            "--admin-listen=127.0.0.1:0"]
        defaults.append("--drain-delay=0s")
        if on_redis(self._setup):
            # Programs share the server, so each counts under a prefix of its own. Their machine is
            # busy: what they answer is compared, not how soon.
            defaults += [f"--redis-url={os.environ['WEIR_TEST_REDIS']}", "--store-wait=5s",
                         f"--cache-key-prefix={uuid.uuid4()}:"]
        if not self._setup.rules_by_settings:
            defaults.append(f"--rules-dir={self.rules}")
        return ["serve"] + [d for d in defaults if d.partition("=")[0] not in given] + flags

    def _read_addresses(self):
        def serving():
            if self._process.poll() is not None:
                raise RuntimeError(f"ended with {self._process.returncode} instead of serving:\n"
                                   f"{self.output('stdout')}{self.output('stderr')}")
            return re.search(r"^serving (.*)\n", self.output("stdout"), re.M)
        line = poll(serving, START_SECONDS, "the line 'serving …' on standard output")
        pairs = [word.split("=", 1) for word in line[1].split()]
        self.grpc_addresses = [address for name, address in pairs if name == "grpc"]
        self.addresses = dict(reversed(pairs))  # of several gRPC listeners the first

    def output(self, stream):
        return (self.folder / f"{stream}.txt").read_text(errors="replace")

    @property
    def pid(self):
        return self._process.pid

    def running(self):
        return self._process.poll() is None

    def signal(self, name):
        self._process.send_signal(getattr(signal, f"SIG{name}"))

    def wait(self):
        """Its exit code, once it has ended."""
        return self._process.wait(STOP_SECONDS)

    def stop(self):
        """Asks it to end; raises if it does not end well."""
        for channel in self.channels:
            channel.close()
        if self.running():
            self.signal("TERM")
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._stdout.close()
            self._stderr.close()
        if code != 0:
            raise RuntimeError(f"ended with exit code {code}:\n{self.output('stderr')[-4000:]}")

    def http(self, path, method="GET", body=None, listener="http", headers=None):
        """(status, headers, text) of one HTTP request."""
        address = self.addresses.get(listener, self.substitute(listener))
        request = urllib.request.Request(f"http://{address}{path}", method=method,
                                         data=None if body is None else body.encode(),
                                         headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read().decode()


class Pool:
    """Programs by group: cases with the same settings share one, each with domains of its own."""

    def __init__(self, binary, folder):
        self._binary = binary
        self._folder = folder
        self._shared = {}
        self._count = 0

    def start(self, setup, files):
        """A program that serves `files` (name -> text); the caller stops it."""
        self._count += 1
        folder = self._folder / f"{self._count:03}"
        (folder / "rules").mkdir(parents=True)
        for name, text in files.items():
            path = folder / "rules" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Program(self._binary, folder, setup)

    def shared(self, setup, files):
        found = self._shared.get(setup)
        if found is None or not found.running():
            found = self._shared[setup] = self.start(setup, files)
        return found

    def stop_all(self):
        errors = []
        for running in self._shared.values():
            try:
                running.stop()
            except Exception as error:  # the others must be stopped all the same
                errors.append(str(error))
        if errors:
            raise RuntimeError("\n".join(errors))

"""A redis-server of a test's own: a free port and a Unix socket, in a folder of its own."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import program
import resp

START_SECONDS = 20

# Passwords: not words that a log line may hold for another reason.
RIGHT, WRONG = "rh7Kq2-right", "wz4Pm9-wrong"
_PORT_TRIES = 5


class Redis:
    """One redis-server (or a relative of it). It keeps nothing on disk unless told to."""

    def __init__(self, executable, arguments=(), environment=None, prefix=(), login=(),
                 config=None, tls=False):
        """`arguments` come last on its command line, so they win; `prefix` is a command that runs
        it, one that ends as it (nsenter), so that its process id is the server's; `login` is of
        this class's own connections: ("password",) or ("user", "password"); `config` is the text
        of a file of settings that the server may write to; with `tls` its port speaks TLS only
        (the certificates are among the arguments)."""
        # Short, because the path of a Unix socket has room for 107 bytes only.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-redis-"))
        self.unix_path = str(self.folder / "s")
        self.arguments = list(arguments)
        self.login = login
        self._executable = executable
        self._environment = environment or {}
        self._prefix = list(prefix)
        self._process = None
        self._log = self.folder / "log"
        self._config = []
        if config is not None:
            self._config = [str(self.folder / "conf")]
            (self.folder / "conf").write_text(config)
        self._tls = tls
        try:
            # Somebody else may take the port between the look and the start.
            for attempt in range(_PORT_TRIES):
                self.port = program.free_port()
                try:
                    self.start()
                    break
                except RuntimeError:
                    if "in use" not in self.log() or attempt == _PORT_TRIES - 1:
                        raise
        except BaseException:
            self.close()
            raise

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self._process.pid

    def log(self):
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def running(self):
        return self._process is not None and self._process.poll() is None

    def start(self):
        """Starts it and waits until it answers, loading its data included."""
        ports = ["--port", str(self.port)]
        if self._tls:
            ports = ["--port", "0", "--tls-port", str(self.port)]
        command = [*self._prefix, self._executable, *self._config, *ports,
                   "--unixsocket", self.unix_path, "--dir", str(self.folder),
                   "--save", "", "--appendonly", "no", "--daemonize", "no", *self.arguments]
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**program.environment({}), **self._environment}, cwd=self.folder)

        def answers():
            if not self.running():
                raise RuntimeError(f"{self._executable} ended: {self.log()[-2000:]}")
            return self.answers()
        program.poll(answers, START_SECONDS, f"{self._executable} to answer")

    def answers(self):
        """Whether it serves commands now."""
        try:
            return self.call("PING", timeout_s=1.0) == b"PONG"
        except (OSError, resp.Error):
            return False

    def connect(self, timeout_s=5.0):
        connection = resp.Connection(self.unix_path, timeout_s)
        if self.login:
            connection.call("AUTH", *self.login)
        return connection

    def call(self, *arguments, timeout_s=5.0):
        """One command on a connection of its own."""
        with self.connect(timeout_s) as connection:
            return connection.call(*arguments)

    def info(self, section):
        lines = self.call("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def signal(self, name):
        self._process.send_signal(getattr(signal, f"SIG{name}"))

    def kill(self):
        """Ends it without a chance to save anything."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def restart(self, wipe=True):
        """Starts it again after a kill; with `wipe` without what it may have written."""
        self.kill()
        if wipe:
            for name in ("dump.rdb", "appendonlydir", "appendonly.aof"):
                path = self.folder / name
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.exists():
                    path.unlink()
        self.start()

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class SteppedClock:
    """The clock of a Redis that runs under libfaketime: real time plus an offset that a test sets.
    Only the wall clock: intervals stay true, as when an operator or NTP sets a machine's time."""

    def __init__(self, folder):
        self._file = pathlib.Path(folder) / "offset"
        self.set(0)

    @staticmethod
    def library():
        """The path of libfaketime; None: it is not installed."""
        for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"):
            path = os.path.join(folder, "faketime", "libfaketime.so.1")
            if os.path.exists(path):
                return path
        return None

    def environment(self):
        """The environment to start the server with. The C library comes second so that malloc is
        its own: jemalloc reads the clock while libfaketime allocates, and both give up."""
        return {"LD_PRELOAD": f"{self.library()}:libc.so.6",
                "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1",
                "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def set(self, offset_s):
        """At once: the file is replaced, never seen half written."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n")
        os.replace(new, self._file)

"""--redis: the programs of a suite count in a redis-server of the suite's own."""

import os
import pathlib
import subprocess
import tempfile

import program


def add(parser):
    parser.addoption("--redis", action="store_true", help="count in a Redis of the suite's own")


def configure(config):
    """Starts the server before any case is read: what is expected depends on the store."""
    if config.getoption("--redis"):
        end, os.environ["WEIR_TEST_REDIS"] = start()
        config.add_cleanup(end)


def start():
    """(what ends it, its address for --redis-url) of a server that keeps nothing on disk."""
    folder = tempfile.TemporaryDirectory(prefix="weir-redis-")
    socket = pathlib.Path(folder.name) / "s"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly",
         "no", "--dir", folder.name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    program.poll(socket.exists, program.START_SECONDS, "redis-server")

    def end():
        server.kill()
        server.wait()
        folder.cleanup()
    return end, f"unix:{socket}"

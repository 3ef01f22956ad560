"""The gRPC listener itself: who may connect, and what is seen when nobody can.

grpc++ 1.51 stops listening for good when the process once has no descriptor left
(CVE-2023-4785). Nothing else in it fails; /livez must, so that whoever looks after the process
restarts it."""

import os
import resource
import signal
import socket
import stat

import pytest

import cases
import exposition
import program

RULES = """
domain: d
descriptors:
  - key: user
    rate_limit: {unit: second, requests_per_unit: 10}
"""
DESCRIPTORS = 128
CONNECTIONS = 400


@pytest.fixture
def start(binary, tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "rules.yaml").write_text(RULES)
    started = []

    def run(*flags):
        started.append(program.Program(binary, tmp_path, cases.Setup(flags=flags)))
        return started[-1]
    yield run
    for weir in started:
        weir.stop()


@pytest.fixture
def weir(start):
    return start()


def reacts(weir):
    """Whether who connects to the gRPC listener hears anything, or at least its end."""
    host, _, port = weir.addresses["grpc"].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.settimeout(2)
        try:
            connection.recv(1)
        except TimeoutError:
            return False
        return True


def livez(weir):
    return weir.http("/livez")[0]


def listening(weir):
    return exposition.total(exposition.parse(weir.http("/metrics")[2]), "weir_grpc_listening")


def exhaust(weir):
    """Connects more often than the process has descriptors, and leaves again."""
    host, _, port = weir.addresses["grpc"].rpartition(":")
    connections = []
    try:
        for _ in range(CONNECTIONS):
            connections.append(socket.create_connection((host, int(port)), timeout=5))
        program.poll(lambda: "Too many open files" in weir.output("stderr"), 10,
                     "the last descriptor to be gone")
    finally:
        for connection in connections:
            connection.close()


def test_livez_fails_when_nobody_can_connect(weir):
    assert livez(weir) == 200 and listening(weir) == 1 and reacts(weir)
    resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    exhaust(weir)
    program.poll(lambda: not reacts(weir), 30, "the listener to be dead")
    program.poll(lambda: livez(weir) == 503, 30, "/livez to say so")
    assert weir.http("/healthcheck")[0] == 500
    assert listening(weir) == 0
    assert "takes no connections any more" in weir.output("stderr")
    assert weir.running()


def test_a_storm_of_hangups_is_no_fault_of_the_listener(weir):
    for _ in range(3000):
        os.kill(weir.pid, signal.SIGHUP)
    assert livez(weir) == 200
    assert "takes no connections" not in weir.output("stderr")


@pytest.mark.parametrize("access, mode",
                         [(None, 0o700), ("owner", 0o700), ("group", 0o770), ("everyone", 0o777)])
def test_who_may_connect_to_a_unix_socket(access, mode, start, tmp_path):
    socket_path = tmp_path / "s"
    flags = [] if access is None else [f"--grpc-socket-access={access}"]
    start(f"--grpc-listen=unix:{socket_path}", *flags)
    assert stat.S_IMODE(os.stat(socket_path).st_mode) == mode

"""grpc++ 1.51 stops listening for good when the process once has no descriptor left
(CVE-2023-4785). Nothing else in it fails; /livez must, so that whoever looks after the process
restarts it."""

import resource
import socket

import pytest

import cases
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
def weir(binary, tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "rules.yaml").write_text(RULES)
    started = program.Program(binary, tmp_path, cases.Setup(flags=()))
    yield started
    started.stop()


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
    assert livez(weir) == 200 and reacts(weir)
    resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    exhaust(weir)
    program.poll(lambda: not reacts(weir), 30, "the listener to be dead")
    program.poll(lambda: livez(weir) == 503, 30, "/livez to say so")
    assert weir.http("/healthcheck")[0] == 500
    assert "takes no connections any more" in weir.output("stderr")
    assert weir.running()

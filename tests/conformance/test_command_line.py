"""Commands that meet a server which takes the connection and says nothing."""

import socket
import subprocess

import pytest

import program


@pytest.mark.parametrize("command", ["check", "explain"])
def test_a_silent_server_is_given_up(command, binary):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        done = subprocess.run([binary, command, "--server", address, "-d", "shop", "user=ada"],
                              check=False, text=True, capture_output=True, timeout=60,
                              env=program.environment({}))
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr == (
        f"weir {command}: cannot ask {address}: DEADLINE_EXCEEDED: no answer within 5s: is weir "
        "serving gRPC there? --server HOST:PORT names another address, --tls speaks TLS\n")

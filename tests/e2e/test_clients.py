"""Services that ask Weir themselves: the documented clients, run as documented."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import bootstrap
import exposition

CLIENTS = bootstrap.REPOSITORY / "docs" / "example" / "clients"
SECONDS = 60


def run(command, **env):
    """The lines of its standard output."""
    done = subprocess.run(command, cwd=bootstrap.REPOSITORY, env={**os.environ, **env}, text=True,
                          capture_output=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def api_decisions(weir, code):
    _, _, text = weir.http("/metrics")
    return exposition.total(exposition.parse(text),
                            f'weir_decisions_total{{domain="shop",rule="api",code="{code}"}}')


def check_turns(lines, weir):
    """Ten hits at a time of a burst of 50 that refills by 10 per second: five turns at once, then
    a wait of at most a second. After each wait exactly one turn."""
    assert lines.count("turn: go") == 6
    assert lines[:5] == ["turn: go"] * 5
    waits = [re.fullmatch(r"turn: wait (\d+\.\d{3}) s", line) for line in lines[5:-1]]
    assert len(waits) == 1 and waits[0], lines
    assert 0 < float(waits[0][1]) <= 1
    assert lines[-1] == "turn: go"
    assert (api_decisions(weir, "ok"), api_decisions(weir, "over_limit")) == (6, 1)


def documented_stub_command():
    """The protoc command of check.py's own comment."""
    text = (CLIENTS / "check.py").read_text()
    command = re.search(r"^ +python (-m grpc_tools\.protoc .*\\\n.*)$", text, re.M)[1]
    return command.replace("\\\n", " ").split()


def test_python_client(weir, tmp_path):
    arguments = [word.replace("=stubs", f"={tmp_path}") for word in documented_stub_command()]
    run([sys.executable, *arguments])
    lines = run([sys.executable, str(CLIENTS / "check.py"), weir.addresses["grpc"]],
                PYTHONPATH=str(tmp_path))
    turns = [line for line in lines if line.startswith("turn:")]
    check_turns(turns, weir)
    assert lines[len(turns):] == [
        "check: allowed, 4 of 5 remain",
        "check: allowed, 3 of 5 remain",
        "check: allowed, 2 of 5 remain",
        "check: allowed, 1 of 5 remain",
        "check: allowed, 0 of 5 remain",
        "check: denied, 0 of 5 remain",
        "refund: 2 remain",
        "report: 1 remain",
        "batch: denied",
        "batch: allowed",
        "batch: error, domain is empty: name a domain of rules",
    ]


def test_cpp_client(weir, binary):
    client = pathlib.Path(binary).with_name("weir_example_client")
    if not os.access(client, os.X_OK):
        pytest.fail(f"no program at {client}: build the target weir_example_client",
                    pytrace=False)
    check_turns(run([str(client), weir.addresses["grpc"]]), weir)


def test_cpp_client_without_weir(weir, binary, start_weir):
    client = pathlib.Path(binary).with_name("weir_example_client")
    start_weir.kill(weir)
    done = subprocess.run([str(client), weir.addresses["grpc"]], text=True, capture_output=True,
                          timeout=SECONDS, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(weir.addresses["grpc"] + ": ")

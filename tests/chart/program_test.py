"""What the chart renders, given to the program itself: rules, settings, the test's arguments."""

import os
import re
import subprocess

import pytest

from conftest import CASES, Helm, environment, find, objects, weir_container


@pytest.fixture(name="weir")
def _weir():
    program = os.environ.get("WEIR_BINARY", "")
    if not program:
        pytest.skip("WEIR_BINARY is not set: the program is not asked")
    return program


def write_rules(folder, documents):
    """Writes the rule files as the ConfigMap's volume would. Returns their folder."""
    rules = folder / "rules"
    rules.mkdir()
    for document in documents:
        if document["kind"] == "ConfigMap" and document["metadata"]["name"] == "weir-rules":
            for name, text in document.get("data", {}).items():
                (rules / name).write_text(text, encoding="utf-8")
    return rules


@pytest.mark.parametrize("case", [case for case in CASES if case != "disabled"])
def test_rules_are_valid(helm4: Helm, weir, tmp_path, case):
    rules = write_rules(tmp_path, objects(helm4.case(case)))
    done = subprocess.run([weir, "validate", "--strict", rules], capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", [case for case in CASES if case != "disabled"])
def test_settings_are_accepted(helm4: Helm, weir, tmp_path, case):
    """Every variable that the chart sets is read, and its value is one that the program takes."""
    documents = objects(helm4.case(case))
    container = weir_container(documents)
    given = {name: value or "" for name, value in environment(container).items()}
    given.pop("NODE_NAME", None)
    rules = write_rules(tmp_path, documents)
    done = subprocess.run([weir, *container["args"], f"--rules-dir={rules}", "--print-config"],
                          env=given, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    read = set(re.findall(r"WEIR_[A-Z0-9_]+", done.stdout))
    assert given["WEIR_STORE"] in done.stdout
    # The flags given here and by extraArgs win over their variables.
    assert {name for name in given if name in known(weir)} - read <= {"WEIR_RULES_DIR",
                                                                      "WEIR_THREADS"}


def known(weir):
    page = subprocess.run([weir, "settings"], capture_output=True, text=True, timeout=30,
                          check=True).stdout
    return set(re.findall(r"`(WEIR_[A-Z0-9_]+)`", page))


def test_the_check_of_helm_test_passes(helm4: Helm, weir, tmp_path):
    """The pod's own command against a server with the pod's own settings, at a socket."""
    documents = objects(helm4.case("sidecar"))
    settings = environment(weir_container(documents))
    # A path of a Unix socket is short.
    path = tmp_path / "s"
    given = {**settings, "WEIR_GRPC_LISTEN": f"unix:{path}", "WEIR_HTTP_LISTEN": "127.0.0.1:0",
             "WEIR_ADMIN_LISTEN": "127.0.0.1:0", "WEIR_DRAIN_DELAY": "1ms",
             "WEIR_RULES_DIR": str(write_rules(tmp_path, documents))}
    given.pop("WEIR_ENFORCEMENT_FILE")
    with subprocess.Popen([weir, "serve"], env=given, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout.readline().startswith("serving grpc=unix:")
            check = find(documents, "Pod", "weir-test")["spec"]["containers"][0]
            arguments = [argument.replace("/run/weir/weir.sock", str(path))
                         for argument in check["args"]]
            assert f"--server=unix:{path}" in arguments
            done = subprocess.run([weir, *arguments], capture_output=True, text=True, timeout=30,
                                  check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "allowed" in done.stdout
        finally:
            server.terminate()

"""Fixtures of the page suite: the debug pages of the real program, in a real browser."""

import json
import os
import pathlib
import shutil
import sys
import urllib.request

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent.parent
sys.path.append(str(FOLDER))
sys.path.append(str(FOLDER.parent / "conformance"))

import browser as browsers  # noqa: E402
import cases  # noqa: E402
import program  # noqa: E402

SCRIPT = "<script>window.pwned=1</script>"
# What a caller could send: it ends attributes, elements and lines; NUL; right-to-left.
HOSTILE = [SCRIPT, "'\"><img src=https://weir.invalid/x onerror=window.pwned=1>", "a\0b\r\n",
           "\u202eabc", "</bdi></th></table>" + SCRIPT, "x" * 900]
RULES = """domain: "<script>window.pwned=1</script>"
descriptors:
  - key: user
    rate_limit: {unit: hour, requests_per_unit: 1}
  - key: "'\\"><img src=https://weir.invalid/y onerror=window.pwned=1>"
    rate_limit: {unit: hour, requests_per_unit: 1}
"""


class Weir:
    """The program with hostile rules and keys."""

    def __init__(self, running):
        self.running = running
        self.admin = f"http://{running.addresses['admin']}"

    def get(self, path, accept="*/*"):
        """The answer's status, headers and text."""
        request = urllib.request.Request(self.admin + path, headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def take(self, value, key="user", domain=SCRIPT):
        body = {"domain": domain, "descriptors": [{"entries": [{"key": key, "value": value}]}]}
        request = urllib.request.Request(f"http://{self.running.addresses['http']}/json",
                                         data=json.dumps(body).encode())
        try:
            urllib.request.urlopen(request, timeout=60).close()
        except urllib.error.HTTPError as error:
            assert error.code == 429, error
            error.close()


def start(folder, *flags):
    binary = os.environ.get("WEIR_BINARY", str(REPOSITORY / "build" / "release" / "weir"))
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "hostile.yaml").write_text(RULES)
    return Weir(program.Program(binary, folder, cases.Setup(flags=flags)))


@pytest.fixture(scope="session")
def weir(tmp_path_factory):
    """With keys shown."""
    started = start(tmp_path_factory.mktemp("shown"), "--show-keys=true")
    for value in HOSTILE:
        for _ in range(3):
            started.take(value)
    yield started
    started.running.signal("TERM")
    assert started.running.wait() == 0


@pytest.fixture(scope="session")
def hidden(tmp_path_factory):
    """With keys hidden, in shadow mode, and with a password among its settings."""
    started = start(tmp_path_factory.mktemp("hidden"), "--shadow-mode=true",
                    "--redis-password=planted-secret")
    started.take("ada-is-private")
    yield started
    started.running.signal("TERM")
    assert started.running.wait() == 0


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if shutil.which(browsers.PROGRAM) is None:
        pytest.skip("chromium is not installed")
    started = browsers.Browser(tmp_path_factory.mktemp("browser"))
    yield started
    started.close()

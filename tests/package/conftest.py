"""Fixtures of the package suite: the Debian package of the program under test, built, unpacked, and
really installed and purged where that can be done.

WEIR_BINARY names the program (default: the release build); the package is made in its folder.
"""

import os
import pathlib
import re
import shutil
import subprocess
import threading
import time

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
LOCK_SECONDS = 60
# In ./dev test nothing is left to build.
BUILD_SECONDS = 800


def run(*command, check=True, seconds=120, **options):
    """The finished command; its output is text."""
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=seconds, check=False, **options)
    assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
    return done


def as_root():
    """The words before a command that needs root; skips where there is no way to be."""
    if os.geteuid() == 0:
        return []
    if run("sudo", "-n", "true", check=False).returncode == 0:
        return ["sudo", "-n"]
    pytest.skip("installing a package needs root, or sudo without a password")
    return None


def documented(section):
    """The commands of docs/install.md under this heading."""
    text = (REPOSITORY / "docs/install.md").read_text(encoding="utf-8")
    block = re.search(rf"^## {section}$.*?^```sh\n(.*?)^```$", text, re.M | re.S)
    return block[1].splitlines()


@pytest.fixture(scope="session")
def build():
    return pathlib.Path(
        os.environ.get("WEIR_BINARY", REPOSITORY / "build" / "release" / "weir")).parent


@pytest.fixture(scope="session")
def deb(build):
    """The package's file, made as the documentation says."""
    run("bash", "-c", documented("Debian package")[0], cwd=REPOSITORY,
        seconds=BUILD_SECONDS)
    (path,) = (build / "package").glob("*.deb")
    return path


@pytest.fixture(scope="session")
def tree(deb, tmp_path_factory):
    """What the package holds, unpacked: a machine's dpkg may leave manuals out."""
    folder = tmp_path_factory.mktemp("tree")
    run("dpkg-deb", "-x", deb, folder)
    return folder


class Machine:
    """This machine, with the package installed and taken away again."""

    def __init__(self, prefix, apt_config):
        self._prefix = prefix
        self._environment = [f"APT_CONFIG={apt_config}"]

    def dpkg(self, *arguments):
        """Waits while another program installs packages. Triggers (the index of manuals) wait."""
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            done = self.root("dpkg", *arguments, check=False)
            if "locked by another process" not in done.stderr or time.monotonic() > deadline:
                break
            threading.Event().wait(0.2)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"

    def root(self, *command, check=True):
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        return run(*self._prefix, "env", f"PATH={path}", "DEBIAN_FRONTEND=noninteractive",
                   *self._environment, *command, check=check, cwd=REPOSITORY)

    def status(self):
        """The package's state as dpkg has it; empty if it knows none."""
        done = run("dpkg-query", "-W", "-f", "${db:Status-Status}", "weir", check=False)
        return done.stdout if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def machine(deb, tmp_path_factory):
    """Installed as the documentation says, for the module's tests; purged after the last whatever
    they did."""
    del deb
    if shutil.which("dpkg") is None:
        pytest.skip("installing a Debian package needs Debian")
    config = tmp_path_factory.mktemp("apt") / "apt.conf"
    config.write_text(f'DPkg::Lock::Timeout "{LOCK_SECONDS}";\n'
                      'DPkg::Options {"--no-triggers";};\n')
    machine = Machine(as_root(), config)
    if machine.status() or os.path.exists("/etc/weir"):
        pytest.fail("a weir package or /etc/weir is on this machine already; it is left alone",
                    pytrace=False)
    try:
        for command in documented("Debian package")[1:]:
            machine.root("bash", "-c", command)
        yield machine
    finally:
        machine.dpkg("--no-triggers", "-P", "weir")
        machine.dpkg("--triggers-only", "--pending")

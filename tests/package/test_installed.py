"""The package on a real machine: installed, run, upgraded, purged. The tests are in that order."""

import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest

from conftest import run

SERVE_SECONDS = 30


def test_the_program_runs(machine):
    assert machine.status() == "installed"
    assert run("/usr/bin/weir", "version").stdout.startswith("weir ")
    assert run("/usr/bin/weir", "validate", "/etc/weir/rules").stdout == "ok: 1 domain in 1 file\n"


def test_the_account_is_made(machine):
    del machine
    entry = run("getent", "passwd", "weir").stdout
    assert re.fullmatch(r"weir:\S?:\d+:\d+:Weir rate limiter:/:/usr/sbin/nologin\n", entry)


def read_line(stream, seconds):
    """One line of a pipe; what there is of it when the time is over."""
    line, deadline = b"", time.monotonic() + seconds
    while not line.endswith(b"\n") and time.monotonic() < deadline:
        if not select.select([stream], [], [], max(0, deadline - time.monotonic()))[0]:
            break
        byte = os.read(stream.fileno(), 1)
        if not byte:
            break
        line += byte
    return line.decode()


def test_the_packaged_configuration_serves(machine):
    unit = pathlib.Path("/lib/systemd/system/weir.service").read_text(encoding="utf-8")
    command = re.search(r"^ExecStart=(.*)$", unit, re.M)[1].split()
    user = ["setpriv", "--reuid=weir", "--regid=weir", "--clear-groups", "--no-new-privs"]
    if os.geteuid() != 0:
        user = ["sudo", "-n", *user]
    environment = ["env", "-i", "WEIR_GRPC_LISTEN=127.0.0.1:0", "WEIR_HTTP_LISTEN=127.0.0.1:0",
                   "WEIR_ADMIN_LISTEN=127.0.0.1:0", "WEIR_DRAIN_DELAY=0s"]
    with subprocess.Popen([*user, *environment, *command], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as server:
        try:
            line = read_line(server.stdout, SERVE_SECONDS)
            address = re.match(r"serving grpc=(\S+) ", line)
            assert address, line
            check = ["/usr/bin/weir", "check", "--server", address[1], "-d", "shop", "user=ada"]
            codes = [run(*check, check=False).returncode for _ in range(11)]
            # 5 a minute, and the minute may end meanwhile.
            assert codes[:5] == [0] * 5 and 1 in codes, codes
        finally:
            machine.root("kill", f"-{signal.SIGTERM}", server.pid)
            assert server.wait(SERVE_SECONDS) == 0


def test_the_unit_is_accepted_and_confined(machine):
    del machine
    if shutil.which("systemd-analyze") is None:
        pytest.skip("checking the unit needs systemd-analyze")
    done = run("systemd-analyze", "verify", "--man=no", "/lib/systemd/system/weir.service",
               check=False)
    assert "weir" not in done.stdout + done.stderr, done.stdout + done.stderr
    # Exposure in tenths: 0 is none, 96 a service without any of this.
    run("systemd-analyze", "security", "--offline=yes", "--threshold=15",
        "/lib/systemd/system/weir.service")


def test_the_metrics_of_the_process_are_there_under_the_unit(machine):
    """ProcSubset=pid: of /proc there is nothing but processes."""
    hidden = ["unshare", "--mount", "sh", "-c",
              'mount -t proc -o subset=pid proc /proc && exec "$@"', "sh"]
    if machine.root(*hidden, "true", check=False).returncode != 0:
        pytest.skip("hiding /proc needs a mount namespace")
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    command = ["/usr/bin/weir", "serve", "--rules-dir=/etc/weir/rules", "--drain-delay=0s",
               *(f"--{name}-listen=127.0.0.1:0" for name in ("grpc", "http", "admin"))]
    with subprocess.Popen([*prefix, *hidden, *command], stdout=subprocess.PIPE) as server:
        try:
            address = re.search(r"http=(\S+)", read_line(server.stdout, SERVE_SECONDS))[1]
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as reply:
                families = re.findall(r"^process_(\w+) ", reply.read().decode(), re.M)
            assert set(families) == {"cpu_seconds_total", "resident_memory_bytes",
                                     "virtual_memory_bytes", "start_time_seconds", "open_fds",
                                     "max_fds"}
        finally:
            machine.root("kill", f"-{signal.SIGTERM}", server.pid)
            assert server.wait(SERVE_SECONDS) == 0


def test_the_unit_comes_back(machine):
    """However often it takes, and after a hangup: that ends a program that has not yet begun, and
    systemd takes it for a clean end."""
    del machine
    unit = pathlib.Path("/lib/systemd/system/weir.service").read_text(encoding="utf-8")
    for line in ("Restart=on-failure", "RestartForceExitStatus=SIGHUP", "StartLimitIntervalSec=0"):
        assert f"\n{line}\n" in unit, line


def seconds(text):
    return sum(float(n) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]
               for n, unit in re.findall(r"(\d+)(ms|s|m|h)", text))


def test_the_unit_waits_longer_than_a_drain(machine):
    del machine
    unit = pathlib.Path("/lib/systemd/system/weir.service").read_text(encoding="utf-8")
    wait = seconds(re.search(r"^TimeoutStopSec=(\S+)$", unit, re.M)[1])
    config = run("/usr/bin/weir", "serve", "--config=/etc/weir/weir.yaml", "--print-config").stdout
    drain = sum(seconds(re.search(rf"^{name}: (\S+)", config, re.M)[1])
                for name in ("drain-delay", "drain-max"))
    assert 0 < drain < wait


def next_version(deb, folder):
    """A package like it of a later version, with other conffiles."""
    run("dpkg-deb", "-R", deb, folder / "next")
    control = folder / "next/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 99", control.read_text()))
    for name in ("weir.yaml", "rules/shop.yaml"):
        with open(folder / "next/etc/weir" / name, "a", encoding="utf-8") as file:
            file.write("# of the next version\n")
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", folder / "next", folder / "next.deb")
    return folder / "next.deb"


def test_an_upgrade_keeps_what_was_changed(machine, deb, tmp_path):
    machine.root("sh", "-c", "echo '# of the administrator' >>/etc/weir/weir.yaml")
    machine.dpkg("--no-triggers", "-i", "--force-confdef", "--force-confold",
                 next_version(deb, tmp_path))
    assert run("dpkg-query", "-W", "-f", "${Version}", "weir").stdout == "99"
    config = pathlib.Path("/etc/weir/weir.yaml").read_text(encoding="utf-8")
    rules = pathlib.Path("/etc/weir/rules/shop.yaml").read_text(encoding="utf-8")
    assert config.endswith("# of the administrator\n")
    assert rules.endswith("# of the next version\n")


LINK = "/etc/systemd/system/multi-user.target.wants/weir.service"


def test_a_removal_keeps_the_configuration_and_a_purge_nothing(machine, deb):
    # As `systemctl enable` does, which the package does not.
    machine.root("ln", "-sfn", "/lib/systemd/system/weir.service", LINK)
    machine.dpkg("--no-triggers", "-r", "weir")
    assert not os.path.exists("/usr/bin/weir")
    assert os.path.exists("/etc/weir/weir.yaml")
    machine.dpkg("--no-triggers", "-P", "weir")
    assert machine.status() in ("", "not-installed")
    for line in run("dpkg-deb", "-c", deb).stdout.splitlines():
        path = line.split()[-1].lstrip(".")
        assert "weir" not in path or not os.path.lexists(path), path
    assert run("getent", "passwd", "weir", check=False).stdout == ""
    assert run("getent", "group", "weir", check=False).stdout == ""
    assert not os.path.lexists(LINK)


def test_a_purge_keeps_the_account_of_what_it_leaves(machine, deb):
    """As docs/install.md has certificates installed."""
    machine.dpkg("--no-triggers", "-i", deb)
    key = "/etc/weir/tls.key"
    try:
        machine.root("install", "-g", "weir", "-m", "0640", "/dev/null", key)
        machine.dpkg("--no-triggers", "-P", "weir")
        assert run("stat", "-c", "%U:%G", key).stdout == "root:weir\n"
        # Without the file, the next purge takes the account too.
        machine.root("rm", key)
        machine.dpkg("--no-triggers", "-i", deb)
        machine.dpkg("--no-triggers", "-P", "weir")
        assert run("getent", "group", "weir", check=False).stdout == ""
    finally:
        machine.root("rm", "-rf", "/etc/weir")

"""Passwords: wrong ones, and a change of them without an answer lost."""

import os
import pathlib
import re
import time

import pytest

import certificates
import changes
import load
import program
import resp
import rules
import scenario
from redis_server import RIGHT, WRONG
from single_calls import sources


@pytest.mark.parametrize("given", [WRONG, None], ids=["wrong", "missing"])
def test_bad_password_from_the_start(given, start_redis, start_fleet, api):
    """It serves by policy, says why, and is whole as soon as Redis takes the password."""
    redis = start_redis("--requirepass", RIGHT, login=(RIGHT,))
    flags = [f"--redis-password={given}"] if given else []
    fleet = start_fleet(redis.address, *flags, nodes=1)
    node = fleet.programs[0]
    assert sources(api, node, 20) == [scenario.POLICY] * 20
    log = program.poll(lambda: ("password" in node.output("stderr").lower() and
                                node.output("stderr")), 10, "the log to name the password")
    assert RIGHT not in log and WRONG not in log, "a password was logged"
    assert fleet.totals("weir_redis_connected") == [0]
    redis.call("CONFIG", "SET", "requirepass", given or "")
    redis.login = (given,) if given else ()
    began = time.monotonic()
    program.poll(lambda: sources(api, node) == [scenario.STORE], 10, "the store to be used")
    assert time.monotonic() - began < 2


def test_password_rotation(start_redis, start_fleet, api, stubs_folder, tmp_path, report):
    """The documented way: add the new password, restart each Weir with it, remove the old one."""
    redis = start_redis()
    redis.call("ACL", "SETUSER", "weir", "on", ">old", "~*", "&*", "+@all")
    old = start_fleet(redis.address, "--redis-user=weir", "--redis-password=old")
    old.wait_ready(knows_all=False)
    redis.call("ACL", "SETUSER", "weir", ">new")
    new = start_fleet(redis.address, "--redis-user=weir", "--redis-password=new")
    new.wait_ready()
    with scenario.Scenario(new, stubs_folder, tmp_path, "rotation", report) as run:
        old.stop()
        redis.call("ACL", "SETUSER", "weir", "<old")
        time.sleep(1)
    run.judge()
    by_store = [r for r in run.of(rules.PROBE) if r.source == scenario.STORE]
    assert len(by_store) >= 0.95 * len(run.of(rules.PROBE))
    assert new.connected()
    # What still had the old password is refused; Redis closed its connections.
    late = start_fleet(redis.address, "--redis-user=weir", "--redis-password=old", nodes=1)
    assert sources(api, late.programs[0], 5) == [scenario.POLICY] * 5


def test_password_file_rotation(start_redis, start_fleet, api, stubs_folder, tmp_path, report,
                                scale):
    """The documented way with a password file, time and again: add the new password, swap the file,
    remove the old one. No request fails, and the next connection takes the new password."""
    rounds = max(3, round(2 * scale))
    redis = start_redis()
    redis.call("ACL", "SETUSER", "weir", "on", ">p0", "~*", "&*", "+@all")
    file = tmp_path / "password"
    file.write_text("p0\n")
    # This is about passwords, not about how busy the machine is.
    fleet = start_fleet(redis.address, "--redis-user=weir", f"--redis-password-file={file}",
                        "--store-wait=2s", "--redis-isolate-after=5s")
    fleet.wait_ready()
    with scenario.Scenario(fleet, stubs_folder, tmp_path, "rotation", report) as run:
        began = time.monotonic()
        for i in range(1, rounds + 1):
            redis.call("ACL", "SETUSER", "weir", f">p{i}")
            changes.write(file, f"p{i}\n")
            redis.call("ACL", "SETUSER", "weir", f"<p{i - 1}")
            time.sleep(0.5)
        rotated_ns = time.monotonic_ns()
        seconds = time.monotonic() - began
        # Connections outlive passwords: only new ones prove that the file is read again.
        before = fleet.totals("weir_redis_reconnects_total")
        redis.call("CLIENT", "KILL", "USER", "weir")
        program.poll(lambda: all(now > then for now, then in zip(
            fleet.totals("weir_redis_reconnects_total"), before)) and fleet.connected(), 10,
            "new connections")
        took_ms = (time.monotonic_ns() - rotated_ns) / scenario.MS
        time.sleep(0.5)
    run.judge_admitted()
    during = [r for r in run.records if r.end_ns < rotated_ns]
    assert not [r for r in during if r.source == load.UNAVAILABLE]
    asked = [r for r in run.of(rules.PROBE) if r.end_ns < rotated_ns]
    by_store = [r for r in asked if r.source == scenario.STORE]
    assert len(by_store) >= 0.95 * len(asked), "Redis was not used while the password changed"
    report("password rotation", f"{rounds} rotations in {seconds:.1f} s, {len(run.records)} calls, "
           f"{len(during) / (seconds + scenario.SETTLE_S):.0f} a second, none failed; all nodes "
           f"connected {took_ms:.0f} ms after their connections were closed")


def test_the_documented_account_is_enough(start_redis, start_fleet, api):
    """The line of docs/guarantees.md, as it stands there."""
    document = (pathlib.Path(__file__).parents[2] / "docs" / "guarantees.md").read_text()
    line = re.search(r"^ACL SETUSER weir on >PASSWORD (.*)$", document, re.M)[1]
    redis = start_redis()
    redis.call("ACL", "SETUSER", "weir", "on", f">{RIGHT}", *line.split())
    fleet = start_fleet(redis.address, "--redis-user=weir", f"--redis-password={RIGHT}",
                        "--cache-key-prefix=", "--allow-reset", nodes=1)
    fleet.wait_ready()
    stub = api.limiter_grpc.LimiterStub(fleet.programs[0].channels[0])
    for algorithm in rules.ALGORITHMS:
        key = f"long_{algorithm}_deny"
        descriptors = [{"entries": [{"key": key, "value": "acl"}]}]
        request = api.limiter.CheckRequest(domain=rules.DOMAIN, descriptors=descriptors)
        for call in (stub.Check, stub.Peek, stub.Report, stub.Refund):
            assert call(request, timeout=10).items[0].source == scenario.STORE, (key, call)
        stub.Reset(api.limiter.ResetRequest(domain=rules.DOMAIN, descriptors=descriptors),
                   timeout=10)
    assert fleet.totals('weir_store_calls_total{result="error"}') == [0]
    # And no more: another program's keys, and what could end the server, are out of reach.
    redis.call("SET", "session", "1")
    redis.login = ("weir", RIGHT)
    for command in (["GET", "session"], ["KEYS", "*"], ["SCRIPT", "FLUSH"], ["CONFIG", "GET", "*"]):
        with pytest.raises(resp.Error, match="NOPERM"):
            redis.call(*command)
    redis.login = ()


def test_redis_certificate_in_its_files(start_redis, start_fleet, api, tmp_path):
    """The certificate shown to Redis is read again when its files change, one after the other."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    authority = certificates.Authority(folder)
    of_redis, good = authority.issue(), authority.issue()
    bad = certificates.Authority(folder).issue()
    redis = start_redis(
        "--tls-cert-file", str(of_redis.certificate), "--tls-key-file", str(of_redis.key),
        "--tls-ca-cert-file", str(authority.certificate), "--tls-auth-clients", "yes", tls=True)
    shown = certificates.Pair(folder, "shown")

    def show(pair):
        for new, path in ((pair.certificate, shown.certificate), (pair.key, shown.key)):
            written = path.with_suffix(".new")
            written.write_bytes(new.read_bytes())
            os.replace(written, path)
    show(bad)
    fleet = start_fleet(f"rediss://{redis.address}", f"--redis-tls-ca={authority.certificate}",
                        f"--redis-tls-cert={shown.certificate}", f"--redis-tls-key={shown.key}",
                        nodes=1)
    node = fleet.programs[0]
    assert sources(api, node, 5) == [scenario.POLICY] * 5
    show(good)
    program.poll(lambda: sources(api, node) == [scenario.STORE], 15, "Redis to take the new one")

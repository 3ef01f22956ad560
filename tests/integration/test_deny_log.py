"""The log of a running Weir: sampled denials, and nothing that callers say about themselves."""

import json

import pytest

import program
import rules
import scenario
from single_calls import ask

# In values of descriptors and nowhere else: what a log must not show.
MARK = "private-7341"
HOSTILE = f"{MARK}\n2026-01-01T00:00:00.000Z info forged\x1b[31m"

RULES = """
domain: "shop\\n2026-01-01T00:00:00.000Z info forged\\u001b[31m"
descriptors:
  - key: user
    rate_limit: {unit: hour, requests_per_unit: 0}
"""
DOMAIN = "shop\n2026-01-01T00:00:00.000Z info forged\x1b[31m"


def denials(node):
    """The lines about them, as dictionaries; the log is in JSON."""
    lines = [json.loads(line) for line in node.output("stderr").splitlines()]
    return [line for line in lines if line["message"] == "denied"]


def check(api, node, domain, value=HOSTILE):
    stub = api.limiter_grpc.LimiterStub(node.channels[0])
    return stub.Check(api.limiter.CheckRequest(domain=domain, descriptors=[
        {"entries": [{"key": "user", "value": value}]}]), timeout=10)


@pytest.fixture
def start(start_redis, start_fleet):
    def start(*flags):
        redis = start_redis()
        fleet = start_fleet(redis.address, *flags, nodes=1)
        node = fleet.programs[0]
        (node.rules / "shop.yaml").write_text(RULES)
        fleet.wait_ready(knows_all=False)
        program.poll(lambda: "shop" in node.http("/rules", listener="admin")[2], 10, "the domain")
        return redis, node
    return start


def test_denials_are_sampled_with_the_state_of_the_store(start, api):
    redis, node = start("--log-format=json", "--deny-log-per-second=2")
    assert not check(api, node, DOMAIN).allowed
    line = program.poll(lambda: denials(node), 10, "a line")[0]
    assert line["domain"] == DOMAIN and line["rule"] == "user"
    assert line["mode"] == "enforce" and line["store"] == "connected"
    assert line["source"] in ("store", "denied_cache")
    count = 200
    for _ in range(count):
        check(api, node, DOMAIN)

    def accounted():
        check(api, node, DOMAIN)
        return 1 if sum(1 + line["suppressed"] for line in denials(node)) > count else 0
    program.poll(accounted, 10, "a line that counts them")
    lines = denials(node)
    assert len(lines) < count / 4
    assert {line["key"] for line in lines} == {lines[0]["key"]}
    # Without Redis, a rule that then denies.
    key = next(r.key for r in rules.RULES.values() if r.policy == "deny")
    redis.signal("STOP")
    try:
        program.poll(lambda: ask(api, node, key).source == scenario.POLICY and
                     [line for line in denials(node) if line["source"] == "policy"], 20,
                     "a denial by policy")
        line = [line for line in denials(node) if line["source"] == "policy"][-1]
        assert line["store"] != "connected"
    finally:
        redis.signal("CONT")


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_value_of_a_descriptor_is_logged(form, start, api):
    _, node = start(f"--log-format={form}", "--log-level=trace", "--deny-log-per-second=1000")
    for domain in (DOMAIN, "nobody's\ndomain", rules.DOMAIN):
        for value in (MARK, HOSTILE, MARK * 100):
            try:
                check(api, node, domain, value)
            except Exception:  # too long: refused, and not logged either
                pass
    for key in rules.RULES:
        ask(api, node, key, HOSTILE, hits=10**9)
    node.http("/json", "POST", json.dumps({"domain": DOMAIN, "descriptors": [
        {"entries": [{"key": "user", "value": HOSTILE}]}]}))
    node.http("/json", "POST", "{" + HOSTILE)
    program.poll(lambda: "denied" in node.output("stderr"), 10, "a denial")
    node.signal("HUP")
    (node.rules / "shop.yaml").write_text(RULES + "    hostile\x1b: 1\n")
    program.poll(lambda: "refused" in node.output("stderr"), 10, "the bad rules")
    log = node.output("stderr")
    assert MARK not in log
    for line in log.splitlines():
        assert not line.startswith("2026-01-01"), line
        assert "\x1b" not in line
        if form == "json":
            assert {"time", "level", "message"} <= set(json.loads(line))


def test_no_denial_is_logged_where_it_is_off(start, api):
    _, node = start("--deny-log-per-second=0")
    for _ in range(10):
        assert not check(api, node, DOMAIN).allowed
    (node.rules / "shop.yaml").write_text(RULES + "# changed\n")
    program.poll(lambda: node.output("stderr").count("in force from") >= 3, 10, "a later line")
    assert "denied" not in node.output("stderr")

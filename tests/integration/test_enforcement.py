"""Enforcement switched off and on again under load, without a restart."""

import json

import pytest

import changes
import exposition
import program
from changes import DENIED, LET_PASS

RULES = """
domain: {0}
descriptors:
  - key: user
    rate_limit: {{unit: hour, requests_per_unit: 0, name: {0}}}
"""
DOMAINS = ("one", "two")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "switch"
    made.mkdir()
    return made


@pytest.fixture
def node(start_fleet, start_redis, folder):
    redis = start_redis()
    fleet = start_fleet(redis.address, f"--enforcement-file={folder}/enforcement.yaml", nodes=1)
    fleet.wait_ready(knows_all=False)
    weir = fleet.programs[0]
    for domain in DOMAINS:
        changes.write(weir.rules / f"{domain}.yaml", RULES.format(domain))
    program.poll(lambda: '"domain": "two"' in weir.http("/rules", listener="admin")[2], 10,
                 "both domains")
    return weir


def series(node, name):
    return {labels.get("domain", labels.get("result")): value
            for found, labels, value in exposition.parse(node.http("/metrics")[2])
            if found == name}


@pytest.mark.parametrize("how", ["file", "configmap"])
def test_off_and_on_under_load(how, node, api, folder, report, scale):
    change = changes.writer(how, folder, "enforcement.yaml")
    took = []
    with changes.Load(api, node, DOMAINS) as load:
        program.poll(lambda: all(load.last(d) == DENIED for d in DOMAINS), 10, "denials")
        for _ in range(max(1, round(scale))):
            took.append(load.effect(lambda: change("shadow_domains: [one]"),
                                    {"one": LET_PASS, "two": DENIED}, "one domain off"))
            assert series(node, "weir_enforcement_off") == {"*": 0, "one": 1}
            took.append(load.effect(lambda: change("shadow: true"),
                                    {"one": LET_PASS, "two": LET_PASS}, "all off"))
            took.append(load.effect(lambda: change("shadow: false"),
                                    {"one": DENIED, "two": DENIED}, "all on"))
    assert not load.failed
    report(f"enforcement switch by {how}",
           f"{len(took)} changes, effect after {min(took):.2f} to {max(took):.2f} s, "
           f"{load.total} answers meanwhile")
    assert max(took) < changes.bound(how)
    assert series(node, "weir_enforcement_off") == {"*": 0}


def test_what_happens_to_the_file(node, api, folder):
    """A bad one changes nothing, one that is gone switches on again, one that is back counts."""
    file = folder / "enforcement.yaml"
    text = "shadow_domains: [one, nobody]"
    off, on = {"one": LET_PASS, "two": DENIED}, {"one": DENIED, "two": DENIED}
    with changes.Load(api, node, DOMAINS) as load:
        load.effect(lambda: changes.write(file, text), off, "one domain off")
        program.poll(lambda: "what has no rules, which changes nothing: nobody" in
                     node.output("stderr"), 10, "the warning")
        assert series(node, "weir_enforcement_off") == {"*": 0, "one": 1}
        changes.write(file, "shadow: true\nshadows: x\n")
        program.poll(lambda: series(node, "weir_enforcement_reloads_total")["error"] == 1, 10,
                     "the error to be counted")
        assert ("enforcement: enforcement.yaml: unknown key 'shadows' (2:1): did you mean "
                "'shadow'?") in node.output("stderr")
        assert {d: load.last(d) for d in DOMAINS} == off
        page = json.loads(node.http("/rules", listener="admin")[2])
        assert page["enforcement_off"] == {"all": False, "domains": ["one"],
                                           "unknown_domains": ["nobody"]}
        assert {r["domain"] for r in page["rules"] if r.get("enforcement_off")} == {"one"}
        load.effect(lambda: changes.write(file, text), off, "the same again")
        load.effect(file.unlink, on, "a file that is gone")
        load.effect(lambda: changes.write(file, text), off, "a file that is back as it was")
    assert not load.failed
    log = node.output("stderr")
    assert log.count("enforcement: switched off for domains nobody, one") == 2
    assert log.count("enforcement: switched on again for every domain") == 1

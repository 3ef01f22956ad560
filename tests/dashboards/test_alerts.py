"""Alert, page and cases belong together, and a case notices an alert that is broken."""

import re

import mixin
import pytest
import yaml

ALERTS = mixin.rules("alerts")
NAMES = {rule["alert"] for rule in ALERTS}
SEVERITIES = {"info", "warning", "critical"}
FILES = sorted(mixin.ALERT_CASES.glob("*.yaml"))

# What a page has, in this order.
PARTS = ("**What it says.**", "**What callers see.**", "**First checks**", "**Remedy.**")

METRICS = set(re.findall(r"\b(?:weir|process)_\w+",
                         (mixin.REPOSITORY / "docs" / "metrics.md").read_text()))

_THRESHOLD = re.compile(r"(?:==|[<>])\s*\d[\d.]*(?: \* 86400)?")


def cases():
    """[(alert, what is expected)]"""
    return [(case["alertname"], case["exp_alerts"]) for path in FILES
            for test in yaml.safe_load(path.read_text())["tests"]
            for case in test["alert_rule_test"]]


def test_every_alert_has_a_page_and_every_page_an_alert():
    assert {path.stem for path in mixin.RUNBOOKS.iterdir()} == NAMES


def test_every_alert_has_a_case_that_fires_and_one_that_is_silent():
    assert {name for name, expected in cases() if expected} == NAMES
    assert {name for name, expected in cases() if not expected} == NAMES


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_whole(rule):
    assert rule["annotations"]["summary"].strip().endswith(".")
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
    assert rule["labels"]["severity"] in SEVERITIES
    known = mixin.grouping(rule["expr"]) | {"job", "instance", "domain", "rule"}
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= known


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_page_says_what_is_needed(name):
    text = (mixin.RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    places = [text.find(part) for part in PARTS]
    assert -1 not in places and places == sorted(places), dict(zip(PARTS, places))
    named = {re.sub("_(bucket|sum|count)$", "", metric)
             for metric in re.findall(r"(?<![:\w])weir_\w+", text) if not metric.endswith("_")}
    assert not named - METRICS


def loose(rule):
    """Every threshold reached, or the one comparison of two series reached when they are equal."""
    expr = _THRESHOLD.sub("> -1", rule["expr"])
    if expr == rule["expr"]:
        expr = expr.replace("> ", ">= ")
    return {**rule, "expr": expr}


def hasty(rule):
    return {name: value for name, value in rule.items() if name != "for"}


DAMAGED = [(number, damage) for damage in (loose, hasty) for number, rule in enumerate(ALERTS)
           if damage is loose or "for" in rule]


@pytest.mark.parametrize("number, damage", DAMAGED, ids=lambda it: getattr(
    it, "__name__", None) or ALERTS[it]["alert"])
def test_cases_notice_an_alert_that_comes_too_easily(promtool, tmp_path, number, damage):
    """That it comes at all is what the cases that fire are for."""
    name = ALERTS[number]["alert"]
    rules = [damage(rule) if i == number else rule for i, rule in enumerate(ALERTS)
             if rule["alert"] == name]
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(
        {"groups": [{"name": "alerts", "rules": rules}]}))
    path = next(p for p in FILES if f"alertname: {name}" in p.read_text())
    document = yaml.safe_load(path.read_text())
    document["rule_files"] = [str(tmp_path / "alerts.yaml"),
                              str(mixin.HELM / "files" / "rules.yaml")]
    document["tests"] = [test for test in document["tests"] if name in str(test)]
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump(document))
    code, output = promtool("test", "rules", tmp_path / "cases.yaml")
    assert code != 0 and f"alertname: {name}" in output, output

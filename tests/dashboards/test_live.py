"""Every panel and every rule against a real Prometheus that scrapes real Weirs and an Envoy."""

import contextlib
import re

import mixin
import program
import pytest

SEEN_SECONDS = 10

# Labels that a scrape may set.
TARGET = {"namespace", "job", "pod", "instance"}

# Alerts whose condition holds in the scene, and those that nothing at all may raise.
HOLD = {"WeirCertExpiry", "WeirConfigDrift", "WeirConfigReload", "WeirDegraded", "WeirDown",
        "WeirEnforcementOff", "WeirEnvoyFailOpen", "WeirErrors", "WeirKeyFlood", "WeirRedisDown",
        "WeirUnknownDomain", "WeirWaitTimeouts"}
NEVER = {"WeirLeaseConservation"}

PANELS = [(name, panel["title"]) for name in mixin.DASHBOARDS
          for panel in mixin.panels(mixin.dashboard(name))]


@pytest.mark.parametrize("name, title", PANELS, ids=lambda text: text.replace(" ", "_"))
def test_a_panel_shows_data(scene, name, title):
    board = mixin.dashboard(name)
    panel = next(p for p in mixin.panels(board) if p["title"] == title)
    for target in panel["targets"]:
        expr = mixin.substituted(board, target["expr"])
        found = scene.prometheus.query(expr)
        assert found, f"no data: {expr}"
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert any(label in labels for labels, _ in found), f"no label {label}: {expr}"


def test_rules_are_evaluated_without_errors(scene):
    evaluated = scene.prometheus.rules()
    assert {rule["name"] for rule in evaluated} == {
        rule.get("alert", rule.get("record")) for name in ("alerts", "rules")
        for rule in mixin.rules(name)}
    assert not [(rule["name"], rule.get("lastError")) for rule in evaluated
                if rule["health"] != "ok"]


@pytest.mark.parametrize("rule", mixin.rules("rules"), ids=lambda rule: rule["record"])
def test_a_recording_rule_records(scene, rule):
    assert scene.prometheus.query(rule["record"])


@pytest.mark.parametrize("rule", mixin.rules("alerts"), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_series_there_are(scene, rule):
    """Of these names, with these values of labels, told apart by these labels. A condition that
    cannot hold for a misspelt label would stay silent in promtool's tests as well."""
    assert mixin.selectors(rule["expr"])
    labels = set()
    for metric, matchers, _ in mixin.selectors(rule["expr"]):
        selector = ",".join(f'{label}{operator}"{value}"'
                            for label, (operator, value) in matchers.items())
        found = scene.prometheus.series(f"{metric}{{{selector}}}")
        assert found, f"no series {metric}{{{selector}}}"
        labels |= set(found[0])
    assert not labels or mixin.grouping(rule["expr"]) - TARGET <= labels


def test_alerts_notice_what_happened(scene):
    """Pending is enough: they wait for minutes before they fire."""
    names = set()

    def seen():
        found = scene.prometheus.query("count by (alertname) (last_over_time(ALERTS[10m]))")
        names.update(labels["alertname"] for labels, _ in found)
        return names >= HOLD
    with contextlib.suppress(TimeoutError):
        program.poll(seen, SEEN_SECONDS, "the alerts")
    assert sorted(HOLD - names) == []
    assert not names & NEVER


def test_promtool_has_nothing_to_say_about_metrics(scene, promtool):
    """But for the names that compat mode takes over, which the second of them has."""
    first, compat, *others = scene.weirs
    for weir in (first, *others):
        assert mixin.promtool("check", "metrics", text=weir.http("/metrics")[2]) == (0, "")
    code, said = mixin.promtool("check", "metrics", text=compat.http("/metrics")[2])
    assert code != 0
    assert not [line for line in said.splitlines() if not line.startswith("ratelimit_service_")]


@pytest.mark.parametrize("name", sorted({rule["alert"] for rule in mixin.rules("alerts")}))
def test_commands_of_a_runbook_work(scene, name):
    """Each says something on one of the instances; what tells a fault is there on a bad day."""
    commands = mixin.commands(name)
    assert commands
    for command in commands:
        runs = [scene.run(command, weir) for weir in scene.weirs]
        assert any(run.returncode == 0 and run.stdout for run in runs), (command, runs)

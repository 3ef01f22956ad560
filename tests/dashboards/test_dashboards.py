"""The dashboards by themselves: made from the mixin, and by the linter's rules."""

import copy
import json
import subprocess

import linter
import mixin
import pytest
import yaml


# What ./dev mixin runs.
@pytest.mark.parametrize("folder, flags", (("files", ["-S"]), ("dashboards", [])))
def test_what_is_checked_in_is_what_the_mixin_makes(jsonnet, tmp_path, folder, flags):
    made = subprocess.run(
        [jsonnet, *flags, "-m", tmp_path, mixin.HELM / "mixin" / f"{folder}.jsonnet"],
        capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr
    there = {path.name: path.read_text() for path in (mixin.HELM / folder).iterdir()}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(there)
    for name, text in there.items():
        assert (tmp_path / name).read_text() == text, f"helm/{folder}/{name}: run ./dev mixin"


@pytest.mark.parametrize("name", mixin.DASHBOARDS)
@pytest.mark.parametrize("rule", linter.RULES, ids=lambda rule: rule.__name__)
def test_a_dashboard_keeps_the_rule(name, rule):
    assert not list(rule(mixin.dashboard(name)))


def _first(board):
    return mixin.panels(board)[0]


def _expr(board, old, new):
    target = _first(board)["targets"][0]
    assert old in target["expr"]
    target["expr"] = target["expr"].replace(old, new)


def _variable(board, name):
    return next(v for v in board["templating"]["list"] if v["name"] == name)


# What each rule must notice.
BREAKS = (
    (linter.identity, lambda b: b.update(uid="")),
    (linter.identity, lambda b: b.update(tags=[])),
    (linter.identity, lambda b: b.update(id=7)),
    (linter.editable, lambda b: b.pop("editable")),
    (linter.template_datasource, lambda b: _variable(b, "datasource").update(name="ds")),
    (linter.template_variables, lambda b: _variable(b, "job").update(refresh=1)),
    (linter.template_variables, lambda b: _variable(b, "job").update(allValue=None)),
    (linter.template_variables, lambda b: _variable(b, "instance").update(name="node")),
    (linter.datasources, lambda b: _first(b).update(datasource={"uid": "PBFA97CFB590B2093"})),
    (linter.datasources, lambda b: _first(b)["targets"][0].pop("datasource")),
    (linter.panel_texts, lambda b: _first(b).update(description="")),
    (linter.panel_texts, lambda b: _first(b).update(title=mixin.panels(b)[1]["title"])),
    (linter.panel_units, lambda b: _first(b)["fieldConfig"]["defaults"].pop("unit")),
    (linter.panel_targets, lambda b: _first(b).update(targets=[])),
    (linter.panel_places, lambda b: _first(b)["gridPos"].update(w=25)),
    (linter.panel_places, lambda b: _first(b).update(id=b["panels"][-1]["id"])),
    (linter.panel_places, lambda b: _first(b)["gridPos"].update(h=9)),
    (linter.target_matchers, lambda b: _expr(b, 'job=~"$job"', 'job="weir"')),
    (linter.target_matchers, lambda b: _expr(b, 'instance=~"$instance"', 'domain=~"$domain"')),
    (linter.target_matchers, lambda b: _first(b)["targets"][0].update(expr="vector(1)")),
    (linter.target_variables, lambda b: _expr(b, "$job", "$jobs")),
    (linter.target_rate_interval, lambda b: _expr(b, "$__rate_interval", "5m")),
    (linter.target_counters, lambda b: _expr(b, "rate(", "max_over_time(")),
    (linter.target_counters, lambda b: _expr(b, "_total", "_gauge")),
    (linter.target_legends, lambda b: _first(b)["targets"][0].update(legendFormat="{{no}}")),
)


@pytest.mark.parametrize("number", range(len(BREAKS)), ids=lambda n: BREAKS[n][0].__name__)
def test_a_rule_notices_what_it_is_for(number):
    rule, damage = BREAKS[number]
    board = copy.deepcopy(mixin.dashboard("weir"))
    if rule is linter.target_counters:
        board["panels"] = [p for p in board["panels"] if p["title"] == "Decisions"]
    damage(board)
    assert list(rule(board))


def test_every_rule_of_the_linter_is_tested():
    assert {rule for rule, _ in BREAKS} == set(linter.RULES)


@pytest.mark.parametrize("name", mixin.DASHBOARDS)
def test_every_expression_parses(promtool, tmp_path, name):
    """promtool parses rules, so each query becomes one; their order tells which is wrong."""
    board = mixin.dashboard(name)
    rules = [{"record": f"panel:{panel['id']}:{target['refId']}",
              "expr": mixin.substituted(board, target["expr"])}
             for panel in mixin.panels(board) for target in panel["targets"]]
    assert len(rules) >= len(mixin.panels(board))
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": rules}]}))
    code, output = promtool("check", "rules", path)
    assert code == 0, output
    path.write_text(json.dumps({"groups": [{"name": name, "rules": [
        {"record": "panel:0:A", "expr": "sum by (a (b)"}]}]}))
    assert promtool("check", "rules", path)[0] != 0

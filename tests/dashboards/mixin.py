"""What helm/mixin makes: dashboards, alerts and recording rules, and the parts of an expression."""

import json
import pathlib
import re
import subprocess

import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
HELM = REPOSITORY / "helm"
ALERT_CASES = REPOSITORY / "tests" / "alerts"
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
DASHBOARDS = ("weir", "weir-ratelimit")

# A metric of Weir, of the reference, of a process or of Envoy, or what a rule records of one, with
# its matchers if it has any.
_SELECTOR = re.compile(
    r"\b((?:\w+:)?(?:weir|ratelimit|process|envoy)_[\w:]+)"
    r"(?:\{((?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")


def dashboard(name):
    return json.loads((HELM / "dashboards" / f"{name}.json").read_text())


def panels(board):
    """Those that show something: not the rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def rules(name):
    """The rules of helm/files/NAME.yaml."""
    document = yaml.safe_load((HELM / "files" / f"{name}.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def selectors(expr):
    """[(metric, {label: (operator, value)}, where it begins)]"""
    return [(found[1], {label: (operator, value)
                        for label, operator, value in _MATCHER.findall(found[2] or "")},
             found.start())
            for found in _SELECTOR.finditer(_GROUPING.sub(lambda m: " " * len(m[0]), expr))]


def grouping(expr):
    """The labels that its results are told apart by."""
    return {label.strip() for labels in _GROUPING.findall(expr)
            for label in labels.split(",") if label.strip()}


def substituted(board, expr, interval="1m"):
    """As Grafana sends it with All chosen everywhere."""
    values = {variable["name"]: variable["allValue"]
              for variable in board["templating"]["list"] if variable["type"] == "query"}
    values["__rate_interval"] = interval
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expr)


def promtool(*arguments, text=""):
    """(exit code, what it said); it may read a text."""
    run = subprocess.run(["promtool", *map(str, arguments)], input=text, capture_output=True,
                         text=True, timeout=60, check=False)
    return run.returncode, run.stdout + run.stderr


def commands(alert):
    """The command lines of its page."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (RUNBOOKS / f"{alert}.md").read_text(), re.M | re.S)
    return [line for block in blocks for line in block.splitlines()]

"""The rules that a dashboard must keep, after those of Grafana's dashboard-linter. Each takes a
dashboard and yields what is wrong with it."""

import re

import mixin

# Grafana's names for the units in use here.
UNITS = {"s", "ops", "reqps", "percentunit", "short", "bytes"}
GRID_COLUMNS = 24

# Counters whose names do not say so: those of envoyproxy/ratelimit and of Envoy.
_COUNTER = re.compile(r"_(?:total|bucket|count|sum)$|^ratelimit_service_|^envoy_cluster_ratelimit_")
_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)")


def _targets(board):
    for panel in mixin.panels(board):
        for target in panel["targets"]:
            yield panel["title"], target


def identity(board):
    if not re.fullmatch(r"[a-z][a-z0-9-]{3,39}", board.get("uid") or ""):
        yield f"uid {board.get('uid')!r} is not a stable name"
    if not board.get("tags"):
        yield "no tags"
    if not (board.get("title") and board.get("description")):
        yield "no title or no description"
    if "id" in board:
        yield "the id of one Grafana's database"


def editable(board):
    if board.get("editable") is not False:
        yield "can be edited in place"


def template_datasource(board):
    found = [v for v in board["templating"]["list"] if v["type"] == "datasource"]
    if [(v["name"], v["query"]) for v in found] != [("datasource", "prometheus")]:
        yield "needs exactly one variable of Prometheus data sources, named datasource"


def template_variables(board):
    variables = {v["name"]: v for v in board["templating"]["list"] if v["type"] == "query"}
    for name in ("namespace", "job", "instance", "domain"):
        if name not in variables:
            yield f"no variable {name}"
    for name, variable in variables.items():
        if variable.get("refresh") != 2:
            yield f"variable {name} is not read again when the time range changes"
        if not (variable.get("multi") and variable.get("includeAll")):
            yield f"variable {name} does not offer several and all"
        if variable.get("allValue") not in (".+", ".*"):
            yield f"variable {name} lists every value for All"
        if not variable.get("label"):
            yield f"variable {name} has no label"


def datasources(board):
    """Everything asks the data source that was chosen."""
    places = [(f"variable {v['name']}", v) for v in board["templating"]["list"]
              if v["type"] == "query"]
    places += [(panel["title"], panel) for panel in mixin.panels(board)]
    places += _targets(board)
    for where, item in places:
        if item.get("datasource") != {"type": "prometheus", "uid": "$datasource"}:
            yield f"{where}: data source {item.get('datasource')}"


def panel_texts(board):
    titles = [panel.get("title") for panel in mixin.panels(board)]
    for panel in mixin.panels(board):
        if not panel.get("title") or titles.count(panel["title"]) > 1:
            yield f"title {panel.get('title')!r} is missing or not the only one"
        if len(panel.get("description") or "") < 15:
            yield f"{panel.get('title')}: no description"


def panel_units(board):
    for panel in mixin.panels(board):
        if panel["fieldConfig"]["defaults"].get("unit") not in UNITS:
            yield f"{panel['title']}: unit {panel['fieldConfig']['defaults'].get('unit')}"


def panel_targets(board):
    for panel in mixin.panels(board):
        references = [target.get("refId") for target in panel.get("targets", [])]
        if not references or len(set(references)) != len(references):
            yield f"{panel['title']}: no queries, or two of the same refId"


def panel_places(board):
    """Ids are unique, nothing lies over anything else or beyond the edge."""
    ids = [panel.get("id") for panel in board["panels"]]
    if len(set(ids)) != len(ids):
        yield "two panels of the same id"
    taken = {}
    for panel in board["panels"]:
        at = panel["gridPos"]
        if at["x"] + at["w"] > GRID_COLUMNS:
            yield f"{panel['title']}: beyond the edge"
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])):
            if taken.setdefault(cell, panel["title"]) != panel["title"]:
                yield f"{panel['title']}: over {taken[cell]}"
                break


def target_matchers(board):
    """Envoy is another job: it has a variable of its own, and no instance of Weir."""
    for title, target in _targets(board):
        found = mixin.selectors(target["expr"])
        if not found:
            yield f"{title}: no metric in {target['expr']}"
        for metric, matchers, _ in found:
            wanted = {"namespace": "$namespace", "job": "$job", "instance": "$instance"}
            if metric.startswith("envoy_"):
                wanted = {"namespace": "$namespace", "job": "$envoy_job"}
            for label, variable in wanted.items():
                if matchers.get(label) != ("=~", variable):
                    yield f"{title}: {metric} without {label}=~\"{variable}\""


def target_variables(board):
    known = {v["name"] for v in board["templating"]["list"]} | {"__rate_interval"}
    for title, target in _targets(board):
        for plain, braced in _VARIABLE.findall(target["expr"]):
            if (plain or braced) not in known:
                yield f"{title}: unknown variable {plain or braced}"


def target_rate_interval(board):
    for title, target in _targets(board):
        for window in re.findall(r"\[([^]]*)\]", target["expr"]):
            if window != "$__rate_interval":
                yield f"{title}: [{window}] instead of [$__rate_interval]"


def target_counters(board):
    """Counters are seen through rate or increase only, gauges never."""
    for title, target in _targets(board):
        for metric, _, start in mixin.selectors(target["expr"]):
            inside = re.search(r"\b(?:rate|increase)\($", target["expr"][:start]) is not None
            if inside != bool(_COUNTER.search(metric)):
                yield f"{title}: {metric} {'inside' if inside else 'outside'} of rate or increase"


def target_legends(board):
    """Labels that a legend names are labels the query keeps."""
    for title, target in _targets(board):
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            if label not in mixin.grouping(target["expr"]):
                yield f"{title}: the legend names {label}, which the query drops"


RULES = (identity, editable, template_datasource, template_variables, datasources, panel_texts,
         panel_units, panel_targets, panel_places, target_matchers, target_variables,
         target_rate_interval, target_counters, target_legends)

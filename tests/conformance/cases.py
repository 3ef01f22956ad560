"""Loads the cases: what README.md in this folder describes."""

import dataclasses
import functools
import re

import yaml

import expect
import program

METHODS = ("ShouldRateLimit", "Check", "CheckBatch", "Peek", "Report", "Refund", "Reset",
           "Explain", "health", "reflection", "http")
# Steps that change what other cases see: the case then has a program of its own.
PRIVATE_STEPS = ("write", "remove", "rename", "move", "configmap", "signal", "exit", "watch")
STEPS = METHODS + PRIVATE_STEPS + ("watched", "log", "run", "raw", "eventually_metrics")
CASE_KEYS = {"name", "spec", "flags", "env", "program", "rules", "domain", "calls", "metrics",
             "own", "window", "files", "server", "listen_by_settings", "rules_by_settings"}


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a program is started with."""
    name: str = "weir"
    flags: tuple = ()
    env_items: tuple = ()
    listen_by_settings: bool = False
    rules_by_settings: bool = False

    @property
    def env(self):
        return dict(self.env_items)


@dataclasses.dataclass
class Case:
    id: str
    name: str
    rows: list      # what it covers, names of rows.txt
    setup: Setup
    files: dict     # rule files: name -> text
    domain: str
    calls: list
    metrics: dict
    own: bool       # needs a program of its own
    window: int     # seconds: a run across a multiple of it proves nothing
    cwd_files: dict  # files for `run`
    server: bool
    group: list = dataclasses.field(default_factory=list)  # the cases that share the program

    def group_files(self):
        return {name: text for case in self.group for name, text in case.files.items()}


def step_kind(step):
    kinds = [kind for kind in STEPS if kind in step]
    if len(kinds) != 1:
        raise ValueError(f"a step needs exactly one of {STEPS}: {step}")
    return kinds[0]


def _rule_files(rules, number):
    if rules is None:
        return {}
    if isinstance(rules, str):
        rules = {"rules.yaml": rules}
    if number is None:
        return rules
    return {f"{number:03}-{name}": text for name, text in rules.items()}


def _read_case(raw, path, number):
    unknown = set(raw) - CASE_KEYS
    if unknown:
        raise ValueError(f"{path.name}: {raw.get('name')}: unknown keys {sorted(unknown)}")
    for needed in ("name", "spec", "calls"):
        if not raw.get(needed):
            raise ValueError(f"{path.name}: case {number}: {needed} is missing")
    kinds = [step_kind(step) for step in raw["calls"]]
    setup = Setup(
        name=raw.get("program", "weir"), flags=tuple(raw.get("flags", ())),
        env_items=tuple(sorted((k, str(v)) for k, v in raw.get("env", {}).items())),
        listen_by_settings=raw.get("listen_by_settings", False),
        rules_by_settings=raw.get("rules_by_settings", False))
    own = bool(raw.get("own")) or any(kind in PRIVATE_STEPS for kind in kinds)
    words = re.sub(r"[^a-z0-9]+", "-", raw["name"].lower()).strip("-")
    return Case(
        id=f"{path.stem}:{words}", name=raw["name"], rows=_rows(raw["spec"]), setup=setup,
        files=_rule_files(raw.get("rules"), None if own else number),
        domain=raw.get("domain", ""), calls=raw["calls"], metrics=raw.get("metrics", {}), own=own,
        window=raw.get("window", 3600), cwd_files=raw.get("files", {}),
        server=raw.get("server", True))


def _rows(spec):
    return [spec] if isinstance(spec, str) else spec


def _domains(case):
    found = set()
    for text in case.files.values():
        found |= {match.strip("\"' ") for match in re.findall(r"^domain:(.*)$", text, re.M)}
    return found


def _group(cases):
    groups = {}
    for case in cases:
        if case.server and not case.own:
            groups.setdefault(case.setup, []).append(case)
    for group in groups.values():
        seen = {}
        for case in group:
            case.group = group
            for domain in _domains(case):
                if domain in seen:
                    raise ValueError(f"domain {domain!r} is in {seen[domain]} and {case.id}, which "
                                     "share a program: rename it, or say own: true")
                seen[domain] = case.id


# The cases are written for the memory store. What another store says otherwise: who decided.
_REDIS_SAYS = ((',source="memory"', ""), ("source: MEMORY", 'source: !regex "STORE|DENIED_CACHE"'),
               ("source:  MEMORY", "source:  STORE"))


def _read_file(path, first):
    """The cases of a file, as they read on the store that their program will have."""
    text = path.read_text()
    on_memory = yaml.load(text, expect.Loader)
    for memory, redis in _REDIS_SAYS:
        text = text.replace(memory, redis)
    on_redis = yaml.load(text, expect.Loader)
    for i, raw in enumerate(on_memory):
        case = _read_case(raw, path, first + i)
        if program.on_redis(case.setup):
            # Keys are held elsewhere.
            if "weir_keys" in str(raw):
                continue
            case = _read_case(on_redis[i], path, first + i)
        yield case


@functools.lru_cache
def load(folder):
    cases = []
    for path in sorted(folder.glob("*.yaml")):
        cases.extend(_read_file(path, len(cases)))
    ids = [case.id for case in cases]
    twice = {name for name in ids if ids.count(name) > 1}
    if twice:
        raise ValueError(f"several cases are named {sorted(twice)}")
    _group(cases)
    return cases

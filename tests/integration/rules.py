"""The rules the suite counts against: every algorithm, exact and leased, short and long windows,
every policy.

A key is named `length_algorithm_policy`, as short_fixed_window_deny, with `leased_` before it where
nodes may lease hits. Short windows end many times during a test, long ones hold everything it
admits. Each test brings values of its own, so that one fleet serves many tests.
"""

import dataclasses

import audit
import load

DOMAIN = "integration"
NODES = 3
ALGORITHMS = ("fixed_window", "sliding_window", "token_bucket")

# Small, so that demand is several times the limit; above NODES, so that a share is not nothing.
SHORT_LIMIT = 15
LONG_LIMIT = 60
LONG_WINDOW_S = 3600
# Large enough that nodes lease several hits at a time; long ones last into a fault.
LEASED_SHORT_LIMIT = 60
LEASED_LONG_LIMIT = 300
# What only the exactness tests use: a limit that three nodes must race for.
HOT_LIMIT = 100
# What only the tests of loads use: for one key, for one of very many, and what is half used.
LEASED_HOT_LIMIT = 200
LEASED_USER_LIMIT = 20
LEASED_BIG_LIMIT = 1000
LEASED_MINUTE_LIMIT = 24_000
# Never reached, so that what answers is seen: the store, or the policy.
PLENTY = 4_000_000_000


@dataclasses.dataclass(frozen=True)
class Rule:
    key: str
    length: str
    bound: audit.Bound
    policy: str
    consistency: str

    def yaml(self):
        bound = self.bound
        unit = {1: "second", 60: "minute", 3600: "hour"}[bound.window_s]
        fields = [f"unit: {unit}", f"requests_per_unit: {bound.limit}",
                  f"algorithm: {bound.algorithm}", f"consistency: {self.consistency}",
                  f"on_store_failure: {self.policy}"]
        if bound.algorithm == "token_bucket":
            fields.append(f"burst: {bound.burst}")
        return f"  - key: {self.key}\n    rate_limit: {{{', '.join(fields)}}}\n"


def _rule(length, algorithm, policy, limit, window_s, consistency="exact"):
    burst = limit if algorithm == "token_bucket" else 0
    prefix = "leased_" if consistency == "leased" else ""
    return Rule(f"{prefix}{length}_{algorithm}_{policy}", length,
                audit.Bound(algorithm, limit, window_s, burst), policy, consistency)


def _every_algorithm(length, limit, window_s, consistency="exact", policies=("deny",)):
    return [_rule(length, algorithm, policy, limit, window_s, consistency)
            for algorithm in ALGORITHMS for policy in policies]


_BOTH = ("deny", "local_share")
_RULES = [*_every_algorithm("short", SHORT_LIMIT, 1, policies=_BOTH),
          *_every_algorithm("long", LONG_LIMIT, LONG_WINDOW_S),
          *_every_algorithm("short", LEASED_SHORT_LIMIT, 1, "leased", _BOTH),
          *_every_algorithm("long", LEASED_LONG_LIMIT, LONG_WINDOW_S, "leased"),
          *_every_algorithm("hot", HOT_LIMIT, 1),
          *_every_algorithm("hot", LEASED_HOT_LIMIT, 1, "leased"),
          *_every_algorithm("user", LEASED_USER_LIMIT, 1, "leased"),
          *_every_algorithm("big", LEASED_BIG_LIMIT, 1, "leased"),
          *_every_algorithm("minute", LEASED_MINUTE_LIMIT, 60, "leased"),
          _rule("short", "fixed_window", "allow", SHORT_LIMIT, 1),
          _rule("plenty", "fixed_window", "allow", PLENTY, LONG_WINDOW_S),
          _rule("plenty", "fixed_window", "deny", PLENTY, LONG_WINDOW_S),
          _rule("plenty", "fixed_window", "error", PLENTY, LONG_WINDOW_S)]

RULES = {rule.key: rule for rule in _RULES}


def text(limits=None):
    """The file of rules, with other limits for some keys: {key: limit}."""
    changed = [dataclasses.replace(rule, bound=dataclasses.replace(
        rule.bound, limit=(limits or {}).get(rule.key, rule.bound.limit))) for rule in _RULES]
    return f"domain: {DOMAIN}\ndescriptors:\n" + "".join(rule.yaml() for rule in changed)



# What the generator in bench/ asks for.
LOAD_DOMAIN = "load"
LOAD_TEXT = f"""domain: {LOAD_DOMAIN}
descriptors:
  - key: user
    rate_limit: {{unit: hour, requests_per_unit: 1000000, consistency: exact}}
"""

# Always admitted by a store that answers: how recovery is seen. Exact, so that the store is asked.
PROBE = "plenty_fixed_window_allow"

# Calls for one hit and for three. A leased key needs more: its limit is higher.
_WEIGHTS = {"exact": (3, 1), "leased": (7, 4)}


def mix(value, consistencies=("exact", "leased")):
    """Calls for every promise at once; some ask for more than one hit."""
    kinds = [load.Kind(PROBE, value, weight=20)]
    for rule in RULES.values():
        if rule.key.endswith("error"):
            kinds.append(load.Kind(rule.key, value, weight=3))
        elif rule.consistency in consistencies and rule.length in ("short", "long"):
            ones, threes = _WEIGHTS[rule.consistency]
            kinds.append(load.Kind(rule.key, value, hits=1, weight=ones))
            kinds.append(load.Kind(rule.key, value, hits=3, weight=threes))
    return kinds


def of_length(length, consistency="leased"):
    """The rules of one length, an algorithm each."""
    return [rule for rule in RULES.values()
            if rule.length == length and rule.consistency == consistency]

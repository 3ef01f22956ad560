"""The rules the suite counts against: every algorithm, short and long windows, every policy.

A key is named `length_algorithm_policy`, as short_fixed_window_deny. Short windows end many times
during a test, long ones hold everything it admits. Each test brings values of its own, so that one
fleet serves many tests.
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
# What only the exactness tests use: a limit that three nodes must race for.
HOT_LIMIT = 100
# Never reached, so that what answers is seen: the store, or the policy.
PLENTY = 4_000_000_000


@dataclasses.dataclass(frozen=True)
class Rule:
    key: str
    bound: audit.Bound
    policy: str

    def yaml(self):
        bound = self.bound
        unit = {1: "second", 60: "minute", 3600: "hour"}[bound.window_s]
        fields = [f"unit: {unit}", f"requests_per_unit: {bound.limit}",
                  f"algorithm: {bound.algorithm}", "consistency: exact",
                  f"on_store_failure: {self.policy}"]
        if bound.algorithm == "token_bucket":
            fields.append(f"burst: {bound.burst}")
        return f"  - key: {self.key}\n    rate_limit: {{{', '.join(fields)}}}\n"


def _rule(length, algorithm, policy, limit, window_s):
    burst = limit if algorithm == "token_bucket" else 0
    return Rule(f"{length}_{algorithm}_{policy}",
                audit.Bound(algorithm, limit, window_s, burst), policy)


_RULES = [_rule("short", algorithm, policy, SHORT_LIMIT, 1)
          for algorithm in ALGORITHMS for policy in ("deny", "local_share")]
_RULES += [_rule("long", algorithm, "deny", LONG_LIMIT, LONG_WINDOW_S) for algorithm in ALGORITHMS]
_RULES += [_rule("hot", algorithm, "deny", HOT_LIMIT, 1) for algorithm in ALGORITHMS]
_RULES += [_rule("short", "fixed_window", "allow", SHORT_LIMIT, 1),
           _rule("plenty", "fixed_window", "allow", PLENTY, LONG_WINDOW_S),
           _rule("plenty", "fixed_window", "deny", PLENTY, LONG_WINDOW_S),
           _rule("plenty", "fixed_window", "error", PLENTY, LONG_WINDOW_S)]

RULES = {rule.key: rule for rule in _RULES}
TEXT = f"domain: {DOMAIN}\ndescriptors:\n" + "".join(rule.yaml() for rule in _RULES)

# What the generator in bench/ asks for.
LOAD_DOMAIN = "load"
LOAD_TEXT = f"""domain: {LOAD_DOMAIN}
descriptors:
  - key: user
    rate_limit: {{unit: hour, requests_per_unit: 1000000, consistency: exact}}
"""

# Always admitted by a store that answers: how recovery is seen.
PROBE = "plenty_fixed_window_allow"


def mix(value):
    """Calls for every promise at once; some ask for more than one hit."""
    kinds = []
    for key in RULES:
        length = key.partition("_")[0]
        if key == PROBE:
            kinds.append(load.Kind(key, value, weight=8))
        elif length in ("short", "long"):
            kinds.append(load.Kind(key, value, hits=1, weight=3))
            kinds.append(load.Kind(key, value, hits=3, weight=1))
        elif key.endswith("error"):
            kinds.append(load.Kind(key, value, weight=2))
    return kinds

"""Calls one by one, where no load is needed."""

import rules
import scenario

# Who may have decided what is not the policy's.
BY_STORE = {scenario.LEASE, scenario.STORE, scenario.DENIED_CACHE}


def ask(api, node, key, value="smoke", hits=1):
    """The decision of a node on one descriptor."""
    stub = api.limiter_grpc.LimiterStub(node.channels[0])
    request = api.limiter.CheckRequest(domain=rules.DOMAIN, hits=hits, descriptors=[
        {"entries": [{"key": key, "value": value}]}])
    return stub.Check(request, timeout=10, wait_for_ready=True).items[0]


def sources(api, node, count=1):
    """Sources of a node's answers for a rule that is never over."""
    return [ask(api, node, rules.PROBE, "probe").source for _ in range(count)]


def store_key(api, node, key, value):
    """Under which key the store counts."""
    stub = api.limiter_grpc.LimiterStub(node.channels[0])
    return stub.Explain(api.limiter.ExplainRequest(
        domain=rules.DOMAIN, entries=[{"key": key, "value": value}]), timeout=10).store_key


def spend(api, fleet, key, value):
    """Twice the limit, two nodes in turn: how many passed, none by policy."""
    answers = [ask(api, fleet.programs[i % 2], key, value)
               for i in range(2 * rules.RULES[key].bound.limit)]
    assert {a.source for a in answers} <= BY_STORE
    return sum(a.allowed for a in answers)

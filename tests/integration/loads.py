"""What callers do: rates, keys and nodes, each a way to be hard on leases.

A shape is judged by the same promises whatever it is. Demand on a hot key is above twice its limit
wherever a shape is not about something else.
"""

import dataclasses

import load
import rules

# A call asks for 4/3 hits on average: twice LEASED_HOT_LIMIT for each of the three algorithms.
TWICE_PER_S = 900


@dataclasses.dataclass(frozen=True)
class Shape:
    rate: object                # calls per second, or a load.Schedule
    kinds: object               # a function of a value
    # Of node 0; the others share the rest. None: each in turn.
    first_node: float = None

    def node_weights(self, nodes):
        if self.first_node is None:
            return ()
        return (self.first_node, *[(1 - self.first_node) / (nodes - 1)] * (nodes - 1))


def _hot(value, weight=1):
    return [load.Kind(rule.key, value, hits=hits, weight=share * weight)
            for rule in rules.of_length("hot") for hits, share in ((1, 2), (2, 1))]


def _four_at_once(value):
    return [load.Kind(rule.key, value, hits=4) for rule in rules.of_length("hot")]


def _users(value, keys, zipf=0.0, weight=1):
    return [load.Kind(rule.key, value, weight=weight, keys=keys, zipf=zipf)
            for rule in rules.of_length("user")]


def _two_limits(value):
    kinds = []
    for big, hot in zip(rules.of_length("big"), rules.of_length("hot")):
        kinds += [load.Kind(big.key, value, also=hot.key), load.Kind(big.key, value),
                  load.Kind(hot.key, value, hits=2)]
    return kinds


SHAPES = {
    "steady": Shape(TWICE_PER_S, _hot),
    "on_off": Shape(load.Schedule(((0.5, 1300), (0.5, 20))), _hot),
    "flash_crowd": Shape(load.Schedule(((1.2, 9), (1.8, 900))), _hot),
    "zipf": Shape(TWICE_PER_S, lambda value: _users(value, 100_000, 0.99)),
    "hot_key": Shape(TWICE_PER_S, lambda value: [*_hot(value), *_users(value, 1000, weight=3)]),
    # Just before and just after each edge of a window.
    "edges": Shape(load.Schedule(((0.2, 2000), (0.8, 0)), aligned=True, ahead_s=0.1),
                   _four_at_once),
    # A call that one limit denies must not spend of the other. Calls for one limit lease for it.
    "two_limits": Shape(TWICE_PER_S, _two_limits),
    "skewed": Shape(TWICE_PER_S, _hot, first_node=0.9),
}

"""What a case expects of an answer.

Plain values must be equal. A map must hold the fields given, and may hold more; `absent: [f, …]`
in it names fields that must not be there (or be empty). A list must match in length and item by
item. The tags below stand for what is known only when the test runs.
"""

import math
import re

import yaml


class Matcher:
    """A value known only at run time: describe() it, and say whether a value matches."""

    def __init__(self, argument):
        self.argument = argument

    def matches(self, actual, moment):
        raise NotImplementedError

    def __repr__(self):
        return f"!{type(self).__name__.lower()} {self.argument!r}"


class Has(Matcher):
    """!has text: a text that contains it."""

    def matches(self, actual, moment):
        return isinstance(actual, str) and self.argument in actual


class Regex(Matcher):
    """!regex pattern: a text that it matches as a whole."""

    def matches(self, actual, moment):
        return isinstance(actual, str) and re.fullmatch(self.argument, actual, re.S) is not None


class Within(Matcher):
    """!within [low, high]: a number from low to high."""

    def matches(self, actual, moment):
        low, high = self.argument
        return isinstance(actual, (int, float)) and low <= actual <= high


class Edge(Matcher):
    """!edge seconds: the time to the end of the aligned window, exact."""

    def _bounds(self, moment):
        return (self.argument - moment.after % self.argument,
                self.argument - moment.before % self.argument)

    def matches(self, actual, moment):
        low, high = self._bounds(moment)
        return isinstance(actual, (int, float)) and low - 1e-3 <= actual <= high + 1e-3


class CeilEdge(Edge):
    """!ceiledge seconds: the same in whole seconds, rounded up; as text in a header."""

    def matches(self, actual, moment):
        low, high = self._bounds(moment)
        if isinstance(actual, str):
            actual = int(actual) if actual.isdigit() else None
        return isinstance(actual, int) and math.ceil(low) <= actual <= math.ceil(high)


class Items(Matcher):
    """!items {count: n, each: expected}: a list of n items that all match."""

    def matches(self, actual, moment):
        return (isinstance(actual, list) and len(actual) == self.argument["count"] and
                not any(differences(self.argument["each"], item, moment) for item in actual))


class Contains(Matcher):
    """!contains [a, b]: a list with these items among others."""

    def matches(self, actual, moment):
        return isinstance(actual, list) and all(item in actual for item in self.argument)


class AnyOf(Matcher):
    """!anyof [a, b]: one of these."""

    def matches(self, actual, moment):
        return any(not differences(option, actual, moment) for option in self.argument)


class Loader(yaml.SafeLoader):
    """YAML with the tags of this module."""


def _construct(kind):
    def construct(loader, node):
        if isinstance(node, yaml.MappingNode):
            return kind(loader.construct_mapping(node, deep=True))
        if isinstance(node, yaml.SequenceNode):
            return kind(loader.construct_sequence(node, deep=True))
        return kind(yaml.SafeLoader.construct_object(
            loader, yaml.ScalarNode(loader.resolve(yaml.ScalarNode, node.value, (True, False)),
                                    node.value)))
    return construct


for _kind in (Has, Regex, Within, Edge, CeilEdge, Items, Contains, AnyOf):
    Loader.add_constructor(f"!{_kind.__name__.lower()}", _construct(_kind))


def _repeat(loader, node):
    """!repeat [text, n]: a long text."""
    text, count = loader.construct_sequence(node)
    return text * count


Loader.add_constructor("!repeat", _repeat)


def _shown(value):
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:200]} … {text[-200:]}"


def _is_empty(value):
    return value in (None, [], "", b"", False, 0)


def differences(expected, actual, moment, path="answer"):
    """A line per difference; empty when it matches."""
    if isinstance(expected, Matcher):
        if expected.matches(actual, moment):
            return []
        return [f"{path}: expected {expected!r}, got {_shown(actual)}"]
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return [f"{path}: expected a map, got {_shown(actual)}"]
        lines = []
        for name, value in expected.items():
            if name == "absent":
                lines += [f"{path}.{f}: expected nothing, got {_shown(actual[f])}"
                          for f in value if not _is_empty(actual.get(f))]
            elif name not in actual:
                lines.append(f"{path}.{name}: expected {value!r}, but it is missing")
            else:
                lines += differences(value, actual[name], moment, f"{path}.{name}")
        return lines
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            count = len(actual) if isinstance(actual, list) else "no"
            return [f"{path}: expected {len(expected)} items, got {count}: {_shown(actual)}"]
        lines = []
        for i, value in enumerate(expected):
            lines += differences(value, actual[i], moment, f"{path}[{i}]")
        return lines
    if type(expected) is bool or type(actual) is bool:
        same = expected is actual
    else:
        same = expected == actual
    return [] if same else [f"{path}: expected {_shown(expected)}, got {_shown(actual)}"]

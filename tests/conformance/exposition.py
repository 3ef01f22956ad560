"""Reads Prometheus' text format: counters and gauges by name and labels."""

import re

_LINE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def labels(text):
    return {name: re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value)
            for name, value in _LABEL.findall(text or "")}


def parse(text):
    """[(name, labels, value)] of all samples."""
    samples = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"not a sample: {line!r}")
            samples.append((match[1], labels(match[2]), float(match[3])))
    return samples


def total(samples, selector):
    """The sum of the samples of this name that have the labels of 'name{label="value",…}'; a label
    with an empty value must be missing."""
    name, _, rest = selector.partition("{")
    wanted = labels(rest)
    return sum(value for sample, has, value in samples
               if sample == name and all(has.get(k, "") == v for k, v in wanted.items()))

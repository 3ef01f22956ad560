#!/usr/bin/env python3
"""Writes what is generated from the comments of values.yaml: the table of README.md and the
descriptions in values.schema.json. With --check it writes nothing and fails where they differ.

A comment that begins with "# -- " describes the key below it, with everything under that key. A key
without one is described by the keys under it.
"""

import json
import pathlib
import re
import sys

import yaml

CHART = pathlib.Path(__file__).resolve().parent
BEGIN = "<!-- The table is written by docs.py. -->\n"
END = "<!-- End of the table. -->\n"
KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):")


class Undocumented(Exception):
    """A key that no comment describes."""


def described(text):
    """Yields (path of keys, description) in the order of the file."""
    path, comment, covered = [], [], None
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith("# -- "):
            comment = [stripped.removeprefix("# -- ")]
        elif stripped.startswith("#"):
            comment += [stripped.lstrip("# ")] if comment else []
        elif match := KEY.match(line):
            depth = len(match.group(1)) // 2
            path = path[:depth] + [match.group(2)]
            inside = covered is not None and path[:len(covered)] == covered
            if comment:
                covered = list(path)
                yield tuple(path), " ".join(comment)
            elif not inside:
                covered = None
                if not line.rstrip().endswith(":"):
                    raise Undocumented(".".join(path))
            comment = []
        elif not stripped:
            comment = []


def rows(text):
    """Yields (dotted name, default as JSON, description)."""
    values = yaml.safe_load(text)
    for path, description in described(text):
        value = values
        for key in path:
            value = value[key]
        yield path, json.dumps(value, ensure_ascii=False), description


def table(text):
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for path, default, description in rows(text):
        default, description = (part.replace("|", "\\|") for part in (default, description))
        lines.append(f"| `{'.'.join(path)}` | `{default}` | {description} |")
    return "\n".join(lines) + "\n"


def readme(text, values):
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table(values)}\n{END}{after}"


def schema(text, values):
    root = json.loads(text)
    for path, _, description in rows(values):
        node = root
        for key in path:
            node = node["properties"][key]
        node["description"] = description.replace("`", "")
    return json.dumps(root, indent=2, ensure_ascii=False) + "\n"


def main(arguments):
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    stale = []
    for name, render in (("README.md", readme), ("values.schema.json", schema)):
        path = CHART / name
        old = path.read_text(encoding="utf-8")
        new = render(old, values)
        if new != old:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(new, encoding="utf-8")
    if stale:
        print(f"{'differ from' if '--check' in arguments else 'written from'} values.yaml: "
              f"{', '.join(stale)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

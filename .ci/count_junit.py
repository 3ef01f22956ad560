#!/usr/bin/env python3
"""Counts the tests of JUnit files and prints "PASSED FAILED SKIPPED".

Names of failed and skipped tests go to standard error, one line each, so that a long log ends
with what matters. ctest and pytest write slightly different dialects; both are read here.
A file that is missing or torn counts as one failed test: a suite that died must not look green.
"""

import sys
import xml.etree.ElementTree as ElementTree


def outcome(case):
    """Returns (passed | failed | skipped, why) for one <testcase> element."""
    for tag in ("failure", "error"):
        element = case.find(tag)
        if element is not None:
            return "failed", element.get("message") or ""
    if case.get("status") == "fail":
        return "failed", ""
    element = case.find("skipped")
    if element is not None or case.get("status") in ("notrun", "disabled"):
        message = element.get("message") if element is not None else ""
        # ctest reports a test whose program was never built as "not run"; nobody chose that.
        if "unable to find" in (message or "").lower():
            return "failed", message
        return "skipped", message or ""
    return "passed", ""


def count(path):
    """Returns {passed, failed, skipped} of one file and reports the two bad kinds by name."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        print(f"  failed: {path}: no result ({error})", file=sys.stderr)
        counts["failed"] = 1
        return counts
    for case in root.iter("testcase"):
        kind, why = outcome(case)
        counts[kind] += 1
        if kind != "passed":
            # ctest repeats the name as the class.
            names = dict.fromkeys(filter(None, (case.get("classname"), case.get("name"))))
            name = ".".join(names)
            first_line = why.strip().splitlines()[0][:160] if why.strip() else ""
            print(f"  {kind}: {name}{': ' + first_line if first_line else ''}", file=sys.stderr)
    if sum(counts.values()) == 0:
        print(f"  failed: {path}: the suite holds no test", file=sys.stderr)
        counts["failed"] = 1
    return counts


def main(paths):
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for path in paths:
        for kind, number in count(path).items():
            total[kind] += number
    print(total["passed"], total["failed"], total["skipped"])


if __name__ == "__main__":
    main(sys.argv[1:])

#!/usr/bin/env python3
"""Tests of the tests: each mutant is a bug seeded into a copy, and the suites that it names must
fail on it.

A mutant replaces exact texts, each of which must occur exactly once, so that a mutant whose place
has moved is an error and not a silent pass. The copy without any mutant must pass first.

    tests/mutants/run.py                   all mutants
    tests/mutants/run.py 3 refund          those of that number, or whose name contains the word
    tests/mutants/run.py --seeds 300 refund  which of the simulator's seeds find them

Needs g++ (or $CXX), GoogleTest, Lua 5.1 and Abseil; uses ccache where it is installed.
Exit status: 0 if every mutant was caught, 1 otherwise.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import algorithm_mutants
import lease_mutants
import suites

NUMBERS = range(1, 17)  # of the bugs that must be among them
MUTANTS = sorted(algorithm_mutants.MUTANTS + lease_mutants.MUTANTS, key=lambda m: m.number or 99)


@dataclasses.dataclass(frozen=True)
class Verdict:
    result: str  # caught…, SURVIVED…, or why it could not be tried
    seconds: float


def texts_of(builder, mutant):
    """The changed files' texts."""
    texts = {}
    for edit in mutant.edits:
        text = texts.get(edit.file) or builder.original(edit.file)
        found = text.count(edit.search)
        if found != 1:
            raise suites.BuildError(f"in {edit.file} {edit.search!r} occurs {found} times")
        texts[edit.file] = text.replace(edit.search, edit.replace)
    return texts


def first_failed(binary, runs):
    """The arguments of the first run that fails; None: all pass."""
    for arguments in runs:
        if not suites.run(binary, arguments).passed:
            return arguments
    return None


def judge(builder, index, mutant, broken):
    begin = time.monotonic()
    seed = ""
    try:
        texts = texts_of(builder, mutant)
        for check in mutant.checks:
            if check in broken:
                raise suites.BuildError(f"{check.shown} fails without the mutant")
            found = first_failed(builder.mutant(f"m{index}", check.suite, texts), check.runs)
            if found is None:
                return Verdict(f"SURVIVED {check.shown}", time.monotonic() - begin)
            if check.scheme:
                seed = f", seed {found[-1]}"
        result = f"caught{seed}"
    except (suites.BuildError, subprocess.TimeoutExpired) as error:
        result = f"NOT APPLIED: {error}"
    return Verdict(result, time.monotonic() - begin)


def check_base(builder, checks):
    """The checks that fail without any mutant. A suite runs once, with the tests of all mutants."""
    broken = set()
    for suite in {check.suite for check in checks}:
        binary = builder.base(suite)
        of_suite = {check for check in checks if check.suite == suite}
        with_tests = {check for check in of_suite if check.filter}
        together = ":".join(sorted(check.filter for check in with_tests))
        groups = [(with_tests, ((f"--gtest_filter={together}",),))] if with_tests else []
        groups += [({check}, check.runs) for check in of_suite - with_tests]
        for group, runs in groups:
            arguments = first_failed(binary, runs)
            if arguments is None:
                continue
            broken |= group
            print(f"{suite.name} {' '.join(arguments)} fails without a mutant:",
                  suites.run(binary, arguments).output, sep="\n")
    return broken


def seeds_of(builder, index, mutant, count):
    """A line that says which seeds fail on the mutant."""
    try:
        binary = builder.mutant(f"m{index}", suites.SIM, texts_of(builder, mutant))
    except suites.BuildError as error:
        return f"{mutant.name}: {error}"
    scheme = next((check.scheme for check in mutant.checks if check.scheme), suites.LEASED)
    found = [arguments[-1] for arguments in suites.seeds(scheme, count).runs
             if not suites.run(binary, arguments).passed]
    return f"{mutant.name}: {scheme}: {len(found)} of {count} seeds: {' '.join(found)}"


def report(chosen, verdicts):
    rows = [("no", "mutant", "breaks", "caught by", "s", "result")]
    for mutant in chosen:
        shown = ", ".join(check.shown for check in mutant.checks)
        rows.append((str(mutant.number or ""), mutant.name, mutant.breaks, shown))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    failed = 0
    for row, verdict in zip(rows, [None, *verdicts]):
        if verdict is not None:
            row += (f"{verdict.seconds:.1f}", verdict.result)
            failed += not verdict.result.startswith("caught")
        cells = [cell.ljust(width) for cell, width in zip(row, widths)] + [row[4].rjust(5), row[5]]
        print(" | ".join(cells), flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("words", nargs="*", help="numbers, or words of the names")
    parser.add_argument("--seeds", type=int, help="try that many seeds on each")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    words = options.words
    chosen = [m for m in MUTANTS
              if not words or str(m.number) in words or any(word in m.name for word in words)]
    checks = {check for mutant in chosen for check in mutant.checks}
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        builder = suites.Builder(pathlib.Path(folder), options.jobs)
        used = {check.suite for check in checks} | ({suites.SIM} if options.seeds else set())
        try:
            builder.compile_base(used)
        except suites.BuildError as error:
            print(f"without a mutant: {error}\n0 passed, {len(chosen)} failed")
            return 1
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            if options.seeds:
                lines = pool.map(lambda of: seeds_of(builder, *of, options.seeds),
                                 enumerate(chosen))
                for line in lines:
                    print(line, flush=True)
                return 0
            broken = check_base(builder, checks)
            verdicts = pool.map(lambda of: judge(builder, *of, broken), enumerate(chosen))
            failed = report(chosen, verdicts)
    caught = len(chosen) - failed
    for number in () if words else sorted(set(NUMBERS) - {m.number for m in MUTANTS}):
        print(f"no mutant has the number {number}")
        failed += 1
    print(f"{caught} passed, {failed} failed")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())

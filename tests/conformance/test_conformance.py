"""Runs the cases of cases/*.yaml; README.md in this folder says how to write one."""

import math
import os
import pathlib
import time

import pytest

import cases
import steps

ATTEMPTS = 12
FOLDER = pathlib.Path(__file__).resolve().parent


def run_once(case, api, servers, binary, folder, private):
    for name, text in case.cwd_files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if not case.server:
        steps.Runner(case, api, None, binary, folder).run()
    elif case.own or private:
        running = servers.start(case.setup, case.files)
        try:
            steps.Runner(case, api, running, binary, folder).run()
        finally:
            running.stop()
    else:
        running = servers.shared(case.setup, case.group_files())
        steps.Runner(case, api, running, binary, folder).run()


def test_case(case, api, servers, binary, tmp_path):
    mismatch = None
    for attempt in range(ATTEMPTS):
        started = time.time()
        try:
            run_once(case, api, servers, binary, tmp_path, private=attempt > 0)
            return
        except steps.Mismatch as error:
            mismatch = error
        # Where a window ended meanwhile, what was counted is gone and the answers prove nothing.
        if math.floor(time.time() / case.window) == math.floor(started / case.window):
            break
    pytest.fail(f"{case.name} {case.rows}\n{mismatch}", pytrace=False)


def test_every_row_has_a_case():
    """rows.txt lists what must be covered; a case names the rows it covers."""
    rows = (FOLDER / "rows.txt").read_text().splitlines()
    rows = {row for row in rows if row and not row.startswith("#")}
    loaded = cases.load(FOLDER / "cases")
    covered = {row for case in loaded for row in case.rows}
    if "WEIR_TEST_REDIS" not in os.environ:  # a few cases are about the memory store alone
        assert rows - covered == set(), "rows without a case"
    assert covered - rows == set(), "rows that rows.txt does not know"
    assert len(loaded) >= 120


def test_metrics_that_must_not_grow_exist():
    """A misspelt name never grows: each one expected not to must be expected to, elsewhere."""
    growing, still = set(), set()
    for case in cases.load(FOLDER / "cases"):
        for deltas in [case.metrics] + [s.get("eventually_metrics", {}) for s in case.calls]:
            for selector, delta in deltas.items():
                (still if delta == 0 else growing).add(selector.partition("{")[0])
    always_there = {"weir_keys_capacity"}
    assert still - growing - always_there == set()

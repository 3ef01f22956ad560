#!/usr/bin/env python3
"""Tests of the tests: each mutant is a bug seeded into a copy, and a named suite must fail on it.

A mutant replaces one exact text, which must occur exactly once, so that a mutant whose place has
moved is an error and not a silent pass. The copy without any mutant must pass first.

    tests/mutants/run.py              all mutants
    tests/mutants/run.py 3 refund     those whose name contains one of the words

Needs g++ (or $CXX) and GoogleTest. Exit status: 0 if every mutant was caught, 1 otherwise.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CXX = os.environ.get("CXX", "g++")
FLAGS = ["-std=c++20", "-O1"]
INCLUDE = ["-isystem", "/usr/include/lua5.1"]
LINK = ["-lgmock_main", "-lgmock", "-lgtest", "-lpthread"]
COMPILE_SECONDS_MAX = 300
# Tests sized by time need little of it here; the same seed in each run.
ENVIRONMENT = {**os.environ, "WEIR_SEED": "1", "WEIR_SOAK_SECONDS": "1"}
RUN_SECONDS_MAX = 120  # a mutant that hangs its suite is caught too


@dataclasses.dataclass(frozen=True)
class Suite:
    """What is built and run together."""

    sources: tuple  # compiled, and copied; a mutant changes one of these or of the headers
    headers: tuple  # copied beside the sources, compiled only as they are included
    tests: tuple  # compiled from the copy too, never changed
    link: tuple = ()  # extra link flags
    scripts: tuple = ()  # Lua in the order of ScriptId, compiled into scripts.cc


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str  # the number is that of the design's list, where it has one
    breaks: str  # the promise that no longer holds
    suite: Suite
    filter: str  # a --gtest_filter that is enough to see it
    file: str
    search: str  # must occur exactly once
    replace: str


HEADERS = (
    "algorithms/decision.h",
    "algorithms/fixed_window.h",
    "algorithms/limit.h",
    "algorithms/saturate.h",
    "algorithms/sliding_window.h",
    "algorithms/token_bucket.h",
    "tests/unit/algorithms/lockstep.h",
    "tests/unit/algorithms/oracle.h",
)
SOURCES = (
    "algorithms/fixed_window.cc",
    "algorithms/limit.cc",
    "algorithms/sliding_window.cc",
    "algorithms/token_bucket.cc",
)

# One suite per test file keeps the compile short.
ORACLES = Suite(SOURCES, HEADERS, ("tests/unit/algorithms/oracle_test.cc",))
TOKEN_BUCKET = Suite(SOURCES, HEADERS, ("tests/unit/algorithms/token_bucket_test.cc",))
PUBLIC_BUGS = Suite(SOURCES, HEADERS, ("tests/unit/algorithms/public_bugs_test.cc",))


def _files(*patterns):
    return tuple(
        sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern))
    )


STORE = Suite(
    SOURCES + _files("limiter/core/*.cc", "limiter/store/*.cc"),
    HEADERS[:6] + _files("limiter/core/*.h", "limiter/store/*.h", "tests/support/*.h",
                         "tests/unit/store/*.h"),
    ("tests/unit/store/memory_store_test.cc",),
    ("-labsl_raw_hash_set", "-labsl_hash", "-labsl_city", "-labsl_low_level_hash",
     "-labsl_strings", "-labsl_throw_delegate", "-labsl_raw_logging_internal"),
)

SCRIPTS = Suite(
    SOURCES + ("limiter/store/redis/script_call.cc", "tests/differential/redis_client.cc",
               "tests/differential/stores.cc", "tests/support/lua_store.cc",
               "tests/support/redis_process.cc"),
    HEADERS[:6] + ("limiter/core/descriptor.h", "limiter/core/unit.h",
                   "limiter/store/lease_ask.h",
                   "limiter/store/redis/script_call.h", "limiter/store/redis/scripts.h",
                   "tests/differential/core.h", "tests/differential/redis_client.h",
                   "tests/differential/stores.h", "tests/support/lua_store.h",
                   "tests/support/redis_process.h"),
    ("tests/differential/exact_test.cc", "tests/differential/lease_test.cc"),
    ("-llua5.1", "-labsl_statusor", "-labsl_status", "-labsl_strings", "-labsl_cord",
     "-labsl_raw_logging_internal", "-labsl_throw_delegate"),
    ("algorithms/fixed_window.lua", "algorithms/sliding_window.lua",
     "algorithms/token_bucket.lua", "limiter/store/redis/nodes.lua",
     "limiter/store/redis/meta.lua"),
)
GENERATED = "scripts.cc"
EMBED = ROOT / "limiter/store/redis/embed_scripts.cmake"

MUTANTS = (
    Mutant(
        name="8 denied request charged in part under never",
        breaks="all or none",
        suite=STORE,
        filter="MemoryStoreTest.NeverChargesADeniedRequestOnNoneOfItsKeys",
        file="limiter/store/memory_store.cc",
        search="Charge(i, verdict.allowed());",
        replace="Charge(i, true);",
    ),
    Mutant(
        name="3 E rounded down",
        breaks="burst + rate * T",
        suite=ORACLES,
        filter="Oracle/token_bucket.AdmitsNoMoreThanTheGuarantee*",
        file="algorithms/limit.cc",
        search="(spec.window_ns + spec.hits - 1) / spec.hits",
        replace="spec.window_ns / spec.hits",
    ),
    Mutant(
        name="4 TAT not clamped",
        breaks="TAT - now <= B*E; ban after a clock step",
        suite=TOKEN_BUCKET,
        filter="*",
        file="algorithms/token_bucket.cc",
        search="if (used_ns > limit.burst_ns) return {limit.burst_ns, true};",
        replace="",
    ),
    Mutant(
        name="13 clamp not kept on a denial (token bucket)",
        breaks="ban after a clock step",
        suite=TOKEN_BUCKET,
        filter="*",
        file="algorithms/token_bucket.cc",
        search="if (level.clock_fault) state.tat_ns = now_ns + level.used_ns;",
        replace="",
    ),
    Mutant(
        name="13 restamp not kept on a denial (sliding window)",
        breaks="ban after a clock step",
        suite=ORACLES,
        filter="Oracle/sliding_window.AgreesOnRandomStreams*",
        file="algorithms/sliding_window.cc",
        search="if (view.clock_fault) Advance(ring, view);",
        replace="",
    ),
    Mutant(
        name="token bucket denies at exactly full",
        breaks="retry_after is exact",
        suite=TOKEN_BUCKET,
        filter="*",
        file="algorithms/token_bucket.cc",
        search="decision.retry_after_ns = std::max<int64_t>(0, cost_ns - free_ns);",
        replace="decision.retry_after_ns = std::max<int64_t>(0, cost_ns - free_ns + 1);",
    ),
    Mutant(
        name="token bucket admits half a hit early",
        breaks="burst + rate * T",
        suite=PUBLIC_BUGS,
        filter="*HalfAHitRoundedUp",
        file="algorithms/token_bucket.cc",
        search="decision.retry_after_ns = std::max<int64_t>(0, cost_ns - free_ns);",
        replace="decision.retry_after_ns ="
        " std::max<int64_t>(0, cost_ns - free_ns - limit.emission_ns / 2);",
    ),
    Mutant(
        name="token bucket checks one hit whatever the cost",
        breaks="cost in the check",
        suite=PUBLIC_BUGS,
        filter="*CostIgnoredInTheCheck",
        file="algorithms/token_bucket.cc",
        search="static_cast<int64_t>(std::max<uint64_t>(hits, 1)) * limit.emission_ns",
        replace="limit.emission_ns",
    ),
    Mutant(
        name="token bucket refunds above the burst",
        breaks="refund never above the limit",
        suite=TOKEN_BUCKET,
        filter="*Refund*",
        file="algorithms/token_bucket.cc",
        search="level.used_ns -= ScaleCapped(hits, limit.emission_ns, level.used_ns);",
        replace="level.used_ns -= ScaleCapped(hits, limit.emission_ns, limit.burst_ns);",
    ),
    Mutant(
        name="token bucket drains fractions of a hit",
        breaks="one-hit callers are never banned",
        suite=TOKEN_BUCKET,
        filter="*Drain*",
        file="algorithms/token_bucket.cc",
        search="level.used_ns += free_ns / limit.emission_ns * limit.emission_ns;",
        replace="level.used_ns += free_ns;",
    ),
    Mutant(
        name="sliding window counts one sub-bucket too few",
        breaks="L in any W",
        suite=ORACLES,
        filter="Oracle/sliding_window.AdmitsNoMoreThanTheGuarantee*",
        file="algorithms/sliding_window.cc",
        search="view.oldest = std::max({view.current - static_cast<int64_t>(limit.precision),",
        replace="view.oldest ="
        " std::max({view.current - static_cast<int64_t>(limit.precision) + 1,",
    ),
    Mutant(
        name="sliding window clears a ring that is ahead",
        breaks="L in any W after a clock step back",
        suite=ORACLES,
        filter="Oracle/sliding_window.AgreesOnRandomStreams*",
        file="algorithms/sliding_window.cc",
        search="    Restamp(ring, view.current);\n    return;\n",
        replace="    if (view.clock_fault) Restamp(ring, view.current);\n"
        "    if (!view.clock_fault) std::fill(ring.begin(), ring.end(), 0);\n"
        "    ring[0] = static_cast<uint64_t>(view.current + 1);\n    return;\n",
    ),
    Mutant(
        name="sliding window does not zero reused slots",
        breaks="remaining is what passes",
        suite=ORACLES,
        filter="Oracle/sliding_window.AgreesOnEveryLongerSequenceOfTakes",
        file="algorithms/sliding_window.cc",
        search="      ring[SlotOf(stamp, slots)] = 0;\n",
        replace="      (void)slots;\n",
    ),
    Mutant(
        name="fixed window charges later denials",
        breaks="a denial after the crossing one is free",
        suite=ORACLES,
        filter="Oracle/fixed_window.AgreesOnRandomStreams*",
        file="algorithms/fixed_window.cc",
        search="if (window.count > limit.hits) return Describe(limit, window, now_ns, hits);",
        replace="",
    ),
    Mutant(
        name="fixed window refunds below zero",
        breaks="refund never above the limit",
        suite=ORACLES,
        filter="Oracle/fixed_window.RefundsFreeNoMore*",
        file="algorithms/fixed_window.cc",
        search="window.count - std::min(window.count, hits)",
        replace="window.count - hits",
    ),
    Mutant(
        name="fixed window loses the count on a small step back",
        breaks="window id monotone",
        suite=ORACLES,
        filter="Oracle/fixed_window.AgreesOnRandomStreams*",
        file="algorithms/fixed_window.cc",
        search="if (state.count != 0 && state.window == current + 1)"
        " return {state.window, state.count, false};",
        replace="",
    ),
    Mutant(
        name="a product of hits and time wraps",
        breaks="any uint64 cost is safe",
        suite=TOKEN_BUCKET,
        filter="*Report*",
        file="algorithms/saturate.h",
        search="static_cast<uint128_t>(hits) * static_cast<uint64_t>(unit_ns)",
        replace="hits * static_cast<uint64_t>(unit_ns)",
    ),
    Mutant(
        name="1 lease charged when granted (token bucket script)",
        breaks="burst + rate * T",
        suite=SCRIPTS,
        filter="Lease.*/token_bucket",
        file="algorithms/token_bucket.lua",
        search="rel = max(rel + hE, D) + (k - h) * E",
        replace="rel = rel + k * E",
    ),
    Mutant(
        name="1 lease charged when granted (sliding window script)",
        breaks="L in any W",
        suite=SCRIPTS,
        filter="Lease.*/sliding_window",
        file="algorithms/sliding_window.lua",
        search="add(floor((now + D) / w), k - h)",
        replace="add(current, k - h)",
    ),
    Mutant(
        name="4 TAT not clamped (script)",
        breaks="TAT - now <= B*E",
        suite=SCRIPTS,
        filter="Exact.ScriptsAnswerAsTheCore/token_bucket",
        file="algorithms/token_bucket.lua",
        search="max(0, min(raw, BE))",
        replace="max(0, raw)",
    ),
    Mutant(
        name="13 clamp not kept on a denial (token bucket script)",
        breaks="ban after a clock step",
        suite=SCRIPTS,
        filter="Exact.ScriptsAnswerAsTheCore/token_bucket",
        file="algorithms/token_bucket.lua",
        search="write = drains or fault",
        replace="write = drains",
    ),
    Mutant(
        name="13 restamp not kept on a denial (sliding window script)",
        breaks="ban after a clock step",
        suite=SCRIPTS,
        filter="Exact.ScriptsAnswerAsTheCore/sliding_window",
        file="algorithms/sliding_window.lua",
        search="  write = write or fault\n",
        replace="",
    ),
    Mutant(
        name="14 lease outlives its window (script)",
        breaks="L per window",
        suite=SCRIPTS,
        filter="Lease.*/fixed_window",
        file="algorithms/fixed_window.lua",
        search="min(end_after, D)",
        replace="D",
    ),
    Mutant(
        name="hits ahead of the clock not counted (script)",
        breaks="L in any W",
        suite=SCRIPTS,
        filter="Lease.*/sliding_window",
        file="algorithms/sliding_window.lua",
        search="if stamp >= oldest then sum = sum + count end",
        replace="if stamp >= oldest and stamp <= current then sum = sum + count end",
    ),
    Mutant(
        name="sliding window script admits one too many",
        breaks="L in any W",
        suite=SCRIPTS,
        filter="Exact.ScriptsAnswerAsTheCore/sliding_window",
        file="algorithms/sliding_window.lua",
        search="local allowed = sum + cost <= L",
        replace="local allowed = sum + cost <= L + 1",
    ),
    Mutant(
        name="sliding window script counts one sub-bucket too few",
        breaks="L in any W",
        suite=SCRIPTS,
        filter="Lease.*/sliding_window",
        file="algorithms/sliding_window.lua",
        search="local oldest = current - Bk ",
        replace="local oldest = current - Bk + 1 ",
    ),
    Mutant(
        name="fixed window script denies the last hit",
        breaks="remaining is what passes",
        suite=SCRIPTS,
        filter="Exact.ScriptsAnswerAsTheCore/fixed_window",
        file="algorithms/fixed_window.lua",
        search="local allowed = count + h <= L",
        replace="local allowed = count + h < L",
    ),
    Mutant(
        name="script ignores the share",
        breaks="a lease takes at most its share",
        suite=SCRIPTS,
        filter="Lease.*/*",
        file="algorithms/token_bucket.lua",
        search="ceil(avail / share)",
        replace="avail",
    ),
    Mutant(
        name="script takes back hits of another window",
        breaks="L per window",
        suite=SCRIPTS,
        filter="Lease.*/fixed_window",
        file="algorithms/fixed_window.lua",
        search="back > 0 and back_window == window and count > 0",
        replace="back > 0 and count > 0",
    ),
    Mutant(
        name="script keeps the time of a full bucket",
        breaks="a refund of an unused key charges nothing",
        suite=SCRIPTS,
        filter="Exact.ScriptsAnswerAsTheCore/token_bucket",
        file="algorithms/token_bucket.lua",
        search="if rel > 0 then",
        replace="if rel >= 0 then",
    ),
    Mutant(
        name="script writes no expiry long enough",
        breaks="an expired record says nothing",
        suite=SCRIPTS,
        filter="Exact.ScriptsAnswerAsTheCore/sliding_window",
        file="algorithms/sliding_window.lua",
        search="ceil(until_gone(newest) / 1000) + 1000",
        replace="ceil(until_gone(newest) / 2000)",
    ),
    Mutant(
        name="script prints times with 14 digits",
        breaks="exact in a double",
        suite=SCRIPTS,
        filter="Exact.ScriptsAnswerAsTheCore/fixed_window",
        file="algorithms/fixed_window.lua",
        search="format('%.0f %.0f', window, count)",
        replace="window .. ' ' .. count",
    ),
    Mutant(
        name="token bucket script drains fractions of a hit",
        breaks="one-hit callers are never banned",
        suite=SCRIPTS,
        filter="Exact.ScriptsAnswerAsTheCore/token_bucket",
        file="algorithms/token_bucket.lua",
        search="rel = rel + floor((BE - rel) / E) * E",
        replace="rel = BE",
    ),
)


class BuildError(Exception):
    pass


class Builder:
    """Compiles a copy of a suite. Objects of unchanged files are kept between mutants."""

    def __init__(self, folder):
        self.copy = folder / "copy"
        self.objects = folder / "objects"
        self.objects.mkdir()
        self.kept = {}
        self.sound = set()  # (suite, filter) that pass without a mutant

    def place(self, suite, mutant):
        if self.copy.exists():
            shutil.rmtree(self.copy)
        for name in suite.sources + suite.headers + suite.tests + suite.scripts:
            target = self.copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            text = (ROOT / name).read_text(encoding="utf-8")
            if mutant is not None and name == mutant.file:
                text = text.replace(mutant.search, mutant.replace)
            target.write_text(text, encoding="utf-8")
        if suite.scripts:
            paths = ",".join(str(self.copy / name) for name in suite.scripts)
            call(["cmake", "-D", f"OUT={self.copy / GENERATED}", "-D", f"SCRIPTS={paths}",
                  "-P", str(EMBED)])

    def object(self, name, fresh):
        if not fresh and name in self.kept:
            return self.kept[name]
        stem = name.replace("/", "_") + (".mutant.o" if fresh else ".o")
        target = self.objects / stem
        call([CXX, *FLAGS, *INCLUDE, f"-I{self.copy}", "-c", str(self.copy / name),
              "-o", str(target)])
        if not fresh:
            self.kept[name] = target
        return target

    def build(self, suite, mutant):
        self.place(suite, mutant)
        changed = None if mutant is None else mutant.file
        header = changed is not None and changed.endswith(".h")
        names = suite.sources + suite.tests
        if suite.scripts:
            names += (GENERATED,)
            changed = GENERATED if changed in suite.scripts else changed
        objects = [str(self.object(name, fresh=header or name == changed)) for name in names]
        binary = self.objects / "suite"
        call([CXX, *objects, "-o", str(binary), *suite.link, *LINK])
        return binary


def call(command):
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX, check=False
    )
    if result.returncode != 0:
        raise BuildError(result.stderr.strip()[-2000:])


def passes(binary, gtest_filter):
    """True if the suite ran at least one test and all passed."""
    try:
        result = subprocess.run(
            [str(binary), f"--gtest_filter={gtest_filter}", "--gtest_brief=1"],
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS_MAX,
            check=False,
            env=ENVIRONMENT,
        )
    except subprocess.TimeoutExpired:
        return False
    if "[==========] 0 tests" in result.stdout:
        raise BuildError(f"no test matches {gtest_filter}")
    return result.returncode == 0


def judge(builder, mutant):
    """What became of a mutant: caught, SURVIVED, or why it could not be tried."""
    found = (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.search)
    if found != 1:
        return f"NOT APPLIED: the search text occurs {found} times"
    if mutant.file not in mutant.suite.sources + mutant.suite.headers + mutant.suite.scripts:
        return "NOT APPLIED: the file is not part of the suite"
    try:
        if (mutant.suite, mutant.filter) not in builder.sound:
            if not passes(builder.build(mutant.suite, None), mutant.filter):
                return "NOT APPLIED: the suite fails without the mutant"
            builder.sound.add((mutant.suite, mutant.filter))
        survived = passes(builder.build(mutant.suite, mutant), mutant.filter)
        return "SURVIVED" if survived else "caught"
    except (BuildError, subprocess.TimeoutExpired) as error:
        return f"NOT APPLIED: {error}"


def main(words):
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    failed = 0
    print("mutant | breaks | suite | result")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        builder = Builder(pathlib.Path(folder))
        for mutant in chosen:
            result = judge(builder, mutant)
            failed += result != "caught"
            suite = f"{pathlib.PurePath(mutant.suite.tests[0]).stem} {mutant.filter}"
            print(f"{mutant.name} | {mutant.breaks} | {suite} | {result}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

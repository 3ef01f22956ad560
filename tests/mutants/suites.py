"""The suites that catch mutants, and how they are built: everything is compiled once from a copy,
then for each mutant only what includes the changed files."""

import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CXX = os.environ.get("CXX", "g++").split()
CCACHE = [shutil.which("ccache")] if shutil.which("ccache") else []
FLAGS = ["-std=c++20", "-O1", "-isystem", "/usr/include/lua5.1"]
COPIED = ("algorithms", "limiter/core", "limiter/store", "tests/differential", "tests/sim",
          "tests/support", "tests/unit")
COMPILE_SECONDS_MAX = 300
RUN_SECONDS_MAX = 120  # a mutant that hangs its suite is caught too
# Tests sized by time need little of it here; the same seeds in each run.
ENVIRONMENT = {**os.environ, "WEIR_SEED": "1", "WEIR_SOAK_SECONDS": "1", "SIM_SECONDS": "2",
               "SIM_SEED": "1"}
SCRIPTS = ("algorithms/fixed_window.lua", "algorithms/sliding_window.lua",
           "algorithms/token_bucket.lua", "limiter/store/redis/nodes.lua",
           "limiter/store/redis/meta.lua")  # in the order of ScriptId
GENERATED = "scripts.cc"  # SCRIPTS as C++
EMBED = ROOT / "limiter/store/redis/embed_scripts.cmake"
WRONG_COMMAND_LINE = 2
LEASED = "shared_store_leased"  # a scheme of the simulator
SEEDS = 150


class BuildError(Exception):
    """The mutant cannot be tried."""


@dataclasses.dataclass(frozen=True)
class Suite:
    """A test program, under the name that it has in CMake."""

    name: str
    sources: tuple
    link: tuple


@dataclasses.dataclass(frozen=True)
class Check:
    """What is to fail on a mutant: any of these runs of the suite, each by its arguments."""

    suite: Suite
    runs: tuple
    shown: str
    filter: str = ""  # of tests
    scheme: str = ""  # of seeds


def tests(suite, gtest_filter):
    return Check(suite, ((f"--gtest_filter={gtest_filter}",),), f"{suite.name} {gtest_filter}",
                 filter=gtest_filter)


def seeds(scheme=LEASED, count=SEEDS):
    """Seeds of the swarm behind LeasedStore.NeverAdmitsMoreUnderAnyFault (of scheme shared_store:
    Exact.), which takes as many from another one on. One seed would do, but which one it is
    changes with the store; so only bugs that several of them find are left to them."""
    runs = tuple(("--scheme", scheme, "--seed", str(number)) for number in range(1, count + 1))
    return Check(SIM, runs, f"{SIM.name} {scheme} seeds 1 to {count}", scheme=scheme)


def _files(*patterns):
    return tuple(
        sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern))
    )


_ALGORITHMS = _files("algorithms/*.cc")
_STORE = _ALGORITHMS + _files("limiter/core/*.cc", "limiter/store/*.cc")
_CALLS = ("limiter/store/redis/script_call.cc", GENERATED, "tests/support/lua_store.cc")
_GTEST = ("-lgmock", "-lgtest", "-lpthread")
_ABSL = ("-labsl_raw_hash_set", "-labsl_hash", "-labsl_city", "-labsl_low_level_hash",
         "-labsl_statusor", "-labsl_status", "-labsl_strings", "-labsl_cord",
         "-labsl_throw_delegate", "-labsl_raw_logging_internal", "-labsl_synchronization")

ALGORITHMS = Suite("algorithms_test", _ALGORITHMS + _files("tests/unit/algorithms/*_test.cc"),
                   ("-lgmock_main", *_GTEST))
STORE = Suite(
    "store_test",
    _STORE + ("tests/support/fake_remote.cc",)
    + tuple(name for name in _files("tests/unit/store/*_test.cc") if "_threads_" not in name),
    (*_ABSL, "-lgmock_main", *_GTEST))
DIFFERENTIAL = Suite(
    "differential_test",
    _ALGORITHMS + _CALLS + ("tests/differential/exact_test.cc", "tests/differential/lease_test.cc",
                            "tests/differential/redis_client.cc", "tests/differential/stores.cc",
                            "tests/support/redis_process.cc"),
    ("-llua5.1", *_ABSL, "-lgmock_main", *_GTEST))
SIM = Suite("weir_sim", _STORE + _CALLS + _files("tests/sim/*.cc"), ("-llua5.1", *_ABSL, *_GTEST))


def _call(command, folder):
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder,
                            timeout=COMPILE_SECONDS_MAX)
    if result.returncode != 0:
        raise BuildError(result.stderr.strip()[:1000])


class Builder:
    """Builds suites in a folder: the copy without a mutant in base/, what a mutant changes in a
    folder of its own, whose files come first.

    Paths are relative to the folder, so that the compiler's cache knows them again in another one.
    """

    def __init__(self, folder, workers):
        self.folder = folder
        self.workers = workers
        for name in COPIED:
            shutil.copytree(ROOT / name, folder / "base" / name)
        self._embed("base", {})
        self.depends = {}  # source: the files of the copy that it is compiled from

    def original(self, name):
        return (self.folder / "base" / name).read_text(encoding="utf-8")

    def compile_base(self, suites):
        sources = sorted({name for suite in suites for name in suite.sources})
        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
            for name, depends in pool.map(self._compile_base, sources):
                self.depends[name] = depends

    def base(self, suite):
        """The suite without a mutant."""
        return self._link("base", suite, set())

    def mutant(self, folder, suite, texts):
        """The suite with these texts, by file, instead of the copy's."""
        for name, text in texts.items():
            target = self.folder / folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        if any(name in SCRIPTS for name in texts):
            self._embed(folder, texts)
        changed = {name for name in suite.sources if self.depends[name] & set(texts)}
        if not changed:
            raise BuildError(f"{suite.name} is not built from what the mutant changes")
        for name in changed:
            target = self._object(folder, name)
            if not target.exists():
                _call(self._compiler(folder, name, target), self.folder)
        return self._link(folder, suite, changed)

    def _embed(self, folder, texts):
        (self.folder / folder).mkdir(exist_ok=True)
        paths = [self.folder / (folder if name in texts else "base") / name for name in SCRIPTS]
        _call(["cmake", "-D", f"OUT={self.folder / folder / GENERATED}",
               "-D", f"SCRIPTS={','.join(map(str, paths))}", "-P", str(EMBED)], self.folder)

    def _object(self, folder, name):
        return self.folder / folder / (name.replace("/", "_") + ".o")

    def _compiler(self, folder, name, target):
        here = folder if (self.folder / folder / name).exists() else "base"
        return [*CCACHE, *CXX, *FLAGS, f"-I{folder}", "-Ibase", "-MMD", "-MF", f"{target}.d",
                "-c", f"{here}/{name}", "-o", str(target.relative_to(self.folder))]

    def _compile_base(self, name):
        target = self._object("base", name)
        _call(self._compiler("base", name, target), self.folder)
        words = pathlib.Path(f"{target}.d").read_text(encoding="utf-8").split()
        depends = {word.removeprefix("base/") for word in words if word.startswith("base/")}
        return name, depends | (set(SCRIPTS) if name == GENERATED else set())

    def _link(self, folder, suite, changed):
        objects = [str(self._object(folder if name in changed else "base", name))
                   for name in suite.sources]
        binary = self.folder / folder / suite.name
        _call([*CXX, *objects, "-o", str(binary), *suite.link], self.folder)
        return binary


@dataclasses.dataclass(frozen=True)
class Outcome:
    passed: bool
    seconds: float
    output: str


def run(binary, arguments):
    """Runs a suite; passed if it ran at least one test and none failed."""
    begin = time.monotonic()
    brief = ["--gtest_brief=1"] if arguments[0].startswith("--gtest_filter") else []
    try:
        result = subprocess.run([str(binary), *arguments, *brief], capture_output=True, text=True,
                                errors="replace", timeout=RUN_SECONDS_MAX, check=False,
                                env=ENVIRONMENT)
    except subprocess.TimeoutExpired:
        return Outcome(False, time.monotonic() - begin, "it hangs")
    if "[==========] 0 tests" in result.stdout:
        raise BuildError(f"no test matches {' '.join(arguments)}")
    if result.returncode == WRONG_COMMAND_LINE:
        raise BuildError(result.stderr.strip()[-500:])
    return Outcome(result.returncode == 0, time.monotonic() - begin, result.stdout)

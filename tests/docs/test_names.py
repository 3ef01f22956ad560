"""No page names a metric, a setting or a file that does not exist."""

import functools
import re
import subprocess

import pytest

import pages

PATHS = [path for path in pages.paths() if not path.is_relative_to(pages.REPOSITORY / "tests")]

# Commands of other programs, whose options are theirs to know.
FOREIGN = re.compile(
    r"(?:\$ )?(?:sudo )?"
    r"(?:apt-get|bash|buildah|cmake|ctest|curl|docker|dpkg|envoy|g\+\+|git|go|grpcurl|helm"
    r"|journalctl|kubectl|npm|openssl"
    r"|pip|pkg-config|promtool|protoc|python3?|redis-\S+|systemctl)(?!\S)")
# Options that pages name without the command, by program.
OTHERS = {
    "CMake": {"--preset"},
    "GoogleTest and its benchmarks": {"--gtest_filter", "--benchmark_filter"},
    "helm": {"--set", "--values", "--namespace", "--version", "--force-conflicts"},
    "docker": {"--build-arg"},
    "Limitador": {"--rate-limit-headers", "--validate"},
}


# What other programs make of Weir's metrics.
DERIVED = {"weir_decisions_per_second"}


def sources(*folders):
    return [path for folder in folders for path in sorted((pages.REPOSITORY / folder).rglob("*"))
            if path.suffix in (".cc", ".h", ".py") and path.is_file()]


@functools.cache
def metrics():
    """Every name of a metric that the program holds, and what Prometheus makes of histograms."""
    found = set()
    for path in sources("limiter"):
        found.update(re.findall(r"\"((?:weir|ratelimit)_[a-z0-9_]+)\"", path.read_text()))
    return found | {name + part for name in found for part in ("_bucket", "_sum", "_count")}


@functools.cache
def programs():
    """weir_grpc_load and its like: targets of the build, not metrics."""
    text = "".join(path.read_text() for path in pages.REPOSITORY.rglob("CMakeLists.txt"))
    return set(re.findall(r"\bweir_[a-z0-9_]+", text))


@functools.cache
def own_options():
    """Options of the project's own tools: those of bench, the simulator and the suites."""
    text = "".join(path.read_text() for path in sources("bench", "tests/sim", "limiter/tools"))
    written = re.findall(r"--[a-z][a-z0-9_-]+", text)
    suites = "".join(path.read_text() for path in sources("tests") if path.suffix == ".py")
    written += re.findall(r"\b(?:addoption|add_argument)\(\"(--[a-z-]+)\"", suites)
    taken = re.findall(r"\bTake\w*\(\"([a-z-]+)\"", text)
    return {*written, *(f"--{name}" for name in taken)}


@pytest.fixture(scope="module")
def flags(binary):
    """What `weir help COMMAND` says."""
    text = "".join(subprocess.run([binary, "help", command], capture_output=True, text=True,
                                  check=True).stdout
                   for command in ("serve", "validate", "explain", "check", "version"))
    return set(re.findall(r"--[a-z][a-z0-9-]+", text))


def unknown_metrics(text):
    for found in re.finditer(r"(?<![\w/:.-])weir_[a-z0-9_]+(?![\w/:-]*\.(?:cc|h|py|md))", text):
        name = found[0]
        if name.endswith("_") or text[found.end():].startswith(("*", "…")):
            known = any(metric.startswith(name) for metric in metrics())  # a family of metrics
        else:
            known = name in metrics() | programs() | DERIVED
        if not known:
            yield name


def without_foreign(text):
    """The text without other programs' commands, in blocks (with the lines that they go on in) and
    in inline code."""
    def kept(found):
        return "" if FOREIGN.match(found[0].strip("` \t")) else found[0]
    text = re.sub(r"`[^`\n]+`", kept, text)
    return re.sub(r"^(?:[^\n]*\\\n)*[^\n]*\n?", kept, text, flags=re.M)


def unknown_flags(text, flags):
    text = without_foreign(text)
    known = set().union(flags, own_options(), *OTHERS.values())
    for found in re.finditer(r"(?<![\w-])--[a-z][a-z0-9_-]*[a-z0-9]", text):
        name = found[0]
        if text[found.end():].startswith("-…"):  # all that begin so
            exists = any(flag.startswith(name + "-") for flag in known)
        else:
            exists = name in known
        if not exists:
            yield name


def by_path(paths):
    return pytest.mark.parametrize("path", paths,
                                   ids=lambda path: str(path.relative_to(pages.REPOSITORY)))


@by_path(PATHS)
def test_metrics_exist(path):
    assert not sorted(set(unknown_metrics(path.read_text())))


@by_path(PATHS)
def test_flags_exist(path, flags):
    assert not sorted(set(unknown_flags(path.read_text(), flags)))


def test_what_does_not_exist_would_be_seen(flags):
    text = "`weir_decisions_totals` weir_keys weir_lease_hits_* weir_leases_* weir_grpc_load"
    assert list(unknown_metrics(text)) == ["weir_decisions_totals", "weir_leases_"]
    text = "--rules-dirs --rules-dir=a `--store-waits` `curl --x` --redis-… --rediss-…\n"
    assert list(unknown_flags(text, flags)) == ["--rules-dirs", "--store-waits", "--rediss"]
    text = "curl --no-such-a \\\n  --no-such-b\nweir serve \\\n  --no-such-c\n"
    assert list(unknown_flags(text, flags)) == ["--no-such-c"]

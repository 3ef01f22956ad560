"""The tidy rules: size, banned calls, dead files, words. Each takes (path, text) and yields
(line, message); check() runs them all."""

import ast
import os
import re

import tree

LINES_MAX = 500
TEST_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100
# A poll needs a pause and a deadline needs a clock, but a test full of them is a slow test.
TEST_CALLS_MAX = 3

CPP = (".h", ".cc")
CODE = CPP + (".py", ".proto", ".lua", ".cmake")
CLOCK_FILES = ("limiter/runtime/system_clock.cc",)
MUTEX_FILES = ("limiter/core/mutex.h",)
SETTINGS_FOLDERS = ("limiter/config/", "limiter/main.cc")


def is_test(path):
    return path.startswith(("tests/", "bench/", "docs/example/"))


def is_code(path):
    name = os.path.basename(path)
    return path.endswith(CODE) or name in ("dev", "run", "CMakeLists.txt")


def file_length(path, text):
    if not is_code(path):
        return
    limit = TEST_LINES_MAX if path.startswith("tests/") else LINES_MAX
    lines = text.count("\n")
    if lines > limit:
        yield limit + 1, f"the file has {lines} lines, at most {limit}"


def line_form(path, text):
    if not is_code(path) and not path.endswith((".md", ".yaml", ".yml", ".json", ".txt")):
        return
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "the last line has no end"
    for number, line in enumerate(text.split("\n"), 1):
        if path.endswith(CPP + (".py",)) and len(line) > COLUMNS_MAX:
            yield number, f"the line has {len(line)} columns, at most {COLUMNS_MAX}"
        if "\r" in line:
            yield number, "carriage return"
        if is_code(path) and "\t" in line:
            yield number, "tab"
        if is_code(path) and line != line.rstrip():
            yield number, "space at the end of the line"


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno


def function_length(path, text):
    if path.endswith(CPP):
        functions = tree.functions(text)
    elif path.endswith(".py"):
        functions = python_functions(text)
    else:
        return
    for name, first, last in functions:
        if last - first + 1 > FUNCTION_LINES_MAX:
            yield first, f"{name} has {last - first + 1} lines, at most {FUNCTION_LINES_MAX}"


# (what to say, pattern, files that may, allowed in tests and bench: no | few | yes)
BANNED = (
    ("sleeps",
     r"\b(?:sleep|usleep|nanosleep|clock_nanosleep|sleep_for|sleep_until|SleepFor)\s*\(",
     (), "few"),
    ("reads a clock; take the injected Clock",
     r"::now\s*\(\s*\)|\b(?:clock_gettime|gettimeofday|gpr_now|timespec_get)\s*\("
     r"|\babsl::Now\s*\(|(?<![\w.>:])(?:std::)?time\s*\(\s*(?:nullptr|NULL|0|&)",
     CLOCK_FILES, "few"),
    ("is invisible to ThreadSanitizer; use weir::Mutex",
     r"\babsl::(?:Mutex|MutexLock|CondVar|Notification|BlockingCounter)\b", (), "no"),
    ("is not annotated; use weir::Mutex",
     r"\bstd::(?:recursive_|shared_|timed_|recursive_timed_|shared_timed_)?mutex\b",
     MUTEX_FILES, "no"),
    ("is not understood by ThreadSanitizer",
     r"\bstd::atomic_(?:thread|signal)_fence\b|\bstd::atomic\s*<\s*std::shared_ptr\b", (), "no"),
    ("is not seeded or not random; take a seeded generator",
     r"(?<![\w.>:])(?:std::)?s?rand\s*\(|\bstd::random_device\b", ("limiter/main.cc",), "no"),
    ("reads the environment; settings do that", r"\b(?:secure_)?getenv\s*\(",
     SETTINGS_FOLDERS, "yes"),
    # yaml-cpp's own exception is the only way to stop its parser from inside.
    ("throws; return a Status", r"\bthrow\b(?!\s+YAML::ParserException\b)", (), "yes"),
)


def banned_calls(path, text):
    if not path.endswith(CPP):
        return
    code = tree.mask(text)
    for message, pattern, homes, in_tests in BANNED:
        if path.startswith(homes) if homes else False:
            continue
        hits = list(re.finditer(pattern, code))
        if is_test(path):
            if in_tests == "yes" or (in_tests == "few" and len(hits) <= TEST_CALLS_MAX):
                continue
        for hit in hits:
            yield tree.line_of(code, hit.start()), f"{hit.group(0).strip('( ')} {message}"


def pragma_once(path, text):
    if path.endswith(".h") and not re.search(r"^#pragma once$", text, re.MULTILINE):
        yield 1, "the header has no #pragma once"


# Split in two so that this file does not find itself.
WORDS = re.compile(
    r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
HOMES = re.compile(r"(?<![\w.$}/])/(?:home|root|work)/")
TEMPORARY = re.compile(r"(?<![\w.$}/])/(?:tmp)\b")


def words(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        hit = WORDS.search(line)
        if hit:
            yield number, f"{hit.group(0)}: do it, or write an issue"
        if HOMES.search(line):
            yield number, "a path of one machine"
        if TEMPORARY.search(line) and not is_test(path):
            yield number, "a temporary path outside tests"


RULES = (file_length, line_form, function_length, banned_calls, pragma_once, words)


def _names(relative):
    """The ways a CMakeLists may name a source: by path, or by what a test function builds on."""
    stem = relative[:-len(".cc")] if relative.endswith(".cc") else relative
    yield relative
    yield stem
    for suffix in ("_test", "_bench", "_fuzz"):
        if stem.endswith(suffix):
            yield stem[:-len(suffix)]
    folder, base = os.path.split(stem)
    if base.startswith("fuzz_"):
        yield os.path.join(folder, base[len("fuzz_"):])


def _is_named(path, cmake):
    folder = os.path.dirname(path)
    while True:
        text = cmake.get(os.path.join(folder, "CMakeLists.txt"), "")
        for name in _names(os.path.relpath(path, folder or ".")):
            if re.search(r"(?<![\w./-])" + re.escape(name) + r"(?![\w./-])", text):
                return True
        if not folder:
            return False
        folder = os.path.dirname(folder)


def dead_files(files):
    """Sources that no CMakeLists names, headers that nothing includes, protos that are not built.

    Source text that a script compiles by itself (the mutants) is named by that script instead.
    """
    cmake = {path: re.sub(r"#[^\n]*", "", text) for path, text in files.items()
             if os.path.basename(path) == "CMakeLists.txt"}
    included = {name for path, text in files.items() if path.endswith(CPP)
                for _, _, name in tree.includes(text)}
    for path in files:
        if path.endswith(".cc") and not path.startswith("tests/mutants/"):
            if not _is_named(path, cmake):
                yield f"{path}:1: no CMakeLists.txt names this file"
        elif path.endswith(".h") and path not in included:
            yield f"{path}:1: nothing includes this header"
        elif path.endswith(".proto") and path.startswith("proto/"):
            stem = path[len("proto/"):-len(".proto")]
            if stem not in cmake.get("proto/CMakeLists.txt", ""):
                yield f"{path}:1: proto/CMakeLists.txt does not name this file"


def check_file(path, text):
    return [f"{path}:{line}: {message}" for rule in RULES for line, message in rule(path, text)]


def check(files):
    """files: {path: text}. Returns every violation as "path:line: message"."""
    found = []
    for path, text in files.items():
        found += check_file(path, text)
    return found + list(dead_files(files))

#!/usr/bin/env python3
"""Keeps the tree tidy and its layers in order.

    tidy_test.py tidy | layering          judges the tree
    tidy_test.py tidy_rules | layering_rules   proves on bad samples that each rule can fail
"""

import os
import sys
import unittest

import layering
import rules
import tree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def problems(found):
    return f"{len(found)} problems:\n" + "\n".join(found)


class Tidy(unittest.TestCase):
    def test_tree(self):
        found = rules.check(dict(tree.files(ROOT)))
        if found:
            self.fail(problems(found))


class Layering(unittest.TestCase):
    def test_tree(self):
        found = layering.check(dict(tree.files(ROOT)))
        if found:
            self.fail(problems(found))


def cpp_function(lines):
    """A function of exactly this many lines, with braces where a reader of braces may slip."""
    body = ["Widget::Widget(int a, std::vector<int> b)", "    : a_{a}, b_(b), c_{1, 2} {"]
    body += ['  Log("}}}", \'}\', R"x({{{)x");  // }']
    body += ["  if (a) { Do([&] { return 1; }); }"] * (lines - 4)
    return "namespace weir {\n" + "\n".join(body + ["}"]) + "\n}  // namespace weir\n"


class TidyRules(unittest.TestCase):
    def assert_bad(self, path, text, message):
        found = rules.check_file(path, text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(message, found[0])

    def assert_good(self, path, text):
        self.assertEqual(rules.check_file(path, text), [])

    def test_files_are_short(self):
        self.assert_good("limiter/core/a.cc", "\n" * 500)
        self.assert_bad("limiter/core/a.cc", "\n" * 501, "501 lines, at most 500")
        self.assert_good("tests/core/a_test.cc", "\n" * 800)
        self.assert_bad("tests/core/a_test.cc", "\n" * 801, "801 lines, at most 800")
        self.assert_good("tests/conformance/cases.yaml", "a: b\n" * 2000)

    def test_lines_are_short(self):
        self.assert_good("algorithms/a.h", "#pragma once\n//" + "x" * 98 + "\n")
        self.assert_bad("algorithms/a.h", "#pragma once\n//" + "x" * 99 + "\n", "101 columns")

    def test_lines_are_clean(self):
        self.assert_bad("algorithms/a.cc", "int a; \n", "space at the end")
        self.assert_bad("algorithms/a.cc", "\tint a;\n", "tab")
        self.assert_bad("algorithms/a.cc", "int a;", "no end")

    def test_functions_are_short(self):
        self.assert_good("limiter/core/a.cc", cpp_function(70))
        self.assert_bad("limiter/core/a.cc", cpp_function(71), "71 lines, at most 70")
        for head in ("void F() {", "TEST(Table, HoldsKeys) {", "auto F() -> int {",
                     "struct stat F(int a) const noexcept {", "bool operator==(A a, B b) {",
                     "template <typename T = A<int>>\nstd::vector<T> A<T>::F(T t = {}) &&\n{"):
            text = head + "\n" * 71 + "}\n"
            self.assert_bad("limiter/core/a.cc", text, "at most 70")
            self.assert_bad("limiter/core/a.cc", "class A {\n public:\n" + text + "};\n", "at most")
        self.assert_bad("bench/run.py", "def f():\n" + "    f()\n" * 70, "71 lines")

    def test_long_types_and_tables_are_no_functions(self):
        for head in ("class alignas(64) Cell final : public Base<int> {", "enum class A : int {",
                     "constexpr Row kRows[] = {", "struct A {", "namespace weir {",
                     "const std::map<int, F> kTable = {", 'extern "C" {'):
            self.assert_good("limiter/core/a.cc", head + "\n  // {\n" * 50 + "};\n")

    def test_the_function_reader_finds_all_functions_in_order(self):
        text = ("int A() { return 1; }\nclass B {\n public:\n  B() : x_{1} {}\n"
                "  int C() const { return x_; }\n private:\n  int x_{2};\n};\n"
                "#define D(x) {{{ x\nvoid E() {\n  auto f = [](int) { ; };\n}\n")
        names = [(name, last - first + 1) for name, first, last in tree.functions(text)]
        self.assertEqual(names, [("A", 1), ("B", 1), ("C", 1), ("E", 3)])

    def test_banned_calls(self):
        for call in ("usleep(1)", "::sleep(1)", "std::this_thread::sleep_for(d)",
                     "std::chrono::steady_clock::now()", "Clock::now()", "time(nullptr)",
                     "clock_gettime(CLOCK_BOOTTIME, &t)", "absl::Now()", "absl::Mutex mutex",
                     "absl::MutexLock lock(&m)", "std::mutex mutex", "std::shared_mutex mutex",
                     "rand()", "std::srand(1)", "std::random_device d", 'getenv("A")',
                     "throw Error()", "std::atomic<std::shared_ptr<int>> p",
                     "std::atomic_thread_fence(std::memory_order_acquire)"):
            with self.subTest(call):
                found = rules.check_file("limiter/core/a.cc", f"void F() {{ {call}; }}\n")
                self.assertEqual(len(found), 1, found)
        for call in ("// usleep(1), std::mutex\n", 'Log("rand()");\n', "clock.MonoNow();\n",
                     "int operand(int);\n", "deadline.sleepless(1);\n", "runtime(&a);\n",
                     'throw YAML::ParserException(m, "");\n'):
            self.assert_good("limiter/core/a.cc", call)

    def test_each_banned_call_has_its_one_home(self):
        self.assert_good("limiter/runtime/system_clock.cc", "int a = clock_gettime(1, &t);\n")
        self.assert_bad("limiter/runtime/watch.cc", "int a = clock_gettime(1, &t);\n", "clock")
        self.assert_good("limiter/core/mutex.h", "#pragma once\nstd::mutex mutex_;\n")
        self.assert_good("limiter/config/environment.cc", 'auto a = std::getenv("A");\n')

    def test_tests_may_pause_a_little(self):
        self.assert_good("tests/core/a_test.cc", "usleep(1);\n" * 3)
        self.assertEqual(len(rules.check_file("tests/core/a_test.cc", "usleep(1);\n" * 4)), 4)
        self.assert_bad("tests/core/a_test.cc", "std::mutex m;\n", "weir::Mutex")

    def test_headers_have_a_guard(self):
        self.assert_bad("limiter/core/a.h", "int a;\n", "#pragma once")

    def test_words_and_paths(self):
        for word in ("TO" + "DO", "FIX" + "ME", "X" + "XX"):
            self.assert_bad("README.md", f"{word} later\n", word)
        self.assert_good("tests/a.py", 'name = "weir-' + "X" * 6 + '"\n')
        for folder in ("home", "root", "work"):
            self.assert_bad("README.md", f"cd /{folder}/me\n", "path of one machine")
        self.assert_bad("limiter/core/a.cc", "// /" + "tmp/weir.sock\n", "temporary path")
        self.assert_good("tests/core/a_test.cc", "// /" + "tmp/weir.sock\n")
        self.assert_good("README.md", "docs/work/a and https://example.org/home/a\n")

    def test_dead_files(self):
        cmake = "weir_library(core\n  SOURCES a.cc)  # not b.cc\n"
        files = {"limiter/core/CMakeLists.txt": cmake, "limiter/core/a.cc": "",
                 "limiter/core/b.cc": '#include "limiter/core/c.h"\n', "limiter/core/c.h": "",
                 "limiter/core/d.h": "", "proto/weir/v1/e.proto": ""}
        found = [line.split(":")[0] for line in rules.dead_files(files)]
        self.assertEqual(found, ["limiter/core/b.cc", "limiter/core/d.h", "proto/weir/v1/e.proto"])
        named = {"tests/CMakeLists.txt": "weir_test(core/engine)\nx(algorithms/a_test.cc)\n",
                 "tests/core/engine_test.cc": "", "tests/algorithms/a_test.cc": ""}
        self.assertEqual(list(rules.dead_files(named)), [])


class LayeringRules(unittest.TestCase):
    def verdict(self, path, line):
        files = {name: "" for name in (
            "algorithms/limit.h", "limiter/core/key.h", "limiter/store/memory.h",
            "limiter/config/rules.h", "limiter/rpc/handlers.h", "limiter/grpc/server.h",
            "limiter/metrics/series.h", "limiter/runtime/system_clock.h", "tests/support/clock.h",
            "limiter/store/local.h", "limiter/main.h")}
        files[path] = f"#include {line}\n"
        return layering.check(files)

    def assert_bad(self, path, line):
        with self.subTest(f"{path}: {line}"):
            self.assertEqual(len(self.verdict(path, line)), 1)

    def assert_good(self, path, line):
        with self.subTest(f"{path}: {line}"):
            self.assertEqual(self.verdict(path, line), [])

    def test_the_order_of_the_folders(self):
        above = {"algorithms/a.cc": "limiter/core/key.h",
                 "limiter/core/a.cc": "limiter/store/memory.h",
                 "limiter/store/a.cc": "limiter/config/rules.h",
                 "limiter/config/a.cc": "limiter/rpc/handlers.h",
                 "limiter/rpc/a.cc": "limiter/config/rules.h",
                 "limiter/metrics/a.cc": "limiter/rpc/handlers.h",
                 "limiter/grpc/a.cc": "limiter/metrics/series.h",
                 "limiter/runtime/a.cc": "limiter/store/memory.h",
                 "limiter/admin/a.cc": "limiter/runtime/system_clock.h",
                 "limiter/tools/a.cc": "tests/support/clock.h",
                 "tests/a_test.cc": "limiter/main.h"}
        for path, included in above.items():
            self.assert_bad(path, f'"{included}"')
        below = {"algorithms/a.cc": "algorithms/limit.h", "limiter/core/a.cc": "algorithms/limit.h",
                 "limiter/store/a.cc": "limiter/core/key.h",
                 "limiter/rpc/a.cc": "limiter/store/memory.h",
                 "limiter/grpc/a.cc": "limiter/rpc/handlers.h",
                 "limiter/admin/a.cc": "limiter/config/rules.h",
                 "limiter/main.cc": "limiter/runtime/system_clock.h",
                 "tests/a_test.cc": "limiter/grpc/server.h", "bench/a.cc": "tests/support/clock.h"}
        for path, included in below.items():
            self.assert_good(path, f'"{included}"')

    def test_each_library_has_its_home(self):
        libraries = {
            "yaml-cpp/yaml.h": ("config", "rpc"), "prometheus/registry.h": ("metrics", "core"),
            "google/protobuf/message.h": ("rpc", "config"), "grpcpp/grpcpp.h": ("grpc", "admin"),
            "weir/v1/limiter.pb.h": ("rpc", "core"), "event2/event.h": ("admin", "runtime"),
            "hiredis/hiredis.h": ("store/redis", "store"), "nghttp2/nghttp2.h": ("edge", "grpc"),
            "CLI/CLI.hpp": ("tools", "config"), "spdlog/spdlog.h": ("store", "core"),
            "nlohmann/json.hpp": ("admin", "core"), "openssl/ssl.h": ("edge", "admin"),
        }
        for included, (home, stranger) in libraries.items():
            self.assert_good(f"limiter/{home}/a.cc", f"<{included}>")
            self.assert_bad(f"limiter/{stranger}/a.cc", f"<{included}>")
            self.assert_bad(f"limiter/{stranger}/a.cc", f'"{included}"')
            self.assert_good("tests/a_test.cc", f"<{included}>")
        self.assert_bad("algorithms/a.cc", '"absl/status/status.h"')

    def test_algorithms_are_pure_and_core_is_quiet(self):
        for header in ("thread", "mutex", "chrono", "atomic", "cstdio", "unistd.h", "boost/a.hpp"):
            self.assert_bad("algorithms/a.cc", f"<{header}>")
        for header in ("cstdint", "algorithm", "stdint.h", "span"):
            self.assert_good("algorithms/a.cc", f"<{header}>")
        for header in ("thread", "sys/socket.h", "fstream"):
            self.assert_bad("limiter/core/a.cc", f"<{header}>")
        self.assert_good("limiter/core/a.cc", "<atomic>")

    def test_paths_start_at_the_top(self):
        self.assert_bad("limiter/store/memory.cc", '"local.h"')
        self.assert_bad("limiter/store/memory.cc", "<limiter/store/memory.h>")
        self.assert_bad("limiter/store/memory.cc", '"limiter/store/missing.h"')

    def test_link_lists_follow_the_same_order(self):
        bad = {"limiter/core/CMakeLists.txt": "weir_library(core LINK weir::store)\n"}
        self.assertEqual(len(layering.check(bad)), 1)
        good = {"limiter/store/CMakeLists.txt": "weir_library(store LINK weir::core) # weir::rpc\n"}
        self.assertEqual(layering.check(good), [])


SUITES = {"tidy": Tidy, "layering": Layering,
          "tidy_rules": TidyRules, "layering_rules": LayeringRules}


def main(names):
    loader = unittest.defaultTestLoader
    suite = unittest.TestSuite(
        loader.loadTestsFromTestCase(SUITES[name]) for name in names or SUITES)
    return 0 if unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""The last line of ./dev test and of .ci/run is what people believe, so it is tested here.

Each test runs the real scripts in a throw-away checkout where the slow tools (cmake, ctest,
pytest, apt-get) are stand-ins that write the result the test asks for.
"""

import os
import shutil
import stat
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

SUITES = ("package", "conformance", "e2e", "docs", "integration", "dashboards", "page",
          "chart")
# Of ctest, the mutants, the alerts, and each suite; two of those run on both stores.
PASSED = 3 + 2 + 2 + 10 * (len(SUITES) + 2)

CTEST = """#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" = --output-junit ] && cp ctest.xml "$2"; shift; done
exit $(cat ctest.status)
"""
PYTEST = """#!/bin/sh
suite=$3
while [ $# -gt 1 ]; do [ "$1" = --junitxml ] && cp $suite/junit.xml "$2"; shift; done
exit $(cat $suite/status)
"""
DPKG_QUERY = """#!/bin/sh
for name in "$@"; do
  case $name in -*|*{*) ;; ninja-build) [ -e no-ninja ] || echo installed $name ;;
  *) echo installed $name ;; esac
done
"""


def junit(passed=0, failed=0, skipped=0):
    cases = ['<testcase name="p"/>'] * passed
    cases += ['<testcase name="f"><failure message="m">t</failure></testcase>'] * failed
    cases += ['<testcase name="s"><skipped message="no envoy"/></testcase>'] * skipped
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"


class Checkout:
    """A folder with the real scripts and stand-ins for everything they call."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("dev", ".ci"):
            copy = shutil.copytree if name == ".ci" else shutil.copy2
            copy(os.path.join(ROOT, name), os.path.join(folder, name))
        self.write("CMakePresets.json", "{}")
        self.program("bin/cmake", "#!/bin/sh\nmkdir -p build/release build/asan build/tsan\n")
        self.program("bin/ctest", CTEST)
        self.program("bin/dpkg-query", DPKG_QUERY)
        self.program("bin/apt-get", '#!/bin/sh\necho "apt-get $*" >>apt.log\n')
        self.program(".venv/bin/python", PYTEST)
        for venv, name in ((".venv", "python"), (".venv-envoy", "envoy"),
                           (".venv-valkey", "valkey"), (".venv-redis62", "redis62"),
                           (".venv-kubernetes", "kubernetes"), (".venv-node", "node")):
            self.stamp(venv, f".ci/{name}-requirements.txt")
        self.stamp_npm()
        self.ctest(junit(passed=3))
        self.mutants("2 passed, 0 failed")
        self.write("helm/files/alerts.yaml", "")
        self.write("tests/alerts/some.yaml", "")
        self.program("bin/promtool", "#!/bin/sh\nexit 0\n")
        for suite in SUITES:
            self.pytest(suite, junit(passed=10))

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def program(self, name, text):
        path = self.write(name, text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def stamp(self, venv, requirements):
        made = subprocess.run(
            ["bash", "-c",
             f"{{ cat {requirements}; /usr/bin/python3 --version; pwd; }} | sha256sum"],
            cwd=self.folder, capture_output=True, text=True, check=True)
        self.write(f"{venv}/.stamp", made.stdout)

    def stamp_npm(self):
        made = subprocess.run(
            ["bash", "-c", "cat .ci/npm/package.json .ci/npm/package-lock.json | sha256sum"],
            cwd=self.folder, capture_output=True, text=True, check=True)
        self.write(".venv-node/.npm-stamp", made.stdout)

    def ctest(self, xml, status=0):
        self.write("ctest.xml", xml)
        self.write("ctest.status", str(status))

    def pytest(self, suite, xml, status=0):
        self.write(f"tests/{suite}/junit.xml", xml)
        self.write(f"tests/{suite}/status", str(status))

    def mutants(self, line, status=0):
        self.write("tests/mutants/run.py", f"import sys\nprint({line!r})\nsys.exit({status})\n")

    def run(self, *command, ci=False):
        """Returns (exit code, whole output, last line)."""
        environment = {**os.environ, "PATH": os.path.join(self.folder, "bin") + ":/usr/bin:/bin"}
        environment.pop("CI", None)
        if ci:
            environment["CI"] = "true"
        done = subprocess.run(
            command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout, done.stdout.rstrip("\n").split("\n")[-1]


class Dev(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="weir-dev-")
        self.addCleanup(folder.cleanup)
        # ./dev stamps its environments with the folder as pwd prints it.
        self.checkout = Checkout(os.path.realpath(folder.name))

    def assert_test(self, last_line, code, ci=False):
        got, output, last = self.checkout.run("./dev", "test", ci=ci)
        self.assertEqual((last, got), (last_line, code), output)
        return output

    def test_all_suites_are_added_up(self):
        self.assert_test(f"{PASSED} passed, 0 failed", 0)
        self.assert_test(f"{PASSED} passed, 0 failed", 0, ci=True)

    def test_one_failure_anywhere_fails_the_run(self):
        self.checkout.pytest("e2e", junit(passed=9, failed=1), status=1)
        # The suite runs on both stores.
        output = self.assert_test(f"{PASSED - 2} passed, 2 failed", 1)
        self.assertIn("failed: f: m", output)

    def test_a_survived_mutant_fails_the_run(self):
        self.checkout.mutants("1 passed, 1 failed", status=1)
        self.assert_test(f"{PASSED - 1} passed, 1 failed", 1)

    def test_an_alert_that_does_not_fire_fails_the_run(self):
        self.checkout.program("bin/promtool", "#!/bin/sh\n[ $1 = check ]\n")
        self.assert_test(f"{PASSED - 1} passed, 1 failed", 1)

    def test_a_suite_that_dies_is_a_failure(self):
        self.checkout.ctest("", status=8)
        self.assert_test(f"{PASSED - 3} passed, 1 failed", 1)
        self.checkout.ctest(junit(passed=3), status=124)
        self.assert_test(f"{PASSED} passed, 1 failed", 1)
        self.checkout.ctest(junit(), status=0)
        self.assert_test(f"{PASSED - 3} passed, 1 failed", 1)
        self.checkout.ctest(junit(passed=3))
        self.checkout.program("bin/cmake", "#!/bin/sh\nmkdir -p build/release\n[ $1 != --build ]\n")
        self.assert_test("0 passed, 1 failed", 1)
        self.checkout.program("bin/cmake", "#!/bin/sh\nmkdir -p build/release\n")
        self.checkout.mutants("Traceback", status=1)
        self.assert_test(f"{PASSED - 2} passed, 1 failed", 1)

    def test_a_skip_is_named_and_fails_in_ci(self):
        self.checkout.pytest("e2e", junit(passed=9, skipped=1))
        output = self.assert_test(f"{PASSED - 2} passed, 0 failed, 2 skipped", 0)
        self.assertIn("skipped: s: no envoy", output)
        self.assert_test(f"{PASSED - 2} passed, 2 failed", 1, ci=True)

    def test_a_missing_suite_is_visible_and_fails_in_ci(self):
        shutil.rmtree(os.path.join(self.checkout.folder, "tests/e2e"))
        output = self.assert_test(f"{PASSED - 20} passed, 0 failed", 0)
        self.assertIn("suite e2e:release: MISSING", output)
        self.assert_test(f"{PASSED - 20} passed, 2 failed", 1, ci=True)

    def test_a_sanitizer_report_of_any_process_fails_the_run(self):
        self.checkout.pytest("conformance", junit(passed=10))
        self.assertEqual(self.checkout.run("./dev", "asan")[2], "24 passed, 0 failed")
        report = "echo race >build/asan/reports/asan.7\nsuite="
        self.checkout.program(".venv/bin/python", PYTEST.replace("suite=", report))
        code, output, last = self.checkout.run("./dev", "asan")
        self.assertEqual((last, code), ("23 passed, 1 failed", 1), output)

    def test_missing_packages_are_installed_by_name(self):
        self.checkout.run("./dev", "build")
        self.assertFalse(os.path.exists(os.path.join(self.checkout.folder, "apt.log")))
        self.checkout.write("no-ninja", "")
        self.checkout.program("bin/sudo", '#!/bin/sh\nexec "$@"\n')
        self.checkout.run("./dev", "build")
        with open(os.path.join(self.checkout.folder, "apt.log"), encoding="utf-8") as file:
            calls = file.read().splitlines()
        self.assertEqual(calls, ["apt-get update -q",
                                 "apt-get install -y -q --no-install-recommends ninja-build"])

    def test_help_names_every_command(self):
        code, output, _ = self.checkout.run("./dev", "help")
        self.assertEqual(code, 0)
        for name in ("setup run build package image test test-chart pictures bench e2e docs-go "
                     "soak asan tsan fuzz fmt mixin lint clean help").split():
            self.assertRegex(output, rf"(?m)^  {name} ")
        code, output, _ = self.checkout.run("./dev", "tset")
        self.assertEqual(code, 1)
        self.assertIn("unknown command: tset", output)


class Ci(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="weir-ci-")
        self.addCleanup(folder.cleanup)
        self.checkout = Checkout(os.path.realpath(folder.name))

    def run_with(self, case):
        self.checkout.program(
            "dev", f"#!/bin/sh\n[ $CI = true ] || exit 9\ncase $1 in {case} esac\n")
        return self.checkout.run("bash", ".ci/run")

    def test_steps_are_added_up(self):
        code, output, last = self.run_with('*) echo "3 passed, 0 failed" ;;')
        self.assertEqual((last, code), ("15 passed, 0 failed", 0), output)

    def test_a_failed_step_does_not_stop_the_others(self):
        code, output, last = self.run_with(
            'test) echo "3 passed, 2 failed"; exit 1 ;; *) echo "3 passed, 0 failed" ;;')
        self.assertEqual((last, code), ("15 passed, 2 failed", 1), output)

    def test_a_step_without_its_line_is_a_failure(self):
        code, _, last = self.run_with('asan) echo broken ;; *) echo "3 passed, 0 failed" ;;')
        self.assertEqual((last, code), ("12 passed, 1 failed", 1))
        code, _, last = self.run_with(
            'tsan) echo "3 passed, 0 failed"; exit 1 ;; *) echo "3 passed, 0 failed" ;;')
        self.assertEqual((last, code), ("15 passed, 1 failed", 1))


if __name__ == "__main__":
    unittest.main()

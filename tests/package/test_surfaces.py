"""The manual page, the completions and `weir version`, as the package has them."""

import gzip
import json
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import time

import pytest

from conftest import run

# Loads the completions of FILE, completes WORDS and prints one candidate a line.
BASH = """
compopt() { :; }  # it may be called by a completion only
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMPREPLY=()
_weir
printf '%s\\n' "${COMPREPLY[@]}"
"""


def settings(tree):
    """Every setting's name and, where its values are listed, those."""
    text = run(tree / "usr/bin/weir", "serve", "--help").stdout
    found = re.findall(r"^  --([a-z-]+)\n(?:      .*\n)*?      value: (.*)$", text, re.M)
    assert len(found) > 80
    return found


def commands(tree):
    text = run(tree / "usr/bin/weir", "help").stdout
    return re.findall(r"^  weir \[?([a-z]+)", text, re.M)


@pytest.fixture(scope="module")
def manual(tree):
    """The page as a terminal of 100 columns shows it, without hyphenation."""
    if shutil.which("man") is None:
        pytest.skip("showing the manual needs man-db")
    page = tree / "usr/share/man/man1/weir.1.gz"
    done = run("man", "--warnings", "-E", "UTF-8", "-l", "--nh", "--nj", page,
               env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "100",
                    "MAN_KEEP_FORMATTING": "", "TERM": "dumb", "PAGER": "cat"})
    assert done.stderr == ""
    return done.stdout


def test_the_manual_has_every_command_setting_and_option(manual, tree):
    for name in commands(tree):
        assert re.search(rf"^   weir {name}\b", manual, re.M), name
        text = run(tree / "usr/bin/weir", "help", name).stdout
        for option in re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.M):
            shown = re.search(rf"^ +(?:-\w, )?{option}\b", manual, re.M)
            assert option == "--help" or shown, option
    for name, form in settings(tree):
        assert re.search(rf"^       --{name}$", manual, re.M), name
        flat = " ".join(manual.split())
        assert f"Value: {form}." in flat.replace("...", "…"), name


def test_the_manual_is_that_of_the_program(tree):
    page = gzip.decompress((tree / "usr/share/man/man1/weir.1.gz").read_bytes())
    assert page.decode() == run(tree / "usr/bin/weir", "man").stdout


def complete(tree, *words):
    script = tree / "usr/share/bash-completion/completions/weir"
    done = run("bash", "-c", BASH, "bash", script, *words)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_and_their_options(tree):
    assert complete(tree, "weir", "") == commands(tree)
    assert complete(tree, "weir", "val") == ["validate"]
    assert complete(tree, "weir", "--grpc-max-connection-age-g") == [
        "--grpc-max-connection-age-grace="]
    assert complete(tree, "weir", "completion", "") == ["bash", "zsh"]
    assert complete(tree, "weir", "help", "ex") == ["explain"]
    assert complete(tree, "weir", "version", "--j") == ["--json"]
    assert complete(tree, "weir", "check", "--rules") == []  # explain has it
    for name in commands(tree):
        text = run(tree / "usr/bin/weir", "help", name).stdout
        shown = set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.M))
        offered = {option.rstrip("=") for option in complete(tree, "weir", name, "-")}
        assert offered == shown | {"--help"}, name


def test_bash_completes_values(tree):
    for name, form in settings(tree):
        values = complete(tree, "weir", "serve", f"--{name}", "=", "")
        assert complete(tree, "weir", "serve", f"--{name}", "") == values
        listed = [word for part in form.split(" or ") for word in part.split(", ")]
        assert values == (listed if values else []), name
        if form == "true or false":
            assert values == ["true", "false"], name
    assert complete(tree, "weir", "--log-format", "=", "j") == ["json"]
    assert complete(tree, "weir", "validate", "--format", "g") == ["github"]
    assert complete(tree, "weir", "validate", "--format", "=") == ["text", "json", "github"]


class Zsh:
    """An interactive zsh with the package's completions and nothing else."""

    def __init__(self, tree, folder):
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            ["zsh", "-f", "-i"], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
            cwd=folder, start_new_session=True,
            env={"PATH": f"{tree}/usr/bin:/usr/bin:/bin", "TERM": "dumb", "HOME": str(folder),
                 "LC_ALL": "C.UTF-8", "PS1": "> "})
        os.close(slave)
        functions = shlex.quote(str(tree / "usr/share/zsh/vendor-completions"))
        self.send(f"unsetopt zle_bracketed_paste; fpath=({functions} $fpath); "
                  "autoload -U compinit; compinit -u -d ./dump; print -r rea''dy\n", "ready")

    def send(self, text, awaited, limit_s=30):
        """Types, and returns what is shown until the awaited text is."""
        os.write(self._master, text.encode())
        shown, deadline = "", time.monotonic() + limit_s
        while awaited not in shown:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._master], [], [], left)[0]:
                raise AssertionError(f"zsh did not show {awaited!r}: {shown!r}")
            shown += os.read(self._master, 65536).decode(errors="replace")
        return shown

    def close(self):
        os.close(self._master)
        self._process.wait(30)


@pytest.fixture
def zsh(tree, tmp_path):
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    shell = Zsh(tree, tmp_path)
    yield shell
    shell.close()


def test_zsh_completes(zsh):
    kill = "\x15"
    zsh.send("weir val\t", "validate")
    zsh.send(f"{kill}weir --grpc-max-connection-age-g\t", "grace=")
    zsh.send(f"{kill}weir validate --form\tg\t", "github")
    zsh.send(f"{kill}weir completion b\t", "bash")
    zsh.send(f"{kill}weir serve --log-format=j\t", "json")
    shown = zsh.send(f"{kill}weir check --\t\t", "--server")
    assert "--rules" not in shown


def test_the_version_names_all_libraries(tree):
    version = json.loads(run(tree / "usr/bin/weir", "version", "--json").stdout)
    assert set(version) == {
        "version", "revision", "build_type", "compiler", "grpc", "protobuf", "abseil", "openssl",
        "hiredis", "libevent", "yaml_cpp", "prometheus_cpp", "spdlog"}
    assert all(re.search(r"\d", version[name])
               for name in set(version) - {"revision", "build_type"}), version
    assert version["build_type"] == "Release"
    plain = run(tree / "usr/bin/weir", "version").stdout
    assert plain.startswith(f"weir {version['version']} ({version['revision']}), grpc ")

"""Each file of config_errors/ is refused by `weir validate`, with the texts it names.

A fixture ends with lines `# expect: TEXT` (all lines of standard output, in order; `{file}` is its
name), or `# expect-prefix: TEXT` where the tail is the parser's own. `# arguments: …` adds some.
A folder stands for files that are wrong together; its expectations are in expect.txt.
"""

import pathlib
import shutil
import subprocess

import pytest

import program

FOLDER = pathlib.Path(__file__).resolve().parent / "config_errors"
FIXTURES = sorted(FOLDER.iterdir())


def read_marks(text):
    marks = {"expect": [], "expect-prefix": [], "arguments": []}
    for line in text.splitlines():
        mark, colon, rest = line.removeprefix("# ").partition(": ")
        if line.startswith("# ") and colon and mark in marks:
            marks[mark].append(rest)
    return marks


def validate(binary, path, arguments):
    return subprocess.run([binary, "validate", str(path), *arguments], check=False, text=True,
                          capture_output=True, timeout=60, env=program.environment({}))


@pytest.mark.parametrize("fixture", FIXTURES, ids=[path.name for path in FIXTURES])
def test_config_error(fixture, binary, tmp_path):
    if fixture.is_dir():
        target = tmp_path / fixture.name
        shutil.copytree(fixture, target, ignore=shutil.ignore_patterns("expect.txt"))
        marks = read_marks((fixture / "expect.txt").read_text())
    else:
        target = tmp_path / fixture.name
        shutil.copy(fixture, target)
        marks = read_marks(fixture.read_text())
    expected = [text.replace("{file}", fixture.name) for text in marks["expect"]]
    prefixes = [text.replace("{file}", fixture.name) for text in marks["expect-prefix"]]
    assert expected or prefixes, "the fixture expects nothing"
    done = validate(binary, target, [word for line in marks["arguments"] for word in line.split()])
    lines = done.stdout.splitlines()
    if prefixes:
        assert len(lines) == len(prefixes), lines
        for line, prefix in zip(lines, prefixes):
            assert line.startswith(prefix)
    else:
        assert lines == expected
    assert done.stderr == ""
    assert done.returncode == 1


def test_first_line_without_remedy_is_the_reference_text(binary, tmp_path):
    """The form a migrating user greps for: `<file>: <text>`, then a position."""
    path = tmp_path / "basic.yaml"
    path.write_text("domain: d\ndescriptors:\n  - key: a\n  - key: a\n")
    first = validate(binary, path, []).stdout.splitlines()[0]
    assert first.startswith("basic.yaml: duplicate descriptor composite key 'd.a'")

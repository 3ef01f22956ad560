"""docs/threat-model.md claims only what a test holds, and that test exists."""

import re

import pytest

import pages

PAGE = pages.REPOSITORY / "docs" / "threat-model.md"
TESTS = pages.REPOSITORY / "tests"


def held_by():
    """What the last columns of the tables under "held by" say."""
    found, inside = [], False
    for line in PAGE.read_text().splitlines():
        if not line.startswith("|"):
            inside = False
        elif "held by" in line:
            inside = True
        elif inside and not line.startswith("| ---"):
            found.append(line.rstrip("| ").rsplit(" | ", 1)[1])
    return found


def text_of(*patterns):
    return "".join(path.read_text() for pattern in patterns for path in TESTS.rglob(pattern))


def missing(cell):
    """The names of this cell that are nowhere in the tests."""
    for name in re.findall(r"`([^`]+)`", cell):
        if name.startswith("tests/"):
            exists = (pages.REPOSITORY / name).exists()
        elif name.endswith(".py"):
            exists = any(TESTS.rglob(name))
        elif name.startswith("test_"):
            exists = f"def {name}(" in text_of("test_*.py")
        elif "." in name:
            test = name.replace(".", ", ")
            exists = re.search(rf"\b(?:TYPED_)?TEST(?:_F|_P)?\({test}\)", text_of("*_test.cc"))
        else:  # a fuzz target
            exists = (TESTS / "fuzz" / f"{name}_fuzz.cc").exists()
        if not exists:
            yield name
    for name in re.findall(r'"([^"]+)"', cell):
        if f"- name: {name}\n" not in text_of("cases/*.yaml"):
            yield name


@pytest.mark.parametrize("cell", held_by())
def test_what_holds_it_exists(cell):
    assert re.search(r"`[^`]+`|\"[^\"]+\"|\]\(", cell), "names no test and no page"
    assert not list(missing(cell))


def test_what_is_missing_would_be_seen():
    assert len(held_by()) > 20
    names = "`Key.NoSuch`, `test_no_such_thing`, `no_such.py`, `tests/no`, `nothing`"
    assert len(list(missing(names + ', "no such case"'))) == 6

"""docs/migration.md puts each variable of envoyproxy/ratelimit where docs/settings.md puts it."""

import re

import pages

SETTINGS = pages.REPOSITORY / "docs" / "settings.md"
PAGE = pages.REPOSITORY / "docs" / "migration.md"
_NAME = re.compile(r"`([A-Z][A-Z0-9_]+\*?)[`=]")


def part(text, begin, end):
    """What stands between these two, each of which must be there."""
    assert text.count(begin) == 1, begin
    rest = text.split(begin)[1]
    assert end in rest, end
    return rest.split(end)[0]


def documented():
    """{variable: the classes that settings.md gives it}."""
    found = {}
    table = SETTINGS.read_text().split("## Environment variables of envoyproxy/ratelimit")[1]
    for line in table.splitlines():
        if not line.startswith("| `"):
            continue
        names, meaning = line.strip("|").split("|", 1)
        classes = set()
        if "refused" in meaning:
            classes.add("refused")
        if "sets `--" in meaning:
            classes.add("works")
        if not classes:
            classes.add("ignored")
        for name in _NAME.findall(names):
            found[name] = classes
    return found


def written():
    """{variable: the classes that the page gives it}."""
    text = PAGE.read_text()
    parts = {"works": part(text, "**Works**", "**Ignored**"),
             "ignored": part(text, "**Ignored**", "**Refused.**"),
             "refused": part(text, "**Refused.**", "### Rule files")}
    found = {}
    for name, body in parts.items():
        for line in body.splitlines():
            if line.startswith("| `"):
                for variable in _NAME.findall(line.split("|")[1]):
                    found.setdefault(variable, set()).add(name)
    return found


def test_each_variable_is_in_its_class():
    expected, got = documented(), written()
    assert len(expected) > 100
    assert got == expected


def test_the_number_of_variables():
    said = int(re.search(r"understands (\d+) variables", PAGE.read_text())[1])
    assert said == len(documented())

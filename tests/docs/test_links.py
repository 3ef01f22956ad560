"""No link inside the repository leads nowhere."""

import pytest

import pages

PATHS = pages.paths()


def problems(path):
    for line, target in pages.links(path):
        name, _, anchor = target.partition("#")
        file = (pages.REPOSITORY / name[1:] if name.startswith("/") else
                path.parent / name if name else path).resolve()
        if not file.exists() or pages.REPOSITORY not in [file, *file.parents]:
            yield f"{path.name}:{line}: {target}: no such file"
        elif anchor and file.suffix == ".md" and anchor not in pages.anchors(file):
            yield f"{path.name}:{line}: {target}: no such heading"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(pages.REPOSITORY)))
def test_links_and_anchors_resolve(path):
    assert not list(problems(path))


def test_a_dead_link_would_be_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "REPOSITORY", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# A `b`, c\n## A b c\n[1](#a-b-c) [2](#a-b-c-1) [3](page.md#none)\n"
                    "[4](nothing.md) [5](https://example.org/nothing) [6](../outside.md)\n"
                    "```\n[7](nothing.md)\n```\n`[8](nothing.md)`\n")
    assert [problem.split(": ")[1] for problem in problems(page)] == [
        "page.md#none", "nothing.md", "../outside.md"]

"""The documents of the repository: their links, their headings, their blocks and how to run them.

A fenced block runs when the line before it is one of these comments; the words after `run` are
optional, in this order, and `prints` is a regular expression:

    <!-- run -->
    <!-- run alone exits 1 prints (200 ){5}429 -->

`<!-- not run: WHY -->` says why one does not. docs/envoy.md has comments of its own,
`<!-- tested: NAME -->`, for the blocks that tests/e2e puts into a running Envoy.
"""

import dataclasses
import pathlib
import re
import subprocess

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent

_FENCE = re.compile(r"^(?P<comment><!-- (?P<mark>[^\n]*) -->\n)?(?P<fence>```+)(?P<language>\w*)\n"
                    r"(?P<text>.*?)^(?P=fence)$", re.M | re.S)
_MARK = re.compile(r"run(?P<alone> alone)?(?: exits (?P<exits>\d+))?(?: prints (?P<prints>.+))?")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.M)


@dataclasses.dataclass(frozen=True)
class Block:
    path: pathlib.Path
    line: int  # of the fence
    language: str
    text: str
    mark: str  # what the comment before it says, or ""

    @property
    def id(self):
        return f"{self.path.relative_to(REPOSITORY)}:{self.line}"

    @property
    def runs(self):
        return self.mark == "run" or self.mark.startswith("run ")

    @property
    def how(self):
        """(alone, exit code, regular expression for its output or None)."""
        found = _MARK.fullmatch(self.mark)
        if not found:
            raise ValueError(f"{self.id}: not understood: <!-- {self.mark} -->")
        return bool(found["alone"]), int(found["exits"] or 0), found["prints"]


def paths():
    """Every Markdown file that belongs to the project."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return [REPOSITORY / name for name in sorted(listed.split("\0")) if name]


def blocks(path):
    text = path.read_text()
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start("fence")) + 1
        yield Block(path, line, found["language"], found["text"], found["mark"] or "")


def marked(*languages):
    """The blocks to be run in these languages."""
    return [block for path in paths() for block in blocks(path)
            if block.runs and block.language in languages]


def prose(path):
    """Its text without fenced blocks; lines keep their numbers."""
    return _FENCE.sub(lambda found: "\n" * found[0].count("\n"), path.read_text())


def links(path):
    """(line, target) of every link that does not leave the repository."""
    text = re.sub(r"`[^`\n]*`", lambda found: " " * len(found[0]), prose(path))
    for found in _LINK.finditer(text):
        if not re.match(r"[a-z][a-z0-9+.-]*:", found[1]):
            yield text.count("\n", 0, found.start()) + 1, found[1]


def anchors(path):
    """What a link into this page may name: the slugs GitHub makes of its headings, and ids."""
    seen, found = {}, set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", path.read_text()))
    for heading in _HEADING.findall(prose(path)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found

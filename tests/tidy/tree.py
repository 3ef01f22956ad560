"""Reading the source tree: which files are ours, and C++ text without its comments and strings."""

import os
import re

# Made by tools, never committed.
SKIPPED_FOLDERS = {".git", ".cache", "build", "__pycache__", ".pytest_cache"}


def files(root):
    """Yields (path relative to root, text) of every text file of the project, sorted."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders
                            if name not in SKIPPED_FOLDERS and not name.startswith(".venv"))
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                continue
            with open(path, "rb") as file:
                content = file.read()
            # Seeds of the fuzz targets and other binary data have no lines to judge.
            relative = os.path.relpath(path, root)
            if b"\0" in content or relative.startswith("tests/fuzz/corpus/"):
                continue
            try:
                yield relative, content.decode("utf-8")
            except UnicodeDecodeError:
                continue


TOKEN = re.compile(
    r'//[^\n]*'
    r'|/\*.*?\*/'
    r'|R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"'
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|(?<![0-9A-Za-z_])'(?:[^'\\\n]|\\.)+'",
    re.DOTALL)


def mask(text):
    """C++ text with comments, strings and characters blanked. Line numbers stay the same."""
    def blank(match):
        token = match.group(0)
        filler = re.sub(r"[^\n]", " ", token)
        if token[0] in "\"'R":
            return '"' + filler[1:-1] + '"'
        return filler
    return TOKEN.sub(blank, text)


def without_preprocessor(masked):
    """Masked text with directives, and the lines that continue them, blanked."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)),
                  masked, flags=re.MULTILINE)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


INITIALISER = re.compile(r"[\w>\]]\s*$")
TYPE = re.compile(
    r"^\s*(?:template\s*<.*>\s*)?(?:typedef\s+)?(?:class|struct|union|enum)\b", re.DOTALL)
SPACE = re.compile(r"^\s*(?:inline\s+)?(?:namespace\b|extern\s*\")")
AFTER_PARAMETERS = re.compile(r"\)\s*(?:(?:const|noexcept|override|final|mutable)\s*|&{1,2}\s*)*$")
BODY_FOLLOWS = re.compile(
    r"(?:[)}]|\b(?:const|noexcept|override|final|mutable|try)|&)\s*$")


def _kind(head, parent):
    """What a brace opens: space, type, function, or value (an initialiser, part of its head)."""
    if parent in ("function", "value"):
        return "value"
    if SPACE.match(head):
        return "space"
    if TYPE.match(head) and not AFTER_PARAMETERS.search(head):
        return "type"
    if head.count("(") != head.count(")"):
        return "value"  # inside an argument list
    if ")" not in head or re.search(r"(?<![=!<>])=\s*$", head):
        return "value"
    # In the list of member initialisers, name{…} is a value, and the body follows a ) or }.
    if re.search(r"\)[^;?]*[^:]:[^:]", head) and not BODY_FOLLOWS.search(head):
        return "value"
    return "function"


def functions(text):
    """Yields (name, first line, last line) of every function body outside other functions.

    A reader of braces, not a compiler: good enough to measure length. Lambdas count as lines of
    the function around them, and local classes too.
    """
    code = without_preprocessor(mask(text))
    stack = []       # kinds of the open braces
    starts = []      # offset where the head of each open function begins
    start = 0        # where the current head begins
    for match in re.finditer(r"[{};]|\b(?:public|private|protected)\s*:", code):
        token, offset = match.group(0), match.start()
        parent = stack[-1] if stack else "space"
        if token == "{":
            head = code[start:offset]
            kind = _kind(head, parent)
            stack.append(kind)
            starts.append(start)
            if kind != "value":
                start = match.end()
        elif token == "}":
            if not stack:
                continue
            kind, head_start = stack.pop(), starts.pop()
            if kind == "function":
                head = code[head_start:]
                first = head_start + len(head) - len(head.lstrip())
                name = re.match(r"[^({]*", head.lstrip()).group(0).split()
                yield (name[-1] if name else "?", line_of(code, first), line_of(code, offset))
            if kind != "value":
                start = match.end()
        elif parent in ("space", "type"):
            start = match.end()


INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def includes(text):
    """Yields (line number, quoted?, path) of every #include."""
    for match in INCLUDE.finditer(text):
        yield line_of(text, match.start()), match.group(1) == '"', match.group(2)

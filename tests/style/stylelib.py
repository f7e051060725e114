"""What the style tests share: the project's files, its functions, and TAP.

A function is what stands between braces in column 0, as .clang-format puts them; what comes before, back
to an empty line, a comment, a directive or the end of another definition, is its signature.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def sources(*suffixes, under=("src", "include", "tests")):
    """The project's files with one of these suffixes, sorted."""
    found = []
    for top in under:
        found += [p for p in (ROOT / top).rglob("*") if p.suffix in suffixes and p.is_file()]
    return sorted(found)


def short(path):
    return str(Path(path).relative_to(ROOT))


class Function:
    def __init__(self, path, start, lines):
        self.path, self.line, self.length = path, start, len(lines)
        signature = " ".join(lines[: lines.index("{")])
        self.name = (re.findall(r"(\w+)\s*\(", signature) or ["?"])[0]
        self.parameters = count_parameters(signature)

    def __str__(self):
        return f"{short(self.path)}:{self.line}: {self.name}"


def count_parameters(signature):
    """Commas at depth one between the first parentheses, plus one."""
    inside = signature[signature.find("(") + 1 :] if "(" in signature else ""
    depth, n = 1, 1
    for c in inside:
        depth += (c == "(") - (c == ")")
        n += c == "," and depth == 1
        if not depth:
            break
    return 0 if inside.startswith(("void)", ")")) else n


def functions(path):
    lines = path.read_text(errors="replace").split("\n")
    found, start = [], None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
            while start and is_signature(lines[start - 1]):
                start -= 1
        elif line == "}" and start is not None:
            found.append(Function(path, start + 1, lines[start : i + 1]))
            start = None
    return found


def is_signature(line):
    return bool(line) and not line.startswith(("}", "#", "/*", " *", "*/")) and not line.endswith((";", "*/"))


class Tap:
    """Collects results; leaves with the status that says them."""

    def __init__(self):
        self.n = self.failed = 0

    def ok(self, good, name, details=()):
        self.n += 1
        self.failed += not good
        print("ok" if good else "not ok", self.n, "-", name)
        for line in [] if good else details:
            print("#", line)

    def note(self, line):
        print("#", line)

    def skip(self, name, why):
        self.n += 1
        print("ok", self.n, "-", name, "# SKIP", why)

    def done(self):
        print(f"1..{self.n}")
        sys.exit(self.failed > 0)

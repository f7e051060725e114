#!/usr/bin/env python3
"""The budget of functions and files: reported, and the hard limits held.

A function may be longer than the limit when it is one commented table or switch and says so: its
signature's line before reads `/* Long: why. */`.
"""

import re
import statistics

from stylelib import ROOT, Tap, functions, short, sources

FUNCTION_MOST, FILE_MOST, COLUMNS_MOST = 100, 800, 100
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def lines_of(paths):
    return sum(len(p.read_text(errors="replace").splitlines()) for p in paths)


def report(tap, name, found):
    lengths = sorted(f.length for f in found)
    if not lengths:
        return
    tap.note(
        f"{name}: {len(lengths)} functions, median {statistics.median(lengths):.0f} lines,"
        f" p95 {lengths[int(len(lengths) * 0.95)]}, longest {lengths[-1]};"
        f" {sum(f.parameters > 5 for f in found)} with more than 5 parameters"
    )


def excused(function):
    before = function.path.read_text().split("\n")[: function.line - 1]
    return bool(before) and before[-1].startswith("/* Long: ")


def limits(tap, found):
    long = [f"{f}: {f.length} lines" for f in found if f.length > FUNCTION_MOST and not excused(f)]
    tap.ok(not long, f"no function has more than {FUNCTION_MOST} lines", long)
    big, wide, unfinished = [], [], []
    for path in sources(".c", ".h", ".py", ".sh"):
        lines = path.read_text(errors="replace").splitlines()
        if len(lines) > FILE_MOST:
            big.append(f"{short(path)}: {len(lines)} lines")
        for n, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MOST and path.suffix in (".c", ".h"):
                wide.append(f"{short(path)}:{n}: {len(line)} columns")
            if UNFINISHED.search(line) and path.name != "test_budget.py":
                unfinished.append(f"{short(path)}:{n}: {line.strip()}")
    tap.ok(not big, f"no file has more than {FILE_MOST} lines", big)
    tap.ok(not wide, f"no line has more than {COLUMNS_MOST} columns", wide)
    tap.ok(not unfinished, "nothing is marked as unfinished", unfinished)


def never_run():
    """The test programs that the meson.build beside them does not name."""
    for path in sorted((ROOT / "tests").glob("*/test_*.py")):
        listed = (path.parent / "meson.build").read_text()
        if path.name not in listed and f"'{path.stem.removeprefix('test_')}'" not in listed:
            yield short(path)


def main():
    tap = Tap()
    code = sources(".c", under=["src"])
    found = [f for p in code for f in functions(p)]
    report(tap, "src", found)
    tests = sources(".c", ".py", ".sh", under=["tests"])
    report(tap, "tests", [f for p in tests if p.suffix == ".c" for f in functions(p)])
    headers = sources(".h", under=["src", "include"])
    tap.note(
        f"{lines_of(code)} lines in {len(code)} files, {lines_of(headers)} in {len(headers)} headers;"
        f" tests {lines_of(tests)} lines, {lines_of(tests) / max(1, lines_of(code)):.2f} of the source"
    )
    tap.ok(bool(found), "functions were found")
    limits(tap, found)
    forgotten = list(never_run())
    tap.ok(not forgotten, "every test program is run", forgotten)
    tap.done()


main()

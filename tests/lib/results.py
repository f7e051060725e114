#!/usr/bin/env python3
"""results.py LOG STATUS: what meson's testlog.json and its exit status say, for people: the output of
the first tests that failed, the name of each of them, and last "N passed, N failed". What is neither
passed nor skipped has failed. Used by scripts/test; .ci/run looks for the line MARK."""

import json
import re
import sys

MARK = "##### what failed"
SHOWN = 4  # tests whose output is shown: with more of them it is one cause, or none that can be read
LINES = 25
WIDTH = 160
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:")


def telling(test):
    """The lines that most likely say why: a sanitizer's report from its head, else the end of the
    output, without the parts that passed."""
    output = test["stdout"] + "\n" + test.get("stderr", "")
    lines = [line[:WIDTH] for line in output.splitlines() if line and not line.startswith("ok ")]
    found = [i for i, line in enumerate(lines) if SANITIZER.search(line)]
    return lines[found[0] :][:LINES] if found else lines[-LINES:]


def main():
    tests = [json.loads(line) for line in open(sys.argv[1], errors="replace")]
    passed = sum(t["result"] in ("OK", "EXPECTEDFAIL") for t in tests)
    failed = [t for t in tests if t["result"] not in ("OK", "EXPECTEDFAIL", "SKIP")]
    for test in tests:
        if test["result"] == "SKIP":
            print("skipped:", test["name"], file=sys.stderr)
    if failed:
        print(MARK)
    for test in failed[:SHOWN]:
        print(f"--- {test['name']}: {test['result']} after {test['duration']:.0f} s")
        print(*telling(test), sep="\n")
    for test in failed:
        print("failed:", test["name"].removeprefix("onwardfs:"))
    # meson has the last word: a failure that its log does not show is one all the same.
    missing = sys.argv[2] != "0" and not failed
    print(f"{passed} passed, {len(failed) + missing} failed")


main()

#!/usr/bin/env python3
"""The manual pages know every name that a table in the source declares, and no verb that is not there.

That the paths of onwardfs.4 are there is held against a real mount, in tests/mount/test_command.py.
"""

import re

from stylelib import ROOT, Tap

# A page, and the tables that it documents: files, and how a row of theirs begins.
TABLES = [
    ("onward.1", ["src/ctl/verbs.c"], r'^\s*\.name = "(\w+)"'),
    ("onward.1", ["src/ctl/args.c"], r'^\s*\{OPTION_\w+, [^,]+, "(\w+)"'),
    ("onwardfs.8", ["src/daemon/options.c"], r'^\s*\{"-{0,2}([\w]+)", (?:NULL|"\w+"),\s+"'),
    ("onwardfs-config.5", ["src/daemon/config.c"], r'^\s*(?:\[\w+\] = )?\{"(\w+)", DECODE_'),
    (
        "onward.yaml.5",
        ["src/site/declaration.c", "src/site/draft.c", "src/site/rollout.c"],
        r'^\s*(?:\[\w+\] = )?\{"(\w+)", DECODE_',
    ),
    ("onwardfs.4", sorted((ROOT / "src/view").glob("*.c")), r'^\s*\{"([\w.]+)", S_IF'),
    ("onwardfs.4", sorted((ROOT / "src/stage").glob("control*.c")), r'^\s*\{"([\w.]+)", S_IF'),
    ("onwardfs.4", ["src/stage/proposal_node.c"], r'^\s*\{"([\w.]+)", S_IF'),
    ("onwardfs.4", ["src/site/site_status.c"], r'\[SITE_\w+\] = "([\w-]+)"'),
]


def names(files, row):
    found = []
    for path in files:
        path = ROOT / path
        found += re.findall(row, path.read_text(), re.MULTILINE) if path.exists() else []
    return found


def main():
    tap = Tap()
    for page, files, row in TABLES:
        text = (ROOT / "man" / page).read_text()
        known = set(re.findall(r"[\w.-]*\w", text)) | set(re.findall(r"\w+", text))
        rows = set(names(files, row))
        where = ", ".join(str(f).removeprefix(f"{ROOT}/") for f in files)
        tap.ok(bool(rows), f"names were found in {where}")
        missing = sorted(name for name in rows if name not in known)
        tap.ok(not missing, f"{page} knows all of them", [f"missing: {name}" for name in missing])
    readme = (ROOT / "README.md").read_text()
    example = (ROOT / "examples/backends/apply.sh").read_text()
    tap.ok(f"```sh\n{example}```" in readme, "README.md shows the example backend as it is")
    links = re.findall(r"\]\(([^)#:]+)\)", readme)
    broken = [link for link in links if not (ROOT / link).exists()]
    tap.ok(links and not broken, "README.md leads to files that are there", broken)
    verbs = set(names(*TABLES[0][1:]))
    described = set(re.findall(r"^\.It Cm (\w+)", (ROOT / "man/onward.1").read_text(), re.MULTILINE))
    tap.ok(described == verbs, "onward.1 describes the verbs that there are", sorted(described ^ verbs))
    tap.done()


main()

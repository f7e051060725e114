#!/usr/bin/env python3
"""Which folder may include what of which folder, and which folder owns which library's headers."""

import re

from stylelib import ROOT, Tap, short, sources

ALLOWED = {
    "base": "",
    "repo": "base",
    "tree": "base",
    "coord": "base",
    "trust": "base repo",
    "site": "base repo",
    "ledger": "base repo",
    "check": "base repo site",
    "view": "base repo tree site ledger trust",
    "stage": "base repo tree check trust",
    "deploy": "base repo site ledger coord trust",
    "mount": "base tree",
    "daemon": "base repo tree coord trust site ledger check view stage deploy mount",
    "ctl": "base",
}

OWNERS = {
    r"git2(\.h|/.*)": "repo",
    r"zlib\.h": "repo",
    r"libdeflate\.h": "repo",
    r"openssl/evp\.h": "repo",
    r"openssl/hmac\.h": "base",
    r"curl/.*": "base",
    r"lmdb\.h": "repo",
    r"yaml\.h": "base",
    r"jansson\.h": "base",
    r"(fuse3?/)?(fuse|cuse).*\.h": "mount",
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def objections(path, folder):
    own = set(ALLOWED[folder].split()) | {folder, "onward"}
    for n, line in enumerate(path.read_text().split("\n"), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        kind, name = found.groups()
        place = f"{short(path)}:{n}: {name}"
        if kind == '"' and "/" not in name:
            yield f"{place}: give the folder, as in \"{folder}/{name}\""
        elif kind == '"' and name.split("/")[0] not in own:
            yield f"{place}: {folder} may include only: {' '.join(sorted(own))}"
        elif kind == "<":
            for pattern, owner in OWNERS.items():
                if re.fullmatch(pattern, name) and owner != folder:
                    yield f"{place}: only {owner} includes it"


def main():
    tap = Tap()
    folders = sorted(p.name for p in (ROOT / "src").iterdir() if p.is_dir() and any(p.glob("*.[ch]")))
    for folder in folders:
        tap.ok(folder in ALLOWED, f"{folder} is in the table")
        bad = []
        for path in sources(".c", ".h", under=[f"src/{folder}"]):
            bad += objections(path, folder) if folder in ALLOWED else []
        tap.ok(not bad, f"{folder} includes what it may", bad)
    tap.done()


main()

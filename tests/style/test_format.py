#!/usr/bin/env python3
"""C files look as .clang-format says; shell scripts pass shellcheck. Each where the tool is there."""

import collections
import re
import shutil
import subprocess

from stylelib import ROOT, Tap, sources

CLANG_FORMAT = 14
SCRIPTS = ["scripts/*", ".ci/run", "examples/backends/*.sh", "examples/retail/make-repository", "tests/**/*.sh"]


def check(tap, name, command, paths):
    if not shutil.which(command[0]):
        tap.skip(name, f"{command[0]} is not installed")
        return
    run = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, cwd=ROOT)
    places = re.findall(r"^(?:In )?(\S+?)(?::| line )(\d+)", run.stderr + run.stdout, re.MULTILINE)
    files = collections.Counter(path for path, _ in places)
    tap.ok(run.returncode == 0, name, (f"{path}: {n} places" for path, n in sorted(files.items())))


def formatter(tap):
    """Versions of clang-format differ in what they want, so only the one that was used can judge."""
    if shutil.which("clang-format"):
        version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True).stdout
        if not re.search(rf"version {CLANG_FORMAT}\.", version):
            tap.skip("clang-format", f"formatted by version {CLANG_FORMAT}, this is {version.strip()}")
            return
    check(tap, "clang-format", ["clang-format", "--dry-run", "--Werror"], sources(".c", ".h"))


def is_shell(path):
    return path.is_file() and path.read_bytes()[:64].split(b"\n")[0] in (b"#!/bin/bash", b"#!/bin/sh")


def main():
    tap = Tap()
    formatter(tap)
    scripts = sorted(p for pattern in SCRIPTS for p in ROOT.glob(pattern) if is_shell(p))
    check(tap, "shellcheck", ["shellcheck", "--severity=warning"], scripts)
    tap.done()


main()

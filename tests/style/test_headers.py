#!/usr/bin/env python3
"""Each header compiles alone, is guarded by its own path, and the banned functions are out of reach.

test_headers.py COMPILER…: the words that start the C compiler.
"""

import subprocess
import sys

from stylelib import ROOT, Tap, short, sources

BANNED = {
    "strcpy(b, s)": "strcpy",
    "strcat(b, s)": "strcat",
    "sprintf(b, \"%s\", s)": "sprintf",
    "strtok(b, s)": "strtok",
    "atoi(s)": "atoi",
    "gmtime(&t)": "gmtime",
    "localtime(&t)": "localtime",
    "ctime(&t)": "ctime",
    "basename(b)": "basename",
}


def flags():
    libraries = ["fuse3", "libgit2", "yaml-0.1", "jansson"]
    found = subprocess.run(["pkg-config", "--cflags", *libraries], check=True, capture_output=True, text=True)
    return [
        "-std=gnu17", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-Wall", "-Werror",
        "-Wno-unused-function", f"-I{ROOT}/src", f"-I{ROOT}/include", *found.stdout.split(),
    ]  # fmt: skip


def compiles(compiler, arguments, text):
    command = [*compiler, *flags(), *arguments, "-fsyntax-only", "-x", "c", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True)


def header(tap, compiler, path):
    name = short(path).removeprefix("src/").removeprefix("include/")
    run = compiles(compiler, [], f'#include "{name}"\n#include "{name}"\n')
    tap.ok(run.returncode == 0, f"{short(path)} compiles alone, twice", run.stderr.split("\n"))
    guard = "ONWARD_" + name.removeprefix("onward/").replace("/", "_").replace(".", "_").upper()
    tap.ok(f"#ifndef {guard}\n#define {guard}\n" in path.read_text(), f"{short(path)} is guarded by {guard}")


def banned(tap, compiler):
    force = ["-include", f"{ROOT}/src/base/banned.h"]
    frame = "void f(char *b, const char *s, time_t t); void f(char *b, const char *s, time_t t) {{ (void)({}); }}\n"
    run = compiles(compiler, force, frame.format("strlen(s)"))
    tap.ok(run.returncode == 0, "what is not banned compiles", run.stderr.split("\n"))
    for call, name in BANNED.items():
        tap.ok(compiles(compiler, force, frame.format(call)).returncode != 0, f"{name}() does not compile")


def main():
    tap = Tap()
    compiler = sys.argv[1:] or ["cc"]
    for path in sources(".h", under=["src", "include"]):
        header(tap, compiler, path)
    banned(tap, compiler)
    tap.done()


main()

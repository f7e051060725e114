#!/usr/bin/env python3
"""usage: sandbox.py UNIT COMMAND…: runs a command with what a systemd unit takes away, as far as that can be done without
systemd: capabilities, gaining privileges, system calls."""

import ctypes
import os
import re
import struct
import subprocess
import sys

LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO, EPERM = 0x7fff0000, 0x00050000, 1
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
HEADERS = ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/aarch64-linux-gnu/asm/unistd.h",
           "/usr/include/asm-generic/unistd.h", "/usr/include/asm/unistd_64.h"]


def settings(unit, key):
    with open(unit) as f:
        return [line.split("=", 1)[1].split() for line in f if line.startswith(key + "=")]


def group(name):
    """The system calls of `@name`, as systemd has them."""
    if not name.startswith("@"):
        return {name}
    out = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    words = [w for line in out.splitlines()[1:] for w in line.split("#")[0].split()]
    return set().union(*map(group, words)) if words else set()


def system_calls(unit):
    """Those that it leaves."""
    left = group("@default")
    for words in settings(unit, "SystemCallFilter"):
        names = set().union(*(group(w.lstrip("~")) for w in words))
        left = left - names if words[0].startswith("~") else left | names
    return left


def numbers(names):
    known = {}
    for path in HEADERS:
        if os.path.exists(path):
            with open(path) as f:
                known.update((n, int(v)) for n, v in re.findall(r"#define __NR_(\w+)\s+(\d+)", f.read()))
            break
    return sorted(known[n] for n in names if n in known)


def filter_calls(allowed):
    code = struct.pack("HBBI", LOAD, 0, 0, 0)
    for n in allowed:
        code += struct.pack("HBBI", JUMP_IF_EQUAL, 0, 1, n) + struct.pack("HBBI", RETURN, 0, 0, ALLOW)
    code += struct.pack("HBBI", RETURN, 0, 0, ERRNO | EPERM)
    text = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot filter system calls")


def main():
    unit, command = sys.argv[1], sys.argv[2:]
    keep = [c.removeprefix("CAP_").lower() for words in settings(unit, "CapabilityBoundingSet") for c in words]
    caps = ",".join(["-all"] + ["+" + c for c in keep])
    if command[0] != "--inside":
        os.execvp("setpriv", ["setpriv", "--bounding-set=" + caps, "--inh-caps=-all", sys.executable, __file__, unit,
                              "--inside", *command])
    filter_calls(numbers(system_calls(unit)))
    os.execvp(command[1], command[1:])


if __name__ == "__main__":
    main()

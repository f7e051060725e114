#!/usr/bin/env python3
"""What a large tree and many workspaces cost: restart.py [FILES [WORKSPACES [CHANGES]]]

Opens a workspace on a tree of FILES files (150000) and commits one of them; then mounts again with
WORKSPACES workspaces (64) of CHANGES changed files each (10000), made directly in the state
directory. Needs an inode for each change in TMPDIR."""

import glob
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from onwardtest import Mount, git, run, write


def make_large_repo(path, files):
    """A repository of one commit with so many small files, 100 in a directory."""
    run("git", "init", "-q", "--bare", "-b", "main", path)
    importer = subprocess.Popen(["git", "-C", path, "fast-import", "--quiet"], stdin=subprocess.PIPE, text=True)
    out = importer.stdin
    out.write("commit refs/heads/main\ncommitter a <a@b> 1000000000 +0000\ndata 1\nm\n")
    for i in range(files):
        text = f"content of file {i}\n"
        out.write(f"M 644 inline d{i // 10000}/e{i // 100}/f{i}\ndata {len(text)}\n{text}\n")
    out.close()
    assert importer.wait() == 0
    return path


def median_ms(f, times=9):
    """Wall time of f(0), f(1) …"""
    took = []
    for i in range(times):
        start = time.monotonic()
        f(i)
        took.append(time.monotonic() - start)
    return sorted(took)[times // 2] * 1000


def cpu_ms(m):
    fields = open(f"/proc/{m.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")


def sync_one(dir, i):
    with open(f"{dir}/sync{i}", "wb") as f:
        f.write(b"x")
        f.flush()
        os.fsync(f.fileno())


def used_bytes(path):
    return sum(os.lstat(os.path.join(where, name)).st_blocks * 512
               for where, dirs, names in os.walk(path) for name in dirs + names)


def commit_one(ws, i):
    write(f"{ws}/d0/e{i}/f{i}00", f"changed {i}\n")
    with open(ws + "/.onward/commit", "wb", buffering=0) as f:
        f.write(b"one of many\n")


def fill(state, name, changes):
    """So many new files in the upper of a workspace, 100 in a directory."""
    [workspace] = glob.glob(f"{glob.escape(state)}/**/workspaces/{name}", recursive=True)
    [upper] = [n for n in os.listdir(workspace) if re.fullmatch(r"upper\.\d+", n)]
    for i in range(changes):
        if i % 100 == 0:
            os.mkdir(f"{workspace}/{upper}/new{i}")
        os.close(os.open(f"{workspace}/{upper}/new{i // 100 * 100}/f{i}", os.O_WRONLY | os.O_CREAT, 0o644))


def main(files=150000, workspaces=64, changes=10000):
    with tempfile.TemporaryDirectory(prefix="onward-bench-") as dir:
        repo = make_large_repo(dir + "/r.git", files)
        with Mount(dir, repo) as m:
            before = used_bytes(m.state)
            ms = median_ms(lambda i: os.mkdir(m / f"staging/w{i}"))
            print(f"open a workspace on {files} files: {ms:.1f} ms, "
                  f"{(used_bytes(m.state) - before) / 9 / 1024:.0f} KiB of disk")
            print(f"commit 1 file of {files}: {median_ms(lambda i: commit_one(m / f'staging/w0', i)):.1f} ms")
            print(f"one fsync of a new file beside it: {median_ms(lambda i: sync_one(dir, i)):.1f} ms")
            for i in range(9, workspaces):
                os.mkdir(m / f"staging/w{i}")
        for i in range(workspaces):
            fill(m.state, f"w{i}", changes)
        m = Mount(dir, repo)
        start = time.monotonic()
        with m:
            print(f"mount with {workspaces} workspaces of {changes} changes: "
                  f"{(time.monotonic() - start) * 1000:.0f} ms, {cpu_ms(m)} ms of CPU")
            start = time.monotonic()
            m.read("staging/w1/.onward/status")
            print(f"status of one of them: {(time.monotonic() - start) * 1000:.0f} ms")
        git(repo, "fsck", "--strict", "--connectivity-only")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

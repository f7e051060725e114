#!/usr/bin/env python3
"""Measures the main job and prints a table: medians, spread, and the ratio to a baseline of the same run.

usage: core.py [--repeat N] [REPOSITORY…]        (default: 20 times)

  mount        from the command to its return, by length of history; beside it `git rev-parse HEAD`
  commit       one changed file through staging, durable; beside it `git commit` of one file, and one fsync
  start        from the acknowledgement of a commit to the first instruction of the first backend
REPOSITORY: more repositories to mount.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, git, make_repo, read, run, until, write

SITES = 12


def ms(seconds):
    return f"{seconds * 1000:9.1f}"


def row(name, times, limit="", baseline=None):
    median = statistics.median(times)
    ratio = f"{median / statistics.median(baseline):7.1f}" if baseline else "      -"
    print(f"{name:52} {ms(median)} {ms(min(times))} {ms(max(times))} {ratio}  {limit}", flush=True)
    return median


def timed(f, *args):
    begin = time.perf_counter()
    f(*args)
    return time.perf_counter() - begin


def long_history(path, commits):
    """A bare repository with that many commits, by fast-import; site files change in turn."""
    run("git", "init", "-q", "--bare", "-b", "main", path)
    parts = []
    for i in range(commits):
        body = f"v{i}\n"
        parts.append(f"commit refs/heads/main\ncommitter A <a@example.org> {1700000000 + i} +0000\ndata 2\nc\n"
                     f"M 100644 inline sites/s{i % SITES:02}/conf\ndata {len(body)}\n{body}\n")
    run("git", "-C", path, "fast-import", "--quiet", stdin="".join(parts))
    return path


def mount_times(repo, dir, repeat):
    mnt, times = dir + "/mnt", []
    os.makedirs(mnt, exist_ok=True)
    for i in range(repeat):
        times.append(timed(run, onwardtest.ONWARDFS, "-o", f"noreconcile,state={dir}/state-m", repo, mnt))
        run("fusermount3", "-u", mnt)
        until("the daemon has gone", lambda: not daemon_holds(dir + "/state-m"))
    return times


def daemon_holds(state):
    for d in os.listdir(state):
        if run("flock", "-n", f"{state}/{d}/lock", "true", check=False).returncode:
            return True
    return False


def bench_mount(dir, repeat, repositories):
    for name, repo in [(f"{n} commits", long_history(f"{dir}/h{n}.git", n)) for n in (1, 1000, 50000)] + \
            [(os.path.basename(r), r) for r in repositories]:
        base = [timed(run, "git", "-C", repo, "rev-parse", "HEAD") for i in range(repeat)]
        row(f"mount, {name}", mount_times(repo, dir, repeat), "< 50", base)


def one_fsync(path):
    with open(path, "w") as f:
        f.write("x")
        f.flush()
        os.fsync(f.fileno())


def bench_commit(dir, repeat):
    files = {f"sites/s{i:02}/conf": "0\n" for i in range(SITES)}
    declaration = "onward: 1\nsites:\n  - {discover: 'sites/*', backend: shell}\n"
    repo = make_repo(dir + "/r.git", {**files, "onward.yaml": declaration})
    write(dir + "/backend.sh", f'#!/bin/sh\necho $ONWARD_TO $(date +%s%N) >> {dir}/starts\n', 0o755)
    config = f"backends: {{shell: {{exec: [{dir}/backend.sh], concurrency: 16}}}}\n"
    commits, starts = [], []
    with Mount(dir, repo, config=config) as m:
        until("the first deployment", lambda: m.read("fleet").count(" in-sync ") == SITES)
        ws = m / "staging/w"
        os.mkdir(ws)
        for i in range(repeat):
            write(f"{ws}/sites/s{i % SITES:02}/conf", f"{i + 1}\n")
            commits.append(timed(write, ws + "/.onward/commit", f"commit {i}\n"))
            acked, id = time.time_ns(), m.link("head")
            line = until("the backend's start", lambda: [l for l in read(dir + "/starts").splitlines()
                                                         if l.startswith(id) and l.count(" ") == 1])
            starts.append(max(0, int(line[0].split()[1]) - acked) / 1e9)
            until("all in sync", lambda: m.read("fleet").count(" in-sync ") == SITES)
    work = repo + ".work"
    plain = []
    for i in range(repeat):
        write(f"{work}/sites/s{i % SITES:02}/conf", f"git {i}\n")
        plain.append(timed(run, "git", "-C", work, "commit", "-qam", "x"))
    fsyncs = [timed(one_fsync, f"{dir}/f{i}") for i in range(repeat)]
    row("git commit -a of one file (not durable)", plain)
    row("one fsync of a new file", fsyncs)
    row("commit through staging, durable (ratio: git commit)", commits, "", plain)
    row("acknowledgement to start of first backend (fsync)", starts, "< 50", fsyncs)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--repeat", type=int, default=20)
    p.add_argument("repository", nargs="*")
    args = p.parse_args()
    print(f"{'milliseconds, ' + str(args.repeat) + ' times':52} {'median':>9} {'min':>9} {'max':>9} "
          f"{'ratio':>7}  target")
    with tempfile.TemporaryDirectory(prefix="onward-bench-") as dir:
        bench_mount(dir, args.repeat, [os.path.abspath(r) for r in args.repository])
        bench_commit(dir, args.repeat)


if __name__ == "__main__":
    main()

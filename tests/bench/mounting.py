"""How long a mount takes, and the index that is made once before."""

import json
import os
import time

import onwardtest
from measure import Sample, cpu_time, median
from onwardtest import run, until


def status(target):
    with open(os.path.join(target.root, ".onward/status.json")) as f:
        return json.load(f)


def make_index(bench):
    """Mounts with mtime=change, which waits for the index; without it where the daemon refuses."""
    begin = time.perf_counter()
    try:
        bench.change.mount()
        bench.change.unmount()
        bench.index = time.perf_counter() - begin
    except AssertionError as e:
        print(f"-o mtime=change is left out: {str(e).strip().splitlines()[-1]}", flush=True)
        bench.change = bench.index = None


def gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def once(target, options):
    begin = time.perf_counter()
    run(onwardtest.ONWARDFS, "-o", f"{options},state={target.m.state}", target.repo, target.root)
    seconds = time.perf_counter() - begin
    pid = status(target)["pid"]
    cpu = cpu_time(pid)
    run("fusermount3", "-u", target.root)
    until("the daemon has gone", lambda: gone(pid))
    return Sample(seconds, cpu=cpu)


def rev_parse(repo):
    begin = time.perf_counter()
    run("git", "-C", repo, "rev-parse", "HEAD")
    return time.perf_counter() - begin


def compare(bench, repeat):
    """From the command to its return, which is when the mount answers."""
    targets = [t for t in (bench.onward, bench.change) if t]
    times = {t.name: [] for t in targets}
    base = []
    for i in range(repeat * 2):
        base.append(rev_parse(bench.subject.repo))
        for t in targets:
            times[t.name].append(once(t, t.options))
    bench.report.note(f"git rev-parse HEAD {median(base) * 1000:.1f} ms")
    for t in targets:
        label = "mount" if t is bench.onward else "mount -o mtime=change"
        seconds, cpu = (median([getattr(s, what) for s in times[t.name]]) for what in ("seconds", "cpu"))
        bench.report.single(label, f"{seconds * 1000:.1f} ms", "30 ms", cpu=f"{cpu:.3f}")
    if bench.index:
        bench.report.single("index of the history, once", f"{bench.index:.1f} s", "60 s")

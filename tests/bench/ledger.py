#!/usr/bin/env python3
"""Measures the ledger and prints a table: an empty one beside a large one, in the same run.

usage: ledger.py [--records N] [--sites N] [--appends N]        (default: 1,000,000 over 10,000; 300)

  append       one record, durable: alone, and from 8 threads at once (they share commits)
  fsync        of a new file of the same size, for comparison
  entries      the newest 100 of one site, read by a process that has just started, and again
  mount        of a repository with these sites, from the command to its return
  history      `ls -l sites/<site>/history` of a site with 1,000 generations, first and again
  verify       every commit and record of it
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from core import mount_times, one_fsync, timed
from onwardtest import BUILD, Mount, git, run, until

LOAD = os.path.join(BUILD, "tests/bench/ledger_load")
REF = "refs/onward/ledger/bench"
DEEP = "store-00000"  # the site with 1,000 generations
BEGIN = 1764000000


def oid(text):
    return hashlib.sha1(f"blob {len(text)}\0{text}".encode()).hexdigest()


def site_name(i):
    return f"store-{i:05}"


class Chain:
    """Writes a ledger as onwardfs does, by way of git fast-import: a million durable commits take long."""

    def __init__(self, repo):
        self.git = subprocess.Popen(["git", "-C", repo, "fast-import", "--quiet"], stdin=subprocess.PIPE,
                                    text=True, env=onwardtest.ENV)
        self.newest, self.at, self.paths = {}, BEGIN, {}

    def path(self, site):
        if site not in self.paths:
            self.paths[site] = f"sites/{oid(site)[:2]}/{site}.json"
        return self.paths[site]

    def record(self, site, generation, kind):
        deployed = kind == "deployed"
        to = f"{generation:040x}"
        record = {"onward": 1, "site": site, "generation": generation, "kind": kind,
                  "from": f"{generation - 1:040x}" if generation > 1 else None, "to": to, "inputs": to,
                  "source": "stores/" + site, "attempt": 1, "backend": "files",
                  "outcome": "done" if deployed else None, "exit": 0 if deployed else None, "message": None,
                  "by": "onwardfs", "host": "bench",
                  "at": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.at)),
                  "duration_ms": 88 if deployed else 0, "log": None, "previous": self.newest.get(site)}
        text = json.dumps(record, separators=(",", ":")) + "\n"
        self.newest[site] = oid(text)
        return f"{site} #{generation} {kind} {to[:12]}", f"M 100644 inline {self.path(site)}\ndata {len(text)}\n{text}\n"

    def commit(self, records):
        """Records of as many sites, in one commit."""
        self.at += 1
        lines, files = zip(*[self.record(*r) for r in records])
        message = "".join(line + "\n" for line in lines)
        if len(lines) > 1:
            message = f"{len(lines)} records\n\n{message}"
        self.git.stdin.write(f"commit {REF}\ncommitter onwardfs <onwardfs@bench> {self.at} +0000\n"
                             f"data {len(message)}\n{message}\n{''.join(files)}\n")

    def close(self):
        self.git.stdin.close()
        assert self.git.wait() == 0


def fill(repo, records, sites, group=100):
    chain = Chain(repo)
    for g in range(1, 951):
        for kind in ("attempt", "deployed"):
            chain.commit([(DEEP, g, kind)])
    left, g = records - 1900, {site_name(i): 0 for i in range(sites)}
    g[DEEP] = 950
    while left > 0:
        for first in range(0, sites, group):
            names = [site_name(i) for i in range(first, min(first + group, sites))]
            for kind in ("attempt", "deployed"):
                chain.commit([(n, g[n] + 1, kind) for n in names])
            g.update({n: g[n] + 1 for n in names})
            left -= 2 * len(names)
            if left <= 0:
                break
    chain.close()


def load(*args):
    """What ledger_load prints, as numbers; of a key that comes again, the first."""
    out = {}
    for line in run(LOAD, *map(str, args), timeout=3600).splitlines():
        key, value = line.split()
        out.setdefault(key, float(value))
    return out


def make_repository(path, sites):
    run("git", "init", "-q", "--bare", "-b", "main", path)
    declaration = "onward: 1\nsites:\n  - discover: 'stores/*'\n"
    files = "".join(f"M 100644 inline stores/{site_name(i)}/conf\ndata 2\nx\n\n" for i in range(sites))
    run("git", "-C", path, "fast-import", "--quiet",
        stdin=f"commit refs/heads/main\ncommitter A <a@example.org> {BEGIN} +0000\ndata 2\nc\n"
              f"M 100644 inline onward.yaml\ndata {len(declaration)}\n{declaration}\n{files}\n")


def row(name, empty, full, target="", unit="ms"):
    ratio = f"{full / empty:7.2f}" if empty else "      -"
    shown = f"{empty:12.2f}" if empty is not None else f"{'-':>12}"
    print(f"{name:46} {shown} {full:12.2f} {ratio}  {unit:4} {target}", flush=True)


def bench_appends(empty, full, args):
    for threads in (1, 8):
        e, f = (load("append", r, args.appends // threads, args.sites, threads) for r in (empty, full))
        for p in ("p50", "p99"):
            row(f"append, {threads} at once, {p}", e["append-" + p], f["append-" + p], "p99 < 20 ms" if p == "p99" else "")


def bench_reads(full, args):
    out = load("read", full, site_name(args.sites // 2), 100)
    row(f"newest {out['entries']:.0f} entries of a site, first", None, out["first"], "< 5 ms")
    row("newest entries of a site, again", None, out["again"], "< 5 ms")


def bench_mount(dir, empty, full):
    times = [statistics.median(mount_times(r, d, 5)) * 1000 for r, d in ((empty, dir + "/e"), (full, dir + "/f"))]
    row("mount", *times, "ratio 1")


def bench_history(dir, full):
    with Mount(dir, full, options=["-o", "noreconcile"]) as m:
        until("the fleet is there", lambda: len(os.listdir(m / "sites")) > 1, 120)
        listing = lambda: run("ls", "-l", m / f"sites/{DEEP}/history")
        times = [timed(listing) * 1000 for i in range(2)]
        row(f"ls -l of {len(os.listdir(m / ('sites/' + DEEP + '/history')))} generations, first", None, times[0])
        row("ls -l of the generations, again", None, times[1])
        log = timed(lambda: run(onwardtest.ONWARD, "log", "-n", "20", DEEP, env={"ONWARD_MOUNT": m.path})) * 1000
        row("onward log -n 20", None, log)
        rss = int([l for l in open(f"/proc/{m.process.pid}/status") if l.startswith("VmRSS")][0].split()[1])
        row("daemon, resident", None, rss / 1024, "", "MB")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--records", type=int, default=1000000)
    p.add_argument("--sites", type=int, default=10000)
    p.add_argument("--appends", type=int, default=300)
    p.add_argument("--no-mount", action="store_true", help="only what needs no mount")
    args = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="onward-bench-") as dir:
        empty, full = dir + "/empty.git", dir + "/full.git"
        for d in ("e", "f"):
            os.makedirs(f"{dir}/{d}/state-m")
        for repo in (empty, full):
            make_repository(repo, args.sites)
        seconds = timed(fill, full, args.records, args.sites)
        size = int(run("du", "-sk", full).split()[0]) / 1024
        print(f"{args.records} records of {args.sites} sites, {git(full, 'rev-list', '--count', REF).strip()} commits, "
              f"{size:.0f} MB, made in {seconds:.0f} s; load {os.getloadavg()[0]:.1f}\n")
        print(f"{'':46} {'empty':>12} {'full':>12} {'ratio':>7}  unit target")
        fsyncs = sorted(timed(one_fsync, f"{dir}/f{i}.sync") * 1000 for i in range(args.appends))
        row("one fsync of a new file, p50", None, fsyncs[len(fsyncs) // 2])
        row("one fsync of a new file, p99", None, fsyncs[len(fsyncs) * 99 // 100])
        bench_reads(full, args)
        row("open", load("read", empty, "none", 1)["open"], load("read", full, "none", 1)["open"])
        if not args.no_mount:
            bench_mount(dir, empty, full)
            bench_history(dir, full)
        bench_appends(empty, full, args)
        out = load("verify", full)
        assert not out["findings"], out
        row(f"verify, a million of {out['records']:.0f} records", None, out["verify"] / 1000 * 1e6 / out["records"], "", "s")


if __name__ == "__main__":
    main()

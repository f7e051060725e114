#!/usr/bin/env python3
"""Readers, walkers, commits, moving refs and repacking at once; Git is the oracle of every byte and name.

usage: read_stress.py [--seconds N] [--seed S] [--mtime revision|change] [--cache SIZE]
                                                                    (default: 20 s; by hand: 600)

On one mount, for a quarter of the time each with 1, 2, 4 and 16 readers: files of any revision, whole and in
pieces; two walkers of whole revisions; a reader of branches/, tags/, at/, commits/ and history/. Beside them
branches and tags are created, moved, deleted and packed, others push to the mainline, two workspaces commit
to it, and the repository is repacked in a loop. What does not agree with `git ls-tree` and `git cat-file`,
and each error that nobody expects, fails the test, which says the seed. A probe reads one small file
all the time, out of the page cache and from the daemon: the longest that it took is printed.
"""

import argparse
import multiprocessing
import os
import queue
import shutil
import signal
import sys
import tempfile
import time
import traceback

for place in ("../lib", "../mount"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), place))
import material
from fidelity import compare
from onwardtest import Mount, fsck, git, until
from workers import Packer, Probe, Reader, RefChurner, Stager, ViewReader, Walker

READERS = (1, 2, 4, 16)
LONGEST_READ = 30   # seconds: a reader that waits for something, not a slow machine


class Failed(Exception):
    pass


class Test:
    """What all workers know."""

    def __init__(self, dir, args):
        self.dir, self.seed, self.mtime = dir, args.seed, args.mtime
        self.repo, self.mount = dir + "/r.git", dir + "/mnt"
        self.fixed = material.make(self.repo, args.seed)
        self.base = git(self.repo, "rev-list", "--first-parent", "--reverse", "main").split()


class Crew:
    """Workers that run together, and what they reported."""

    def __init__(self, workers):
        self.stop, self.results = multiprocessing.Event(), multiprocessing.Queue()
        self.running = {w.name: multiprocessing.Process(target=w.run, args=(self.stop, self.results))
                        for w in workers}
        for p in self.running.values():
            p.start()

    def watch(self, seconds, others=()):
        """Lets them run; ends early when one has failed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not any(c.stop.is_set() for c in (self, *others)):
            self.stop.wait(0.1)

    def finish(self):
        """Stops them; the reports by name. Raises with the words of those that failed."""
        self.stop.set()
        reports, wrong = {}, []
        for i in range(len(self.running)):
            try:
                name, counts, error = self.results.get(timeout=120)
            except queue.Empty:
                wrong.append(f"hangs: {', '.join(sorted(set(self.running) - set(reports)))}")
                break
            reports[name] = counts
            if error:
                wrong.append(f"{name}:\n{error}")
        for p in self.running.values():
            p.join(5)
        self.kill()
        if wrong:
            raise Failed("\n".join(wrong))
        return reports

    def kill(self):
        self.stop.set()
        for p in self.running.values():
            if p.is_alive():
                p.kill()


def mount_options(mtime):
    return ["-o", "noreconcile"] + (["-o", "mtime=change"] if mtime == "change" else [])


def totals(reports):
    sums = {}
    for name, counts in reports.items():
        for key, n in counts.items():
            sums[key] = sums.get(key, 0) + n
    return ", ".join(f"{k} {v:,}" for k, v in sorted(sums.items()))


def phases(test, seconds, crews):
    """The storm goes on all the time; the readers change."""
    storm = Crew([RefChurner(test, "churner"), Packer(test, "packer"), Stager(test, "stager-1"),
                  Stager(test, "stager-2"), ViewReader(test, "views"), Probe(test, "probe"),
                  Walker(test, "walker-1"), Walker(test, "walker-2")])
    crews.append(storm)
    for n in READERS:
        readers = Crew([Reader(test, f"reader-{n}-{i}") for i in range(n)])
        crews.append(readers)
        readers.watch(seconds / len(READERS), [storm])
        print(f"# {n} readers: {totals(readers.finish())}", flush=True)
        if storm.stop.is_set():
            break
    reports = storm.finish()
    for name in sorted(reports):
        print(f"# {name}: {totals({name: reports[name]})}", flush=True)
    return reports


def refs_agree(m, repo):
    """The listings of branches and tags are those of Git, soon after all is quiet."""
    wanted = {f"branches/{r}" for r in git(repo, "for-each-ref", "--format=%(refname:lstrip=2)",
                                           "refs/heads").split()}
    wanted |= {f"tags/{r}" for r in git(repo, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/tags").split()}

    def found():
        names = set()
        for top in ("branches", "tags"):
            for dir, dirs, files in os.walk(m / top):
                names |= {os.path.relpath(os.path.join(dir, n), m.path) for n in dirs + files
                          if os.path.islink(os.path.join(dir, n))}
        return names
    until("branches/ and tags/ are as git for-each-ref has them", lambda: found() == wanted)
    until("head is the tip", lambda: m.link("head") == git(repo, "rev-parse", "main").strip())


def memory(pid):
    with open(f"/proc/{pid}/status") as f:
        rows = dict(line.split(":", 1) for line in f)
    return ", ".join(f"{k} {int(rows[k].split()[0]) // 1024} MB" for k in ("VmHWM", "RssAnon"))


def run(test, args, crews):
    config = f"limits: {{cache: {args.cache}}}\n"
    with Mount(test.dir, test.repo, config, mount_options(test.mtime)) as m:
        reports = phases(test, args.seconds, crews)
        refs_agree(m, test.repo)
        print(f"# daemon: {memory(m.process.pid)}, {len(os.listdir(f'/proc/{m.process.pid}/fd'))} descriptors, "
              f"{m.metric('onward_nodes')} nodes", flush=True)
        if test.mtime == "revision":
            for revision in ("main", "main~3", "side"):
                compare(test.repo, revision, m.path)
    fsck(test.repo)
    for kind in ("cached", "asked"):
        assert reports["probe"][f"{kind}-us-most"] < LONGEST_READ * 1e6, f"a small read, {kind}, waited for something"
    assert reports["stager-1"]["commits"] and reports["walker-1"]["walks"], "hardly anything happened"


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=20)
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    p.add_argument("--mtime", choices=("revision", "change"), help="default: as the seed falls")
    p.add_argument("--cache", help="limits.cache of the host's configuration; default: 64M or 4M, as the seed falls")
    args = p.parse_args()
    args.cache = args.cache or ("64M" if args.seed % 3 else "4M")
    args.mtime = args.mtime or ("change" if args.seed % 2 else "revision")
    return args


def main():
    args, crews = arguments(), []
    for n in (signal.SIGINT, signal.SIGTERM):
        signal.signal(n, lambda number, _: sys.exit(128 + number))
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("1..0 # SKIP /dev/fuse cannot be opened")
        return
    print(f"1..1\n# seed {args.seed}, mtime={args.mtime}, cache {args.cache}", flush=True)
    dir = tempfile.mkdtemp(prefix="onward-")
    try:
        run(Test(dir, args), args, crews)
    except BaseException as e:
        for line in str(e).splitlines() if isinstance(e, Failed) else traceback.format_exc().splitlines():
            print("# " + line)
        print(f"not ok 1 - stress (seed {args.seed}); everything is kept in {dir}", flush=True)
        sys.exit(1)
    finally:
        for crew in crews:
            crew.kill()
    shutil.rmtree(dir, ignore_errors=True)
    print("ok 1 - what the mount shows is what Git has, all the time", flush=True)


if __name__ == "__main__":
    main()

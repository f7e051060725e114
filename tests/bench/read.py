#!/usr/bin/env python3
"""Measures reading, against the same tree on ext4, and prints a table.

usage: read.py [-n N] [-o OPTIONS] [--only WORKLOAD,…] [REPOSITORY]      (default: 5 repetitions)

Without REPOSITORY one is made: 3,000 files, 1,000 revisions. It is mounted read-only and not written to.
Beside it stands the same tree, checked out on an ext4 image that is loop-mounted read-only; without the
right to do that, a directory of the local disk: then only warm runs can be compared.

  cold     the first run after a fresh mount; the pack, or the image, is in the page cache
  warm     the best of two runs right after it
  ratio    the median of the ratios to ext4 within each repetition, in which the targets take turns
  requests what the kernel asked the daemon, but for FORGET and STATFS; CPU: seconds of the daemon
  RSS      of the daemon after a fresh mount and one workload: highest peak, with the pack as far as it
           is mapped, and highest anonymous memory

Workloads: find ls grep tar cat cat4 diff path blob mount. `diff` and `path` are measured with
`-o mtime=revision` and with `-o mtime=change`; the yardstick of `diff` is the warm run on ext4, also for
the cold one, and of a cold `path` it is `git cat-file --batch`.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from measure import MB, Series, measure, shell
from report import Report
from onwardtest import run
from subject import Subject, Writer, make_blob_repository, make_repository
from targets import Directory, Image, Onward, Target, may_mount
import blob
import mounting

WARM_RUNS = 2

# name: (what is shown, command in the tree, targets cold and warm: the ratio to ext4 at most)
WALKS = {
    "find": ("find . -type f | wc -l", 2.0, 1.1),
    "ls": ("ls -lR | wc -l", 1.0, 1.1),
    "grep": ("grep -r needle . | wc -l", 1.2, 1.1),
    "tar": ("tar cf - . | wc -c", None, 1.2),
    "cat": ("find . -type f -print0 | xargs -0 -n 100 cat >/dev/null", 1.5, 1.2),
    "cat4": ("find . -type f -print0 | xargs -0 -n 100 -P 4 cat >/dev/null", 1.5, 1.2),
}
NAMES = [*WALKS, "diff", "path", "blob", "mount"]


class Git(Target):
    """git cat-file --batch: no mount, and each run is like the first."""


def one_repetition(command, targets, results):
    """All mounted afresh; then cold in turn, then warm in turn."""
    for t in targets:
        t.preload()
        t.mount()

    def once(t):
        return measure(lambda: shell(command(t), t.root), t.daemon)

    try:
        cold = {t.name: once(t) for t in targets}
        warm = {t.name: [] for t in targets}
        for i in range(WARM_RUNS):
            for t in targets:
                warm[t.name].append(once(t))
    finally:
        for t in targets:
            t.unmount()
    outputs = {t.name: cold[t.name].output for t in targets}
    assert len(set(outputs.values())) == 1, f"the targets differ: {outputs}"
    for t in targets:
        results[t.name].cold.append(cold[t.name])
        # The best time, with the requests of the last run.
        best = min(warm[t.name], key=lambda s: s.seconds)
        best.requests = warm[t.name][-1].requests
        results[t.name].warm.append(best)


def compare(command, targets, repeat):
    """Runs command(target) everywhere, the targets in turn, another first each time: Series by name."""
    results = {t.name: Series() for t in targets}
    for i in range(repeat):
        k = i % len(targets)
        one_repetition(command, targets[k:] + targets[:k], results)
    for t in targets:
        if not t.cold:
            results[t.name].cold.clear()
    return results


class Bench:
    """What is measured with what; each workload is a method that leaves rows in the report."""

    def __init__(self, dir, subject, args, stack):
        self.dir, self.subject, self.args, self.stack = dir, subject, args, stack
        self.report = Report(args.requests)
        self.loop = may_mount() and not args.no_loop
        self.plain = self.onward = self.change = None

    def keep(self, target):
        """Whatever happens, it is unmounted at the end."""
        self.stack.callback(target.abandon)
        return target

    def prepare(self):
        """Writes the yardstick, and lets the daemon make its index, before anything is measured."""
        writer, s = Writer(self.subject.repo, self.dir), self.subject
        files, bytes = map(sum, zip(s.sizes(s.tip), s.sizes(s.near)))
        self.plain = self.yardstick("ext4", bytes * 2, files + len(s.revisions), lambda root: [
            writer.tree(s.tip, root + "/tip"), writer.tree(s.near, root + "/near"),
            writer.versions(s, root + "/versions")])
        self.plain.names = {"tip": "tip", "near": "near", "versions": "versions"}
        self.version_lists()
        self.onward = self.onwardfs("onwardfs", s.repo)
        self.change = self.onwardfs("mtime=change", s.repo, "mtime=change")
        for t in (self.onward, self.change):
            t.names = {"tip": "revisions/" + s.tip, "near": "revisions/" + s.near, "versions": "revisions"}
        mounting.make_index(self)

    def yardstick(self, name, bytes, files, checkout):
        if self.loop:
            image = self.keep(Image(name, self.dir, bytes, files))
            image.fill(checkout)
            return image
        root = os.path.join(self.dir, name)
        os.makedirs(root)
        checkout(root)
        return Directory(name, root)

    def onwardfs(self, name, repo, *options):
        options = ["ro,noreconcile", *options, *([self.args.options] if self.args.options else [])]
        return self.keep(Onward(name, self.dir, repo, ",".join(options)))

    def version_lists(self):
        s = self.subject
        for name, text in (("onwardfs", "".join(f"{id}/{s.path}\0" for id in s.revisions)),
                           ("ext4", "".join(f"{i:04}\0" for i in range(len(s.revisions)))),
                           ("git", s.specs(s.path))):
            with open(f"{self.dir}/list-{name}", "w") as f:
                f.write(text)

    def tree(self, command):
        return lambda t: f"cd {t.names['tip']} && {command}"

    def walk(self, name):
        shown, cold, warm = WALKS[name]
        found = compare(self.tree(shown), [self.plain, self.onward], self.args.repeat)
        base = found["ext4"]
        self.report.add(name if name != "ls" else "ls -lR", found["onwardfs"], base, (cold, warm))

    def ours(self):
        """Mounted with either kind of times: one after the other, because only one may have the index."""
        return [t for t in (self.onward, self.change) if t]

    def diff(self):
        for t in self.ours():
            found = compare(lambda t: f"diff -r {t.names['near']} {t.names['tip']} | wc -l", [self.plain, t],
                            self.args.repeat)
            base = found["ext4"]
            name, limits = f"diff -r, {self.subject.distance} apart", (None, None)
            if t is self.change:
                name, limits = "  -o mtime=change", (1.5, 0.5)
            self.report.add(name, found[t.name], base, limits, base.seconds("warm"))

    def path(self):
        git = Git("cat-file")
        git.root = self.dir

        def command(t):
            if t is git:
                return f"git -C '{self.subject.repo}' cat-file --batch <list-git >/dev/null"
            names = "ext4" if t is self.plain else "onwardfs"
            return f"cd {t.names['versions']} && xargs -0 cat <'{self.dir}/list-{names}' >/dev/null"

        for t in self.ours():
            found = compare(command, [self.plain, git, t], self.args.repeat)
            name = "  -o mtime=change"
            if t is self.onward:
                name = f"a path in {len(self.subject.revisions)} revisions"
                self.report.note(f"git cat-file --batch: {found['cat-file'].time('cold'):.3f} s")
            self.report.add(name, found[t.name], found["ext4"], (2.0, 1.0), found["cat-file"].seconds("cold"))

    def blob(self):
        size = self.args.blob * MB
        repo = os.path.join(self.dir, "blob.git")
        file = make_blob_repository(repo, size)
        plain = self.yardstick("ext4-blob", size, 1, lambda root: run("mv", file, root + "/blob"))
        plain.names = {"big": "."}
        ours = self.onwardfs("onwardfs-blob", repo)
        ours.names = {"big": "head/."}
        blob.compare(self.report, plain, ours, size, self.args.repeat)

    def mount(self):
        mounting.compare(self, self.args.repeat)

    def run(self, names):
        self.prepare()
        self.report.head(self)
        for name in names:
            self.walk(name) if name in WALKS else getattr(self, name)()
        self.report.table(self)


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-n", "--repeat", type=int, default=5)
    p.add_argument("-o", "--options", help="more options of the mounts")
    p.add_argument("--only", help="workloads, with commas")
    p.add_argument("--path", help="the path that is read in many revisions (default: the one that changed most)")
    p.add_argument("--blob", type=int, default=1024, help="MiB of the large file")
    p.add_argument("--scratch", help="where images and state are kept meanwhile (default: TMPDIR)")
    p.add_argument("--no-loop", action="store_true", help="compare with a directory, not with an image")
    p.add_argument("--requests", action="store_true", help="print the requests by kind, too")
    p.add_argument("--smoke", action="store_true", help="once, everything small: whether it works at all")
    p.add_argument("repository", nargs="?")
    args = p.parse_args()
    args.names = args.only.split(",") if args.only else NAMES
    unknown = set(args.names) - set(NAMES)
    if unknown:
        p.error("no such workload: " + ", ".join(sorted(unknown)))
    return args


def main():
    args = arguments()
    if args.smoke and not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("SKIP: /dev/fuse cannot be opened")
        sys.exit(77)
    for n in (signal.SIGINT, signal.SIGTERM):
        signal.signal(n, lambda number, _: sys.exit(128 + number))
    files, revisions = 3000, 1000
    if args.smoke:
        args.repeat, args.blob, files, revisions = 1, 8, 60, 30
    with tempfile.TemporaryDirectory(prefix="onward-bench-", dir=args.scratch) as dir, \
            contextlib.ExitStack() as stack:
        repo = os.path.abspath(args.repository) if args.repository else \
            make_repository(os.path.join(dir, "made.git"), files, revisions)
        Bench(dir, Subject(repo, path=args.path), args, stack).run(args.names)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures a workspace on a large tree, beside the same work in a directory of the same disk, in turn.

usage: write.py [--files N] [--small N] [--repeat N] [--mb N] [--no-loop] [--smoke]
                (default: 150000 files in the tree, 10000 small ones, 5 times, 1024 MiB)

  speed     how fast the workspace is, against the directory: 0.5 is half as fast; medians, and the ratio of
            runs that followed each other
  requests  of the kernel to the daemon, in the last run
Files are made in an empty FUSE filesystem (empty_fs.c) as well, which does nothing but answer.
The disk is an ext4 image, fresh and loop-mounted, that holds the directory, the repository and the state
directory; for who may not mount (or --no-loop), the place of temporary files. Each run has a directory of its own,
which stays: an ext4 without a journal is slow to make files where some were deleted a minute ago. What was written
before is on the disk when a run begins. --smoke: small, to see that it works.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from measure import MB, Daemon, Series, measure, median, ratio, shell
from onwardtest import BUILD, ENV, Mount, run, until, write
from report import aligned
from targets import Image, may_mount

HEAD = ["", "disk", "workspace", "speed", "target", "requests", "CPU, s"]
WIDTHS = [44, 10, 10, 7, 8, 30, 8]
DATA = b"0123456789abcdef" * 64
LIMITS = "limits: {file_size: 8G, workspace_size: 64G}\n"
COMMITS = 20
EMPTY_FS = os.path.join(BUILD, "tests/bench/empty_fs")


def large_repository(path, files):
    """A bare repository of that many small files, a hundred in a directory."""
    run("git", "init", "-q", "--bare", "-b", "main", path)
    p = subprocess.Popen(["git", "-C", path, "fast-import", "--quiet"], stdin=subprocess.PIPE, env=ENV)
    p.stdin.write(b"commit refs/heads/main\ncommitter A <a@example.org> 1700000000 +0000\ndata 1\nc\n")
    for i in range(files):
        body = b"value: %d\n" % i
        p.stdin.write(b"M 100644 inline area%02d/part%03d/f%02d.yaml\ndata %d\n%s\n" %
                      (i // 20000, i // 100 % 200, i % 100, len(body), body))
    p.stdin.close()
    if p.wait():
        raise SystemExit("git fast-import failed")
    return path


def timed(f, *args):
    begin = time.perf_counter()
    f(*args)
    return time.perf_counter() - begin, ""


def create(where, files):
    """Small files, a hundred in a directory."""
    for i in range(files):
        if i % 100 == 0:
            os.makedirs(f"{where}/d{i // 100:03}")
        fd = os.open(f"{where}/d{i // 100:03}/f{i % 100:02}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(fd, DATA)
        os.close(fd)


def disk_space(path):
    return int(run("du", "-s", "--block-size=1", path).split()[0])


class Bench:
    def __init__(self, args, disk, empty, m):
        self.args, self.m, self.runs = args, m, 0
        self.disk, self.empty, self.top = disk + "/plain", empty, m / "staging/bench"
        self.source, self.archive = disk + "/source", disk + "/source.tar"
        self.daemon = Daemon(m.process.pid, m.path)
        os.mkdir(self.disk)

    def row(self, *cells):
        print(aligned([str(c) for c in cells], WIDTHS), flush=True)

    def workspace(self):
        """Opens a workspace, and what that takes of the disk."""
        space = disk_space(self.m.state)
        seconds, _ = timed(os.mkdir, self.top)
        self.row("open a workspace, ms", "", f"{seconds * 1000:.1f}", "", "< 20")
        self.row("  disk space, KiB", "", (disk_space(self.m.state) - space) // 1024)
        seconds, _ = timed(lambda: open(self.top + "/.onward/status").read())
        self.row("  first status, ms", "", f"{seconds * 1000:.1f}")

    def commits(self):
        """One changed file, durable; beside it the fsync of one new file."""
        commits, syncs = [], []
        for i in range(COMMITS):
            write(self.top + "/area00/part000/f00.yaml", f"value: changed {i}\n")
            commits.append(timed(write, self.top + "/.onward/commit", f"change {i}\n")[0])
            syncs.append(timed(shell, f"dd if=/dev/zero of=sync{i} bs=1k count=1 conv=fsync", self.disk)[0])
        self.row(f"commit 1 file of {self.args.files:,}, ms", f"{median(syncs) * 1000:.1f}",
                 f"{median(commits) * 1000:.1f}", "", "< 50")

    def new_place(self, where):
        self.runs += 1
        place = f"{where}/run{self.runs}"
        os.mkdir(place)
        return place

    def once(self, place, work, daemon):
        """work(directory), measured."""
        run("sync", "-f", self.disk)
        return measure(lambda: work(place), daemon)

    def compare(self, name, work, target="", before=None, empty=False):
        """The same in both places, in turn, and where nothing is kept."""
        sides = [(Series(), self.disk, None), (Series(), self.top, self.daemon)]
        sides += [(Series(), self.empty, None)] * empty
        for i in range(self.args.repeat):
            for series, where, daemon in sides[::1 if i % 2 else -1]:
                place = self.new_place(where)
                if before:
                    before(place)
                series.warm.append(self.once(place, work, daemon))
        self.compared(name, sides[0][0], sides[1][0], target)
        if empty:
            self.compared("  in an empty FUSE filesystem", sides[0][0], sides[2][0], "")

    def compared(self, name, plain, ours, target):
        sent = ours.warm[-1].requests.most_common(1)
        daemon = [f"{op} {n} of {ours.warm[-1].requests.total()}" for op, n in sent]
        daemon += [f"{ours.cpu('warm'):.2f}"] if sent else []
        self.row(name, f"{plain.time('warm'):.3f}", f"{ours.time('warm'):.3f}",
                 f"{ratio(plain.seconds('warm'), ours.seconds('warm')):.2f}", target, *daemon)

    def files(self):
        n, source = self.args.small, self.source
        create(source, n)
        shell(f"tar cf {self.archive} source", os.path.dirname(source))

        def copied(where):
            shutil.copytree(source, where + "/copy")

        self.compare(f"create {n:,} files of 1 KiB", lambda d: timed(create, d + "/new", n), ">= 0.3", empty=True)
        self.compare("  cp -a of them", lambda d: shell(f"cp -a {source} copy", d))
        self.compare("  tar x", lambda d: shell(f"tar xf {self.archive}", d))
        self.compare("  find, all new", lambda d: shell("find copy -type f -size +1000", d), "", copied)
        self.compare("  rm -r", lambda d: shell("rm -r copy", d), "", copied)

    def large(self):
        """Each side writes where it has written before: the first time, the image has to grow."""
        sides = [(Series(), self.new_place(self.disk), None), (Series(), self.new_place(self.top), self.daemon)]
        for _, place, _ in sides:
            self.write_large(place, "conv=fsync")
        for name, how in ("", ""), (", fsync", "conv=fsync"):
            for i in range(self.args.repeat):
                for series, place, daemon in sides[::1 if i % 2 else -1]:
                    series.warm.append(self.once(place, lambda d: self.write_large(d, how), daemon))
            self.compared(f"write {self.args.mb} MiB{name}", sides[0][0], sides[1][0], ">= 0.7")
            sides = [(Series(), place, daemon) for _, place, daemon in sides]

    def write_large(self, where, how):
        """The disk need not hold what all runs write."""
        found = shell(f"dd if=/dev/zero of=big bs=1M count={self.args.mb} {how}", where)
        if os.path.getsize(where + "/big") != self.args.mb * MB:
            raise SystemExit("dd failed")
        os.unlink(where + "/big")
        return found

    def all(self):
        self.row(*HEAD)
        self.workspace()
        self.commits()
        self.files()
        self.large()


@contextlib.contextmanager
def disk(dir, args):
    """A directory on the disk that is written to, and what it is."""
    if args.no_loop or not may_mount():
        yield dir, "the directory of temporary files"
        return
    image = Image("disk", dir, 6 * args.mb * MB, args.files + 20 * args.small * args.repeat)
    image.mount_with("rw")
    try:
        yield image.root, "a loop-mounted ext4 image"
    finally:
        image.abandon()


@contextlib.contextmanager
def empty_filesystem(dir):
    place = dir + "/empty"
    os.mkdir(place)
    p = subprocess.Popen([EMPTY_FS, place], env=ENV)
    try:
        until("the empty filesystem is mounted", lambda: os.path.ismount(place))
        yield place
    finally:
        run("fusermount3", "-u", "-z", place, check=False)
        p.kill()
        p.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--files", type=int, default=150000)
    p.add_argument("--small", type=int, default=10000, help="how many small files are created")
    p.add_argument("--mb", type=int, default=1024)
    p.add_argument("--repeat", type=int, default=5)
    p.add_argument("--no-loop", action="store_true", help="use the directory of temporary files, not an image")
    p.add_argument("--smoke", action="store_true")
    args = p.parse_args()
    if args.smoke:
        args.files, args.small, args.mb, args.repeat = 500, 200, 4, 1
    with tempfile.TemporaryDirectory(prefix="onward-bench-") as dir, disk(dir, args) as (root, kind), \
            empty_filesystem(dir) as empty:
        repo = large_repository(root + "/r.git", args.files)
        with Mount(dir, repo, config=LIMITS, options=["-o", "noreconcile"], state=root + "/state") as m:
            print(f"{args.files:,} files; {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; seconds unless "
                  f"said, medians of {args.repeat}; the disk is {kind}\n")
            Bench(args, root, empty, m).all()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Death of the process that serves a supervised mount, again and again, under mixed load; what must be true. It is
killed, or crashes.

usage: takeover.py [--kills N] [--seed S] [--alone] [--stall] [--everywhere]    (by hand: --kills 200 --everywhere)

  T1  nobody gets an error for it: no ENOTCONN, ESTALE, EIO; open files, mappings, working directories, walks and
      running reads go on;
  T2  what is read of a revision is byte for byte what is in it;
  T3  each create, mkdir, symlink, rename, unlink and rmdir is done exactly once: none fails because it was done
      before, and afterwards the names are those that were made;
  T4  every line appended is in the file once, in order; P3: what was written is there;
  T5  a command is done once or answers ECONNABORTED, and then at most once: when it is said again, it is done or answers
      ENODATA; then each commit is on the mainline once;
  T6  generated files are whole, of one version;
  T7  a call waits for less than a second at the 99th percentile of kills (told; required with --stall, as it
      depends on what else the machine does);
  T8  the mount ends as ever: unmounted, exit status 0.

Then T3 again, one operation after the other, each killed where it has just changed the disk and not answered yet
(--everywhere: before and after each of its calls that change something).

--alone: without a supervisor, to see the test fail.
"""

import argparse
import errno
import glob
import json
import mmap
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import faults
from onwardtest import ONWARDFS, Mount, git, make_repo, read, run

LIFE = 1.05     # seconds: who is killed sooner is held for broken (daemon/respawn.h)
# A process that its sanitizer may look into waits, when it crashes, for all of its threads: for a core dump.
CRASHES = 0 if "asan" in ONWARDFS or "sanitize" in ONWARDFS else 0.1


class Client:
    """A process that uses the mount until it is told to stop. Notes how long its calls take."""

    def __init__(self, m, stop, results):
        self.m, self.stop, self.results = m, stop, results
        self.waits, self.turns, self.rng = [], 0, random.Random(os.getpid())

    def call(self, f, *args, **kw):
        begun = time.monotonic()
        try:
            return f(*args, **kw)
        finally:
            took = time.monotonic() - begun
            if took > 0.02:
                self.waits.append((begun, begun + took))

    def run(self):
        try:
            self.begin()
            while not self.stop.is_set():
                self.turn()
                self.turns += 1
            self.end()
            failure = None
        except BaseException:
            failure = f"{type(self).__name__}, turn {self.turns}: {traceback.format_exc()}"
        self.results.put((type(self).__name__, failure, self.waits, self.turns))

    def begin(self):
        pass

    def end(self):
        pass


class Walker(Client):
    """T2: diff -r of a revision with what Git says, from outside and with fresh names."""

    def turn(self):
        p = self.call(subprocess.run, ["diff", "-r", self.m / ("revisions/" + self.m.first), self.m.dir + "/plain"],
                      capture_output=True, text=True)
        assert p.returncode == 0, f"T1, T2: {p.stdout}{p.stderr}"


class Holder(Client):
    """T1, T2: an open file, a mapping, an open directory, a working directory of a revision."""

    def begin(self):
        self.big = open(self.m.dir + "/plain/big", "rb").read()
        revision = self.m / ("revisions/" + self.m.first)
        self.file = open(revision + "/big", "rb", buffering=0)
        self.dir = os.open(revision + "/many", os.O_RDONLY)
        os.chdir(revision + "/many")
        self.cwd = os.getcwd()

    def turn(self):
        os.posix_fadvise(self.file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        at = self.rng.randrange(len(self.big))
        assert self.call(os.pread, self.file.fileno(), 70000, at) == self.big[at:at + 70000], f"T2: at {at}"
        with mmap.mmap(self.file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            at = self.rng.randrange(len(self.big))
            assert self.call(lambda: mapped[at:at + 9]) == self.big[at:at + 9], "T2: mapped"
        assert len(self.call(os.listdir, self.dir)) == 300, "T1: open directory"
        assert self.call(read, f"f{self.rng.randrange(300)}.txt").startswith("file "), "T1: working directory"
        assert os.getcwd() == self.cwd, "T1: getcwd"


class Generated(Client):
    """T6."""

    def turn(self):
        status = json.loads(self.call(self.m.read, ".onward/status.json"))
        assert status["mountpoint"] == self.m.path, "T6"
        with open(self.m / ".onward/metrics") as f:
            first = self.call(f.read, 100)
            time.sleep(0.01)    # so that a kill may come between: it waits for nothing
            assert (first + self.call(f.read)).endswith("\n"), "T6: a torn file"


class Maker(Client):
    """T3: names, in a workspace of its own, also as working directory."""

    def begin(self):
        self.ws = self.m / f"staging/maker{os.getpid()}"
        os.mkdir(self.ws)
        os.mkdir(self.ws + "/d")
        os.chdir(self.ws + "/d")
        self.names = set()

    def turn(self):
        n = self.turns
        os.close(self.call(os.open, f"new{n}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        self.call(os.mkdir, f"dir{n}")
        self.call(os.symlink, "target", f"dir{n}/link")
        self.call(os.rename, f"new{n}", f"dir{n}/moved")
        self.call(os.rename, f"dir{n}", f"kept{n}")
        self.names.add(f"kept{n}")
        with open(f"over{n}", "w") as f:
            f.write("old")
        with open(f"by{n}", "w") as f:
            f.write("new")
        self.call(os.rename, f"by{n}", f"over{n}")
        assert read(f"over{n}") == "new", "T3: renamed over"
        self.call(os.unlink, f"over{n}")
        if len(self.names) > 20:
            old = self.rng.choice(sorted(self.names))
            self.names.remove(old)
            assert sorted(self.call(os.listdir, old)) == ["link", "moved"], f"T3: {old}"
            self.call(os.unlink, old + "/link")
            self.call(os.unlink, old + "/moved")
            self.call(os.rmdir, old)
        assert set(self.call(os.listdir, ".")) == self.names, "T3: names"

    def end(self):
        assert set(os.listdir(self.ws + "/d")) == self.names, "T3: names in the end"


class Writer(Client):
    """T4: lines appended through a file that stays open, which is renamed meanwhile."""

    def begin(self):
        self.ws = self.m / f"staging/writer{os.getpid()}"
        os.mkdir(self.ws)
        self.name = self.ws + "/log0"
        self.fd = os.open(self.name, os.O_CREAT | os.O_RDWR | os.O_APPEND)
        self.lines = 0

    def turn(self):
        for _ in range(20):
            line = f"line {self.lines} {'x' * self.rng.randrange(200)}\n".encode()
            assert self.call(os.write, self.fd, line) == len(line), "T4: a short write"
            self.lines += 1
        if self.turns % 10 == 0:
            name = f"{self.ws}/log{self.turns + 1}"
            self.call(os.rename, self.name, name)
            self.name = name
        if self.turns % 25 == 0:
            self.call(os.fsync, self.fd)
        if self.turns % 50 == 0:
            self.check()

    def check(self):
        numbers = [int(line.split()[1]) for line in read(self.name).splitlines()]
        assert numbers == list(range(self.lines)), f"T4: {len(numbers)} lines of {self.lines}"

    def end(self):
        self.check()


class Committer(Client):
    """T5."""

    def begin(self):
        self.ws = self.m / f"staging/committer{os.getpid()}"
        os.mkdir(self.ws)
        self.acked = []

    def say(self, message):
        """The answer's errno, 0 if it has been done."""
        fd = os.open(self.ws + "/.onward/commit", os.O_WRONLY)
        try:
            self.call(os.write, fd, message.encode() + b"\n")
            return 0
        except OSError as e:
            return e.errno
        finally:
            os.close(fd)

    def turn(self):
        message = f"commit {os.getpid()} {self.turns}"
        with open(self.ws + "/committed", "w") as f:
            f.write(message)
        answer = self.say(message)
        if answer == errno.ECONNABORTED:
            while answer == errno.ECONNABORTED:
                answer = self.say(message)
            assert answer in (0, errno.ENODATA), f"T5: {answer} when it is said again"
        else:
            assert not answer, f"T5: {answer}"
        self.acked.append(message)
        time.sleep(0.05)    # commits are not all there is

    def end(self):
        subjects = git(self.m.repo, "log", "--format=%s", "main").split("\n")
        for message in self.acked:
            assert subjects.count(message) == 1, f"T5: {message} is there {subjects.count(message)} times"


CLIENTS = [Walker, Holder, Generated, Maker, Maker, Writer, Committer]


def worker(m, killed=()):
    """The process that serves the mount: ((pid, when it began), its age in seconds); none of those that are about to
    die. Pids are given again: 200 workers and all that runs beside them take more than there are."""
    if "supervise" not in m.options:
        return (m.process.pid, 0), 60
    for pid in read(f"/proc/{m.process.pid}/task/{m.process.pid}/children").split():
        try:
            ticks = int(read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[19])
        except OSError:
            continue
        if (int(pid), ticks) not in killed:
            return (int(pid), ticks), time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return None, 0


def kill(m, killed, age, signal_=signal.SIGKILL):
    """The one that serves the mount, when it is that old."""
    while (found := worker(m, killed))[0] is None or found[1] < age:
        time.sleep(0.002)
    os.kill(found[0][0], signal_)
    killed.append(found[0])


def kill_one(m, rng, killed):
    """At a random moment of a worker's life; returns when it was."""
    kill(m, killed, LIFE + rng.random() * 0.3, signal.SIGABRT if rng.random() < CRASHES else signal.SIGKILL)
    when = time.monotonic()
    if rng.random() < 0.2:      # and its successor, while it takes over
        kill(m, killed, rng.random() * 0.1)
    return when


def longest(waits, kills):
    """For each kill the longest call that was under way at it or began before the next."""
    found = []
    for at, until in zip(kills, kills[1:] + [kills[-1] + 60]):
        found.append(max((e - max(b, at) for b, e in waits if e > at and b < until), default=0.0))
    return sorted(found)


def prepare(dir):
    files = {f"many/f{i}.txt": f"file {i}\n" * (i + 1) for i in range(300)}
    files.update({"big": "0123456789abcdef" * 131072, "a/b/c/d": "deep\n", "README.md": "r\n"})
    repo = make_repo(dir + "/repo.git", files)
    run("git", "clone", "-q", "--branch", "main", repo, dir + "/clone")
    os.mkdir(dir + "/plain")
    run("sh", "-c", f"git -C {dir}/clone archive HEAD | tar x -C {dir}/plain")
    return repo


def rounds(m, kills, rng):
    stop, results = multiprocessing.Event(), multiprocessing.Queue()
    processes = [multiprocessing.Process(target=c(m, stop, results).run) for c in CLIENTS]
    for p in processes:
        p.start()
    moments, killed = [], []
    for _ in range(kills):
        moments.append(kill_one(m, rng, killed))
        if not results.empty():
            break
    while results.empty() and worker(m, killed)[1] < LIFE:
        time.sleep(0.01)
    stop.set()
    ended = [results.get(timeout=120) for _ in processes]
    for p in processes:
        p.join()
    return moments, ended


def check(killed, ended, stall):
    waits = longest([w for _, _, waits, _ in ended for w in waits], killed)
    p99 = waits[min(len(waits) - 1, int(len(waits) * 0.99))]
    print(f"# {len(killed)} kills; longest wait of any call: median {waits[len(waits) // 2]:.3f} s, p99 {p99:.3f} s, "
          f"most {waits[-1]:.3f} s; turns: " + ", ".join(f"{name} {turns}" for name, _, _, turns in ended))
    failures = [f for _, f, _, _ in ended if f]
    assert not failures, "\n".join(failures)
    assert not stall or p99 < 1, f"T7: {p99:.3f} s"


def mixed_load(dir, args):
    rng = random.Random(args.seed)
    m = Mount(dir, prepare(dir), options=[] if args.alone else ["-o", "supervise"], expect="worker-died")
    with m:
        m.first = m.link("head")
        check(*rounds(m, args.kills, rng), args.stall)


def create(name):
    os.umask(0)
    os.close(os.open(name, os.O_CREAT | os.O_EXCL, 0o666))
    mode = os.stat(name).st_mode & 0o777
    assert mode == 0o666, f"T3: {name} has mode {mode:o}"


# What is there before, what is done, and what is there then, as names of a directory -> content (None: a directory).
OPERATIONS = {
    "create": ({}, lambda: create("x"), {"x": ""}),
    "mkdir": ({}, lambda: os.mkdir("d"), {"d": None}),
    "symlink": ({}, lambda: os.symlink("target", "l"), {"l": "-> target"}),
    "unlink": ({"x": "1", "y": "2"}, lambda: os.unlink("x"), {"y": "2"}),
    "rmdir": ({"d": None, "y": "2"}, lambda: os.rmdir("d"), {"y": "2"}),
    "rename": ({"x": "1", "y": "2"}, lambda: os.rename("x", "z"), {"y": "2", "z": "1"}),
    "rename over": ({"x": "1", "y": "2"}, lambda: os.rename("x", "y"), {"y": "1"}),
    "rename of a directory": ({"d": None, "e": None}, lambda: os.rename("d", "e"), {"e": None}),
    "unlink of what the base has": ({"README.md": "r\n"}, lambda: os.unlink("README.md"), {}),
    "rename of what the base has": ({"README.md": "r\n"}, lambda: os.rename("README.md", "R"), {"R": "r\n"}),
}


def shown(dir):
    def content(path):
        if os.path.islink(path):
            return "-> " + os.readlink(path)
        return None if os.path.isdir(path) else read(path)
    return {name: content(f"{dir}/{name}") for name in os.listdir(dir) if name != ".onward"}


class Points:
    """Operations, each in a workspace of its own."""

    def __init__(self, m, faults_):
        self.m, self.faults, self.killed, self.n = m, faults_, [], 0

    def run(self, name, mode, target, kinds):
        """True if it was killed there. With COUNT, how many calls there are."""
        before, do, after = OPERATIONS[name]
        while mode != faults.COUNT and worker(self.m, self.killed)[1] < LIFE:
            time.sleep(0.01)
        who = worker(self.m, self.killed)[0]
        self.n += 1
        ws = self.m / f"staging/w{self.n}"
        os.mkdir(ws)
        for old in set(os.listdir(ws)) - {".onward"} - set(before):
            os.unlink(f"{ws}/{old}")
        for new, text in before.items():
            if text is None:
                os.mkdir(f"{ws}/{new}")
            elif not os.path.exists(f"{ws}/{new}"):
                with open(f"{ws}/{new}", "w") as f:
                    f.write(text)
        os.chdir(ws)
        shown(ws)
        self.faults.set(mode, target, kinds=kinds)
        place = f"{name}, {'after' if mode == faults.KILL_AFTER else 'before'} call {target} of {kinds}"
        try:
            do()
        except OSError as e:
            raise AssertionError(f"T3: {place}: {e}") from e
        finally:
            self.faults.lift()
            os.chdir("/")
        assert shown(ws) == after, f"T3: {place}: {shown(ws)}"
        with open(ws + "/.onward/drop", "w") as f:
            f.write("force\n")
        if mode == faults.COUNT:
            return self.faults.count
        hit = worker(self.m, [who])[0] is not None
        if hit:
            self.killed.append(who)
        return hit


def each_operation(dir, args):
    names = faults.OPEN_NEW | faults.RENAME | faults.MAKE | faults.REMOVE
    make_repo(dir + "/repo.git", {"README.md": "r\n"})
    with Mount(dir, dir + "/repo.git"):
        pass
    f = faults.Faults(dir, glob.glob(dir + "/state/*/workspaces"))  # what else the daemon does is not counted
    m = Mount(dir, dir + "/repo.git", options=["-o", "supervise"], expect="worker-died", env=f.env)
    with m:
        points = Points(m, f)
        for name in OPERATIONS:
            if not args.everywhere:
                last = points.run(name, faults.COUNT, 1, names)
                assert points.run(name, faults.KILL_AFTER, last, names), f"{name}: not killed"
                continue
            for mode in faults.KILL_BEFORE, faults.KILL_AFTER:
                target = 1
                while points.run(name, mode, target, faults.ALL & ~faults.OPEN):
                    target += 1
        print(f"# killed at {len(points.killed)} places")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--kills", type=int, default=4)
    a.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    for flag in "--alone", "--stall", "--everywhere":
        a.add_argument(flag, action="store_true")
    args = a.parse_args()
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("1..0 # SKIP /dev/fuse cannot be opened")
        return
    print("1..2", flush=True)
    print(f"# seed {args.seed}", flush=True)
    bad = 0
    for i, test in enumerate((mixed_load, each_operation), 1):
        if test is mixed_load and not args.kills:
            print(f"ok {i} - mixed_load # SKIP no kills")
            continue
        dir = tempfile.mkdtemp(prefix="onward-")
        try:
            test(dir, args)
            print(f"ok {i} - {test.__name__}", flush=True)
        except Exception:
            bad = 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print(f"not ok {i} - {test.__name__}", flush=True)
        finally:
            run("rm", "-rf", dir)
    sys.exit(bad)


main()

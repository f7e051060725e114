#!/usr/bin/env python3
"""Power loss: a filesystem that holds the repository and the state directory stops at a random moment of a loop of
edits, commits, rebases and autocommits, without writing what it has not written. What must then be true.

usage: power_loss.py [--rounds N] [--fs ext4|xfs] [--without-fsync] [--seed S]

  P3   every edit that an fsync acknowledged is in the workspace (W1, W2: the upper that `state` names is whole);
  P4   every acknowledged commit is on the mainline, once, and all that is reachable passes `git fsck --strict`;
  P5   a workspace whose commit was under way is on one side of it (W3);
  P15  the next mount works without repair by hand, and so does the first commit.

--without-fsync turns fsync and its like into nothing and wants to see losses: does the test test? Needs root and loop
devices.
"""

import argparse
import errno
import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

for place in ("../lib", "../mount"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), place))
import faults as F
import kill9
from onwardtest import Mount, git, make_repo, read, run, until

GOINGDOWN, NO_LOG_FLUSH = 0x8004587D, 2     # of XFS; ext4 has taken them over
IMAGE_SIZE = 320 << 20


class Disk:
    """A loop-mounted image that can lose its power."""

    def __init__(self, dir, fs):
        self.image, self.path = dir + "/disk.img", dir + "/disk"
        with open(self.image, "wb") as f:
            f.truncate(IMAGE_SIZE)
        run("mkfs." + fs, "-q", self.image)
        os.mkdir(self.path)

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)

    def lose_power(self):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, GOINGDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def unmount(self):
        until("the disk is unmounted", lambda: run("umount", self.path, check=False).returncode == 0, 20)


class Client(kill9.Client):
    """Does what kill9's does, in workspace `loop`, and bursts of small files; and lets `auto` commit by itself."""

    def edit(self, ws):
        super().edit(ws)
        if self.rng.random() < 0.3:
            self.burst(ws)
        if self.rng.random() < 0.3:
            self.auto()

    power = True
    late = 0        # answers without power

    def answered(self):
        """The kernel lives on when a filesystem is shut down, and fsync of a directory of XFS succeeds then once what
        it should have written is dropped. A daemon without power gives no answers, so those do not count."""
        if not self.power:
            self.late += 1
            raise OSError(errno.ESHUTDOWN, "the power is gone")

    def check_rebased(self, ws):
        """An autocommit may have moved head since."""

    def burst(self, ws):
        """As an unpacking program does it, that syncs in the end: files, names, directories."""
        self.count += 1
        dir = f"{ws}/burst{self.count % 5}/{self.count}"
        os.makedirs(dir)
        texts = {f"{i}": f"{self.count} {i}\n" * 20 for i in range(20)}
        for name, text in texts.items():
            with open(f"{dir}/.{name}", "w") as f:
                f.write(text)
                f.flush()
                os.fsync(f.fileno())
            os.rename(f"{dir}/.{name}", f"{dir}/{name}")
        for d in (dir, os.path.dirname(dir), ws):
            fd = os.open(d, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        self.answered()
        self.synced.update({os.path.relpath(f"{dir}/{n}", ws): t for n, t in texts.items()})

    def auto(self):
        ws = self.m / "staging/auto"
        if not os.path.isdir(ws):
            os.mkdir(ws)
            with open(ws + "/.onward/autocommit", "wb", buffering=0) as f:
                f.write(b"30ms\n")
        self.count += 1
        text = f"auto {self.count}\n"
        self.flying["auto"] = text
        with open(ws + "/auto", "w") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        self.answered()
        self.synced["../auto/auto"] = text
        self.flying.pop("auto")


def torn(path, got, client):
    """An edit in place that was under way may be half there."""
    name = os.path.basename(path) if path.startswith("../") else path
    return name in client.flying and client.flying[name].startswith(got)


def losses(m, repo, client, acked, synced):
    """What was acknowledged and is not there."""
    lost = []
    subjects = git(repo, "log", "--format=%s", "main").split("\n")
    lost += [f"P4: {message!r} is there {subjects.count(message)} times"
             for message in acked if subjects.count(message) != 1]
    for path, text in synced.items():
        try:
            got = read(m / ("staging/loop/" + path))
        except OSError as e:
            lost.append(f"P3: {path}: {e.strerror}")
            continue
        if got != text and not torn(path, got, client):
            lost.append(f"P3: {path}: fsynced {text[:20]!r}, found {got[:20]!r}")
    return lost


def check_reachable(repo, dir):
    """As a transfer does it: whole, right, nothing missing."""
    copy = dir + "/copy.git"
    p = run("git", "-c", "transfer.fsckObjects=true", "clone", "-q", "--mirror", "--no-local", repo, copy, check=False,
            timeout=600)
    shutil.rmtree(copy, ignore_errors=True)
    return [f"P4: {p.stderr.strip()}"] if p.returncode else []


def first_commit(m, i):
    ws = m / f"staging/after{i}"
    os.mkdir(ws)
    with open(ws + "/after", "w") as f:
        f.write(f"after {i}\n")
    with open(ws + "/.onward/commit", "wb", buffering=0) as f:
        f.write(f"after {i}\n".encode())
    os.rmdir(ws)


class Run:
    def __init__(self, args, dir):
        self.args, self.dir, self.rng = args, dir, random.Random(args.seed)
        self.acked, self.synced, self.count, self.late = [], {}, 0, 0

    def new_disk(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        os.mkdir(self.dir)
        self.disk = Disk(self.dir, self.args.fs)
        self.disk.mount()
        self.repo = make_repo(self.disk.path + "/r.git", {
            **{f"sites/{s}/f{i}.conf": "0\n" for s in kill9.SITES for i in range(3)}, "auto": "0\n", "after": "0\n"})
        self.faults = F.Faults(self.dir, [self.disk.path])
        self.acked, self.synced = [], {}
        os.sync()

    def mount(self):
        self.faults.set(F.NO_SYNC if self.args.without_fsync else F.COUNT, kinds=F.SYNC)
        return Mount(self.dir, self.repo, state=self.disk.path + "/state", options=["-o", "noreconcile"], expect=".*",
                     env=self.faults.env if self.args.without_fsync else None).start()

    def work(self, m):
        """Until the power goes."""
        client = Client(m, self.rng, self.count)
        client.synced = dict(self.synced)
        t = threading.Thread(target=client.loop)
        first = client.count + self.rng.randrange(20)
        t.start()
        until("edits", lambda: client.count >= first or not t.is_alive(), 60)
        time.sleep(self.rng.random() * 0.5)     # the random moment: not a wait for anything
        alive = t.is_alive()
        client.power = False
        self.disk.lose_power()
        m.kill()
        t.join(60)
        assert alive, f"the client failed while there was power: {client.error!r}"
        self.acked += client.acked
        self.late += client.late
        self.synced, self.count = client.synced, client.count
        return client

    def round(self, i):
        """What this round has lost."""
        m = self.mount()
        client = self.work(m)
        self.disk.unmount()
        self.disk.mount()
        lost = check_reachable(self.repo, self.dir)
        try:
            m = self.mount()
        except AssertionError as e:
            return lost + [f"P15: {e}"]
        try:
            lost += losses(m, self.repo, client, self.acked, self.synced)
            first_commit(m, i)
            self.synced = {p: read(m / ("staging/loop/" + p)) for p in self.synced}
            m.stop()
        except (OSError, AssertionError) as e:
            lost.append(f"P15: {e}")
            m.kill()
        return lost

    def rounds(self):
        bad = 0
        self.new_disk()
        for i in range(self.args.rounds):
            lost = self.round(i)
            bad += bool(lost)
            print(f"# round {i + 1}: {len(self.acked)} commits and {len(self.synced)} files acknowledged, "
                  f"{len(lost)} losses", flush=True)
            for line in lost[:5]:
                print("#   " + line.replace("\n", "\n#   "), flush=True)
            if lost:
                self.disk.unmount()
                self.new_disk()
        self.disk.unmount()
        print(f"# {self.late} answers without power", flush=True)
        return bad


def why_not(fs):
    if os.geteuid():
        return "needs root"
    if not shutil.which("mkfs." + fs):
        return f"mkfs.{fs} is not installed"
    dir = tempfile.mkdtemp(prefix="onward-")
    try:
        disk = Disk(dir, fs)
        disk.mount()
        try:
            disk.lose_power()
        finally:
            disk.unmount()
        return None
    except (AssertionError, OSError) as e:
        return f"no loop-mounted {fs} that can be shut down here: {str(e).splitlines()[0]}"
    finally:
        shutil.rmtree(dir, ignore_errors=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--fs", choices=["ext4", "xfs"], default="ext4")
    p.add_argument("--without-fsync", action="store_true")
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    args = p.parse_args()
    why = why_not(args.fs)
    if why:
        print(f"1..0 # SKIP {why}")
        return
    print(f"1..1\n# seed {args.seed}", flush=True)
    dir = tempfile.mkdtemp(prefix="onward-")
    r = Run(args, dir + "/run")
    try:
        bad = r.rounds()
    finally:
        run("fusermount3", "-u", "-z", dir + "/run/mnt", check=False)
        subprocess.run(["umount", "-l", dir + "/run/disk"], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(dir, ignore_errors=True)
    good = bad > 0 if args.without_fsync else bad == 0
    print(f"{'ok' if good else 'not ok'} 1 - {args.rounds} times power loss on {args.fs}"
          f"{' without fsync' if args.without_fsync else ''}: {bad} rounds lost something", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()

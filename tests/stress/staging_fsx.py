#!/usr/bin/env python3
"""Random operations on a workspace and on a twin of it in memory; what can be seen must never differ.

usage: staging_fsx.py [--operations N | --seconds N] [--seed S] [--events N] [--tell]
                                              (default: 20 s; by hand: --operations 1000000)

fsx/ does the operations. Here is what happens beside them, when it asks: commits (the revision must be, byte
for byte, what the twin holds at that instant, by Git's own id of the twin's tree), pushes by others, rebases
onto them, the kernel short of memory, and kill -9 of the daemon, after which all that it had answered for
must be there. A failure says the seed; --seed repeats it, operation for operation, --tell shows each.
"""

import argparse
import errno
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

for place in ("../lib", "../mount"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), place))
from onwardtest import BUILD, Mount, fsck, git, make_repo, read, run, until

FSX = os.environ.get("ONWARD_FSX") or os.path.join(BUILD, "tests/stress/staging_fsx")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
BASE = {
    "a": "the first\n", "b": "", "c.conf": "key = value\n" * 300, "x.sh": "#!/bin/sh\nexit 0\n",
    "d/a": "a\n" * 5000, "d/b": "b\n", "d/e f/c.conf": "deep\n", "d/e f/G/a": "deeper\n",
    "G/a": "g\n", "G/d/b": "gd\n", "G/d/x.sh": "#!/bin/sh\n", "e f/é": "letters\n", "big": "0123456789abcdef" * 9000,
}


class Test:
    def __init__(self, dir, twin, seed):
        self.dir, self.twin, self.rng = dir, twin, random.Random(seed)
        self.repo, self.scratch = make_repo(dir + "/r.git", BASE), dir + "/scratch.git"
        run("git", "init", "-q", "--bare", self.scratch)
        run("sh", "-c", 'git -C "$0" archive main | tar xf - -C "$1"', self.repo, twin)
        self.theirs = {}    # pushed by others, not in the workspace yet
        self.counts = {}
        self.mount = self.new_mount()
        self.ws = self.mount / "staging/fsx"
        os.mkdir(self.ws)

    def new_mount(self):
        return Mount(self.dir, self.repo, options=["-o", "noreconcile"]).start()

    def twin_tree(self):
        """Git's id of what the twin holds."""
        env = {"GIT_DIR": self.scratch, "GIT_WORK_TREE": self.twin, "GIT_INDEX_FILE": self.dir + "/index"}
        # Its warnings hold names, which need not be text: bytes, for which it has to have an input.
        run("git", "-c", "core.bare=false", "add", "-A", "-f", ".", cwd=self.twin, env=env, stdin=b"")
        return run("git", "write-tree", cwd=self.twin, env=env).strip()

    def tree(self, rev):
        return git(self.repo, "rev-parse", rev + "^{tree}").strip()

    def control(self, name, line):
        """What writing to a control file answers: 0 or its errno."""
        fd = os.open(f"{self.ws}/.onward/{name}", os.O_WRONLY)
        try:
            os.write(fd, line)
        except OSError as e:
            return e.errno
        finally:
            os.close(fd)
        return 0

    def take_theirs(self):
        """What others pushed, now in the workspace: in the twin too. In place, as who has it open sees it."""
        for path, text in self.theirs.items():
            os.makedirs(os.path.dirname(os.path.join(self.twin, path)), exist_ok=True)
            with open(os.path.join(self.twin, path), "w") as f:
                f.write(text)
        self.theirs = {}

    def base(self):
        return self.tree(os.path.basename(os.readlink(self.ws + "/.onward/base")))

    def commit(self, n):
        unchanged = self.twin_tree() == self.base()
        r = self.control("commit", b"at operation %d\n" % n)
        outcome = read(self.ws + "/.onward/outcome")
        if unchanged:
            assert r == errno.ENODATA, f"commit of nothing answered {r}: {outcome}"
            return
        assert r == 0, f"commit answered {r}: {outcome}"
        self.take_theirs()
        self.settled(n)

    def settled(self, n):
        """The workspace is clean, and on a head that is what the twin holds."""
        want, got = self.twin_tree(), self.tree("main")
        if want != got:
            env = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": self.scratch + "/objects"}
            raise AssertionError("the revision is not what was there:\n" +
                                 git(self.repo, "diff", "--stat", "-p", want, got, env=env, stdin=b"")
                                 .decode(errors="backslashreplace")[:3000])
        changes = read(self.ws + "/.onward/changes")
        assert not changes, f"changes after a commit: {changes}"

    def push(self, files):
        """As `git push` by somebody else."""
        env = {"GIT_INDEX_FILE": self.dir + "/theirs"}
        git(self.repo, "read-tree", "main", env=env)
        for path, text in files.items():
            id = git(self.repo, "hash-object", "-w", "--stdin", stdin=text).strip()
            git(self.repo, "update-index", "--add", "--cacheinfo", f"100644,{id},{path}", env=env)
        tree = git(self.repo, "write-tree", env=env).strip()
        id = git(self.repo, "commit-tree", "-p", "main", "-m", "theirs", tree).strip()
        git(self.repo, "update-ref", "refs/heads/main", id)
        until("head moves", lambda: self.mount.link("head") == id, 60)
        self.theirs.update(files)

    def move(self, n):
        self.push({f"theirs-{n}": f"pushed at {n}\n", f"theirs-{n}.d/e/new": "new\n"})

    def rebase(self, n):
        """Others add to a directory and change a file, where neither can conflict."""
        files = {f"{d}/theirs-{n}": f"pushed at {n}\n" for d in self.shared_directories()}
        self.push({**files, **{f: f"changed at {n}\n" for f in self.unchanged_files()}})
        self.settle_rebase()

    def settle_rebase(self):
        r = self.control("rebase", b"x\n")
        assert r == 0, f"rebase answered {r}: {read(self.ws + '/.onward/outcome')}"
        self.take_theirs()
        head = self.mount.link("head")
        assert os.readlink(self.ws + "/.onward/base").endswith(head)

    def shared_directories(self):
        """Some of the mainline's directories whose place in the twin is a directory or free."""
        def fits(path):
            at = self.twin
            for part in path.split("/"):
                at = os.path.join(at, part)
                if not os.path.lexists(at):
                    return True
                if os.path.islink(at) or not os.path.isdir(at):
                    return False
            return True
        all = git(self.repo, "ls-tree", "-r", "-d", "-z", "--name-only", "main", stdin=b"")
        names = [n for n in all.decode(errors="surrogateescape").split("\0") if n and fits(n)]
        return self.rng.sample(names, min(2, len(names)))

    def unchanged_files(self):
        """One of the files that the twin, the base and the mainline have alike."""
        base = os.path.basename(os.readlink(self.ws + "/.onward/base"))
        def of(rev):
            out = git(self.repo, "ls-tree", "-r", "-z", rev, stdin=b"").decode(errors="surrogateescape")
            return {l.split("\t", 1)[1]: l.split("\t")[0] for l in out.split("\0") if l}
        self.twin_tree()
        env = {"GIT_INDEX_FILE": self.dir + "/index"}
        out = git(self.scratch, "ls-files", "-s", "-z", env=env, stdin=b"").decode(errors="surrogateescape")
        ours = {l.split("\t", 1)[1]: l.split("\t")[0].split() for l in out.split("\0") if l}
        theirs, base = of("main"), of(base)
        same = [p for p, e in theirs.items() if e.startswith("100644") and base.get(p) == e and
                p in ours and ours[p][:2] == [e.split()[0], e.split()[2]] and "theirs" not in p]
        return self.rng.sample(sorted(same), min(1, len(same)))

    def forget(self, n):
        """The kernel lets go of all names that nobody uses, of the whole machine; only root can make it."""
        try:
            with open("/proc/sys/vm/drop_caches", "w") as f:
                f.write("2")
        except OSError:
            pass

    def kill(self, n):
        self.mount.kill()
        self.mount = self.new_mount()

    def serve(self, process, end):
        """Answers until the operations are done; how many there were."""
        for line in process.stdout:
            what, n = line.split()
            if what == "done":
                return int(n)
            if what != "time":
                getattr(self, what)(int(n))
                self.counts[what] = self.counts.get(what, 0) + 1
            process.stdin.write("stop\n" if what == "time" and end and time.monotonic() > end else "ok\n")
            process.stdin.flush()
        raise AssertionError("see above")


def play(args, dir, twin):
    test = Test(dir, twin, args.seed)
    try:
        words = [FSX, test.ws, twin, str(args.seed), str(args.operations or 10**9), str(args.events)]
        words += ["--tell"] * args.tell
        end = None if args.operations else time.monotonic() + args.seconds
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                n = test.serve(process, end)
            finally:
                process.stdin.close()
        fsck(test.repo)
        test.mount.stop()
    except BaseException:
        test.mount.__exit__(*sys.exc_info())
        raise
    print(f"# {n} operations; " + ", ".join(f"{v} {k}" for k, v in sorted(test.counts.items())))
    return n


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--operations", type=int)
    p.add_argument("--seconds", type=float, default=20)
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    p.add_argument("--events", type=int, default=2000, metavar="N", help="one every N operations, on average")
    p.add_argument("--tell", action="store_true")
    args = p.parse_args()
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("1..0 # SKIP /dev/fuse cannot be opened")
        return
    print(f"1..1\n# seed {args.seed}", flush=True)
    dir, twin = tempfile.mkdtemp(prefix="onward-"), tempfile.mkdtemp(prefix="onward-twin-", dir=MEMORY)
    try:
        play(args, dir, twin)
    except BaseException as e:
        print(f"not ok 1 - random operations (--seed {args.seed}; kept: {dir}, {twin})", flush=True)
        print(*("# " + l for l in str(e).splitlines()), sep="\n", flush=True)
        raise
    shutil.rmtree(dir, ignore_errors=True)
    shutil.rmtree(twin, ignore_errors=True)
    print("ok 1 - random operations on a workspace")


if __name__ == "__main__":
    main()

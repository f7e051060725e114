"""What runs beside each other: each worker is a process that loops until it is told to stop.

A worker's `step` does one thing and compares it with what Git says; whatever raises there is a failure of
the test. `counts` are what it did.
"""

import collections
import errno
import mmap
import os
import random
import stat
import sys
import time
import traceback

from oracle import Oracle, git_bytes, now_env
from onwardtest import git, run

import material


class Mismatch(Exception):
    pass


def same(what, ours, gits):
    if ours != gits:
        raise Mismatch(f"{what}: the mount has {short(ours)}, Git {short(gits)}")


def short(value):
    text = repr(value)
    return text if len(text) < 400 else f"{text[:180]} … {text[-180:]} ({len(value)} long)"


def same_bytes(what, ours, gits):
    if ours != gits:
        at = next((i for i, (a, b) in enumerate(zip(ours, gits)) if a != b), min(len(ours), len(gits)))
        raise Mismatch(f"{what}: {len(ours)} bytes, Git has {len(gits)}; they differ from byte {at} on: "
                       f"{short(ours[at:at + 40])} against {short(gits[at:at + 40])}")


class Worker:
    def __init__(self, test, name):
        self.test, self.name = test, name
        self.counts = collections.Counter()

    def begin(self):
        self.rng = random.Random(f"{self.test.seed}/{self.name}")
        self.oracle = Oracle(self.test.repo)
        self.mnt = os.fsencode(self.test.mount)

    def run(self, stop, results):
        """The process: a failure is told and ends it; else its counts are, at the end."""
        try:
            self.begin()
            while not stop.is_set():
                self.step()
            self.end()
            self.oracle.close()
            results.put((self.name, dict(self.counts), None))
        except BaseException:
            results.put((self.name, dict(self.counts), traceback.format_exc()))
            stop.set()
        sys.stdout.flush()

    def step(self):
        raise NotImplementedError

    def end(self):
        pass

    def path(self, revision, path):
        return os.path.join(self.mnt, b"revisions", revision.encode(), path)


class Reader(Worker):
    """Files of any revision: whole, in pieces, mapped; size and mode beside the bytes."""

    def step(self):
        revision = self.oracle.any_revision(self.rng)
        tree = self.oracle.tree(revision)
        files = [p for p, e in tree.items() if e.kind == "blob"]
        for path in self.rng.sample(files, min(8, len(files))):
            if path == b"large" and self.rng.random() < 0.8:
                continue
            self.one(revision, path, tree[path])

    def one(self, revision, path, entry):
        full, data = self.path(revision, path), self.oracle.blob(entry.oid)
        what = f"{revision} {path!r} ({entry.oid.decode()})"
        if stat.S_ISLNK(entry.mode):
            same_bytes(f"{what} link", os.readlink(full), data)
        else:
            way = self.rng.choice((self.whole, self.pieces, self.pieces, self.mapped))
            with open(full, "rb", buffering=0) as f:
                way(what, f, data)
                st = os.fstat(f.fileno())
            same(f"{what} size", st.st_size, len(data))
            same(f"{what} mode", st.st_mode, stat.S_IFREG | (0o555 if entry.mode & 0o111 else 0o444))
        self.counts["files"] += 1
        self.counts["bytes"] += len(data)
        if self.rng.random() < 0.02:
            self.attributes(what, revision, path, entry)

    def whole(self, what, f, data):
        same_bytes(what, f.read(), data)

    def pieces(self, what, f, data):
        for i in range(4):
            at = self.rng.randrange(len(data) + 10)
            size = self.rng.choice((1, 100, 4096, 131072, 500_000))
            same_bytes(f"{what} at {at}", os.pread(f.fileno(), size, at), data[at:at + size])

    def mapped(self, what, f, data):
        if not data:
            return same_bytes(what, f.read(), data)
        with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
            at = self.rng.randrange(len(data))
            same_bytes(f"{what} mapped, from {at}", m[at:], data[at:])

    def attributes(self, what, revision, path, entry):
        full = self.path(revision, path)
        if not stat.S_ISLNK(entry.mode):    # the kernel knows no user attributes of links
            same(f"{what} user.git.oid", os.getxattr(full, "user.git.oid"), entry.oid)
        if self.test.mtime == "revision":
            expected = self.oracle.time(revision)
        elif revision in self.oracle.line:
            expected = self.oracle.changed(revision, path)
        else:
            return
        same(f"{what} mtime", os.lstat(full).st_mtime_ns, expected * 10**9)
        self.counts["times"] += 1


class Walker(Worker):
    """Whole revisions: every name, kind, mode, size and link target, and nothing else."""

    def step(self):
        revision = self.oracle.any_revision(self.rng)
        expected, seen = self.oracle.tree(revision), set()
        top = os.path.join(self.mnt, b"revisions", revision.encode())
        for dir, dirs, files in os.walk(top, onerror=self.complain):
            for name in dirs + files:
                full = os.path.join(dir, name)
                path = os.path.relpath(full, top)
                if path not in expected:
                    raise Mismatch(f"{revision} {path!r}: in the mount, not in Git")
                self.entry(revision, path, full, expected[path])
                seen.add(path)
        missing = set(expected) - seen
        same(f"{revision}: missing in the mount", sorted(missing)[:5], [])
        self.counts["walks"] += 1
        self.counts["entries"] += len(seen)

    def complain(self, error):
        raise error

    def entry(self, revision, path, full, entry):
        what, st = f"{revision} {path!r}", os.lstat(full)
        if entry.kind != "blob":
            return same(f"{what} mode", st.st_mode, stat.S_IFDIR | 0o555)
        link = stat.S_ISLNK(entry.mode)
        same(f"{what} kind", stat.S_IFMT(st.st_mode), stat.S_IFLNK if link else stat.S_IFREG)
        same(f"{what} size", st.st_size, entry.size)
        if link:
            same_bytes(f"{what} link", os.readlink(full), self.oracle.blob(entry.oid))
        else:
            same(f"{what} mode", st.st_mode & 0o7777, 0o555 if entry.mode & 0o111 else 0o444)


class ViewReader(Worker):
    """branches/, tags/, at/, commits/, history/: what stands still must stay right while the rest moves."""

    def begin(self):
        super().begin()
        self.base = [(id, material.START + i * material.STEP) for i, id in enumerate(self.test.base)]
        self.checks = [self.fixed, self.at, self.commit, self.listed]
        if os.path.isdir(os.path.join(self.mnt, b"history")):
            self.checks.append(self.history)

    def step(self):
        check = self.rng.choice(self.checks)
        check()
        self.counts[check.__name__] += 1

    def target(self, path):
        return os.fsdecode(os.readlink(os.path.join(self.mnt, os.fsencode(path)))).rsplit("revisions/", 1)[1]

    def fixed(self):
        name, id = self.rng.choice(sorted(self.test.fixed.items()))
        place = "branches" if name.startswith("fixed/") else "tags"
        same(f"{place}/{name}", self.target(f"{place}/{name}"), id)

    def listed(self):
        names = set(os.listdir(os.path.join(self.mnt, b"branches/fixed")))
        names |= {n for n in os.listdir(os.path.join(self.mnt, b"tags")) if n.startswith(b"fixed-")}
        same("fixed branches and tags", names, {os.fsencode(os.path.basename(n)) for n in self.test.fixed})
        revisions = set(os.listdir(os.path.join(self.mnt, b"revisions")))
        absent = {id.encode() for id, _ in self.base} - revisions
        same("not listed in revisions/", sorted(absent), [])

    def at(self):
        i = self.rng.randrange(len(self.base))
        id, when = self.base[i]
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when + self.rng.randrange(material.STEP)))
        try:
            same(f"at/{moment}", self.target("at/" + moment), id)
        except FileNotFoundError:
            if os.path.isdir(os.path.join(self.mnt, b"at")):
                raise

    def commit(self):
        id = self.oracle.any_revision(self.rng)
        with open(os.path.join(self.mnt, b"commits", id.encode(), b"message"), "rb") as f:
            same_bytes(f"commits/{id}/message", f.read(),
                       git_bytes(self.test.repo, "cat-file", "commit", id).split(b"\n\n", 1)[1])

    def history(self):
        """The versions of a path that existed when the test began; newer ones may have come since."""
        path = self.rng.choice(sorted(self.oracle.tree(self.test.base[-1])))
        before = self.oracle.versions(path)
        try:
            names = os.listdir(os.path.join(self.mnt, b"history", path))
        except OSError as e:
            if e.errno != errno.EAGAIN:     # the index does not keep up with the storm: it says so
                raise
            self.counts["history-again"] += 1
            return
        links = sorted(n for n in names if n[:4].isdigit() and n[4:5] == b"-")
        ours = [n.rsplit(b"-", 1)[1].decode() for n in links]
        same(f"history/{path!r}", ours[:len(before)], [id[:12] for id in before])
        if links:
            n, i = len(links), self.rng.randrange(len(before))
            target = os.fsdecode(os.readlink(os.path.join(self.mnt, b"history", path, links[i])))
            same(f"history/{path!r}/{links[i]!r}", target.split("revisions/")[1].split("/")[0], before[i])


class RefChurner(Worker):
    """Branches and tags come, move and go; refs are packed; commits appear on side and on the mainline."""

    def begin(self):
        super().begin()
        self.index = os.path.join(self.test.dir, "index-" + self.name)

    def git(self, *args, **kw):
        """Git's own programs stumble over each other: a repack removes the directory that another writes to."""
        for i in range(10):
            p = git(self.test.repo, *args, check=False, **kw)
            if not p.returncode:
                return p.stdout
            if "No such file or directory" not in p.stderr and "lock" not in p.stderr:
                break
            self.counts["git-again"] += 1
        raise AssertionError(f"git {' '.join(args)}: {p.stderr}")

    def step(self):
        act = self.rng.choice((self.create, self.create, self.move, self.delete, self.tag, self.pack,
                               self.commit_side, self.commit_main))
        act()
        self.counts[act.__name__] += 1

    def ref(self):
        return f"refs/heads/churn/{self.rng.choice('abc')}/{self.rng.randrange(20)}"

    def create(self):
        self.git("update-ref", self.ref(), self.oracle.any_revision(self.rng))

    move = create

    def delete(self):
        self.git("update-ref", "-d", self.ref())

    def tag(self):
        name, id = f"churn-{self.rng.randrange(20)}", self.oracle.any_revision(self.rng)
        self.git("tag", "-f", *self.rng.choice(((), ("-a", "-m", "churn"))), name, id)

    def pack(self):
        self.git("pack-refs", "--all")

    def grow(self, ref, path):
        """A commit on `ref` that changes `path`, by plumbing; False when somebody else was faster."""
        old = self.git("rev-parse", ref).strip()
        env = {**now_env(), "GIT_INDEX_FILE": self.index}
        text = f"{self.name} {self.rng.getrandbits(64):x}\n" * self.rng.randrange(1, 500)
        oid = self.git("hash-object", "-w", "--stdin", stdin=text).strip()
        self.git("read-tree", old, env=env)
        self.git("update-index", "--add", "--cacheinfo", f"100644,{oid},{path}", env=env)
        tree = self.git("write-tree", env=env).strip()
        new = self.git("commit-tree", tree, "-p", old, "-m", f"grow {path}", env=env).strip()
        return git(self.test.repo, "update-ref", ref, new, old, check=False).returncode == 0

    def commit_side(self):
        self.grow("refs/heads/side", f"side/f{self.rng.randrange(30)}")

    def commit_main(self):
        if not self.grow("refs/heads/main", f"pushed/f{self.rng.randrange(30)}"):
            self.counts["lost-races"] += 1


class Packer(Worker):
    """Everything is packed anew, and what is packed is removed, again and again."""

    def step(self):
        way = self.rng.choice((("repack", "-adfq"), ("repack", "-adfq"), ("gc", "-q"),
                               ("repack", "-dq"), ("repack", "-adfq", "--write-midx"),
                               ("commit-graph", "write", "--reachable")))
        git(self.test.repo, *way, timeout=600)
        self.counts[way[0]] += 1


class Stager(Worker):
    """Edits and commits through a workspace; what is acknowledged is there at once, in the mount and in Git."""

    def begin(self):
        super().begin()
        self.ws = os.path.join(self.test.mount, "staging", self.name)
        os.mkdir(self.ws)
        self.slowest = 0.0

    def step(self):
        path = f"staged/{self.name}/f{self.rng.randrange(20)}"
        text = f"{self.name} {self.rng.getrandbits(64):x}\n" * self.rng.randrange(1, 300)
        full = os.path.join(self.ws, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)
        begin = time.monotonic()
        self.commit(path)
        self.slowest = max(self.slowest, time.monotonic() - begin)
        with open(self.ws + "/.onward/outcome") as f:
            id = f.read().split()[0]
        with open(self.path(id, path.encode()), "rb") as f:
            same_bytes(f"{id} {path}, just committed", f.read(), text.encode())
        same_bytes(f"{id} {path} in Git", git_bytes(self.test.repo, "cat-file", "blob", f"{id}:{path}"),
                   text.encode())
        git(self.test.repo, "merge-base", "--is-ancestor", id, "main")
        self.counts["commits"] += 1

    def commit(self, path):
        try:
            with open(self.ws + "/.onward/commit", "wb", buffering=0) as f:
                f.write(f"change {path}\n".encode())
        except OSError as e:
            with open(self.ws + "/.onward/outcome") as f:
                raise Mismatch(f"commit of {path}: {e}; outcome: {f.read()}")

    def end(self):
        os.rmdir(self.ws)
        self.counts["slowest-commit-ms"] = round(self.slowest * 1000)


class Probe(Worker):
    """How long a small read takes at most, whatever happens meanwhile: out of the page cache, and asked of the
    daemon."""

    def begin(self):
        super().begin()
        revision = self.test.base[0]
        tree = self.oracle.tree(revision)
        path = next(p for p, e in tree.items() if 0 < e.size < 4096 and stat.S_ISREG(e.mode))
        self.file, self.data = self.path(revision, path), self.oracle.blob(tree[path].oid)
        self.times = {"cached": [], "asked": []}

    def step(self):
        for kind in self.times:
            self.read(kind)
        time.sleep(0.002)   # a reader that comes now and then; nothing is waited for

    def read(self, kind):
        with open(self.file, "rb", buffering=0) as f:
            if kind == "asked":
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin = time.perf_counter()
            data = f.read()
            self.times[kind].append(time.perf_counter() - begin)
        same_bytes(f"{self.file!r}, {kind}", data, self.data)

    def end(self):
        for kind, times in self.times.items():
            times.sort()
            for name, share in (("median", 0.5), ("p99", 0.99), ("most", 1)):
                self.counts[f"{kind}-us-{name}"] = round(times[int((len(times) - 1) * share)] * 1e6)
        self.counts["reads"] = sum(map(len, self.times.values()))

"""What is read: a repository, two revisions of it, one path in many revisions, and one large file.

The yardsticks are written from Git's objects as they are (`git checkout-index` with every conversion
that attributes may ask for turned off), so that each target holds the same bytes.
"""

import collections
import os
import random
import subprocess

from onwardtest import ENV, git, run

NO_CONVERSION = "* -text -eol -crlf -filter -ident -working-tree-encoding\n"


def lines(text):
    return text.splitlines()


class Subject:
    """A repository and what of it is read. `near`: so many revisions before the tip, along first parents."""

    def __init__(self, repo, revisions=1000, near=200, path=None):
        self.repo, self.name = repo, os.path.basename(repo)
        branch = "main" if run("git", "-C", repo, "rev-parse", "-q", "--verify", "refs/heads/main",
                               check=False).returncode == 0 else "HEAD"
        self.revisions = lines(git(repo, "rev-list", "--first-parent", "-n", str(revisions), branch))
        self.tip = self.revisions[0]
        self.distance = min(near, len(self.revisions) - 1)
        self.near = self.revisions[self.distance]
        self.length = int(git(repo, "rev-list", "--first-parent", "--count", branch))
        self.path = path or self.busiest_path()

    def busiest_path(self):
        """The path that changed most often among those that all the revisions have."""
        log = git(self.repo, "log", "--first-parent", "-m", "--no-renames", "--format=", "--name-only", "-z",
                  "-n", str(len(self.revisions)), self.tip)
        counts = collections.Counter(p for p in log.split("\0") if p and "\n" not in p)
        for path, count in counts.most_common(100):
            if all(kind == "blob" for kind in self.batch_check(path)):
                return path
        raise SystemExit(f"{self.repo}: no path is there in all of {len(self.revisions)} revisions: give --path")

    def specs(self, path):
        return "".join(f"{id}:{path}\n" for id in self.revisions)

    def batch_check(self, path):
        out = git(self.repo, "cat-file", "--batch-check=%(objecttype)", stdin=self.specs(path))
        return [line.split()[-1] for line in lines(out)]

    def sizes(self, revision):
        """Files and bytes of a revision."""
        rows = [l.split(None, 4) for l in git(self.repo, "ls-tree", "-r", "-l", "-z", revision).split("\0")[:-1]]
        return len(rows), sum(int(r[3]) for r in rows if r[3].isdigit())

    def __str__(self):
        files, bytes = self.sizes(self.tip)
        return f"{self.name}: {files:,} files, {bytes / 1e6:.0f} MB, {self.length:,} revisions"


class Writer:
    """Writes trees and blobs of a repository into directories, without touching the repository."""

    def __init__(self, repo, dir):
        self.dir = os.path.join(dir, "writer.git")
        run("git", "init", "-q", "--bare", self.dir)
        objects = os.path.join(os.path.abspath(repo), git(repo, "rev-parse", "--git-path", "objects").strip())
        with open(self.dir + "/objects/info/alternates", "w") as f:
            f.write(objects + "\n")
        with open(self.dir + "/info/attributes", "w") as f:
            f.write(NO_CONVERSION)

    def tree(self, revision, target):
        os.makedirs(target)
        env = {"GIT_INDEX_FILE": os.path.join(self.dir, "index-" + revision)}
        git(self.dir, "read-tree", revision, env=env)
        git(self.dir, "-c", "core.bare=false", "--work-tree=" + target, "checkout-index", "-a", "-q", env=env,
            timeout=1800)

    def versions(self, subject, target):
        """One file for each revision: 0000 is the tip's."""
        os.makedirs(target)
        out = run("git", "-C", self.dir, "cat-file", "--batch", stdin=subject.specs(subject.path).encode())
        at = 0
        for i in range(len(subject.revisions)):
            end = out.index(b"\n", at)
            size = int(out[at:end].split()[2])
            with open(f"{target}/{i:04}", "wb") as f:
                f.write(out[end + 1:end + 1 + size])
            at = end + size + 2


def words(rng):
    return [("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(2, 11)))) for i in range(3000)]


def text(rng, vocabulary, bytes):
    out = []
    while bytes > 0:
        line = " ".join(rng.choices(vocabulary, k=rng.randrange(3, 12))) + "\n"
        out.append(line)
        bytes -= len(line)
    return out


def make_repository(path, files, revisions, seed=1):
    """A bare repository of that many files in directories of twenty; each revision changes three of them."""
    rng = random.Random(seed)
    vocabulary = words(rng)
    names = [f"area{i // 400}/part{i // 20 % 20:02}/file{i % 20:02}.conf" for i in range(files)]
    tree = {n: text(rng, vocabulary, int(min(200_000, rng.lognormvariate(8.2, 1.1)))) for n in names}
    run("git", "init", "-q", "--bare", "-b", "main", path)
    p = subprocess.Popen(["git", "-C", path, "fast-import", "--quiet"], stdin=subprocess.PIPE, text=True, env=ENV)
    for i in range(revisions):
        changed = names if i == 0 else [names[0]] + rng.sample(names, 2)
        p.stdin.write(f"commit refs/heads/main\ncommitter A <a@example.org> {1700000000 + i * 600} +0000\n"
                      "data 2\nc\n")
        for name in changed:
            if i:
                tree[name][rng.randrange(len(tree[name]))] = f"changed at {i}\n"
            body = "".join(tree[name])
            p.stdin.write(f"M 100644 inline {name}\ndata {len(body)}\n{body}\n")
    p.stdin.close()
    if p.wait():
        raise SystemExit("git fast-import failed")
    git(path, "repack", "-adq", timeout=600)
    return path


def make_blob_repository(path, bytes):
    """A bare repository with one file, `blob`, of that size: hexadecimal noise, packed, not a delta."""
    run("git", "init", "-q", "--bare", "-b", "main", path)
    rng, blob = random.Random(2), path + ".blob"
    with open(blob, "w") as f:
        for at in range(0, bytes, 1 << 20):
            f.write(rng.randbytes(1 << 19).hex()[:min(1 << 20, bytes - at)])
    # Files over core.bigFileThreshold go straight into a pack, whole.
    oid = git(path, "-c", "core.bigFileThreshold=1m", "-c", "core.compression=1", "hash-object", "-w", blob,
              timeout=900).strip()
    tree = git(path, "mktree", stdin=f"100644 blob {oid}\tblob\n").strip()
    git(path, "update-ref", "refs/heads/main", git(path, "commit-tree", "-m", "blob", tree).strip())
    return blob

"""What Git says of a repository, asked while others change it: for one process, with its own `git cat-file`."""

import collections
import os
import subprocess
import sys
import time

for place in ("../lib", "../mount"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), place))
from fidelity import Objects
from onwardtest import ENV, git

Entry = collections.namedtuple("Entry", "mode kind oid size")
KEPT_TREES = 40
LINE_EVERY = 0.5    # seconds after which the lists of revisions are asked for again


def now_env():
    """Commits of the test have the time at which they are made."""
    date = f"{int(time.time())} +0000"
    return {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}


def git_bytes(repo, *args):
    p = subprocess.run(["git", "-C", repo, *args], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode:
        raise AssertionError(f"the oracle itself: git {' '.join(args)}: {p.stderr.decode()}")
    return p.stdout


class Oracle:
    def __init__(self, repo):
        self.repo, self.objects = repo, Objects(repo)
        self.trees, self.blobs = collections.OrderedDict(), collections.OrderedDict()
        self.asked, self.line, self.side = 0, [], []

    def refresh(self):
        if time.monotonic() - self.asked > LINE_EVERY:
            self.asked = time.monotonic()
            self.line = git(self.repo, "rev-list", "--first-parent", "main").split()
            self.side = git(self.repo, "rev-list", "side", "^main").split()

    def any_revision(self, rng):
        """One of the mainline, newer ones more often, or of the side branch."""
        self.refresh()
        if self.side and rng.random() < 0.1:
            return rng.choice(self.side)
        newest = rng.random() < 0.3
        return rng.choice(self.line[:10] if newest else self.line)

    def tree(self, revision):
        """Path -> Entry, of everything below a revision."""
        if revision not in self.trees:
            found = {}
            for record in git_bytes(self.repo, "ls-tree", "-r", "-t", "-l", "-z", revision).split(b"\0")[:-1]:
                meta, path = record.split(b"\t", 1)
                mode, kind, oid, size = meta.split()
                found[path] = Entry(int(mode, 8), kind.decode(), oid, int(size) if size != b"-" else 0)
            self.trees[revision] = found
            if len(self.trees) > KEPT_TREES:
                self.trees.popitem(last=False)
        return self.trees[revision]

    def blob(self, oid):
        data = self.objects.blob(oid)
        assert data is not None, f"the oracle itself: {oid.decode()} is missing"
        return data

    def time(self, revision):
        return int(git(self.repo, "log", "-1", "--format=%ct", revision))

    def changed(self, revision, path):
        """The time of the revision that last changed the path on the line that leads to `revision`."""
        found = git_bytes(self.repo, "log", "-1", "--first-parent", "--format=%ct", revision, "--", path)
        return int(found)

    def versions(self, path):
        """The mainline's revisions that changed the path, oldest first."""
        return git_bytes(self.repo, "log", "--first-parent", "--reverse", "--format=%H", "main", "--",
                         path).decode().split()

    def close(self):
        self.objects.close()

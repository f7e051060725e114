#!/usr/bin/env python3
"""A workspace taken as a tree: what it costs, and what it leaves in the repository."""

import errno
import os
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, fsck, git, make_repo, read, run, write
from test_checks import host, runs
from test_staging import say
from test_views import VIEW, fails

BIG = bytes(range(256)) * 4096 * 5  # 5 MB
BASE = {"a.txt": "one\n", "d/b.txt": "two\n", "d/c.yaml": "k: v\n", "x.sh": "#!/bin/sh\n", "kind": "file\n",
        "bin": b"\0\1\2", "other": "same\n"}


def database(repo):
    """Every file of the object database and its size."""
    found = {}
    for where, _, names in os.walk(repo + "/objects"):
        found.update({f"{where}/{name}": os.lstat(f"{where}/{name}").st_size for name in names})
        found[where] = len(names)
    return found


def change_every_kind(ws):
    write(ws + "/a.txt", "changed\n")
    write(ws + "/new/deep/file.json", '{"new": true}\n')
    write(ws + "/big", BIG)
    write(ws + "/bin", b"\0\3\2")
    os.unlink(ws + "/d/b.txt")
    os.chmod(ws + "/x.sh", 0o755)
    os.unlink(ws + "/kind")
    os.symlink("../nowhere", ws + "/kind")
    os.mkdir(ws + "/empty")
    os.rename(ws + "/d", ws + "/e")


CHANGES = ("M a.txt\nA big\nM bin\nD d/b.txt\nD d/c.yaml\nA e/c.yaml\nT kind\nA new/deep/file.json\nM x.sh\n")


def test_looking_writes_nothing(dir):
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        change_every_kind(ws)
        before = database(repo)
        for _ in range(2):
            assert read(ws + "/.onward/changes") == CHANGES
            status = read(ws + "/.onward/status")
            assert "added: 3\nmodified: 3\ndeleted: 2\ntype-changed: 1\n" in status, status
            patch = read(ws + "/.onward/diff")
            assert read(ws + "/.onward/check") == ""
            fails(errno.ENOTEMPTY, os.rmdir, ws)
        write(ws + "/new/deep/file.json", "{]\n")
        assert read(ws + "/.onward/check").startswith("new/deep/file.json:1:"), read(ws + "/.onward/check")
        write(ws + "/new/deep/file.json", '{"new": true}\n')
        assert database(repo) == before
        # What was said of it is what is committed.
        say(ws + "/.onward/commit", "every kind")
        assert git(repo, "diff", "--name-status", "--no-renames", "main^", "main").replace("\t", " ") == CHANGES
        run("git", "clone", "-q", repo, dir + "/clone")
        run("git", "-C", dir + "/clone", "checkout", "-q", "main^")
        write(dir + "/patch", patch)
        run("git", "-C", dir + "/clone", "apply", "--index", dir + "/patch")
        assert git(dir + "/clone", "write-tree") == git(repo, "rev-parse", "main^{tree}")
        fsck(repo)


def test_commands_that_check_find_the_tree_written(dir):
    repo = make_repo(dir + "/r.git", {**BASE, "onward.yaml": "onward: 1\nchecks: [lint]\n"})
    with Mount(dir, repo, options=VIEW, config=host(dir, "cat a.txt new >%s/seen" % dir)) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        write(ws + "/new", "new\n")
        write(ws + "/a.txt", "changed\n")
        assert read(ws + "/.onward/check") == "" and read(dir + "/seen") == "changed\nnew\n"
        before = database(repo)
        assert read(ws + "/.onward/check") == "" and runs(dir) == 1
        assert database(repo) == before


def test_new_files_are_packs(dir):
    """Committed beside a git that packs anew and drops what no ref leads to, all the time."""
    repo = make_repo(dir + "/r.git", BASE)
    stop = threading.Event()

    def repack():
        while not stop.is_set():
            git(repo, "repack", "-q", "-a", "-d")

    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        packer = threading.Thread(target=repack)
        packer.start()
        try:
            for round in range(5):
                for i in range(200):
                    write(f"{ws}/r{round}/d{i % 10}/f{i}", f"{round} {i}\n")
                say(ws + "/.onward/commit", f"round {round}")
        finally:
            stop.set()
            packer.join()
        assert len(git(repo, "ls-tree", "-r", "main").splitlines()) == 1000 + len(BASE)
        fsck(repo)
        assert not [name for name in os.listdir(repo + "/objects/pack") if name.endswith(".keep")]
        before = len(git(repo, "rev-list", "--all", "--objects").splitlines())
        git(repo, "repack", "-q", "-a", "-d")
        write(ws + "/one", "more\n")
        say(ws + "/.onward/commit", "one")
        assert git(repo, "count-objects").split()[0] == "0", "a loose object, which nothing holds"
        assert len(git(repo, "rev-list", "--all", "--objects").splitlines()) == before + 3      # a blob, the root, the revision


def test_a_restart_reads_no_workspace(dir):
    """However much has changed in them, mounting again costs the same. Shown by the times at which
    their directories were last read."""
    repo = make_repo(dir + "/r.git", BASE)
    probe = dir + "/probe/."
    os.makedirs(probe)
    os.utime(probe, (1, time.time()))
    os.listdir(probe)
    if os.stat(probe).st_atime == 1:
        return print("# skipped: the filesystem does not note when a directory was read")
    with Mount(dir, repo, options=VIEW) as m:
        for w in range(8):
            os.mkdir(m / f"staging/w{w}")
            for i in range(60):
                write(m / f"staging/w{w}/new/d{i % 4}/f{i}", f"{i}\n")
    below = [where for where, _, _ in os.walk(m.state) if re.search(r"/upper\.\d+", where)]
    assert len(below) == 8 * 6, below
    for where in below:
        os.utime(where, (1, time.time()))
    with m:
        assert len(os.listdir(m / "staging")) == 8
        assert [where for where in below if os.stat(where).st_atime != 1] == []
        assert m.read("staging/w3/new/d3/f59") == "59\n"
        assert "added: 60\n" in m.read("staging/w3/.onward/status")
        now = [where for where in below if os.stat(where).st_atime != 1]
        assert now and all("/w3/" in where for where in now), now


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

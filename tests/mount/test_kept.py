#!/usr/bin/env python3
"""What the kernel keeps of a workspace: it asks for nothing twice, and everything that moves the workspace is
seen by everybody when it is acknowledged."""

import errno
import mmap
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, make_repo, read, run, until, write
from test_read import Counter, expect, expect_warm, warm_up
from test_rebase import onto_head
from test_staging import say
from test_views import VIEW, fails

BASE = {
    **{f"d{d}/e{d}/f{f}": f"{d} {f}\n" for d in range(5) for f in range(5)},
    "grows": "short\n", "vanishes": "1\n", "turns": "file\n", "link": ("grows",), "stays": "s\n",
    "becomes/file": "1\n", "goes/deep/x": "x\n", "mine": "1\n", "d0/mine": "1\n",
}
THEIRS = {
    "grows": "much longer than it was before\n", "vanishes": None, "turns": None, "turns/dir": "now\n",
    "link": None, "becomes/file": None, "goes/deep/x": None, "appears": "new\n", "d1/e1/appears": "new\n",
    "d2/e2/f3": "changed\n",
}


def push_theirs(m, ws):
    onto_head(m, ws, THEIRS)
    os.rmdir(m.repo + ".work/becomes")
    return onto_head(m, ws, {"becomes": "a file now\n", "link": ("stays",)})


def show(top):
    """Everything that a tree shows: kinds, permissions, content, targets; not `.onward`."""
    found = {}
    for where, dirs, files in os.walk(top):
        dirs[:] = [d for d in dirs if d != ".onward"]
        for name in dirs + files:
            path = os.path.join(where, name)
            st = os.lstat(path)
            kind = st.st_mode >> 12
            found[os.path.relpath(path, top)] = (
                (kind,) if name in dirs and not os.path.islink(path) else
                (kind, os.readlink(path)) if os.path.islink(path) else (kind, st.st_size, read(path)))
    return found


def make_one(path, data=b"x" * 1024):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(fd, data)
    os.close(fd)


def make_some(where, names):
    for name in names:
        make_one(f"{where}/{name}")


def test_messages_of_new_files(dir):
    """One to learn that the name is free, one to make it, one to write. Who writes to what was there, or may
    read too, causes one more before each write, that asks whether a program's privileges are to be taken away."""
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        ws, count = m / "staging/w", Counter(m)
        os.mkdir(ws)
        os.makedirs(ws + "/new/deep")
        make_one(ws + "/first")
        for i, where in enumerate((ws, ws + "/d0/e0", ws + "/new/deep")):
            names = [f"n{i}-{j}" for j in range(50)]
            os.stat(where)
            spent = count.of(make_some, where, names)
            assert spent == {"lookup": 50, "create": 50, "write": 50}, spent
        paths = [f"{ws}/new/deep/n2-{j}" for j in range(50)]
        spent = count.of(lambda: [os.stat(p) for p in paths])
        assert spent == {"getattr": 50}     # for the size that writing has given it
        assert count.of(lambda: [os.stat(p) for p in paths] and [read(p) for p in paths]).get("lookup", 0) == 0
        spent = count.of(lambda: [os.rename(p, p + "~") for p in paths])
        assert spent == {"lookup": 50, "rename": 50}
        assert count.of(lambda: [os.unlink(p + "~") for p in paths]) == {"unlink": 50}
        assert count.of(os.mkdir, ws + "/new/other") == {"lookup": 1, "mkdir": 1}


def test_warm_walks_of_a_workspace(dir):
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        ws, count = m / "staging/w", Counter(m)
        os.mkdir(ws)
        make_some(ws + "/d3", [f"n{i}" for i in range(100)])
        warm_up(ws + "/d3")
        expect_warm(count, ws + "/d3")
        expect_warm(count, "/", ws + "/d3")
        for _ in range(4):  # the kernel gives up what it likes
            spent = count.of(show, ws)
            if not set(spent) & {"lookup", "read", "readdirplus"}:
                break
        assert not set(spent) & {"read", "readdirplus"} and spent.get("lookup", 0) <= 1, spent  # .onward


def test_a_commit_is_seen_by_who_has_looked_before(dir):
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        write(ws + "/mine", "2\n", 0o600)
        os.mkdir(ws + "/kept", 0o700)
        before, times = show(ws), {p: os.stat(f"{ws}/{p}") for p in ("mine", "stays", "d0", "d1/e1/f1")}
        fd = os.open(ws + "/stays", os.O_RDONLY)
        say(ws + "/.onward/commit", "mine")
        # Not a listing first: it would bring attributes.
        assert os.stat(ws + "/mine").st_mode & 0o777 == 0o644
        now = {os.stat(f"{ws}/{p}").st_mtime_ns for p in times}
        assert len(now) == 1 and os.fstat(fd).st_mtime_ns in now, now   # the base's time
        assert all(os.stat(f"{ws}/{p}").st_mtime_ns not in (t.st_mtime_ns,) for p, t in times.items())
        assert all(os.stat(f"{ws}/{p}").st_ino == t.st_ino for p, t in times.items())
        assert show(ws) == before
        os.close(fd)


def test_a_rebase_is_seen_by_who_has_looked_before(dir):
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        make_one(ws + "/d0/mine", b"staged")
        for _ in range(2):
            show(ws)
        for name in "appears", "d1/e1/appears", "turns/dir":
            assert not os.path.exists(f"{ws}/{name}")
        held = {name: os.open(f"{ws}/{name}", os.O_RDONLY) for name in ("grows", "d1/e1", "goes/deep", "vanishes")}
        with open(ws + "/d2/e2/f3", "rb") as f:
            mapped = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
        assert mapped[:] == b"2 3\n"
        id = push_theirs(m, ws)
        say(ws + "/.onward/rebase", "now")
        # Not a listing first: it would bring names and attributes.
        for name in "vanishes", "becomes/file", "goes/deep/x", "goes":
            assert not os.path.lexists(f"{ws}/{name}"), name
        assert os.readlink(ws + "/link") == "stays" and read(ws + "/turns/dir") == "now\n"
        assert read(ws + "/becomes") == "a file now\n" and read(ws + "/appears") == "new\n"
        assert mapped[:4] == b"chan"
        assert os.pread(held["grows"], 100, 0).decode() == THEIRS["grows"]
        assert "appears" in os.listdir(held["d1/e1"])
        os.stat("appears", dir_fd=held["d1/e1"])
        assert os.pread(held["vanishes"], 100, 0) == b"1\n"
        fails(errno.ESTALE, os.listdir, held["goes/deep"])
        wanted = show(m / "revisions/" + id)
        wanted["d0/mine"] = (wanted["mine"][0], 6, "staged")
        assert show(ws) == wanted
        mapped.close()
        for fd in held.values():
            os.close(fd)


def test_a_commit_brings_what_others_have_committed(dir):
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        mine = m / "staging/mine"
        os.mkdir(mine)
        write(mine + "/d0/mine", "2\n")
        show(mine)
        push_theirs(m, mine)
        say(mine + "/.onward/commit", "mine")
        assert not os.path.lexists(mine + "/vanishes") and read(mine + "/grows") == THEIRS["grows"]
        assert show(mine) == show(m / "revisions/" + m.link("head"))
        assert read(mine + "/turns/dir") == "now\n" and read(mine + "/d0/mine") == "2\n"


def test_another_workspace_of_the_same_name(dir):
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        for end in (lambda: say(ws + "/.onward/drop", "force"),
                    lambda: (os.unlink(ws + "/only-here"), os.unlink(ws + "/mine"), write(ws + "/mine", "1\n"),
                             os.rmdir(ws))):
            os.mkdir(ws)
            write(ws + "/mine", "staged\n")
            make_one(ws + "/only-here")
            show(ws)
            fd, top = os.open(ws + "/stays", os.O_RDONLY), os.open(ws, os.O_RDONLY)
            end()
            assert "w" not in os.listdir(m / "staging")
            for name in "", "/mine", "/d0", "/d0/e0/f0":
                fails(errno.ENOENT, os.stat, ws + name)
            fails(errno.ESTALE, os.fstat, fd)
            fails(errno.ESTALE, os.pread, fd, 10, 0)
            fails(errno.ESTALE, os.listdir, top)
            os.close(fd)
            os.close(top)
            os.mkdir(ws)
            assert read(ws + "/mine") == "1\n" and not os.path.exists(ws + "/only-here")
            os.rmdir(ws)


def test_readers_never_keep_what_was_overtaken(dir):
    """Replies that were under way when the workspace moved. Each round must be seen whole, by whoever looks."""
    files = {f"d{d}/f{f}": "0\n" for d in range(8) for f in range(12)}
    repo = make_repo(dir + "/r.git", files)
    with Mount(dir, repo, options=VIEW) as m:
        ws, other, stop = m / "staging/w", m / "staging/other", threading.Event()
        os.mkdir(ws)
        os.mkdir(other)

        def look_around():
            while not stop.is_set():
                try:
                    show(ws)
                except OSError:     # a name that vanished between listing and reading
                    pass

        readers = [threading.Thread(target=look_around) for _ in range(3)]
        for r in readers:
            r.start()
        try:
            for i in range(1, 7):
                for d in range(8):
                    write(f"{other}/d{d}/f{i - 1}", "".join(f"{d} {n}\n" for n in range(i * 50)))
                    write(f"{other}/d{d}/new{i}", "new\n")
                    if i > 1:
                        os.unlink(f"{other}/d{d}/new{i - 1}")
                say(other + "/.onward/commit", f"round {i}")
                say(ws + "/.onward/rebase", "now")
                assert show(ws) == show(m / "head"), i
        finally:
            stop.set()
            for r in readers:
                r.join()


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

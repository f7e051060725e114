#!/usr/bin/env python3
"""Repositories that are small and claim to be large, and users who want much: memory and descriptors stay bounded.

usage: test_limits.py [--full] [TEST…]; --full: as large as it gets (a minute, 1 GiB of disk)"""

import errno
import os
import resource
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import bombs
import onwardtest
from onwardtest import Mount, main, read, run, until

FULL = "--full" in sys.argv
sys.argv = [a for a in sys.argv if a != "--full"]

MEMORY = 300 << 20          # of the daemon, with the limits that it has by default: onwardfs(8), LIMITS
INODES = 5000
WALKED = 200000 if FULL else 12000
ZEROS = 1 << 30 if FULL else (128 << 20) + 1
OPEN = 20000
STAGED = 20000 if FULL else 1000
DEEP = 5000
WIDE = 200000


def peak(m):
    for line in read(f"/proc/{m.process.pid}/status").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10


def check_memory(m):
    """What a sanitizer adds is not ours."""
    print(f"# the daemon took {peak(m) >> 20} MB", flush=True)
    if "asan" not in onwardtest.ONWARDFS and "sanitize" not in onwardtest.ONWARDFS:
        assert peak(m) < MEMORY, f"{peak(m) >> 20} MB"


def fails(code, f, *args):
    try:
        f(*args)
    except OSError as e:
        assert e.errno == code, f"{errno.errorcode[e.errno]} in place of {errno.errorcode[code]}"
    else:
        raise AssertionError(f"{errno.errorcode[code]} did not come")


def walk(top, directories):
    """Looks at that many, breadth first; the last one."""
    queue = [top]
    for dir in queue:
        with os.scandir(dir) as entries:
            queue.extend(e.path for e in entries if e.is_dir(follow_symlinks=False))
        if len(queue) > directories:
            break
    for dir in queue[:directories]:
        os.stat(dir)
    return queue[directories - 1]


def cannot_let_go(m):
    """Before Linux 6.18."""
    return any("kernel-keeps-names" in line for line in m.log)


def test_a_walk_over_ten_billion_files(dir):
    repo = bombs.Repository(dir + "/r.git")
    id = repo.commit(bombs.doubling(repo))
    with Mount(dir, repo.path, config=f"limits: {{inodes: {INODES}}}\n", expect="changes more than") as m:
        top = m / f"revisions/{id}"
        where, inside = os.getcwd(), f"{top}/3/1/4/1/5"
        os.chdir(inside)
        try:
            with open("9/2/6/5/3") as f:
                last = walk(top, WALKED)
                until("the kernel has let go", lambda: m.metric("onward_nodes") <= INODES * 9 / 8 or cannot_let_go(m))
                assert os.getcwd() == inside
                assert len(os.listdir(".")) == 10
                assert f.read() == "bomb\n"
            assert len(os.listdir(last)) == 10
        finally:
            os.chdir(where)
        check_memory(m)


def test_what_would_not_end_is_refused(dir):
    repo = bombs.Repository(dir + "/r.git")
    first = repo.commit(repo.tree([(bombs.FILE, b"f", repo.blob(b"1\n"))]))
    many = bombs.doubling(repo)
    second = repo.commit(repo.tree([(bombs.FILE, b"f", repo.blob(b"2\n")), (bombs.DIR, b"many", many)]), parent=first)
    third = repo.commit(repo.tree([(bombs.FILE, b"f", repo.blob(b"3\n")), (bombs.DIR, b"many", many)]), parent=second)
    lines = repo.commit(repo.tree([(bombs.FILE, b"f", repo.blob(b"\n" * (2 << 20)))]), parent=third)
    repo.commit(repo.tree([(bombs.FILE, b"f", repo.blob(b"3\n")), (bombs.DIR, b"many", many)]), parent=lines)
    with Mount(dir, repo.path, expect="changes more than") as m:
        fails(errno.EFBIG, read, m / f"commits/{lines}/patch")
        for name in ["changes", "patch"] if FULL else []:
            fails(errno.EFBIG, read, m / f"commits/{second}/{name}")
        assert m.read(f"commits/{third}/changes") == "M f\n"
        assert "\n-2\n+3\n" in m.read(f"commits/{third}/patch")
        ws = m / "staging/w"
        os.mkdir(ws)
        os.rename(ws + "/many", ws + "/more")
        for name in ["status", "changes", "check", "diff"] if FULL else ["diff"]:
            fails(errno.EFBIG, read, f"{ws}/.onward/{name}")
        os.rename(ws + "/more", ws + "/many")
        assert read(ws + "/.onward/changes") == ""
        check_memory(m)


def test_deep_and_wide(dir):
    repo = bombs.Repository(dir + "/r.git")
    repo.commit(repo.tree([(bombs.DIR, b"deep", bombs.deep(repo, DEEP)), (bombs.DIR, b"wide", bombs.wide(repo, WIDE))]))
    with Mount(dir, repo.path) as m:
        assert len(os.listdir(m / "head/wide")) == WIDE
        assert os.path.getsize(m / f"head/wide/f{WIDE - 1:07d}") == 5
        fails(errno.ENAMETOOLONG, os.stat, m / ("head/deep" + "/d" * 2100))
        fails(errno.ENAMETOOLONG, os.stat, m / ("head/wide/" + "n" * 256))
        where = os.getcwd()
        os.chdir(m / "head/deep")
        try:
            for _ in range(DEEP):
                os.chdir("d")
            assert read("file") == "deep\n"
            fails(errno.ENOENT, os.chdir, "d")
        finally:
            os.chdir(where)
        check_memory(m)


def test_a_file_of_zeros(dir):
    repo = bombs.Repository(dir + "/r.git")
    id = repo.commit(repo.tree([(bombs.FILE, b"zeros", repo.zeros(ZEROS))]))
    with Mount(dir, repo.path, config="limits: {cache: 4M}\n") as m:
        n = 0
        with open(m / "head/zeros", "rb", buffering=0) as f:
            while piece := f.read(1 << 20):
                assert piece.count(0) == len(piece)
                n += len(piece)
        assert n == ZEROS
        fails(errno.EFBIG, read, m / f"commits/{id}/patch")
        check_memory(m)


def test_open_files(dir):
    """More than the daemon may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = min(OPEN, hard - 100) if hard != resource.RLIM_INFINITY else OPEN
    resource.setrlimit(resource.RLIMIT_NOFILE, (many + 100, hard))
    repo = bombs.Repository(dir + "/r.git")
    repo.commit(bombs.wide(repo, OPEN))
    files = []
    try:
        with Mount(dir, repo.path, before=["prlimit", "--nofile=256:256"]) as m:
            ws = m / "staging/w"
            os.mkdir(ws)
            for i in range(STAGED):
                files.append(os.open(f"{ws}/new{i}", os.O_RDWR | os.O_CREAT))
                os.write(files[-1], b"%d" % i)
            for i in range(many - len(files)):
                files.append(os.open(m / f"head/f{i:07d}", os.O_RDONLY))
            for i in range(0, STAGED, 7):
                assert os.pread(files[i], 99, 0) == b"%d" % i
            for i in range(STAGED, len(files), 97):
                assert os.pread(files[i], 99, 0) == b"wide\n"
            check_memory(m)
            while files:
                os.close(files.pop())
    finally:
        for f in files:
            os.close(f)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


if __name__ == "__main__":
    main(sys.modules[__name__])

#!/usr/bin/env python3
"""A workspace behaves as the local file system under it does: the same system calls, made by the program
`posix` (script.h) on both, give the same answers, line for line, but for what deviations.py lists.

Each script runs on files that were made there, and on files that come from the base revision; as whoever
runs this, and where that is root, as an ordinary user too. The local file system is that of TMPDIR, which is
also under the state directory. $POSIX_MANY is the number of entries in a wide directory (1000).
"""

import concurrent.futures
import errno
import glob
import os
import stat
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), HERE]
import onwardtest
from deviations import Deviations
from onwardtest import BUILD, Mount, commit, git, make_repo, read, run, until, write

POSIX = os.environ.get("POSIX") or os.path.join(BUILD, "tests/posix/posix")
SCRIPTS = sorted(glob.glob(os.path.join(HERE, "cases/*.cases")))
USER = 4244
VIEW = ["-o", "noreconcile"]
LIMITS = "limits: {file_size: 4096G, workspace_size: 8192G}\n"
SHARED = VIEW + ["-o", "allow_other"]
OWN = VIEW + ["-o", "default_permissions"]  # else the one user who sees the mount is not asked


def posix(*args, user=None):
    """What the program prints, a line for each call."""
    who = {"user": user, "group": user, "extra_groups": []} if user else {}
    p = subprocess.run([POSIX, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                       stdin=subprocess.DEVNULL, timeout=200, env={**os.environ, "LC_ALL": "C"}, **who)
    assert p.returncode == 0 and not p.stderr, f"posix {args}: {p.returncode}\n{p.stderr}"
    return p.stdout.splitlines()


def both(options, places, scripts, user):
    """The program's lines at each of the places, at once."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return pool.map(lambda place: posix(*options, place, *scripts, user=user), places)


def differences(local, workspace, deviations):
    assert len(local) == len(workspace), f"{len(local)} lines on the local file system, {len(workspace)} in the workspace"
    for a, b in zip(local, workspace):
        if a == b:
            continue
        call, _, here = a.partition(" = ")
        other, _, there = b.partition(" = ")
        assert call == other, f"{a}\n{b}"
        if not deviations.allow(call, here, there):
            yield f"{call}\n    local:     {here}\n    workspace: {there}"


def owned(path, user):
    os.makedirs(path, 0o700)
    os.chmod(path, 0o700)
    if user:
        os.chown(path, user, user)
    return path


def base(dir, scripts):
    repo = make_repo(dir + "/r.git", {"README": "here\n"})
    posix("--make", repo + ".work", *scripts)
    commit(repo + ".work", {}, "what the cases are given")
    return repo


def compare(dir, m, scripts, deviations, user=None):
    """Both ways, local and in workspaces of their own; the number of lines."""
    found, lines = [], 0
    for way in ("made", "given"):
        plain = owned(f"{dir}/plain-{way}-{user}", user)
        ws = m / f"staging/{way}-{user}"
        subprocess.run(["mkdir", ws], check=True, **({"user": user, "group": user} if user else {}))
        if way == "given":
            posix("--make", plain, *scripts, user=user)
            local, there = both(["--given"], (plain, ws), scripts, user)
        else:
            os.makedirs(ws + "/again", exist_ok=True)
            if user:
                os.chown(ws + "/again", user, user)
            local, there = both([], (plain, ws + "/again"), scripts, user)
        found += [f"{way}: {d}" for d in differences(local, there, deviations)]
        lines += len(local)
    assert not found, f"{len(found)} differ\n" + "\n".join(found)
    return lines


def test_every_call_answers_as_on_the_local_file_system(dir):
    os.chmod(dir, 0o711)
    root = os.geteuid() == 0
    deviations = Deviations()
    repo = base(dir, SCRIPTS)
    with Mount(dir, repo, options=SHARED if root else OWN, config=LIMITS) as m:
        lines = compare(dir, m, SCRIPTS, deviations)
        if root:
            lines += compare(dir, m, [s for s in SCRIPTS if "/name." not in s], deviations, user=USER)
    kind = run("stat", "-f", "-c", "%T", dir).strip()
    print(f"# {lines} calls compared with {kind}, {sum(deviations.used)} deviations")
    assert not (root and deviations.stale()), "\n".join(["deviations that do not happen:", *deviations.stale()])


def fill(path, piece=1 << 16):
    """Writes until nothing more is taken: the bytes that were, and the errno."""
    fd, done = os.open(path, os.O_WRONLY | os.O_CREAT), 0
    try:
        while True:
            done += os.write(fd, bytes([done // piece % 255 + 1]) * piece)
    except OSError as e:
        return done, e.errno
    finally:
        os.close(fd)


def is_whole(path, size, piece=1 << 16):
    """Holds the file what fill() was told that it had written, and nothing else?"""
    with open(path, "rb") as f:
        data = f.read()
    return len(data) == size and all(data[i] == i // piece % 255 + 1 for i in range(0, size, 509))


def patch(path):
    with open(path, "r+") as f:
        f.write("B")


def fails(with_errno, call, *args):
    try:
        call(*args)
    except OSError as e:
        assert e.errno == with_errno, f"{errno.errorcode[e.errno]}, not {errno.errorcode[with_errno]}"
        return
    raise AssertionError(f"{call} did not fail")


def small_disk(dir, size):
    """A file system of that size for a state directory, or None."""
    os.makedirs(dir)
    made = run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "posix-test", dir, check=False)
    return None if made.returncode else dir


def test_a_full_disk_is_enospc_and_nothing_half_written(dir):
    repo = make_repo(dir + "/r.git", {"a": "a" * 5000, "d/big": "b" * 200000})
    state = os.geteuid() == 0 and small_disk(dir + "/small", 4 << 20)
    if not state:
        print("# skipped: a small file system can only be mounted by root")
        return
    try:
        with Mount(dir, repo, options=VIEW, state=state, expect="outcome-not-saved") as m:
            ws = m / "staging/w"
            os.mkdir(ws)
            done, err = fill(ws + "/full")
            assert err == errno.ENOSPC and 0 < done < 4 << 20, (done, errno.errorcode[err])
            assert is_whole(ws + "/full", done)
            for change in (lambda: patch(ws + "/d/big"), lambda: os.truncate(ws + "/d/big", 100),
                           lambda: os.rename(ws + "/d/big", ws + "/moved"), lambda: os.chmod(ws + "/d/big", 0o755)):
                fails(errno.ENOSPC, change)
                assert sorted(os.listdir(ws)) == ["a", "d", "full"] and os.listdir(ws + "/d") == ["big"]
                assert read(ws + "/d/big") == "b" * 200000
            fails(errno.ENOSPC, write, ws + "/.onward/commit", "a full disk\n")
            assert git(repo, "rev-list", "--count", "main").strip() == "1"
            assert is_whole(ws + "/full", done)
            os.unlink(ws + "/full")
            until("there is room", lambda: os.statvfs(ws).f_bavail * 4096 > done // 2)
            write(ws + "/after", "room again")
            patch(ws + "/d/big")
            write(ws + "/.onward/commit", "after the disk was full\n")
            assert git(repo, "show", "main:after") == "room again"
            assert git(repo, "show", "main:d/big") == "B" + "b" * 199999
    finally:
        run("umount", "-l", state)


def test_the_quota_is_exact(dir):
    repo = make_repo(dir + "/r.git", {"a": "a" * 50000, "d/b": "b" * 1000})
    config = "limits: {file_size: 1M, workspace_size: 2M}\n"
    piece, most = 1 << 10, 2 << 20
    with Mount(dir, repo, options=VIEW, config=config) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        assert fill(ws + "/one", piece) == (1 << 20, errno.EFBIG)
        assert is_whole(ws + "/one", 1 << 20, piece)
        fails(errno.EFBIG, os.truncate, ws + "/one", (1 << 20) + 1)
        patch(ws + "/a")
        done, err = fill(ws + "/two", piece)
        assert err == errno.EDQUOT and most - (1 << 20) - 50000 - piece < done, (done, errno.errorcode[err])
        assert is_whole(ws + "/two", done, piece)
        fails(errno.EDQUOT, patch, ws + "/d/b")
        assert read(ws + "/d/b") == "b" * 1000 and os.statvfs(ws).f_bavail == 0
        os.truncate(ws + "/two", 5000)
        os.unlink(ws + "/one")
        left = most - 50000 - 5000 - 4096
        write(ws + "/three", "")
        os.mkdir(ws + "/d/empty")
        os.truncate(ws + "/three", 1 << 20)
        left -= 2 * 4096 - 4096
        with open(ws + "/two", "r+b") as f:
            fails(errno.EDQUOT, os.posix_fallocate, f.fileno(), 0, left - (1 << 20) + 5000 + 1)
            os.posix_fallocate(f.fileno(), 0, left - (1 << 20) + 5000)
        for call in (lambda: os.mkdir(ws + "/e"), lambda: os.symlink("x", ws + "/e"), lambda: write(ws + "/e", ""),
                     lambda: os.unlink(ws + "/d/b")):
            fails(errno.EDQUOT, call)
        os.rename(ws + "/three", ws + "/moved")
        os.rename(ws + "/moved", ws + "/three")
        fails(errno.EDQUOT, patch, ws + "/d/b")
    with Mount(dir, repo, options=VIEW, config=config) as m:
        ws = m / "staging/w"
        fails(errno.EDQUOT, patch, ws + "/d/b")
        os.truncate(ws + "/three", (1 << 20) - 4096)
        patch(ws + "/d/b")
        fails(errno.EDQUOT, os.truncate, ws + "/d/b", 4097)
        write(ws + "/.onward/commit", "full to the last byte\n")
        patch(ws + "/a")
        assert os.statvfs(ws).f_bavail * 4096 >= most - 50000 - 3 * 4096


def test_nothing_else_in_the_mount_can_be_changed(dir):
    repo = make_repo(dir + "/r.git", {"a": "a", "d/b": "b"})
    with Mount(dir, repo, options=VIEW) as m:
        for place in (m.path, m / "revisions", m / "head", m / "head/d", m / "branches", m / "sites", m / "at"):
            new = place + "/new"
            for call in (lambda: os.mkdir(new), lambda: os.open(new, os.O_CREAT | os.O_WRONLY), lambda: os.mkfifo(new),
                         lambda: os.symlink("x", new), lambda: os.chmod(place, 0o700), lambda: os.utime(place)):
                fails(errno.EROFS, call)
        for call in (lambda: os.unlink(m / "head/a"), lambda: os.rmdir(m / "head/d"), lambda: os.truncate(m / "head/a", 0),
                     lambda: os.rename(m / "head/a", m / "head/c"), lambda: os.link(m / "head/a", m / "head/c"),
                     lambda: os.chmod(m / "head/a", 0o600), lambda: os.utime(m / "head/a"),
                     lambda: os.setxattr(m / "head/a", "user.x", b"y"), lambda: os.rmdir(m / "head/d"),
                     lambda: os.unlink(m / "head"), lambda: os.rename(m / "head", m / "tail"),
                     lambda: os.open(m / "head/a", os.O_WRONLY | os.O_TRUNC)):
            fails(errno.EROFS, call)
        os.mkdir(m / "staging/w")
        write(m / "staging/w/new", "x")
        fails(errno.EXDEV, os.rename, m / "staging/w/new", m / "head/new")
        assert sorted(os.listdir(m / "head/")) == ["a", "d"] and m.read("head/a") == "a"


def modes(top):
    """Kind, permissions and content of everything below a directory."""
    found = {}
    for at, dirs, files in os.walk(os.fsencode(top)):
        for name in dirs + files:
            path = os.path.join(at, name)
            st = os.lstat(path)
            data = None if stat.S_ISDIR(st.st_mode) else os.readlink(path) if stat.S_ISLNK(st.st_mode) else open(path, "rb").read()
            found[os.path.relpath(path, os.fsencode(top))] = stat.filemode(st.st_mode), data
    return found


def as_committed(found):
    """What Git keeps of it: the execute bit, and no directory without a file."""
    full = {os.path.dirname(p) for p, (mode, _) in found.items() if mode[0] != "d"}
    full |= {p for p in found if any(f.startswith(p + b"/") for f in full)}
    bits = {"d": "drwxr-xr-x", "l": "lrwxrwxrwx"}
    return {p: (bits.get(mode[0]) or ("-rwxr-xr-x" if mode[3] == "x" else "-rw-r--r--"), data)
            for p, (mode, data) in found.items() if mode[0] != "d" or p in full}


def test_modes_stay_while_staged_and_the_commit_keeps_the_execute_bit(dir):
    repo = make_repo(dir + "/r.git", {"a": "a\n", "b": "b\n", "run": "#!/bin/sh\n", "d/c": "c\n", "d/e/f": "f\n", "gone": "g\n"})
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        for path, mode in (("a", 0o600), ("b", 0o711), ("run", 0o700), ("d", 0o750), ("d/c", 0o440), ("d/e/f", 0o4755)):
            os.chmod(ws + "/" + path, mode)
        for name, mode in ((b"n" * 255, 0o640), (b"\xff\n\x01", 0o604), ("\u00e9".encode(), 0o100), (b" -x", 0o500)):
            with open(os.path.join(os.fsencode(ws), name), "wb") as f:
                f.write(name)
                os.fchmod(f.fileno(), mode)
        os.makedirs(ws + "/empty/deeper")
        os.chmod(ws + "/empty", 0o700)
        os.symlink(b"\xfe/" + b"t" * 4000, ws + "/link")
        os.rename(ws + "/d", ws + "/moved")
        os.unlink(ws + "/gone")
        before, held = modes(ws), open(ws + "/a", "rb+")
        assert before[b"a"][0] == "-rw-------" and before[b"moved/c"][0] == "-r--r-----" and b"gone" not in before
        commit(repo + ".work", {"other": "o\n"})
        until("head moves", lambda: os.path.exists(m / "head/other"))
        write(ws + "/.onward/rebase", "1\n")
        rebased = modes(ws)
        assert rebased.pop(b"other") == ("-rw-r--r--", b"o\n")
        # These have no change that Git sees, so they are the new base's.
        before.update({b"a": ("-rw-r--r--", b"a\n"), b"moved/c": ("-rw-r--r--", b"c\n")})
        assert rebased == before, {p: (before.get(p), rebased.get(p)) for p in before if before.get(p) != rebased.get(p)}
        held.write(b"h")
        held.flush()
        assert read(ws + "/a") == "h\n"
        write(ws + "/.onward/commit", "modes\n")
        after = modes(ws)
        want = as_committed({**rebased, b"a": (rebased[b"a"][0], b"h\n"), b"other": ("-rw-r--r--", b"o\n")})
        empty = {p: after.pop(p) for p in (b"empty", b"empty/deeper")}
        assert after == want, {p: (want.get(p), after.get(p)) for p in {*want, *after} if want.get(p) != after.get(p)}
        assert modes(m / "head/").keys() == want.keys() and [v[0][0] for v in empty.values()] == ["d", "d"]
        held.seek(0)
        held.write(b"i")
        held.close()
        assert read(ws + "/a") == "i\n" and read(ws + "/.onward/changes") == "M a\n"


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

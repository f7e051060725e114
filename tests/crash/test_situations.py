#!/usr/bin/env python3
"""What happens to repositories and disks: full, read-only, moved away, locked by a dead git, packed and pruned beside
us, moved by somebody else at every step of a commit. Nothing is lost, `outcome` has one clear reason, and the next
attempt after it is over works."""

import concurrent.futures
import contextlib
import errno
import glob
import json
import os
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import faults as F
import onwardtest
from onwardtest import Mount, git, make_repo, read, run, until, write

FILES = {"a": "1\n", "d/b": "2\n", "onward.yaml": "onward: 1\n"}
ONLY_SHOW = ["-o", "noreconcile"]
SECONDS = float(os.environ.get("SECONDS") or 4)


def commit(m, ws="w", message="why"):
    """0, or the errno."""
    fd = os.open(m / f"staging/{ws}/.onward/commit", os.O_WRONLY)
    try:
        os.write(fd, message.encode() + b"\n")
        return 0
    except OSError as e:
        return e.errno
    finally:
        os.close(fd)


def outcome(m, ws="w"):
    said = m.read(f"staging/{ws}/.onward/outcome")
    assert said.count("\n") == 1, f"not one reason: {said!r}"
    return said.strip()


def staged(m, text, ws="w"):
    if not os.path.isdir(m / f"staging/{ws}"):
        os.mkdir(m / f"staging/{ws}")
    write(m / f"staging/{ws}/a", text)


def refused(m, code, *words):
    """A commit is refused so, saying so, and changes nothing."""
    before = git(m.repo, "rev-parse", "main") if os.path.isdir(m.repo) else None
    changes = m.read("staging/w/.onward/changes")
    start = time.monotonic()
    got = commit(m)
    assert got == code, (errno.errorcode.get(got), m.read("staging/w/.onward/outcome"))
    assert time.monotonic() - start < 20, "it took too long to say so"
    assert all(w in outcome(m) for w in words), outcome(m)
    assert m.read("staging/w/.onward/changes") == changes
    assert before is None or git(m.repo, "rev-parse", "main") == before
    return outcome(m)


def works(m, text):
    got = commit(m)
    assert got == 0, (errno.errorcode[got], outcome(m))
    assert git(m.repo, "show", "main:a") == text
    assert git(m.repo, "rev-list", "--min-parents=2", "--count", "main").strip() == "0"


def test_the_mainline_moves_at_every_step_of_a_commit(dir):
    repo = make_repo(dir + "/r.git", FILES)
    f = F.Faults(dir, [dir + "/state", repo])
    with Mount(dir, repo, options=ONLY_SHOW, env=f.env) as m:
        staged(m, "0\n")
        f.set(F.COUNT)
        works(m, "0\n")
        f.lift()
        calls, moved = f.count, 0
        for n in range(1, calls, max(1, calls // 12)):
            text = f"{n}\n"
            staged(m, text)
            got = []
            t = threading.Thread(target=lambda: got.append(commit(m)))
            f.set(F.HOLD, n)
            t.start()
            held = f.wait_until_held(lambda: not t.is_alive())
            git(repo + ".work", "pull", "-q", "--ff-only", "origin", "main")
            write(repo + ".work/elsewhere", text)
            git(repo + ".work", "add", "-A")
            git(repo + ".work", "commit", "-q", "-m", f"theirs {n}")
            pushed = git(repo + ".work", "push", "-q", "origin", "HEAD:main", check=False).returncode == 0
            f.release()
            t.join(60)
            f.lift()
            assert got == [0], (f.what, got, outcome(m))
            assert git(repo, "show", "main:a") == text, f.what
            assert not pushed or git(repo, "show", "main:elsewhere") == text, f"{f.what}: theirs is lost"
            moved += held and pushed
            if not pushed:      # our lock was in their way
                git(repo + ".work", "reset", "-q", "--hard", "HEAD~")
        assert git(repo, "rev-list", "--min-parents=2", "--count", "main").strip() == "0"
        assert moved >= 6, f"the mainline was moved in the midst of {moved} commits: the test does not test"


def test_locks_that_a_dead_git_left(dir):
    repo = make_repo(dir + "/r.git", FILES)
    with Mount(dir, repo, options=ONLY_SHOW) as m:
        staged(m, "2\n")
        lock = repo + "/refs/heads/main.lock"
        write(lock, "")
        os.utime(lock, (time.time() - 500, time.time() - 500))
        said = refused(m, errno.EBUSY, "refs/heads/main is locked since 50", "has died: rm " + lock)
        assert "\n" not in said and os.path.exists(lock), "the lock of somebody else was taken"
        os.unlink(lock)
        works(m, "2\n")
        for i, name in enumerate(["HEAD.lock", "packed-refs.lock", "config.lock"]):     # not in the way of a commit
            write(f"{repo}/{name}", "")
            staged(m, f"lock {i}\n")
            works(m, f"lock {i}\n")
            assert os.path.exists(f"{repo}/{name}")


def test_the_index_of_a_work_tree_is_locked(dir):
    repo = make_repo(dir + "/r", FILES, bare=False)
    with Mount(dir, repo, options=ONLY_SHOW) as m:
        staged(m, "2\n")
        write(repo + "/.git/index.lock", "")
        refused(m, errno.EBUSY, repo + "/.git/index.lock")
        os.unlink(repo + "/.git/index.lock")
        works(m, "2\n")
        assert read(repo + "/a") == "2\n"


def test_few_descriptors(dir):
    """Many more files than descriptors, and then none for a moment."""
    repo = make_repo(dir + "/r.git", FILES)
    with Mount(dir, repo, options=ONLY_SHOW, before=["prlimit", "--nofile=80:80"]) as m:
        staged(m, "2\n")
        for i in range(200):
            write(m / f"staging/w/d{i}/f", f"{i}\n")
        opened = []
        with contextlib.suppress(OSError):
            for i in range(200):
                opened.append(open(m / f"staging/w/d{i}/f", "r+"))
        # Ending threads loads a library: that must not have to wait for the end.
        assert "libgcc_s" in read(f"/proc/{m.process.pid}/maps")
        for f in opened:
            f.close()
        works(m, "2\n")
        assert git(repo, "ls-tree", "-r", "--name-only", "main").count("\n") == 203


def test_the_repository_is_read_only(dir):
    if os.geteuid():
        return
    repo = make_repo(dir + "/r.git", FILES)
    run("mount", "--bind", repo, repo)
    try:
        with Mount(dir, repo, options=ONLY_SHOW) as m:
            staged(m, "2\n")
            run("mount", "-o", "remount,bind,ro", repo)
            refused(m, errno.EROFS, "Read-only file system")
            run("mount", "-o", "remount,bind,rw", repo)
            works(m, "2\n")
    finally:
        run("umount", "-l", repo)


@contextlib.contextmanager
def small_disk(path, size):
    """A tmpfs; None where that is not allowed."""
    os.makedirs(path)
    if os.geteuid():
        yield None
        return
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path)
    try:
        yield path
    finally:
        run("umount", "-l", path)


def test_the_disk_of_the_workspaces_is_full(dir):
    with small_disk(dir + "/disk", "4M") as disk:
        if not disk:
            return
        repo = make_repo(dir + "/r.git", FILES)
        with Mount(dir, repo, options=ONLY_SHOW, state=disk + "/state", expect="history|full|No space") as m:
            staged(m, "2\n")
            with open(m / "staging/w/kept", "w") as f:
                f.write("kept\n")
                os.fsync(f.fileno())
            fd = os.open(m / "staging/w/big", os.O_WRONLY | os.O_CREAT)
            try:
                while True:
                    os.write(fd, os.urandom(65536))
            except OSError as e:
                assert e.errno == errno.ENOSPC, e
            os.close(fd)
            refused(m, errno.ENOSPC, "No space left on device")
            assert read(m / "staging/w/kept") == "kept\n"
            os.unlink(m / "staging/w/big")
            works(m, "2\n")
            assert git(repo, "show", "main:kept") == "kept\n"


def test_the_disk_of_the_repository_is_full(dir):
    with small_disk(dir + "/disk", "4M") as disk:
        if not disk:
            return
        repo = make_repo(disk + "/r.git", FILES)
        with Mount(dir, repo, options=ONLY_SHOW, expect="No space") as m:
            staged(m, "2\n")
            content = os.urandom(2 << 20)
            write(m / "staging/w/big", content)
            room = os.statvfs(disk)
            write(disk + "/ballast", bytes((room.f_bavail - 100) * room.f_frsize))
            refused(m, errno.ENOSPC, "No space left on device")
            os.unlink(disk + "/ballast")
            works(m, "2\n")
            with open(m / "head/big", "rb") as f:
                assert f.read() == content
            assert not glob.glob(repo + "/objects/**/tmp_*", recursive=True), "half an object was left"


def test_the_repository_is_moved_away_and_back(dir):
    repo = make_repo(dir + "/r.git", FILES)
    with Mount(dir, repo, options=ONLY_SHOW, expect="refs-unreadable|watch|bad-object|cannot") as m:
        staged(m, "2\n")
        os.rename(repo, repo + ".away")
        got = commit(m)
        assert got not in (0, errno.ENODATA), errno.errorcode.get(got)
        assert repo in outcome(m) or "No such file" in outcome(m), outcome(m)
        assert read(m / "staging/w/a") == "2\n"
        os.rename(repo + ".away", repo)
        works(m, "2\n")


COLLECTIONS = [["gc", "-q", "--prune=now"], ["prune", "--expire=now"], ["repack", "-q", "-a", "-d"], ["prune-packed", "-q"]]
SITES = {"onward.yaml": "onward: 1\nsites:\n  - {name: s, source: d, backend: files}\n", "a": "1\n", "d/b": "2\n"}


def collect(repo, stop):
    """What no ref leads to goes at once; also what was about to get one."""
    rounds = 0
    while not stop.is_set():
        for command in COLLECTIONS:
            subprocess.run(["git", "-C", repo, *command], env=onwardtest.ENV, stderr=subprocess.DEVNULL, check=False)
        rounds += 1
    return rounds


def write_and_commit(m, ws, stop, made):
    """Each commit has what was there already and nobody names any more, and every third many files."""
    n = 0
    while not stop.is_set():
        n += 1
        write(m / f"staging/{ws}/a.{ws}", f"{ws} {n}\n")
        write(m / f"staging/{ws}/d/{ws}", f"{ws} {n % 2}\n")
        for i in range(80 if n % 3 == 0 else 0):
            write(m / f"staging/{ws}/many.{ws}/{i}", f"{ws} {n} {i}\n")
        r = commit(m, ws, f"{ws} {n}")
        assert r == 0, (errno.errorcode[r], m.read(f"staging/{ws}/.onward/outcome"))
        made.append(f"{ws} {n}")


def test_nothing_is_lost_to_a_gc_that_has_no_patience(dir):
    """`git gc --prune=now`, `git prune` and `git repack -a -d`, each in a loop, beside five who commit, and records in
    the ledger of what is deployed meanwhile."""
    repo = make_repo(dir + "/r.git", SITES)
    os.makedirs(dir + "/sites")
    config = f"backends:\n  files: {{directory: '{dir}/sites/{{site}}', keep: 2}}\n"
    stop, made = threading.Event(), [[] for _ in range(5)]
    with Mount(dir, repo, config=config) as m, concurrent.futures.ThreadPoolExecutor() as pool:
        for w in range(5):
            os.mkdir(m / f"staging/w{w}")
        collector = pool.submit(collect, repo, stop)
        writers = [pool.submit(write_and_commit, m, f"w{w}", stop, made[w]) for w in range(5)]
        concurrent.futures.wait([collector, *writers], SECONDS, concurrent.futures.FIRST_EXCEPTION)
        until("everybody has committed", lambda: all(made) or any(w.done() for w in writers), 60)
        stop.set()
        for w in writers:
            w.result()
        assert collector.result() > 0
        head = git(repo, "rev-parse", "main").strip()
        until("s has it", lambda: json.loads(m.read("sites/s/status.json"))["deployed"] == head, 60)
        run(onwardtest.ONWARD, "verify", "--ledger", env={"ONWARD_MOUNT": m.path})
    subjects = git(repo, "log", "--format=%s", "main").split("\n")
    assert all(subjects.count(s) == 1 for s in sum(made, [])), "an acknowledged commit is lost"
    bad = git(repo, "fsck", "--strict", "--no-dangling")
    assert not bad.strip(), bad


def tear(repo, names):
    """The loose objects as a loss of power leaves those that nobody has synced."""
    for i, name in enumerate(names):
        path = f"{repo}/objects/{name[:2]}/{name[2:]}"
        data = b""
        if os.path.exists(path):
            with open(path, "rb") as f:
                data = f.read()
            os.unlink(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data[:len(data) // 2] if i % 2 else b"")
        os.chmod(path, 0o444)


def test_torn_objects_do_not_poison_what_comes_after(dir):
    """Content that is there by name and not to be read: whoever writes it again writes it, few files or many."""
    repo = make_repo(dir + "/r.git", FILES)
    run("git", "clone", "-q", "--bare", repo, dir + "/model.git")
    for many in (0, 100):
        with Mount(dir, dir + "/model.git", options=ONLY_SHOW, name="model", state=dir + f"/model{many}") as m:
            staged(m, f"{many}\n")
            for i in range(many):
                write(m / f"staging/w/many/{i}", f"number {i}\n")
            assert commit(m) == 0
        new = git(dir + "/model.git", "rev-list", "--objects", "main", "^main^").split("\n")[1:]
        tear(repo, [line.split()[0] for line in new if line])
        with Mount(dir, repo, options=ONLY_SHOW, expect="bad-object") as m:
            staged(m, f"{many}\n")
            for i in range(many):
                write(m / f"staging/w/many/{i}", f"number {i}\n")
            works(m, f"{many}\n")
            assert m.read("head/a") == f"{many}\n"
        # What is in a pack by now may be torn beside it.
        run("git", "clone", "-q", "--no-local", repo, dir + f"/clone{many}")
        git(dir + f"/clone{many}", "fsck", "--strict")


def test_what_a_loss_of_power_tore_is_cleared_away(dir):
    """By the first mount after it, so that Git's own programs, which look at names only, can write it again."""
    repo = make_repo(dir + "/r.git", FILES)
    with Mount(dir, repo, options=ONLY_SHOW):
        pass
    name = git(repo, "hash-object", "-w", "--stdin", stdin="pushed just before\n").strip()
    tear(repo, [name])
    path = f"{repo}/objects/{name[:2]}/{name[2:]}"
    with Mount(dir, repo, options=ONLY_SHOW):
        assert os.path.exists(path), "the host has not been started anew"
    [boot] = glob.glob(dir + "/state/*/boot")
    then = os.stat(boot)
    write(boot, "another start of the host\n")
    os.utime(boot, ns=(then.st_atime_ns, then.st_mtime_ns))
    with Mount(dir, repo, options=ONLY_SHOW):
        assert not os.path.exists(path)
        assert git(repo, "hash-object", "-w", "--stdin", stdin="pushed just before\n").strip() == name
        assert git(repo, "cat-file", "blob", name) == "pushed just before\n"


if __name__ == "__main__":
    shutil.which("git") or sys.exit("git is not installed")
    onwardtest.main(sys.modules[__name__])

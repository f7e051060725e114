#!/usr/bin/env python3
"""The instant of a commit and of a rebase: what other processes have stored in mappings before is in it."""

import mmap
import os
import random
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, commit, fsck, git, make_repo, read, run, until, write
from test_staging import say
from test_views import VIEW

ROUNDS = int(os.environ.get("ONWARD_ROUNDS", 100))
SIZE = 3 * mmap.PAGESIZE  # of a mapped file


class Storer:
    """A process that maps files, closes them, and stores what it is told to: no msync, no munmap."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__, "--store"], stdin=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)

    def store(self, paths, text, at=0):
        for path in paths:
            self.process.stdin.write(f"{path}\t{at}\t{text}\n")
        self.process.stdin.flush()
        for path in paths:
            line = self.process.stdout.readline()
            assert line == "stored\n", (path, line)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.kill()
        self.process.wait()


def be_storer():
    maps = {}
    for line in sys.stdin:
        path, at, text = line[:-1].split("\t")
        if path not in maps:
            fd = os.open(path, os.O_RDWR)
            maps[path] = mmap.mmap(fd, 0)
            os.close(fd)
        maps[path][int(at):int(at) + len(text)] = text.encode()
        print("stored", flush=True)


def blank(n=SIZE):
    return "." * (n - 1) + "\n"


def shown(repo, path, n, rev="main", at=0):
    return git(repo, "show", f"{rev}:{path}")[at:at + n]


def test_a_commit_has_what_was_stored_before(dir):
    """In files of the base and of the upper, first stores and later ones, whole pages and ends."""
    repo = make_repo(dir + "/r.git", {"old": blank(), **{"base/%03d" % i: blank() for i in range(ROUNDS)}})
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        write(ws + "/new", blank())
        with Storer() as other:
            for i in range(ROUNDS):
                names = ["old", "new", "base/%03d" % i, "base/%03d" % (i // 2)]
                other.store([ws + "/" + n for n in names], "%08d" % i)
                other.store([ws + "/old"], "%08d" % i, SIZE - 100)
                say(ws + "/.onward/commit", "round %d" % i)
                assert [shown(repo, n, 8) for n in names] == ["%08d" % i] * len(names)
                assert shown(repo, "old", 8, at=SIZE - 100) == "%08d" % i
        assert read(ws + "/.onward/changes") == ""


def test_a_rebase_has_what_was_stored_before(dir):
    repo = make_repo(dir + "/r.git", {"a": blank(), "b": blank(), "else": "0\n"})
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        with Storer() as other:
            for i in range(10):
                id = commit(repo + ".work", {"else": "%d\n" % i})
                until("the commit is seen", lambda: m.link("head") == id)
                other.store([ws + "/a", ws + "/b"], "%08d" % i)
                say(ws + "/.onward/rebase", "now")
                assert read(ws + "/else") == "%d\n" % i
                assert read(ws + "/.onward/changes") == "M a\nM b\n"
                assert [read(ws + "/" + n)[:8] for n in "ab"] == ["%08d" % i] * 2


def test_stores_go_on_while_five_workspaces_commit(dir):
    """Everybody finds his own last store in his own commit, and nobody waits for ever."""
    repo = make_repo(dir + "/r.git", {"f%d" % k: blank() for k in range(5)})
    wrong = []

    def one(m, k):
        ws = m / ("staging/w%d" % k)
        os.mkdir(ws)
        with Storer() as other:
            for i in range(10):
                other.store([ws + "/f%d" % k], "%08d" % i)
                say(ws + "/.onward/commit", "%d of %d" % (i, k))
                id = read(ws + "/.onward/outcome").split()[0]
                if shown(repo, "f%d" % k, 8, id) != "%08d" % i:
                    wrong.append((k, i))

    with Mount(dir, repo, options=VIEW) as m:
        threads = [threading.Thread(target=one, args=(m, k)) for k in range(5)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    assert not wrong, wrong
    assert git(repo, "rev-list", "--count", "main").strip() == "51"


CHURNED = {f"w{w}.{k}": blank() for w in range(2) for k in range(2)}


def churn(m, name, ended):
    """Stores and commits until the mount is gone."""
    ws = m / ("staging/" + name)
    first = random.randrange(10**7)
    with Storer() as other:
        try:
            for i in range(first, 10**8):
                other.store([ws + f"/{name}.{k}" for k in range(2)], "%08d" % i)
                say(ws + "/.onward/commit", "round %d" % i)
        except (OSError, AssertionError):
            pass
    ended.append(name)


def end_while_stores_are_committed(m, end):
    """`end(m)` at a random moment; whoever stored and committed gets an error, and nobody hangs."""
    ended = []
    for name in ("w0", "w1"):
        if not os.path.isdir(m / ("staging/" + name)):
            os.mkdir(m / ("staging/" + name))
    before = git(m.repo, "rev-parse", "main")
    threads = [threading.Thread(target=churn, args=(m, name, ended), daemon=True) for name in ("w0", "w1")]
    [t.start() for t in threads]
    try:
        until("somebody has committed", lambda: git(m.repo, "rev-parse", "main") != before)
        threads[0].join(random.random() / 4)
        assert not ended, ended
        end(m)
    except BaseException:
        m.__exit__(*sys.exc_info())
        raise
    [t.join(30) for t in threads]
    assert sorted(ended) == ["w0", "w1"], "hangs, but for " + str(ended)


def helper(m):
    """The process id of the daemon's helper."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name, rest = read(f"/proc/{pid}/stat").rsplit(")", 1)
        except OSError:
            continue
        if name.endswith("(onwardfs-flush") and int(rest.split()[1]) == m.process.pid:
            return int(pid)


def kill_9(m):
    """The kernel itself notices: no thread or helper of the dead daemon keeps the connection."""
    pid = helper(m)
    os.kill(m.process.pid, signal.SIGKILL)
    m.process.wait(20)
    until("the mount is dead", lambda: "not connected" in run("stat", m.path, check=False, timeout=20).stderr)
    until("the helper is gone", lambda: not os.path.exists(f"/proc/{pid}"))
    run("fusermount3", "-u", "-z", m.path)


def test_kill_9_while_stores_are_committed(dir):
    repo = make_repo(dir + "/r.git", CHURNED)
    for i in range(5):
        end_while_stores_are_committed(Mount(dir, repo, options=VIEW).start(), kill_9)
        fsck(repo)
    Mount(dir, repo, options=VIEW).start().stop()


def test_a_helper_that_dies_is_replaced(dir):
    repo = make_repo(dir + "/r.git", {"a": blank()})
    with Mount(dir, repo, options=VIEW) as m, Storer() as other:
        os.mkdir(m / "staging/w")
        for i in range(3):
            os.kill(helper(m), signal.SIGKILL)
            other.store([m / "staging/w/a"], "%08d" % i)
            say(m / "staging/w/.onward/commit", "round %d" % i)
            assert shown(repo, "a", 8) == "%08d" % i


def test_sigterm_while_stores_are_committed(dir):
    repo = make_repo(dir + "/r.git", CHURNED)
    for i in range(3):
        m = Mount(dir, repo, options=VIEW).start()
        end_while_stores_are_committed(m, lambda m: (m.process.terminate(), m.ended()))
        assert not os.path.ismount(m.path)


def test_unmounting_a_mount_in_use_is_refused_until_it_is_not(dir):
    repo = make_repo(dir + "/r.git", {"a": blank(), "b": blank()})
    m = Mount(dir, repo, options=VIEW).start()
    os.mkdir(m / "staging/w")
    with Storer() as other:
        other.store([m / "staging/w/a"], "mapped")
        p = run("fusermount3", "-u", m.path, check=False)
        assert p.returncode and "busy" in p.stderr, p.stderr
        say(m / "staging/w/.onward/commit", "still works")
        assert shown(repo, "a", 6) == "mapped"
    m.stop()


if __name__ == "__main__":
    if sys.argv[1:] == ["--store"]:
        be_storer()
    else:
        onwardtest.main(sys.modules[__name__])

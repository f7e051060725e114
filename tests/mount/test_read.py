#!/usr/bin/env python3
"""What reading a revision costs: requests of the kernel, counted exactly by the daemon itself."""

import os
import random
import re
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, commit, git, make_repo, read, run, until, write
from test_staging import say
from test_views import VIEW

DIRS, FILES = 50, 20
LINKS = 10
TAKEN_BACK = 8  # requests for pages that the kernel has given up meanwhile; it may at any time

FIND = ["find", "."]
LS = ["ls", "-lR", "."]
GREP = ["grep", "-r", "no such word", "."]


def thousand_files():
    """Directories below each other and side by side; files of no byte to 64 KiB."""
    files = {}
    for d in range(DIRS):
        where = f"top{d % 5}/" + (f"in{d % 10}/" if d >= 10 else "") + f"d{d:02}"
        for f in range(FILES):
            files[f"{where}/f{f:02}.yaml"] = f"name: {d}-{f}\n" * (d * 97 + f * 331) if d + f else ""
    for i in range(LINKS):
        files[f"links/l{i}"] = (f"../top0/d00/f{i:02}.yaml",)
    return files


def small(files):
    return sum(isinstance(text, str) and text != "" for text in files.values())


def directories(files):
    return len({"/".join(parts[:i]) for parts in (f.split("/") for f in files) for i in range(len(parts))})


class Counter:
    """Counts requests by kind, those that counting costs left out. What the kernel forgets, it forgets
    when it likes; that is not counted."""

    def __init__(self, m):
        self.m = m
        self.all()

    def all(self):
        text = self.m.read(".onward/metrics")
        counts = {op: int(n) for op, n in re.findall(r'^onward_fuse_requests_total{op="(\w+)"} (\d+)$', text, re.M)}
        counts.pop("forget", None)
        counts["pushed"] = int(re.search(r"^onward_prefetched_files_total (\d+)$", text, re.M).group(1))
        return counts

    def of(self, f, *args):
        """The requests that f(*args) causes."""
        a, b = self.all(), self.all()
        f(*args)
        c = self.all()
        spent = {op: n - b.get(op, 0) - (b.get(op, 0) - a.get(op, 0)) for op, n in c.items()}
        return {op: n for op, n in spent.items() if n}


def walk(command, where):
    """Runs a walker in a revision. grep finds nothing there, which it reports by 1."""
    p = subprocess.run(command, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=onwardtest.ENV)
    assert p.returncode == (1 if command[0] == "grep" else 0) and not p.stderr, p.stderr[-2000:]
    return p.stdout


def excess(spent, most):
    return {op: n for op, n in spent.items() if n > {"statfs": 1, **most}.get(op, 0)}


def expect(spent, **most):
    """Nothing was spent but these, at most as much; fts asks for the kind of filesystem once a run."""
    assert not excess(spent, most), f"{excess(spent, most)} of {spent}, allowed: {most}"


def expect_warm(count, where, path="."):
    """Nothing at all, but what the kernel gave up meanwhile; that is not so each time."""
    for command in FIND, LS, GREP:
        # ls learns, once a run, that there are neither labels nor access lists.
        most = {"getxattr": 2} if command is LS else {}
        for _ in range(12):     # a busy machine gives up more, and READs what it gave up
            spent = count.of(walk, [*command[:-1], path], where)
            if not excess(spent, most):
                break
        expect(spent, **most)


def warm_up(where):
    """Twice: a READ makes the kernel ask for the time of access again."""
    for command in [FIND, LS, GREP] * 2:
        walk(command, where)


def test_cold_and_warm_walks(dir):
    files = thousand_files()
    repo = make_repo(dir + "/r.git", files)
    with Mount(dir, repo, options=VIEW) as m:
        where, count = m / "revisions/" + m.link("head"), Counter(m)
        spent = count.of(walk, FIND, where)
        expect(spent, readdirplus=2 * directories(files), lookup=2, opendir=1)
        assert spent["readdirplus"] > directories(files)
        # A listing, as a READ, makes the kernel ask for the time of access once more.
        expect(count.of(walk, LS, where), getxattr=2, readlink=LINKS, getattr=directories(files),
               readdirplus=TAKEN_BACK)
        spent = count.of(walk, GREP, where)
        expect(spent, read=small(files), pushed=small(files), getattr=directories(files), open=1, flush=1)
        assert spent["read"] + spent.get("pushed", 0) >= small(files), spent
        for command in FIND, GREP:
            assert count.of(walk, command, where).get("getattr", 0) <= small(files) + directories(files)
        for _ in range(3):
            expect_warm(count, where)


def test_files_are_pushed_when_read_in_sequence(dir):
    files = {f"d{d}/f{f:03}": f"{d}" * (1 + f) for d in range(4) for f in range(200)}
    repo = make_repo(dir + "/r.git", files)
    with Mount(dir, repo, options=VIEW) as m:
        where, count = m / "revisions/" + m.link("head"), Counter(m)
        walk(LS, where)
        names = sorted(f for f in files if f.startswith("d0/"))
        random.Random(4).shuffle(names)
        expect(count.of(lambda: [read(f"{where}/{f}") for f in names]), read=200, getattr=400, open=1, flush=1)
        names = sorted(f for f in files if f.startswith("d1/"))
        spent = count.of(lambda: [until("all of it", lambda: read(f"{where}/{f}") == files[f]) for f in names])
        assert spent["pushed"] > 0 and spent["read"] < 200, spent
        names = sorted(f for f in files if f.startswith("d2/"))[-4:]
        spent = count.of(lambda: [read(f"{where}/{f}") for f in names])
        assert not spent.get("pushed"), spent  # nothing of d3, which was listed next
        for f in files:
            assert read(f"{where}/{f}") == files[f], f
        expect(count.of(walk, GREP, where), getattr=len(files) + 10)


def busy_actions(m, workspace, repo):
    """What other people do meanwhile; each of them is over when it returns."""
    ws = m / "staging/" + workspace
    n = 0

    def move_head():
        nonlocal n
        n += 1
        commit(repo + ".work", {"moved": f"{n}\n"})
        id = git(repo, "rev-parse", "main").strip()
        until("head moves", lambda: m.link("head") == id)

    def commit_workspace():
        nonlocal n
        n += 1
        write(ws + "/edited", f"{n}\n")
        say(ws + "/.onward/commit", "edit")
        assert m.link("head") in os.listdir(m / "revisions")
        git(repo + ".work", "pull", "-q", "--rebase", "origin", "main")

    def edit():
        write(ws + "/dir/new.txt", "some\n")
        with open(ws + "/dir/new.txt", "a") as f:
            f.write("more\n")
        os.rename(ws + "/dir/new.txt", ws + "/other.txt")
        os.unlink(ws + "/other.txt")
        os.rmdir(ws + "/dir")

    def look():
        assert m.read(".onward/status.json") and m.read("fleet") and os.listdir(m / "sites") == []
        assert read(ws + "/.onward/status")

    os.mkdir(ws)
    return [move_head, edit, look, commit_workspace]


def test_warm_walks_while_others_write(dir):
    files = thousand_files()
    repo = make_repo(dir + "/r.git", files)
    with Mount(dir, repo, options=VIEW) as m:
        where, count = m / "revisions/" + m.link("head"), Counter(m)
        actions = busy_actions(m, "busy", repo)
        warm_up(where)
        expect_warm(count, where)
        for action in actions:
            action()
            expect_warm(count, where)


def test_warm_walks_at_the_same_time_as_writers(dir):
    files = thousand_files()
    repo = make_repo(dir + "/r.git", files)
    with Mount(dir, repo, options=VIEW) as m:
        where, count = m / "revisions/" + m.link("head"), Counter(m)
        actions = busy_actions(m, "busy", repo)
        warm_up(where)

        def round_of_actions():
            for action in actions:
                action()

        round_of_actions()
        alone = count.of(round_of_actions)
        rounds, walks, stop = 0, 0, threading.Event()

        def keep_busy():
            nonlocal rounds
            while not stop.is_set():
                round_of_actions()
                rounds += 1

        def walk_meanwhile():
            nonlocal walks
            busy = threading.Thread(target=keep_busy)
            busy.start()
            try:
                while rounds < 3 and busy.is_alive():
                    for command in FIND, LS, GREP:
                        walk(command, where)
                        walks += 1
            finally:
                stop.set()
                busy.join()

        spent = count.of(walk_meanwhile)
        # A walk that sent requests would send a thousand; some are for what the kernel has given up.
        for op in "lookup", "getattr", "read", "readdirplus", "readdir", "readlink":
            most = 2 * rounds * alone.get(op, 0) + TAKEN_BACK * walks + 20
            assert spent.get(op, 0) <= most, (op, most, rounds, walks, spent, alone)


def test_warm_walks_by_absolute_path(dir):
    repo = make_repo(dir + "/r.git", thousand_files())
    modes = [VIEW, ["-o", "ro,noreconcile"]]
    if os.getuid() == 0:
        modes.append(["-o", "noreconcile,allow_other"])  # brings default_permissions
    for i, options in enumerate(modes):
        with Mount(dir, repo, options=options, state=f"{dir}/state{i}") as m:
            where, count = m / "revisions/" + m.link("head"), Counter(m)
            warm_up(where)
            expect_warm(count, "/", path=where)


def test_names_outside_user_are_no_attributes(dir):
    repo = make_repo(dir + "/r.git", {"a": "1"})
    with Mount(dir, repo, options=VIEW) as m:
        file = m / "head/a"
        assert os.getxattr(file, "user.git.revision").decode() == m.link("head")
        assert sorted(os.listxattr(file)) == ["user.git.oid", "user.git.revision"]
        for name, errno in ("security.selinux", 95), ("system.posix_acl_access", 95), ("user.none", 61):
            try:
                os.getxattr(file, name)
            except OSError as e:
                assert e.errno == errno, (name, e)
            else:
                raise AssertionError(name)


def test_a_new_revision_is_listed_at_once(dir):
    """The kernel keeps the list of revisions/ for ever, and readers fill it all the time."""
    repo = make_repo(dir + "/r.git", {"a": "0"})
    with Mount(dir, repo, options=VIEW) as m:
        ws, stop = m / "staging/w", threading.Event()

        def keep_listing():
            while not stop.is_set():
                os.listdir(m / "revisions")
                os.stat(m / "revisions")

        listers = [threading.Thread(target=keep_listing) for _ in range(3)]
        for t in listers:
            t.start()
        try:
            os.mkdir(ws)
            for i in range(1, 40):
                write(ws + "/a", f"{i}\n")
                say(ws + "/.onward/commit", "count")
                id = os.path.basename(os.readlink(m / "head"))
                assert id == git(repo, "rev-parse", "main").strip()
                assert id in os.listdir(m / "revisions"), i
        finally:
            stop.set()
            for t in listers:
                t.join()
        assert len(os.listdir(m / "revisions")) == 40
        count = Counter(m)
        expect(count.of(os.listdir, m / "revisions"))


def test_a_link_in_a_workspace_is_fresh(dir):
    """What the kernel keeps of a link, it keeps as long as somebody has it; but one that another's commit has
    changed is another link."""
    repo = make_repo(dir + "/r.git", {"link": ("one",), "a": "1"})
    with Mount(dir, repo, options=VIEW) as m:
        for name in "mine", "theirs":
            os.mkdir(m / "staging/" + name)
        mine, theirs = m / "staging/mine", m / "staging/theirs"
        assert os.readlink(mine + "/link") == os.readlink(theirs + "/link") == "one"
        held = os.open(mine + "/link", os.O_PATH | os.O_NOFOLLOW)
        assert os.readlink("", dir_fd=held) == "one"
        os.unlink(theirs + "/link")
        os.symlink("two", theirs + "/link")
        assert os.readlink(theirs + "/link") == "two"
        say(theirs + "/.onward/commit", "move the link")
        write(mine + "/a", "2")
        say(mine + "/.onward/commit", "change a, and take what is new")
        assert os.readlink(mine + "/link") == "two"
        assert os.readlink(m / "head/link") == "two"
        os.close(held)


def test_nodes_are_freed_when_the_kernel_forgets(dir):
    files = thousand_files()
    repo = make_repo(dir + "/r.git", files)
    with Mount(dir, repo, options=VIEW) as m:
        walk(LS, m / "revisions/" + m.link("head"))
        assert m.metric("onward_nodes") > len(files)
        try:
            write("/proc/sys/vm/drop_caches", "2")
        except OSError:
            print("# not seen: only root can make the kernel forget")
            return
        until("nodes are freed", lambda: m.metric("onward_nodes") < 100)
        walk(LS, m / "revisions/" + m.link("head"))
        assert m.metric("onward_nodes") > len(files)


def test_ending_while_files_are_pushed(dir):
    """Whoever pushes and tells must neither keep the daemon from ending, nor outlive the mount."""
    repo = make_repo(dir + "/r.git", thousand_files())
    for i in range(6):
        m = Mount(dir, repo, options=VIEW, expect="object|refs").start()
        where = m / "revisions/" + m.link("head")
        readers = [subprocess.Popen(GREP, cwd=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                   for _ in range(2)]
        until("the readers read", lambda: m.metric('onward_fuse_requests_total{op="read"}') > 30 * i)
        if i % 2:
            m.process.send_signal(signal.SIGTERM)
        else:
            run("fusermount3", "-u", "-z", m.path)
        for p in readers:
            p.wait(60)
        m.ended()


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

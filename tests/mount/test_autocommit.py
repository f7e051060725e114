#!/usr/bin/env python3
"""What a commit takes without being told: stores through mappings, and the time to commit by itself."""

import errno
import mmap
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, commit, git, make_repo, read, until, write
from test_staging import BASE, say
from test_views import VIEW, fails


def mapped(path):
    fd = os.open(path, os.O_RDWR)
    try:
        return mmap.mmap(fd, 0)
    finally:
        os.close(fd)


def test_a_commit_has_what_was_stored_through_mappings(dir):
    many = {f"many/f{i}": f"{i}".ljust(5000, "x") for i in range(200)}
    repo = make_repo(dir + "/r.git", {**BASE, "t": "t" * 20000, **many})
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        write(ws + "/new", "n" * 9000)
        maps = {name: mapped(f"{ws}/{name}") for name in ["new", "t", *many]}
        # Nothing but a store: files that were changed before, and files that were not.
        for round in (b"ONE", b"TWO"):
            for mm in maps.values():
                mm[4095:4098] = round
            say(ws + "/.onward/commit", "stored")
            for name, mm in maps.items():
                assert mm[4095:4098] == round
            out = git(repo, "grep", "-c", round.decode(), "main").splitlines()
            assert sorted(l.split(":")[1] for l in out) == sorted(maps), len(out)
        fails(errno.ENODATA, say, ws + "/.onward/commit", "nothing")
        for mm in maps.values():
            mm[0:1] = b"#"
        assert read(ws + "/.onward/check") == ""
        changes = read(ws + "/.onward/changes").splitlines()
        assert len(changes) == len(maps), (len(changes), changes[:3])
        write(repo + ".work/a.txt", "theirs\n")
        git(repo + ".work", "pull", "-q", "--no-edit", "origin", "main")
        id = commit(repo + ".work", {"a.txt": "theirs\n"})
        until("head moves", lambda: m.link("head") == id)
        for mm in maps.values():
            mm[1:2] = b"4"
        say(ws + "/.onward/rebase", "x")
        assert all(read(f"{ws}/{name}").startswith("#4") for name in maps)
        assert len(read(ws + "/.onward/changes").splitlines()) == len(maps)
        for mm in maps.values():
            mm.close()


def test_who_goes_on_storing_tears_nothing_else(dir):
    repo = make_repo(dir + "/r.git", {**BASE, "busy": "b" * 65536})
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        mm, end, n = mapped(ws + "/busy"), threading.Event(), 0
        def store():
            i = 0
            while not end.is_set():
                i += 1
                for page in range(16):
                    mm[page * 4096:page * 4096 + 8] = b"%08d" % i
        t = threading.Thread(target=store)
        t.start()
        try:
            for n in range(10):
                write(ws + "/other", f"{n}\n" * 3000)
                say(ws + "/.onward/commit", f"{n}")
                assert m.read("head/other") == f"{n}\n" * 3000
                busy = m.read("head/busy")
                assert len(busy) == 65536 and busy[8:4096] == "b" * 4088 and busy[-4088:] == "b" * 4088
        finally:
            end.set()
            t.join()
        last = bytes(mm[0:8]).decode()
        say(ws + "/.onward/commit", "the last")
        assert m.read("head/busy")[0:8] == last
        mm.close()


def head(repo):
    return git(repo, "rev-parse", "main").strip()


def test_a_workspace_commits_by_itself(dir):
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        auto = ws + "/.onward/autocommit"
        assert read(auto) == "off\n"
        for bad in ("soon", "-1s", "0s", "1s 2s"):
            fails(errno.EINVAL, say, auto, bad)
        write(auto, "300ms")
        assert read(auto) == "300ms\n"
        old, at = head(repo), time.monotonic()
        for i in range(5):      # it waits for the last write
            write(ws + "/a.txt", f"{i}\n")
            time.sleep(0.1)     # what is tested is time
        if time.monotonic() - at < 0.75:
            assert head(repo) == old
        new = until("it commits by itself", lambda: head(repo) != old and head(repo))
        assert git(repo, "show", "main:a.txt") == "4\n"
        assert git(repo, "log", "-1", "--format=%B", "main").strip() == (
            "Autocommit of workspace w after 300ms without writes\n\nOnward-Workspace: w")
        until("it says so", lambda: read(ws + "/.onward/outcome") == new + "\n")
        # A finding stops it until the next write.
        write(ws + "/x.json", "{")
        until("it is refused", lambda: "x.json:1:" in read(ws + "/.onward/outcome"))
        metric = 'onward_commits_total{outcome="refused"}'
        refused = m.metric(metric)
        write(ws + "/.onward/message", "not a write to the tree\n")
        time.sleep(0.7)         # twice the time
        assert m.metric(metric) == refused and head(repo) == new
        write(ws + "/x.json", "{}")
        until("it goes on", lambda: head(repo) != new)
        # Nothing to commit leaves the outcome alone.
        last = until("outcome", lambda: read(ws + "/.onward/outcome").strip() == head(repo) and head(repo))
        os.utime(ws + "/a.txt")
        time.sleep(0.7)
        assert read(ws + "/.onward/outcome").strip() == last
        say(auto, "off")
        write(ws + "/a.txt", "off\n")
        time.sleep(0.7)
        assert head(repo) == last and read(auto) == "off\n"


def test_autocommit_survives_restart_and_kill(dir):
    repo = make_repo(dir + "/r.git", BASE)
    m = Mount(dir, repo, options=VIEW).start()
    ws = m / "staging/w"
    os.mkdir(ws)
    say(ws + "/.onward/autocommit", "1d")
    write(ws + "/a.txt", "kept\n")
    os.sync()
    old = head(repo)
    for end in (m.kill, m.stop):
        end()
        m.start()
        assert read(ws + "/.onward/autocommit") == "1d\n"
    say(ws + "/.onward/autocommit", "1h")
    say(ws + "/.onward/autocommit", "200ms")
    m.stop()
    m.start()
    until("it commits what was staged before", lambda: head(repo) != old)
    assert git(repo, "show", "main:a.txt") == "kept\n"
    m.stop()


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

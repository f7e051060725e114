#!/usr/bin/env python3
"""Workspaces that commit by themselves."""

import errno
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, git, make_repo, read, until, write
from test_staging import BASE, say
from test_views import VIEW, fails


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

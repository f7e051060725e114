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
        # It waits for the last write. On a busy machine we may be too slow for that to be seen: then it was due.
        old, wrote, prompt = head(repo), time.monotonic(), True
        for i in range(5):
            before, wrote = wrote, time.monotonic()
            write(ws + "/a.txt", f"{i}\n")
            prompt = prompt and time.monotonic() - before < 0.3
            time.sleep(0.1)     # what is tested is time
            same = head(repo) == old
            prompt = prompt and time.monotonic() - wrote < 0.3
            assert same or not prompt
        until("it commits by itself", lambda: git(repo, "show", "main:a.txt") == "4\n")
        new = head(repo)
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


def test_where_head_asks_for_approvals(dir):
    """It proposes, once for each content, and does not undo what people have said of one."""
    repo = make_repo(dir + "/r.git", {**BASE, "onward.yaml": "onward: 1\nreview: {approvals: 1}\n"})
    with Mount(dir, repo, options=VIEW) as m:
        ws, proposals = m / "staging/w", m / "proposals"
        os.mkdir(ws)
        say(ws + "/.onward/autocommit", "200ms")
        refs = lambda: git(repo, "for-each-ref", "--format=%(refname) %(objectname)", "refs/onward").split("\n")
        write(ws + "/a.txt", "1\n")
        until("it proposes", lambda: os.listdir(proposals) == ["1"])
        assert "Onward-Workspace: w\n" in read(proposals + "/1/message")
        assert read(proposals + "/1/message").startswith("Autocommit of workspace w after 200ms")
        author = git(repo, "log", "-1", "--format=%an <%ae>", "refs/onward/proposals/1").strip()
        assert read(proposals + "/1/author").strip() == author
        until("it says so", lambda: read(ws + "/.onward/outcome").startswith("proposal 1: needs 1 approval"))
        unchanged = 'onward_commits_total{outcome="unchanged"}'

        def nothing_comes_of(change):
            before, tried = refs(), m.metric(unchanged)
            change()
            until("it has looked", lambda: m.metric(unchanged) > tried)
            assert refs() == before and "proposal 1" in read(ws + "/.onward/outcome")

        nothing_comes_of(lambda: write(ws + "/a.txt", "1\n"))
        say(ws + "/.onward/commit", "said by hand")
        nothing_comes_of(lambda: write(ws + "/a.txt", "1\n"))
        assert read(proposals + "/1/message").startswith("said by hand\n")
        before = refs()
        write(ws + "/a.txt", "2\n")
        until("the new content", lambda: refs() != before)
        assert os.listdir(proposals) == ["1"] and "+2\n" in read(proposals + "/1/diff")


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

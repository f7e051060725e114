#!/usr/bin/env python3
"""Checks by commands of the host, real scripts, through a real mount."""

import errno
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, fsck, git, make_repo, read, run, until, write
from test_staging import say
from test_views import VIEW, fails

ONWARD_YAML = "onward: 1\nchecks: [yaml, lint]\n"


def host(dir, script, more="", name="lint"):
    """A configuration in which the check `name` is a shell script; `more`: other keys of it."""
    write(f"{dir}/{name}.sh", f"#!/bin/sh\necho run >>{dir}/runs\n{script}\n", 0o755)
    return f"checks:\n  {name}: {{exec: [{dir}/{name}.sh]{more}}}\n"


def runs(dir):
    """How often the scripts of host() have run."""
    return read(dir + "/runs").count("run") if os.path.exists(dir + "/runs") else 0


def workspace(m, name, files):
    ws = m / f"staging/{name}"
    os.mkdir(ws)
    for path, text in files.items():
        write(f"{ws}/{path}", text)
    return ws


def refused(ws, message="m"):
    """Commits, which fails for findings; what the outcome says."""
    fails(errno.EINVAL, say, ws + "/.onward/commit", message)
    return read(ws + "/.onward/outcome")


def test_a_check_reads_the_tree_that_is_to_be_committed(dir):
    repo = make_repo(dir + "/r.git", {"onward.yaml": ONWARD_YAML, "old/kept": "kept\n", "gone": "x\n"})
    script = (f'{{ pwd; echo "$ONWARD_TREE"; cat old/kept new/file; ls; echo "$@"; ls "$ONWARD_BASE"; }} >{dir}/seen\n'
              f'echo x 2>{dir}/write >file; rm old/kept 2>>{dir}/write; mkdir d 2>>{dir}/write; exit 0')
    with Mount(dir, repo, options=VIEW, config=host(dir, script)) as m:
        ws = workspace(m, "w", {"new/file": "new\n", "-rf": "odd\n"})
        os.unlink(ws + "/gone")
        say(ws + "/.onward/commit", "good")
        tree = git(repo, "rev-parse", "main^{tree}").strip()
        where = m / f".onward/trees/{tree}"
        assert read(dir + "/seen") == (f"{where}\n{where}\nkept\nnew\n-rf\nnew\nold\nonward.yaml\n"
                                       "./-rf new/file\ngone\nold\nonward.yaml\n"), read(dir + "/seen")
        assert read(dir + "/write").count("Read-only file system") == 3, read(dir + "/write")
        assert sorted(os.listdir(where)) == ["-rf", "new", "old", "onward.yaml"]
        assert os.stat(where + "/new/file").st_mtime == 946684800
        assert "trees" not in os.listdir(m / ".onward") and os.listdir(m / ".onward/trees") == []
        fails(errno.ENOENT, os.stat, m / (".onward/trees/" + git(repo, "rev-parse", "main").strip()))
        fails(errno.EROFS, os.mkdir, m / ".onward/trees/x")


def test_findings_name_the_place_and_are_asked_for_once(dir):
    repo = make_repo(dir + "/r.git", {"onward.yaml": ONWARD_YAML, "a.conf": "good\n", "other": "bad\n"})
    script = 'grep -n bad "$@" /dev/null | sed "s/:bad.*/:2: not good/" >&2\n! grep -q bad "$@"'
    config = host(dir, script, ', paths: ["**/*.conf", "*.conf"], timeout: 20s')
    with Mount(dir, repo, options=VIEW, config=config) as m:
        before = git(repo, "rev-parse", "main").strip()
        ws = workspace(m, "w", {"d/b.conf": "fine\nbad\n", "a.conf": "bad\n", "c": "bad\n"})
        expected = "a.conf:1:2: lint: not good\nd/b.conf:2:2: lint: not good\n"
        assert read(ws + "/.onward/check") == expected, read(ws + "/.onward/check")
        assert refused(ws) == expected
        assert read(ws + "/.onward/check") == expected and runs(dir) == 1
        assert git(repo, "rev-parse", "main").strip() == before and read(ws + "/a.conf") == "bad\n"
        write(ws + "/d/b.conf", "fine\n")
        os.unlink(ws + "/a.conf")
        assert read(ws + "/.onward/check") == "" and runs(dir) == 2
        say(ws + "/.onward/commit", "checked once")
        assert runs(dir) == 2
        write(ws + "/c", "nothing that it looks at\n")
        say(ws + "/.onward/commit", "not checked")
        assert runs(dir) == 2
        out = run(onwardtest.ONWARD, "-C", ws, "check")
        assert "no findings" in out, out


def test_a_check_that_hangs_or_floods_or_is_not_there(dir):
    repo = make_repo(dir + "/r.git", {"onward.yaml": "onward: 1\nchecks: [hang, flood, none]\n"})
    config = (host(dir, f"trap '' TERM; echo begun; echo $$ >{dir}/pid; while :; do sleep 0.1; done",
                   ", timeout: 1s", "hang")
              + host(dir, "yes 'a line of no use' | head -c 50000000; echo; echo x:1:1: found; exit 1", "", "flood")[8:]
              + "  none: {exec: [no-such-program]}\n")
    with Mount(dir, repo, options=VIEW, config=config) as m:
        ws = workspace(m, "w", {"x": "1\n"})
        began = time.monotonic()
        outcome = refused(ws).splitlines()
        assert 1 <= time.monotonic() - began < 20
        assert outcome[0] == ".: hang: not done within 1s, stopped: begun", outcome
        assert outcome[1] == "x:1:1: flood: found", outcome
        assert outcome[2].startswith(".: none: cannot be started: there is no command no-such-program"), outcome
        assert len(outcome) == 3 and not os.path.exists("/proc/" + read(dir + "/pid").strip())
        assert runs(dir) == 2
        refused(ws)
        assert runs(dir) == 3, "only what was cut short runs again"


def test_nobody_waits_for_the_checks_of_others(dir):
    """Nor do those who write to the workspace that is checked, nor those who look around."""
    repo = make_repo(dir + "/r.git", {"onward.yaml": ONWARD_YAML, "a": "1\n"})
    script = f"[ ! -e slow ] || {{ touch {dir}/begun; while [ ! -e {dir}/go ]; do sleep 0.01; done; }}"
    with Mount(dir, repo, options=VIEW, config=host(dir, script)) as m:
        slow = workspace(m, "slow", {"slow": "1\n"})
        # More than there are threads for such requests.
        crowd = [workspace(m, f"w{i}", {"slow": f"crowd {i}\n"}) for i in range(20)]
        readers = [threading.Thread(target=read, args=(ws + "/.onward/check",)) for ws in crowd]
        thread = threading.Thread(target=say, args=(slow + "/.onward/commit", "slow"))
        for t in [thread, *readers]:
            t.start()
        until("all of them run", lambda: runs(dir) == 21)
        write(slow + "/late", "written while the check runs\n")
        fast = workspace(m, "fast", {"b": "2\n"})
        say(fast + "/.onward/commit", "fast")
        assert m.read("head/b") == "2\n" and thread.is_alive()
        assert not os.path.exists(m / "head/slow")
        write(dir + "/go", "")
        for t in [thread, *readers]:
            t.join(60)
            assert not t.is_alive()
        # What was committed is what was checked, at an instant: the one after the last write, on top of `fast`.
        assert m.read("head/slow") == "1\n" and m.read("head/b") == "2\n"
        assert m.read("head/late") == "written while the check runs\n"
        assert read(slow + "/.onward/changes") == ""
        assert git(repo, "log", "--format=%s", "main").split() == ["slow", "fast", "change"]
        fsck(repo)


def test_the_merged_tree_is_checked_too(dir):
    """Each change passes alone; together they do not."""
    repo = make_repo(dir + "/r.git", {"onward.yaml": ONWARD_YAML})
    script = "[ ! -e a ] || [ ! -e b ] || { echo b:1: not with a; exit 1; }"
    with Mount(dir, repo, options=VIEW, config=host(dir, script)) as m:
        one, two = workspace(m, "one", {"a": "1\n"}), workspace(m, "two", {"b": "1\n"})
        assert read(one + "/.onward/check") == "" and read(two + "/.onward/check") == ""
        say(one + "/.onward/commit", "a")
        assert refused(two) == "b:1:1: lint: not with a\n"
        assert not os.path.exists(m / "head/b")


def test_the_daemon_ends_while_a_check_runs(dir):
    repo = make_repo(dir + "/r.git", {"onward.yaml": ONWARD_YAML})
    config = host(dir, f"echo $$ >{dir}/pid; exec sleep 1000")
    m = Mount(dir, repo, options=VIEW, config=config)
    with m:
        ws = workspace(m, "w", {"x": "1\n"})
        errors = []

        def try_it():
            try:
                say(ws + "/.onward/commit", "never")
            except OSError as e:
                errors.append(e.errno)

        thread = threading.Thread(target=try_it)
        thread.start()
        until("it runs", lambda: read(dir + "/pid").strip())
        m.process.terminate()
        thread.join(30)
        assert not thread.is_alive() and errors, errors
        m.stop = m.ended
    assert not os.path.exists("/proc/" + read(dir + "/pid").strip())
    m = Mount(dir, repo, options=VIEW)
    with m:
        assert read(m / "staging/w/x") == "1\n"
        assert git(repo, "rev-list", "--count", "main").strip() == "1"


def test_built_in_checks_that_always_run(dir):
    repo = make_repo(dir + "/r.git", {"onward.yaml": "onward: 1\nchecks: []\n", "t": "1\n2\n3\n"})
    with Mount(dir, repo, options=VIEW) as m:
        ws = workspace(m, "w", {"t": "1\n<<<<<<< ours\n2\n=======\nzwei\n>>>>>>> theirs\n3\n",
                                "doc.rst": "Title\n=======\n"})
        assert refused(ws).startswith("t:2:1: conflict-markers: "), read(ws + "/.onward/outcome")
        write(ws + "/t", "1\nzwei\n3\n")
        say(ws + "/.onward/commit", "decided")


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

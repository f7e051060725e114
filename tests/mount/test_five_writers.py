#!/usr/bin/env python3
"""Five workspaces that commit at once in a loop, some to the same files, one with a slow check in its way, one with
two writers in it, and changes by git from outside, for SECONDS (10): what is acknowledged is in history."""

import errno
import json
import multiprocessing
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, commit, fsck, git, make_repo, read, run, write
from test_staging import say
from test_views import VIEW

SECONDS = float(os.environ.get("SECONDS") or 10)
SLOW = 1.5      # seconds that the check takes
SHARED = ["shared/one", "shared/two"]
BASE = {"onward.yaml": "onward: 1\nchecks: [yaml, slow]\n", "slow/f": "0\n", **{p: "0\n" for p in SHARED}}


class Writer:
    """Edits and commits in a process of its own; what came of it is in `log`, a line each."""

    def __init__(self, m, workspace, own, shared):
        self.m, self.name, self.own, self.shared = m, f"{workspace}-{os.path.basename(own)}", own, shared
        self.ws, self.log = m / f"staging/{workspace}", []
        self.dice = random.Random(self.name)

    def note(self, what, began, files, **more):
        self.log.append({"what": what, "began": began, "ended": time.monotonic(), "files": files, **more})

    def edit(self, n):
        paths = [self.own] + ([self.dice.choice(SHARED)] if self.shared and self.dice.random() < 0.3 else [])
        files = {p: f"{self.name} {n}\n" for p in paths}
        for path, text in files.items():
            write(f"{self.ws}/{path}", text)
        return files

    def commit(self, n, files):
        """Commits; a conflict is named, and decided for what is written here."""
        while True:
            began = time.monotonic()
            try:
                say(self.ws + "/.onward/commit", f"{self.name} {n}")
                return self.note("committed", began, files)
            except OSError as e:
                outcome = read(self.ws + "/.onward/outcome")
                if e.errno == errno.ENODATA:    # another writer in the workspace took it along
                    return self.note("taken", began, files)
                assert e.errno == errno.EBUSY, (e, outcome)
                named = [l.split() for l in outcome.splitlines()]
                assert named and all(len(l) == 5 and l[0] == "conflict:" and l[1] in SHARED for l in named), outcome
                self.note("conflict", began, files)
            self.rebase(files)

    def rebase(self, files):
        try:
            say(self.ws + "/.onward/rebase", "now")
        except OSError as e:
            assert e.errno == errno.EUCLEAN, e
        for path, text in files.items():
            write(f"{self.ws}/{path}", text)

    def work(self, until):
        n = 0
        while time.monotonic() < until:
            n += 1
            self.commit(n, self.edit(n))
            time.sleep(self.dice.random() * 0.4)    # people do, and a push needs a moment to win


def run_writer(m, dir, until, *args):
    w = Writer(m, *args)
    error = None
    try:
        w.work(until)
    except BaseException as e:
        error = repr(e)
    with open(f"{dir}/log.{w.name}", "w") as f:
        json.dump({"error": error, "log": w.log}, f)


def run_pusher(m, dir, until):
    """Somebody who knows nothing of the mount, and is as quick: one git moves the mainline, if nobody else does."""
    n, pushed = 0, []
    while time.monotonic() < until or not pushed:
        n += 1
        change = (f"commit refs/heads/main\ncommitter Git <git@example.org> now\ndata <<E\ngit {n}\nE\n"
                  f"from refs/heads/main^0\nM 100644 inline pushed/f\ndata <<E\ngit {n}\nE\n")
        if run("git", "-C", m.repo, "fast-import", "--quiet", "--date-format=now", stdin=change, check=False).returncode == 0:
            pushed.append(f"git {n}")
        time.sleep(0.1)
    with open(f"{dir}/log.pusher", "w") as f:
        json.dump({"error": None, "pushed": pushed}, f)


def writers(m, dir, until):
    """The arguments of each process."""
    yield run_writer, ("w0", "slow/f", False)
    for i in range(1, 4):
        yield run_writer, (f"w{i}", f"own/{i}", True)
    yield run_writer, ("w4", "own/left", False)
    yield run_writer, ("w4", "own/right", False)
    yield run_pusher, ()


def content(repo, revision, path):
    return git(repo, "show", f"{revision}:{path}")


def check_history(repo, logs, pushed):
    ids = git(repo, "rev-list", "--reverse", "main").split()
    assert ids == git(repo, "rev-list", "--reverse", "--first-parent", "main").split(), "history is not linear"
    subjects = {s: i for i, s in zip(ids, git(repo, "log", "--reverse", "--format=%s", "main").splitlines())}
    assert len(subjects) == len(ids), "a change is there twice"
    assert set(pushed) <= set(subjects), "a push is lost"
    assert content(repo, "main", "pushed/f") == pushed[-1] + "\n"
    for name, log in logs.items():
        for n, e in enumerate((e for e in log if e["what"] != "conflict"), 1):
            if e["what"] == "committed":
                revision = subjects[f"{name} {n}"]
                for path, text in e["files"].items():
                    # The other writer in the workspace may have gone on by then; nobody else.
                    got = content(repo, revision, path)
                    assert got == text or (name.startswith("w4") and got.startswith("w4")), (name, n, path, got)
    # What a revision does to a file stays until a later one, which has seen it, does something else.
    for path in [*SHARED, "slow/f", *(f"own/{x}" for x in ("1", "2", "3", "left", "right"))]:
        last = git(repo, "log", "-1", "--format=%H", "main", "--", path).strip()
        wrote = {text for log in logs.values() for e in log for p, text in e["files"].items() if p == path}
        assert content(repo, "main", path) == content(repo, last, path)
        assert content(repo, "main", path) in wrote | {"0\n"}, path
        if path.startswith("own/") or path == "slow/f":
            mine = [e["files"][path] for log in logs.values() for e in log if path in e["files"]]
            assert content(repo, "main", path) == mine[-1], f"{path}: the last acknowledged change is not there"


def median(values):
    return sorted(values)[len(values) // 2]


def test_five_writers(dir):
    repo = make_repo(dir + "/r.git", BASE)
    write(dir + "/slow.sh", f"#!/bin/sh\nsleep {SLOW}\n", 0o755)
    config = f'checks:\n  slow: {{exec: [{dir}/slow.sh], paths: ["slow/**"]}}\n'
    apart = multiprocessing.get_context("fork")
    with Mount(dir, repo, options=VIEW, config=config) as m:
        for i in range(5):
            os.mkdir(m / f"staging/w{i}")
        until = time.monotonic() + SECONDS
        processes = [apart.Process(target=f, args=(m, dir, until, *args)) for f, args in writers(m, dir, until)]
        for p in processes:
            p.start()
        for p in processes:
            p.join(SECONDS + 60)
            assert not p.is_alive(), "a writer hangs"
        found = {n[4:]: json.loads(read(f"{dir}/{n}")) for n in os.listdir(dir) if n.startswith("log.")}
        for name, f in found.items():
            assert not f["error"], (name, f["error"])
        pushed = found.pop("pusher")["pushed"]
        logs = {name: f["log"] for name, f in found.items()}
        for i in range(5):
            assert read(m / f"staging/w{i}/.onward/changes") == ""
    check_history(repo, logs, pushed)
    fsck(repo)
    slow = [e for e in logs["w0-f"] if e["what"] == "committed"]
    fast = [e for name, log in logs.items() if name != "w0-f" for e in log if e["what"] == "committed"]
    took = lambda log: [e["ended"] - e["began"] for e in log]
    print(f"# {len(fast)} fast commits, median {median(took(fast)) * 1000:.0f} ms, longest {max(took(fast)) * 1000:.0f}"
          f" ms; {len(slow)} slow, median {median(took(slow)):.2f} s; {len(pushed)} pushed, "
          f"{sum(e['what'] == 'conflict' for log in logs.values() for e in log)} conflicts", flush=True)
    # Nobody waits for the checks of others, and who is checked is not overtaken for ever.
    assert len(slow) >= SECONDS / SLOW / 4 and pushed
    assert median(took(slow)) >= SLOW > median(took(fast))
    for s in slow:
        assert any(s["began"] < f["began"] and f["ended"] < s["ended"] for f in fast)


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

#!/usr/bin/env python3
"""Bringing a workspace onto head: what stays, what is merged, what somebody has to decide."""

import errno
import json
import os
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import ONWARD, Mount, commit, fsck, git, make_repo, read, run, until, write
from test_staging import BASE, as_user, say
from test_views import VIEW, fails

LINES = "".join(f"line {i}\n" for i in range(20))


def onto_head(m, ws, files):
    """Somebody else pushes `files`; the new head, which the mount shows."""
    id = commit(m.repo + ".work", files)
    until("head moves", lambda: m.link("head") == id)
    return id


def test_a_rebase_keeps_what_was_staged_and_brings_what_is_new(dir):
    big = {f"big/f{i}": f"{i}\n" for i in range(50)}
    repo = make_repo(dir + "/r.git", {**BASE, **big, "t": LINES, "theirs": "1\n", "both": "1\n", "gone/x": "x\n",
                                      "emptied/x": "x\n", "moved/deep/y": "y\n"})
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        write(ws + "/a.txt", "mine\n", 0o600)
        os.utime(ws + "/a.txt", ns=(10**18, 10**18 + 7))
        write(ws + "/new/deep/file", "n\n")
        write(ws + "/t", LINES.replace("line 3\n", "ours\n"))
        write(ws + "/both", "2\n")
        os.symlink("a.txt", ws + "/link")
        os.chmod(ws + "/d/c.yaml", 0o755)
        os.rename(ws + "/big", ws + "/large")
        write(ws + "/large/f7", "seven\n")
        os.rename(ws + "/moved", ws + "/new/moved")
        run("rm", "-r", ws + "/gone")
        os.unlink(ws + "/emptied/x")
        os.makedirs(ws + "/kept/empty")
        held = open(ws + "/a.txt", "r+b", buffering=0)
        merged = open(ws + "/t", "rb", buffering=0)
        unlinked = open(ws + "/d/b.txt", "rb", buffering=0)
        os.unlink(ws + "/d/b.txt")
        inode = os.fstat(held.fileno()).st_ino
        assert read(ws + "/theirs") == "1\n" and merged.read() == read(ws + "/t").encode()
        before = run("find", ".", "-printf", "%p %y %m %l\n", cwd=ws)
        id = onto_head(m, ws, {"t": LINES.replace("line 17\n", "theirs\n"), "theirs": "2\n", "both": "2\n",
                               "d/added": "new\n"})
        say(ws + "/.onward/rebase", "now")
        assert os.readlink(ws + "/.onward/base").endswith(id)
        assert read(ws + "/.onward/outcome") == id + "\n"
        assert "behind: 0\n" in read(ws + "/.onward/status")
        # What is cached, open or held shows the new state, and nothing else has moved.
        both = LINES.replace("line 3\n", "ours\n").replace("line 17\n", "theirs\n")
        assert read(ws + "/t") == both and read(ws + "/theirs") == "2\n" and read(ws + "/d/added") == "new\n"
        assert os.pread(merged.fileno(), 4096, 0).decode() == both
        assert unlinked.read() == b"two\n" and not os.path.exists(ws + "/d/b.txt")
        after = run("find", ".", "-printf", "%p %y %m %l\n", cwd=ws)
        assert sorted(after.splitlines()) == sorted(before.splitlines() + ["./d/added f 644 "]), after
        st = os.stat(ws + "/a.txt")
        assert (st.st_mtime_ns, st.st_ino, stat.S_IMODE(st.st_mode)) == (10**18 + 7, inode, 0o600)
        held.write(b"MINE")
        assert read(ws + "/a.txt") == "MINE\n" and os.fstat(held.fileno()).st_ino == inode
        changes = read(ws + "/.onward/changes").splitlines()
        assert "A large/f7" in changes and "A large/f8" in changes and "D big/f8" in changes
        assert "M t" in changes and "D gone/x" in changes and "A new/moved/deep/y" in changes
        assert not any(c.endswith((" both", " theirs", " d/added")) for c in changes), changes
        say(ws + "/.onward/commit", "rebased")
        assert git(repo, "rev-parse", "main^").strip() == id
        assert m.read("head/large/f7") == "seven\n" and m.read("head/large/f8") == "8\n" and m.read("head/t") == both
        assert os.path.isdir(ws + "/kept/empty") and os.path.isdir(ws + "/emptied")
        fsck(repo)
        for f in (held, merged, unlinked):
            f.close()


CONFLICTS = {"text": LINES, "bin": "a\0b\n", "deleted": "1\n", "changed": "1\n", "kind": "1\n", "fine": "1\n"}


def stage_conflicts(m, ws):
    os.mkdir(ws)
    write(ws + "/text", LINES.replace("line 3\n", "ours\n").replace("line 9\n", "mine too\n"))
    write(ws + "/bin", "a\0ours\n")
    write(ws + "/changed", "ours\n")
    write(ws + "/added", "ours\n")
    write(ws + "/fine", "ours\n")
    os.unlink(ws + "/deleted")
    os.unlink(ws + "/kind")
    os.symlink("fine", ws + "/kind")
    return onto_head(m, ws, {"text": LINES.replace("line 3\n", "theirs\n"), "bin": "a\0theirs\n", "changed": None,
                             "added": "theirs\n", "deleted": "theirs\n", "kind": "theirs\n"})


def test_conflicts_are_marked_or_said(dir):
    repo = make_repo(dir + "/r.git", {**CONFLICTS, "onward.yaml": "onward: 1\nchecks: []\n"})
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        old = git(repo, "rev-parse", "main").strip()
        id = stage_conflicts(m, ws)
        fails(errno.EUCLEAN, say, ws + "/.onward/rebase", "x")
        marked = LINES.replace("line 3\n", "<<<<<<< head\ntheirs\n=======\nours\n>>>>>>> w\n")
        assert read(ws + "/text") == marked.replace("line 9\n", "mine too\n")
        assert read(ws + "/added") == "<<<<<<< head\ntheirs\n=======\nours\n>>>>>>> w\n"
        assert read(ws + "/bin") == "a\0ours\n" and read(ws + "/changed") == "ours\n"
        assert not os.path.exists(ws + "/deleted") and os.readlink(ws + "/kind") == "fine"
        assert read(ws + "/fine") == "ours\n"
        outcome = read(ws + "/.onward/outcome")
        lines = {l.split()[1]: l.split() for l in outcome.splitlines()}
        assert {p: l[0] for p, l in lines.items()} == {"added": "conflict:", "text": "conflict:", "bin": "kept:",
                                                       "changed": "kept:", "deleted": "kept:", "kind": "kept:"}, outcome
        ids = [git(repo, "rev-parse", r).strip() for r in (old + ":text", id + ":text")]
        assert [lines["text"][2], lines["text"][4]] == ids
        assert lines["added"][2] == "-" and lines["deleted"][3] == "-" and lines["changed"][4] == "-"
        assert os.readlink(ws + "/.onward/base").endswith(id)
        # Again: it is on head already. Nothing happens, and what is to be decided stays said.
        say(ws + "/.onward/rebase", "x")
        assert read(ws + "/.onward/outcome") == outcome
        fails(errno.EINVAL, say, ws + "/.onward/commit", "with marks")
        findings = read(ws + "/.onward/outcome")
        assert "text:4:1: conflict-markers:" in findings and "added:1:1: conflict-markers:" in findings, findings
        assert git(repo, "rev-parse", "main").strip() == id
        write(ws + "/text", LINES.replace("line 3\n", "decided\n"))
        fails(errno.EINVAL, say, ws + "/.onward/commit", "one is left")
        write(ws + "/added", "decided\n")
        say(ws + "/.onward/commit", "decided")
        assert git(repo, "diff", "--name-status", id, "main").split() == [
            "M", "added", "M", "bin", "A", "changed", "D", "deleted", "M", "fine", "T", "kind", "M", "text"]


def test_the_verb_says_what_is_to_be_decided(dir):
    repo = make_repo(dir + "/r.git", CONFLICTS)
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        assert run(ONWARD, "-C", ws, "rebase").strip() == "w: on head"
        os.rmdir(ws)
        stage_conflicts(m, ws)
        other = m / "staging/other"
        p = run(ONWARD, "-C", ws, "rebase", "--json", check=False)
        assert p.returncode == 1 and "conflicts to decide" in p.stderr, p
        found = {c["path"]: c["marked"] for c in json.loads(p.stdout)["conflicts"]}
        assert found == {"added": True, "text": True, "bin": False, "changed": False, "deleted": False, "kind": False}
        os.mkdir(other)
        write(other + "/fine", "2\n")
        onto_head(m, other, {"fine": "3\n"})
        p = run(ONWARD, "-C", m.path, "rebase", "other", check=False)
        assert p.returncode == 1 and p.stdout.startswith("conflict: fine "), p


def test_only_the_owner_rebases(dir):
    if os.getuid():
        return
    os.chmod(dir, 0o755)
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW + ["-o", "allow_other"]) as m:
        ws = m / "staging/hers"
        assert as_user(61001, lambda: os.mkdir(ws)) == 0
        id = onto_head(m, ws, {"a.txt": "2\n"})
        assert as_user(61002, lambda: say(ws + "/.onward/rebase", "x")) == errno.EACCES
        assert as_user(61001, lambda: say(ws + "/.onward/rebase", "x")) == 0
        assert os.readlink(ws + "/.onward/base").endswith(id)


def test_a_branch_s_workspace_goes_onto_head_with_its_own_changes_only(dir):
    repo = make_repo(dir + "/r.git", {**BASE, "dir/x": "x\n"})
    work = repo + ".work"
    git(work, "checkout", "-q", "-b", "feature")
    write(work + "/feature/y", "y\n")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "feature")
    git(work, "push", "-q", "origin", "feature")
    git(work, "checkout", "-q", "main")
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w@feature"
        os.mkdir(ws)
        os.rename(ws + "/feature", ws + "/mine")
        os.rename(ws + "/dir", ws + "/dir2")
        write(ws + "/mine/z", "z\n")
        id = onto_head(m, ws, {"a.txt": "2\n"})
        say(ws + "/.onward/rebase", "x")
        assert read(ws + "/.onward/changes") == "D dir/x\nA dir2/x\nA mine/y\nA mine/z\n"
        # Nothing of the branch is needed any more.
        git(repo, "update-ref", "-d", "refs/heads/feature")
        git(repo, "gc", "-q", "--prune=now")
        assert read(ws + "/mine/y") == "y\n" and read(ws + "/dir2/x") == "x\n" and read(ws + "/a.txt") == "2\n"
        say(ws + "/.onward/commit", "mine")
        assert git(repo, "rev-parse", "main^").strip() == id and m.read("head/mine/y") == "y\n"


def test_a_rebased_workspace_survives_restart_and_kill(dir):
    repo = make_repo(dir + "/r.git", {**CONFLICTS, "d/b.txt": "two\n"})
    m = Mount(dir, repo, options=VIEW).start()
    ws = m / "staging/w"
    id = stage_conflicts(m, ws)
    os.rename(ws + "/d", ws + "/e")
    fails(errno.EUCLEAN, say, ws + "/.onward/rebase", "x")
    what = [read(ws + "/.onward/" + f) for f in ("changes", "outcome")]
    for end in (m.kill, m.stop):
        end()
        m.start()
        assert [read(ws + "/.onward/" + f) for f in ("changes", "outcome")] == what
        assert "<<<<<<< head" in read(ws + "/text") and read(ws + "/e/b.txt") == "two\n"
        assert os.readlink(ws + "/.onward/base").endswith(id)
    m.stop()


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

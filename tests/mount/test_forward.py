#!/usr/bin/env python3
"""Forward only: holds and pauses that only people lift, going back by a new commit, and a history that may not
lose what it had."""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, commit, git, make_repo, read, run, until
from test_command import onward
from test_deploy import DECLARATION, TREE, config, in_sync, records, state
from test_staging import say
from test_views import fails

SITES = ("hub", "s1", "s2")


def blocked(m, site, kind):
    return [b["detail"] for b in state(m, site)["blocked_by"] if b["kind"] == kind]


def settled(m, revision=None):
    for site in SITES:
        until(site + " is in sync", lambda: in_sync(m, site, revision))


def history(dir, contents):
    """A repository of a revision for each of `contents`; their ids, the first one's first."""
    repo = make_repo(dir + "/r.git", TREE)
    return repo, [git(repo, "rev-parse", "main").strip()] + [commit(repo + ".work", c) for c in contents]


def push(m, files):
    """Somebody else's commit, on top of what there is."""
    git(m.repo + ".work", "pull", "-q", "--rebase", "origin", "main")
    return commit(m.repo + ".work", files)


def inputs(repo, rev, paths):
    return git(repo, "ls-tree", "-r", rev, *paths)


def test_hold_and_pause_from_the_command_line(dir):
    repo, (first,) = history(dir, [])
    with Mount(dir, repo, config=config(dir), expect="command-failed") as m:
        settled(m, first)
        onward(m, "hold", "s1", "s2", "--reason", "new shelves: no changes")
        onward(m, "hold", "s1", "--reason", "new shelves: no changes")
        second = push(m, {"base/common.conf": "c=2\n", "hub/hub.conf": "h2\n"})
        until("hub moves", lambda: in_sync(m, "hub", second))
        until("s1 is held", lambda: state(m, "s1")["state"] == "held")
        assert re.fullmatch(r"by .* since 2.*Z: new shelves: no changes", blocked(m, "s1", "hold")[0])
        assert "new shelves" in onward(m, "status", "s2") and "held" in onward(m, "status")
        assert len(re.findall(" held ", git(repo, "log", "--format=%B", "refs/onward/ledger"
                                            "/" + os.uname().nodename))) == 2
        onward(m, "release", "s1", "--reason", "shelves are up")
        until("s1 goes on", lambda: in_sync(m, "s1", second))
        onward(m, "pause", "--reason", "stocktaking")
        third = push(m, {"hub/hub.conf": "h3\n"})
        until("hub waits", lambda: blocked(m, "hub", "pause"))
        assert "stocktaking" in m.read("fleet").splitlines()[0], m.read("fleet")
        assert "stocktaking" in json.loads(m.read(".onward/status.json"))["paused"]
        onward(m, "resume")
        until("hub goes on", lambda: in_sync(m, "hub", third))
        kinds = [(r["site"], r["kind"], r["message"]) for r in json.loads(onward(m, "log", "--json"))
                 if r["kind"] in ("held", "released", "paused", "resumed")]
        why = "new shelves: no changes"
        assert kinds[:3] == [("", "resumed", None), ("", "paused", "stocktaking"), ("s1", "released", "shelves are up")]
        assert sorted(kinds[3:]) == [("s1", "held", why), ("s2", "held", why)], kinds
        assert re.search(r"s2 +1 +held .* new shelves: no changes\n.* s2 +1 +deployed ", onward(m, "log", "s2"))
        for words, why in ((["hold", "s1"], "--reason"), (["pause", "s1"], "does not take"),
                           (["hold", "s1", "--reason", "a\nb"], "one line")):
            assert why in onward(m, *words, status=2), words
        assert "no site s9" in onward(m, "hold", "s1", "s9", "--reason", "x", status=1)
        assert "not rewritten" in onward(m, "accept", "--reason", "x", status=1)
        assert not blocked(m, "s1", "hold")


def test_rollback(dir):
    """The sites run what they ran, by a revision that says so; nobody else moves."""
    repo, ids = history(dir, [{"stores/s1/site.conf": "2\n", "stores/s1/new.conf": "n\n"},
                              {"stores/s1/site.conf": "3\n", "hub/hub.conf": "h3\n"}])
    with Mount(dir, repo, config=config(dir)) as m:
        settled(m)
        assert len(records(m, "s1")) == 1
        said = onward(m, "rollback", "s1", "--to", "HEAD~2", "--reason", "tills lock: too early")
        new = re.match("revision ([0-9a-f]{40})\nmoves s1\n", said).group(1)
        until("s1 goes back", lambda: in_sync(m, "s1", new))
        run("diff", "-r", m / f"revisions/{ids[0]}/stores/s1", m / "sites/s1/deployed/")
        run("diff", "-r", m / f"revisions/{ids[0]}/stores/s1", dir + "/sites/s1/current/stores/s1")
        assert inputs(repo, new, ["stores/s1", "base"]) == inputs(repo, ids[0], ["stores/s1", "base"])
        assert git(repo, "diff", "--name-only", ids[2], new).split() == ["stores/s1/new.conf", "stores/s1/site.conf"]
        assert git(repo, "log", "-1", "--format=%P", new).strip() == ids[2]
        message = git(repo, "log", "-1", "--format=%B", new)
        assert message == (f"Roll back s1 to {ids[0][:12]}\n\nRollback-of: {ids[2]}\nRestores: {ids[0]}\n"
                           "Reason: tills lock: too early\n\n"), message
        r = records(m, "s1")
        assert [x["generation"] for x in r] == [1, 2] and (r[1]["from"], r[1]["to"]) == (ids[2], new), r
        assert m.link("sites/hub/deployed") == ids[2] and len(records(m, "hub")) == 1
        again = json.loads(onward(m, "rollback", "--json", "s1", "hub", "--to", ids[1], "--reason", "both"))
        assert again["sites"] == ["hub", "s1"], again
        until("both go back", lambda: in_sync(m, "s1", again["revision"]) and in_sync(m, "hub", again["revision"]))
        message = git(repo, "log", "-1", "--format=%(trailers:key=Rollback-of,valueonly)", "main")
        assert sorted(message.split()) == sorted([new, ids[2]]), message
        assert read(dir + "/sites/s1/current/stores/s1/new.conf") == "n\n"


def test_rollbacks_that_cannot_be(dir):
    pinned = DECLARATION + "  - {name: s2, pin: v1}\n"
    repo, ids = history(dir, [{"onward.yaml": DECLARATION.replace("retail", "shops")},
                              {"onward.yaml": pinned, "base/common.conf": "c=3\n", "stores/s1/site.conf": "3\n"},
                              {"stores/s3/site.conf": "new\n", "hub/hub.conf": "h3\n"},
                              {"base/common.conf": "c=4\n"}])
    git(repo, "tag", "v1", ids[0])
    git(repo, "branch", "side", git(repo, "commit-tree", "-p", ids[0], "-m", "x", ids[0] + "^{tree}").strip())
    refused = (("s9", "HEAD~1", "no site s9"), ("s3", ids[0], "does not declare site s3"),
               ("s2", "v1", "pinned to v1"), ("s1", ids[1], "(team)"), ("hub", "nowhere", "no revision"),
               ("hub", "side", "not behind head"), ("hub", "HEAD~1", "nothing to do"),
               ("s1", "HEAD~1", "s3 would change as well, for taking base too"))
    with Mount(dir, repo, config=config(dir), expect="command-failed") as m:
        for site in (*SITES, "s3"):
            until(site + " is in sync", lambda: in_sync(m, site))
        for site, to, why in refused:
            said = onward(m, "rollback", site, "--to", to, "--reason", "x", status=1)
            assert why in said, (site, to, said)
        assert m.link("head") == ids[4]
        fails(22, say, m / ".onward/ctl", "rollback s1 --to HEAD~1")
        onward(m, "rollback", "s1", "s3", "--to", "HEAD~1", "--reason", "all who take base")
        assert m.read("head/base/common.conf") == "c=3\n" and m.read("head/stores/s3/site.conf") == "new\n"
        onward(m, "hold", "hub", "--reason", "not now")
        assert re.search("^hub stays where it is .hold.: by .*: not now$",
                         onward(m, "rollback", "hub", "--to", ids[0], "--reason", "x"), re.M)
        until("hub is held", lambda: state(m, "hub")["state"] == "held")
        onward(m, "release", "hub")
        until("hub goes back", lambda: in_sync(m, "hub"))
        assert m.read("sites/hub/deployed/hub.conf") == "h\n"


def test_rollback_under_review(dir):
    repo, ids = history(dir, [{"hub/hub.conf": "2\n"}, {"onward.yaml": DECLARATION + "review: {approvals: 1}\n"}])
    with Mount(dir, repo, config=config(dir)) as m:
        settled(m)
        said = onward(m, "rollback", "hub", "--to", ids[0], "--reason", "it burns")
        assert said.startswith("proposal 1: "), said
        assert onward(m, "rollback", "hub", "--to", ids[0], "--reason", "it burns") == said
        assert m.link("head") == ids[2] and m.read("sites/hub/deployed/hub.conf") == "2\n"
        assert "Reason: it burns\n" in m.read("proposals/1/message")
        assert m.read("proposals/1/tree/hub/hub.conf") == "h\n"
        assert os.listdir(m / "proposals") == ["1"]


def test_failure_08_automation_never_undoes_what_a_person_decided(dir):
    """A rollback, a hold and a pause outlast commits, restarts, kills and new declarations."""
    repo, ids = history(dir, [{"hub/hub.conf": "broken\n"}])
    script = f"cat hub.conf >> {dir}/applied"
    m = Mount(dir, repo, config=config(dir, script)).start()
    settled(m)
    onward(m, "rollback", "hub", "--to", "HEAD~1", "--reason", "broken")
    until("hub goes back", lambda: in_sync(m, "hub", m.link("head")))
    onward(m, "hold", "s1", "--reason", "mine")
    onward(m, "pause", "--reason", "all of it")
    m.kill()
    m.start()
    push(m, {"stores/s1/site.conf": "n\n", "unrelated": "2\n", "onward.yaml": DECLARATION.replace("retail", "shops")})
    until("it waits", lambda: blocked(m, "s2", "pause") and blocked(m, "s1", "hold"))
    onward(m, "resume")
    until("s2 moves on", lambda: in_sync(m, "s2", m.link("head")))
    m.stop()
    with Mount(dir, repo, config=config(dir, script)) as m:
        push(m, {"stores/s1/site.conf": "o\n", "stores/s2/site.conf": "o\n"})
        until("s2 moves on", lambda: in_sync(m, "s2", m.link("head")))
        assert state(m, "s1")["state"] == "held" and m.link("sites/s1/deployed") == ids[0]
        assert in_sync(m, "hub") and m.read("sites/hub/deployed/hub.conf") == "h\n"
        assert read(dir + "/applied") == "broken\nh\n"


LEDGER = "refs/onward/ledger/" + os.uname().nodename


def copy_to(repo, place, mirror):
    """A copy of the repository: what a backup has, or with `mirror` false a clone without refs/onward."""
    run("git", "clone", "-q", "--mirror" if mirror else "--bare", repo, place)


def marks(m):
    """Where the high-water mark is, in the repository and beside it."""
    ref = git(m.repo, "rev-parse", "-q", "--verify", "refs/onward/seen/" + os.uname().nodename, check=False).stdout
    files = [read(os.path.join(d, "seen")) for d, _, names in os.walk(m.state) if "seen" in names]
    return ref.strip(), re.findall(r"^mark (.*)$", "".join(files), re.M)


def refused(m, missing, why):
    """Nothing moves, nothing is committed, and each place says which revision is missing and what to do."""
    until("it is told", lambda: all(blocked(m, s, "rewritten") for s in SITES))
    problem = m.read("fleet").splitlines()[0]
    assert missing in problem and why in problem and "onward accept --reason" in problem, problem
    assert json.loads(m.read(".onward/status.json"))["problem"] == blocked(m, "hub", "rewritten")[0]
    os.mkdir(m / "staging/late")
    with open(m / "staging/late/x", "w") as f:
        f.write("x")
    fails(16, say, m / "staging/late/.onward/commit", "not now")
    assert missing in m.read("staging/late/.onward/outcome")
    os.unlink(m / "staging/late/x")
    os.rmdir(m / "staging/late")
    said = onward(m, "rollback", "hub", "--to", "HEAD", "--reason", "x", status=1)
    assert "nothing to do" in said or missing in said, said


def set_back(m, seen):
    """Everybody who asks is told that the ledger lacks `seen`, and orders that it would have to keep are refused."""
    until("it is told", lambda: f"the ledger {LEDGER} was" in m.read("fleet").splitlines()[0])
    problem = m.read("fleet").splitlines()[0]
    assert seen in problem and "onward accept --reason" in problem, (seen, problem)
    assert all(blocked(m, s, "rewritten") for s in SITES)
    assert any(json.loads(line)["message"] in problem for line in m.read(".onward/events").splitlines()
               if json.loads(line)["event"] == "problem")
    assert seen in onward(m, "hold", "s1", "--reason", "x", status=1)
    assert re.search("was (set back|removed)", onward(m, "verify", "--ledger", status=1))


EXPECT = "rewritten|old copy|ledger-set-back|the ledger refs/|commit-refused|command-failed"


def test_failure_14_an_older_history_is_refused_with_local_state_wiped(dir):
    """Of the two places that hold the mark, either is enough."""
    repo, ids = history(dir, [{"hub/hub.conf": "2\n"}, {"stores/s1/site.conf": "3\n"}])
    with Mount(dir, repo, config=config(dir)) as m:
        settled(m)
        assert marks(m) == (ids[2], [ids[2]])
    run("rm", "-r", dir + "/state")  # the ledger holds it, and makes the file anew
    git(repo, "update-ref", "refs/heads/main", ids[0])
    with Mount(dir, repo, config=config(dir), expect=EXPECT) as m:
        refused(m, ids[2], "was rewritten")
        assert m.link("sites/hub/deployed") == ids[1] and not marks(m)[1]
        git(repo, "update-ref", "refs/heads/main", ids[2])
        until("it goes on by itself", lambda: all(in_sync(m, s) for s in SITES) and marks(m)[1] == [ids[2]])
    git(repo, "update-ref", "-d", "refs/onward/seen/" + os.uname().nodename)
    git(repo, "update-ref", "refs/heads/main", ids[1])
    m = Mount(dir, repo, config=config(dir), expect=EXPECT).start()  # the state directory holds it
    refused(m, ids[2], "was rewritten")
    m.kill()
    with Mount(dir, repo, config=config(dir), expect=EXPECT) as m:
        refused(m, ids[2], "was rewritten")
        onward(m, "accept", "--reason", "it was my fault")
        settled(m)
        assert m.link("sites/s1/deployed") == ids[0] and marks(m) == (ids[1], [ids[1]])
        assert [r["generation"] for r in records(m, "s1")] == [1, 2]
        assert ids[2] in git(repo, "rev-list", "--all").split()  # what s1 ran before is still to be seen
        assert '"it was my fault"' in git(repo, "show", f"refs/onward/ledger/{os.uname().nodename}:fleet.json")
        after = push_forced(m, ids[1], {"hub/hub.conf": "on\n"})
        until("it moves on", lambda: in_sync(m, "hub", after))
        assert marks(m) == (after, [after])


def push_forced(m, onto, files):
    work = m.repo + ".work"
    git(work, "fetch", "-q", "origin", "main")
    git(work, "reset", "-q", "--hard", onto)
    return commit(work, files)


def test_failure_14_an_old_copy_is_refused_in_place_of_the_repository(dir):
    """A copy is valid in itself, also its refs/onward; what it misses is known beside it, wherever it lies."""
    repo, ids = history(dir, [{"hub/hub.conf": "2\n"}])
    with Mount(dir, repo, config=config(dir)) as m:
        settled(m)
    copy_to(repo, dir + "/backup.git", True)
    copy_to(repo, dir + "/plain.git", False)
    with Mount(dir, repo, config=config(dir)) as m:
        onward(m, "index")  # which knows where the history begins
        last = commit(repo + ".work", {"hub/hub.conf": "3\n"})
        until("hub moves", lambda: in_sync(m, "hub", last))
    for copy in ("backup", "plain"):
        with Mount(dir, f"{dir}/{copy}.git", config=config(dir), expect=EXPECT) as m:
            refused(m, last, "does not have revision")
    os.rename(repo, dir + "/lost.git")
    os.rename(dir + "/backup.git", repo)
    with Mount(dir, repo, config=config(dir), expect=EXPECT) as m:
        refused(m, last, "does not have revision")
        assert m.read("sites/hub/deployed/hub.conf") == "2\n"  # what that copy's ledger knows
        assert read(dir + "/sites/s1/current/stores/s1/site.conf") == "a\n"
        git(repo, "fetch", "-q", dir + "/lost.git", "main:main")
        set_back(m, git(dir + "/lost.git", "rev-parse", LEDGER).strip())  # which knows who has that already
        git(repo, "fetch", "-q", dir + "/lost.git", f"{LEDGER}:{LEDGER}")
        until("it goes on by itself", lambda: in_sync(m, "hub", last))
        assert len({git(r, "rev-parse", LEDGER) for r in (repo, dir + "/lost.git")}) == 1  # it ran that already
    run("rm", "-r", repo)
    os.rename(dir + "/plain.git", repo)
    with Mount(dir, repo, config=config(dir), expect=EXPECT) as m:
        refused(m, last, "does not have revision")
        onward(m, "accept", "--reason", "the rest is lost")
        until("hub goes on", lambda: in_sync(m, "hub", ids[1]))
        assert marks(m)[0] == ids[1] and ids[1] in marks(m)[1], marks(m)


def test_failure_14_a_ledger_that_was_set_back_moves_nothing(dir):
    """Nothing is deployed again as if it were new, nor covered up, by a daemon that runs nor by the next one."""
    repo, (first,) = history(dir, [])
    applied = dir + "/applied"
    m = Mount(dir, repo, config=config(dir, f"echo $ONWARD_GENERATION >> {applied}"), expect=EXPECT).start()
    settled(m, first)
    old = git(repo, "rev-parse", LEDGER).strip()
    push(m, {"hub/hub.conf": "2\n"})
    until("hub moves", lambda: state(m, "hub")["generation"] == 2 and in_sync(m, "hub"))
    onward(m, "hold", "s2", "--reason", "shelves")
    seen = git(repo, "rev-parse", LEDGER).strip()
    git(repo, "update-ref", LEDGER, old)
    set_back(m, seen)
    third = push(m, {"hub/hub.conf": "3\n", "base/common.conf": "c=3\n"})
    until("hub should move", lambda: state(m, "hub")["desired"] == third)
    assert state(m, "hub")["state"] != "migrating" and git(repo, "rev-parse", LEDGER).strip() == old
    m.stop()
    m.start()   # and now the ledger is all that it knows
    set_back(m, seen)
    assert read(applied) == "1\n2\n" and git(repo, "rev-parse", LEDGER).strip() == old
    git(repo, "update-ref", LEDGER, seen)
    for site in ("hub", "s1"):
        until(site + " goes on by itself", lambda: in_sync(m, site, third))
    assert state(m, "s2")["state"] == "held" and read(applied) == "1\n2\n3\n"
    assert "intact" in onward(m, "verify", "--ledger") and m.read("fleet").startswith("SITE")
    seen = git(repo, "rev-parse", LEDGER).strip()
    git(repo, "update-ref", "-d", LEDGER)
    set_back(m, seen)
    m.kill()
    m.start()
    set_back(m, seen)
    onward(m, "accept", "--reason", "it was a test")
    for site in SITES:
        until(site + " goes on", lambda: in_sync(m, site, third))
    assert "intact" in onward(m, "verify", "--ledger") and m.read("fleet").startswith("SITE")
    assert git(repo, "rev-parse", "refs/onward/kept/" + seen).strip() == seen
    assert '"it was a test"' in git(repo, "show", LEDGER + ":fleet.json")
    m.stop()
    with m:
        settled(m, third)


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

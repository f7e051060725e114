#!/usr/bin/env python3
"""Reviews through a real mount: changes of one user become revisions only when others approve them."""

import contextlib
import errno
import os
import random
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import ENV, ONWARD, Mount, commit, fsck, git, make_repo, read, run, until, write
from test_command import onward
from test_deploy import DECLARATION, config, in_sync, records
from test_forward import history, inputs, push, settled

SHARED = ["-o", "allow_other,noreconcile"]
ANN, BOB, CAY = 4001, 4002, 4003
WHO = {ANN: "Ann Lee <ann@example.org>", BOB: "Bob Ray <bob@example.org>", CAY: "Cay Orr <cay@example.org>"}
CONFIG = "identities:\n" + "".join(f'  {uid}: "{who}"\n' for uid, who in WHO.items())
LINES = "".join(f"line {i}\n" for i in range(20))


def as_user(uid, *args, check=True, env=None):
    return run("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *args, check=check,
               env={"HOME": "/", **(env or {})})


def tell(uid, path, line):
    """`echo line > path` as that user: 0, or the errno."""
    code = ("import os,sys\n"
            "try:\n"
            "    f = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC); os.write(f, sys.argv[2].encode() + b'\\n')\n"
            "except OSError as e:\n"
            "    print(e.errno)\n"
            "else:\n"
            "    print(0)\n")
    return int(as_user(uid, sys.executable, "-c", code, path, line))


def put(uid, path, text):
    as_user(uid, sys.executable, "-c", "import sys; open(sys.argv[1], 'w').write(sys.argv[2])", path, text)


def reviewed(dir, n=1, more=None, **options):
    """A repository whose head asks for n approvals, on a mount that all users see."""
    os.chmod(dir, 0o755)
    files = {"onward.yaml": f"onward: 1\nreview: {{approvals: {n}}}\n", "t": LINES, "c": "base\n", **(more or {})}
    repo = make_repo(dir + "/r.git", files)
    return Mount(dir, repo, options=SHARED, config=CONFIG, **options)


def propose(m, ws="fix", uid=ANN, files=None, message="why"):
    """Changes files in a workspace, made if need be, and commits it as the user; the outcome."""
    if not os.path.isdir(m / f"staging/{ws}"):
        as_user(uid, "mkdir", m / f"staging/{ws}")
    for name, text in (files or {"t": LINES.replace("line 3\n", "ours\n")}).items():
        put(uid, m / f"staging/{ws}/{name}", text)
    got = tell(uid, m / f"staging/{ws}/.onward/commit", message)
    assert got == 0, (errno.errorcode[got], as_user(uid, "cat", m / f"staging/{ws}/.onward/outcome"))
    return as_user(uid, "cat", m / f"staging/{ws}/.onward/outcome")


def head(m):
    return git(m.repo, "rev-parse", "main").strip()


def others_push(m, files):
    git(m.repo + ".work", "pull", "-q", "--ff-only", "origin", "main")
    id = commit(m.repo + ".work", files)
    until("head moves", lambda: m.link("head") == id)


def field(m, n, key):
    return re.search(rf"^{key}: (.*)$", m.read(f"proposals/{n}/status"), re.M).group(1)


def test_two_people_approve(dir):
    with reviewed(dir, 2) as m:
        before = head(m)
        assert propose(m, message="lock later") == "proposal 1: needs 2 approvals\n"
        assert head(m) == before and os.listdir(m / "proposals") == ["1"]
        p = m / "proposals/1"
        assert sorted(os.listdir(p)) == ["approvals", "approve", "author", "diff", "findings", "message", "status",
                                         "tree", "withdraw"]
        assert read(p + "/author") == WHO[ANN] + "\n" and read(p + "/message") == "lock later\n\nOnward-Workspace: fix\n"
        assert "+ours\n" in read(p + "/diff") and read(p + "/approvals") == "" and read(p + "/findings") == ""
        assert "ours" in read(p + "/tree/t") and os.readlink(p + "/tree").startswith("../../revisions/")
        assert field(m, 1, "needed") == "2" and field(m, 1, "workspace") == "fix"
        # The author does not count, whatever is said; nobody writes but to the control files.
        assert tell(ANN, p + "/approve", "yes") == errno.EACCES
        assert tell(BOB, p + "/diff", "x") in (errno.EACCES, errno.EROFS)
        assert tell(BOB, p + "/approve", "looks good") == 0
        assert tell(BOB, p + "/approve", "again") == 0
        assert re.fullmatch(re.escape(WHO[BOB]) + r" 20\S+Z looks good\n", read(p + "/approvals"))
        assert head(m) == before and field(m, 1, "approvals") == "1"
        assert tell(CAY, p + "/approve", "yes") == 0
        after = head(m)
        assert m.link("head") == after and git(m.repo, "rev-parse", "main^").strip() == before
        assert git(m.repo, "log", "-1", "--format=%an <%ae>|%cn|%B", "main").strip() == (
            f"{WHO[ANN]}|onwardfs|lock later\n\nOnward-Workspace: fix\nApproved-by: {WHO[BOB]}\nApproved-by: {WHO[CAY]}")
        assert m.read(f"commits/{after}/trailers") == f"Onward-Workspace: fix\nApproved-by: {WHO[BOB]}\nApproved-by: {WHO[CAY]}\n"
        assert os.listdir(m / "proposals") == [] and not os.path.exists(p)
        # The workspace is clean on the new base, as after a commit.
        ws = m / "staging/fix/.onward/"
        assert as_user(ANN, "cat", ws + "changes") == ""
        assert as_user(ANN, "readlink", ws + "base").strip().endswith(after)
        assert as_user(ANN, "cat", ws + "outcome").strip() == after
        assert git(m.repo, "for-each-ref", "refs/onward/proposals/") == ""
        fsck(m.repo)
        assert "proposal 2: needs 2" in propose(m, files={"t": LINES}, message="back again")


def test_approvals_lapse_with_what_they_were_for(dir):
    with reviewed(dir, 2) as m:
        propose(m)
        p = m / "proposals/1"
        seen = os.path.basename(os.readlink(p + "/tree"))
        assert tell(BOB, p + "/approve", seen) == 0
        assert "proposal 1: needs 1 approval\n" in propose(m), "nothing new, nothing lost"
        assert "needs 2" in propose(m, files={"new": "file\n"}) and read(p + "/approvals") == ""
        assert tell(CAY, p + "/approve", seen) == errno.ESTALE, "not what was looked at"
        assert tell(BOB, p + "/approve", "yes") == 0
        assert "needs 2" in propose(m, message="other words") and read(p + "/message") == "other words\n\nOnward-Workspace: fix\n"
        assert tell(BOB, p + "/approve", "yes") == 0
        # Onto a new base: the same change to the same files is what was approved.
        others_push(m, {"c": "theirs\n"})
        assert tell(ANN, m / "staging/fix/.onward/rebase", "x") == 0
        assert "needs 1 approval\n" in propose(m, message="other words")
        assert field(m, 1, "behind") == "0" and WHO[BOB] in read(p + "/approvals")
        # Onto one that has changed the same file: what comes out was seen by nobody.
        others_push(m, {"t": LINES.replace("line 17\n", "theirs\n")})
        assert tell(ANN, m / "staging/fix/.onward/rebase", "x") == 0
        assert "needs 2" in propose(m, files={"new": "file\n"}, message="other words")
        # Who proposes next in the author's workspace is not its reviewer, nor is the author.
        assert tell(0, m / "staging/fix/.onward/commit", "root says") == 0
        assert "root" in read(p + "/author")
        assert tell(ANN, p + "/approve", "yes") == errno.EACCES and tell(0, p + "/approve", "y") == errno.EACCES


def test_a_mainline_in_the_way(dir):
    with reviewed(dir) as m:
        propose(m, files={"c": "ours\n"})
        propose(m, ws="clean", uid=CAY, files={"t": LINES.replace("line 3\n", "ours\n")})
        others_push(m, {"c": "theirs\n", "t": LINES.replace("line 17\n", "theirs\n")})
        p, before = m / "proposals/1", head(m)
        assert read(p + "/findings").startswith("conflict: c ")
        assert tell(BOB, p + "/approve", "yes") == errno.EBUSY
        assert WHO[BOB] in read(p + "/approvals") and field(m, 1, "not-merged").startswith("conflict: c ")
        assert head(m) == before
        assert tell(BOB, m / "proposals/2/approve", "yes") == 0
        assert m.read("head/t") == LINES.replace("line 3\n", "ours\n").replace("line 17\n", "theirs\n")
        # A change that is clean by itself but not with what head has by now.
        propose(m, ws="yaml", uid=CAY, files={"a.yaml": "a: 1\n"})
        n = max(os.listdir(m / "proposals"), key=int)
        declaration = "onward: 1\nreview: {approvals: 1}\nsites: [{name: s, source: d, backend: files}]\n"
        others_push(m, {"onward.yaml": declaration, "d/x": "1\n"})
        assert m.read(f"proposals/{n}/findings") == ""
        assert tell(BOB, m / f"proposals/{n}/approve", "yes") == 0
        # The first one, rebased to what was decided, is another change.
        assert tell(ANN, m / "staging/fix/.onward/rebase", "x") == errno.EUCLEAN
        assert "needs 1" in propose(m, files={"c": "both\n"})
        assert read(p + "/approvals") == "" and tell(BOB, p + "/approve", "yes") == 0
        assert m.read("head/c") == "both\n" and os.listdir(m / "proposals") == []


def test_findings_on_the_merged_tree(dir):
    with reviewed(dir, more={"d/x": "1\n"}) as m:
        declaration = "onward: 1\nreview: {approvals: 1}\nsites: [{name: s, source: d, backend: b}]\n"
        propose(m, files={"onward.yaml": declaration})
        os.makedirs(m.repo + ".work/e")
        others_push(m, {"d/x": None, "e/x": "1\n"})
        assert "onward.yaml:" in m.read("proposals/1/findings")
        before = head(m)
        assert tell(BOB, m / "proposals/1/approve", "yes") == errno.EINVAL
        assert "onward.yaml:" in field(m, 1, "not-merged") and head(m) == before
        # Head lets everything pass again: who has approved already says so once more.
        others_push(m, {"d/x": "1\n"})
        assert tell(BOB, m / "proposals/1/approve", "yes") == 0 and os.listdir(m / "proposals") == []


def test_the_bar_is_that_of_head(dir):
    with reviewed(dir, 2) as m:
        lower = "onward: 1\nreview: {approvals: 0}\n"
        assert "needs 2" in propose(m, files={"onward.yaml": lower})
        assert "needs 2" in propose(m, ws="other", uid=BOB, files={"n": "1\n"})
        assert tell(BOB, m / "proposals/1/approve", "yes") == 0 and "approvals: 2" in m.read("head/onward.yaml")
        assert tell(CAY, m / "proposals/1/approve", "yes") == 0 and "approvals: 0" in m.read("head/onward.yaml")
        # No bar any more: a commit counts at once, and ends the proposal that it was.
        assert re.match("[0-9a-f]{40}\n", propose(m, ws="other", uid=BOB, files={"n": "1\n"}))
        assert os.listdir(m / "proposals") == [] and m.read("head/n") == "1\n"
        assert git(m.repo, "log", "-1", "--format=%B", "main").strip() == "why\n\nOnward-Workspace: other"


def test_refusals(dir):
    with reviewed(dir) as m:
        as_user(ANN, "mkdir", m / "staging/fix")
        put(ANN, m / "staging/fix/bad.json", "{")
        assert tell(ANN, m / "staging/fix/.onward/commit", "why") == errno.EINVAL
        assert os.listdir(m / "proposals") == [], "with findings nothing is proposed"
        as_user(ANN, "rm", m / "staging/fix/bad.json")
        put(ANN, m / "staging/fix/t", "x\n")
        put(ANN, m / "staging/fix/.onward/message", f"subject\n\nApproved-by: {WHO[BOB]}\n")
        assert tell(ANN, m / "staging/fix/.onward/commit", "-") == errno.EINVAL
        assert "Approved-by" in as_user(ANN, "cat", m / "staging/fix/.onward/outcome")
        put(ANN, m / "staging/fix/.onward/message", f"subject\n\nSee-also: x\n")
        assert tell(ANN, m / "staging/fix/.onward/commit", "-") == 0
        p = m / "proposals/1"
        assert tell(BOB, p + "/withdraw", "x") == errno.EACCES
        assert tell(BOB, m / "staging/fix/.onward/commit", "x") == errno.EACCES
        with open(p + "/status") as held:
            assert tell(ANN, p + "/withdraw", "x") == 0
            assert "proposal: 1\n" in held.read()
        assert os.listdir(m / "proposals") == [] and head(m) == m.link("head")
        assert as_user(ANN, "cat", m / "staging/fix/t") == "x\n", "the workspace keeps its changes"
        assert tell(ANN, m / "staging/fix/.onward/commit", "-") == 0
        assert os.listdir(m / "proposals") == ["2"], "numbers only grow"
        assert tell(BOB, m / "proposals/2/approve", "yes") == 0
        said = git(m.repo, "log", "-1", "--format=%B", "main").strip()
        assert said == (
            f"subject\n\nSee-also: x\nOnward-Workspace: fix\nApproved-by: {WHO[BOB]}")
        assert as_user(ANN, "cat", m / "staging/fix/.onward/message") == ""


def test_a_workspace_that_went_on(dir):
    with reviewed(dir) as m:
        propose(m)
        put(ANN, m / "staging/fix/later", "not proposed\n")
        assert tell(BOB, m / "proposals/1/approve", "yes") == 0
        assert "ours" in m.read("head/t") and not os.path.exists(m / "head/later")
        assert "A later\n" in as_user(ANN, "cat", m / "staging/fix/.onward/changes")
        assert "proposal 2" in propose(m, files={"later": "proposed\n"}, message="the rest")
        assert "later" in m.read("proposals/2/diff")
        assert tell(CAY, m / "proposals/2/approve", "yes") == 0
        assert m.read("head/later") == "proposed\n" and "ours" in m.read("head/t")


def test_a_proposal_outlives_its_workspace(dir):
    with reviewed(dir) as m:
        propose(m, ws="w", files={"a": "ann\n"})
        assert tell(ANN, m / "staging/w/.onward/drop", "force") == 0
        # The same name again is another's.
        assert "proposal 2" in propose(m, ws="w", uid=BOB, files={"b": "bob\n"})
        assert tell(ANN, m / "proposals/1/approve", "yes") == errno.EACCES
        assert tell(BOB, m / "proposals/2/approve", "yes") == errno.EACCES
        assert tell(BOB, m / "proposals/1/approve", "yes") == 0 and m.read("head/a") == "ann\n"
        assert "A b\n" == as_user(BOB, "cat", m / "staging/w/.onward/changes"), "nobody has touched it"
        assert os.listdir(m / "proposals") == ["2"]


def test_two_proposals_for_one_file(dir):
    with reviewed(dir) as m:
        propose(m, ws="one", files={"t": LINES.replace("line 3\n", "one\n")})
        propose(m, ws="two", files={"t": LINES.replace("line 3\n", "two\n")})
        assert tell(BOB, m / "proposals/1/approve", "yes") == 0
        assert tell(BOB, m / "proposals/2/approve", "yes") == errno.EBUSY
        conflict = m.read("proposals/2/findings")
        assert re.fullmatch(r"conflict: t( [0-9a-f]{40}){3}\n", conflict) and field(m, 2, "not-merged") == conflict.strip()
        assert field(m, 2, "approvals") == "1"
        # What is decided is another content, and asks anew.
        assert tell(ANN, m / "staging/two/.onward/rebase", "now") == errno.EUCLEAN
        assert "needs 1 approval" in propose(m, ws="two", files={"t": LINES.replace("line 3\n", "both\n")})
        assert field(m, 2, "approvals") == "0" and m.read("proposals/2/findings") == ""
        # A bar that was raised meanwhile counts, and so does one that was lowered.
        others_push(m, {"onward.yaml": "onward: 1\nreview: {approvals: 2}\n"})
        assert tell(BOB, m / "proposals/2/approve", "yes") == 0
        assert field(m, 2, "approvals") == "1" and field(m, 2, "needed") == "2" and "one\n" in m.read("head/t")
        others_push(m, {"onward.yaml": "onward: 1\n"})
        assert tell(BOB, m / "proposals/2/approve", "yes") == 0 and "both\n" in m.read("head/t")
        assert as_user(ANN, "cat", m / "staging/two/.onward/changes") == ""


def test_restarts_keep_everything(dir):
    with ended(reviewed(dir, 2).start()) as m:
        leave_behind_and_return(dir, m)


def leave_behind_and_return(dir, m):
    propose(m)
    propose(m, ws="two", uid=BOB, files={"two": "2\n"})
    assert tell(CAY, m / "proposals/1/approve", "yes") == 0
    assert tell(BOB, m / "proposals/2/withdraw", "yes") == 0
    texts = {n: m.read("proposals/1/" + n) for n in ("diff", "message", "author", "approvals", "status")}
    m.stop()
    # A mirror has it all.
    run("git", "clone", "-q", "--mirror", m.repo, dir + "/mirror.git")
    for repo, state in ((m.repo, m.state), (dir + "/mirror.git", dir + "/state2")):
        with Mount(dir, repo, options=["-o", "ro,noreconcile"], state=state) as ro:
            assert os.listdir(ro / "proposals") == ["1"] and not os.path.exists(ro / "staging")
            assert {n: ro.read("proposals/1/" + n) for n in texts} == texts
            assert sorted(os.listdir(ro / "proposals/1")) == [
                "approvals", "author", "diff", "message", "status", "tree"]
    with Mount(dir, m.repo, options=SHARED, config=CONFIG) as m:
        assert {n: m.read("proposals/1/" + n) for n in texts} == texts
        assert "proposal 1: needs 1 approval\n" in propose(m), "it is the workspace's still"
        assert "proposal 3" in propose(m, ws="three", uid=BOB, files={"three": "3\n"})
        assert tell(BOB, m / "proposals/1/approve", "yes") == 0
        assert "ours" in m.read("head/t") and os.listdir(m / "proposals") == ["3"]


def approve_apart(uid, path):
    """Approves in a process of its own; gives its pid when it is about to write."""
    come, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            f = os.open(path, os.O_WRONLY)
            os.write(go, b"x")
            os.write(f, b"yes\n")
            code = 0
        except OSError:
            code = 1
        finally:
            os._exit(code)
    os.close(go)
    os.read(come, 1)
    os.close(come)
    return pid


@contextlib.contextmanager
def ended(m):
    """A mount that a test starts and stops itself: it goes with the test, however that ends."""
    try:
        yield m
    finally:
        if m.process.poll() is None:
            m.process.kill()
            run("fusermount3", "-u", "-z", m.path, check=False)


def test_killed_between_approval_and_merge(dir):
    m = reviewed(dir)
    with ended(m.start()):
        m.stop()
        kill_in_rounds(m)


def kill_in_rounds(m):
    seed = int(os.environ.get("SEED") or time.time())
    dice, takes = random.Random(seed), 0
    count = {"merged": 0, "approved": 0, "open": 0}
    for i in range(21):
        m.start()
        number = propose(m, files={"t": f"{i}\n"}, message=f"round {i}").split(":")[0].split()[1]
        before = head(m)
        pid, since = approve_apart(BOB, m / f"proposals/{number}/approve"), time.monotonic()
        if i == 0:  # how long it takes when it is let
            assert os.waitpid(pid, 0)[1] == 0
            takes = time.monotonic() - since
        else:
            time.sleep(takes * dice.random() ** 2)  # most of it comes after the merge
        m.kill()
        answer = os.waitpid(pid, 0)[1] if i else 0
        landed = head(m) != before
        m.start()
        there = os.listdir(m / "proposals")
        at = f"round {i}, answer {answer}, seed {seed}: {there}"
        assert (there == []) == landed and (landed or answer), at
        if landed:
            count["merged"] += 1
            assert git(m.repo, "log", "-1", "--format=%s|%(trailers:key=Approved-by,valueonly)", "main").strip() == (
                f"round {i}|{WHO[BOB]}"), at
            assert as_user(ANN, "cat", m / "staging/fix/.onward/changes") == "", at
        else:
            count["approved" if m.read(f"proposals/{number}/approvals") else "open"] += 1
            assert there == [number] and f"{i}\n" == as_user(ANN, "cat", m / "staging/fix/t"), at
            assert tell(BOB, m / f"proposals/{number}/approve", "yes") == 0, at
            assert os.listdir(m / "proposals") == [] and m.read("head/t") == f"{i}\n", at
        fsck(m.repo)
        m.stop()
    print(f"# seed {seed}, {takes * 1000:.0f} ms:", count, flush=True)


def test_what_others_push(dir):
    with reviewed(dir) as m:
        work, before = m.repo + ".work", head(m)
        write(work + "/t", LINES.replace("line 3\n", "pushed\n"))
        git(work, "commit", "-q", "-a", "-m", "made with git")
        git(work, "push", "-q", "origin", "HEAD:refs/onward/proposals/7")
        until("it shows", lambda: os.listdir(m / "proposals") == ["7"])
        assert m.read("proposals/7/message") == "made with git\n" and "pushed" in m.read("proposals/7/tree/t")
        assert "proposal 8" in propose(m, uid=BOB, files={"b": "1\n"})
        # None of these is a proposal, and none harms the others.
        tree = git(work, "write-tree").strip()
        made = lambda message, *parents: git(work, "commit-tree", tree, *[x for p in parents for x in ("-p", p)],
                                             stdin=message).strip()
        git(work, "fetch", "-q", "origin", "refs/onward/proposals/8:refs/heads/p8")
        bad = {
            "9": git(work, "rev-parse", "p8").strip(),  # somebody else's number
            "10": made("x\n\nOnward-Approves: " + before + "\n", before),  # of another content
            "11": made("x" * 200000, before),
            "12": made("merge", before, git(work, "rev-parse", "p8").strip()),
            "0": made("zero", before),
            "007": made("padded", before),
            "x": made("no number", before),
            "99999999999999999999": made("too large", before),
        }
        for name, id in bad.items():
            git(work, "push", "-q", "origin", f"{id}:refs/onward/proposals/{name}")
        blob = git(m.repo, "hash-object", "-w", "--stdin", stdin="no commit").strip()
        git(m.repo, "update-ref", "refs/onward/proposals/13", blob)
        # Approvals by the author, and twice by one person, are none.
        chain = content = git(work, "rev-parse", "HEAD").strip()
        for who in ("Ann Lee <ANN@example.org>", "Bob Ray <bob@example.org>", "Bob Ray <BOB@example.org>"):
            name, email = who[:-1].split(" <")
            chain = git(work, "commit-tree", tree, "-p", chain,
                        env={"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email},
                        stdin=f"Approve\n\nwith \x1b[31mcolour\n\nOnward-Approves: {content}\n").strip()
        git(work, "push", "-q", "-f", "origin", f"{chain}:refs/onward/proposals/7")
        until("it is seen", lambda: "Bob" in m.read("proposals/7/approvals"))
        approvals = m.read("proposals/7/approvals")
        assert approvals.count("\n") == 1 and "\x1b" not in approvals, approvals
        assert sorted(os.listdir(m / "proposals")) == ["7", "8"]
        for name in bad:
            assert not os.path.exists(m / f"proposals/{name}")
        assert tell(CAY, m / "proposals/7/approve", "yes") == 0
        assert git(m.repo, "log", "-1", "--format=%an|%s", "main").strip() == "Ann Lee|made with git"
        assert m.read("head/t") == LINES.replace("line 3\n", "pushed\n")
        assert "proposal 8" in propose(m, uid=BOB, files={"b": "2\n"})
        assert "proposal 14" in propose(m, uid=BOB, ws="next", files={"b": "3\n"}), "past all that is taken"
        assert sum("no-proposal" in line for line in m.log) <= 5


def test_approvers_at_once(dir):
    with reviewed(dir, 2) as m:
        for i in range(5):
            propose(m, ws=f"w{i}", files={f"f{i}": f"{i}\n"})
        answers = []
        def all_of(uid, order):
            for n in order:
                answers.append((uid, n, tell(uid, m / f"proposals/{n}/approve", "yes")))
        threads = [threading.Thread(target=all_of, args=(u, o)) for u in (BOB, CAY) for o in ((1, 2, 3), (5, 4, 3))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        # Whoever comes late for one that is merged already learns that.
        assert {a for _, _, a in answers} <= {0, errno.ESTALE, errno.ENOENT}, answers
        assert os.listdir(m / "proposals") == []
        assert git(m.repo, "rev-list", "--count", "--min-parents=2", "main").strip() == "0"
        assert git(m.repo, "rev-list", "--count", "main").strip() == "6"
        for i in range(5):
            assert m.read(f"head/f{i}") == f"{i}\n"
            assert as_user(ANN, "cat", m / f"staging/w{i}/.onward/changes") == ""


def test_command_line(dir):
    with reviewed(dir, 2) as m:
        def onward(uid, *args, status=0):
            p = as_user(uid, ONWARD, *args, check=False, env={"ONWARD_MOUNT": m.path})
            assert p.returncode == status, (args, p.returncode, p.stdout, p.stderr)
            return p.stdout + p.stderr
        as_user(ANN, "mkdir", m / "staging/fix")
        put(ANN, m / "staging/fix/t", LINES.replace("line 3\n", "ours\n"))
        assert "no proposals" in onward(BOB, "list", "--proposals")
        assert "proposal 1: needs 2 approvals" in onward(ANN, "commit", "fix", "-m", "why")
        assert '"proposal": 1' in onward(ANN, "commit", "fix", "-m", "why", "--json")
        listed = onward(BOB, "list", "--proposals")
        assert re.search(r"^1 +Ann Lee <ann@example.org> +fix +0 of 2 +0 +why$", listed, re.M), listed
        assert '"needed": 2' in onward(BOB, "list", "--proposals", "--json")
        shown = onward(BOB, "show", "proposal", "1")
        assert shown.startswith("proposal 1\n") and "+ours" in shown and "0 of 2" in shown, shown
        assert "your own" in onward(ANN, "approve", "1", status=1)
        assert "no proposal" in onward(BOB, "approve", "9", status=1)
        assert "needs 1 approval" in onward(BOB, "approve", "1")
        assert "Bob Ray" in onward(ANN, "show", "proposal", "1", "--json")
        assert "merged; head is" in onward(CAY, "approve", "1") and "ours" in m.read("head/t")
        put(ANN, m / "staging/fix/c", "ours\n")
        onward(ANN, "commit", "fix", "-m", "again")
        others_push(m, {"c": "theirs\n"})
        onward(BOB, "approve", "2")
        said = onward(CAY, "approve", "2", status=1)
        assert "conflict: c" in said and "EBUSY" in said, said


def test_a_mount_for_one(dir):
    repo = make_repo(dir + "/r.git", {"onward.yaml": "onward: 1\nreview: {approvals: 1}\n", "t": "1\n"})
    with Mount(dir, repo, options=["-o", "noreconcile"]) as m:
        os.mkdir(m / "staging/w")
        write(m / "staging/w/t", "2\n")
        with open(m / "staging/w/.onward/commit", "w") as f:
            f.write("why\n")
        said = m.read("staging/w/.onward/outcome")
        assert "proposal 1: needs 1 approval\n" in said and "allow_other" in said, said
        assert os.stat(m / "proposals/1/approve").st_mode & 0o777 == 0o200


def test_an_approved_rollback_moves_the_sites(dir):
    """Restarted between, and merged with what others pushed; but never with what these sites take."""
    repo, ids = history(dir, [{"hub/hub.conf": "2\n"}, {"onward.yaml": DECLARATION + "review: {approvals: 1}\n"}])
    os.chmod(dir, 0o755)

    def roll_back(m):
        return re.match(r"proposal (\d+): ", onward(m, "rollback", "hub", "--to", ids[0], "--reason", "it burns"))[1]

    m = Mount(dir, repo, config=config(dir) + CONFIG, options=["-o", "allow_other"], expect="commit-refused").start()
    settled(m)
    n = roll_back(m)
    push(m, {"hub/new.conf": "n\n"})
    until("the push is seen", lambda: m.link("head") == git(repo, "rev-parse", "main").strip())
    got = tell(ANN, m / f"proposals/{n}/approve", "go")
    assert got == errno.EBUSY, (got, m.read(f"proposals/{n}/status"))
    assert "what site hub takes has changed since" in m.read(f"proposals/{n}/status"), m.read(f"proposals/{n}/status")
    write(m / f"proposals/{n}/withdraw", "too late\n")
    n = roll_back(m)
    m.kill()
    m.start()
    push(m, {"stores/s1/site.conf": "other\n"})
    until("the push is seen", lambda: m.link("head") == git(repo, "rev-parse", "main").strip())
    assert tell(ANN, m / f"proposals/{n}/approve", "go") == 0
    new = git(repo, "rev-parse", "main").strip()
    until("hub goes back", lambda: in_sync(m, "hub", new))
    assert inputs(repo, new, ["hub"]) == inputs(repo, ids[0], ["hub"])
    run("diff", "-r", m / f"revisions/{ids[0]}/hub", m / "sites/hub/deployed/")
    until("s1 has what was pushed", lambda: in_sync(m, "s1") and m.read("sites/s1/deployed/site.conf") == "other\n")
    trailers = git(repo, "log", "-1", "--format=%(trailers:only)", "main")
    restored = f"Restores: {ids[0]}\nReason: it burns\nApproved-by: {WHO[ANN]}\n"
    assert re.fullmatch("Rollback-of: [0-9a-f]{40}\n" + re.escape(restored) + "\n*", trailers), trailers
    assert os.listdir(m / "proposals") == [] and records(m, "hub")[-1]["to"] == new
    m.stop()


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP only root can act as several users")
    elif run("setpriv", "--reuid=4001", "--clear-groups", "true", check=False).returncode:
        print("1..0 # SKIP setpriv cannot act as another user here")
    else:
        onwardtest.main(sys.modules[__name__])

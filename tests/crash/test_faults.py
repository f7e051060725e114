#!/usr/bin/env python3
"""Every call that changes or reads the state directory or the repository fails, or is the daemon's last: each step
of a fixed scenario is repeated with the fault at its first call, its second, until it meets none.

usage: test_faults.py [--all | --points N --faults N] [--step NAME]… [--seed S]     (default: a sample; by hand: --all)

After each fault, in the running daemon and after a restart without repair by hand:
  P3, P4   what was acknowledged is there, and `git fsck --strict` is clean;
  P5       a commit or rebase that was not acknowledged has changed nothing, and `outcome` says why, in a line that
           names what failed (W1: what a workspace shows follows `state`, at any instant);
  W2, W3   after a kill the step has happened or has not, wholly;
  P13      other steps that failed have changed nothing, or have happened, wholly;
  P15      the same step succeeds when the fault is lifted, and no temporary file or lock is left after a restart
           (W4).
"""

import argparse
import errno
import glob
import os
import random
import re
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import faults as F
from onwardtest import Mount, commit, git, make_repo, run, until

PATIENCE = 60    # seconds in which a step has an end, whatever happens
LINES = "".join(f"line {i}\n" for i in range(20))
FILES = {"a": LINES, "b": "b\n", "d/c": "c\n", "d/e/f": "f\n", "x.sh": "#!/bin/sh\n", "elsewhere": "0\n"}
ALWAYS_GONE = re.compile(r"(\.lock|\.new|^\.(new|old|probe)-.*|^tmp_obj.*|^onward_draft_.*|^onwardfs\.ref-.*)$")


def put(path, text, flags=os.O_CREAT | os.O_TRUNC, sync=False):
    """One write, so that what it answers is what the daemon said."""
    fd = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        if os.write(fd, text.encode()) != len(text.encode()):
            raise OSError(errno.ENOSPC, "short")
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def look(path):
    """Everything below a directory: name -> content."""
    found = {}
    for e in os.scandir(path):
        if e.is_symlink():
            found[e.name] = ("link", os.readlink(e.path))
        elif e.is_dir():
            found[e.name] = ("dir", look(e.path))
        else:
            with open(e.path) as f:
                found[e.name] = (oct(e.stat().st_mode), f.read())
    return found


class World:
    """A repository, its daemon, and what can be seen of them."""

    def __init__(self, dir):
        self.dir = dir
        self.repo = make_repo(dir + "/r.git", FILES)
        git(self.repo, "config", "receive.autogc", "false")     # its lock would be taken for something left behind
        Mount(dir, self.repo).start().stop()
        self.state, = glob.glob(dir + "/state/*/workspaces")
        self.faults = F.Faults(dir, [self.state, self.repo])
        self.n = 0
        self.approvals = 0      # that head asks for
        self.m = None
        self.start()

    def start(self):
        self.faults.lift()
        self.m = Mount(self.dir, self.repo, options=["-o", "noreconcile"], expect=".*", env=self.faults.env).start()

    def alive(self):
        return self.m.process.poll() is None

    def restart(self, kill):
        self.restarted = True
        if kill or not self.alive():
            self.m.kill()
        else:
            self.m.stop()
        self.start()

    def fresh(self):
        """A number that was not used before."""
        self.n += 1
        return self.n

    def ws(self, name="w"):
        return self.m / f"staging/{name}"

    def control(self, name):
        return self.ws() + "/.onward/" + name

    def main(self):
        return git(self.repo, "rev-parse", "main").strip()

    def push(self, path="elsewhere", text=None):
        """Somebody else moves the mainline."""
        work = self.repo + ".work"
        git(work, "pull", "-q", "--ff-only", "origin", "main")
        id = commit(work, {path: text or f"{self.fresh()}\n"})
        until("head moves", lambda: self.m.link("head") == id)

    def see(self):
        """What an operator sees."""
        names = sorted(os.listdir(self.m / "staging"))
        state = {"workspaces": names, "main": self.main(), "proposals": self.proposals()}
        if "w" in names:
            state["tree"] = look(self.ws())
            state["base"] = self.m.link("staging/w/.onward/base")
            for name in ("changes", "autocommit", "message"):
                state[name] = self.m.read("staging/w/.onward/" + name)
        return state

    def proposals(self):
        """Each with what it proposes and who has approved it. One that has ended is listed until the refs, which
        could not be read, are read again."""
        open = {}
        for n in os.listdir(self.m / "proposals"):
            try:
                tree = git(self.repo, "rev-parse", f"refs/onward/proposals/{n}^{{tree}}").strip()
                open[n] = tree, re.sub(" [0-9TZ:-]+ ", " ", self.m.read(f"proposals/{n}/approvals"))
            except (FileNotFoundError, AssertionError):
                until(f"proposal {n} is gone", lambda: n not in os.listdir(self.m / "proposals"))
        return open

    def ask_for(self, approvals):
        """From now on, by a commit of somebody else's; what was proposed before is gone."""
        for n in os.listdir(self.m / "proposals"):
            put(self.m / f"proposals/{n}/withdraw", "over\n", flags=0)
        if self.approvals != approvals:
            self.push("onward.yaml", f"onward: 1\nreview: {{approvals: {approvals}}}\n")
            self.approvals = approvals

    def propose(self):
        """By somebody else, with Git; its number."""
        git(self.repo + ".work", "pull", "-q", "--ff-only", "origin", "main")
        with open(self.repo + ".work/b", "w") as f:
            f.write(f"proposed {self.fresh()}\n")
        git(self.repo + ".work", "commit", "-q", "-a", "-m", "proposed by Ann")
        git(self.repo + ".work", "push", "-q", "origin", f"HEAD:refs/onward/proposals/{self.n}")
        git(self.repo + ".work", "reset", "-q", "--hard", "HEAD~")
        until("it is seen", lambda: str(self.n) in os.listdir(self.m / "proposals"))
        return str(self.n)

    def leftovers(self):
        """Files that only an interrupted step leaves."""
        found = []
        for top in (self.state, self.repo):
            for at, dirs, files in os.walk(top):
                found += [os.path.join(at, n) for n in dirs + files if ALWAYS_GONE.search(n) and n != "onwardfs.lock"]
        for name in os.listdir(self.state):
            ws = os.path.join(self.state, name)
            found += [os.path.join(ws, "work", n) for n in os.listdir(ws + "/work")]
            uppers = [n for n in os.listdir(ws) if n.startswith("upper.")]
            found += uppers if len(uppers) != 1 else []
        return found

    def clean(self, approvals=0):
        """A workspace `w` on head without changes; and nothing proposed."""
        # The refs may have been unreadable when they moved, and are read again a moment later.
        until("head is the mainline", lambda: self.m.link("head") == self.main())
        self.ask_for(approvals)
        if not os.path.isdir(self.ws()):
            os.mkdir(self.ws())
        put(self.control("autocommit"), "off\n")
        # Empty directories are no change.
        if self.m.read("staging/w/.onward/changes") or os.path.exists(self.ws() + "/made"):
            put(self.control("drop"), "force\n")
            os.mkdir(self.ws())
        if self.m.link("staging/w/.onward/base") != self.m.link("head"):
            put(self.control("rebase"), "now\n")


# The steps. prepare() brings about what act() starts from; act() raises what the daemon answers; done() says
# whether `after` is what it leads to from `before`.

class Step:
    atomic = True       # unacknowledged without a crash: nothing has happened
    says = True         # `outcome` has a reason then

    def prepare(self, w):
        w.clean()

    def done(self, w, before, after):
        raise NotImplementedError


class New(Step):
    says = False

    def prepare(self, w):
        if os.path.isdir(w.ws()):
            put(w.control("drop"), "force\n")

    def act(self, w):
        os.mkdir(w.ws())

    def done(self, w, before, after):
        return after["workspaces"] == ["w"] and not after["changes"] and after["main"] == before["main"]


class NewOnRevision(Step):
    """One whose base a ref keeps."""
    says = False

    def prepare(self, w):
        if os.path.isdir(w.ws("w@main")):
            put(w.ws("w@main") + "/.onward/drop", "force\n")

    def act(self, w):
        os.mkdir(w.ws("w@main"))

    def done(self, w, before, after):
        kept = git(w.repo, "for-each-ref", "refs/onward/workspaces")
        return "w@main" in after["workspaces"] and kept


class Write(Step):
    atomic = says = False

    def act(self, w):
        self.text = f"write {w.fresh()}\n"
        put(w.ws() + "/a", self.text, flags=0, sync=True)

    def done(self, w, before, after):
        return after["tree"] == {**before["tree"], "a": (before["tree"]["a"][0], self.text + LINES[len(self.text):])}


class Replace(Step):
    """As editors do."""
    atomic = says = False

    def prepare(self, w):
        w.clean()
        self.text = f"replace {w.fresh()}\n"
        put(w.ws() + "/new", self.text, sync=True)

    def act(self, w):
        os.rename(w.ws() + "/new", w.ws() + "/d/c")
        fd = os.open(w.ws() + "/d", os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def done(self, w, before, after):
        return "new" not in after["tree"] and after["tree"]["d"][1]["c"][1] == self.text


class Names(Step):
    """Changes of names that come one after the other: each may be the last."""
    atomic = says = False
    steps = [lambda ws: os.mkdir(ws + "/made"), lambda ws: os.rename(ws + "/d", ws + "/made/d"),
             lambda ws: os.symlink("a", ws + "/link"), lambda ws: os.unlink(ws + "/b"),
             lambda ws: os.chmod(ws + "/x.sh", 0o755), lambda ws: os.rename(ws + "/a", ws + "/made/a"),
             lambda ws: os.truncate(ws + "/elsewhere", 1)]

    def act(self, w):
        self.before, self.at = look(w.ws()), 0
        self.seen = [self.before]
        for step in self.steps[len(self.seen) - 1:]:
            step(w.ws())
            self.seen.append(look(w.ws()))

    def done(self, w, before, after):
        t = after["tree"]
        return ("d" not in t and "b" not in t and t["made"][1]["d"] == before["tree"]["d"] and "link" in t and
                t["made"][1]["a"] == before["tree"]["a"] and t["x.sh"][0] == oct(0o100755) and
                t["elsewhere"][1] == before["tree"]["elsewhere"][1][:1])

    def between(self, before, after):
        """Each file that is shown is one that was there, and nothing has gone but by the steps."""
        t, b = after["tree"], before["tree"]
        made = t.get("made", ("dir", {}))[1]
        return ((t.get("d") or made.get("d")) == b["d"] and (t.get("a") or made.get("a")) == b["a"] and
                t.get("b", b["b"]) == b["b"])


class Commit(Step):
    def prepare(self, w):
        w.clean()
        n = w.fresh()
        put(w.ws() + "/a", f"commit {n}\n" + LINES, sync=True)
        put(w.ws() + f"/added{n}", "added\n")
        os.makedirs(w.ws() + "/d/e", exist_ok=True)
        os.unlink(w.ws() + "/d/e/f") if n % 2 and os.path.exists(w.ws() + "/d/e/f") else put(w.ws() + "/d/e/f", "f\n")
        os.makedirs(w.ws() + "/empty/dir", exist_ok=True)

    def act(self, w):
        self.message = f"commit {w.fresh()}"
        put(w.control("commit"), self.message + "\n", flags=0)

    def done(self, w, before, after):
        assert after["changes"] == "", "the workspace is not clean"
        assert git(w.repo, "log", "-1", "--format=%s", "main").strip() == self.message
        assert git(w.repo, "rev-parse", "main^").strip() == before["main"]
        return after["main"] == after["base"] and after["tree"] == self.shown(before)

    def shown(self, before):
        return before["tree"]


class CommitMessage(Commit):
    """With the message in the file, which is emptied."""

    def prepare(self, w):
        super().prepare(w)
        self.message = f"commit {w.fresh()}"
        put(w.control("message"), self.message + "\n\nand why\n")

    def act(self, w):
        put(w.control("commit"), "-\n", flags=0)


class Merge(Commit):
    """A commit when the mainline has moved."""

    def prepare(self, w):
        super().prepare(w)
        w.push()

    def shown(self, before):
        return {**before["tree"], "elsewhere": (before["tree"]["elsewhere"][0], f"{self.pushed(before)}")}

    def pushed(self, before):
        return git(self.repo, "show", before["main"] + ":elsewhere")

    def act(self, w):
        self.repo = w.repo
        super().act(w)


class Conflict(Step):
    """A commit that has to be refused."""

    def prepare(self, w):
        w.clean()
        put(w.ws() + "/elsewhere", f"ours {w.fresh()}\n")
        w.push()

    def act(self, w):
        try:
            put(w.control("commit"), "conflict\n", flags=0)
        except OSError as e:
            if e.errno != errno.EBUSY:
                raise

    def done(self, w, before, after):
        said = w.m.read("staging/w/.onward/outcome")
        # An outcome that could not be saved is gone after a restart.
        assert w.restarted or said.startswith("conflict: elsewhere "), f"outcome: {said!r}"
        return before == after


class Rebase(Step):
    """Onto head, with a conflict: with markers."""

    def prepare(self, w):
        w.clean()
        put(w.ws() + "/a", f"rebase {w.fresh()}\n" + LINES)
        put(w.ws() + "/elsewhere", f"ours {w.fresh()}\n")
        os.unlink(w.ws() + "/b") if os.path.exists(w.ws() + "/b") else put(w.ws() + "/b", "b\n")
        os.makedirs(w.ws() + "/empty", exist_ok=True)
        w.push()

    def act(self, w):
        try:
            put(w.control("rebase"), "now\n", flags=0)
        except OSError as e:
            if e.errno != errno.EUCLEAN:
                raise

    def done(self, w, before, after):
        theirs = git(w.repo, "show", "main:elsewhere")
        ours = before["tree"]["elsewhere"][1]
        merged = after["tree"]["elsewhere"][1]
        return (after["base"] == after["main"] == before["main"] and ours in merged and theirs in merged and
                {**after["tree"], "elsewhere": before["tree"]["elsewhere"]} == before["tree"])


class Autocommit(Step):
    says = False

    def prepare(self, w):
        w.clean()
        put(w.control("autocommit"), "10m\n", flags=0)

    def act(self, w):
        put(w.control("autocommit"), "20m\n", flags=0)

    def done(self, w, before, after):
        return after == {**before, "autocommit": "20m\n"}


class Drop(Step):
    says = False

    def prepare(self, w):
        w.clean()
        put(w.ws() + "/a", "x\n")

    def act(self, w):
        put(w.control("drop"), "force\n", flags=0)

    def done(self, w, before, after):
        return "w" not in after["workspaces"] and after["main"] == before["main"]


class Propose(Step):
    """A commit where head asks for an approval."""

    def prepare(self, w):
        w.clean(approvals=1)
        put(w.ws() + "/b", f"mine {w.fresh()}\n")

    def act(self, w):
        put(w.control("commit"), "why\n", flags=0)

    def done(self, w, before, after):
        new = {n: p for n, p in after["proposals"].items() if n not in before["proposals"]}
        if len(new) != 1 or before["proposals"]:
            return False
        n, (tree, approvals), = *new, *new.values()
        assert git(w.repo, "show", f"{tree}:b") == before["tree"]["b"][1] and not approvals
        return {**after, "proposals": {}} == before


class Approve(Step):
    """Of what somebody else has proposed: it is merged with a mainline that has moved."""
    atomic = says = False

    def prepare(self, w):
        w.clean(approvals=1)
        self.n = w.propose()
        w.push()
        self.b = git(w.repo, "show", f"refs/onward/proposals/{self.n}:b")
        if w.m.link("staging/w/.onward/base") != w.m.link("head"):
            put(w.control("rebase"), "now\n")

    def act(self, w):
        try:
            put(w.m / f"proposals/{self.n}/approve", "good\n", flags=0)
        except FileNotFoundError:
            if git(w.repo, "show", "main:b") != self.b:     # else: it is merged already
                raise

    def done(self, w, before, after):
        assert git(w.repo, "rev-parse", "main^").strip() == before["main"]
        message = git(w.repo, "log", "-1", "--format=%an: %B", "main")
        assert re.fullmatch("Ann Lee: proposed by Ann\n\nApproved-by: .*\n+", message), message
        assert git(w.repo, "diff", "--name-only", "main^", "main") == "b\n" and git(w.repo, "show", "main:b") == self.b
        return {**after, "main": before["main"], "proposals": before["proposals"]} == before and not after["proposals"]

    def between(self, before, after):
        """It has the approval, and waits for another word of that person's to be merged."""
        n = after["proposals"].get(self.n)
        return n and n[1].endswith(" good\n") and {**after, "proposals": before["proposals"]} == before


class Withdraw(Step):
    atomic = says = False

    def prepare(self, w):
        w.clean(approvals=1)
        self.n = w.propose()

    def act(self, w):
        if self.n in os.listdir(w.m / "proposals"):
            put(w.m / f"proposals/{self.n}/withdraw", "no\n", flags=0)

    def done(self, w, before, after):
        return {**after, "proposals": before["proposals"]} == before and not after["proposals"]


STEPS = [New, NewOnRevision, Write, Replace, Names, Commit, CommitMessage, Merge, Conflict, Rebase, Autocommit, Drop, Propose, Approve,
         Withdraw]


# One fault

class Fault:
    """How the call that is hit ends."""

    def __init__(self, mode, err=0):
        self.mode, self.err = mode, err
        self.kinds = F.WRITE if mode == F.SHORT else F.KINDS.get(err, F.ALL)
        self.kills = mode in (F.KILL_BEFORE, F.KILL_AFTER)

    def __str__(self):
        how = {F.ONCE: "once", F.FROM_THEN: "from then on", F.KILL_BEFORE: "killed before it",
               F.KILL_AFTER: "killed after it", F.SHORT: "takes half"}[self.mode]
        return f"{errno.errorcode[self.err]} {how}" if self.err else how


FAULTS = ([Fault(mode, err) for err in F.KINDS for mode in (F.ONCE, F.FROM_THEN)
           if (mode, err) != (F.FROM_THEN, errno.EINTR)] +
          [Fault(F.KILL_BEFORE), Fault(F.KILL_AFTER), Fault(F.SHORT)])


def differences(before, after):
    keys = sorted({*before, *after})
    return "".join(f"\n{k}: {before.get(k)}\n -> {after.get(k)}" for k in keys if before.get(k) != after.get(k))


def not_done(w, step, before, after):
    """Why `after` is not what the step leads to, if it is not."""
    try:
        return None if step.done(w, before, after) else differences(before, after) or "nothing has changed"
    except AssertionError as e:
        return f"{e}{differences(before, after)}"


def judge(w, step, before, acked, fault, where):
    """Is what there is allowed?"""
    try:
        after = w.see()
    except OSError as e:
        raise AssertionError(f"{where}: the workspace cannot be seen (P10): {e}")
    if acked:
        end = time.monotonic() + 10     # refs that could not be read are read again, a little later each time
        while (why := not_done(w, step, before, after)) and fault.mode == F.FROM_THEN and time.monotonic() < end:
            after = w.see()
        assert not why, f"{where}: acknowledged (P3, P4) and not there: {why}"
        return True
    if after == before:
        return False
    if is_unconfirmed(w, step, before, after):
        return None
    # What is refused when nothing can be written any more, not even what was there before, has happened or not.
    unclear = fault.kills or (w.restarted and fault.mode == F.FROM_THEN)
    assert unclear or not step.atomic, f"{where}: refused (P5), but it changed something:{differences(before, after)}"
    if hasattr(step, "between") and step.between(before, after):
        return None
    if isinstance(step, Write) and not fault.kills:
        return None     # half of it may be written
    why = not_done(w, step, before, after)
    assert not why, f"{where}: half of it has happened (W1-W3): {why}"
    return True


def is_unconfirmed(w, step, before, after):
    """A ref has moved, but syncing that failed, and that is what was answered: nobody may count on it."""
    if isinstance(step, Commit):
        ref, at = "refs/heads/main", after["main"]
        moved = ({**after, "main": 0} == {**before, "main": 0} and
                 git(w.repo, "rev-parse", "main^").strip() == before["main"])
    elif isinstance(step, Propose):
        ref = f"refs/onward/proposals/{next(iter(after['proposals']), 0)}"
        moved = step.done(w, before, after)
        at = git(w.repo, "rev-parse", ref).strip()
    else:
        return False
    return moved and re.match(f"{ref} is at {at} now, but the disk has not confirmed it: |"
                              f"cannot change {ref}: .*; whether it moved cannot be read now|"
                              "refs/onward/proposals/.* is there now, but may have the number of another, and stays: ",
                              w.m.read("staging/w/.onward/outcome"))


def say_why(w, step, fault, where):
    said = w.m.read("staging/w/.onward/outcome")
    what = os.strerror(fault.err)
    assert said.count("\n") == 1 and what in said, f"{where}: one reason is to name {what!r}: {said!r}"


def inject(w, step, fault, n, restart):
    """One fault. False: the step is over before its nth call."""
    step.prepare(w)
    before = w.see()
    w.restarted = False
    patience = threading.Timer(PATIENCE, w.m.process.kill)
    patience.start()
    w.faults.set(fault.mode, n, fault.err, fault.kinds)
    try:
        step.act(w)
        acked = True
    except OSError as e:
        acked, error = False, e
    w.faults.lift()
    patience.cancel()
    if not w.faults.hits:
        if not acked:
            said = w.m.read("staging/w/.onward/outcome") if step.says else ""
            raise AssertionError(f"{type(step).__name__} failed without a fault: {error}: {said}")
        return False
    where = f"{type(step).__name__}, call {n}, {w.faults.what.replace(w.dir, '')}: {fault}"
    if fault.kills:
        until("the daemon dies", lambda: not w.alive())
        w.restart(kill=True)
    assert w.alive(), f"{where}: the daemon died"
    happened = judge(w, step, before, acked, fault, where)
    if not acked and not fault.kills and step.says and fault.err and happened is False:
        say_why(w, step, fault, where)
    if restart and not fault.kills:
        w.restart(kill=True)
        happened = judge(w, step, before, acked, fault, where + ", after a restart")
    if happened is False:
        again(w, step, before, where)
    return True


def again(w, step, before, where):
    """The fault is lifted: the step works."""
    try:
        step.act(w)
    except OSError as e:
        raise AssertionError(f"{where}: the next attempt fails (P15): {e}: "
                             f"{w.m.read('staging/w/.onward/outcome') if step.says else ''}")
    why = not_done(w, step, before, w.see())
    assert not why, f"{where}: the next attempt (P15) did not do it: {why}"


def settle(w, name):
    """What is left after a restart."""
    w.restart(kill=False)
    w.m.stop()
    left = w.leftovers()
    assert not left, f"{name}: left behind (P15, W4): {left}"
    bad = git(w.repo, "fsck", "--strict", "--no-dangling")
    assert not bad.strip(), f"{name}: {bad}"
    w.start()


# All of them

def count_calls(w, step):
    """How many calls the step makes, about: threads come and go."""
    step.prepare(w)
    w.faults.set(F.COUNT)
    step.act(w)
    w.faults.lift()
    return w.faults.count


def points_of(calls, everything, rng, share):
    if everything:
        return range(1, 10 * calls + 100)
    return sorted(rng.sample(range(1, calls + 1), min(calls, share)))


def run_step(w, kind, args, rng):
    step, points, bad = kind(), 0, []
    calls = count_calls(w, step)
    chosen = FAULTS if args.all else rng.sample(FAULTS, min(args.faults, len(FAULTS)))
    for fault in chosen:
        for n in points_of(calls, args.all, rng, args.points):
            try:
                if not inject(w, step, fault, n, restart=n % 2 == 0):
                    break
            except AssertionError as e:
                bad.append(str(e))
                print("# " + str(e).replace("\n", "\n#   "), flush=True)
                w.restart(kill=True)
            points += 1
        try:
            settle(w, f"{kind.__name__}, {fault}")
        except AssertionError as e:
            bad.append(str(e))
            print("# " + str(e), flush=True)
            if not w.alive():
                w.start()
    return calls, points, bad


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--all", action="store_true")
    p.add_argument("--points", type=int, default=3, help="calls of a step that are hit by each fault")
    p.add_argument("--faults", type=int, default=3, help="faults that a step meets")
    p.add_argument("--step", action="append", help="only this one")
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    args = p.parse_args()
    steps = [s for s in STEPS if not args.step or s.__name__ in args.step]
    rng = random.Random(args.seed)
    print(f"1..{len(steps)}\n# seed {args.seed}", flush=True)
    dir = tempfile.mkdtemp(prefix="onward-")
    failed, w = 0, None
    try:
        w = World(dir)
        for i, kind in enumerate(steps, 1):
            calls, points, bad = run_step(w, kind, args, rng)
            failed += bool(bad)
            print(f"{'not ok' if bad else 'ok'} {i} - {kind.__name__}: {calls} calls, {points} faults, {len(bad)} wrong",
                  flush=True)
    except BaseException:
        sys.stderr.write("".join(w.m.log[-60:]) if w else "")
        raise
    finally:
        if w:
            w.faults.lift()
            run("fusermount3", "-u", "-z", w.m.path, check=False)
            w.m.process.wait(20)
        shutil.rmtree(dir, ignore_errors=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()

"""A fleet whose backend does what a test says: sites s01, s02, …, each with a directory of its own and one that
all share, and an exec backend that is steered by files."""

import json
import os

from onwardtest import commit, git, make_repo, read, until, write

# Whatever DIR/<site>.<verb> says: nothing, and all is well; `wait`, until it says something else; else a
# number to exit with, and words to print. To apply ends a drift.
SCRIPT = """#!/bin/sh
echo "$2 $ONWARD_SITE $ONWARD_TO" >> "$1/calls"
while word=$(cat "$1/$ONWARD_SITE.$2" 2>/dev/null) && [ "$word" = wait ]; do sleep 0.02; done
[ "$2" != apply ] || [ -n "$word" ] || rm -f "$1/$ONWARD_SITE.observe"
[ -z "$word" ] || echo "${word#* }"
exit ${word%% *}
"""


class Fleet:
    """`rollout`: of onward.yaml; `sites`: how many there are; `entries`: more entries of onward.yaml; `options`: of
    the backend."""

    def __init__(self, dir, rollout, sites=12, entries="", options="retry: {limit: 1, first: 100ms, longest: 200ms}"):
        self.dir, self.steering, self.rollout = dir, dir + "/steer", rollout
        self.sites = [f"s{i + 1:02}" for i in range(sites)]
        self.repo = make_repo(dir + "/r.git", {"onward.yaml": self.declaration(entries), "base/all": "1\n",
                                               **{f"stores/{s}/own": "1\n" for s in self.sites}})
        self.work = self.repo + ".work"
        write(self.steering + "/script", SCRIPT, 0o755)
        write(self.steering + "/calls", "")
        self.config = (f"backends:\n  steered: {{exec: [{self.steering}/script, {self.steering}], timeout: 1m, "
                       f"concurrency: 20, {options}}}\n")

    def declaration(self, entries=""):
        return (f"onward: 1\nrollout: {self.rollout}\nsites:\n"
                f"  - {{discover: stores/*, include: [base], backend: steered}}\n{entries}")

    def steer(self, verb, word, *sites):
        """What the backend does when it is asked `verb`; None: nothing, and all is well."""
        for s in sites or self.sites:
            path = f"{self.steering}/{s}.{verb}"
            if word is None:
                if os.path.exists(path):
                    os.unlink(path)
            else:
                write(path + ".new", word)
                os.rename(path + ".new", path)

    def calls(self, verb, revision=None):
        """The sites that were asked, in order."""
        lines = [l.split() for l in read(self.steering + "/calls").splitlines()]
        return [site for v, site, to in lines if v == verb and revision in (None, to)]

    def started(self, revision=None):
        return set(self.calls("apply", revision))

    def change(self, text, **files):
        """A revision that moves all sites; its id."""
        return commit(self.work, {"base/all": text, **files})


def tip(fleet):
    return git(fleet.repo, "rev-parse", "main").strip()


def status(m, site):
    return json.loads(m.read(f"sites/{site}/status.json"))


def at(m, revision, *sites):
    """Whether the sites are in sync, and there."""
    found = [status(m, s) for s in sites]
    return all(s["state"] == "in-sync" and s["deployed"] == revision for s in found)


def kinds(m, site):
    """Why it does not move."""
    return [b["kind"] for b in status(m, site)["blocked_by"]]


def rollouts(m):
    return json.loads(m.read(".onward/status.json"))["rollouts"]


def wave(m):
    """The open wave of the one rollout: its name and phase."""
    r = rollouts(m)
    return next(((w["wave"], w["phase"]) for w in r[0]["waves"] if w["wave"] == r[0]["open"]), None) if r else None


def events(m, *names):
    found = [json.loads(l) for l in m.read(".onward/events").splitlines()]
    return [e for e in found if e["event"] in names] if names else found


def record(m, site, generation=None):
    """The newest record of a generation, or of the newest one."""
    n = generation or max(map(int, os.listdir(m / f"sites/{site}/history")))
    return json.loads(m.read(f"sites/{site}/history/{n}/record.json"))


def arrive(m, fleet, revision=None, *sites):
    """Waits until the sites (none: all) are in sync at the revision (None: the newest)."""
    revision = revision or tip(fleet)
    until("all of them arrive", lambda: at(m, revision, *(sites or fleet.sites)), 30)

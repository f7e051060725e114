#!/usr/bin/env python3
"""Failures that fleets know from other engines and that must not be possible here, a test for each, by number.
8 (a person's hold or rollback undone) and 14 (an older history accepted) are in test_forward.py."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, commit, git, make_repo, read, run, until, write
from steer import Fleet, arrive, at, events, kinds, record, status, tip, wave
from test_staging import say
from test_views import fails

ONE_BY_ONE = "{waves: [{name: first, count: 1}, {name: rest}]}"
ALL = "{max_failures: 9, waves: [{name: all}]}"


LEDGER = "refs/onward/ledger/" + os.uname().nodename


def journal(f, site):
    """The kinds of all records of a site, oldest first."""
    lines = git(f.repo, "log", "--reverse", "--format=%B", LEDGER).splitlines()
    return [l.split()[2] for l in lines if l.startswith(site + " #")]


def test_failure_01_what_ran_out_of_time_is_not_deployed(dir):
    """Though it does what it should later, or is never seen healthy."""
    f = Fleet(dir, ONE_BY_ONE, sites=2, options="retry: {limit: 1}")
    f.config = f.config.replace("timeout: 1m", "timeout: 500ms")
    f.steer("apply", "wait", "s01")
    with Mount(dir, f.repo, config=f.config, expect=" failed ") as m:
        until("it is given up", lambda: status(m, "s01")["state"] == "failed")
        f.steer("apply", None)
        s = status(m, "s01")
        assert s["deployed"] is None and record(m, "s01")["kind"] == "failed" and "500ms" in s["message"], s
        assert not os.path.lexists(m / "sites/s01/deployed") and wave(m) == ("first", "stopped")
        f.steer("health", "75 not yet")
        fix = f.change("2\n")
        until("nor is that healthy in time", lambda: status(m, "s01")["generation"] == 2
              and status(m, "s01")["state"] == "failed")
        assert status(m, "s01")["deployed"] is None and f.started() == {"s01"}
        assert f.calls("apply", fix) == ["s01"]


def test_failure_02_health_is_that_of_the_revision_it_was_asked_for(dir):
    f = Fleet(dir, ALL, sites=1)
    f.steer("health", "wait")
    with Mount(dir, f.repo, config=f.config) as m:
        old = tip(f)
        until("the first is asked", lambda: f.calls("health", old) == ["s01"])
        f.steer("apply", "wait")
        new = f.change("2\n")
        until("the second is applied", lambda: f.calls("apply", new) == ["s01"])
        f.steer("health", "75 starting")
        f.steer("apply", None)      # the first would have been healthy now
        until("the second is asked", lambda: f.calls("health", new))
        assert status(m, "s01")["deployed"] is None and status(m, "s01")["step"] == "health", status(m, "s01")
        f.steer("health", None)
        arrive(m, f, new)
        assert record(m, "s01", 1)["kind"] == "superseded" and record(m, "s01", 2)["to"] == new
        assert not [e for e in events(m, "deployed") if e["to"] == old]


def test_failure_03_a_commit_elsewhere_leaves_a_site_alone(dir):
    f = Fleet(dir, ALL, sites=3)
    with Mount(dir, f.repo, config=f.config) as m:
        arrive(m, f)
        first = tip(f)
        before = m.read("sites/s01/status"), os.listdir(m / "sites/s01/history")
        told = len([e for e in events(m) if e.get("site") == "s01"])
        for i in range(3):
            new = commit(f.work, {"stores/s02/own": f"{i}\n", "README": f"{i}\n"})
        arrive(m, f, new, "s02")
        assert m.link("head") == new and m.link("sites/s01/desired") == first
        assert (m.read("sites/s01/status"), os.listdir(m / "sites/s01/history")) == before
        assert len([e for e in events(m) if e.get("site") == "s01"]) == told and f.calls("apply").count("s01") == 1


def test_failure_04_history_tells_of_everything(dir):
    """Of failures and retries, holds, drift and what healed it, of what was given up and interrupted."""
    f = Fleet(dir, ALL, sites=1, options="retry: {limit: 2, first: 50ms}, observe_every: 200ms")
    f.steer("apply", "1 no disk")
    with Mount(dir, f.repo, config=f.config, expect=" failed |not-observed") as m:
        until("it has failed twice", lambda: status(m, "s01")["state"] == "failed")
        f.steer("apply", None)
        say(m / ".onward/ctl", "retry s01")
        arrive(m, f)
        f.steer("observe", "2 touched")
        until("it has drifted", lambda: status(m, "s01")["state"] == "drifted")
        say(m / ".onward/ctl", "retry s01")
        until("it is healed", lambda: record(m, "s01")["kind"] == "healed")
        say(m / ".onward/ctl", "hold s01 --reason audit")
        say(m / ".onward/ctl", "release s01 --reason done")
        f.steer("health", "75 not yet")
        f.change("2\n")
        until("it is asked for its health", lambda: status(m, "s01")["step"] == "health")
        f.steer("apply", "wait")
        f.change("3\n")
        until("the next takes over", lambda: status(m, "s01")["generation"] == 4)
        f.steer("apply", None)
        f.steer("health", None)
        arrive(m, f)
    assert journal(f, "s01") == ["attempt", "failed", "attempt", "failed", "attempt", "deployed", "drifted", "attempt",
                                 "healed", "held", "released", "attempt", "superseded", "attempt", "deployed"]


def test_failure_05_a_fix_does_not_wait_for_what_it_fixes(dir):
    """Not for its health, for which there would be a minute, and not for its next attempt."""
    f = Fleet(dir, ALL, sites=2, options="retry: {limit: 5, first: 10m, longest: 10m}")
    f.steer("health", "75 broken", "s01")
    f.steer("apply", "1 broken", "s02")
    with Mount(dir, f.repo, config=f.config, expect=" failed ") as m:
        until("one waits for its health", lambda: status(m, "s01")["step"] == "health")
        until("one waits for the next attempt", lambda: status(m, "s02")["step"] == "retry")
        assert m.read("sites/s02/migrating/deadline") > m.read("sites/s02/migrating/since")
        f.steer("apply", None)
        fix = f.change("fix\n")
        for s in f.sites:
            until(s + " waits no longer", lambda: record(m, s, 1)["kind"] == "superseded")
        f.steer("health", None)
        arrive(m, f, fix)


def test_failure_06_who_is_offline_freezes_no_wave_and_has_not_moved(dir):
    f = Fleet(dir, ONE_BY_ONE, sites=4)
    with Mount(dir, f.repo, config=f.config, expect=" failed ") as m:
        arrive(m, f)
        old = tip(f)
        f.steer("apply", "75 no route to host", "s01")
        new = f.change("2\n")
        arrive(m, f, new, "s02", "s03", "s04")
        until("it is tried again", lambda: f.calls("apply", new).count("s01") > 2)
        until("it is said", lambda: kinds(m, "s01") == ["unreachable"])
        s = status(m, "s01")
        assert s["deployed"] == old and s["state"] == "migrating" and "no route to host" in s["message"], s
        assert "passed over: s01" in m.read("fleet") or "unreachable" in m.read("sites/s01/status")
        f.steer("apply", None)
        arrive(m, f, new)


def test_failure_07_a_wave_counts_only_its_own_revision(dir):
    """The canary is well at the revision before: the newer one opens nothing by that."""
    f = Fleet(dir, ONE_BY_ONE, sites=3)
    f.steer("apply", "wait", "s02", "s03")
    with Mount(dir, f.repo, config=f.config) as m:
        old = tip(f)
        until("the rest begins", lambda: f.started(old) == {"s01", "s02", "s03"})
        f.steer("health", "75 not yet", "s01")
        new = f.change("2\n")
        until("the canary is asked at the newer one", lambda: f.calls("health", new) == ["s01"])
        f.steer("apply", None)
        until("what had begun ends", lambda: status(m, "s02")["deployed"] == status(m, "s03")["deployed"] == old)
        assert f.started(new) == {"s01"} and wave(m) == ("first", "moving"), wave(m)
        assert kinds(m, "s02") == ["wave"] and status(m, "s02")["state"] == "pending", status(m, "s02")
        f.steer("health", None)
        arrive(m, f, new)


def test_failure_09_an_old_revision_stays_as_it_is(dir):
    f = Fleet(dir, ALL, sites=1)
    with Mount(dir, f.repo, config=f.config) as m:
        arrive(m, f)
        old = tip(f)
        place = m / f"revisions/{old}/stores"
        shell = subprocess.Popen(["sh", "-c", "while read c; do eval \"$c\"; done"], cwd=place, text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with open(place + "/s01/own") as held:
            for i in range(20):
                new = commit(f.work, {"stores/s01/own": f"{i}\n", "stores/new/own": "x\n"}, push=i % 5 == 4)
            arrive(m, f, new)
            git(f.repo, "reflog", "expire", "--expire=now", "--all")
            git(f.repo, "gc", "-q", "--prune=now")
            assert held.read() == "1\n" and read(place + "/s01/own") == "1\n"
        said, _ = shell.communicate("cat s01/own; ls; cat ../base/all\n")
        assert said == "1\ns01\n1\n", said


def test_failure_10_two_writers_lose_nothing(dir):
    f = Fleet(dir, ALL, sites=2)
    with Mount(dir, f.repo, config=f.config, expect="conflict|EBUSY|not-committed") as m:
        for name, site in (("a", "s01"), ("b", "s01"), ("c", "s02")):
            os.mkdir(m / f"staging/{name}")
            write(m / f"staging/{name}/stores/{site}/own", f"of {name}\n")
        say(m / "staging/a/.onward/commit", "a")
        fails(16, say, m / "staging/b/.onward/commit", "b")
        say(m / "staging/c/.onward/commit", "c")
        assert m.read("head/stores/s01/own") == "of a\n" and m.read("head/stores/s02/own") == "of c\n"
        assert m.read("staging/b/stores/s01/own") == "of b\n"
        assert "conflict: stores/s01/own" in m.read("staging/b/.onward/outcome")
        assert git(f.repo, "log", "--format=%s", "main").split("\n")[:2] == ["c", "a"]
        arrive(m, f, None, "s02")
        arrive(m, f, git(f.repo, "rev-parse", "main~1").strip(), "s01")


def writes(f):
    """How often the ledger was written."""
    return int(git(f.repo, "rev-list", "--count", LEDGER))


def test_failure_11_one_commit_is_one_piece_of_work(dir):
    """One decision for all sites: their attempts begin in one piece, and none is begun that is not touched."""
    f = Fleet(dir, ALL, sites=20)
    with Mount(dir, f.repo, config=f.config) as m:
        arrive(m, f)
        f.steer("apply", "wait")
        before = writes(f)
        new = f.change("2\n")
        until("all begin", lambda: f.started(new) == set(f.sites))
        assert writes(f) - before == 1
        f.steer("apply", None)
        arrive(m, f, new)
        calls, before = len(f.calls("apply")), writes(f)
        only = commit(f.work, {"stores/s07/own": "2\n"})
        arrive(m, f, only, "s07")
        assert len(f.calls("apply")) == calls + 1 and writes(f) - before == 2


def test_failure_12_no_record_grows_with_the_fleet(dir):
    sizes = []
    for n in (2, 60):
        place = f"{dir}/{n}"
        declaration = ("onward: 1\nrollout: {waves: [{name: all}]}\n"
                       "sites:\n  - {discover: stores/*, backend: files}\n")
        repo = make_repo(place + "/r.git", {"onward.yaml": declaration,
                                            **{f"stores/s{i:03}/own": "1\n" for i in range(n)}})
        with Mount(place, repo, config=f'backends:\n  files: {{directory: "{place}/sites/{{site}}"}}\n') as m:
            until("all arrive", lambda: m.metric('onward_sites{state="in-sync"}') == n)
            r = json.loads(m.read("sites/s001/history/1/record.json"))
            sizes.append({key: len(str(value)) for key, value in r.items() if key not in ("duration_ms", "at")})
    assert sizes[0] == sizes[1], sizes


def test_failure_13_nothing_moves_for_ever_after_a_restart(dir):
    """Killed while one is applied, one waits for its health, one for its next attempt, and one is gone when the
    daemon comes back."""
    f = Fleet(dir, ALL, sites=4, options="retry: {limit: 3, first: 300ms}")
    f.steer("apply", "wait", "s01", "s04")
    f.steer("health", "75 not yet", "s02")
    f.steer("apply", "1 no", "s03")
    m = Mount(dir, f.repo, config=f.config, expect=" failed ").start()
    until("they are under way", lambda: {"s01", "s04"} < f.started() and f.calls("health")
          and f.calls("apply").count("s03") > 1)
    m.kill()
    old = tip(f)
    git(f.work, "rm", "-qr", "stores/s04")
    new = commit(f.work, {})
    f.steer("apply", None)
    f.steer("health", None)
    with Mount(dir, f.repo, config=f.config, expect=" failed |interrupted") as m:
        arrive(m, f, old, "s01", "s02", "s03")
        assert not os.path.exists(m / "sites/s04") and m.link("head") == new
        until("nothing is under way", lambda: not json.loads(m.read(".onward/status.json"))["rollouts"])
        assert journal(f, "s04")[-1] == "interrupted", journal(f, "s04")


def test_failure_15_revisions_are_served_side_by_side(dir):
    """A reader of one revision, the reader of another and a commit are in nobody's way."""
    f = Fleet(dir, ALL, sites=2)
    f.steer("apply", "wait", "s02")
    with Mount(dir, f.repo, config=f.config) as m:
        old = tip(f)
        arrive(m, f, None, "s01")
        new = f.change("2\n")
        until("two revisions run", lambda: at(m, new, "s01") and status(m, "s02")["desired"] == new)
        for revision, text in ((old, "1\n"), (new, "2\n")):
            assert m.read(f"revisions/{revision}/base/all") == text
        p = run("diff", "-r", m / f"revisions/{old}", m / f"revisions/{new}", check=False)
        assert p.returncode == 1 and "< 1\n" in p.stdout and "> 2\n" in p.stdout, p.stdout
        with open(m / f"revisions/{old}/base/all") as reader:       # held open over a commit
            os.mkdir(m / "staging/w")
            write(m / "staging/w/base/all", "3\n")
            say(m / "staging/w/.onward/commit", "3")
            assert reader.read() == "1\n" and m.read("head/base/all") == "3\n"
        f.steer("apply", None)
        arrive(m, f)


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

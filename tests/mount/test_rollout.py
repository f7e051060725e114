#!/usr/bin/env python3
"""Rollouts through a real mount: who moves when, what a rollout waits for, what stops it, and who is passed over."""

import datetime
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, commit, until
from steer import Fleet, arrive, at, events, kinds, record, rollouts, status, tip, wave
from test_staging import say


def ctl(m, line):
    say(m / ".onward/ctl", line)


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_waves_by_labels_names_share_and_count(dir):
    f = Fleet(dir, "{waves: [{name: canary, match: {ring: canary}}, {name: named, sites: [s11]}, "
                   "{name: quarter, share: 25%}, {name: two, count: 2}, {name: rest}]}",
              entries="  - {name: s05, labels: {ring: canary}}\n")
    f.steer("apply", "wait")
    there = set()
    with Mount(dir, f.repo, config=f.config) as m:
        for name, sites in (("canary", "s05"), ("named", "s11"), ("quarter", "s01 s02 s03"), ("two", "s04 s06"),
                            ("rest", "s07 s08 s09 s10 s12")):
            sites = set(sites.split())
            until(name + " begins", lambda: f.started() == there | sites)
            until(name + " is open", lambda: wave(m) == (name, "moving"))
            assert f"wave {name}" in m.read("fleet"), m.read("fleet")
            if name != "rest":
                assert kinds(m, "s12") == ["wave"], status(m, "s12")
            f.steer("apply", None, *sites)
            arrive(m, f, None, *sites)
            there |= sites
        until("it is over", lambda: rollouts(m) == [])
        told = [e["wave"] for e in events(m, "wave-opened")]
        assert told == ["canary", "named", "quarter", "two", "rest"], told
        assert events(m)[-1]["event"] == "rollout-done", events(m)[-1]


def test_a_wave_soaks_and_few_are_away_at_once(dir):
    f = Fleet(dir, "{waves: [{name: first, count: 4, max_unavailable: 2, soak: 1s}, {name: rest}]}", sites=8)
    f.steer("apply", "wait", "s01", "s02", "s03", "s04")
    with Mount(dir, f.repo, config=f.config) as m:
        until("two begin", lambda: f.started() == {"s01", "s02"})
        f.steer("apply", None, "s01")
        until("the third begins", lambda: f.started() == {"s01", "s02", "s03"})
        until("s01 has arrived", lambda: status(m, "s01")["step"] == "soak" or at(m, tip(f), "s01"))
        f.steer("apply", None)
        until("it soaks", lambda: wave(m) == ("first", "soaking"))
        s = status(m, "s04")
        assert s["state"] == "migrating" and s["step"] == "soak" and s["deployed"] == tip(f), s
        assert m.read("sites/s04/migrating/step") == "soak\n"
        soaked = instant(rollouts(m)[0]["waves"][0]["soaked_at"])
        assert abs((instant(m.read("sites/s04/migrating/deadline").strip()) - soaked).total_seconds()) < 5
        assert "soak" in m.read("fleet")
        assert f.started() == {"s01", "s02", "s03", "s04"}
        arrive(m, f)
        last = max(instant(record(m, s)["at"]) for s in f.sites[:4])
        begun = min(instant(e["at"]) for e in events(m, "attempt") if e["site"] == "s05")
        assert (begun - last).total_seconds() >= 1, (last, begun)


def test_too_many_failures_stop_it_and_a_fix_takes_over(dir):
    f = Fleet(dir, "{max_failures: 1, waves: [{name: first, count: 4}, {name: rest}]}")
    with Mount(dir, f.repo, config=f.config, expect=" failed ") as m:
        arrive(m, f)
        f.steer("apply", "1 disk full", "s02")
        bad = f.change("one fails\n")
        arrive(m, f, bad, *[s for s in f.sites if s != "s02"])      # one may
        assert status(m, "s02")["state"] == "failed" and status(m, "s02")["message"].endswith("disk full")
        f.steer("apply", "1 disk full", "s03")
        worse = f.change("two fail\n")
        until("it stops", lambda: wave(m) == ("first", "stopped"))
        until("the others of the wave arrive", lambda: at(m, worse, "s01", "s04"))
        assert kinds(m, "s05") == ["wave"] and status(m, "s05")["deployed"] == bad, status(m, "s05")
        assert [e["failed"] for e in events(m, "wave-stopped")] == [2]
        note = "\n".join(l for l in m.read("fleet").splitlines() if l.startswith("#"))
        assert "stopped" in note and "s02" in note and "s03" in note, note
        f.steer("apply", None)
        fix = f.change("none fails\n")
        arrive(m, f, fix)
        assert f.started(worse) == {"s01", "s02", "s03", "s04"}
        until("the stopped one is over", lambda: [e["revision"] for e in events(m, "rollout-superseded")] == [bad, worse])


def test_who_is_away_is_passed_over_and_catches_up(dir):
    f = Fleet(dir, "{waves: [{name: first, count: 3}, {name: rest}]}")
    with Mount(dir, f.repo, config=f.config, expect=" failed ") as m:
        arrive(m, f)
        old = tip(f)
        ctl(m, "hold s02 --reason the freezer is being moved")
        f.steer("apply", "75 no route to host", "s03")
        new = f.change("2\n", **{"onward.yaml": f.declaration("  - {name: s01, suspend: true}\n")})
        away = {"s01": ("suspended", "suspend"), "s02": ("held", "hold"), "s03": ("migrating", "unreachable")}
        arrive(m, f, new, *[s for s in f.sites if s not in away])
        for site, (state, kind) in away.items():
            until(f"{site} is {state}", lambda: status(m, site)["state"] == state and kinds(m, site) == [kind])
            assert status(m, site)["deployed"] == old, status(m, site)
        assert "the freezer is being moved" in m.read("sites/s02/status")
        assert f.started(new) == set(f.sites) - {"s01", "s02"}
        ctl(m, "release s02")
        f.steer("apply", None)
        arrive(m, f, new, "s02", "s03")
        commit(f.work, {"onward.yaml": f.declaration()})
        arrive(m, f, new)
        assert [e["by"] != "onwardfs" for e in events(m, "held", "released")] == [True, True]


def test_pause_and_resume(dir):
    f = Fleet(dir, "{waves: [{name: first, count: 2}, {name: rest}]}", sites=6)
    with Mount(dir, f.repo, config=f.config) as m:
        arrive(m, f)
        f.steer("apply", "wait", "s01", "s02")
        new = f.change("2\n")
        until("the first begin", lambda: f.started(new) == {"s01", "s02"})
        ctl(m, "pause --reason it is friday")
        f.steer("apply", None)
        arrive(m, f, new, "s01", "s02")        # what has begun ends
        until("all others wait", lambda: all("pause" in kinds(m, s) for s in f.sites[2:]))
        assert "it is friday" in m.read("fleet").splitlines()[0]
        assert "it is friday" in json.loads(m.read(".onward/status.json"))["paused"]
        newer = f.change("3\n")
        until("that is known", lambda: status(m, "s01")["desired"] == newer)
    with Mount(dir, f.repo, config=f.config) as m:      # a restart lifts nothing
        until("all wait", lambda: all(kinds(m, s)[0] == "pause" for s in f.sites))
        assert f.started(newer) == set() and f.started(new) == {"s01", "s02"}
        ctl(m, "resume")
        arrive(m, f, newer)
        assert [(e["event"], e["site"]) for e in events(m, "paused", "resumed")] == [("paused", None), ("resumed", None)]


def test_a_restart_in_the_middle(dir):
    """Of a wave: what ran is run again, and nobody else. Of its soak: it soaks as long as it would have."""
    f = Fleet(dir, "{waves: [{name: first, count: 2, soak: 2s}, {name: rest}]}", sites=5)
    f.steer("apply", "wait")
    m = Mount(dir, f.repo, config=f.config).start()
    until("the first begin", lambda: f.started() == {"s01", "s02"})
    m.kill()
    f.steer("apply", None)
    m = Mount(dir, f.repo, config=f.config, expect="interrupted").start()
    until("it soaks", lambda: wave(m) == ("first", "soaking"))
    assert sorted(f.calls("apply")) == ["s01", "s01", "s02", "s02"]
    m.kill()
    with Mount(dir, f.repo, config=f.config) as m:
        until("it still soaks, or has", lambda: wave(m) == ("first", "soaking") or at(m, tip(f), "s01", "s02"))
        arrive(m, f)
        last = max(instant(record(m, s)["at"]) for s in ("s01", "s02"))
        begun = min(instant(e["at"]) for e in events(m, "attempt") if e["site"] in f.sites[2:])
        assert (begun - last).total_seconds() >= 2, (last, begun)
        assert all(f.calls("apply").count(s) == 1 for s in f.sites[2:])


def test_drift_is_shown_and_healed(dir):
    f = Fleet(dir, "{waves: [{name: all}]}", sites=3, entries="  - {name: s01, self_heal: true}\n",
              options="observe_every: 200ms")
    # An observation may begin in a mount that has just been taken away.
    with Mount(dir, f.repo, config=f.config, expect="not-observed .* No such file") as m:
        arrive(m, f)
        f.steer("observe", "2 /etc/motd differs", "s01", "s02")
        until("s01 is healed", lambda: record(m, "s01")["kind"] == "healed" and at(m, tip(f), "s01"))
        assert status(m, "s01")["generation"] == 2 and m.link("sites/s01/deployed") == tip(f)
        assert f.calls("apply") .count("s01") == 2
        until("s02 has drifted", lambda: status(m, "s02")["state"] == "drifted")
        s = status(m, "s02")
        assert s["drifted"] and s["message"].endswith("/etc/motd differs") and s["deployed"] == tip(f), s
        assert m.read("sites/s02/drift") == "/etc/motd differs\n"
        assert m.read("sites/s02/plan") == ""
        assert f.calls("apply").count("s02") == 1 and m.metric('onward_sites{state="drifted"}') == 1
        f.steer("observe", None)
        until("somebody has put it in order", lambda: at(m, tip(f), "s02"))
        assert not os.path.exists(m / "sites/s02/drift") and status(m, "s02")["drifted"] is None
        told = [(e["event"], e["site"]) for e in events(m, "drifted", "healed")]
        assert sorted(told) == [("drifted", "s01"), ("drifted", "s02"), ("healed", "s01"), ("healed", "s02")], told
        assert m.metric('onward_attempts_total{backend="steered",outcome="healed"}') == 1


def test_health_has_a_deadline(dir):
    f = Fleet(dir, "{max_failures: 1, waves: [{name: all}]}", sites=2, options="timeout: 3s, retry: {limit: 1}")
    f.config = f.config.replace("timeout: 1m, ", "")
    f.steer("health", "75 not listening yet")
    with Mount(dir, f.repo, config=f.config, expect=" failed ") as m:
        until("both are asked", lambda: set(f.calls("health")) == {"s01", "s02"})
        until("that is shown", lambda: m.read("sites/s01/migrating/step") == "health\n")
        assert m.read("sites/s01/migrating/deadline") > "2026" and not os.path.lexists(m / "sites/s01/deployed")
        f.steer("health", None, "s01")
        arrive(m, f, None, "s01")
        until("s02 is given up", lambda: status(m, "s02")["state"] == "failed")
        assert status(m, "s02")["message"].startswith("not healthy within 3s"), status(m, "s02")
        assert not os.path.lexists(m / "sites/s02/deployed") and f.calls("apply").count("s02") == 1


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

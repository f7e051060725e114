#!/usr/bin/env python3
"""kill -9 of the daemon at every step of a deployment, with each backend, and of a healing; then a new mount, which
nobody helps.

A step is a call of the daemon that changes the repository (the record of the attempt, of its end, the marks), the
state directory (events, marks) or the directory that a site is published to, and it is killed before that call and
after it; or a moment of a call of the backend: when it begins and when it is about to end, of apply, health and
observe. Each step is tried with a deployment of its own.

usage: test_deployments.py [--all | --points N] [--scenario NAME]… [--seed S]   (default: a sample; by hand: --all)

  K1  (P8) In the ledger every attempt has exactly one end, before the next one begins; one that was killed is there
      as interrupted, and its generation goes on with the next attempt until it has arrived, once.
  K2  (P8) Every call of a backend is one of an attempt that the ledger has, and no attempt applies twice.
  K3  (P15) The site arrives where it should be, without a hand, by one generation.
  K4  (P9) `onward verify --ledger` is content, and so is `git fsck --strict`.
  K5  A directory shows the version before or the one after, byte for byte, at any moment; and so does each other
      version in it.
  K6  (P7) A site is shown as deployed at a revision only if its backend has done that, to the end.
  K7  Nothing older is deployed after something newer.
  K8  A command that was running when the daemon was killed does nothing any more when the next one begins.
  K9  (P15) Nothing is left locked or half-made after an orderly end.
"""

import argparse
import glob
import http.server
import json
import os
import random
import re
import shutil
import sys
import tempfile
import threading

for place in ("../lib", "../mount"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), place))
import faults as F
from fidelity import Objects
from onwardtest import ONWARD, Mount, commit, git, make_repo, read, run, until, write

ENDS = {"deployed", "failed", "interrupted", "superseded"}
LEFT = re.compile(r"(\.lock|\.keep|^\.(new|old)-.*|^onwardfs\.ref-.*)$")

DECLARATION = """onward: 1
rollout: {max_failures: 9, waves: [{name: all}]}
sites:
  - {name: shell, source: shell, backend: shell, self_heal: true}
  - {name: files, source: files, include: [base], backend: files, self_heal: true}
  - {name: hook, source: hook, backend: hook}
"""

# Notes what it is asked, and when it has done it; `kill` names the moment at which the daemon goes.
SCRIPT = """#!/bin/sh
at() {
    echo "$1 $verb $ONWARD_GENERATION $ONWARD_ATTEMPT $ONWARD_TO" >> "$dir/calls"
    if [ "$(cat "$dir/kill" 2>/dev/null)" = "$verb $1" ]; then
        rm "$dir/kill"
        kill -9 "$(cat "$dir/pid")"
    fi
}
dir=$1 verb=$2
at begin
case $verb in
apply) cp app.conf "$dir/shell.site" ;;
*) cmp -s app.conf "$dir/shell.site" || { echo "it differs"; at end; exit 2; } ;;
esac
at end
"""


PUBLISHED = ("files/app.conf", "files/link", "base/all")


def content(path):
    return os.readlink(path) if os.path.islink(path) else read(path)


class Call:
    """One that a backend got, from its beginning to its end."""

    def __init__(self, verb, generation, attempt, to):
        self.verb, self.key, self.to, self.ended = verb, (int(generation), int(attempt)), to, False


class Receiver:
    """The other side of the http backend."""

    def __init__(self, world):
        outer = self
        self.calls, self.world, self.kill = [], world, None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        r = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        call = Call(r["verb"], r["generation"], r["attempt"], r["to"])
        assert request.headers["Idempotency-Key"] == f"{r['site']}/{r['generation']}"
        self.calls.append(call)
        self.at(f"{call.verb} begin")
        call.ended = True
        self.at(f"{call.verb} end")
        try:
            request.send_response(204)
            request.end_headers()
        except OSError:
            pass    # who asked is dead

    def at(self, moment):
        if self.kill == moment:
            self.kill = None
            self.world.m.process.kill()


class World:
    """A repository with a site for each backend, its daemon, and what can be seen of them."""

    def __init__(self, dir):
        self.dir, self.n, self.deployments = dir, 0, 0
        self.repo = make_repo(dir + "/r.git", {"onward.yaml": DECLARATION, "base/all": "0\n", "shell/app.conf": "0\n",
                                               "files/app.conf": "0\n", "files/link": ("app.conf",),
                                               "hook/app.conf": "0\n"})
        write(dir + "/steps/script", SCRIPT, 0o755)
        write(dir + "/steps/calls", "")
        write(dir + "/key", "secret\n", 0o600)
        self.hook = Receiver(self)
        self.config = (f"backends:\n"
                       f"  shell: {{exec: [{dir}/steps/script, {dir}/steps], timeout: 20s, observe_every: 100ms}}\n"
                       f"  files: {{directory: '{dir}/sites/{{site}}', keep: 2, observe_every: 100ms}}\n"
                       f"  hook: {{http: {{url: 'http://127.0.0.1:{self.hook.port}/{{site}}', "
                       f"secret_file: {dir}/key}}, timeout: 20s}}\n")
        for place in ("sites/files", "state"):
            os.makedirs(f"{dir}/{place}")
        self.faults = F.Faults(dir, [self.repo, dir + "/state", dir + "/sites"])
        self.start()
        for site in ("shell", "files", "hook"):
            self.arrived(site, git(self.repo, "rev-parse", "main").strip())

    def start(self):
        self.faults.lift()
        self.m = Mount(self.dir, self.repo, config=self.config, expect="interrupted", env=self.faults.env).start()
        write(self.dir + "/steps/pid", str(self.m.process.pid))

    def end(self):
        """By a signal: an observation may be working in the mount."""
        self.m.process.terminate()
        self.m.ended()

    def disarm(self):
        if os.path.exists(self.dir + "/steps/kill"):
            os.unlink(self.dir + "/steps/kill")

    def dead(self):
        return self.m.process.poll() is not None

    def state(self, site):
        return json.loads(self.m.read(f"sites/{site}/status.json"))

    def is_at(self, site, revision):
        s = self.state(site)
        return s["state"] == "in-sync" and s["deployed"] == revision

    def arrived(self, site, revision):
        until(f"K3: {site} is in sync at {revision}", lambda: self.is_at(site, revision), 60)

    def calls(self, site):
        """What the site's backend was asked, oldest first; of `files` nobody knows."""
        if site == "hook":
            return list(self.hook.calls)
        found = []
        for line in read(self.dir + "/steps/calls").splitlines() if site == "shell" else []:
            moment, *rest = line.split()
            call = Call(*rest)
            if moment == "begin":
                found.append(call)
            else:
                assert vars(found[-1]) == vars(call), f"K8: {vars(call)} ends when {vars(found[-1])} has begun"
                found[-1].ended = True
        return found

    def records(self, site):
        """The site's records, oldest first."""
        ref = "refs/onward/ledger/" + os.uname().nodename
        objects, found = Objects(self.repo), []
        oid = git(self.repo, "rev-parse", f"{ref}:{self.record_path(ref, site)}").strip()
        while oid:
            found.append(json.loads(objects.blob(oid.encode())))
            oid = found[-1].get("previous")
        objects.close()
        return found[::-1]

    def record_path(self, ref, site):
        names = git(self.repo, "ls-tree", "-r", "--name-only", ref).splitlines()
        return next(n for n in names if n.endswith(f"/{site}.json"))

    def check_directory(self, *allowed):
        """K5; the daemon may be dead or alive."""
        top = self.dir + "/sites/files"
        now = os.readlink(top + "/current")
        assert now in allowed, f"K5: current is {now}, none of {allowed}"
        for version in filter(re.compile("[0-9a-f]{40}").fullmatch, os.listdir(top)):
            try:
                there = {n: content(f"{top}/{version}/{n}") for n in PUBLISHED}
            except FileNotFoundError:
                assert not os.path.exists(f"{top}/{version}"), f"K5: {version} lacks some of {PUBLISHED}"
                continue    # an old one that has just been removed
            wanted = {n: git(self.repo, "show", f"{version}:{n}") for n in PUBLISHED}
            assert there == wanted, f"K5: {version} is not whole: {there}"

    def check_ledger(self, site):
        """K1, K7. The records."""
        records, open_attempt, arrived = self.records(site), None, set()
        for r in records:
            key = (r["generation"], r["attempt"])
            if r["kind"] == "attempt":
                assert open_attempt is None, f"K1: {site}: {key} begins, and {open_attempt} has no end"
                assert r["generation"] not in arrived, f"K1: {site}: {key} after its generation has arrived"
                open_attempt = key
            elif r["kind"] in ENDS or (r["kind"] == "healed" and r["outcome"]):
                assert key == open_attempt, f"K1: {site}: {key} ends, and {open_attempt} is under way"
                assert r["kind"] in ("deployed", "healed", "interrupted"), f"K1: {site}: {r}"
                arrived |= {r["generation"]} if r["kind"] != "interrupted" else set()
                open_attempt = None
        assert open_attempt is None, f"K1: {site}: {open_attempt} has no end"
        age = {id: i for i, id in enumerate(git(self.repo, "rev-list", "--reverse", "main").split())}
        ages = [age[r["to"]] for r in records]
        assert ages == sorted(ages), f"K7: {site}: {[r['to'] for r in records]}"
        return records

    def check_calls(self, site, records):
        attempts = {(r["generation"], r["attempt"]): r["to"] for r in records if r["kind"] == "attempt"}
        applied = [c for c in self.calls(site) if c.verb == "apply"]
        for c in applied:
            assert attempts.get(c.key) == c.to, f"K2: {site}: called for {c.key} {c.to}; the ledger: {attempts}"
        keys = [c.key for c in applied]
        assert len(keys) == len(set(keys)), f"K2: {site}: an attempt that applied twice: {keys}"

    def check_shown(self, site):
        """K6."""
        to = self.state(site)["deployed"]
        if site == "files":
            assert os.path.isdir(f"{self.dir}/sites/files/{to}"), f"K6: {to} is not there"
        else:
            done = {c.to for c in self.calls(site) if c.verb == "apply" and c.ended}
            assert to in done, f"K6: {site} is shown at {to}, its backend did {done}"

    def check_verified(self):
        p = run(ONWARD, "verify", "--ledger", cwd="/", check=False, env={"ONWARD_MOUNT": self.m.path})
        assert p.returncode == 0, f"K4: {p.stdout}{p.stderr}"

    def check_left(self):
        """K4, K9. After an orderly end."""
        self.end()
        found = [os.path.join(at, n) for top in ("r.git", "state", "sites") for at, dirs, files in
                 os.walk(f"{self.dir}/{top}") for n in dirs + files if LEFT.search(n) and n != "onwardfs.lock"]
        assert not found, f"K9: left behind: {found}"
        bad = git(self.repo, "fsck", "--strict", "--no-dangling")
        assert not bad.strip(), f"K4: {bad}"
        self.start()


class Deploy:
    """A new revision of a site's inputs."""
    name, end = "deploy", "deployed"
    asked = {"shell": ["apply", "health"], "files": [], "hook": ["apply"]}  # as far as the test is there to see it

    def __init__(self, world, site):
        self.w, self.site = world, site
        self.moments = [f"{verb} {moment}" for verb in self.asked[site] for moment in ("begin", "end")]

    def look(self):
        """Before any kill is set: what the daemon does by itself, as packing, may be the step that it dies at."""
        self.before = self.w.state(self.site)

    def act(self):
        w = self.w
        w.n += 1
        self.to = commit(w.repo + ".work", {f"{self.site}/app.conf": f"{w.n}\n"})

    def over(self):
        return self.w.is_at(self.site, self.to)

    def check_end(self, records):
        own = [r for r in records if r["generation"] > self.before["generation"]]
        assert {r["generation"] for r in own} == {self.before["generation"] + 1}, f"K3: {own}"
        assert [r["kind"] for r in own if r["kind"] != "drifted"] in (
            ["attempt", self.end], ["attempt", "interrupted", "attempt", self.end]), f"K1: {own}"


class Heal(Deploy):
    """Somebody has changed what is there."""
    name, end = "heal", "healed"
    asked = {"shell": ["observe", "apply", "health"], "files": []}

    def act(self):
        w = self.w
        self.to = self.before["deployed"]
        place = "steps/shell.site" if self.site == "shell" else "sites/files/current/files/app.conf"
        write(f"{w.dir}/{place}", "changed by hand\n")

    def over(self):
        s = self.w.state(self.site)
        return self.w.is_at(self.site, self.to) and s["generation"] > self.before["generation"]


SCENARIOS = {f"{kind.name}-{site}": (kind, site) for kind, site in (
    (Deploy, "shell"), (Deploy, "files"), (Deploy, "hook"), (Heal, "shell"), (Heal, "files"))}


def arm(w, scenario, point):
    """`point`: (mode, nth call) or a moment of the backend's."""
    if isinstance(point, tuple):
        w.faults.set(point[0], point[1], kinds=F.ALL & ~F.OPEN)
    elif scenario.site == "hook":
        w.hook.kill = point
    else:
        write(w.dir + "/steps/kill", point)


def hit(w, scenario):
    """Waits for the end: of the daemon (True), or of what it does."""
    def ended():
        try:
            return "dead" if w.dead() else scenario.over() and "over"
        except (OSError, ValueError):
            return "dead" if w.dead() else None
    return until(f"K3: {scenario.site} arrives, or the daemon dies", ended, 60) == "dead"


def try_point(w, scenario, point):
    """False: the scenario is over before that step."""
    scenario.look()
    arm(w, scenario, point)
    scenario.act()
    killed = hit(w, scenario)
    w.faults.lift()
    if killed:
        w.m.kill()
        before, after = scenario.before["deployed"], scenario.to
        if scenario.site == "files" and scenario.name == "deploy":
            w.check_directory(before, after)
        w.start()
        w.check_shown(scenario.site)
        until(f"K3: {scenario.site} arrives", scenario.over, 60)
    w.disarm()      # that moment may not have come: an observation that began before it was chosen told the drift
    records = w.check_ledger(scenario.site)
    scenario.check_end(records)
    w.check_calls(scenario.site, records)
    w.check_shown(scenario.site)
    if scenario.site == "files":
        w.check_directory(scenario.to)
    w.deployments += 1
    return killed


def points_of(w, scenario, args, rng):
    """Which steps are tried."""
    if args.all:
        return [(mode, n) for n in range(1, 10000) for mode in (F.KILL_BEFORE, F.KILL_AFTER)] + scenario.moments
    scenario.look()
    w.faults.set(F.COUNT, kinds=F.ALL & ~F.OPEN)
    scenario.act()
    hit(w, scenario)
    w.faults.lift()
    sure = range(1, w.faults.count * 3 // 4)    # the last ones come, or do not, before it is over
    chosen = rng.sample(sure, min(args.points, len(sure)))
    return [(rng.choice((F.KILL_BEFORE, F.KILL_AFTER)), n) for n in chosen] + rng.sample(scenario.moments, min(1, len(scenario.moments)))


def run_scenario(w, kind, site, args, rng):
    """How many steps were the daemon's last."""
    kills, over = 0, 0
    for point in points_of(w, kind(w, site), args, rng):
        if over > 5 and isinstance(point, tuple):
            continue        # the last calls come or do not come before it is over
        try:
            killed = try_point(w, kind(w, site), point)
        except AssertionError as e:
            step = w.faults.what.replace(w.dir, "") if isinstance(point, tuple) else ""
            raise AssertionError(f"{kind.name}-{site}, {point} {step}: {e}") from e
        kills += killed
        over = 0 if killed else over + 1
    w.check_verified()
    w.check_left()
    return kills


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--all", action="store_true")
    p.add_argument("--points", type=int, default=2, help="calls of the daemon of each scenario that are its last")
    p.add_argument("--scenario", action="append", choices=SCENARIOS, help="only this one")
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    args = p.parse_args()
    chosen = args.scenario or list(SCENARIOS)
    rng = random.Random(args.seed)
    print(f"1..{len(chosen)}\n# seed {args.seed}", flush=True)
    dir = tempfile.mkdtemp(prefix="onward-")
    w = None
    try:
        w = World(dir)
        for i, name in enumerate(chosen, 1):
            kills = run_scenario(w, *SCENARIOS[name], args, rng)
            assert kills, f"{name}: it was never killed: the test does not test"
            print(f"ok {i} - {name}: killed at {kills} steps", flush=True)
        w.end()
    except BaseException as e:
        print(f"not ok {i if w else 1} - seed {args.seed}: {e}\n# everything is kept in {dir}", flush=True)
        sys.stderr.write("".join(w.m.log[-60:]) if w else "")
        if w:
            run("fusermount3", "-u", "-z", w.m.path, check=False)
            w.m.process.kill()
        raise
    shutil.rmtree(dir, ignore_errors=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""kill -9 of the daemon at random moments of a loop of edit + commit + rebase + deploy, and what must then be true.

usage: kill9.py [--rounds N] [--seed S]        (default: 20 rounds; by hand: --rounds 200)

After each restart:
  P4       `git fsck --strict` is clean; every acknowledged commit is on the mainline, once;
  P6       the mainline is linear;
  P3, W1   every edit that an fsync acknowledged is in the workspace (or on the mainline), so its upper was whole
           before `state` named it (W2);
  W3       no move is announced any more, and one upper is left; W4: nothing begins with a dot;
  P7       no site shows as deployed a revision that its directory does not hold, byte for byte;
  P8       every attempt in the ledger has an outcome once the sites are in sync, and its chain is whole;
  P15      nothing is repaired by hand: the next mount must simply work.
"""

import argparse
import glob
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time

for place in ("../lib", "../mount"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), place))
from fidelity import Objects
from onwardtest import Mount, git, make_repo, read, until, write

SITES = ["s%d" % i for i in range(4)]
ENDS = {"deployed", "failed", "interrupted", "superseded"}


def declaration():
    return ("onward: 1\nsites:\n  - {discover: 'sites/*', include: [base], backend: files}\n"
            "  - {name: s3, backend: shell}\n")


class Client:
    """Edits, fsyncs, commits, for as long as the mount answers; remembers what was acknowledged."""

    def __init__(self, m, rng, count):
        self.m, self.rng, self.count = m, rng, count
        self.acked = []     # commit messages
        self.rebased = 0
        self.synced = {}    # path -> content of the last acknowledged fsync
        self.error = None   # what ended the loop
        self.flying = {}    # path -> content that was being written when the daemon died

    def loop(self):
        ws = self.m / "staging/loop"
        try:
            if not os.path.isdir(ws):
                os.mkdir(ws)
            while True:
                self.edit(ws)
                if self.rng.random() < 0.5:
                    self.rebase(ws)
                if self.rng.random() < 0.6:
                    self.commit(ws)
        except OSError as e:
            self.error = e
        except AssertionError as e:
            self.error = e
            raise

    def answered(self):
        """Something has just been acknowledged; after this it counts."""

    def edit(self, ws):
        self.count += 1
        path = f"sites/{self.rng.choice(SITES)}/f{self.rng.randrange(3)}.conf"
        text = f"edit {self.count}\n" * self.rng.randrange(1, 200)
        self.flying[path] = text
        way = self.rng.randrange(3)
        if way == 0:        # as editors do
            with open(f"{ws}/{path}.tmp", "w") as f:
                f.write(text)
                f.flush()
                os.fsync(f.fileno())
            os.rename(f"{ws}/{path}.tmp", f"{ws}/{path}")
            d = os.open(os.path.dirname(f"{ws}/{path}"), os.O_RDONLY)
            try:
                os.fsync(d)
            finally:
                os.close(d)
        else:               # in place
            with open(f"{ws}/{path}", "w") as f:
                f.write(text)
                f.flush()
                os.fsync(f.fileno())
        self.answered()
        self.synced[path] = text
        self.flying.pop(path, None)

    def commit(self, ws):
        message = f"commit {self.count}"
        fd = os.open(ws + "/.onward/commit", os.O_WRONLY)
        try:
            os.write(fd, message.encode() + b"\n")
        finally:
            os.close(fd)
        self.answered()
        self.acked.append(message)

    def rebase(self, ws):
        """Another workspace moves head, so that this one has to be brought onto it, changes and all."""
        self.count += 1
        other = self.m / f"staging/other{self.count}"
        os.mkdir(other)
        with open(other + "/elsewhere", "w") as f:
            f.write(f"{self.count}\n")
        self.commit(other)
        os.rmdir(other)
        self.edit(ws)
        with open(ws + "/.onward/rebase", "wb", buffering=0) as f:
            f.write(b"now\n")
        self.check_rebased(ws)
        self.rebased += 1

    def check_rebased(self, ws):
        base = os.readlink(ws + "/.onward/base").rsplit("/", 1)[1]
        assert os.readlink(self.m / "head").endswith(base), "rebased, and not on head"


def check_objects(repo):
    """While no daemon runs: fsck takes an object that is written meanwhile for one that is missing."""
    out = git(repo, "fsck", "--strict", "--no-dangling")
    assert not out.strip(), f"P4: {out}"


def check_repository(repo, acked):
    subjects = git(repo, "log", "--format=%s", "main").split("\n")
    for message in acked:
        assert subjects.count(message) == 1, f"P4: acknowledged {message!r} is there {subjects.count(message)} times"
    assert git(repo, "rev-list", "--count", "--min-parents=2", "main").strip() == "0", "P6: merged"


def check_workspace(m, synced, flying):
    for path, text in synced.items():
        got = read(m / ("staging/loop/" + path))
        allowed = [text] + ([flying[path]] if path in flying else [])
        # An edit in place that was under way has truncated the file: that one, and only that one, may be torn.
        torn = path in flying and flying[path].startswith(got)
        assert got in allowed or torn, f"P3, W1: {path}: fsynced {text[:20]!r}, found {got[:20]!r}"


def check_state_dir(dir):
    """While no daemon runs."""
    top, = glob.glob(dir + "/state/*/workspaces")
    for name in os.listdir(top):
        assert not name.startswith("."), f"W4: {name} is left"
        state = json.loads(read(f"{top}/{name}/state"))
        uppers = [n for n in os.listdir(f"{top}/{name}") if n.startswith("upper.")]
        assert "next_base" not in state, f"W3: {name}: a move is announced for ever"
        assert uppers == [f"upper.{state['upper']}"], f"W1: {name}: {uppers}, and `state` names {state['upper']}"


def check_deployed(m, dir, repo):
    for site in SITES:
        s = json.loads(m.read(f"sites/{site}/status.json"))
        if not s["deployed"]:
            continue
        root = f"{dir}/sites/{site}/{s['deployed']}"
        if site == "s3":
            assert read(f"{dir}/shell.log").count(s["deployed"]), f"P7: {site}: never called for {s['deployed']}"
            continue
        for name in git(repo, "ls-tree", "-r", "--name-only", s["deployed"], f"sites/{site}", "base").split():
            assert read(f"{root}/{name}") == git(repo, "show", f"{s['deployed']}:{name}"), f"P7: {root}/{name}"


def check_ledger(repo):
    ref = git(repo, "for-each-ref", "--format=%(refname)", "refs/onward/ledger").strip()
    if not ref:
        return
    objects = Objects(repo)
    for line in git(repo, "ls-tree", "-r", ref, "sites").splitlines():
        oid, open_attempt, last = line.split()[2], None, None
        while oid:  # newest first
            r = json.loads(objects.blob(oid.encode()))
            key = (r["generation"], r["attempt"])
            if r["kind"] in ENDS:
                open_attempt = key
            elif r["kind"] == "attempt":
                assert open_attempt == key, f"P8: {r['site']}: attempt {key} has no outcome (next is {open_attempt})"
            assert last is None or r["generation"] <= last, "P8: a generation fell"
            last, oid = r["generation"], r.get("previous")
    objects.close()


def one_round(m, client, rng, seconds):
    t = threading.Thread(target=client.loop)
    first = client.count + rng.randrange(5)
    t.start()
    until("edits", lambda: client.count >= first or not t.is_alive(), 60)   # on a slow machine, too
    time.sleep(rng.random() * seconds)   # the random moment: not a wait for anything
    alive = t.is_alive()
    m.kill()
    t.join(60)
    assert alive, f"the client failed while the daemon was there: {client.error!r}"
    assert not t.is_alive(), "the client hangs after the daemon has died"


def settle(m):
    def quiet():
        states = [json.loads(m.read(f"sites/{s}/status.json"))["state"] for s in SITES]
        return all(s == "in-sync" for s in states)
    until("all sites are in sync", quiet, 60)


def run(rounds, seed, dir):
    rng = random.Random(seed)
    repo = make_repo(dir + "/r.git", {"onward.yaml": declaration(), "base/common": "c\n",
                                      **{f"sites/{s}/site": s + "\n" for s in SITES},
                                      **{f"sites/{s}/f{i}.conf": "0\n" for s in SITES for i in range(3)}})
    write(dir + "/backend.sh", f'#!/bin/sh\necho $ONWARD_TO >> {dir}/shell.log\n', 0o755)
    config = (f'backends:\n  files: {{directory: "{dir}/sites/{{site}}", keep: 3}}\n'
              f'  shell: {{exec: [{dir}/backend.sh], retry: {{limit: 3, first: 10ms}}}}\n')
    acked, synced, count, rebased = [], {}, 0, 0
    for i in range(rounds):
        m = Mount(dir, repo, config=config).start()
        client = Client(m, rng, count)
        client.synced = dict(synced)
        one_round(m, client, rng, 0.3)
        acked, synced, count = acked + client.acked, client.synced, client.count
        rebased += client.rebased
        check_objects(repo)
        m = Mount(dir, repo, config=config, expect="interrupted|attempt|failed").start()
        check_repository(repo, acked)
        check_deployed(m, dir, repo)
        assert not synced or os.path.isdir(m / "staging/loop"), "P3: the workspace is gone"
        if os.path.isdir(m / "staging/loop"):
            check_workspace(m, synced, client.flying)
            # What the workspace holds now is what counts from here on.
            synced = {p: read(m / ("staging/loop/" + p)) for p in synced}
        settle(m)
        check_deployed(m, dir, repo)
        m.stop()
        check_objects(repo)
        check_state_dir(dir)
        check_ledger(repo)
        print(f"# round {i + 1}: {len(acked)} commits acknowledged, {count} edits, {rebased} rebases", flush=True)
    assert rebased or rounds < 10, "nothing was rebased: the test does not test"
    assert len(acked) > rounds / 4, "hardly anything was committed: the test does not test"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    args = p.parse_args()
    print(f"1..1\n# seed {args.seed}", flush=True)
    dir = tempfile.mkdtemp(prefix="onward-")
    try:
        run(args.rounds, args.seed, dir)
    except BaseException as e:
        print(f"not ok 1 - kill -9 (seed {args.seed}): {e}; everything is kept in {dir}", flush=True)
        raise
    shutil.rmtree(dir, ignore_errors=True)
    print(f"ok 1 - {args.rounds} times kill -9", flush=True)


if __name__ == "__main__":
    main()

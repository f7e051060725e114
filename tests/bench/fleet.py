#!/usr/bin/env python3
"""Measures a fleet and prints a table, with baselines of the same run: fleet.py [OPTION…]

  mount       from the command until `fleet` shows every site; beside it `git ls-tree -r` of the tip
  decided     a push that touches every site: from the move of the mainline until `fleet` shows the
              new rollout; beside it `git diff-tree -r` of the two revisions
  directory   from there until every site is in sync; beside it a loop that writes the same files with
              cp, fsync and rename
  exec        the same with /bin/true as backend; beside it a loop that starts it as often, and waits
  start       a commit that touches one site, from its acknowledgement to its backend's first
              instruction; beside it one fsync
  fleet       `cat fleet`; beside it `cat` of the same bytes from a file
Waves are the default ones (one site, a tenth, half, all); --concurrency calls of a backend run at once.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from measure import MB, cpu_time, shell
from onwardtest import Mount, git, read, run, until, write
from report import aligned

DECLARATION = "onward: 1\nsites:\n  - {discover: 'sites/*', backend: b}\n"
HEAD = ["", "baseline", "onwardfs", "ratio", "target", "CPU, s", "RSS, MB"]
WIDTHS = [44, 14, 14, 7, 10, 7, 8]
SAMPLE = 300            # sites of the loops that the speeds are held against


def site(i):
    return f"s{i:05}"


def files_of(i, version):
    """What a site takes: two small files."""
    return {f"sites/{site(i)}/app.conf": f"# {site(i)}\nversion = {version}\nlisten = 10.0.{i // 256}.{i % 256}\n",
            f"sites/{site(i)}/unit.service": f"[Service]\nExecStart=/usr/bin/app --site {site(i)}\n"}


def make_repo(path, sites):
    run("git", "init", "-q", "--bare", "-b", "main", path)
    importer = subprocess.Popen(["git", "-C", path, "fast-import", "--quiet"], stdin=subprocess.PIPE)
    add_commit(importer.stdin, {"onward.yaml": DECLARATION})
    for version in (0, 1):
        add_commit(importer.stdin, {p: t for i in range(sites) for p, t in files_of(i, version).items()})
    importer.stdin.close()
    assert importer.wait() == 0
    return path


def add_commit(out, files, ref="refs/heads/main", onto=""):
    text = "".join(f"M 644 inline {path}\ndata {len(t)}\n{t}\n" for path, t in files.items())
    out.write(f"commit {ref}\ncommitter a <a@b> 1700000000 +0000\ndata 1\nm\n{onto}{text}\n".encode())


def push_all(repo, version, sites):
    """Moves the mainline to a commit that touches every site; returns when it did, and the revision."""
    importer = subprocess.Popen(["git", "-C", repo, "fast-import", "--quiet", "--force"], stdin=subprocess.PIPE)
    add_commit(importer.stdin, {p: t for i in range(sites) for p, t in files_of(i, version).items()},
               "refs/heads/next", "from refs/heads/main^0\n")
    importer.stdin.close()
    assert importer.wait() == 0
    id = git(repo, "rev-parse", "refs/heads/next").strip()
    git(repo, "update-ref", "refs/heads/main", id)
    return time.time(), id


def seconds(f, *args):
    begin = time.perf_counter()
    f(*args)
    return time.perf_counter() - begin


class Fleet:
    """One mount of the fleet with one backend; times and rates of it."""

    def __init__(self, dir, repo, sites, backend, concurrency, state="state"):
        self.dir, self.sites = dir, sites
        config = f"backends: {{b: {{{backend}, concurrency: {concurrency}}}}}\n"
        self.m = Mount(dir, repo, config=config, state=os.path.join(dir, state))

    def __enter__(self):
        self.up = seconds(self.mount)
        self.up_cpu = self.cpu()
        return self

    def mount(self):
        self.m.start()
        assert self.m.read("fleet").count("\n") > self.sites

    def __exit__(self, *args):
        return self.m.__exit__(*args)

    def count(self, state):
        return int(re.search(rf'^onward_sites{{state="{state}"}} (\d+)', self.m.read(".onward/metrics"), re.M)[1])

    def cpu(self):
        return cpu_time(self.m.process.pid)

    def memory(self):
        """Bytes: peak resident (with mapped packs), and anonymous now."""
        status = read(f"/proc/{self.m.process.pid}/status")
        return [int(re.search(rf"^{what}:\s+(\d+)", status, re.M)[1]) * 1024 for what in ("VmHWM", "RssAnon")]

    def converge(self):
        """Waits until all are in sync; sites a second, and the daemon's CPU seconds."""
        begin, cpu = time.perf_counter(), self.cpu()
        while self.count("in-sync") < self.sites:
            assert self.m.process.poll() is None, "the daemon has died"
            time.sleep(0.25)    # the metrics have a line for each site: to look costs the daemon something
        return self.sites / (time.perf_counter() - begin), self.cpu() - cpu

    def change(self, version, sites):
        """Commits a new version of the sites; returns when it was acknowledged, and the revision."""
        ws = self.m / "staging/w"
        os.makedirs(ws, exist_ok=True)
        for i in sites:
            [(path, text), _] = files_of(i, version).items()
            write(os.path.join(ws, path), text)
        write(ws + "/.onward/commit", f"version {version}\n")
        return time.time(), self.m.link("head")


class Table:
    def __init__(self):
        self.rows = []

    def add(self, *cells):
        self.rows.append(cells)
        print(aligned(self.rows[-1], WIDTHS), flush=True)

    def time(self, name, ours, base, limit, cpu=None, memory=None):
        ours, base = statistics.median(ours), statistics.median(base)
        self.add(name, f"{base * 1000:.1f} ms", f"{ours * 1000:.1f} ms", f"{ours / base:.2f}", limit,
                 *costs(cpu, memory))

    def rate(self, name, ours, base, limit, cpu=None, memory=None):
        self.add(name, f"{base:.0f} /s", f"{ours:.0f} /s", f"{ours / base:.2f}", limit, *costs(cpu, memory))


def costs(cpu, memory):
    return ["" if cpu is None else f"{cpu:.2f}", "/".join(f"{m / MB:.0f}" for m in memory or [])]


# ---- baselines

def one_fsync(path):
    with open(path, "w") as f:
        f.write("x")
        f.flush()
        os.fsync(f.fileno())


def copy_loop(dir):
    """Sites a second: a version directory each, its files written and fsynced, and `current` moved to it."""
    def publish(i):
        root = f"{dir}/copies/{site(i)}"
        new = root + "/new"
        for path, text in files_of(i, 1).items():
            os.makedirs(os.path.dirname(f"{new}/{path}"), exist_ok=True)
            with open(f"{new}/{path}", "w") as f:
                f.write(text)
                f.flush()
                os.fsync(f.fileno())
        for sub in (f"{new}/sites/{site(i)}", f"{new}/sites", new):
            sync_dir(sub)
        os.rename(new, root + "/version")
        os.symlink("version", root + "/current")
        sync_dir(root)
    return SAMPLE / seconds(lambda: [publish(i) for i in range(SAMPLE)])


def sync_dir(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def spawn_loop():
    """Sites a second: /bin/true is asked twice for each (apply, health), one after the other."""
    def once():
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    return SAMPLE / seconds(lambda: [once() for i in range(SAMPLE * 2)])


# ---- the measurements

def bench_backend(table, dir, repo, args, name, backend, base, limit):
    """All sites for the first time, then all again with a commit that touches each."""
    os.makedirs(dir)
    run("git", "clone", "-q", "--bare", repo, dir + "/r.git")
    with Fleet(dir, dir + "/r.git", args.sites, backend, args.concurrency) as f:
        ls = [shell("git ls-tree -r HEAD", dir + "/r.git")[0] for i in range(3)]
        table.time(f"{name}: mount, until fleet is there", [f.up], ls, "< 1000", f.up_cpu, f.memory())
        rate, cpu = f.converge()
        table.rate(f"{name}: first deployment of all", rate, base, limit, cpu, f.memory())
        diff = [shell("git diff-tree -r HEAD HEAD^", dir + "/r.git")[0] for i in range(3)]
        acked, id = push_all(dir + "/r.git", 2, args.sites)
        until("the rollout shows", lambda: f"rollout {id[:12]}" in f.m.read("fleet"), 120)
        table.time(f"{name}: push to all, decided", [time.time() - acked], diff, "< 200")
        rate, cpu = f.converge()
        table.rate(f"{name}: all to the next revision", rate, base, limit, cpu, f.memory())
    return dir + "/r.git"


def first_start(stamps, since):
    """When the first backend started after that; None: none has."""
    times = [float(line.split()[0]) for line in read(stamps).splitlines()]
    later = [t for t in times if t > since]
    return min(later) if later else None


def bench_one(table, dir, repo, args):
    """Everything is in sync, and was; one site changes. The same daemon shows the whole fleet."""
    stamps = dir + "/stamps"
    write(stamps, "")
    write(dir + "/backend", f'#!/bin/bash\necho $EPOCHREALTIME $ONWARD_SITE >> {stamps}\n', 0o755)
    with Fleet(dir, repo, args.sites, f"exec: [{dir}/backend]", args.concurrency) as f:
        ls = [shell("git ls-tree -r HEAD", repo)[0] for i in range(3)]
        table.time("mount with a ledger of all sites", [f.up], ls, "< 1000", f.up_cpu, f.memory())
        until("all are in sync", lambda: f.count("in-sync") == args.sites, 120)
        starts, cpu = [], f.cpu()
        for i in range(args.repeat):
            begin = time.time()
            acked, id = f.change(10 + i, [i * 7 % args.sites])
            until("the backend's start", lambda: first_start(stamps, begin), 120)
            starts.append(max(0, first_start(stamps, begin) - acked))
            until("all are in sync", lambda: f.count("in-sync") == args.sites, 120)
        fsyncs = [seconds(one_fsync, f"{dir}/f{i}") for i in range(args.repeat)]
        table.time("commit of one, first backend starts", starts, fsyncs, "< 50", (f.cpu() - cpu) / args.repeat)
        write(dir + "/fleet", f.m.read("fleet"))
        plain = [seconds(read, dir + "/fleet") for i in range(args.repeat)]
        shown = [seconds(f.m.read, "fleet") for i in range(args.repeat)]
        table.time("cat fleet", shown, plain, "< 50", memory=f.memory())
        begin = time.time()
        acked, id = push_all(repo, 3, args.sites)
        until("the backend's start", lambda: first_start(stamps, begin), 120)
        table.time("push to all, first backend starts", [max(0, first_start(stamps, begin) - acked)], fsyncs,
                   "< 200", memory=f.memory())
        run(onwardtest.ONWARD, "pause", "--reason", "enough is measured", cwd=f.m.path)
        until("all calls have ended", lambda: f.count("migrating") == 0, 120)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sites", type=int, default=10000)
    p.add_argument("--repeat", type=int, default=20)
    p.add_argument("--concurrency", type=int, default=64)
    p.add_argument("--only", choices=["directory", "exec"], help="one backend only")
    args = p.parse_args()
    print(f"{args.sites} sites of two files, declared by discover; {os.cpu_count()} CPUs, load "
          f"{os.getloadavg()[0]:.1f}; default waves, {args.concurrency} calls at once\n")
    table = Table()
    table.add(*HEAD)
    with tempfile.TemporaryDirectory(prefix="onward-bench-") as dir:
        repo = make_repo(dir + "/r.git", args.sites)
        if args.only != "exec":
            bench_backend(table, dir + "/d", repo, args, "directory",
                          f"directory: '{dir}/out/{{site}}'", copy_loop(dir), ">= 500")
        if args.only != "directory":
            used = bench_backend(table, dir + "/e", repo, args, "exec", "exec: [/bin/true]", spawn_loop(), ">= 200")
            bench_one(table, dir + "/e", used, args)


if __name__ == "__main__":
    main()

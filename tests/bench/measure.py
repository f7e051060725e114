"""How a run is timed, and what is known of the daemon that served it.

A Daemon is looked at from outside: requests from `.onward/metrics`, CPU time from its process clock,
memory from /proc. Reading the metrics costs a few requests itself; how many is found out once for each
mount, while nothing else runs, and taken off.
"""

import collections
import os
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from onwardtest import ENV

MB = 1024 * 1024
OWN_NOISE = {"forget", "statfs", "interrupt"}  # shown with --requests, not counted: the kernel waits for none


class Sample:
    """One run: wall seconds, what it printed, and of the daemon requests by kind, CPU seconds, memory."""

    def __init__(self, seconds, output="", requests=None, cpu=None, memory=None):
        self.seconds, self.output = seconds, output
        self.requests = requests or collections.Counter()
        self.cpu, self.memory = cpu, memory

    def count(self):
        """Requests that somebody waited for."""
        return sum(n for op, n in self.requests.items() if op not in OWN_NOISE)


def shell(command, cwd):
    """Runs a shell command with its output thrown away but what it prints; seconds and that."""
    begin = time.perf_counter()
    p = subprocess.Popen(["sh", "-c", command], cwd=cwd, env=ENV, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        output, _ = p.communicate(timeout=900)
    except BaseException:
        os.killpg(p.pid, signal.SIGKILL)    # the shell, and what it started
        p.wait()
        raise
    return time.perf_counter() - begin, output.decode().strip()


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def ratio(ours, base):
    """The median of the ratios of runs in the same repetition."""
    return median([a / b for a, b in zip(ours, base) if b])


def cpu_time(pid):
    """Seconds of all threads of a process so far, ended ones included: its clock CPUCLOCK_SCHED."""
    return time.clock_gettime((~pid << 3) | 2)


class Daemon:
    """A running onwardfs, seen from outside."""

    def __init__(self, pid, mount):
        self.pid, self.mount = pid, mount
        first, second = self.raw_requests(), self.raw_requests()
        third = self.raw_requests()
        # The second look meets the same caches as each later one; the first may not.
        self.looking = third - second if first else collections.Counter()
        self.last = third

    def raw_requests(self):
        found = collections.Counter()
        with open(os.path.join(self.mount, ".onward/metrics")) as f:
            for op, n in re.findall(r'^onward_fuse_requests_total\{op="(\w+)"\} (\d+)', f.read(), re.M):
                found[op] = int(n)
        return found

    def requests(self):
        """By kind, since the last call (or since it was found); those of looking are taken off."""
        now = self.raw_requests()
        found, self.last = now - self.last - self.looking, now
        return found

    def cpu(self):
        return cpu_time(self.pid)

    def memory(self):
        """Bytes: peak resident (with mapped packs), and anonymous now."""
        with open(f"/proc/{self.pid}/status") as f:
            text = f.read()
        kib = {k: int(v) for k, v in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
        return kib["VmHWM"] * 1024, kib["RssAnon"] * 1024

    def settle(self, seconds=5):
        """Waits until it does nothing: what it prepares in the background belongs to the run."""
        end, before = time.monotonic() + seconds, -1
        while time.monotonic() < end:
            now = self.cpu()
            if now - before < 0.0005:
                return
            before = now
            time.sleep(0.02)


def measure(run, daemon=None):
    """Times run(), which returns (seconds, output)."""
    if daemon is None:
        return Sample(*run())
    daemon.requests()
    cpu = daemon.cpu()
    seconds, output = run()
    daemon.settle()
    return Sample(seconds, output, daemon.requests(), daemon.cpu() - cpu, daemon.memory())


class Series:
    """What one target showed in one workload: a cold and a warm sample for each repetition."""

    def __init__(self):
        self.cold, self.warm = [], []

    def seconds(self, when):
        return [s.seconds for s in getattr(self, when)]

    def time(self, when):
        return median(self.seconds(when))

    def count(self, when):
        return median([s.count() for s in getattr(self, when)])

    def cpu(self, when):
        return median([s.cpu for s in getattr(self, when)])

    def memory(self):
        """Of the daemon: highest peak and highest anonymous, bytes; None where there is none."""
        seen = [s.memory for s in self.cold + self.warm if s.memory]
        return (max(m[0] for m in seen), max(m[1] for m in seen)) if seen else None

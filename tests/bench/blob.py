"""One large file: from the first byte, in sequence, and at random offsets."""

import os
import random
import time

from measure import MB, Series, measure, median

BLOCK = 128 * 1024
RANDOM_READS = 2000


def first_byte(path):
    begin = time.perf_counter()
    fd = os.open(path, os.O_RDONLY)
    try:
        os.pread(fd, 4096, 0)
    finally:
        os.close(fd)
    return time.perf_counter() - begin


def in_sequence(path):
    begin, count = time.perf_counter(), 0
    fd = os.open(path, os.O_RDONLY)
    try:
        while True:
            n = len(os.read(fd, BLOCK))
            if not n:
                return time.perf_counter() - begin, count
            count += n
    finally:
        os.close(fd)


def at_random(path, size):
    """Blocks at random places, without readahead."""
    rng, count = random.Random(3), 0
    begin = time.perf_counter()
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        for i in range(RANDOM_READS):
            count += len(os.pread(fd, BLOCK, rng.randrange(max(1, size // BLOCK)) * BLOCK))
    finally:
        os.close(fd)
    return time.perf_counter() - begin, count


def drop(path):
    """Takes the file's pages out of the page cache: this file's, nobody else's."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def fresh(target):
    target.unmount()
    target.preload()
    target.mount()
    return os.path.join(target.root, target.names["big"], "blob")


def one_target(target, size, found):
    """Two fresh mounts: one read in sequence first, one at random first."""
    try:
        path = fresh(target)
        found["first"].append(first_byte(path))
        path = fresh(target)
        found["sequence"].cold.append(measure(lambda: in_sequence(path), target.daemon))
        found["sequence"].warm.append(measure(lambda: in_sequence(path), target.daemon))
        drop(path)
        found["dropped"].append(at_random(path, size))
        path = fresh(target)
        found["random"].cold.append(measure(lambda: at_random(path, size), target.daemon))
        found["random"].warm.append(measure(lambda: at_random(path, size), target.daemon))
    finally:
        target.unmount()


def compare(report, plain, ours, size, repeat):
    found = {t: {"first": [], "sequence": Series(), "dropped": [], "random": Series()} for t in (plain, ours)}
    for i in range(repeat):
        for t in ((plain, ours) if i % 2 else (ours, plain)):
            one_target(t, size, found[t])
    if not plain.cold:
        found[plain]["sequence"].cold.clear()
        found[plain]["random"].cold.clear()
    a, b = found[ours], found[plain]
    report.speed(f"{size // MB} MiB file, in sequence", a["sequence"], b["sequence"], "50 MB/s")
    report.speed("  128 KiB at random", a["random"], b["random"], "50 MB/s")
    speeds = [median([count / seconds for seconds, count in f["dropped"]]) / 1e6 for f in (a, b)]
    report.single("  at random, read before, pages dropped", f"{speeds[0]:.0f} MB/s", "50 MB/s",
                  f"{speeds[1]:.0f} MB/s")
    firsts = [median(f["first"]) * 1000 for f in (a, b)]
    report.single("  its first byte", f"{firsts[0]:.1f} ms", "", f"{firsts[1]:.1f} ms")

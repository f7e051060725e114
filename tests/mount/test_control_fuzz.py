#!/usr/bin/env python3
"""Random writes to every control file: the daemon lives, says no by the book, and the mainline takes commits only.

usage: test_control_fuzz.py [--seconds N] [--seed S]      (default: 5 s each, from a fixed seed, as in CI)
"""

import errno
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, fsck, git, make_repo, read, write
from test_staging import say
from test_views import VIEW

SECONDS, SEED = 5, 1
FILES = {"a.txt": "one\n", "d/b.txt": "two\n", "onward.yaml": "onward: 1\n"}
REVIEWED = {**FILES, "onward.yaml": "onward: 1\nreview: {approvals: 1}\n"}

# What onwardfs(4) says that a write to a control file may answer.
SAID = {errno.EINVAL, errno.EBUSY, errno.ENODATA, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMSGSIZE, errno.ENOENT,
        errno.EUCLEAN, errno.ESTALE, errno.EFBIG, errno.ENOSPC, errno.EDQUOT, errno.EALREADY, errno.EEXIST,
        errno.EAGAIN, errno.ENOTSUP}
WORDS = [b"off", b"force", b"-", b"10m", b"1h", b"retry", b"hold", b"release", b"pause", b"resume", b"rollback",
         b"accept", b"web", b"--reason", b"--to", b"HEAD", b"main", b"yes", b"message", b"99999999999999999999h", b"-1s",
         b"Approved-by: Ann <ann@x>", b"\xff\xfe", b"\0", b"\x1b[2J", b"%s%n", b"../../x", b"'", b'"', b"\\", b"\r"]
WORKSPACE = ["commit", "rebase", "autocommit", "message"]
READ = ["status", "changes", "diff", "check", "outcome", "owner", "message", "autocommit"]


def made_up(rng):
    """Bytes: raw, or words in lines, a page long, a piece short of it, or longer than any line may be."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.randbytes(rng.choice([0, 1, 2, 17, 4095, 4096, 4097, 70000]))
    line = b" ".join(rng.choices(WORDS, k=rng.randrange(1, 6)))
    if kind == 1:
        return line + b"\n"
    if kind == 2:
        return b"\n".join(b" ".join(rng.choices(WORDS, k=rng.randrange(4))) for _ in range(rng.randrange(20)))
    return (line * 3000)[:rng.choice([4095, 4096, 8192, 65535, 65536, 65537])] + rng.choice([b"", b"\n"])


def poke(rng, path, data):
    """One open file, one to three writes, at an offset at times."""
    try:
        fd = os.open(path, os.O_WRONLY | rng.choice([0, os.O_TRUNC, os.O_APPEND]))
    except OSError as e:
        return e.errno
    try:
        for _ in range(rng.randrange(1, 4)):
            if rng.random() < 0.2:
                os.pwrite(fd, data, rng.choice([1, 100, 4095, 4096, 1 << 20, 1 << 40]))
            else:
                os.write(fd, data)
        return 0
    except OSError as e:
        return e.errno
    finally:
        os.close(fd)


class Fuzz:
    def __init__(self, m, seed, until_when):
        self.m, self.seed, self.end = m, seed, until_when
        self.wrong = []
        self.counts = {}

    def targets(self, rng):
        ws = self.m / ("staging/w%d" % rng.randrange(3))
        if rng.random() < 0.15:
            return None, self.m / ".onward/ctl"
        if rng.random() < 0.2:
            numbers = os.listdir(self.m / "proposals")
            if numbers:
                return None, self.m / f"proposals/{rng.choice(numbers)}/{rng.choice(['approve', 'withdraw'])}"
        return ws, ws + "/.onward/" + rng.choice(WORKSPACE)

    def writer(self, k):
        rng = random.Random(self.seed * 1000 + k)
        while time.monotonic() < self.end:
            ws, path = self.targets(rng)
            if ws and rng.random() < 0.5:
                write(ws + "/a.txt", "%d\n" % rng.randrange(10**9))
            data = made_up(rng)
            code = poke(rng, path, data)
            key = (os.path.basename(path), errno.errorcode.get(code, code))
            self.counts[key] = self.counts.get(key, 0) + 1
            if code and code not in SAID:
                self.wrong.append((path, key[1], data[:60]))

    def reader(self, k):
        rng = random.Random(self.seed * 1000 + 500 + k)
        while time.monotonic() < self.end:
            path = self.m / f"staging/w{rng.randrange(3)}/.onward/{rng.choice(READ)}"
            try:
                with open(path, "rb") as f:
                    f.read()
            except OSError as e:
                if e.errno not in SAID:
                    self.wrong.append((path, errno.errorcode[e.errno], "read"))


def resident(pid):
    return int(read(f"/proc/{pid}/status").split("VmRSS:")[1].split()[0])


def run_fuzz(dir, files):
    repo = make_repo(dir + "/r.git", files)
    with Mount(dir, repo, options=VIEW, expect=": command-failed ") as m:
        for k in range(3):
            os.mkdir(m / f"staging/w{k}")
        fuzz = Fuzz(m, SEED, time.monotonic() + SECONDS)
        threads = [threading.Thread(target=fuzz.writer, args=(k,)) for k in range(3)]
        threads += [threading.Thread(target=fuzz.reader, args=(k,)) for k in range(2)]
        [t.start() for t in threads]
        [t.join(SECONDS + 120) for t in threads]
        assert not any(t.is_alive() for t in threads), "somebody waits for ever"
        assert all(len(l) < 4096 for l in m.log), "a command fills the log"
        assert not fuzz.wrong, fuzz.wrong[:5]
        assert fuzz.counts, "nothing was tried"
        if "asan" not in onwardtest.ONWARDFS:
            assert resident(m.process.pid) < 512 << 10, "the daemon has grown"
        for k in range(3):
            os.listdir(m / f"staging/w{k}")
            read(m / f"staging/w{k}/.onward/status")
        write(m / "staging/w0/onward.yaml", "onward: [\n")
        try:
            say(m / "staging/w0/.onward/commit", "broken")
            raise AssertionError("a broken declaration was taken")
        except OSError as e:
            assert e.errno == errno.EINVAL and "onward.yaml:" in read(m / "staging/w0/.onward/outcome"), e
    fsck(repo)
    assert git(repo, "rev-list", "--merges", "main") == ""
    commits = int(git(repo, "rev-list", "--count", "main"))
    assert (commits == 1) == ("review" in files["onward.yaml"]), commits
    assert "onward: 1" in git(repo, "show", "main:onward.yaml")


def test_random_commands_where_commits_land(dir):
    run_fuzz(dir, FILES)


def test_random_commands_where_nobody_may_approve(dir):
    run_fuzz(dir, REVIEWED)


if __name__ == "__main__":
    args = sys.argv[1:]
    for name in ("--seconds", "--seed"):
        if name in args:
            i = args.index(name)
            globals()[name[2:].upper()] = int(args[i + 1])
            del args[i:i + 2]
    sys.argv[1:] = args
    onwardtest.main(sys.modules[__name__])

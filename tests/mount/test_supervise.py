#!/usr/bin/env python3
"""A supervised mount: how it is upgraded, how it is given up, and how it ends. That nothing is lost when the process
that serves it dies is tests/crash/takeover.py."""

import json
import os
import shutil
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import faults
import onwardtest
from onwardtest import Mount, main, make_repo, read, run, until, write


def supervised(dir, expect="worker-died", program=None, **kw):
    repo = make_repo(dir + "/repo.git", {"file": "content\n", "d/deep": "deep\n"})
    m = Mount(dir, repo, options=["-o", "supervise"], expect=expect, **kw)
    if not program:
        return m
    shutil.copy(onwardtest.ONWARDFS, program)
    m.before = ["sh", "-c", 'shift; exec "$0" "$@"', program]   # in the place of the program that is tested
    return m


def status(m):
    return json.loads(m.read(".onward/status.json"))


def name(pid):
    """Of the program that it runs, or of what it says that it is."""
    return read(f"/proc/{pid}/comm")


def upgrade(m, check=True):
    return run(onwardtest.ONWARDFS, "--upgrade", m.path, check=check)


def test_upgrade_goes_on_where_it_was(dir):
    with supervised(dir, program=dir + "/another") as m:
        before = status(m)
        assert before["supervisor"] == m.process.pid and name(before["pid"]) == "onwardfs\n", before
        with open(m / "head/file") as f:
            os.mkdir(m / "staging/ws")
            os.chdir(m / "staging/ws/d")
            upgrade(m)
            after = status(m)
            assert after["pid"] != before["pid"] and after["supervisor"] == before["supervisor"], after
            assert f.read() == "content\n"
            assert os.getcwd() == m / "staging/ws/d" and read("deep") == "deep\n"
            assert name(after["pid"]) == "another\n", "it was not started from disk"
            assert [s["upgraded"] for s in (before, after)] == [False, True]
            os.chdir("/")


def forgotten(m, known):
    """Makes the kernel forget all but what is in use."""
    write("/proc/sys/vm/drop_caches", "2")
    return m.metric("onward_nodes") <= known


def test_numbers_stay(dir):
    """What kept its inode number over a commit keeps it over a takeover, also when the kernel then forgets it: a
    listing that it kept says so."""
    with supervised(dir) as m:
        ws = m / "staging/ws"
        os.makedirs(ws + "/made/below")
        for name in "file", "made/a", "made/b", "made/below/c", "d/new":
            write(f"{ws}/{name}", name)
        os.symlink("target", ws + "/made/link")
        held = [os.open(f"{ws}/{d}", os.O_RDONLY) for d in ("", "d", "made", "made/below")]
        numbers = lambda: [{e.name: e.inode() for e in os.scandir(fd)} for fd in held]
        asked = lambda: [{e.name: e.stat(follow_symlinks=False).st_ino for e in os.scandir(fd)} for fd in held]
        before = numbers()
        with open(ws + "/.onward/commit", "w") as f:
            f.write("one\n")
        assert numbers() == before == asked()
        os.kill(worker(m), signal.SIGKILL)
        os.rename(ws + "/made/a", ws + "/made/b")       # takes its number along
        before[2]["b"] = before[2].pop("a")
        assert numbers() == before == asked()
        try:
            until("the kernel forgets", lambda: forgotten(m, 9))
        except PermissionError:
            print("# not seen: only root can make the kernel forget")
        assert asked() == before == numbers()
        for fd in held:
            os.close(fd)


def test_a_program_that_does_not_start_is_given_up(dir):
    program = dir + "/onwardfs"
    with supervised(dir, "worker-died|program-given-up", program) as m:
        before = status(m)
        os.unlink(program)
        with open(program, "w") as f:
            f.write("#!/bin/sh\nexit 3\n")
        os.chmod(program, 0o755)
        p = upgrade(m, check=False)
        assert p.returncode == 1 and p.stderr.count("\n") == 1, p.stderr
        assert f"the program on disk does not serve {m.path}" in p.stderr, p.stderr
        assert status(m)["supervisor"] == before["supervisor"]
        assert m.read("head/file") == "content\n"
        assert any("program-given-up" in line for line in m.log), m.log


def test_without_a_supervisor_there_is_no_upgrade(dir):
    repo = make_repo(dir + "/repo.git", {"file": "content\n"})
    with Mount(dir, repo) as m:
        p = upgrade(m, check=False)
        assert p.returncode == 1 and "has no supervisor" in p.stderr, p.stderr
    p = upgrade(m, check=False)
    assert p.returncode == 1 and "no mount of onwardfs answers" in p.stderr, p.stderr


def worker(m, but=None):
    pids = read(f"/proc/{m.process.pid}/task/{m.process.pid}/children").split()
    return next((int(p) for p in pids if int(p) != but), None)


def test_a_crash_loop_ends(dir):
    m = supervised(dir, "worker-died|mount-lost")
    # A successor finds a repository that it cannot open.
    m.start()
    status(m)
    os.rename(dir + "/repo.git", dir + "/elsewhere")
    os.kill(worker(m), signal.SIGKILL)
    code = m.process.wait(60)
    assert code == 1, (code, m.log)
    m.reader.join(5)
    assert sum("mount-lost" in line for line in m.log) == 1, m.log
    run("fusermount3", "-u", "-z", m.path)


def test_signals_end_it(dir):
    m = supervised(dir).start()
    status(m)
    os.kill(worker(m), signal.SIGKILL)
    m.read("head/file")
    m.process.send_signal(signal.SIGTERM)
    m.ended()
    assert os.listdir(m.path) == [], "it is mounted still"
    m = Mount(dir, dir + "/repo.git", options=["-o", "supervise"], expect="worker-died").start()
    status(m)
    os.kill(worker(m), signal.SIGKILL)      # and while nobody serves
    m.process.send_signal(signal.SIGTERM)
    m.ended()
    assert os.listdir(m.path) == [], "it is mounted still"
    m = Mount(dir, dir + "/repo.git", options=["-o", "supervise"]).start()
    status(m)
    pid = worker(m)
    m.kill()
    until("the worker dies with its supervisor", lambda: not os.path.exists(f"/proc/{pid}"))


def start(dir, f, mode, target):
    """Starts it in the background, and ends it if it serves; whether it did, and how many calls there were by then."""
    f.set(mode, target)
    p = run(onwardtest.ONWARDFS, "-o", f"supervise,state={dir}/state", dir + "/repo.git", dir + "/mnt", check=False,
            env={**onwardtest.ENV, **f.env})
    f.lift()
    count, place = f.count, f"call {target}, {f.what}: {p.returncode}, {p.stderr}"
    if p.returncode:
        assert p.returncode == 1 and p.stderr.count("\n") == 1, place
        assert os.listdir(dir + "/mnt") == [], place
        return False, count
    assert read(dir + "/mnt/head/file") == "content\n", place
    supervisor = json.loads(read(dir + "/mnt/.onward/status.json"))["supervisor"]
    run("fusermount3", "-u", dir + "/mnt")
    os.waitpid(supervisor, 0)
    return True, count


def test_a_start_that_is_killed_ends_clearly(dir):
    """Either it fails, with one line, and there is no mount; or there is one, and it answers. Killed where it mounts:
    before each of its last calls on files."""
    onwardtest.adopt()
    make_repo(dir + "/repo.git", {"file": "content\n"})
    os.mkdir(dir + "/mnt")
    f = faults.Faults(dir, [dir + "/repo.git", dir + "/state"])
    start(dir, f, faults.COUNT, 1)      # the first one makes what the next ones find
    _, last = start(dir, f, faults.COUNT, 1)
    served = [start(dir, f, faults.KILL_BEFORE, target)[0] for target in range(last - 12, last + 1)]
    print(f"# killed {len(served)} times, served {sum(served)} times")


def test_what_contradicts_itself_is_refused(dir):
    p = run(onwardtest.ONWARDFS, "-o", "supervise,auto_unmount", dir, dir, check=False)
    assert p.returncode == 2 and "give one of them" in p.stderr, p.stderr


if __name__ == "__main__":
    main(sys.modules[__name__])

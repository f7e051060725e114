#!/usr/bin/env python3
"""What a host that runs onwardfs as a service relies on: the unit, and what the daemon gives up and says of itself."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
import onwardtest
import sandbox
from onwardtest import BUILD, ENV, ONWARDFS, Mount, git, main, make_repo, read, run, until, write

UNIT = os.path.join(BUILD, "packaging/onwardfs@.service")
SANDBOX = os.path.join(HERE, "../lib/sandbox.py")
SANITIZED = "asan" in ONWARDFS or "sanitize" in ONWARDFS
EXPOSURE = 4.5              # of `systemd-analyze security`: onwardfs(8), SERVICE
# Each makes a mount namespace of the service's own, in which nobody else sees its mounts.
HIDES_MOUNTS = ["ProtectSystem", "ProtectHome", "ProtectControlGroups", "ProtectKernelLogs", "ProtectKernelModules",
                "ProtectKernelTunables", "ProtectProc", "ProcSubset", "PrivateTmp", "PrivateDevices", "PrivateMounts",
                "PrivateUsers", "PrivateIPC", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "ExecPaths",
                "NoExecPaths", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem", "RootDirectory", "RootImage",
                "MountFlags", "MountAPIVFS", "DynamicUser"]


def has_systemd():
    if shutil.which("systemd-analyze"):
        return True
    print("# not looked at: systemd-analyze is not installed")
    return False


def test_the_unit_is_right(dir):
    """systemd takes it, and the daemon all options that it is started with."""
    text = read(UNIT)
    command = re.search(r"^ExecStart=\S+/onwardfs (.*)$", text, re.M).group(1)
    usage = run(ONWARDFS, "--help")
    assert re.search(r"^ExecReload=\S+/onwardfs --upgrade %f$", text, re.M) and "--upgrade MOUNTPOINT" in usage
    for option in re.findall(r"(?<!\S)--?[\w-]+", command):
        assert re.search(rf"^ *{re.escape(option)}\b", usage, re.M), option
    for option in re.findall(r"-o (\S+)", command):
        for name in option.split(","):
            assert re.search(rf"\b{re.escape(name.split('=')[0])}\b", usage), name
    assert not re.findall(rf"^(?:{'|'.join(HIDES_MOUNTS)})=.*", text, re.M)
    if not has_systemd():
        return
    here = dir + "/onwardfs@infra.service"
    write(here, re.sub(r"^(Exec\w+=-?)\S+", rf"\1{shutil.which('true')}", text, flags=re.M))
    said = run("systemd-analyze", "verify", "--man=no", here, check=False)
    assert said.returncode == 0 and "onwardfs@" not in said.stderr, said.stderr
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", here, check=False)
    if "Overall exposure" not in said.stdout:
        print(f"# exposure not looked at: {said.stderr.strip()}")
        return
    assert float(re.search(r"Overall exposure level for \S+ (\d+\.\d+)", said.stdout).group(1)) <= EXPOSURE


def test_systemd_finds_the_supervisor(dir):
    """Of what is in the background it watches the one whose parent it is, if there is one only; that one ends with the
    mount, and not before."""
    onwardtest.adopt()
    repo = make_repo(dir + "/r.git", {"f": "1\n"})
    os.mkdir(dir + "/mnt")
    run(ONWARDFS, "-o", f"supervise,state={dir}/state", repo, dir + "/mnt")
    status = json.loads(read(dir + "/mnt/.onward/status.json"))
    assert onwardtest.adopted() == [status["supervisor"]]
    os.kill(status["pid"], signal.SIGKILL)
    assert json.loads(read(dir + "/mnt/.onward/status.json"))["supervisor"] == status["supervisor"]
    run(ONWARDFS, "--upgrade", dir + "/mnt")                     # systemctl reload
    assert json.loads(read(dir + "/mnt/.onward/status.json"))["supervisor"] == status["supervisor"]
    os.kill(status["supervisor"], signal.SIGTERM)               # systemctl stop
    assert os.waitpid(status["supervisor"], 0)[1] == 0 and not os.path.ismount(dir + "/mnt")


def test_it_works_with_what_the_unit_leaves(dir):
    """Capabilities, no new privileges, system calls; and a backend that inherits them; also when another process has
    taken over."""
    if os.geteuid() or not has_systemd() or not sandbox.numbers({"read"}):
        print("# not looked at: only for root, and with systemd's lists of system calls")
        return
    repo = make_repo(dir + "/r.git", {"onward.yaml": "onward: 1\nsites: [{name: a, source: a, backend: files}]\n",
                                      "a/f": "1\n"})
    config = f"backends: {{files: {{directory: '{dir}/sites/{{site}}'}}}}\n"
    no_ptrace = {"ASAN_OPTIONS": ENV.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    options = re.search(r"^ExecStart=.* (-o \S+) ", read(UNIT), re.M).group(1).split()
    with Mount(dir, repo, config=config, options=options, env=no_ptrace, before=[sys.executable, SANDBOX, UNIT],
               expect="worker-died") as m:
        pid = json.loads(m.read(".onward/status.json"))["pid"]
        for kill in lambda: os.kill(pid, signal.SIGKILL), lambda: run(ONWARDFS, "--upgrade", m.path):
            kill()
            m.read("head/a/f")
        status = read(f"/proc/{json.loads(m.read('.onward/status.json'))['pid']}/status")
        assert re.search(r"^NoNewPrivs:\s1$", status, re.M) and re.search(r"^Seccomp:\s2$", status, re.M)
        os.mkdir(m / "staging/w")
        write(m / "staging/w/a/f", "2\n")
        with open(m / "staging/w/.onward/commit", "w") as f:
            f.write("in a sandbox\n")
        until("it is deployed", lambda: read(f"{dir}/sites/a/current/a/f") == "2\n")
    assert git(repo, "log", "-1", "--format=%s", "main") == "in a sandbox\n"


def test_nothing_of_the_starter_is_kept(dir):
    """A script that holds a lock starts it in the background, and ends: so does the lock."""
    repo = make_repo(dir + "/r.git", {"f": "1\n"})
    os.mkdir(dir + "/mnt")
    onwardtest.adopt()
    lock = os.open(dir + "/lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    subprocess.run([ONWARDFS, "-o", f"state={dir}/state", repo, dir + "/mnt"], pass_fds=[lock], check=True, env=ENV)
    try:
        os.close(lock)
        again = os.open(dir + "/lock", os.O_RDWR)
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(again)
    finally:
        pid = json.loads(read(dir + "/mnt/.onward/status.json"))["pid"]
        run("fusermount3", "-u", dir + "/mnt")
        os.waitpid(pid, 0)


def test_nobody_reads_its_memory(dir):
    """Nor does a program that it starts: one with the same user and the same rights."""
    if SANITIZED:
        print("# not looked at: a sanitizer reads it")
        return
    rights = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"] if os.geteuid() == 0 else []
    repo = make_repo(dir + "/r.git", {"f": "1\n"})
    may_read = lambda pid: run(*rights, "sh", "-c", f": </proc/{pid}/mem", check=False).returncode == 0
    with Mount(dir, repo, before=rights) as m:
        assert not may_read(m.process.pid)
        with subprocess.Popen([*rights, "cat"], stdin=subprocess.PIPE) as other:
            until("that of others can be read", lambda: may_read(other.pid))


def test_what_is_not_durable_is_said(dir):
    kind = lambda path: run("stat", "-f", "-c", "%T", path).strip()
    repo = make_repo(dir + "/r.git", {"f": "1\n"})
    doubt = lambda m: json.loads(m.read(".onward/status.json"))["not_durable"]
    if kind(dir) in ("ext2/ext3", "xfs", "btrfs"):
        with Mount(dir, repo) as m:
            assert doubt(m) is None and "not-durable" not in m.read(".onward/events")
    if kind("/dev/shm") != "tmpfs":
        print("# not looked at: no tmpfs on /dev/shm")
        return
    state = tempfile.mkdtemp(prefix="onward-", dir="/dev/shm")
    try:
        with Mount(dir, repo, state=state) as m:
            assert doubt(m).startswith(f"the state directory {state}/") and "tmpfs" in doubt(m)
            events = [json.loads(line) for line in m.read(".onward/events").splitlines()]
            assert [e["detail"] for e in events if e["event"] == "not-durable"] == [doubt(m)]
            assert sum("warning: not-durable " in line for line in m.log) == 1
    finally:
        shutil.rmtree(state)


if __name__ == "__main__":
    main(sys.modules[__name__])

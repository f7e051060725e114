#!/usr/bin/env python3
"""A workspace behaves as the local file system under it does: the same system calls, made by the program
`posix` (script.h) on both, give the same answers, line for line, but for what deviations.py lists.

Each script runs on files that were made there, and on files that come from the base revision; as whoever
runs this, and where that is root, as an ordinary user too. The local file system is that of TMPDIR, which is
also under the state directory. $POSIX_MANY is the number of entries in a wide directory (2000).
"""

import glob
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), HERE]
import onwardtest
from deviations import Deviations
from onwardtest import BUILD, Mount, commit, make_repo, run

POSIX = os.environ.get("POSIX") or os.path.join(BUILD, "tests/posix/posix")
SCRIPTS = sorted(glob.glob(os.path.join(HERE, "cases/*.cases")))
USER = 4244
VIEW = ["-o", "noreconcile"]
LIMITS = "limits: {file_size: 4096G, workspace_size: 8192G}\n"
SHARED = VIEW + ["-o", "allow_other"]


def posix(*args, user=None):
    """What the program prints, a line for each call."""
    who = {"user": user, "group": user, "extra_groups": []} if user else {}
    p = subprocess.run([POSIX, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                       stdin=subprocess.DEVNULL, timeout=200, env={**os.environ, "LC_ALL": "C"}, **who)
    assert p.returncode == 0 and not p.stderr, f"posix {args}: {p.returncode}\n{p.stderr}"
    return p.stdout.splitlines()


def differences(local, workspace, deviations):
    assert len(local) == len(workspace), f"{len(local)} lines on the local file system, {len(workspace)} in the workspace"
    for a, b in zip(local, workspace):
        if a == b:
            continue
        call, _, here = a.partition(" = ")
        other, _, there = b.partition(" = ")
        assert call == other, f"{a}\n{b}"
        if not deviations.allow(call, here, there):
            yield f"{call}\n    local:     {here}\n    workspace: {there}"


def owned(path, user):
    os.makedirs(path, 0o700)
    os.chmod(path, 0o700)
    if user:
        os.chown(path, user, user)
    return path


def base(dir, scripts):
    repo = make_repo(dir + "/r.git", {"README": "here\n"})
    posix("--make", repo + ".work", *scripts)
    commit(repo + ".work", {}, "what the cases are given")
    return repo


def compare(dir, m, scripts, deviations, user=None):
    """Both ways, local and in workspaces of their own; the number of lines."""
    found, lines = [], 0
    for way in ("made", "given"):
        plain = owned(f"{dir}/plain-{way}-{user}", user)
        ws = m / f"staging/{way}-{user}"
        subprocess.run(["mkdir", ws], check=True, **({"user": user, "group": user} if user else {}))
        if way == "given":
            posix("--make", plain, *scripts, user=user)
            local, there = (posix("--given", p, *scripts, user=user) for p in (plain, ws))
        else:
            os.makedirs(ws + "/again", exist_ok=True)
            if user:
                os.chown(ws + "/again", user, user)
            local, there = (posix(p, *scripts, user=user) for p in (plain, ws + "/again"))
        found += [f"{way}: {d}" for d in differences(local, there, deviations)]
        lines += len(local)
    assert not found, f"{len(found)} differ\n" + "\n".join(found)
    return lines


def test_every_call_answers_as_on_the_local_file_system(dir):
    os.chmod(dir, 0o711)
    root = os.geteuid() == 0
    deviations = Deviations()
    repo = base(dir, SCRIPTS)
    with Mount(dir, repo, options=SHARED if root else VIEW, config=LIMITS) as m:
        lines = compare(dir, m, SCRIPTS, deviations)
        if root:
            lines += compare(dir, m, [s for s in SCRIPTS if "/name." not in s], deviations, user=USER)
    kind = run("stat", "-f", "-c", "%T", dir).strip()
    print(f"# {lines} calls compared with {kind}, {sum(deviations.used)} deviations")
    assert not (root and deviations.stale()), "\n".join(["deviations that do not happen:", *deviations.stale()])


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

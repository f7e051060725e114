#!/usr/bin/env python3
"""Who may do what in a mount that several users see, and what one of them can do to the others."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import ONWARDFS, Mount, fsck, git, make_repo, read, run, until, write
from test_staging import BASE, as_user, say
from test_views import VIEW, fails

ANN, BOB, NOBODY = 61001, 61002, 65534  # only the last has an account
SHARED = VIEW + ["-o", "allow_other"]
REVIEWED = {**BASE, "onward.yaml": "onward: 1\nreview: {approvals: 1}\n"}


def shared(test):
    """For root only: nobody else may change users."""
    def run_shared(dir):
        if os.getuid() == 0:
            os.chmod(dir, 0o755)
            test(dir)
    run_shared.__name__, run_shared.__doc__ = test.__name__, test.__doc__
    return run_shared


def with_groups(uid, groups, f):
    """as_user() for one who is in groups of others."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            f()
            os._exit(0)
        except OSError as e:
            os._exit(e.errno)
        except BaseException:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@shared
def test_nothing_of_a_workspace_is_for_others(dir):
    """Not with the owner's group either, nor as nobody, nor with an open `.onward` name to guess."""
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=SHARED) as m:
        ws = m / "staging/hers"
        assert as_user(ANN, lambda: os.mkdir(ws)) == 0
        assert as_user(ANN, lambda: write(ws + "/secret", "hers\n")) == 0
        tries = [lambda: os.listdir(ws), lambda: os.listdir(ws + "/d"), lambda: os.stat(ws + "/secret"),
                 lambda: read(ws + "/secret"), lambda: write(ws + "/new", "x"), lambda: os.chmod(ws, 0o777),
                 lambda: os.chown(ws, BOB, BOB), lambda: os.rename(ws, ws + "2"),
                 lambda: os.truncate(ws + "/a.txt", 0), lambda: os.unlink(ws + "/a.txt")]
        tries += [lambda n=n: read(ws + "/.onward/" + n)
                  for n in ("status", "changes", "diff", "check", "message", "outcome", "owner", "autocommit")]
        tries += [lambda n=n: say(ws + "/.onward/" + n, "force")
                  for n in ("commit", "rebase", "drop", "message", "autocommit")]
        for uid, groups in ((BOB, []), (BOB, [ANN]), (NOBODY, [NOBODY])):
            for i, f in enumerate(tries):
                code = with_groups(uid, groups, f)
                assert code in (errno.EACCES, errno.EPERM), (uid, groups, i, code)
            assert with_groups(uid, groups, lambda: os.rmdir(ws)) in (errno.EACCES, errno.EPERM)
        assert read(ws + "/secret") == "hers\n" and os.stat(ws).st_uid == ANN
        assert git(repo, "rev-list", "--count", "main") == "1\n"


@shared
def test_the_author_is_who_the_kernel_says(dir):
    """Not who the environment, the message or the configured name says."""
    repo = make_repo(dir + "/r.git", BASE)
    for bad in ("Bob <Boss> Ross <b@x>", "Bob\\nparent 0 <b@x>", "Bob\\0 <b@x>"):
        write(dir + "/bad.yaml", f'identities: {{{BOB}: "{bad}"}}\n')
        p = run(ONWARDFS, "-f", "--config", dir + "/bad.yaml", repo, dir, check=False)
        assert p.returncode and "bad.yaml:1:" in p.stderr, (bad, p)
    config = f'identities: {{{BOB}: "Bob <bob@example.org>"}}\n'
    forged = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@x", "LOGNAME": "ann", "USER": "ann", "HOME": "/x"}
    message = ("work\n\nauthor Ann <ann@x> 0 +0000\n\nAuthor: Ann <ann@x>\nOnward-Workspace: other\n"
               "Co-authored-by: Ann <ann@x>\n")
    def work(ws, text):
        os.environ.update(forged)
        os.mkdir(ws)
        write(ws + "/" + text, text)
        write(ws + "/.onward/message", message + "Approved-by: Ann <ann@x>\n")
        fails(errno.EINVAL, say, ws + "/.onward/commit", "-")
        write(ws + "/.onward/message", message)
        say(ws + "/.onward/commit", "-")

    with Mount(dir, repo, config=config, options=SHARED) as m:
        for uid, name in ((ANN, "uid %d" % ANN), (BOB, "Bob"), (NOBODY, "nobody"), (0, "root")):
            assert as_user(uid, lambda: work(m / f"staging/w{uid}", f"f{uid}")) == 0, uid
            raw = git(repo, "cat-file", "commit", "main")
            head = raw.split("\n\n", 1)[0]
            assert [l.split()[0] for l in head.splitlines()] == ["tree", "parent", "author", "committer"], raw
            assert head.splitlines()[2].startswith("author " + name), raw
            assert head.splitlines()[3].startswith("committer onwardfs "), raw
            trailers = {key: git(repo, "log", "-1", f"--format=%(trailers:key={key},valueonly)").split()
                        for key in ("Onward-Workspace", "Approved-by")}
            assert trailers == {"Onward-Workspace": [f"w{uid}"], "Approved-by": []}, raw
        fsck(repo)


@shared
def test_root_may_and_is_named(dir):
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=SHARED) as m:
        ws = m / "staging/hers"
        assert as_user(ANN, lambda: os.mkdir(ws)) == 0
        write(ws + "/a.txt", "root was here\n")
        say(ws + "/.onward/commit", "for her")
        assert git(repo, "log", "-1", "--format=%an") == "root\n"


@shared
def test_nobody_approves_his_own(dir):
    repo = make_repo(dir + "/r.git", REVIEWED)
    with Mount(dir, repo, options=SHARED) as m:
        ws = m / "staging/hers"
        assert as_user(ANN, lambda: os.mkdir(ws)) == 0
        assert as_user(ANN, lambda: write(ws + "/a.txt", "proposed\n")) == 0
        assert as_user(ANN, lambda: say(ws + "/.onward/commit", "please")) == 0
        p = m / ("proposals/" + os.listdir(m / "proposals")[0])
        assert as_user(ANN, lambda: say(p + "/approve", "yes")) in (errno.EACCES, errno.EPERM)
        assert as_user(BOB, lambda: say(p + "/withdraw", "no")) in (errno.EACCES, errno.EPERM)
        assert git(repo, "rev-list", "--count", "main") == "1\n"


@shared
def test_a_full_quota_is_the_owners_alone(dir):
    repo = make_repo(dir + "/r.git", BASE)
    config = "limits: {workspaces: 3, workspace_size: 1M, file_size: 600K}\n"

    def fill(ws):
        for i in range(4):
            write(f"{ws}/{i}", b"x" * (500 << 10))

    with Mount(dir, repo, config=config, options=SHARED) as m:
        for uid in (ANN, BOB):
            assert as_user(uid, lambda: os.mkdir(m / f"staging/{uid}")) == 0
        assert as_user(ANN, lambda: write(m / f"staging/{ANN}/big", b"x" * (700 << 10))) == errno.EFBIG
        assert as_user(ANN, lambda: os.unlink(m / f"staging/{ANN}/big")) == 0
        assert as_user(ANN, lambda: fill(m / f"staging/{ANN}")) == errno.EDQUOT
        assert as_user(BOB, lambda: write(m / f"staging/{BOB}/mine", b"y" * (500 << 10))) == 0
        assert as_user(BOB, lambda: say(m / f"staging/{BOB}/.onward/commit", "fits")) == 0
        assert as_user(ANN, lambda: os.mkdir(m / "staging/third")) == 0
        assert as_user(ANN, lambda: os.mkdir(m / "staging/fourth")) not in (0, 255)
        assert sorted(os.listdir(m / "staging")) == sorted([str(ANN), str(BOB), "third"])


@shared
def test_a_flood_of_names_is_bounded(dir):
    """Empty files, directories and symlinks take inodes of the disk, so they take room of their owner."""
    repo = make_repo(dir + "/r.git", BASE)
    makers = (os.mkdir, lambda p: os.symlink("x", p), lambda p: write(p, ""))
    most = (1 << 20) // 4096

    def flood(ws):
        for i in range(10 * most):
            makers[i % 3](f"{ws}/{i}")

    with Mount(dir, repo, config="limits: {workspace_size: 1M}\n", options=SHARED) as m:
        hers, his = m / "staging/hers", m / "staging/his"
        assert as_user(ANN, lambda: os.mkdir(hers)) == 0
        assert as_user(BOB, lambda: os.mkdir(his)) == 0
        assert as_user(ANN, lambda: flood(hers)) == errno.EDQUOT
        assert os.statvfs(hers).f_ffree == 0 and os.statvfs(his).f_ffree == most
        assert as_user(BOB, lambda: flood(his)) == errno.EDQUOT
        assert as_user(BOB, lambda: run("sh", "-c", f"rm -r '{his}'/[0-9]*")) == 0
        assert os.statvfs(his).f_ffree == most
        assert as_user(BOB, lambda: write(his + "/a.txt", "his\n")) == 0
        assert as_user(BOB, lambda: say(his + "/.onward/commit", "beside a flood")) == 0
        assert len(os.listdir(hers)) == most + len(os.listdir(m / "head/"))
    with Mount(dir, repo, config="limits: {workspace_size: 1M}\n", options=SHARED) as m:
        hers = m / "staging/hers"
        assert os.statvfs(hers).f_ffree == 0
        assert as_user(ANN, lambda: write(hers + "/new", "")) == errno.EDQUOT
        assert as_user(ANN, lambda: os.unlink(hers + "/0" if os.path.islink(hers + "/0") else hers + "/1")) == 0
        assert as_user(ANN, lambda: write(hers + "/new", "")) == 0


def test_two_mounts_share_no_workspace_by_accident(dir):
    repo = make_repo(dir + "/r.git", BASE)
    apart = lambda mount: json.loads(mount.read(".onward/status.json"))["workspaces_apart"]
    with Mount(dir, repo) as m:
        os.mkdir(m / "staging/w")
        write(m / "staging/w/a.txt", "of the first\n")
        assert apart(m) is None
        os.mkdir(dir + "/second")
        p = run(ONWARDFS, "-f", "-o", "state=" + m.state, repo, dir + "/second", check=False)
        assert p.returncode == 1 and len(p.stderr.strip().splitlines()) == 1, p.stderr
        assert "mounted already with this state directory" in p.stderr, p.stderr
        other = Mount(dir, repo, options=VIEW, state=dir + "/state2", name="mnt2")
        with other:
            assert os.listdir(other / "staging") == []
            assert dir + "/state2" in apart(other) and f"mounted on {m.path}" in apart(other), apart(other)
            assert "workspaces-apart" in "".join(other.log)
            os.mkdir(other / "staging/w")
            assert read(other / "staging/w/a.txt") == "one\n"
            write(other / "staging/w/d/b.txt", "of the second\n")
            say(other / "staging/w/.onward/commit", "second")
            say(m / "staging/w/.onward/commit", "first")
        assert git(repo, "show", "main:a.txt") == "of the first\n"
        assert git(repo, "show", "main:d/b.txt") == "of the second\n"
        ro = Mount(dir, repo, options=VIEW + ["-o", "ro"], name="mnt3")
        with ro:
            assert apart(ro) is None
            for f in (lambda: os.mkdir(ro / "staging/x"), lambda: say(ro / "staging/w/.onward/commit", "x")):
                try:
                    f()
                    raise AssertionError("a read-only mount took it")
                except OSError as e:
                    assert e.errno in (errno.EROFS, errno.ENOENT, errno.EACCES), e


@shared
def test_a_user_mounts_for_himself(dir):
    """With fusermount3, which is setuid; others do not see into it, root included."""
    if not os.stat(shutil.which("fusermount3")).st_mode & 0o4000:
        return
    home = tempfile.mkdtemp(prefix="onward-user-")
    tests = os.path.join(home, "tests")
    try:
        shutil.copytree(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), tests)
        shutil.copy(ONWARDFS, home + "/onwardfs")
        run("chown", "-R", f"{NOBODY}:{NOBODY}", home)
        script = f"""
import json, os, signal, sys
sys.path[:0] = ["{tests}/lib", "{tests}/mount"]
from test_staging import *
repo = make_repo("{home}/r.git", BASE)
with Mount("{home}", repo, options=VIEW) as m:
    ws = m / "staging/w"
    os.mkdir(ws)
    write(ws + "/a.txt", "mine\\n")
    say(ws + "/.onward/commit", "as a user")
    assert m.read("head/a.txt") == "mine\\n"
    print("ready", flush=True)
    sys.stdin.readline()
assert git(repo, "log", "-1", "--format=%an") == "nobody\\n"
m = Mount("{home}", repo, options=VIEW + ["-o", "supervise"], expect="worker-died").start()
os.kill(json.loads(m.read(".onward/status.json"))["pid"], signal.SIGKILL)
assert m.read("head/a.txt") == "mine\\n"
m.process.terminate()   # who has not mounted it himself must have it unmounted
m.ended()
assert os.listdir(m.path) == []
print("done", flush=True)
"""
        # As distributions have it: everybody may open /dev/fuse. And no mount of others is kept alive in here
        # (where nothing is shared, as in containers, unmounting elsewhere does not reach this far).
        alone = "umount -a -l -t fuse.onwardfs"
        device = f"mknod -m 666 {home}/fuse c 10 229 && mount --bind {home}/fuse /dev/fuse"
        become = f'exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups "$@"'
        p = subprocess.Popen(["unshare", "-m", "--propagation", "slave", "sh", "-c", f"{alone}; {device} && {become}", "-",
                              "python3", "-c", script],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=home,
                             env={**os.environ, "HOME": home, "TMPDIR": home, "ONWARDFS": home + "/onwardfs"})
        try:
            assert p.stdout.readline() == "ready\n"
            for uid in (BOB, 0):
                seen = run("nsenter", "-t", str(p.pid), "-m", "setpriv", f"--reuid={uid}", "ls", home + "/mnt",
                           check=False)
                assert seen.returncode and "Permission denied" in seen.stderr, seen
        finally:
            out, _ = p.communicate("go\n", timeout=120)
        assert out == "done\n" and p.returncode == 0, out
    finally:
        run("fusermount3", "-uz", home + "/mnt", check=False)
        shutil.rmtree(home)


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

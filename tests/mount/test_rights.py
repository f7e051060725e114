#!/usr/bin/env python3
"""Who may do what, in every view of a mount that several users see: one table, of errno by view, operation and user."""

import errno
import fcntl
import json
import os
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, git, make_repo, write
from test_isolation import ANN, BOB, SHARED, shared
from test_staging import as_user, say

USERS = {"root": 0, "owner": ANN, "other": BOB}     # root has mounted; the workspace and the proposal are the owner's
FS_IOC_GETFLAGS = 0x80086601


# What root, the owner and others get: one word for all of them, or three.
TABLE = """
fixed file: onwardfs(4): "opening for writing, and every change of a name, fails with EROFS for everyone", where
        the kernel checks rights (allow_other, onwardfs(8)) with EACCES for who is not root
    read ok / write EROFS EACCES EACCES / truncate EROFS EACCES EACCES / unlink EROFS EACCES EACCES
    rename EROFS EACCES EACCES / chmod EROFS EPERM EPERM / chown EROFS EPERM EPERM / utime EROFS EACCES EACCES
    link EROFS EPERM EPERM / getxattr ENODATA / setxattr EROFS EACCES EACCES / ioctl ENOTTY
fixed directory: the same
    list ok / create EROFS EACCES EACCES / mkdir EROFS EACCES EACCES / symlink EROFS EACCES EACCES
    mknod EROFS EACCES EACCES / rmdir EROFS EACCES EACCES / rename EROFS EACCES EACCES / chmod EROFS EPERM EPERM
    chown EROFS EPERM EPERM / utime EROFS EACCES EACCES / link EPERM / getxattr ENODATA
    setxattr EROFS EACCES EACCES / ioctl ENOTTY
revision file: its id is in its extended attributes
    fixed file / getxattr ok
revision directory:
    fixed directory / getxattr ok
root: the mount point cannot be moved
    fixed directory / rmdir EBUSY EACCES EACCES / rename EXDEV
staging: everybody may make a workspace there, and nothing else; nobody may remove another's
    fixed directory / create EPERM / mkdir ok / symlink EPERM / mknod EPERM / utime EROFS
    setxattr EROFS EPERM EPERM
workspace: "the owner and root may change it"; what Git cannot keep is refused: onwardfs(4), Staging
    list ok ok EACCES / create ok ok EACCES / mkdir ok ok EACCES / symlink ok ok EACCES / mknod EPERM EPERM EACCES
    rmdir ENOTEMPTY ENOTEMPTY EPERM / rename EPERM / chmod ok ok EPERM / chown EPERM / utime ok ok EACCES
    link EPERM / getxattr ENODATA ENODATA EACCES / setxattr ENOTSUP ENOTSUP EACCES / ioctl ENOTTY ENOTTY EACCES
below it file: others do not come as far
    read ok ok EACCES / write ok ok EACCES / truncate ok ok EACCES / unlink ok ok EACCES / rename ok ok EACCES
    chmod ok ok EACCES / chown EPERM EPERM EACCES / utime ok ok EACCES / link EPERM EPERM EACCES
    getxattr ENODATA ENODATA EACCES / setxattr ENOTSUP ENOTSUP EACCES / ioctl ENOTTY ENOTTY EACCES
below it directory:
    below it file / list ok ok EACCES / create ok ok EACCES / mkdir ok ok EACCES / symlink ok ok EACCES
    mknod EPERM EPERM EACCES / rmdir ENOTEMPTY ENOTEMPTY EACCES
workspace status:
    below it file / write EROFS EACCES EACCES / truncate EROFS EACCES EACCES / unlink EROFS EACCES EACCES
    rename EROFS EACCES EACCES / chmod EROFS EPERM EACCES / chown EROFS EPERM EACCES / utime EROFS EACCES EACCES
    link EROFS EPERM EACCES / setxattr EROFS EACCES EACCES
workspace message: an ordinary file, but its name stays
    below it file / unlink EROFS EACCES EACCES / rename EROFS EACCES EACCES / link EROFS EACCES EACCES
workspace commit: "control files are write-only"; root reads them as empty
    below it file / read ok EACCES EACCES / unlink EROFS EACCES EACCES / rename EROFS EACCES EACCES
    chmod EPERM EPERM EACCES / link EROFS EACCES EACCES / getxattr ENODATA EACCES EACCES / ioctl ENOTTY EACCES EACCES
proposal approve: "an approval is somebody else's"; nobody but the daemon changes who may write
    read ok EACCES EACCES / write ok EACCES ok / truncate ok / unlink EROFS EACCES EACCES / rename EROFS EACCES EACCES
    chmod EPERM / chown EPERM / utime ok / link EROFS EPERM EPERM / getxattr ENODATA EACCES EACCES / setxattr ENOTSUP
    ioctl ENOTTY EACCES EACCES
daemon ctl: the mount's owner's
    fixed file / read ok EACCES EACCES / write EINVAL EACCES EACCES / truncate ok EACCES EACCES / chmod EPERM
    chown EPERM / utime ok EACCES EACCES / getxattr ENODATA EACCES EACCES / setxattr ENOTSUP EACCES EACCES
    ioctl ENOTTY EACCES EACCES
"""

# view: path, rules
VIEWS = {
    "revision file": ("revisions/{id}/f", "revision file"),
    "revision directory": ("revisions/{id}/d", "revision directory"),
    "root": ("", "root"), "site": ("sites/s", "fixed directory"), "site status": ("sites/s/status", "fixed file"),
    "commit": ("commits/{id}", "fixed directory"), "commit message": ("commits/{id}/message", "fixed file"),
    "staging": ("staging", "staging"), "workspace": ("staging/hers", "workspace"),
    "workspace file": ("staging/hers/f", "below it file"),
    "workspace directory": ("staging/hers/d", "below it directory"),
    "workspace status": ("staging/hers/.onward/status", "workspace status"),
    "workspace message": ("staging/hers/.onward/message", "workspace message"),
    "workspace commit": ("staging/hers/.onward/commit", "workspace commit"),
    "proposal": ("proposals/1", "fixed directory"), "proposal diff": ("proposals/1/diff", "fixed file"),
    "proposal approve": ("proposals/1/approve", "proposal approve"), "daemon": (".onward", "fixed directory"),
    "daemon metrics": (".onward/metrics", "fixed file"), "daemon ctl": (".onward/ctl", "daemon ctl"),
}


def rules():
    """name -> operation -> what each user gets, in the order of USERS."""
    all = {}
    for line in TABLE.splitlines():
        if line and not line.startswith(" "):
            now = all[line.split(":")[0]] = {}
        elif line and not line.startswith("        "):
            for item in line.strip().split(" / "):
                if item in all:
                    now.update(all[item])
                    continue
                op, *words = item.split()
                now[op] = words * (3 // len(words))
    return all


def opened(path, flags, f):
    fd = os.open(path, flags)
    try:
        f(fd)
    finally:
        os.close(fd)


def made(path, make, unmake):
    make(path)
    unmake(path)


def moved(path):
    os.rename(path, path + "~")
    os.rename(path + "~", path)


def removed(path):
    """A file, and what was in it is there again."""
    with open(path, "rb") as f:
        data = f.read()
    os.unlink(path)
    with open(path, "wb") as f:
        f.write(data)


FILE = {
    "read": lambda p: opened(p, os.O_RDONLY, lambda fd: os.read(fd, 1)),
    "write": lambda p: opened(p, os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, b"x\n")),
    "truncate": lambda p: os.truncate(p, 1),
    "unlink": removed,
}
DIR = {
    "list": os.listdir,
    "create": lambda p: made(p + "/new", lambda n: os.close(os.open(n, os.O_WRONLY | os.O_CREAT)), os.unlink),
    "mkdir": lambda p: made(p + "/new", os.mkdir, os.rmdir),
    "symlink": lambda p: made(p + "/new", lambda n: os.symlink("x", n), os.unlink),
    "mknod": lambda p: os.mknod(p + "/new", stat.S_IFIFO | 0o600),
    "rmdir": os.rmdir,
}
ANY = {
    "rename": moved,
    "chmod": lambda p: os.chmod(p, stat.S_IMODE(os.stat(p).st_mode)),
    "chown": lambda p: os.chown(p, 61003, -1),
    "utime": os.utime,
    "link": lambda p: os.link(p, p + "-linked"),
    "getxattr": lambda p: os.getxattr(p, "user.git.oid"),
    "setxattr": lambda p: os.setxattr(p, "user.x", b"1"),
    "ioctl": lambda p: opened(p, os.O_RDONLY, lambda fd: fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8))),
}
OPS = {**FILE, **DIR, **ANY}


def try_all(path, ops):
    seen = {}
    for op in ops:
        try:
            OPS[op](path)
            seen[op] = "ok"
        except OSError as e:
            seen[op] = errno.errorcode[e.errno]
    return seen


def as_each(uid, views):
    """What the user gets: view -> operation -> "ok" or errno. `views`: view -> (path, is it a directory)."""
    ours, theirs = os.pipe()

    def child():
        os.close(ours)
        seen = {view: try_all(path, {**(DIR if is_dir else FILE), **ANY}) for view, (path, is_dir) in views.items()}
        os.write(theirs, json.dumps(seen).encode())

    pid = os.fork()
    if pid == 0:
        os._exit(as_user(uid, child) != 0)
    os.close(theirs)
    with os.fdopen(ours) as f:
        text = f.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return json.loads(text)


@shared
def test_user_by_view_by_operation(dir):
    files = {"onward.yaml": "onward: 1\nreview: {approvals: 9}\nsites: [{name: s, source: d, backend: b}]\n",
             "f": "1\n", "d/g": "2\n"}
    repo = make_repo(dir + "/r.git", files)
    id = git(repo, "rev-parse", "main").strip()
    config = f"backends: {{b: {{directory: '{dir}/sites/{{site}}'}}}}\n"
    with Mount(dir, repo, config=config, options=SHARED, expect="command-failed") as m:
        for ws in "hers", "proposed":
            assert as_user(ANN, lambda: os.mkdir(m / f"staging/{ws}")) == 0
            assert as_user(ANN, lambda: write(m / f"staging/{ws}/f", "3\n")) == 0
            assert as_user(ANN, lambda: write(m / f"staging/{ws}/.onward/message", "why\n")) == 0
        assert as_user(ANN, lambda: say(m / "staging/proposed/.onward/commit", "please")) == 0
        expected, wrong = rules(), []
        views = {view: (m / path.format(id=id), "list" in expected[rule]) for view, (path, rule) in VIEWS.items()}
        for i, (user, uid) in enumerate(USERS.items()):
            for view, seen in as_each(uid, views).items():
                for op, got in seen.items():
                    want = expected[VIEWS[view][1]][op][i]
                    if got != want:
                        wrong.append(f"{user}: {op} of {view}: {got}, not {want}")
        assert not wrong, "\n".join(wrong)


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

#!/usr/bin/env python3
"""Compares one revision in a mount with what Git says of it, and fails on the first difference by name.

usage: fidelity.py REPOSITORY REVISION [MOUNT]

Without MOUNT the repository is mounted (read-only) for the time of the comparison. The oracle is
`git ls-tree -r -t -z` and `git cat-file --batch`: kinds, modes, bytes, sizes, link targets, names, and
that nothing else is there. Entries that no filesystem may show are expected to be absent.
"""

import os
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest


class Difference(Exception):
    pass


def visible(path):
    """What DESIGN calls entries that may be shown: every component must be a possible name."""
    return all(c and len(c) <= 255 and c not in (b".", b"..") and c.lower() != b".git"
               for c in path.split(b"/"))


def entries(repo, revision):
    out = subprocess.run(["git", "-C", repo, "ls-tree", "-r", "-t", "-z", revision], check=True,
                         stdout=subprocess.PIPE, env=onwardtest.ENV).stdout
    for record in out.split(b"\0")[:-1]:
        meta, path = record.split(b"\t", 1)
        mode, kind, oid = meta.split()
        yield path, int(mode, 8), kind.decode(), oid


class Objects:
    """git cat-file --batch."""

    def __init__(self, repo):
        self.p = subprocess.Popen(["git", "-C", repo, "cat-file", "--batch"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, env=onwardtest.ENV)

    def blob(self, oid):
        """The bytes, or None where the repository lacks them (a partial clone)."""
        self.p.stdin.write(oid + b"\n")
        self.p.stdin.flush()
        header = self.p.stdout.readline().split()
        if header[1:] == [b"missing"]:
            return None
        data = self.p.stdout.read(int(header[2]))
        self.p.stdout.read(1)
        return data

    def close(self):
        self.p.stdin.close()
        self.p.stdout.close()
        self.p.wait()


def same(path, what, ours, gits):
    if ours != gits:
        raise Difference(f"{os.fsdecode(path)!r}: {what} is {ours!r}, Git says {gits!r}")


def xattr(full, name):
    return os.getxattr(full, name, follow_symlinks=False).decode()


def compare_file(full, path, mode, oid, objects, revision):
    data = objects.blob(oid)
    if data is None:
        try:
            with open(full, "rb") as f:
                f.read()
        except OSError as e:
            return same(path, "errno of a missing object", e.errno, 5)
        raise Difference(f"{os.fsdecode(path)!r}: can be read, but its object is missing")
    st = os.lstat(full)
    if stat.S_ISLNK(mode):
        same(path, "kind", stat.S_IFMT(st.st_mode), stat.S_IFLNK)
        same(path, "link target", os.readlink(full), data)
        return same(path, "size", st.st_size, len(data))
    same(path, "mode", st.st_mode, stat.S_IFREG | (0o555 if mode & 0o111 else 0o444))
    same(path, "size", st.st_size, len(data))
    with open(full, "rb") as f:
        got = f.read()
    if got != data:
        at = next((i for i, (a, b) in enumerate(zip(got, data)) if a != b), min(len(got), len(data)))
        raise Difference(f"{os.fsdecode(path)!r}: content differs from byte {at} on")
    same(path, "user.git.oid", xattr(full, "user.git.oid"), oid.decode())
    same(path, "user.git.revision", xattr(full, "user.git.revision"), revision)


def compare_directory(full, path, kind, oid, revision):
    st = os.lstat(full)
    same(path, "mode", st.st_mode, stat.S_IFDIR | 0o555)
    same(path, "user.git.oid", xattr(full, "user.git.oid"), oid.decode())
    same(path, "user.git.revision", xattr(full, "user.git.revision"), revision)
    if kind == "commit":
        same(path, "list of a submodule", os.listdir(full), [])


def check_names(root, children):
    for path, expected in children.items():
        listed = os.listdir(os.path.join(root, path))
        same(path, "number of names", len(listed), len(set(listed)))
        for name in sorted(set(listed) ^ expected):
            where = "in the mount, not in Git" if name in set(listed) else "in Git, not in the mount"
            raise Difference(f"{os.fsdecode(os.path.join(path, name))!r}: {where}")


def compare(repo, revision, mount):
    """Counts what was compared. Raises Difference."""
    id = onwardtest.git(repo, "rev-parse", revision + "^{commit}").strip()
    when = int(onwardtest.git(repo, "log", "-1", "--format=%ct", id))
    root = os.fsencode(os.path.join(mount, "revisions", id))
    objects, children, count = Objects(repo), {b"": set()}, 0
    for path, mode, kind, oid in entries(repo, id):
        if not visible(path):
            continue
        full = os.path.join(root, path)
        parent, _, name = path.rpartition(b"/")
        children.setdefault(parent, set()).add(name)
        if kind in ("tree", "commit"):
            children.setdefault(path, set())
            compare_directory(full, path, kind, oid, id)
        else:
            compare_file(full, path, mode, oid, objects, id)
        try:
            same(path, "mtime", os.lstat(full).st_mtime_ns, max(when, 1) * 10**9)
        except OSError as e:
            same(path, "errno of lstat", e.errno, 5)
        count += 1
    check_names(root, children)
    return count


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    repo, revision = sys.argv[1:3]
    try:
        if len(sys.argv) == 4:
            count = compare(repo, revision, sys.argv[3])
        else:
            import tempfile
            with tempfile.TemporaryDirectory() as dir:
                with onwardtest.Mount(dir, repo, options=["-o", "ro,noreconcile"],
                                      expect="object|hidden") as m:
                    count = compare(repo, revision, m.path)
    except Difference as d:
        sys.exit(f"different: {d}")
    print(f"{repo} {revision}: {count} entries, no difference")


if __name__ == "__main__":
    main()

"""Where a workspace answers otherwise than the local file system, and why that is right.

Each entry: what it is and why, then the places: a pattern of GROUP/CASE: CALL (the whole of it), what the
local file system answers, what the workspace answers (patterns of the whole). A place that nothing needs is
an error.
"""

import re

ANY = r".*"
TABLE = [
    ("hard links: Git has none", [
        (r"link/link: link a b|link/link-symlink: link l m|link/link-fd: link .*", "0", "EPERM"),
        (r"link/link: stat a", r".* links 2", r".* links 1"),
        (r"link/link(-symlink|-fd)?: ls \.", ANY, ANY),
    ]),
    ("devices, FIFOs and sockets: Git has none", [
        (r"link/mknod-(fifo|char|block|socket): mknod .*|link/bind-socket: bind sock", "0", "EPERM"),
        (r"link/(mknod-(fifo|char|block|socket)|bind-socket): ls \.", r"\S+\? \(2\)", r"\(2\)"),
    ]),
    ("whiteouts: devices by another name, which root could make", [
        (r"rename/whiteout: rename2 .*", "0|EPERM", "EINVAL"),
        (r"rename/whiteout: ls \.", ANY, r"a \(2\)"),
    ]),
    ("extended attributes: Git has none", [
        (r"link/xattr(-set|-set-dir): setxattr .*", "0", "EOPNOTSUPP"),
        (r"link/xattr: removexattr .*", "ENODATA", "EOPNOTSUPP"),
        (r"link/xattr-set: getxattr .*", '"value"', "ENODATA"),
        (r"link/xattr-set(-dir)?: listxattr .*", "9", "0"),
    ]),
    ("other owners: a workspace has one", [
        (r"(attribute/owner-other(-group)?|permission/owner-only): chown a .*", "0", "EPERM"),
        (r"(attribute/owner-other(-group)?|permission/owner-only): stat a", r".* owner \d+:\d+", r".* links 1"),
    ]),
    ("set-id bits: never shown anywhere in the mount, which is nosuid; a new directory does not hand them down", [
        (r"attribute/.*: stat a", r"file [2-7]755 .*", r"file 0755 .*"),
        (r"attribute/.*: stat [ad]", r"dir 2.*", r"dir 0.*"),
    ]),
    ("links of a directory: not counted, as on btrfs: 1 means that nothing follows from it for find(1)", [
        (r"attribute/links-dir: links .*", r"\d+", "1"),
        (r"attribute/pathconf-links: pathconf \. link", r"\d+", "127"),
    ]),
    ("O_TMPFILE: libfuse cannot; programs fall back to a name", [
        (r"open/tmpfile: open .*", "0", "EOPNOTSUPP"),
        (r"open/tmpfile: (write|fstat) .*", ANY, "EBADF"),
        (r"open/tmpfile: (link|cat) .*", ANY, "ENOENT"),
    ]),
    ("collapsing and inserting ranges: the kernel's FUSE refuses them; a clean EOPNOTSUPP", [
        (r"data/fallocate-(collapse|insert): fallocate .*", "0", "EOPNOTSUPP"),
        (r"data/fallocate-(collapse|insert): fcat .*", ANY, r"20480:.*"),
    ]),
    ("holes are not told of: what a mapping has written may not have reached us, and a hole there would lose it", [
        (r"data/seek-sparse: seek .*", r"\d+", r"0|1052672"),
    ]),
    ("the last byte of the largest file: the kernel's FUSE goes further than ext4, and refuses there itself", [
        (r"data/offset-limits: seek 0 9223372036854775807 set", "EINVAL", "9223372036854775807"),
        (r"data/offset-limits: (write 0 x|fstat 0)", ANY, ANY),
    ]),
    ("ctime of a file that is as the base has it: the base's, also while removed, or given the mode it has", [
        (r"unlink/unlink-ctime: fchanged 0|attribute/chmod-times: changed a", "mtime same, ctime later",
         "mtime same, ctime same"),
    ]),
]  # fmt: skip


class Deviations:
    def __init__(self):
        self.places = [(name, [re.compile(p, re.S) for p in place]) for name, places in TABLE for place in places]
        self.used = [0] * len(self.places)

    def allow(self, *answer):
        """Is there a place for this call, local answer and workspace's answer?"""
        for i, (_, patterns) in enumerate(self.places):
            if all(p.fullmatch(a) for p, a in zip(patterns, answer)):
                self.used[i] += 1
                return True
        return False

    def stale(self):
        return [f"{name}: {p[0].pattern}" for (name, p), n in zip(self.places, self.used) if not n]

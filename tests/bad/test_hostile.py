#!/usr/bin/env python3
"""Objects that git would never write, in one revision: what of it can be shown is shown, listing and look-up agree,
and the rest is EIO of that file alone, which the events name."""

import errno
import hashlib
import json
import os
import stat
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, git, make_repo

VIEW = ["-o", "noreconcile", "-o", "ro"]
WIDE, ZEROS = 20000, 16 << 20
DEEP = int(os.environ.get("ONWARD_DEEP", 500))  # 5000 by hand: each level is a file to write


class Writer:
    """Writes loose objects, whatever they hold."""

    def __init__(self, repo):
        self.repo = repo

    def put(self, type, data, header=None, cut=None, id=None, more=b""):
        plain = b"%s %d\0" % (type, len(data)) + data
        id = id or hashlib.sha1(plain).hexdigest()
        if header is not None:
            plain = header + b"\0" + data
        path = f"{self.repo}/objects/{id[:2]}/{id[2:]}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.exists(path):
            return id
        with open(path, "wb") as f:
            f.write((zlib.compress(plain, 9) + more)[:cut])
        return id

    def blob(self, data, **how):
        return self.put(b"blob", data, **how)

    def tree(self, *entries, raw=b"", **how):
        """Of (mode, name, id), in the order given."""
        data = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(id) for mode, name, id in entries)
        return self.put(b"tree", data + raw, **how)


FILE, DIR, LINK = b"100644", b"40000", b"120000"
SHOWN = [b"ok", b"x" * 255, b"esc\x1b[31m", b"new\nline", b"\xff\xfe", b"git~1 ", b"\xe2\x80\x8c", b"-rf", b" "]
HIDDEN = [b".", b"..", b".git", b".GiT", b"a/b", b"/etc/passwd", b"y" * 256, b"z" * 60000, b"../../x", b""]


def names(w):
    ok = w.blob(b"ok")
    return w.tree(*[(FILE, name, ok) for name in sorted(SHOWN + HIDDEN)])


def modes(w):
    ok, empty = w.blob(b"ok"), w.tree()
    return w.tree((b"100644", b"a", ok), (b"100755", b"b", ok), (b"100664", b"c", ok), (b"104755", b"d-suid", ok),
                  (b"140644", b"e-socket", ok), (b"060660", b"f-device", ok), (b"0", b"g-none", ok),
                  (b"777777777777", b"h-huge", ok), (b"40000", b"i-dir", empty), (b"160000", b"j-module", ok),
                  (b"120777", b"k-link", ok))


def twice(w):
    one, two, empty = w.blob(b"one"), w.blob(b"two"), w.tree()
    return w.tree((FILE, b"z", one), (FILE, b"a", one), (FILE, b"a", two), (FILE, b"m", one), (DIR, b"m", empty),
                  (FILE, b"b", two))


def broken(w, bad):
    """Name, mode and id of what must be EIO; the ids are also added to `bad`."""
    made = {
        b"short": w.blob(b"x" * (1 << 20), header=b"blob 10"),
        b"tera": w.blob(b"abc", header=b"blob 1099511627776"),
        b"giga": w.blob(b"abcd", header=b"blob 4294967296"),
        b"minus": w.blob(b"abcde", header=b"blob -1"),
        b"torn": w.blob(os.urandom(3000), cut=700),
        b"empty": w.blob(b"some more", cut=0),
        b"other": w.blob(b"one thing", id="1" * 40),
        b"type": w.blob(b"what type", header=b"blub 9"),
        b"a-tree": w.tree((FILE, b"x", w.blob(b"x"))),
        b"missing": "2" * 40,
        b"tail": w.blob(b"with a tail", header=b"blob 8"),
    }
    bad.update(made.values())
    return w.tree(*[(FILE, name, id) for name, id in sorted(made.items())], (FILE, b"zz-whole", w.blob(b"whole")))


def broken_dirs(w, bad):
    made = {
        b"a-blob": w.blob(b"no tree"),
        b"cut": w.tree(raw=b"100644 name\0shortid"),
        b"no-mode": w.tree(raw=b" name\0" + b"i" * 20),
        b"no-end": w.tree(raw=b"100644 name"),
        b"zeros": w.put(b"tree", bytes(1 << 20)),
        b"missing": "3" * 40,
        b"torn": w.tree(*[(FILE, b"%d" % i, w.blob(b"x")) for i in range(50)], cut=100),
    }
    bad.update(made.values())
    return w.tree(*[(DIR, name, id) for name, id in sorted(made.items())])


def links(w):
    made = {b"abs": b"/etc/passwd", b"up": b"../" * 50 + b"etc/passwd", b"long": b"l" * 8000, b"nul": b"a\0b", b"void": b""}
    return w.tree(*[(LINK, name, w.blob(target)) for name, target in sorted(made.items())])


def deep(w):
    id = w.tree((FILE, b"bottom", w.blob(b"deep")))
    for _ in range(DEEP):
        id = w.tree((DIR, b"d", id))
    return id


def bomb(w):
    """Ten to the tenth files in eleven objects."""
    id = w.blob(b"boom")
    for level in range(10):
        id = w.tree(*[(FILE if level == 0 else DIR, b"%d" % i, id) for i in range(10)])
    return id


def wide(w):
    ok = w.blob(b"ok")
    return w.tree(*[(FILE, b"%07d" % i, ok) for i in range(WIDE)])


def make(repo, bad):
    w = Writer(repo)
    w.put(b"blob", bytes(ZEROS))
    zeros = w.tree((FILE, b"zeros", w.blob(bytes(ZEROS))))
    root = w.tree((DIR, b"bomb", bomb(w)), (DIR, b"broken", broken(w, bad)), (DIR, b"deep", deep(w)),
                  (DIR, b"dirs", broken_dirs(w, bad)), (DIR, b"large", zeros), (DIR, b"links", links(w)),
                  (DIR, b"modes", modes(w)), (DIR, b"names", names(w)), (DIR, b"twice", twice(w)),
                  (DIR, b"wide", wide(w)))
    who = b"A <a@b> 1 +0000"
    commit = w.put(b"commit", b"tree " + root.encode() + b"\nauthor " + who + b"\ncommitter " + who + b"\n\nx\n")
    git(repo, "update-ref", "refs/heads/main", commit)


def content(path):
    with open(path, "rb") as f:
        return f.read()


def gives(error, call, *args):
    try:
        got = call(*args)
    except OSError as e:
        assert e.errno == error, (call, args, e)
        return
    raise AssertionError(f"{call}{args} gave {got!r:.100}")


def listed(dir):
    """Its names, each of which is there when it is looked up."""
    found = os.listdir(dir)
    assert len(set(found)) == len(found), found
    for name in found:
        os.lstat(os.path.join(dir, name))
    return set(found)


def test_hostile_trees(dir):
    repo, bad = make_repo(dir + "/r.git", {"x": "x"}), set()
    make(repo, bad)
    with Mount(dir, repo, options=VIEW, expect="bad-object|hidden-entries|history-index") as m:
        head = os.fsencode(m / "head") + b"/"
        assert listed(head + b"names") == set(SHOWN), listed(head + b"names")
        for name in [b".git", b".GiT", b"y" * 255 + b"y"]:
            gives(errno.ENAMETOOLONG if len(name) > 255 else errno.ENOENT, os.lstat, head + b"names/" + name)
        assert listed(head + b"twice") == {b"a", b"b", b"m", b"z"}
        assert content(head + b"twice/a") == b"one" and content(head + b"twice/m") == b"one"
        for name in listed(head + b"modes"):
            mode = os.lstat(head + b"modes/" + name).st_mode
            assert stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode), (name, oct(mode))
            assert stat.S_ISLNK(mode) or not mode & 0o7222, (name, oct(mode))
        assert {b"e-socket", b"f-device", b"g-none", b"h-huge"}.isdisjoint(listed(head + b"modes"))
        for name in [b"long", b"nul", b"void"]:
            gives(errno.EIO, os.readlink, head + b"links/" + name)
        assert os.readlink(head + b"links/abs") == b"/etc/passwd"


def test_what_is_broken_is_an_error_of_itself_alone(dir):
    repo, bad = make_repo(dir + "/r.git", {"x": "x"}), set()
    make(repo, bad)
    with Mount(dir, repo, options=VIEW[:2], expect="bad-object|hidden-entries|history-index") as m:
        head = os.fsencode(m / "head") + b"/"
        for name in os.listdir(head + b"broken"):
            if name != b"zz-whole":
                gives(errno.EIO, content, head + b"broken/" + name)
        for name in os.listdir(head + b"dirs"):
            gives(errno.EIO, os.listdir, head + b"dirs/" + name)
        assert content(head + b"broken/zz-whole") == b"whole"
        events = [json.loads(line) for line in m.read(".onward/events").splitlines()]
        named = {e["object"] for e in events if e["event"] == "bad-object"}
        assert bad <= named, bad - named
        assert m.metric("onward_object_errors_total") >= len(bad)


def test_sizes_are_no_trouble(dir):
    repo = make_repo(dir + "/r.git", {"x": "x"})
    make(repo, set())
    with Mount(dir, repo, options=VIEW, expect="bad-object|hidden-entries|history-index") as m:
        head = m / "head/"
        assert len(os.listdir(head + "wide")) == WIDE
        assert content(f"{head}wide/{WIDE - 1:07d}") == b"ok"
        assert content(head + "bomb" + "/7" * 10) == b"boom"
        assert os.stat(head + "large/zeros").st_size == ZEROS
        assert content(head + "large/zeros") == bytes(ZEROS)
        fd = os.open(head + "deep", os.O_RDONLY)
        for _ in range(DEEP):
            down = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = down
        assert os.listdir(fd) == ["bottom"]
        os.close(fd)


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

"""The repository that is read: deltas, links, programs, empty and large files, names of any bytes, a submodule."""

import random
import subprocess

from onwardtest import ENV, git, run

START = 1700000000
STEP = 600
FILES = 240
LARGE = 12 << 20    # over what the daemon keeps in memory as a whole
ODD = [b"names/with space", b"names/\xc3\xa9t\xc3\xa9", b"names/\xff\xfe", b"names/new\nline", b"names/quote'\"", b"names/-rf"]


def quoted(path):
    """A path for fast-import, whatever its bytes."""
    return b'"' + b"".join(b"\\%03o" % c for c in path) + b'"'


def body(rng, size):
    lines = []
    while size > 0:
        lines.append(b"%x value %d\n" % (rng.getrandbits(64), rng.randrange(1000)))
        size -= len(lines[-1])
    return lines


class Material:
    def __init__(self, rng):
        self.rng = rng
        names = [b"dir%d/sub%d/file%d" % (i % 6, i % 24, i) for i in range(FILES)] + ODD
        self.files = {n: body(rng, int(min(400_000, rng.lognormvariate(8, 1.6)))) for n in names}
        self.files[b"empty"] = []
        self.files[b"large"] = body(rng, LARGE)
        self.files[b"middle"] = body(rng, LARGE // 8)
        self.deep = b"/".join([b"deep%d" % i for i in range(40)]) + b"/file"
        self.files[self.deep] = body(rng, 1000)

    def file(self, path):
        data, mode = b"".join(self.files[path]), b"100755" if path.endswith(b"7") else b"100644"
        return b"M %s inline %s\ndata %d\n%s\n" % (mode, quoted(path), len(data), data)

    def first(self):
        yield from (self.file(path) for path in sorted(self.files))
        for i in range(10):
            target = b"../dir%d/sub%d" % (i % 6, i)
            yield b"M 120000 inline links/l%d\ndata %d\n%s\n" % (i, len(target), target)
        yield b"M 160000 %s module\n" % (b"1234567890" * 4)

    def change(self, i):
        """Some lines of some files; now and then a large one, a removal, a file that becomes a link."""
        for path in self.rng.sample(sorted(set(self.files) - {b"empty", b"large", b"middle"}), 4):
            lines = self.files[path]
            lines[self.rng.randrange(len(lines))] = b"revision %d\n" % i
            yield self.file(path)
        if i % 20 == 10:
            for path in (b"large", b"middle"):
                self.files[path][i] = b"revision %d\n" % i
                yield self.file(path)
        if i % 7 == 3:
            yield b"M 120000 inline turns\ndata 5\nempty\n"
        elif i % 7 == 4:
            yield b"D turns\n"
        elif i % 7 == 5:
            yield b"M 100644 inline turns/file\ndata 2\nx\n\n"
        elif i % 7 == 6:
            yield b"D turns/file\nM 100644 inline turns\ndata 2\ny\n\n"


def make(path, seed, revisions=60):
    """A bare repository: main, side (off main), fixed branches and tags that are never touched again."""
    m = Material(random.Random(seed))
    run("git", "init", "-q", "--bare", "-b", "main", path)
    p = subprocess.Popen(["git", "-C", path, "fast-import", "--quiet"], stdin=subprocess.PIPE, env=ENV)
    for i in range(revisions):
        p.stdin.write(b"commit refs/heads/main\ncommitter A <a@example.org> %d +0000\ndata 9\nrevision\n\n"
                      % (START + i * STEP))
        p.stdin.writelines(m.first() if i == 0 else m.change(i))
    p.stdin.close()
    assert p.wait() == 0, "git fast-import failed"
    for name, value in (("core.filesRefLockTimeout", "10000"), ("core.packedRefsTimeout", "10000"),
                        ("core.bigFileThreshold", str(LARGE // 2)), ("gc.auto", "0"), ("pack.threads", "1")):
        git(path, "config", name, value)
    git(path, "update-ref", "refs/heads/side", "main~5")
    fixed = {}
    for i, rev in enumerate(git(path, "rev-list", "main").split()[::10]):
        fixed[f"fixed/b{i}"] = rev
        git(path, "update-ref", f"refs/heads/fixed/b{i}", rev)
        git(path, "tag", *(["-a", "-m", "t"] if i % 2 else []), f"fixed-t{i}", rev)
        fixed[f"fixed-t{i}"] = rev
    return fixed

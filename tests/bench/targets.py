"""What is measured side by side: onwardfs, a loop-mounted ext4 image, a plain directory.

Each target can be mounted afresh (`mount`, `unmount`: then nothing of it is in the kernel's caches but
the pages of the file or pack below it, which `preload` brings in), has a `root` to run commands in, and
knows under which `names` the trees lie there:

  tip       the newest revision          near   one some revisions before it
  versions  one path in many revisions   big    a directory with one large file, `blob`
"""

import glob
import os
import shutil
import subprocess

from measure import Daemon
from onwardtest import ENV, Mount, git, run

CHUNK = 1 << 20


def read_through(path):
    with open(path, "rb", buffering=0) as f:
        while f.read(CHUNK):
            pass


def packs(repo):
    """The packs of a repository and of those it borrows from."""
    objects = git(repo, "rev-parse", "--git-path", "objects").strip()
    places = [os.path.join(repo, objects)]
    try:
        with open(os.path.join(places[0], "info/alternates")) as f:
            places += f.read().splitlines()
    except FileNotFoundError:
        pass
    return [p for place in places for p in glob.glob(os.path.join(place, "pack/*.*"))]


class Target:
    cold = True     # a fresh mount shows what cold costs
    daemon = None

    def __init__(self, name):
        self.name, self.names = name, {}

    def preload(self):
        pass

    def mount(self):
        pass

    def unmount(self):
        pass

    def abandon(self):
        """Unmounts whatever happened before."""
        self.unmount()


class Directory(Target):
    """A directory of the local disk, for who may not mount: what it holds is always warm."""

    cold = False

    def __init__(self, name, root):
        super().__init__(name)
        self.root = root


class Image(Target):
    """An ext4 filesystem in a file; filled once, then mounted read-only over a loop device."""

    def __init__(self, name, dir, bytes, files):
        super().__init__(name)
        self.file, self.root = os.path.join(dir, name + ".img"), os.path.join(dir, name)
        self.mounted = False
        os.makedirs(self.root)
        size = bytes + bytes // 4 + files * 8192 + 128 * CHUNK
        run("truncate", "-s", str(size), self.file)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(files * 2 + 1024), "-E", "lazy_itable_init=0,"
            "lazy_journal_init=0", self.file)

    def mount_with(self, options):
        run("mount", "-o", "loop," + options, self.file, self.root)
        self.mounted = True

    def fill(self, checkout):
        """checkout(root): writes the trees, on a mount that can be written."""
        self.mount_with("rw")
        try:
            checkout(self.root)
        finally:
            self.unmount()

    def preload(self):
        read_through(self.file)

    def mount(self):
        self.mount_with("ro")

    def unmount(self):
        if self.mounted:
            run("umount", self.root)
            self.mounted = False

    def abandon(self):
        if self.mounted:
            run("umount", "-l", self.root, check=False)
            self.mounted = False


def may_mount():
    """Whether this user, in this place, may loop-mount: tried, not guessed."""
    if os.geteuid() or not shutil.which("mkfs.ext4"):
        return False
    return subprocess.run(["losetup", "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env=ENV).returncode == 0


class Onward(Target):
    """onwardfs on a repository; the state directory is kept from mount to mount, as an operator's is."""

    def __init__(self, name, dir, repo, options="ro,noreconcile"):
        super().__init__(name)
        self.repo, self.options = repo, options
        self.m = Mount(dir, repo, options=["-o", options], state=os.path.join(dir, "state"), name="mnt-" + name)
        self.root, self.mounted = self.m.path, False
        os.makedirs(self.root)

    def preload(self):
        for pack in packs(self.repo):
            read_through(pack)

    def mount(self):
        self.m.log.clear()
        self.m.start()
        self.mounted = True
        self.daemon = Daemon(self.m.process.pid, self.root)

    def unmount(self):
        if self.mounted:
            self.mounted = False
            self.daemon = None
            self.m.stop()

    def abandon(self):
        if self.mounted:
            self.mounted = False
            run("fusermount3", "-u", "-z", self.root, check=False)
            self.m.process.kill()
            self.m.process.wait()

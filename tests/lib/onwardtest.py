"""What tests with a real mount share: repositories, the daemon, a TAP runner.

Each test is a function test_*(dir) that gets an empty directory of its own. A Mount starts the daemon in
the foreground, waits for its word that the mount answers, and at the end requires that unmounting
succeeds, that the daemon exits 0, and that its log holds no warning or error that was not expected.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

PR_SET_CHILD_SUBREAPER = 36

BUILD = os.environ.get("ONWARD_BUILD") or os.path.join(os.getcwd(), "build")
ONWARDFS = os.environ.get("ONWARDFS") or os.path.join(BUILD, "src/daemon/onwardfs")
ONWARD = os.environ.get("ONWARD") or os.path.join(BUILD, "src/ctl/onward")
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

ENV = {
    **os.environ,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ann Lee",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann Lee",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
    "LC_ALL": "C.UTF-8",
    "LSAN_OPTIONS": "print_suppressions=0:suppressions=" + os.path.join(SOURCE, "tests/lib/lsan.supp"),
}


def run(*args, cwd=None, stdin=None, check=True, env=None, timeout=120):
    """Runs a command; its standard output as text. Raises with its words when it fails."""
    p = subprocess.run(args, cwd=cwd, input=stdin, env={**ENV, **(env or {})}, timeout=timeout,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=not isinstance(stdin, bytes))
    if check and p.returncode:
        raise AssertionError(f"{' '.join(args)}: exit {p.returncode}\n{p.stdout}{p.stderr}")
    return p.stdout if check else p


def adopt():
    """From now on what is left without a parent below us becomes our child, as it becomes systemd's elsewhere."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def adopted():
    """The processes that have come to us."""
    return [int(pid) for task in os.listdir("/proc/self/task") for pid in read(f"/proc/self/task/{task}/children").split()]


def git(repo, *args, **kw):
    return run("git", "-C", repo, *args, **kw)


def fsck(repo, *options, looks=10):
    """`git fsck --strict`. Who packs beside it takes packs away that it has listed: it looks again then, and only then."""
    packs = os.path.join(repo, git(repo, "rev-parse", "--git-path", "objects/pack").strip())
    args = ["git", "-C", repo, "fsck", "--strict", "--no-dangling", *options]
    p = subprocess.run(args, capture_output=True, text=True, errors="replace", env=ENV, timeout=600)
    named = re.findall(r"pack-[0-9a-f]+\.pack", p.stdout + p.stderr)
    if p.returncode and looks > 1 and any(not os.path.exists(os.path.join(packs, n)) for n in named):
        return fsck(repo, *options, looks=looks - 1)
    assert p.returncode == 0, f"{' '.join(args)}: exit {p.returncode}\n{p.stdout}{p.stderr}"


def write(path, text, mode=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb" if isinstance(text, bytes) else "w") as f:
        f.write(text)
    if mode is not None:
        os.chmod(path, mode)


def read(path):
    with open(path) as f:
        return f.read()


def make_repo(path, files=None, bare=True):
    """A repository whose first commit holds `files` (path -> text). Bare ones have a work tree beside them,
    `path`.work, that pushes to them: see commit()."""
    work = path + ".work" if bare else path
    run("git", "init", "-q", "-b", "main", work)
    if files:
        commit(work, files, push=False)
    if bare:
        run("git", "clone", "-q", "--bare", work, path)
        git(path, "symbolic-ref", "HEAD", "refs/heads/main")
        git(work, "remote", "add", "origin", path)
    return path


def commit(work, files, message="change", push=True, date=None):
    """Writes `files` (None: removed) into a work tree, commits, pushes to its origin; the new id."""
    for name, text in files.items():
        full = os.path.join(work, name)
        if text is None:
            os.unlink(full)
        elif isinstance(text, tuple):
            os.makedirs(os.path.dirname(full), exist_ok=True)
            os.symlink(text[0], full)
        else:
            write(full, text)
    git(work, "add", "-A")
    env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {}
    git(work, "commit", "-q", "--allow-empty", "-m", message, env=env)
    if push:
        git(work, "push", "-q", "origin", "HEAD:main")
    return git(work, "rev-parse", "HEAD").strip()


def until(what, probe, seconds=20):
    """Waits until probe() is true; the value. Fails by name."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = probe()
        except FileNotFoundError:
            value = None
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {seconds} s: {what}")
        time.sleep(0.005)


class Mount:
    """A running daemon. `expect`: a pattern of warnings and errors that may be in its log; `env`: more of its
    environment; `before`: a command that starts it (prlimit, setpriv)."""

    def __init__(self, dir, repo, config=None, options=(), expect=None, state=None, name="mnt", env=None, before=()):
        self.dir, self.repo, self.expect = dir, repo, expect
        self.env, self.before = {**ENV, **(env or {})}, list(before)
        self.path = os.path.join(dir, name)
        self.state = state or os.path.join(dir, "state")
        self.options, self.config = list(options), config
        self.log = []

    def start(self):
        os.makedirs(self.path, exist_ok=True)
        args = [ONWARDFS, "-f", "-o", "state=" + self.state, *self.options]
        if self.config is not None:
            write(os.path.join(self.dir, "config.yaml"), self.config)
            args += ["--config", os.path.join(self.dir, "config.yaml")]
        self.process = subprocess.Popen(self.before + args + [self.repo, self.path], stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, env=self.env, text=True, errors="replace")
        self.up = threading.Event()
        self.reader = threading.Thread(target=self.follow, daemon=True)
        self.reader.start()
        self.up.wait(60)
        if self.process.poll() is not None or not any(": mounted " in l for l in self.log):
            self.process.kill()
            self.process.wait()
            run("fusermount3", "-u", "-z", self.path, check=False)
            self.reader.join(5)
            raise AssertionError("onwardfs did not mount:\n" + "".join(self.log))
        return self

    def follow(self):
        for line in self.process.stderr:
            self.log.append(line)
            if ": mounted " in line:
                self.up.set()
        self.up.set()

    def stop(self):
        """Unmounts as a user would and holds the daemon to its promises."""
        try:
            until("nobody works in the mount any more", self.unmount)
        except AssertionError:
            run("fusermount3", "-u", "-z", self.path, check=False)
            self.process.kill()  # or the test would be waited for as long as it lives
            raise
        self.ended()

    def unmount(self):
        """Whether it was not busy: a backend that is at work in the mount makes it so."""
        p = subprocess.run(["fusermount3", "-u", self.path], capture_output=True, text=True, env=ENV)
        assert p.returncode == 0 or "busy" in p.stderr, p.stderr
        return p.returncode == 0

    def ended(self):
        code = self.process.wait(60)
        self.reader.join(5)
        bad = [l for l in self.log if re.search(r"(: (error|warning): |Sanitizer|runtime error|ABRT)", l)
               and "warning: not-durable " not in l     # the directory of a test may be in memory
               and not (self.expect and re.search(self.expect, l))]
        if bad or code:
            raise AssertionError(f"daemon exit {code}, log:\n" + "".join(self.log[-200:]))

    def kill(self):
        """kill -9, and what an operator does next."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        run("fusermount3", "-u", "-z", self.path)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind is None:
            return self.stop()
        run("fusermount3", "-u", "-z", self.path, check=False)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        sys.stderr.write("daemon's log:\n" + "".join(self.log[-60:]))

    def __truediv__(self, name):
        return os.path.join(self.path, name)

    def read(self, name):
        return read(self / name)

    def link(self, name):
        """The revision that a moving link names."""
        return re.search(r"revisions/([0-9a-f]{40})", os.readlink(self / name)).group(1)

    def metric(self, name):
        for line in self.read(".onward/metrics").splitlines():
            if line.startswith(name + " "):
                return int(line.rsplit(" ", 1)[1])
        return 0


def main(module):
    """Runs the test_* functions of a module (or those named on the command line) and prints TAP."""
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f)]
    if len(sys.argv) > 1:
        tests = [(n, f) for n, f in tests if n in sys.argv[1:]]
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("1..0 # SKIP /dev/fuse cannot be opened")
        return
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for i, (name, f) in enumerate(tests, 1):
        dir = tempfile.mkdtemp(prefix="onward-")
        try:
            f(dir)
            print(f"ok {i} - {name}", flush=True)
        except Exception:
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print(f"not ok {i} - {name}", flush=True)
        finally:
            shutil.rmtree(dir, ignore_errors=True)
    sys.exit(1 if failed else 0)

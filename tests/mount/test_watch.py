#!/usr/bin/env python3
"""onward status --watch: on a terminal, without one, and how it ends."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import ENV, ONWARD, Mount, read, run, until
from steer import Fleet, arrive, tip

ROLLOUT = "{waves: [{name: canary, count: 1}, {name: rest}]}"


class Terminal:
    """A watch on a terminal of so many lines and columns; `shown` is what stands on it now."""

    def __init__(self, m, *args, lines=12, columns=60, **env):
        self.master, slave = pty.openpty()
        self.seen = ""
        self.resize(lines, columns)
        self.process = subprocess.Popen([ONWARD, "status", "--watch", *args], stdin=slave, stdout=slave, stderr=slave,
                                        cwd=m.path, env={**ENV, "TERM": "xterm", **env}, start_new_session=True)
        os.close(slave)

    def resize(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.seen += os.read(self.master, 65536).decode()
            except OSError:
                return self.seen
        return self.seen

    def shown(self):
        """The lines of the last picture that is whole."""
        pictures = [p for p in self.read().split("\033[H") if "\033[J" in p]
        text = re.sub("\033\\[[0-9;?]*[a-zA-Z]", "", pictures[-1].split("\033[J")[0]) if pictures else ""
        return text.replace("\r", "").splitlines()

    def end(self):
        code = self.process.wait(10)
        self.read()
        os.close(self.master)
        return code


def test_a_terminal_is_redrawn(dir):
    f = Fleet(dir, ROLLOUT, sites=20)
    with Mount(dir, f.repo, config=f.config) as m:
        arrive(m, f)
        t = Terminal(m, lines=12, columns=50)
        until("all are in sync", lambda: t.shown()[:1] == ["20 sites: 20 in-sync"])
        assert "s01" not in "".join(t.shown()), t.shown()       # they do not all fit
        f.steer("apply", "wait")
        f.change("2\n")
        until("the canary moves", lambda: any("s01" in l and "migrating" in l for l in t.shown()))
        picture = t.shown()
        assert len(picture) <= 11 and max(map(len, picture)) <= 50, picture
        assert "1 migrating" in picture[0] and "19 pending" in picture[0], picture
        assert any(l.startswith("# rollout ") for l in picture) and "more lines" in picture[-1], picture
        t.resize(60, 100)
        os.kill(t.process.pid, signal.SIGWINCH)
        until("there is room for all", lambda: any(l.startswith("s20 ") for l in t.shown()))
        assert "\033[34m" in t.seen and "\033[?25l" in t.seen
        f.steer("apply", None)
        arrive(m, f)
        until("all are in sync again", lambda: t.shown()[:1] == ["20 sites: 20 in-sync"])
        os.kill(t.process.pid, signal.SIGINT)
        assert t.end() == 0 and t.seen.endswith("\033[?25h"), t.seen[-100:]


def test_one_site_without_colours(dir):
    f = Fleet(dir, ROLLOUT, sites=2)
    with Mount(dir, f.repo, config=f.config) as m:
        t = Terminal(m, "s02", NO_COLOR="1")
        until("it is in sync", lambda: "state: in-sync" in t.shown())
        new = f.change("2\n")
        until("it moves", lambda: f"deployed: {new}" in t.shown())
        assert "\033[3" not in t.seen
        os.kill(t.process.pid, signal.SIGTERM)
        assert t.end() == 0


def watching(m, dir):
    """A watch that writes to dir/out and dir/err."""
    with open(dir + "/out", "w") as out, open(dir + "/err", "w") as err:
        watch = subprocess.Popen([ONWARD, "-C", m.path, "status", "--watch"], cwd="/", env=ENV, stdout=out, stderr=err)
    until("it has begun", lambda: read(dir + "/out").startswith("SITE "))
    return watch


def test_it_keeps_nobody_from_unmounting_and_ends_with_the_mount(dir):
    f = Fleet(dir, ROLLOUT, sites=2)
    m = Mount(dir, f.repo, config=f.config).start()
    arrive(m, f)
    watch = watching(m, dir)
    until("nothing holds it", lambda: run("fusermount3", "-u", m.path, check=False).returncode == 0)
    m.ended()
    assert watch.wait(10) == 1 and "unmounted" in read(dir + "/err"), read(dir + "/err")


def test_without_a_terminal_changes_are_lines(dir):
    f = Fleet(dir, ROLLOUT, sites=3)
    with Mount(dir, f.repo, config=f.config) as m:
        arrive(m, f)
        old = tip(f)[:12]
        watch = watching(m, dir)
        table = read(dir + "/out")
        assert table.count("in-sync") == 3, table
        f.steer("apply", "wait")
        new = f.change("2\n")[:12]
        until("it is told", lambda: f"s03  in-sync -> pending  {old} -> {new}\n" in read(dir + "/out"))
        assert f"# rollout {new}: 0 of 3 sites have arrived\n" in read(dir + "/out"), read(dir + "/out")
        f.steer("apply", None)
        until("the end is told", lambda: re.search(f"s03  \\S+ -> in-sync  {new}", read(dir + "/out")))
        text = read(dir + "/out").removeprefix(table)
        assert "SITE" not in text and "\033" not in text, text
        watch.terminate()
        assert watch.wait(10) == 0


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

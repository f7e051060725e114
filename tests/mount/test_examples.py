#!/usr/bin/env python3
"""The example backends as an operator would start from them, each on a real mount."""

import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import ENV, SOURCE, Mount, commit, make_repo, read, until, write
from test_deploy import in_sync, state

EXAMPLES = SOURCE + "/examples/backends"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def fleet(files, **entry):
    """A repository with the site hub, which takes the directory hub and is healed."""
    more = "".join(f", {k}: {v}" for k, v in entry.items())
    return {"onward.yaml": "onward: 1\nsites:\n  - {name: hub, source: hub, team: ops, backend: example, "
                           f"self_heal: true{more}}}\n",
            **{"hub/" + name: text for name, text in files.items()}}


def backend(words, **keys):
    keys = {"timeout": "60s", "retry": "{limit: 3, first: 20ms}", **keys}
    return f"backends:\n  example: {{{words}, " + ", ".join(f"{k}: {v}" for k, v in keys.items()) + "}\n"


def log_of(m):
    newest = max(map(int, os.listdir(m / "sites/hub/history")))
    return m.read(f"sites/hub/history/{newest}/log")


def test_apply_sh(dir):
    """It applies, says that the site is well, and sees and mends what somebody changed."""
    repo = make_repo(dir + "/r.git", {**fleet({"app.conf": "1\n"}, include="[base]"), "base/all": "b\n"})
    config = backend(f"exec: [{EXAMPLES}/apply.sh, {dir}/to, base]", observe_every="200ms")
    current = dir + "/to/hub/current"
    with Mount(dir, repo, config=config) as m:
        until("hub arrives", lambda: in_sync(m, "hub"))
        assert read(current + "/app.conf") == "1\n" and read(current + "/base/all") == "b\n"
        write(current + "/app.conf", "tampered\n")
        until("it is mended", lambda: read(current + "/app.conf") == "1\n")
        until("and told", lambda: in_sync(m, "hub"))
        new = commit(repo + ".work", {"hub/app.conf": "2\n"})
        until("it goes on", lambda: in_sync(m, "hub", new))
        assert read(current + "/app.conf") == "2\n"


def test_ansible(dir):
    if not shutil.which("ansible-playbook", path=SYSTEM_PATH):
        return print("# skipped: there is no ansible-playbook (apt-get install ansible-core)")
    # What a repository says about Ansible itself must not matter: this would fail every task.
    files = {"app.conf": "1\n", "ansible.cfg": "[defaults]\nlibrary = .\nstdout_callback = nonsense\n"}
    repo = make_repo(dir + "/r.git", fleet(files))
    config = backend(f"exec: [{EXAMPLES}/ansible/backend, {dir}/to]", observe_every="500ms")
    with Mount(dir, repo, config=config) as m:
        first = m.link("head")
        until("hub arrives", lambda: in_sync(m, "hub"), 60)
        assert read(dir + "/to/hub/app.conf") == "1\n" and read(dir + "/to/hub.revision") == first + "\n"
        assert "changed=" in log_of(m)
        write(dir + "/to/hub/app.conf", "tampered\n")
        until("it is mended", lambda: read(dir + "/to/hub/app.conf") == "1\n", 60)
        until("and told", lambda: in_sync(m, "hub"), 60)


def test_systemd(dir):
    """With --dry-run: what systemctl would be told is in the log."""
    unit = "[Service]\nExecStart=/bin/sleep {}\n"
    repo = make_repo(dir + "/r.git", fleet({"a.service": unit.format(1), "b.service": unit.format(1), "README": "x"}))
    config = backend(f"exec: [{EXAMPLES}/systemd/backend, --dry-run, {dir}/units]", observe_every="200ms")
    with Mount(dir, repo, config=config, expect="attempt|stalled") as m:
        until("hub arrives", lambda: in_sync(m, "hub"))
        assert sorted(n for n in os.listdir(dir + "/units") if n[0] != ".") == ["a.service", "b.service"]
        assert "would run: systemctl daemon-reload\n" in log_of(m)
        new = commit(repo + ".work", {"hub/a.service": unit.format(2), "hub/b.service": None})
        until("it goes on", lambda: in_sync(m, "hub", new))
        told = [line for line in log_of(m).splitlines() if "is-active" not in line]
        assert told == ["would run: systemctl " + words for words in
                        ("disable --now b.service", "daemon-reload", "reload-or-restart a.service")], told
        assert sorted(n for n in os.listdir(dir + "/units") if n[0] != ".") == ["a.service"]
        write(dir + "/units/a.service", "tampered\n")
        until("it is mended", lambda: read(dir + "/units/a.service") == unit.format(2))
        write(dir + "/units/c.service", "of somebody else\n")
        commit(repo + ".work", {"hub/c.service": unit.format(3)})
        until("what is there is not replaced", lambda: state(m, "hub")["state"] == "stalled")
        assert "not of this site" in state(m, "hub")["message"]


class Receiver:
    """The example receiver, with a command that notes what it was asked and leaves `exit` as its status."""

    def __init__(self, dir):
        self.dir, self.port = dir, "0"
        write(dir + "/key", "s3cret\n", 0o600)
        write(dir + "/hook.key", "s3cret\n", 0o600)
        write(dir + "/exit", "0")
        write(dir + "/apply", f"#!/bin/sh\ncat >>{dir}/asked\necho >>{dir}/asked\necho done by hook\n"
                              f"exit $(cat {dir}/exit)\n", 0o755)

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, EXAMPLES + "/webhook/receiver.py", "--secret", self.dir + "/hook.key",
             "--state", self.dir + "/hook", "--listen", "127.0.0.1:" + self.port, self.dir + "/apply"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENV)
        self.port = re.search(r":(\d+)$", self.process.stdout.readline().strip()).group(1)
        return self

    def __exit__(self, *args):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def asked(self):
        return [json.loads(line) for line in read(self.dir + "/asked").splitlines()]


def test_webhook(dir):
    """Signed, done once for a generation, later when it says so or is away, and only with the right secret."""
    repo = make_repo(dir + "/r.git", fleet({"app.conf": "1\n"}))
    with Receiver(dir) as hook:
        url = f"http://127.0.0.1:{hook.port}/{{site}}"
        config = backend(f'http: {{url: "{url}", secret_file: {dir}/key}}',
                         retry="{limit: 2, first: 20ms, longest: 100ms}")
        with Mount(dir, repo, config=config, expect="attempt|failed|later") as m:
            until("hub arrives", lambda: in_sync(m, "hub"))
            assert [(a["verb"], a["site"], a["to"]) for a in hook.asked()] == [("apply", "hub", m.link("head"))]
            assert log_of(m) == "done by hook\n\n"
            write(dir + "/exit", "75")
            new = commit(repo + ".work", {"hub/app.conf": "2\n"})
            until("it waits", lambda: any(b["kind"] == "unreachable" for b in state(m, "hub")["blocked_by"]))
            write(dir + "/exit", "0")
            until("and arrives", lambda: in_sync(m, "hub", new))
            hook.__exit__()
            new = commit(repo + ".work", {"hub/app.conf": "3\n"})
            until("nobody is there", lambda: "refused" in str(state(m, "hub")["blocked_by"]).lower()
                  or "connect" in str(state(m, "hub")["blocked_by"]).lower())
            hook.__enter__()
            until("it is there again", lambda: in_sync(m, "hub", new))
            write(dir + "/exit", "1")
            commit(repo + ".work", {"hub/app.conf": "4\n"})
            until("a failure is one", lambda: state(m, "hub")["state"] == "failed")
            assert "status 500: done by hook" in state(m, "hub")["message"], state(m, "hub")
            write(dir + "/key", "other\n")
            commit(repo + ".work", {"hub/app.conf": "5\n"})
            until("it is refused", lambda: "status 403" in str(state(m, "hub")["message"]))
            assert state(m, "hub")["state"] == "failed" and state(m, "hub")["attempt"] == 1, state(m, "hub")


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

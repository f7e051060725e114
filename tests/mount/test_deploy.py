#!/usr/bin/env python3
"""Sites through a real mount: a commit moves exactly the sites that it touches, and every step is told."""

import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, commit, git, make_repo, read, run, until, write
from test_staging import say
from test_views import fails

# One wave: sites move as they can.
DECLARATION = """onward: 1
rollout: {max_failures: 9, waves: [{name: all}]}
sites:
  - discover: stores/*
    include: [base]
    team: retail
    backend: files
  - name: hub
    source: hub
    team: platform
    backend: shell
"""
TREE = {"onward.yaml": DECLARATION, "base/common.conf": "c=1\n", "stores/s1/site.conf": "a\n",
        "stores/s2/site.conf": "b\n", "hub/hub.conf": "h\n", "unrelated": "x\n"}


def config(dir, script="exit 0", **more):
    """A host's configuration with a directory backend and a shell backend that runs `script` to apply."""
    write(dir + "/backend.sh", "#!/bin/sh\n[ $1 = apply ] || exit 64\n" + script + "\n", 0o755)
    extra = "".join(f", {k}: {v}" for k, v in more.items())
    return (f'backends:\n  files: {{directory: "{dir}/sites/{{site}}", keep: 2}}\n'
            f'  shell: {{exec: [{dir}/backend.sh], timeout: 20s{extra}}}\n')


def state(m, site):
    return json.loads(m.read(f"sites/{site}/status.json"))


def in_sync(m, site, revision=None):
    s = state(m, site)
    return s["state"] == "in-sync" and (revision is None or s["deployed"] == revision)


def records(m, site):
    """The newest record of each generation, oldest first."""
    numbers = sorted(map(int, os.listdir(m / f"sites/{site}/history")))
    return [json.loads(m.read(f"sites/{site}/history/{n}/record.json")) for n in numbers]


def test_all_sites_arrive_and_say_what_they_run(dir):
    repo = make_repo(dir + "/r.git", TREE)
    first = git(repo, "rev-parse", "main").strip()
    with Mount(dir, repo, config=config(dir, "echo hello $ONWARD_SITE")) as m:
        assert sorted(os.listdir(m / "sites")) == ["hub", "s1", "s2"]
        assert sorted(os.listdir(m / "teams")) == ["platform", "retail"]
        assert os.readlink(m / "teams/retail/s1") == "../../sites/s1"
        for site in ("hub", "s1", "s2"):
            until(site + " is in sync", lambda: in_sync(m, site, first))
        assert os.readlink(m / "sites/s1/desired") == f"../../revisions/{first}/stores/s1"
        assert os.readlink(m / "sites/s1/deployed") == f"../../revisions/{first}/stores/s1"
        assert not os.path.lexists(m / "sites/s1/previous")
        assert read(dir + "/sites/s1/current/stores/s1/site.conf") == "a\n"
        assert read(dir + "/sites/s1/current/base/common.conf") == "c=1\n"
        assert not os.path.exists(dir + "/sites/s1/current/stores/s2")
        assert os.readlink(dir + "/sites/s1/current") == first
        run("diff", "-r", m / "sites/s1/deployed/", m / "sites/s1/desired/")
        assert m.read("sites/hub/history/1/log") == "hello hub\n"
        r = records(m, "hub")
        assert len(r) == 1 and r[0]["kind"] == "deployed" and r[0]["to"] == first, r
        lines = m.read("fleet").splitlines()
        assert lines[0].split() == ["SITE", "TEAM", "STATE", "DEPLOYED", "DESIRED", "SINCE"]
        assert lines[1].split()[:4] == ["hub", "platform", "in-sync", first[:12]], lines


def test_a_commit_moves_what_it_touches_and_nothing_else(dir):
    repo = make_repo(dir + "/r.git", TREE)
    first = git(repo, "rev-parse", "main").strip()
    with Mount(dir, repo, config=config(dir)) as m:
        for site in ("hub", "s1", "s2"):
            until(site + " is in sync", lambda: in_sync(m, site, first))
        before = {s: (m.read(f"sites/{s}/status"), os.listdir(m / f"sites/{s}/history")) for s in ("hub", "s2")}
        os.mkdir(m / "staging/w")
        write(m / "staging/w/stores/s1/site.conf", "changed\n")
        say(m / "staging/w/.onward/commit", "change one store")
        second = m.link("head")
        until("s1 moves", lambda: in_sync(m, "s1", second))
        assert m.link("sites/s1/previous") == first
        assert read(dir + "/sites/s1/current/stores/s1/site.conf") == "changed\n"
        third = commit_unrelated(m, repo)
        assert m.link("head") == third
        for s, was in before.items():
            assert (m.read(f"sites/{s}/status"), os.listdir(m / f"sites/{s}/history")) == was, s
        assert m.link("sites/s1/desired") == second and m.link("sites/s2/desired") == first
        write(m / "staging/w/base/common.conf", "c=2\n")
        say(m / "staging/w/.onward/commit", "change what stores share")
        for s in ("s1", "s2"):
            until(s + " moves", lambda: in_sync(m, s, m.link("head")))
        assert m.link("sites/hub/deployed") == first
        assert sorted(os.listdir(dir + "/sites/s1")) .count("current") == 1
        assert len([n for n in os.listdir(dir + "/sites/s1") if len(n) == 40]) == 2


def commit_unrelated(m, repo):
    write(m / "staging/w/unrelated", "y\n")
    say(m / "staging/w/.onward/commit", "nothing that a site takes")
    return git(repo, "rev-parse", "main").strip()


def test_desired_is_the_revision_that_changed_the_inputs(dir):
    repo = make_repo(dir + "/r.git", TREE)
    ids = [commit(repo + ".work", files) for files in
           ({"hub/hub.conf": "2\n"}, {"stores/s1/site.conf": "2\n"}, {"unrelated": "1"}, {"unrelated": "2"})]
    with Mount(dir, repo, config=config(dir), options=["-o", "noreconcile"]) as m:
        assert m.link("sites/hub/desired") == ids[0]
        assert m.link("sites/s1/desired") == ids[1]
        assert m.link("sites/s2/desired") == git(repo, "rev-parse", "main~4").strip()
        later = commit(repo + ".work", {"hub/hub.conf": "3\n"})
        commit(repo + ".work", {"unrelated": "3"})
        until("hub's desired moves", lambda: m.link("sites/hub/desired") == later)
        assert m.link("sites/s1/desired") == ids[1]
        assert not os.path.lexists(m / "sites/hub/deployed")
        assert state(m, "hub")["state"] == "unknown", state(m, "hub")


def test_migrating_shows_where_it_is_going(dir):
    repo = make_repo(dir + "/r.git", TREE)
    first = git(repo, "rev-parse", "main").strip()
    script = f'[ ! -e {dir}/hold ] || while [ -e {dir}/hold ]; do sleep 0.02; done'
    with Mount(dir, repo, config=config(dir, script)) as m:
        until("hub is in sync", lambda: in_sync(m, "hub", first))
        write(dir + "/hold", "")
        second = commit(repo + ".work", {"hub/hub.conf": "new\n"})
        until("hub migrates", lambda: state(m, "hub")["state"] == "migrating")
        assert m.link("sites/hub/migrating/from") == first
        assert m.link("sites/hub/migrating/to") == second
        assert "+new" in m.read("sites/hub/migrating/diff") and "unrelated" not in m.read("sites/hub/migrating/diff")
        assert m.read("sites/hub/migrating/step") == "apply\n"
        assert m.read("sites/hub/migrating/attempt") == "1\n"
        assert m.link("sites/hub/deployed") == first
        assert "migrating" in m.read("fleet")
        os.unlink(dir + "/hold")
        until("hub arrives", lambda: in_sync(m, "hub", second))
        assert not os.path.exists(m / "sites/hub/migrating")


def test_failure_retry_and_fix(dir):
    repo = make_repo(dir + "/r.git", TREE)
    script = 'echo "tried $ONWARD_ATTEMPT" ; grep -q good hub.conf || { echo no good >&2; exit 3; }'
    retry = "{limit: 3, first: 20ms, factor: 2, longest: 1s}"
    with Mount(dir, repo, config=config(dir, script, retry=retry), expect="attempt|failed") as m:
        until("hub fails", lambda: state(m, "hub")["state"] == "failed")
        s = state(m, "hub")
        assert s["attempt"] == 3 and "no good" in s["message"], s
        assert not os.path.lexists(m / "sites/hub/deployed")
        assert "no good" in m.read("sites/hub/history/1/log")
        first = records(m, "hub")[-1]
        assert first["kind"] == "failed" and first["exit"] == 3 and first["attempt"] == 3, first
        write(dir + "/backend.sh", "#!/bin/sh\nexit 0\n", 0o755)
        say(m / ".onward/ctl", "retry hub")
        until("retry helps", lambda: in_sync(m, "hub"))
        assert "done" in m.read(".onward/outcome")
        fails(2, say, m / ".onward/ctl", "retry nowhere")
        assert "nowhere" in m.read(".onward/outcome")
        fails(22, say, m / ".onward/ctl", "dance hub")
        write(dir + "/backend.sh", "#!/bin/sh\n" + script + "\n", 0o755)
        bad = commit(repo + ".work", {"hub/hub.conf": "bad again\n"})
        until("hub tries", lambda: state(m, "hub")["state"] in ("migrating", "failed") and
              state(m, "hub")["desired"] == bad)
        good = commit(repo + ".work", {"hub/hub.conf": "good\n"})
        until("the fix takes over", lambda: in_sync(m, "hub", good))
        generations = [r["generation"] for r in records(m, "hub")]
        assert generations == sorted(set(generations)), generations


def test_stalled_and_later(dir):
    repo = make_repo(dir + "/r.git", TREE)
    with Mount(dir, repo, config=config(dir, "exit 78"), expect="attempt|failed|stalled") as m:
        until("78 stalls", lambda: state(m, "hub")["state"] == "stalled")
        assert state(m, "hub")["attempt"] == 1
    later = f'[ -e {dir}/ready ] || {{ touch {dir}/asked; exit 75; }}'
    with Mount(dir, repo, config=config(dir, later, retry="{limit: 2, first: 20ms, longest: 40ms}"),
               expect="attempt|failed|later") as m:
        commit(repo + ".work", {"hub/hub.conf": "again\n"})
        until("it was asked", lambda: os.path.exists(dir + "/asked"))
        until("75 is tried again", lambda: state(m, "hub")["attempt"] > 1)
        write(dir + "/ready", "")
        until("then it is done", lambda: in_sync(m, "hub"))


def test_timeouts_end_what_hangs(dir):
    repo = make_repo(dir + "/r.git", TREE)
    conf = config(dir, f"echo $$ > {dir}/pid; sleep 600", retry="{limit: 1}").replace("20s", "300ms")
    with Mount(dir, repo, config=conf, expect="attempt|failed|timeout") as m:
        until("the timeout is a failure", lambda: state(m, "hub")["state"] == "failed")
        assert "within 300ms" in state(m, "hub")["message"], state(m, "hub")
        until("the process is gone", lambda: not os.path.exists(f"/proc/{read(dir + '/pid').strip()}"))
        for s in ("s1", "s2"):
            assert in_sync(m, s)


def test_what_a_command_does_harms_nobody_else(dir):
    """P10, P14: each site's command misbehaves in its own way, all of them at once."""
    ends = {"flood": "within 2s", "hang": "within 2s", "die": "SIGKILL", "close": "exit status 3", "away": None,
            "leave": None}
    sites = "".join(f"  - {{name: {s}, source: hub, team: platform, backend: shell}}\n" for s in ends)
    repo = make_repo(dir + "/r.git", {**TREE, "onward.yaml": DECLARATION.replace("max_failures: 9", "max_failures: 99")
                                      + sites})
    script = f"""case $ONWARD_SITE in
        flood) yes ;;
        hang) sleep 600 ;;
        die) kill -KILL $$ ;;
        close) exec <&- >&- 2>&-; exit 3 ;;
        away) setsid sh -c 'echo $$ >{dir}/away; while sleep 0.01; do echo still here; done' &
              until [ -s {dir}/away ]; do sleep 0.01; done ;;
        leave) sleep 600 & echo $! >{dir}/leave ;;
    esac"""
    conf = config(dir, script, retry="{limit: 1}", concurrency=9).replace("20s", "2s")
    with Mount(dir, repo, config=conf, expect="attempt|failed|timeout") as m:
        for s in ("hub", "s1", "s2"):
            until(s + " is in sync meanwhile", lambda: in_sync(m, s))
        for s, message in ends.items():
            if message is None:
                until(s + " is done: its command said so", lambda: in_sync(m, s))
            else:
                until(s + " has failed", lambda: state(m, s)["state"] == "failed")
                assert message in state(m, s)["message"], state(m, s)
        assert os.stat(m / "sites/flood/history/1/log").st_size < 1 << 21
        until("what was left is gone", lambda: not os.path.exists(f"/proc/{read(dir + '/leave').strip()}"))
        commit(repo + ".work", {"stores/s1/site.conf": "2\n"})
        until("s1 goes on", lambda: in_sync(m, "s1", m.link("head")))
    away = int(until("it is known who got away", lambda: read(dir + "/away").strip()))
    if os.path.exists(f"/proc/{away}"):
        os.kill(away, 9)


def test_pin_suspend_and_depends_on(dir):
    repo = make_repo(dir + "/r.git", TREE)
    work = repo + ".work"
    old = git(repo, "rev-parse", "main").strip()
    git(repo, "tag", "v1")
    new = commit(work, {"stores/s1/site.conf": "2\n", "stores/s2/site.conf": "2\n", "hub/hub.conf": "2\n"})
    steer = DECLARATION + ("  - {name: s1, pin: v1}\n  - {name: s2, suspend: true}\n"
                           "  - {name: hub, depends_on: [s1]}\n")
    head = commit(work, {"onward.yaml": steer})
    with Mount(dir, repo, config=config(dir)) as m:
        until("the pin holds", lambda: in_sync(m, "s1", old))
        until("the dependent follows", lambda: in_sync(m, "hub"))
        s = state(m, "s2")
        assert s["state"] == "suspended" and s["blocked_by"][0]["kind"] == "suspend", s
        assert not os.path.exists(dir + "/sites/s2/current")
        commit(work, {"onward.yaml": DECLARATION})
        until("s1 goes on", lambda: in_sync(m, "s1", new))
        until("s2 goes on", lambda: in_sync(m, "s2", new))


def test_what_somebody_changed_is_told_and_healed(dir):
    """P10: of one site; another beside it is not declared to be healed, and is left as it is."""
    healing = DECLARATION + "  - {name: s1, self_heal: true}\n"
    repo = make_repo(dir + "/r.git", {**TREE, "onward.yaml": healing})
    conf = config(dir).replace("keep: 2", "keep: 2, observe_every: 200ms")
    with Mount(dir, repo, config=conf) as m:
        for site in ("s1", "s2"):
            until(site + " is in sync", lambda: in_sync(m, site))
            write(f"{dir}/sites/{site}/current/base/common.conf", "tampered\n")
        until("s1 is healed", lambda: read(f"{dir}/sites/s1/current/base/common.conf") == "c=1\n")
        until("s1 says so", lambda: in_sync(m, "s1"))
        assert [r["kind"] for r in records(m, "s1")][-1] == "healed"
        until("s2 has drifted", lambda: state(m, "s2")["state"] == "drifted")
        assert state(m, "s2")["message"] == "1 differs: base/common.conf (content)", state(m, "s2")
        assert read(f"{dir}/sites/s2/current/base/common.conf") == "tampered\n"
        id = git(repo, "rev-parse", "main").strip()
        assert m.metric(f'onward_site_info{{site="s2",team="retail",deployed="{id}",desired="{id}"}}') == 1
        drift = m.read("sites/s2/drift")
        assert drift.startswith("content base/common.conf\ndiff --git ") and drift.endswith("\n-c=1\n+tampered\n"), drift
        say(m / ".onward/ctl", "retry s2")
        until("s2 is healed when asked", lambda: in_sync(m, "s2"))
        assert read(f"{dir}/sites/s2/current/base/common.conf") == "c=1\n"


def test_a_wrong_declaration_moves_nothing_and_says_so(dir):
    repo = make_repo(dir + "/r.git", TREE)
    first = git(repo, "rev-parse", "main").strip()
    with Mount(dir, repo, config=config(dir), expect="declaration") as m:
        until("hub is in sync", lambda: in_sync(m, "hub", first))
        bad = commit(repo + ".work", {"onward.yaml": DECLARATION + "  - {nam: x}\n", "hub/hub.conf": "2\n"})
        until("head moves", lambda: m.link("head") == bad)
        until("it is told", lambda: "onward.yaml:12:" in m.read("fleet"))
        commit(repo + ".work", {"onward.yaml": DECLARATION + "  - {name: a b}\n" * 30})
        notes = until("more is wrong", lambda: (lambda text: "# … and 10 more\n" in text and text)(m.read("fleet")))
        notes = [l for l in notes.splitlines() if l.startswith("#")][1:]
        assert notes[0].startswith("# onward.yaml:13:") and notes[18].startswith("# onward.yaml:31:"), notes
        assert len(notes) == 20, notes
        problem = json.loads(m.read(".onward/status.json"))["problem"]
        assert problem.startswith("onward.yaml:12:") and problem.endswith(" (and 29 more)"), problem
        assert "onward.yaml:13" not in m.read("sites/hub/status")
        commit(repo + ".work", {"onward.yaml": DECLARATION + "  - {name: a b}\n"})
        until("less is wrong", lambda: m.read("fleet").count("# onward.yaml") == 1)
        assert m.link("sites/hub/deployed") == first
        assert sorted(os.listdir(m / "sites")) == ["hub", "s1", "s2"]
        assert "declaration" in m.read("sites/hub/status")
        commit(repo + ".work", {"onward.yaml": DECLARATION})
        until("the fix moves it", lambda: in_sync(m, "hub", bad))
        assert "onward.yaml" not in m.read("fleet")


def test_a_rewritten_mainline_moves_nothing(dir):
    repo = make_repo(dir + "/r.git", TREE)
    work = repo + ".work"
    old = commit(work, {"hub/hub.conf": "2\n"})
    with Mount(dir, repo, config=config(dir), expect="rewritten") as m:
        until("hub is in sync", lambda: in_sync(m, "hub", old))
        git(work, "reset", "-q", "--hard", "HEAD~1")
        commit(work, {"hub/hub.conf": "forced\n"}, push=False)
        git(work, "push", "-q", "-f", "origin", "HEAD:main")
        until("it is told", lambda: any(b["kind"] == "rewritten" for b in state(m, "hub")["blocked_by"]))
        assert m.link("sites/hub/deployed") == old
    git(repo, "reflog", "expire", "--expire=now", "--all")
    git(repo, "gc", "-q", "--prune=now")
    with Mount(dir, repo, config=config(dir), expect="rewritten") as m:
        until("still told", lambda: any(b["kind"] == "rewritten" for b in state(m, "hub")["blocked_by"]))
        assert m.read("sites/hub/deployed/hub.conf") == "2\n"


def test_kill_in_the_middle_is_taken_up_again(dir):
    """When the command that was running is gone, which has time to tidy up, and its child, which would not go."""
    repo = make_repo(dir + "/r.git", TREE)
    script = f"""cd {dir}
        echo $ONWARD_GENERATION.$ONWARD_ATTEMPT >>calls
        for p in $(cat pids 2>/dev/null); do grep -q '^State:.[^ZX]' /proc/$p/status 2>/dev/null && echo $p >>there; done
        [ $ONWARD_ATTEMPT = 1 ] || exit 0
        trap 'echo tidy; while [ ! -e tidy ]; do sleep 0.02; done; echo tidy >>calls; exit 0' TERM
        (trap '' TERM; while :; do sleep 0.02; done) &
        echo $$ $! >pids; mv pids running
        while :; do sleep 0.02; done"""
    m = Mount(dir, repo, config=config(dir, script)).start()
    until("it is called", lambda: read(dir + "/running"))
    os.rename(dir + "/running", dir + "/pids")
    m.kill()
    with Mount(dir, repo, config=config(dir, script), expect="interrupted") as m:
        until("it is tried again", lambda: state(m, "hub")["attempt"] == 2)
        write(dir + "/tidy", "")
        until("hub arrives", lambda: in_sync(m, "hub"))
        assert not os.path.exists(dir + "/there"), f"still running: {read(dir + '/there')}"
        late = ["1.1\n1.2\n"]     # on a machine on which mounting takes longer than the ten seconds that it has
        assert read(dir + "/calls") in ["1.1\ntidy\n1.2\n"] + late, read(dir + "/calls")
        kinds = git(repo, "log", "--reverse", "--format=%B", "refs/onward/ledger/" + os.uname().nodename)
        assert "interrupted" in kinds
        assert [r["kind"] for r in records(m, "hub")] == ["deployed"]


def test_ending_records_what_was_running(dir):
    repo = make_repo(dir + "/r.git", TREE)
    script = f'touch {dir}/called; trap "exit 9" TERM; while :; do sleep 0.05; done'
    m = Mount(dir, repo, config=config(dir, script), expect="interrupted|attempt|failed").start()
    until("it is called", lambda: os.path.exists(dir + "/called"))
    m.process.terminate()
    m.ended()
    journal = git(repo, "log", "--format=%B", "refs/onward/ledger/" + os.uname().nodename)
    assert "interrupted" in journal, journal


def test_what_begins_when_the_mount_has_ended_is_interrupted(dir):
    """A mount that is busy goes on for those who are in it, but is no longer where others look for it."""
    sites = "  - {name: late, source: late, team: platform, backend: shell}\n"
    repo = make_repo(dir + "/r.git", {**TREE, "onward.yaml": DECLARATION + sites, "late/f": "1\n"})
    script = (f"[ $ONWARD_SITE.$ONWARD_GENERATION != hub.2 ] || "
              f"{{ touch {dir}/busy; while [ ! -e {dir}/go ]; do sleep 0.02; done; }}")

    def kinds(site):
        """Of its second generation, in the ledger."""
        text = git(repo, "log", "--reverse", "--format=%B", "refs/onward/ledger/" + os.uname().nodename)
        return re.findall(rf"^{site} #2 (\w+)", text, re.M)
    m = Mount(dir, repo, config=config(dir, script), expect="interrupted").start()
    for site in ("hub", "late"):
        until(site + " is in sync", lambda: in_sync(m, site))
    commit(repo + ".work", {"hub/hub.conf": "2\n"})
    until("hub works in the mount", lambda: os.path.exists(dir + "/busy"))
    run("fusermount3", "-u", "-z", m.path)
    commit(repo + ".work", {"late/f": "2\n"})
    until("late is tried", lambda: "attempt" in kinds("late"))
    write(dir + "/go", "")
    m.ended()
    assert kinds("late") == ["attempt", "interrupted"], kinds("late")
    assert kinds("hub") == ["attempt", "interrupted"], "nobody could ask for its health"


def test_without_a_backend_a_site_says_why(dir):
    repo = make_repo(dir + "/r.git", TREE)
    with Mount(dir, repo, config="backends: {}\n") as m:
        s = state(m, "hub")
        assert s["state"] == "unknown" and s["blocked_by"][0]["kind"] == "declaration", s
        assert "shell" in s["blocked_by"][0]["detail"], s


def test_commands_are_refused_where_nothing_reconciles(dir):
    repo = make_repo(dir + "/r.git", TREE)
    with Mount(dir, repo, config=config(dir), options=["-o", "noreconcile"], expect="command-failed") as m:
        fails(16, say, m / ".onward/ctl", "retry hub")
        assert "noreconcile" in m.read(".onward/outcome")


def test_backends_work_in_the_mount(dir):
    repo = make_repo(dir + "/r.git", TREE)
    script = (f'pwd > {dir}/pwd; env | sort > {dir}/env; cat > {dir}/request; ls -l /proc/self/fd > {dir}/fds; '
              f'cat /proc/$PPID/cmdline > {dir}/parent')
    with Mount(dir, repo, config=config(dir, script)) as m:
        id = m.link("head")
        until("hub arrives", lambda: in_sync(m, "hub"))
        assert read(dir + "/pwd").strip() == m / f"revisions/{id}/hub"
        request = json.loads(read(dir + "/request"))
        assert request["onward"] == 1 and request["verb"] == "apply" and request["to"] == id, request
        assert request["site"] == "hub" and request["generation"] == 1 and request["from"] is None
        env = dict(l.split("=", 1) for l in read(dir + "/env").splitlines() if "=" in l)
        assert env["ONWARD_TO"] == id and env["ONWARD_VERB"] == "apply"
        assert not set(env) & {"ONWARDFS", "GIT_CONFIG_GLOBAL", "SSH_AUTH_SOCK"}
        assert len([l for l in read(dir + "/fds").splitlines() if "->" in l]) == 4, read(dir + "/fds")
        assert read(dir + "/parent").startswith("onward-commands\0"), "not a program: each start takes thrice as long"


def test_events_can_be_followed(dir):
    repo = make_repo(dir + "/r.git", TREE)
    with Mount(dir, repo, config=config(dir)) as m:
        until("hub arrives", lambda: in_sync(m, "hub"))
        tail = subprocess.Popen(["tail", "-n", "+1", "-s", "0.05", "-f", m / ".onward/events"],
                                stdout=subprocess.PIPE, text=True)
        seen = [json.loads(tail.stdout.readline())]
        commit(repo + ".work", {"hub/hub.conf": "2\n"})
        id = until("hub moves", lambda: in_sync(m, "hub", m.link("head")) and m.link("head"))
        while not (seen[-1]["event"] == "deployed" and seen[-1].get("to") == id):
            seen.append(json.loads(tail.stdout.readline()))
        tail.kill()
        tail.wait()


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

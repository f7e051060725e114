#!/usr/bin/env python3
"""The command line, the examples and the manual page of the namespace, each against a real mount."""

import json
import os
import re
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import ENV, ONWARD, SOURCE, Mount, commit, git, make_repo, read, run, until, write


def onward(m, *args, status=0, cwd="/", env=None):
    """Runs the command; its standard output. Its standard error is in the text that a failure shows."""
    p = run(ONWARD, *args, cwd=cwd, check=False, env={"ONWARD_MOUNT": getattr(m, "path", ""), **(env or {})})
    if p.returncode != status:
        raise AssertionError(f"onward {' '.join(args)}: exit {p.returncode}, wanted {status}\n{p.stdout}{p.stderr}")
    return p.stdout if status == 0 else p.stdout + p.stderr


def sample(dir, **options):
    """The sample repository on a mount; clusters by the example backend."""
    run(SOURCE + "/examples/retail/make-repository", dir + "/retail.git")
    config = (f'backends:\n  files: {{directory: "{dir}/sites/{{site}}"}}\n'
              f'  cluster: {{exec: ["{SOURCE}/examples/backends/apply.sh", "{dir}/clusters", base/k8s]}}\n')
    return Mount(dir, dir + "/retail.git", config=config, **options)


def states(m):
    return {s["site"]: s["state"] for s in json.loads(onward(m, "status", "--json"))}


def settled(m):
    until("all sites in sync", lambda: set(states(m).values()) == {"in-sync"}, 60)


def test_from_an_edit_to_the_sites(dir):
    with sample(dir) as m:
        settled(m)
        assert len(states(m)) == 12
        head = os.path.basename(os.readlink(m / "head"))
        place = onward(m, "new", "longer").strip()
        assert place == m / "staging/longer"
        run("sed", "-i", "s/120s/180s/", place + "/base/pos/settings.yaml")
        assert re.search(r"^longer +\S+ +" + head[:12] + r" +0 +\+0 ~1 -0$", onward(m, "list"), re.M)
        assert "no findings" in onward(m, "check", cwd=place)
        said = onward(m, "commit", "-m", "pos: lock later", cwd=place + "/base")
        new = os.path.basename(os.readlink(m / "head"))
        assert new != head and f"revision {new}\n" in said
        moved = [f"store-000{n}" for n in range(1, 7)]
        assert f"moves {' '.join(moved)}\n" in said, said
        settled(m)
        for site in moved:
            assert os.readlink(m / f"sites/{site}/deployed").split("/")[3] == new
            assert "180s" in read(f"{dir}/sites/{site}/current/base/pos/settings.yaml")
        # A site that takes nothing of it keeps its version and its history.
        assert os.readlink(m / "sites/cluster-eu/deployed").split("/")[3] != new
        assert len(json.loads(onward(m, "log", "cluster-eu", "--json"))) == 1
        assert [r["kind"] for r in json.loads(onward(m, "log", "store-0001", "--json"))] == ["deployed"] * 2
        log = onward(m, "log").splitlines()
        assert len(log) == 1 + 12 + 6 and new[:12] in log[1], log
        assert "deployed is desired" in onward(m, "diff", "store-0001")
        shown = onward(m, "show", "head")
        assert shown.startswith(f"revision {new}\nAuthor:") and "+session_timeout: 180s\n" in shown
        assert json.loads(onward(m, "show", "--json", "main"))["changes"] == [
            {"change": "M", "path": "base/pos/settings.yaml"}]
        patch = onward(m, "diff", "HEAD~1", "main", status=1)
        assert "--- a/base/pos/settings.yaml\n+++ b/base/pos/settings.yaml\n" in patch
        assert onward(m, "diff", "main", new[:10]) == ""
        assert "+qr_code: true" not in onward(m, "diff", "feature/x", "main", status=1)
        onward(m, "drop", "longer")
        assert "no workspaces" in onward(m, "list")


def test_refusals_have_words(dir):
    repo = make_repo(dir + "/r.git", {"a.yaml": "a: 1\n", "b.yaml": "b: 1\n"})
    with Mount(dir, repo, expect="command-failed|commit-(refused|failed)") as m:
        place = onward(m, "new", "w").strip()
        assert "ENODATA" in onward(m, "commit", "w", "-m", "x", status=1)
        write(place + "/a.yaml", "a: 1\na: 2\n")
        assert re.search(r"a\.yaml:2:\d+: yaml: ", onward(m, "check", "w", status=1))
        findings = json.loads(onward(m, "check", "w", "--json", status=1).split("\nonward:")[0])["findings"]
        assert findings[0]["path"] == "a.yaml" and findings[0]["line"] == 2
        said = onward(m, "commit", "w", "-m", "x", status=1)
        assert re.search(r"a\.yaml:2:\d+: yaml: ", said) and "EINVAL" in said, said
        assert "--force" in onward(m, "drop", "w", status=1)
        write(place + "/a.yaml", "a: mine\n")
        commit(repo + ".work", {"a.yaml": "a: theirs\n"})
        said = onward(m, "commit", "w", "-m", "x", status=1)
        assert "conflict: a.yaml" in said and "EBUSY" in said, said
        assert " 1 " in onward(m, "list"), "one revision behind"
        onward(m, "drop", "--force", "w")
        assert "there is no workspace" in onward(m, "commit", "w", "-m", "x", status=1)
        assert "no site" in onward(m, "retry", "s9", status=1)
        assert "names no revision" in onward(m, "show", "nonsense", status=1)
        assert "which workspace" in onward(m, "commit", "-m", "x", status=2)


def test_a_message_of_several_lines(dir):
    repo = make_repo(dir + "/r.git", {"a": "1\n"})
    message = "subject\n\n- \"quoted\" and $dollar\n- " + "x" * 9000
    with Mount(dir, repo) as m:
        for n, arguments in enumerate((["-m", message], [])):
            place = onward(m, "new", f"w{n}").strip()
            write(place + "/a", f"new {n}\n")
            if not arguments:
                write(place + "/.onward/message", message)
            onward(m, "commit", *arguments, cwd=place)
            assert git(repo, "log", "-1", "--format=%B", "main").strip() == f"{message}\n\nOnward-Workspace: w{n}"
            assert m.read(f"commits/{git(repo, 'rev-parse', 'main').strip()}/message").startswith(message + "\n")


def test_odd_paths_are_shown_alike(dir):
    """Quoted as Git does it, in a workspace and in a revision; programs get them as they are."""
    odd = 'new\nline, "quote" \\back é'
    with Mount(dir, make_repo(dir + "/r.git", {"a": "1\n"})) as m:
        place = onward(m, "new", "w").strip()
        write(place + "/" + odd, "x\n")
        changes = read(place + "/.onward/changes")
        assert changes == 'A "new\\nline, \\"quote\\" \\\\back é"\n', changes
        onward(m, "commit", "-m", "odd", cwd=place)
        assert m.read("commits/" + os.path.basename(os.readlink(m / "head")) + "/changes") == changes
        assert json.loads(onward(m, "show", "--json", "head"))["changes"] == [{"change": "A", "path": odd}]


def test_diff_of_a_site_shows_what_it_shares(dir):
    with sample(dir, options=["-o", "noreconcile"]) as m:
        assert "new file" in onward(m, "diff", "store-0001", status=1)
        patch = onward(m, "diff", "store-0001", status=1)
        assert "+++ b/stores/store-0001/pos.yaml" in patch and "+++ b/base/pos/tenders.json" in patch
        assert "base/net" not in patch and str(dir) not in patch


def test_base_of_a_new_workspace(dir):
    with sample(dir, options=["-o", "noreconcile"]) as m:
        for name, rev in (("a", "v2026.09"), ("b", "feature/x"), ("c", "HEAD~3"), ("d", "head")):
            place = onward(m, "new", name, "--from", rev).strip()
            there = git(m.repo, "rev-parse", rev.replace("head", "main") + "^{commit}").strip()
            assert os.path.basename(os.readlink(place + "/.onward/base")) == there
            assert os.path.dirname(place) == m / "staging"
            onward(m, "drop", os.path.basename(place))
        onward(m, "new", "a")
        assert "already" in onward(m, "new", "a", status=1)


def test_verify_finds_what_was_done_to_the_ledger(dir):
    m = sample(dir)
    with m:
        settled(m)
        host = json.loads(m.read(".onward/status.json"))["host"]
        ref = "refs/onward/ledger/" + host
        said = onward(m, "verify", "--ledger")
        assert re.match(r"(2[4-9]|3\d) records in \d+ commits of 1 host: intact\n", said), said
        assert "ledger" not in os.listdir(m / ".onward")
    tip = git(m.repo, "rev-parse", ref).strip()
    git(m.repo, "update-ref", ref, ref + "~1")
    m.log.clear()
    m.expect, m.options = "ledger-set-back|the ledger refs/", ["-o", "noreconcile"]
    with m:
        assert f"this host has seen the ledger at {tip}" in onward(m, "verify", "--ledger", status=1)
    assert any("ledger-set-back" in line for line in m.log)


def test_log_of_a_path_is_that_of_git(dir):
    with sample(dir, options=["-o", "noreconcile"]) as m:
        work = dir + "/work"
        git(dir, "clone", "-q", m.repo, work)
        git(work, "checkout", "-q", "-b", "side")
        commit(work, {"base/pos/new.yaml": "a: 1\n", "it's ü/x y": "1\n"}, "side: some files", push=False)
        git(work, "checkout", "-q", "main")
        git(work, "merge", "-q", "--no-ff", "-m", "merge side", "side")
        git(work, "rm", "-q", "-r", "it's ü")
        commit(work, {"base/pos/new.yaml": "a: 2\n"}, "change one, remove one", push=False)
        os.unlink(work + "/base/pos/new.yaml")
        os.symlink("settings.yaml", work + "/base/pos/new.yaml")
        commit(work, {}, "a link now")
        head = git(m.repo, "rev-parse", "main").strip()
        until("the new head", lambda: m.link("head").endswith(head))
        total = git(m.repo, "rev-list", "--first-parent", "--count", "main").strip()
        assert onward(m, "index") == f"current: {total} revisions\n"
        assert json.loads(onward(m, "index", "--json"))["state"] == "current"

        def log(path, *options, cwd="/"):
            return json.loads(onward(m, "log", "--json", *options, "--", path, cwd=cwd))

        for path in ("onward.yaml", "base", "base/pos/new.yaml", "it's ü/x y", "it's ü", "stores/store-0001"):
            wanted = git(m.repo, "log", "--first-parent", "--full-history", "--format=%H %an <%ae> %s", "main", "--", path)
            said = log(path)
            assert [f"{v['revision']} {v['author']} {v['message'].splitlines()[0]}" for v in said] == (
                wanted.splitlines()), path
            assert len(said) > 0 and said[-1]["change"] == "A" and said[-1]["version"] == 1
        assert [v["change"] for v in log("base/pos/new.yaml")] == list("TMA")
        assert [v["change"] for v in log("it's ü")] == list("DA")
        assert [v["version"] for v in log("base/pos/new.yaml", "-n", "2")] == [3, 2]
        text = onward(m, "log", "--", "base/pos/new.yaml").splitlines()
        assert text[0].split() == ["AT", "REVISION", "CHANGE", "AUTHOR", "SUBJECT"]
        assert head[:12] in text[1] and text[1].endswith("a link now")
        # As git log does, from where one is.
        place = onward(m, "new", "w").strip()
        for cwd in (m / "head/base/pos", m / f"revisions/{head}/base/pos", place + "/base/pos", m / "history/base/pos"):
            assert len(log("new.yaml", cwd=cwd)) == 3, cwd
        stores = log("stores/store-0001")
        assert log(".", cwd=m / "sites/store-0001/desired") == stores
        assert log("../store-0001", cwd=m / "sites/store-0001/desired") == stores
        assert log(m / "head/stores/store-0001") == stores
        assert log("stores/store-0001", cwd=m / "sites") == stores
        assert "never was" in onward(m, "log", "--", "nowhere", status=1)
        assert "outside" in onward(m, "log", "--", "../..", cwd=m / "head/base", status=1)


def test_which_mount(dir):
    one = make_repo(dir + "/one.git", {"onward.yaml": "onward: 1\nsites: [{name: only-in-one, source: .}]\n"})
    two = make_repo(dir + "/two.git", {"a": "1\n"})
    options = ["-o", "noreconcile"]
    with Mount(dir, one, options=options, name="mnt one") as m:
        env = {"ONWARD_MOUNT": ""}
        assert "only-in-one" in onward(m, "status", cwd=m / "revisions", env=env)
        assert "only-in-one" in onward(m, "-C", m / "sites", "status", env=env)
        with Mount(dir, two, options=options, state=dir + "/state2", name="mnt2") as other:
            assert "several are mounted" in onward(m, "status", status=1, env=env)
            assert "no sites" in onward(other, "status")
            assert "only-in-one" in onward(other, "status", cwd=m.path)


def test_words_when_the_daemon_is_gone(dir):
    repo = make_repo(dir + "/r.git", {"a": "1\n"})
    m = Mount(dir, repo).start()
    m.process.kill()
    m.process.wait()
    try:
        for args, cwd in ((["status"], "/"), (["-C", m.path, "status"], "/")):
            said = onward(m, *args, cwd=cwd, status=1)
            assert "is gone" in said and f"fusermount3 -uz {m.path}" in said, said
    finally:
        run("fusermount3", "-u", "-z", m.path)


def test_status_follows(dir):
    with sample(dir) as m:
        settled(m)
        watch = subprocess.Popen([ONWARD, "status", "store-0002", "--watch"], text=True,
                                 stdout=subprocess.PIPE, env={**ENV, "ONWARD_MOUNT": m.path})
        lines = iter(watch.stdout.readline, "")
        assert any(l == "state: in-sync\n" for l in lines)
        place = onward(m, "new", "w").strip()
        write(place + "/stores/store-0002/new", "1\n")
        onward(m, "commit", "w", "-m", "more")
        new = os.path.basename(os.readlink(m / "head"))
        assert any(l == f"deployed: {new}\n" for l in lines), "the watch ended without the new revision"
        watch.kill()
        watch.wait()


def test_the_example_backend(dir):
    with sample(dir) as m:
        settled(m)
        current = dir + "/clusters/cluster-eu/current"
        for name in ("checkout.yaml", "inventory.yaml"):
            assert read(f"{current}/{name}") == m.read(f"sites/cluster-eu/deployed/{name}")
        assert read(current + "/base/k8s/namespace.yaml") == m.read("head/base/k8s/namespace.yaml")
        assert "cluster-eu: generation 1 is revision" in m.read("sites/cluster-eu/history/1/log")


def page_paths():
    """The paths that onwardfs.4 lists."""
    paths = set()
    for line in read(SOURCE + "/man/onwardfs.4").splitlines():
        if line.startswith(".It Pa "):
            paths |= {p.strip().rstrip("/") for p in line[7:].replace(" Pa ", " ").split(" , ")}
    return paths


def test_the_manual_page_lists_what_there_is(dir):
    sites = ("onward: 1\nsites:\n  - {name: fast, source: f, team: t, backend: files}\n"
             "  - {name: slow, source: s, team: t, backend: wait}\n"
             "  - {name: touched, source: t, team: t, backend: look}\n")
    repo = make_repo(dir + "/r.git", {"onward.yaml": sites, "f/a": "1\n", "s/a": "1\n", "t/a": "1\n"})
    write(dir + "/wait.sh", f"#!/bin/sh\nwhile [ -e {dir}/hold ]; do sleep 0.01; done\n", 0o755)
    write(dir + "/look.sh", f"#!/bin/sh\n[ $1 != observe ] || ! cat {dir}/drift 2>/dev/null || exit 2\n", 0o755)
    config = (f'backends:\n  files: {{directory: "{dir}/sites/{{site}}"}}\n'
              f"  wait: {{exec: [{dir}/wait.sh], timeout: 1m}}\n"
              f"  look: {{exec: [{dir}/look.sh], observe_every: 100ms}}\n")
    with Mount(dir, repo, config=config) as m:
        settled(m)
        place = onward(m, "new", "w").strip()
        write(dir + "/hold", "")
        write(dir + "/drift", "somebody was here\n")
        for name in "fs":
            write(f"{place}/{name}/a", "2\n")
        onward(m, "commit", "w", "-m", "a second deployment of both")
        until("one is there, one under way, one is not what it was",
              lambda: states(m) == {"fast": "in-sync", "slow": "migrating", "touched": "drifted"})
        assert m.read("sites/touched/drift") == "somebody was here\n"
        assert re.search("^drifted: 20", m.read("sites/touched/status"), re.M)
        id = os.path.basename(os.readlink(m / "head"))

        git(repo, "update-ref", "refs/onward/proposals/1", "main")
        until("a proposal", lambda: os.listdir(m / "proposals"))

        def fill(path):
            site = "slow" if "/migrating" in path else "touched" if "/drift" in path else "fast"
            known = {"id": id, "site": site, "team": "t", "generation": "2", "workspace": "w", "n": "1",
                     "time": "2999-01-01", "path": "f/a", "version": os.listdir(m / "history/f/a")[-1]}
            return re.sub(r"<(\w+)>", lambda p: known[p.group(1)], path)

        listed = page_paths()
        assert len(listed) > 50, sorted(listed)
        missing = [p for p in listed if not os.path.lexists(m / fill(p))]
        assert not missing, f"on the page, not in the mount: {missing}"
        there = set()
        for where in ("", "sites/<site>", "sites/<site>/migrating", "sites/<site>/history/<generation>",
                      "commits/<id>", ".onward", "staging/<workspace>/.onward", "proposals/<n>"):
            there |= {f"{where}/{name}".lstrip("/") for name in os.listdir(m / fill(where))}
        assert not there - listed, f"in the mount, not on the page: {there - listed}"
        os.unlink(dir + "/hold")
        os.unlink(dir + "/drift")
        settled(m)
        assert not os.path.exists(m / "sites/touched/drift")


def test_shells_in_one_workspace(dir):
    """Each commits with its own message and is told of its own revision."""
    repo = make_repo(dir + "/r.git", {"a": "1\n"})
    with Mount(dir, repo, options=["-o", "noreconcile"]) as m:
        onward(m, "new", "w")

        def shell(name):
            for i in range(5):
                write(m / f"staging/w/{name}", f"{i}\n")
                p = run(ONWARD, "commit", "w", "-m", f"{name} {i}\n\nof several lines", cwd="/", check=False,
                        env={"ONWARD_MOUNT": m.path})
                said[f"{name} {i}"] = p.stdout + p.stderr

        said, names = {}, [f"shell{i}" for i in range(8)]
        shells = [threading.Thread(target=shell, args=(n,)) for n in names]
        for s in shells:
            s.start()
        for s in shells:
            s.join()
        assert len(said) == 40
        for subject, text in said.items():
            made = re.match("w: revision ([0-9a-f]{40})", text)
            if made:
                assert git(repo, "log", "-1", "--format=%s", made.group(1)).strip() == subject
            else:               # another one has taken it along
                assert "nothing changed" in text, text
        assert all(m.read("head/" + n) == "4\n" for n in names)


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

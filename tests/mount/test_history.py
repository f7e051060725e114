#!/usr/bin/env python3
"""The history as files, each against what git says of it: history/, at/, blame, mtime=change."""

import errno
import os
import random
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import Mount, commit, git, make_repo, read, run, until, write

VIEW = ["-o", "noreconcile"]
CHANGE = ["-o", "noreconcile,mtime=change"]
START = 1767225600


def random_history(dir, steps, seed=1):
    """A bare repository whose mainline has `steps` more revisions: files that come, change, become executable,
    links or directories, go and come back; empty revisions; merges. Times are not in order everywhere."""
    rand = random.Random(seed)
    repo = make_repo(dir + "/r.git", {"a": "first\n"})
    work = repo + ".work"
    names = ["a", "b", "d/x", "d/y", "d/e/x", "d/e/f/z", "new\nline/ü", os.fsdecode(b"raw\xff"), "w x/'q'"]

    def change():
        name = rand.choice(names)
        full = work + "/" + name
        what = rand.random()
        if what < 0.2:
            run("rm", "-rf", full)
        elif what < 0.3 and os.path.isfile(full) and not os.path.islink(full):
            os.chmod(full, 0o755 if not os.stat(full).st_mode & 0o100 else 0o644)
        else:
            for part in [name[:i] for i, c in enumerate(name) if c == "/"]:
                if os.path.lexists(work + "/" + part) and not os.path.isdir(work + "/" + part):
                    os.unlink(work + "/" + part)
            run("rm", "-rf", full)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            if what < 0.4:
                os.symlink(rand.choice(["a", "nowhere"]), full)
            else:
                write(full, rand.choice(["same\n", "%d\n" % rand.randrange(5), ""]))

    for i in range(steps):
        for _ in range(rand.randrange(4)):
            change()
        at = START + 5000 * i + rand.randrange(-20000, 20000)
        date = f"{at} {rand.choice(['+0000', '+0930', '-0500'])}"
        if i % 9 == 8:
            git(work, "checkout", "-q", "-b", f"side{i}")
            commit(work, {}, push=False, date=date)
            git(work, "checkout", "-q", "main")
            git(work, "merge", "-q", "--no-ff", "-m", "merge", f"side{i}", env={"GIT_COMMITTER_DATE": date})
        else:
            commit(work, {}, push=False, date=date)
    git(work, "push", "-q", "origin", "main")
    return repo


def line_of(repo, rev="main"):
    return git(repo, "rev-list", "--first-parent", rev).split()


def raw(repo, *args):
    """What git prints, as bytes split at NULs."""
    out = subprocess.run(["git", "-C", repo, *args], check=True, capture_output=True, env=onwardtest.ENV).stdout
    return [os.fsdecode(part) for part in out.split(b"\0") if part]


def paths_of(repo, rev):
    return raw(repo, "ls-tree", "-r", "-t", "-z", "--name-only", rev)


def all_paths(repo):
    """Every path, directories included, of every first-parent revision."""
    return {p for rev in line_of(repo) for p in paths_of(repo, rev)}


def versions(repo, path):
    """(name, id) of each version, as git tells them."""
    out = git(repo, "log", "--first-parent", "--reverse", "--format=%H %cd", "--date=format-local:%Y-%m-%d",
              "main", "--", ":(literal)" + path, env={"TZ": "UTC"})
    lines = [line.split() for line in out.splitlines()]
    return [("%04d-%s-%s" % (n, day, id[:12]), id) for n, (id, day) in enumerate(lines, 1)]


def test_every_version_of_every_path(dir):
    repo = random_history(dir, 60)
    paths = all_paths(repo)
    assert len(paths) > 12, paths
    with Mount(dir, repo, options=VIEW) as m:
        found = {os.path.relpath(p, m / "history") for p, _, _ in os.walk(m / "history")} - {"."}
        assert found == paths, found ^ paths
        for path in paths:
            here = m / "history" + "/" + path
            links = sorted(e.name for e in os.scandir(here) if e.is_symlink())
            want = versions(repo, path)
            assert links == [name for name, _ in want], (path, links, want)
            for name, id in want:
                link = here + "/" + name
                target = os.path.normpath(os.path.join(here, os.readlink(link)))
                assert target == m / f"revisions/{id}/{path}", target
                there = os.path.lexists(m / f"revisions/{id}/{path}")
                assert os.path.lexists(target) == there
                assert os.lstat(link).st_mtime == int(git(repo, "log", "-1", "--format=%ct", id))
        assert not os.path.lexists(m / "history/none")


def test_new_versions_are_there_at_once(dir):
    """Whoever moves the mainline, as soon as that is known; through a workspace, with its acknowledgement."""
    repo = make_repo(dir + "/r.git", {"a": "1\n", "d/b": "1\n"})
    with Mount(dir, repo, options=VIEW) as m:
        assert len(os.listdir(m / "history/a")) == 1
        os.mkdir(m / "staging/w")
        for i in range(2, 25):
            write(m / "staging/w/a", f"{i}\n")
            with open(m / "staging/w/.onward/commit", "w") as f:
                f.write("more\n")
            head = m.link("head")
            names = sorted(os.listdir(m / "history/a"))
            assert len(names) == i and names[-1].endswith(head[:12]), (i, names)
            assert read(m / f"history/a/{names[-1]}") == f"{i}\n"
            assert os.listdir(m / "revisions")[-1] == head
            assert m.link("at/2999-01-01") == head
        id = commit(repo + ".work", {"d/new": "1\n"}, push=False)
        git(repo + ".work", "fetch", "-q", "origin")
        git(repo + ".work", "rebase", "-q", "origin/main")
        git(repo + ".work", "push", "-q", "origin", "HEAD:main")
        until("a push shows", lambda: m.link("head") != head)
        assert os.path.isdir(m / "history/d/new")
        assert len(os.listdir(m / "revisions")) == 25


def test_the_root_follows(dir):
    """Its list and that of revisions/ are kept by the kernel, and yet never old."""
    run("git", "init", "-q", "--bare", "-b", "main", dir + "/r.git")
    with Mount(dir, dir + "/r.git", options=VIEW) as m:
        for _ in range(3):
            assert "head" not in os.listdir(m.path)
            assert os.listdir(m / "revisions") == []
            assert os.listdir(m / "history") == []
        os.mkdir(m / "staging/w")
        for i in range(1, 10):
            write(m / f"staging/w/f{i}", "x\n")
            with open(m / "staging/w/.onward/commit", "w") as f:
                f.write("more\n")
            assert "head" in os.listdir(m.path)
            assert os.listdir(m / "revisions")[-1] == m.link("head")
            assert len(os.listdir(m / "revisions")) == i
            assert os.stat(m / "revisions").st_mtime_ns == os.stat(m.path).st_mtime_ns


def requests(m):
    """How many requests of each kind there were. FORGETs come when the kernel likes."""
    lines = m.read(".onward/metrics").splitlines()
    return {l.split()[0]: int(l.split()[1]) for l in lines
            if l.startswith("onward_fuse_requests_total{") and "forget" not in l}


def test_a_warm_way_costs_nothing(dir):
    repo = make_repo(dir + "/r.git", {"d/a": "1", "d/b": "2"})
    id = git(repo, "rev-parse", "main").strip()
    with Mount(dir, repo, options=["-o", "ro,noreconcile"]) as m:
        def look():
            assert os.lstat(m / f"revisions/{id}/d/a").st_size == 1
            assert read(m / f"revisions/{id}/d/b") == "2"
        def cost(what):
            before = requests(m)
            what()
            after = requests(m)
            return {k: after[k] - before.get(k, 0) for k in after if after[k] != before.get(k, 0)}
        for _ in range(3):
            look()
        nothing = cost(lambda: None)
        got = cost(look)
        assert got == nothing, (got, nothing)


def test_the_mainline_as_it_was(dir):
    repo = random_history(dir, 40)
    times = [int(t) for t in git(repo, "log", "--first-parent", "--format=%ct", "main").split()]
    with Mount(dir, repo, options=VIEW) as m:
        def at(name):
            try:
                return m.link("at/" + name)
            except FileNotFoundError:
                return None
        for t in {t + d for t in times for d in (-1, 0, 1)}:
            for shape in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"):
                name = time.strftime(shape, time.gmtime(t))
                whole = {10: name + "T00:00:00Z", 17: name[:-1] + ":00Z", 20: name}[len(name)]
                want = git(repo, "rev-list", "-1", "--first-parent", "--before=" + whole, "main").strip()
                assert at(name) == (want or None), (name, at(name), want)
        assert os.listdir(m / "at") == []
        assert at("2026-02-30") is None and at("yesterday") is None


def blamed(repo, rev, source):
    """The whole of a site's blame, as git tells it."""
    days = dict(line.split() for line in git(repo, "log", "--all", "--format=%H %cd",
                                             "--date=format-local:%Y-%m-%d", env={"TZ": "UTC"}).splitlines())
    out = []
    for line in git(repo, "ls-tree", "-r", f"{rev}:{source}").splitlines():
        meta, path = line.split("\t")
        if meta.startswith("120000") or b"\0" in subprocess.run(
                ["git", "-C", repo, "cat-file", "blob", meta.split()[2]], capture_output=True).stdout[:8000]:
            out.append("N/A          N/A        " + path)
            continue
        lines = git(repo, "blame", "--first-parent", "--root", "-l", "-s", rev, "--", f"{source}/{path}")
        for n, text in enumerate(lines.splitlines(), 1):
            id = text.split()[0].lstrip("^")
            out.append(f"{id[:12]} {days[id]} {path}:{n}: {text.split(') ', 1)[1]}")
    return "".join(l + "\n" for l in out)


def test_blame_of_what_is_deployed(dir):
    rand = random.Random(3)
    files = {"s/one": [], "s/d/two": [], "s/d.e/three": []}
    count = 0
    repo = make_repo(dir + "/r.git", {"onward.yaml": "onward: 1\nsites:\n  - {name: s, source: s, backend: files}\n",
                                      "s/zero": b"\0\1", "s/link": ("zero",)})
    for i in range(30):
        for lines in files.values():
            for at in range(len(lines), -1, -1):
                if rand.random() < 0.1:
                    lines.insert(at, f"line {count}\n")
                    count += 1
                elif at < len(lines) and rand.random() < 0.07:
                    del lines[at]
        commit(repo + ".work", {k: "".join(v) for k, v in files.items()}, push=False,
               date=f"{START + 86400 * i} +0000")
    git(repo + ".work", "push", "-q", "origin", "main")
    with Mount(dir, repo, config=f'backends:\n  files: {{directory: "{dir}/out/{{site}}"}}\n') as m:
        until("it is deployed", lambda: "state: in-sync" in m.read("sites/s/status"))
        head = m.link("sites/s/deployed")
        assert m.read("sites/s/blame") == blamed(repo, head, "s")
        assert "s\n" == m.read(f"commits/{head}/sites")
        id = commit(repo + ".work", {"s/one": "".join(files["s/one"]) + "one more\n"})
        until("the next is deployed", lambda: m.link("sites/s/deployed") == id)
        assert m.read("sites/s/blame") == blamed(repo, id, "s")
        assert "" == m.read(f"commits/{head}/sites")


def last_changes(repo, rev):
    """For every path: the revision that last changed it on the first-parent line of `rev`."""
    return {p: git(repo, "log", "-1", "--first-parent", "--format=%H", rev, "--", ":(literal)" + p).strip()
            for p in paths_of(repo, rev)}


def test_times_of_last_changes(dir):
    repo = random_history(dir, 50)
    line = line_of(repo)
    times = dict(l.split() for l in git(repo, "log", "--all", "--format=%H %ct").splitlines())
    inodes = {}
    with Mount(dir, repo, options=CHANGE) as m:
        for rev in line[::7] + line[:2]:
            for path, by in last_changes(repo, rev).items():
                st = os.lstat(m / f"revisions/{rev}/{path}")
                assert st.st_mtime == int(times[by]), (rev, path, st.st_mtime, times[by])
                if stat.S_ISREG(st.st_mode):
                    assert os.getxattr(m / f"revisions/{rev}/{path}", "user.git.revision").decode() == by
                if stat.S_ISDIR(st.st_mode):
                    assert inodes.setdefault(st.st_ino, (rev, path)) == (rev, path)
                else:
                    oid = git(repo, "rev-parse", f"{rev}:{path}").strip()
                    key = (oid, by, st.st_mode)
                    assert inodes.setdefault(st.st_ino, key) == key, path
        # What is beside the mainline has the times of where it left it.
        git(repo + ".work", "checkout", "-q", "-f", line[12])
        own = commit(repo + ".work", {"a": "beside\n", "beside": "1\n"}, push=False, date="2026-06-06T06:06:06Z")
        git(repo + ".work", "push", "-q", "origin", own + ":refs/heads/beside")
        until("the branch shows", lambda: os.path.lexists(m / "branches/beside"))
        times[own] = str(int(git(repo, "log", "-1", "--format=%ct", own)))
        for path, by in last_changes(repo, own).items():
            assert os.lstat(m / f"branches/beside/{path}").st_mtime == int(times[by]), path
    with Mount(dir, repo, options=VIEW, name="plain") as m:
        for path in paths_of(repo, line[3]):
            assert os.lstat(m / f"revisions/{line[3]}/{path}").st_mtime == int(times[line[3]]), path


def entries(top):
    """What rsync -a compares: kind, size, time, target of everything."""
    found = {}
    for here, dirs, files in os.walk(top):
        for name in dirs + files:
            full = os.path.join(here, name)
            st = os.lstat(full)
            kind = stat.S_IFMT(st.st_mode)
            found[os.path.relpath(full, top)] = (
                st.st_mode, 0 if kind == stat.S_IFDIR else st.st_size, st.st_mtime_ns,
                os.readlink(full) if kind == stat.S_IFLNK else None)
    return found


def test_only_what_changed_is_different(dir):
    """For diff: the same inode. For rsync and make: the same size and time."""
    files = {"d%d/f%d" % (i % 9, i): "%d\n" % i for i in range(200)}
    repo = make_repo(dir + "/r.git", files)
    old = git(repo, "rev-parse", "main").strip()
    for i in range(5):
        new = commit(repo + ".work", {"d3/f3": "new %d\n" % i, "d4/added": "x\n"}, date=f"{START + i * 7} +0000")
    changed = {"d3/f3", "d4/added"}
    with Mount(dir, repo, options=CHANGE) as m:
        a, b = m / f"revisions/{old}/", m / f"revisions/{new}/"
        for name in files:
            assert (os.stat(a + name).st_ino == os.stat(b + name).st_ino) == (name not in changed), name
        ea, eb = entries(a), entries(b)
        differs = {k for k in ea.keys() | eb.keys() if ea.get(k) != eb.get(k)}
        assert differs == changed | {"d3", "d4"}, differs
        before = m.metric('onward_fuse_requests_total{op="read"}')
        p = run("diff", "-rq", a, b, check=False)
        assert p.returncode == 1 and len(p.stdout.splitlines()) == 2, p.stdout
        assert m.metric('onward_fuse_requests_total{op="read"}') - before <= 4
        if subprocess.run(["sh", "-c", "command -v rsync"], capture_output=True).returncode == 0:
            run("rsync", "-a", a, dir + "/copy")
            sent = run("rsync", "-a", "--out-format=%n", b, dir + "/copy").split()
            assert {s for s in sent if not s.endswith("/")} == changed, sent


def test_a_second_mount_has_no_history(dir):
    repo = make_repo(dir + "/r.git", {"a": "1\n"})
    with Mount(dir, repo, options=VIEW) as m:
        with Mount(dir, repo, options=["-o", "ro"], name="two") as n:
            assert "history" in os.listdir(m.path) and "history" not in os.listdir(n.path)
            assert not os.path.lexists(n / "history")
            assert n.link("at/2999-01-01") == m.link("at/2999-01-01") == m.link("head")
            assert os.listdir(n / "revisions") == os.listdir(m / "revisions")


def test_the_index_is_kept_and_made_again(dir):
    repo = random_history(dir, 30)
    with Mount(dir, repo, options=VIEW) as m:
        before = {p: sorted(os.listdir(m / f"history/{p}")) for p in all_paths(repo)}
    files = [os.path.join(top, name) for top, _, names in os.walk(dir + "/state") for name in names
             if name == "data.mdb"]
    assert len(files) == 1, files
    for damage in (None, b"\xff" * 5000):
        if damage:
            with open(files[0], "r+b") as f:
                f.seek(3000)
                f.write(damage)
        with Mount(dir, repo, options=VIEW, expect="history-index-damaged") as m:
            after = {p: sorted(os.listdir(m / f"history/{p}")) for p in before}
            assert after == before


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

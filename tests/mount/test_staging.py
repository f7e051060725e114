#!/usr/bin/env python3
"""Staging through a real mount: ordinary tools write, one line commits, and nothing is lost."""

import errno
import os
import stat
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import fidelity
import onwardtest
from onwardtest import Mount, commit, fsck, git, make_repo, read, run, until, write
from test_views import VIEW, fails

BASE = {"a.txt": "one\n", "d/b.txt": "two\n", "d/c.yaml": "k: v\n", "bin/x.sh": "#!/bin/sh\n"}


def say(path, line):
    """What `echo line > path` does."""
    with open(path, "wb", buffering=0) as f:
        f.write(line.encode() + b"\n")


def tree(repo, rev="main"):
    return {l.split("\t")[1]: l.split()[0] for l in git(repo, "ls-tree", "-r", rev).splitlines()}


def test_edit_commit_and_see_it_at_head(dir):
    repo = make_repo(dir + "/r.git", BASE)
    before = git(repo, "rev-parse", "main").strip()
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/fix"
        os.mkdir(ws)
        assert os.readlink(ws + "/.onward/base").endswith("revisions/" + before)
        assert sorted(os.listdir(ws)) == ["a.txt", "bin", "d"]
        write(ws + "/a.txt", "changed\n")
        write(ws + "/new/deep/file", "n\n")
        os.unlink(ws + "/d/b.txt")
        os.chmod(ws + "/d/c.yaml", 0o755)
        os.symlink("a.txt", ws + "/link")
        assert read(ws + "/.onward/changes") == "M a.txt\nD d/b.txt\nM d/c.yaml\nA link\nA new/deep/file\n"
        patch = read(ws + "/.onward/diff")
        assert m.read("head/a.txt") == "one\n"
        say(ws + "/.onward/commit", "change a few things")
        id = git(repo, "rev-parse", "main").strip()
        assert id != before and m.link("head") == id
        assert read(ws + "/.onward/outcome").startswith(id)
        assert tree(repo) == {"a.txt": "100644", "bin/x.sh": "100644", "d/c.yaml": "100755",
                              "link": "120000", "new/deep/file": "100644"}
        assert git(repo, "log", "-1", "--format=%an|%cn|%s|%P").strip().startswith("root|onwardfs|change a few")
        assert git(repo, "rev-parse", "main^").strip() == before
        assert read(ws + "/.onward/changes") == ""
        assert read(ws + "/a.txt") == "changed\n"
        assert os.readlink(ws + "/.onward/base").endswith("revisions/" + id)
        os.rmdir(ws)
        assert os.listdir(m / "staging") == []
        fsck(repo)
        run("git", "clone", "-q", repo, dir + "/check")
        git(dir + "/check", "checkout", "-q", before)
        git(dir + "/check", "apply", "--index", "-", stdin=patch)
        assert git(dir + "/check", "write-tree") == git(repo, "rev-parse", "main^{tree}")


def test_refusals_at_the_call(dir):
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        fails(errno.EPERM, os.link, ws + "/a.txt", ws + "/hard")
        fails(errno.EPERM, os.mkfifo, ws + "/fifo")
        fails(errno.EPERM, os.mknod, ws + "/dev", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        for name in (".git", "d/.Git", "d/git~1", ".git. ", ".g\u200cit"):
            fails(errno.EINVAL, os.mkdir, ws + "/" + name)
            fails(errno.EINVAL, os.rename, ws + "/a.txt", ws + "/" + name)
        os.symlink("a.txt", ws + "/link")
        fails(errno.EINVAL, os.symlink, "a.txt", ws + "/.gitmodules")
        fails(errno.EINVAL, os.rename, ws + "/link", ws + "/.gitmodules")
        os.unlink(ws + "/link")
        fails(errno.EPERM, os.chown, ws + "/a.txt", 12345, 12345)
        fails(errno.ENOTSUP, os.setxattr, ws + "/a.txt", "user.x", b"y")
        fails(errno.ENAMETOOLONG, os.mkdir, ws + "/" + "x" * 256)
        fails(errno.ENOTEMPTY, os.rmdir, ws + "/d")
        fails(errno.EEXIST, os.mkdir, ws)
        fails(errno.ENODATA, say, ws + "/.onward/commit", "nothing")
        assert "nothing" in read(ws + "/.onward/outcome").lower()
        for control in (ws + "/.onward/commit", m / ".onward/ctl"):
            for line, why in (("", "is empty"), ("a\0b", "NUL")):
                fails(errno.EINVAL, say, control, line)
                assert why in read(os.path.dirname(control) + "/outcome"), (control, why)
        write(ws + "/a.txt", "x")
        fails(errno.ENOTEMPTY, os.rmdir, ws)
        for bad in (".hidden", "no such@nothing", "x@nope"):
            try:
                os.mkdir(m / ("staging/" + bad))
            except OSError:
                continue
            raise AssertionError(bad)


def test_checks_refuse_and_name_the_place(dir):
    repo = make_repo(dir + "/r.git", {**BASE, "old.yaml": "a: [broken\n"})
    before = git(repo, "rev-parse", "main").strip()
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        write(ws + "/d/c.yaml", "k: v\nbad: [1, 2\n")
        write(ws + "/x.json", '{"a": 1,}')
        write(ws + "/onward.yaml", "onward: 1\nsites:\n  - name: s\n    sauce: x\n")
        findings = read(ws + "/.onward/check")
        fails(errno.EINVAL, say, ws + "/.onward/commit", "bad")
        outcome = read(ws + "/.onward/outcome")
        for text in (findings, outcome):
            assert "d/c.yaml:" in text and ": yaml: " in text, text
            assert "x.json:1:" in text and ": json: " in text, text
            assert "onward.yaml:4:" in text and "sauce" in text, text
            assert "old.yaml" not in text
        assert git(repo, "rev-parse", "main").strip() == before
        assert read(ws + "/x.json") == '{"a": 1,}'
        write(ws + "/d/c.yaml", "k: w\n")
        os.unlink(ws + "/x.json")
        os.unlink(ws + "/onward.yaml")
        assert read(ws + "/.onward/check") == ""
        say(ws + "/.onward/commit", "good")


def test_merges_what_others_pushed_and_names_conflicts(dir):
    lines = "".join(f"line {i}\n" for i in range(20))
    repo = make_repo(dir + "/r.git", {**BASE, "t": lines, "c": "base\n"})
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        write(ws + "/t", lines.replace("line 3\n", "ours\n"))
        theirs = commit(repo + ".work", {"t": lines.replace("line 17\n", "theirs\n"), "other": "o\n"})
        until("head moves", lambda: m.link("head") == theirs)
        assert "behind: 1" in read(ws + "/.onward/status")
        say(ws + "/.onward/commit", "merge cleanly")
        merged = lines.replace("line 3\n", "ours\n").replace("line 17\n", "theirs\n")
        assert m.read("head/t") == merged and m.read("head/other") == "o\n"
        assert git(repo, "rev-list", "--count", "--min-parents=2", "main").strip() == "0"
        git(repo + ".work", "pull", "-q", "--ff-only", "origin", "main")
        write(ws + "/c", "ours\n")
        id = commit(repo + ".work", {"c": "theirs\n"})
        fails(errno.EBUSY, say, ws + "/.onward/commit", "conflict")
        outcome = read(ws + "/.onward/outcome")
        blobs = [git(repo, "rev-parse", r).strip() for r in ("main~1:c", "main:c")]
        assert "conflict: c " in outcome and all(b in outcome for b in blobs), outcome
        assert git(repo, "rev-parse", "main").strip() == id and read(ws + "/c") == "ours\n"


def test_ordinary_tools(dir):
    repo = make_repo(dir + "/r.git", {**BASE, "s.conf": "port = 80\n" * 100})
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/tools"
        os.mkdir(ws)
        run("sed", "-i", "s/80/8080/", "s.conf", cwd=ws)
        run("sh", "-c", "echo more >> a.txt; cp -a d d2; mv d2/b.txt moved; tar cf t.tar d; mkdir x; "
            "tar xf t.tar -C x; rm t.tar; printf 'q' > q; truncate -s 5000 q; rm -r d2", cwd=ws)
        run("git", "apply", "-", cwd=ws, stdin="--- a/bin/x.sh\n+++ b/bin/x.sh\n@@ -1 +1,2 @@\n #!/bin/sh\n+exit 0\n")
        if subprocess.run(["which", "vim"], stdout=subprocess.DEVNULL).returncode == 0:
            run("vim", "-u", "NONE", "-es", "-c", "s/two/edited/", "-c", "wq", "d/b.txt", cwd=ws)
            assert read(ws + "/d/b.txt") == "edited\n"
        if subprocess.run(["which", "rsync"], stdout=subprocess.DEVNULL).returncode == 0:
            run("rsync", "-a", m / "head/d/", ws + "/synced/")
            assert "sending" not in run("rsync", "-ai", m / "head/d/", ws + "/synced/")
        assert read(ws + "/s.conf") == "port = 8080\n" * 100
        assert os.stat(ws + "/q").st_size == 5000
        say(ws + "/.onward/commit", "tools")
        run("diff", "-r", "--no-dereference", ws, m / "head/")
        fsck(repo)


def test_posix_odds_and_ends(dir):
    import mmap
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        f = open(ws + "/a.txt", "r+b", buffering=0)
        os.unlink(ws + "/a.txt")
        f.write(b"ONE")
        f.seek(0)
        assert f.read() == b"ONE\n"
        f.close()
        write(ws + "/a.txt", "again")
        os.rename(ws + "/a.txt", ws + "/d/b.txt")
        assert read(ws + "/d/b.txt") == "again" and not os.path.exists(ws + "/a.txt")
        with open(ws + "/map", "w+b") as f:
            f.truncate(8192)
            with mmap.mmap(f.fileno(), 8192) as mm:
                mm[4096:4100] = b"data"
                mm.flush()
            f.seek(4096)
            assert f.read(4) == b"data"
        os.utime(ws + "/map", ns=(10**18 + 1, 10**18 + 2))
        assert os.stat(ws + "/map").st_mtime_ns == 10**18 + 2
        before = os.stat(ws + "/d/c.yaml").st_ino
        with open(ws + "/d/c.yaml", "a") as f:
            f.write("x: y\n")
            f.flush()
            os.fsync(f.fileno())
        assert os.stat(ws + "/d/c.yaml").st_ino == before
        procs = [subprocess.Popen(["sh", "-c", f"for i in $(seq 200); do echo {n} >> log; done"], cwd=ws)
                 for n in range(3)]
        assert all(p.wait() == 0 for p in procs)
        assert len(read(ws + "/log").splitlines()) == 600
        os.mkdir(ws + "/many")
        for i in range(500):
            write(f"{ws}/many/{i}", "")
        run("rm", "-rf", ws + "/many")
        assert not os.path.exists(ws + "/many")
        os.rmdir(ws + "/bin") if not os.listdir(ws + "/bin") else run("rm", "-r", ws + "/bin")
        os.mkdir(ws + "/bin")
        assert os.listdir(ws + "/bin") == []


def test_a_listing_says_the_number_that_the_kernel_asks_for_again(dir):
    """What the kernel knew at a commit keeps its number, also when it has forgotten it: a listing that it kept
    says so."""
    with Mount(dir, make_repo(dir + "/r.git", BASE), options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        os.mkdir(ws + "/empty")
        write(ws + "/d/new", "n\n")
        os.rename(ws + "/a.txt", ws + "/moved")
        held = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (ws, ws + "/d")]

        def numbers():
            return {e.name: e.inode() for fd in held for e in os.scandir(fd)}

        def asked():
            return {e.name: e.stat(follow_symlinks=False).st_ino for fd in held for e in os.scandir(fd)}
        before = numbers()
        assert asked() == before
        say(ws + "/.onward/commit", "c")
        assert numbers() == before == asked()
        assert m.metric("onward_nodes") > 12

        def forgotten():
            """All but the two that are held and what is above them, with the metrics."""
            write("/proc/sys/vm/drop_caches", "2")
            return m.metric("onward_nodes") <= 7
        try:
            until("the kernel forgets", forgotten)
        except OSError:
            print("# not seen: only root can make the kernel forget")
        assert asked() == numbers()
        for fd in held:
            os.close(fd)


def test_workspaces_survive_restart_and_kill(dir):
    repo = make_repo(dir + "/r.git", BASE)
    m = Mount(dir, repo, options=VIEW).start()
    ws = m / "staging/keep"
    os.mkdir(ws)
    os.unlink(ws + "/d/b.txt")
    os.mkdir(ws + "/empty")
    with open(ws + "/a.txt", "a") as f:
        f.write("more\n")
        f.flush()
        os.fsync(f.fileno())
    write(ws + "/.onward/message", "a subject\n\na body\n")
    changes = read(ws + "/.onward/changes")
    m.kill()
    for end in ("kill", "stop"):
        m = Mount(dir, repo, options=VIEW).start()
        assert read(ws + "/a.txt") == "one\nmore\n"
        assert os.path.isdir(ws + "/empty") and not os.path.exists(ws + "/d/b.txt")
        assert read(ws + "/.onward/changes") == changes
        assert read(ws + "/.onward/message") == "a subject\n\na body\n"
        m.kill() if end == "kill" else m.stop()
    with Mount(dir, repo, options=VIEW) as m:
        say(ws + "/.onward/commit", "-")
        assert git(repo, "log", "-1", "--format=%B").strip() == "a subject\n\na body\n\nOnward-Workspace: keep"


def test_the_base_of_a_workspace_survives_gc(dir):
    repo = make_repo(dir + "/r.git", BASE)
    work = repo + ".work"
    git(work, "checkout", "-q", "-b", "feature")
    id = commit(work, {"only/here": "f\n"}, push=False)
    git(work, "push", "-q", "origin", "feature")
    kept = lambda: git(repo, "for-each-ref", "--format=%(objectname)", "refs/onward/workspaces").split()
    m = Mount(dir, repo, options=VIEW).start()
    ws, dropped = m / "staging/w@feature", m / "staging/x@HEAD~0"
    os.mkdir(m / "staging/plain")
    assert kept() == []
    os.mkdir(ws)
    os.mkdir(dropped)
    assert sorted(kept()) == sorted([id, git(repo, "rev-parse", "main").strip()])
    os.rmdir(dropped)
    assert kept() == [id]
    git(repo, "update-ref", "-d", "refs/heads/feature")
    write(ws + "/a.txt", "x\n")
    m.kill()
    stray = git(repo, "for-each-ref", "--format=%(refname)", "refs/onward/workspaces").strip() + "-stray"
    git(repo, "update-ref", stray, id)
    git(repo, "update-ref", "-d", stray[:-6])   # lost, and nothing else is
    m = Mount(dir, repo, options=VIEW).start()
    assert kept() == [id]
    git(repo, "gc", "-q", "--prune=now")
    assert read(ws + "/only/here") == "f\n"
    say(ws + "/.onward/rebase", "x")
    assert kept() == []
    m.stop()


def test_first_commit_in_an_empty_repository(dir):
    repo = dir + "/e.git"
    run("git", "init", "-q", "--bare", "-b", "main", repo)
    with Mount(dir, repo, options=VIEW) as m:
        os.mkdir(m / "staging/first")
        write(m / "staging/first/README.md", "hi\n")
        say(m / "staging/first/.onward/commit", "begin")
        assert m.read("head/README.md") == "hi\n"
        assert git(repo, "log", "--format=%s", "main").strip() == "begin"


def test_a_message_without_a_newline_commits(dir):
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        write(ws + "/a.txt", "1\n")
        write(ws + "/.onward/commit", "no newline")
        assert git(repo, "log", "-1", "--format=%s").strip() == "no newline"
        write(ws + "/a.txt", "2\n")
        run("bash", "-c", 'printf "%s\\n" "$0" > .onward/commit', "long " * 1500, cwd=ws)
        assert len(git(repo, "log", "-1", "--format=%B").strip()) > 7000


def test_copies_of_a_whole_directory_into_a_workspace(dir):
    repo = make_repo(dir + "/r.git", BASE)
    with Mount(dir, repo, options=VIEW) as m:
        os.mkdir(m / "staging/w")
        run("cp", "-a", repo + ".work/d/.", m / "staging/w/")
        run("sh", "-c", f"tar cf - -C {repo}.work/d . | tar xf - -C {m / 'staging/w'}")
        assert read(m / "staging/w/b.txt") == "two\n"
        assert stat.S_IMODE(os.stat(m / "staging/w").st_mode) == 0o700


def test_a_rewritten_mainline_takes_no_commit(dir):
    repo = make_repo(dir + "/r.git", BASE)
    old = git(repo, "rev-parse", "main").strip()
    new = commit(repo + ".work", {"a.txt": "2\n"})
    with Mount(dir, repo, expect="rewritten") as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        write(ws + "/mine", "kept\n")
        until("the mark moves", lambda: new in git(repo, "for-each-ref", "refs/onward/seen"))
        git(repo, "update-ref", "refs/heads/main", old)
        until("head moves", lambda: m.link("head") == old)
        fails(errno.EBUSY, say, ws + "/.onward/commit", "on what was rewritten")
        assert "rewritten" in read(ws + "/.onward/outcome") and new in read(ws + "/.onward/outcome")
        git(repo, "update-ref", "refs/heads/main", new)
        until("head is back", lambda: m.link("head") == new)
        say(ws + "/.onward/commit", "now it goes on")
        assert m.read("head/mine") == "kept\n" and m.read("head/a.txt") == "2\n"


def test_five_workspaces_commit_at_once(dir):
    repo = make_repo(dir + "/r.git", BASE)
    rounds, errors = 8, []
    with Mount(dir, repo, options=VIEW) as m:
        def worker(n):
            try:
                ws = m / f"staging/w{n}"
                os.mkdir(ws)
                for i in range(rounds):
                    write(f"{ws}/w{n}/f{i}", "x\n")
                    say(ws + "/.onward/commit", f"worker {n} round {i}")
            except Exception as e:
                errors.append((n, e))
        threads = [threading.Thread(target=worker, args=(n,)) for n in range(5)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not errors, errors
        subjects = git(repo, "log", "--format=%s", "main").split("\n")
        for n in range(5):
            for i in range(rounds):
                assert subjects.count(f"worker {n} round {i}") == 1
        assert git(repo, "rev-list", "--count", "--min-parents=2", "main").strip() == "0"
        fsck(repo)


def test_a_checked_out_branch_is_brought_along(dir):
    repo = make_repo(dir + "/w", BASE, bare=False)
    with Mount(dir, repo, options=VIEW) as m:
        ws = m / "staging/w"
        os.mkdir(ws)
        write(ws + "/a.txt", "changed\n")
        say(ws + "/.onward/commit", "one")
        assert read(repo + "/a.txt") == "changed\n"
        assert git(repo, "status", "--porcelain") == ""
        write(repo + "/a.txt", "local work\n")
        write(ws + "/a.txt", "again\n")
        fails(errno.EBUSY, say, ws + "/.onward/commit", "two")
        assert repo in read(ws + "/.onward/outcome")
        assert read(repo + "/a.txt") == "local work\n"


def as_user(uid, f):
    """Runs f() as another user in a child process; the errno that it failed with, or 0."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            f()
            os._exit(0)
        except OSError as e:
            os._exit(e.errno)
        except BaseException:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_workspace_belongs_to_its_user(dir):
    if os.getuid():
        return
    os.chmod(dir, 0o755)
    repo = make_repo(dir + "/r.git", BASE)
    config = 'identities: {61001: "Ann Lee <ann@example.org>"}\n'
    with Mount(dir, repo, config=config, options=VIEW + ["-o", "allow_other"]) as m:
        ws = m / "staging/hers"
        assert as_user(61001, lambda: os.mkdir(ws)) == 0
        assert as_user(61001, lambda: write(ws + "/a.txt", "hers\n")) == 0
        assert os.stat(ws).st_uid == 61001
        for f in (lambda: os.listdir(ws), lambda: read(ws + "/a.txt"), lambda: write(ws + "/a.txt", "x"),
                  lambda: say(ws + "/.onward/commit", "theft"), lambda: say(m / ".onward/ctl", "retry x")):
            assert as_user(61002, f) == errno.EACCES
        assert as_user(61002, lambda: os.rmdir(ws)) in (errno.EPERM, errno.EACCES)
        assert as_user(61002, lambda: read(m / "head/a.txt")) == 0
        assert as_user(61001, lambda: say(ws + "/.onward/commit", "mine")) == 0
        assert git(repo, "log", "-1", "--format=%an <%ae>").strip() == "Ann Lee <ann@example.org>"


def test_a_full_disk_is_enospc_and_nothing_is_lost(dir):
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", dir],
                                     stderr=subprocess.DEVNULL).returncode:
        return
    try:
        repo = make_repo(dir + "/../" + os.path.basename(dir) + "-r.git", BASE)
        try:
            with Mount(dir, repo, options=VIEW, expect="event-lost") as m:
                ws = m / "staging/w"
                os.mkdir(ws)
                write(ws + "/small", "kept\n")
                def fill():
                    with open(ws + "/big", "wb", buffering=0) as f:
                        for i in range(64):
                            f.write(b"x" * 65536)
                fails(errno.ENOSPC, fill)
                os.unlink(ws + "/big")
                assert read(ws + "/small") == "kept\n"
                say(ws + "/.onward/commit", "after the disk was full")
                assert m.read("head/small") == "kept\n"
        except OSError as e:
            if e.errno != errno.ENOTSUP:
                raise
        finally:
            run("rm", "-rf", repo, repo + ".work")
    finally:
        run("umount", "-l", dir)


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

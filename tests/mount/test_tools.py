#!/usr/bin/env python3
"""The tools that people point at a workspace, each run there and on a twin directory of the local disk.

A tool must say the same on both sides and end alike, and leave the same behind: names, kinds, modes, bytes,
targets, and nothing of its own (swap files, probes). Then the workspace's `changes` must be what Git finds
changed in the twin, `diff` a patch that leads from the base to the twin, and the commit the twin's tree.
"""

import contextlib
import os
import shutil
import stat
import subprocess
import sys

try:
    import sqlite3
except ImportError:     # a Python that was built without
    sqlite3 = None

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import onwardtest
from onwardtest import ENV, Mount, git, make_repo, read, run, write
from test_staging import say
from test_views import VIEW

BASE = {
    "app.conf": "port = 80\nhost = a\n" * 50, "d/b.txt": "two\n", "d/c.yaml": "k: v\n", "d/e/f.txt": "deep\n",
    "bin/x.sh": "#!/bin/sh\necho x\n", "notes": "one\ntwo\nthree\n", "in.txt": "source\n",
    "Makefile": "all: out.txt\nout.txt: in.txt\n\tcp in.txt out.txt\n",
}


def need(*tools):
    """True if they are there; else says which are not."""
    absent = [t for t in tools if not (globals()[t] if t == "sqlite3" else shutil.which(t))]
    if absent:
        print(f"# SKIP a part: {', '.join(absent)} not installed", flush=True)
    return not absent


class Pair:
    """A workspace and its twin, both at the same base."""

    def __init__(self, m, repo, name):
        self.repo, self.sides = repo, (m / ("staging/" + name), f"{m.dir}/twin-{name}")
        self.git_dir = f"{m.dir}/twin-{name}.git"
        self.ws, self.twin = self.sides
        os.mkdir(self.ws)
        run("git", "clone", "-q", "--bare", repo, self.git_dir)
        os.mkdir(self.twin)
        self.twin_git("read-tree", "main")
        self.twin_git("checkout-index", "-a")
        time = os.stat(self.ws + "/notes").st_mtime_ns
        for path in self.names(self.twin):
            os.utime(os.path.join(self.twin, path), ns=(time, time), follow_symlinks=False)
        self.same()

    def twin_git(self, *args):
        return run("git", "-c", "core.bare=false", *args, cwd=self.twin,
                   env={"GIT_DIR": self.git_dir, "GIT_WORK_TREE": self.twin})

    def run(self, *command, say_the_same=True, **kw):
        """On both sides; the output, with the side's own path as `.`."""
        answers = []
        for side in self.sides:
            p = run(*(c.replace("@", side) for c in command), cwd=side, check=False, **kw)
            answers.append((p.returncode, (p.stdout + p.stderr).replace(side, ".")))
        if say_the_same:
            assert answers[0] == answers[1], f"{command}\nworkspace: {answers[0]}\ntwin: {answers[1]}"
        assert answers[0][0] == 0, f"{command}: {answers[0]}"
        return answers[0][1]

    def names(self, side):
        return sorted(os.path.relpath(os.path.join(top, n), side)
                      for top, dirs, files in os.walk(side) for n in dirs + files)

    def describe(self, side, path, times):
        full = os.path.join(side, path)
        st = os.lstat(full)
        what = [oct(st.st_mode)]
        if stat.S_ISLNK(st.st_mode):
            what.append(os.readlink(full))
        elif stat.S_ISREG(st.st_mode):
            with open(full, "rb") as f:
                what.append(f.read())
            what.append(st.st_size)
        if path in times:
            what.append(st.st_mtime_ns)
        return what

    def same(self, times=()):
        """Everything that can be seen, and the mtime of the paths in `times`."""
        ours, twins = (self.names(s) for s in self.sides)
        assert ours == twins, f"only in one: {sorted(set(ours) ^ set(twins))}"
        for path in ours:
            a, b = (self.describe(s, path, times) for s in self.sides)
            assert a == b, f"{path}: {a!r:.300}, twin {b!r:.300}"

    def settle(self, message, times=()):
        """What the tool did is what changes, diff and the commit say."""
        self.same(times)
        before = git(self.repo, "rev-parse", "main").strip()
        self.twin_git("add", "-A", "-f", ".")
        tree = self.twin_git("write-tree").strip()
        raw = self.twin_git("-c", "core.quotePath=false", "diff", "--cached", "--no-renames", "--name-status", before)
        changes = raw.replace("\t", " ")
        assert sorted(read(self.ws + "/.onward/changes").splitlines()) == sorted(changes.splitlines()), \
            f"changes:\n{read(self.ws + '/.onward/changes')}git's:\n{changes}"
        patch = run("cat", self.ws + "/.onward/diff", stdin=b"")
        env = {"GIT_INDEX_FILE": self.git_dir + "/patched"}
        git(self.git_dir, "read-tree", before, env=env)
        run("git", "apply", "--check", "--cached", "-", cwd=self.git_dir, stdin=patch, env=env)
        run("git", "apply", "--cached", "-", cwd=self.git_dir, stdin=patch, env=env)
        assert git(self.git_dir, "write-tree", env=env).strip() == tree, "the patch leads elsewhere"
        say(self.ws + "/.onward/commit", message)
        assert git(self.repo, "rev-parse", "main^{tree}").strip() == tree
        assert read(self.ws + "/.onward/changes") == ""
        git(self.git_dir, "fetch", "-q", self.repo, "main:main")
        for path in self.names(self.twin):  # what Git does not keep is as after a checkout
            full = os.path.join(self.twin, path)
            if not os.path.islink(full):
                os.chmod(full, 0o755 if os.path.isdir(full) or os.stat(full).st_mode & 0o100 else 0o644)
        self.same()


@contextlib.contextmanager
def pair(dir, files=None, name="w"):
    os.umask(0o022)
    repo = make_repo(dir + "/r.git", {**BASE, **(files or {})})
    with Mount(dir, repo, options=VIEW) as m:
        yield Pair(m, repo, name)


def test_vim(dir):
    vim = shutil.which("vim") or shutil.which("vim.tiny")
    if not vim and not need("vim"):
        return
    with pair(dir) as p:
        def edit(file, *sets):
            sets = [word for s in sets for word in ("--cmd", "set " + s)]
            p.run(vim, "-es", "-N", "-u", "NONE", *sets, "-c", "norm Goadded", "-c", "wq", file)
        for sets in (["nobackup", "nowritebackup", "noswapfile"], ["backup", "swapfile"],
                     ["writebackup", "backupcopy=no"], ["writebackup", "backupcopy=yes", "swapfile"],
                     ["backup", "backupcopy=auto", "patchmode=.orig"]):
            edit("d/b.txt", *sets)
            edit("bin/x.sh", *sets)
            edit("new-" + "-".join(sets).replace("=", "."), *sets)
        assert read(p.ws + "/d/b.txt") == "two\n" + "added\n" * 5
        os.symlink("app.conf", p.ws + "/link")
        os.symlink("app.conf", p.twin + "/link")
        edit("link", "backup")
        p.settle("vim")


def test_stream_editors(dir):
    with pair(dir) as p:
        p.run("sed", "-i", "s/80/8080/", "app.conf", "notes")
        p.run("sed", "-i.bak", "s/two/2/", "d/b.txt")
        p.run("ln", "-s", "d/c.yaml", "link.yaml")
        p.run("sed", "-i", "--follow-symlinks", "s/v/w/", "link.yaml")
        p.run("sh", "-c", "sort -r -o notes notes; tee -a d/e/f.txt <notes >/dev/null; truncate -s -3 in.txt")
        if need("perl"):
            p.run("perl", "-pi", "-e", "s/host/name/", "app.conf", "bin/x.sh")
            p.run("perl", "-pi.orig", "-e", "s/k/key/", "d/c.yaml")
        p.settle("stream editors")


def test_patch_and_git_apply(dir):
    diff = ("--- a/notes\n+++ b/notes\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
            "--- a/d/b.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-two\n"
            "--- /dev/null\n+++ b/new/dir/file\n@@ -0,0 +1 @@\n+made\n")
    renames = ("diff --git a/d/e/f.txt b/moved/f.txt\nsimilarity index 100%\n"
               "rename from d/e/f.txt\nrename to moved/f.txt\n"
               "diff --git a/in.txt b/in.txt\nold mode 100644\nnew mode 100755\n"
               "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+notes\n"
               "\\ No newline at end of file\n")
    with pair(dir) as p:
        if need("patch"):
            p.run("patch", "-p1", "-E", stdin=diff)
            p.run("patch", "-p1", "-R", "-E", "-b", stdin=diff)
        p.run("git", "apply", "-", stdin=renames)
        for side in p.sides:
            out = run("git", "diff", "--no-index", "--stat", p.sides[1] + "/in.txt", side + "/app.conf", check=False)
            assert out.returncode == 1 and "1 file changed" in out.stdout, out.stderr
        p.settle("patches")


def test_git_with_its_directory_elsewhere(dir):
    with pair(dir) as p:
        def in_both(*args):
            answers = []
            for i, side in enumerate(p.sides):
                env = {"GIT_DIR": f"{dir}/side{i}.git", "GIT_WORK_TREE": side}
                answers.append(run("git", "-c", "core.bare=false", *args, cwd=side, env=env))
            assert answers[0] == answers[1], answers
            return answers[0]
        for i in range(2):
            run("git", "clone", "-q", "--bare", p.repo, f"{dir}/side{i}.git")
        in_both("reset", "-q", "--mixed")
        assert in_both("status", "--porcelain") == ""
        p.run("sh", "-c", "echo x >>notes; rm d/b.txt; chmod +x in.txt; echo n >fresh")
        assert in_both("status", "--porcelain") == " D d/b.txt\n M in.txt\n M notes\n?? fresh\n"
        in_both("add", "-A")
        in_both("stash", "-q")
        assert in_both("status", "--porcelain") == ""
        p.same()
        in_both("stash", "pop", "-q")
        in_both("checkout", "-q", "--", "notes")
        in_both("mv", "d/e", "d/g")
        in_both("clean", "-q", "-fd")
        p.settle("git")


def test_rsync(dir):
    if not need("rsync"):
        return
    with pair(dir) as p:
        src = dir + "/src"
        for i in range(30):
            write(f"{src}/s{i % 3}/f{i}", f"{i}\n" * i, 0o755 if i % 7 == 0 else 0o640)
            os.utime(f"{src}/s{i % 3}/f{i}", ns=(10**18 + i, 10**18 + i * 1001))
        os.symlink("../s1/f1", src + "/s0/link")
        os.utime(src + "/s0/link", ns=(10**18, 10**18), follow_symlinks=False)
        for top in ("s0", "s1"):   # rsync leaves what differs by less than a second
            os.utime(f"{src}/{top}", ns=(10**18, 10**18 + 3))
        sync = lambda *args: p.run("rsync", "-ai", *args, src + "/", "@/synced/")
        sync()
        assert sync() == "", "the second run transfers something"
        p.same({f"synced/s{i % 3}/f{i}" for i in range(30)} | {"synced/s0/link", "synced/s0", "synced/s1"})
        os.unlink(src + "/s0/f3")
        write(src + "/s1/f1", "changed\n")
        out = sync("--delete")
        assert "*deleting" in out and len(out.splitlines()) == 3, out
        with open(src + "/s2/f29", "a") as f:
            f.write("more\n")
        sync("--inplace", "--no-whole-file")
        with open(src + "/s2/f26", "a") as f:
            f.write("more\n")
        sync("--append", "--checksum")
        assert sync("--delete", "--checksum") == ""
        p.run("rsync", "-a", "--delete", "--backup", "--suffix=.old", src + "/s1/", "@/d/")
        p.run("rsync", "-a", "--remove-source-files", "@/bin/", "@/bin2/")
        p.settle("rsync", times={"synced/s2/f29", "d/f1"})


def test_tar_zip_and_copies(dir):
    with pair(dir) as p:
        run("sh", "-c", "mkdir -p s/t; echo 1 >s/a; echo 2 >s/t/b; chmod 750 s/t; chmod 600 s/a; ln -s t/b s/l; "
            "touch -d @1000000000.123456789 s/a s/t/b; touch -h -d @1000000001 s/l; touch -d @1000000002 s/t; "
            "tar cf s.tar s", cwd=dir)
        p.run("tar", "xpf", dir + "/s.tar")
        p.run("tar", "df", dir + "/s.tar")
        stamped = {"s/a", "s/t/b", "s/l", "s/t"}
        p.same(stamped)
        p.run("sh", "-c", f'n="{dir}/$(basename "$PWD").tar"; tar cf "$n" * && tar df "$n" && mkdir again && '
              'tar xf "$n" -C again')
        p.run("cp", "-a", dir + "/s", "copied")
        p.run("cp", "-a", "d", "d2")
        p.run("cp", "-rp", "--reflink=auto", "--sparse=always", "app.conf", "app2.conf")
        p.run("cp", "-f", "app.conf", "notes")
        p.run("cp", "--backup=numbered", "in.txt", "d/b.txt")
        p.run("install", "-m", "750", "in.txt", "installed")
        p.run("install", "-D", "-m", "644", "in.txt", "made/by/install")
        p.run("dd", "if=in.txt", "of=app.conf", "conv=notrunc", "seek=3", "bs=10", "status=none")
        p.run("dd", "if=/dev/zero", "of=app2.conf", "bs=1000", "count=1", "seek=9", "status=none", "conv=fsync")
        if need("zip", "unzip"):
            p.run("zip", "-qr", dir + "/z.zip", "d", say_the_same=False)
            p.run("unzip", "-q", dir + "/z.zip", "-d", "unzipped")
            p.run("unzip", "-qo", dir + "/z.zip")
            p.run("zip", "-qr", "inside.zip", "d")
            for side in p.sides:   # its bytes hold times of access
                os.unlink(side + "/inside.zip")
        p.settle("archives and copies", times=stamped | {f"copied/{n[2:]}" for n in stamped})


def test_moves(dir):
    with pair(dir) as p:
        write(dir + "/out/side", "from outside\n")
        p.run("sh", "-c", "mv notes renamed; mv d/b.txt .; mv d moved; mv moved/e bin; mv -n in.txt bin; mkdir d; "
              "mv bin d; mv -T d/bin/e e; mv app.conf e/f.txt")
        p.run("mv", "--backup=simple", "renamed", "e/f.txt")
        for side in p.sides:
            shutil.copytree(dir + "/out", dir + "/out2")
            run("mv", dir + "/out2", side + "/came")
            run("mv", side + "/e", dir + "/went")
            shutil.rmtree(dir + "/went")
        p.settle("moves")


def test_a_directory_is_not_moved_out_by_mistake(dir):
    """Beside the workspaces it would be copied into a new one, all of the base in it, and be gone here."""
    with pair(dir) as p:
        staging = os.path.dirname(p.ws)
        for name in ("d", "notes"):
            out = run("mv", name, "..", cwd=p.ws, check=False)
            assert out.returncode and "not permitted" in out.stderr, out
        assert os.listdir(staging) == ["w"]
        p.same()
        os.mkdir(staging + "/other")
        run("mv", "d", staging + "/other/moved", cwd=p.ws)
        assert read(staging + "/other/moved/e/f.txt") == "deep\n" and not os.path.exists(p.ws + "/d")


def test_copies_of_a_revision(dir):
    """Its files are read-only and carry attributes."""
    with pair(dir) as p:
        head = os.path.dirname(os.path.dirname(p.ws)) + "/head"
        assert p.run("cp", "-a", head + "/d", "@/cp") == ""
        assert p.run("cp", "-a", head + "/.", "@/all") == ""
        for side in p.sides:
            shutil.copytree(head + "/", side + "/tree", symlinks=True)
        p.run("chmod", "-R", "u+w", ".")
        p.settle("copies of head", times={"cp/b.txt", "cp/e/f.txt", "tree/notes"})
        p.run("rm", "-r", "tree", "all", "cp")
        p.settle("and away")


def database(path, journal, name, count):
    """What another process does with the database: a row a transaction."""
    return (f"import sqlite3; c = sqlite3.connect({path!r}, timeout=60); c.execute('pragma journal_mode={journal}')\n"
            f"for i in range({count}):\n"
            f"    with c: c.execute('insert into t values (?, ?)', ({name!r}, 'x' * i * 20))\n"
            "c.close()\n")


def test_databases(dir):
    if not need("sqlite3"):
        return
    with pair(dir) as p:
        for journal in ("delete", "truncate", "persist", "wal"):
            path = f"{p.ws}/{journal}.db"
            with contextlib.closing(sqlite3.connect(path)) as c:
                c.execute(f"pragma journal_mode={journal}")
                c.execute("pragma mmap_size=1000000")
                c.execute("create table t (who, what)")
                c.commit()
                both = [subprocess.Popen([sys.executable, "-c", database(path, journal, n, 40)]) for n in "ab"]
                assert [b.wait(100) for b in both] == [0, 0]
                assert c.execute("select who, count(*) from t group by who").fetchall() == [("a", 40), ("b", 40)]
                c.execute("delete from t where who = 'a'")
                c.commit()
                c.execute("vacuum")
                assert c.execute("pragma integrity_check").fetchall() == [("ok",)]
            shutil.copy(path, p.twin)
        left = sorted(n for n in os.listdir(p.ws) if ".db-" in n)
        assert left == ["persist.db-journal", "truncate.db-journal"], left
        for name in left:
            os.unlink(p.ws + "/" + name)
        p.settle("databases")
        run("sh", "-c", f"git -C {p.repo} show main:wal.db >{dir}/out.db")
        with contextlib.closing(sqlite3.connect(dir + "/out.db")) as c:
            assert c.execute("select who, count(*) from t group by who").fetchall() == [("b", 40)]


def test_two_shells_and_locks(dir):
    with pair(dir) as p:
        def together(*scripts):
            running = [subprocess.Popen(["sh", "-ec", s], cwd=side, env=ENV) for s in scripts]
            assert [r.wait(100) for r in running] == [0] * len(scripts)
        for side in p.sides:
            together("for i in $(seq 60); do echo $i >d/x$i.tmp; mv d/x$i.tmp d/x$i; ls d >/dev/null; done",
                     "for i in $(seq 60); do echo $i >>d/log; cp d/log d/copy; mv d/copy d/b.txt; done",
                     "for i in $(seq 60); do mkdir d/t$i; echo a >d/t$i/f; mv d/t$i d/u; rm -r d/u; done")
            if need("flock"):
                count = "for i in $(seq 40); do flock n.lock sh -c 'read n <n; echo $((n + 1)) >n'; done"
                write(side + "/n", "0\n")
                together(count, count, count)
                assert read(side + "/n") == "120\n"
        p.settle("two shells")


def test_make(dir):
    if not need("make"):
        return
    with pair(dir) as p:
        assert "cp in.txt out.txt" in p.run("make")
        assert "cp" not in p.run("make")
        p.run("touch", "-d", "+1 min", "in.txt")
        assert "cp in.txt out.txt" in p.run("make")
        p.settle("make")
        assert "cp" not in run("make", cwd=p.ws), "after a commit all is as old as the revision"


def test_find_diff_grep_du(dir):
    with pair(dir) as p:
        p.run("touch", "-d", "-1 min", "mark")
        p.run("sh", "-c", "echo new >d/newer; echo more >>notes")
        assert p.run("sh", "-c", "find . -type f -newer mark | sort") == "./d/newer\n./notes\n"
        assert p.run("sh", "-c", "grep -rn o . | sort").count("\n") > 100
        p.run("sh", "-c", "du -ab . | grep -v '\\.$' | sort -k2 | while read n f; do [ -d $f ] || echo $n $f; done")
        assert int(run("du", "-s", p.ws).split()[0]) > 0
        assert run("diff", "-r", "--no-dereference", *p.sides) == ""
        assert p.run("sh", "-c", "find . -name '*.txt' -exec wc -c {} + | sort")
        p.run("find", ".", "-name", "*.yaml", "-delete")
        p.run("sh", "-c", "find d -depth -type d -empty -delete; find . -type f -perm -100 -exec chmod -x {} +")
        p.settle("find")


def test_how_editors_save(dir):
    def rename_over(side):
        with open(side + "/.notes.new", "w") as f:
            f.write("by rename\n")
            os.fsync(f.fileno())
        shutil.copystat(side + "/notes", side + "/.notes.new")
        os.replace(side + "/.notes.new", side + "/notes")

    def backup_and_write(side):
        os.rename(side + "/app.conf", side + "/app.conf~")
        write(side + "/app.conf", "new content\n", 0o644)

    def unlink_and_create(side):
        os.unlink(side + "/d/b.txt")
        fd = os.open(side + "/d/b.txt", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, b"created again\n")
        os.close(fd)

    def in_place(side):
        with open(side + "/in.txt", "r+") as f:
            f.write("S")
            f.truncate(3)

    def exchange_with_reader(side):
        """Who reads the old one goes on with it."""
        with open(side + "/d/e/f.txt") as old:
            write(side + "/d/e/f.new", "new\n")
            os.replace(side + "/d/e/f.new", side + "/d/e/f.txt")
            assert old.read() == "deep\n"

    with pair(dir) as p:
        for save in (rename_over, backup_and_write, unlink_and_create, in_place, exchange_with_reader):
            for side in p.sides:
                save(side)
            p.same()
        p.settle("saves", times={"notes"})


PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {{port: 8080}}
  tasks:
    - copy: {{content: "copied\\n", dest: {0}/copied, mode: "0644"}}
    - copy: {{src: {0}/bin/x.sh, dest: {0}/app.copy, mode: preserve, backup: true}}
    - template: {{src: {1}/t.j2, dest: {0}/d/templated, mode: "0755"}}
    - lineinfile: {{path: {0}/notes, regexp: "^two", line: "zwei"}}
    - blockinfile: {{path: {0}/app.conf, block: "a = 1\\nb = 2"}}
    - replace: {{path: {0}/in.txt, regexp: "source", replace: "target"}}
    - file: {{path: {0}/made/dir, state: directory, mode: "0755"}}
    - file: {{path: {0}/made/dir/touched, state: touch, mode: "0600",
             modification_time: preserve, access_time: preserve}}
    - file: {{path: {0}/link, src: notes, state: link}}
    - file: {{path: {0}/d/b.txt, state: absent}}
    - file: {{path: {0}/bin, mode: "u=rwX,go=rX", recurse: true}}
"""


def test_ansible(dir):
    if not need("ansible-playbook"):
        return
    env = {"ANSIBLE_LOCAL_TEMP": dir + "/a", "ANSIBLE_REMOTE_TEMP": dir + "/a", "ANSIBLE_NOCOLOR": "1",
           "ANSIBLE_LOCALHOST_WARNING": "0", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0", "HOME": dir}
    with pair(dir) as p:
        write(dir + "/t.j2", "port = {{ port }}\n")
        for side, rounds in ((p.ws, (10, 0)), (p.twin, (10,))):
            write(dir + "/play.yml", PLAYBOOK.format(side, dir))
            for changed in rounds:
                out = run("ansible-playbook", dir + "/play.yml", env=env)
                assert f"changed={changed} " in out and "failed=0" in out, out
        p.settle("ansible")


if __name__ == "__main__":
    onwardtest.main(sys.modules[__name__])

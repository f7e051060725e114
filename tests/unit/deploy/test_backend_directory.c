/* The directory backend: what it leaves on the disk, over crashes, tampering and strangers. */
#include "fixture.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "deploy/drift_patch.h"

struct place {
    struct fixture *f;
    struct site *site;
    struct backend_config config;
    struct backend *backend;
};

static void place_init(struct place *p, struct fixture *f)
{
    *p = (struct place){.f = f, .site = site_new()};
    p->config = (struct backend_config){.name = "files", .kind = BACKEND_DIRECTORY, .keep = 3};
    p->config.directory = xasprintf("%s/out/{team}/{site}", f->dir);
    assert_int_equal(backend_new(&p->config, f->repo, &p->backend, NULL), 0);
    test_write_file(f->work, "stores/1/app", "one\n");
    test_write_file(f->work, "common/shared", "all\n");
    test_write_file(f->work, "secret/other", "not theirs\n");
}

static void place_done(struct place *p)
{
    backend_free(p->backend);
    free(p->config.directory);
    site_free(p->site);
}

static struct backend_result call(struct place *p, enum backend_verb verb, const struct oid *rev)
{
    struct backend_request request = make_request(p->f, p->site, rev);
    struct backend_result result;

    request.verb = verb;
    backend_call(p->backend, &request, &result);
    return result;
}

static struct backend_result apply(struct place *p, const struct oid *rev)
{
    return call(p, VERB_APPLY, rev);
}

/* Observes; `message` NULL: it is as it was deployed. */
static void assert_observed(struct place *p, const struct oid *rev, const char *message)
{
    struct backend_result r = call(p, VERB_OBSERVE, rev);

    if (r.end != (message ? BACKEND_DRIFTED : BACKEND_DONE) ||
        (message && strcmp(r.message, message) != 0))
        fail_msg("%s: %s, not %s", backend_end_name(r.end), r.message, message);
    backend_result_done(&r);
}

static void assert_applies(struct place *p, const struct oid *rev)
{
    struct backend_result r = apply(p, rev);

    if (r.end != BACKEND_DONE)
        fail_msg("%s: %s", backend_end_name(r.end), r.message);
    backend_result_done(&r);
}

static void assert_ends(struct place *p, const struct oid *rev, enum backend_end end,
                        const char *message)
{
    struct backend_result r = apply(p, rev);

    if (r.end != end || !strstr(r.message, message))
        fail_msg("%s: %s", backend_end_name(r.end), r.message);
    backend_result_done(&r);
}

/* `current` is this revision, and exactly what git has of it. */
static void assert_current(struct place *p, const struct oid *rev)
{
    char hex[OID_HEX + 1];

    oid_hex(rev, hex);
    test_run(p->f->dir,
             "test \"$(readlink out/retail/store-1/current)\" = %s && rm -rf want && mkdir want && "
             "git -C work archive %s stores/1 common | tar x -C want && "
             "diff -r --no-dereference want out/retail/store-1/current/ && "
             "test ! -L $(readlink -f out/retail/store-1)/%s && test -z \"$(find out -name '.new*' "
             "-o -name '.old*')\"",
             hex, hex, hex);
}

static void test_inputs_are_published_at_their_paths(void **state)
{
    struct place p;

    place_init(&p, *state);
    struct oid rev = add_revision(p.f, "one");
    assert_applies(&p, &rev);
    assert_current(&p, &rev);
    place_done(&p);
}

static void test_the_newest_versions_are_kept_and_reused(void **state)
{
    struct place p;
    struct oid revs[5];

    place_init(&p, *state);
    for (int i = 0; i < 5; i++) {
        _cleanup_free_ char *text = xasprintf("version %d\n", i);
        test_write_file(p.f->work, "stores/1/app", text);
        revs[i] = add_revision(p.f, "next");
        assert_applies(&p, &revs[i]);
        assert_current(&p, &revs[i]);
    }
    test_run(p.f->dir, "test $(ls out/retail/store-1 | grep -vc current) = 3");
    _cleanup_free_ char *before =
        test_output(p.f->dir, "stat -c %%i out/retail/store-1/$(git -C work rev-parse HEAD~2)");
    assert_applies(&p, &revs[2]); /* back to one that is there: the same files */
    assert_current(&p, &revs[2]);
    _cleanup_free_ char *after = test_output(p.f->dir, "stat -Lc %%i out/retail/store-1/current");
    assert_string_equal(before, after);
    assert_applies(&p, &revs[0]); /* 2 was in force a moment ago, so 3 goes before it does */
    assert_current(&p, &revs[0]);
    test_run(p.f->dir, "cd out/retail/store-1 && test -d $(git -C ../../../work rev-parse HEAD~2)");
    test_run(p.f->dir,
             "cd out/retail/store-1 && ! test -e $(git -C ../../../work rev-parse HEAD~1)");
    place_done(&p);
}

static void test_one_version_is_enough(void **state)
{
    struct place p;

    place_init(&p, *state);
    p.config.keep = 1;
    for (int i = 0; i < 3; i++) {
        struct oid rev = add_revision(p.f, "again");
        assert_applies(&p, &rev);
        assert_current(&p, &rev);
        test_run(p.f->dir, "test $(ls out/retail/store-1 | wc -l) = 2");
    }
    place_done(&p);
}

/* P7: a version that somebody changed, or that a crash left incomplete, is not taken for good. */
static void test_a_tampered_version_is_replaced(void **state)
{
    static const char *const tricks[] = {
        "echo evil >current/stores/1/app",
        "rm current/common/shared",
        "touch current/extra",
        "chmod -R 777 current/stores",
        "v=$(readlink current) && rm -rf $v && ln -s /etc $v",
        "v=$(readlink current) && rm -rf $v && echo file >$v",
        "v=$(readlink current) && rm -rf $v && mkdir $v",
        "v=$(readlink current) && mv $v copy && ln -s copy $v",
        "rm current",
        "ln -sfn /etc current",
        "mkdir .new-$(readlink current) && touch .new-$(readlink current)/left .new-current",
        "mkdir .old-$(readlink current) && touch .old-$(readlink current)/left",
        "ln -s /etc .new-$(readlink current)",
    };
    struct place p;

    place_init(&p, *state);
    struct oid rev = add_revision(p.f, "one");
    for (size_t i = 0; i < ARRAY_SIZE(tricks); i++) {
        assert_applies(&p, &rev);
        test_run(p.f->dir, "cd out/retail/store-1 && %s", tricks[i]);
        assert_applies(&p, &rev);
        assert_current(&p, &rev);
    }
    test_run("/etc", "test -e passwd");
    place_done(&p);
}

/* Every way of not being as it was deployed is found, named, left alone, and mended by an apply. */
static void test_drift_is_named_and_healed(void **state)
{
    static const struct {
        const char *trick, *message;
    } drifts[] = {
        {"echo evil >current/stores/1/app", "1 differs: stores/1/app (content)"},
        {"rm current/common/shared", "1 differs: common/shared (missing)"},
        {"rm -r current/common", "1 differs: common (missing)"},
        {"touch current/extra", "1 differs: extra (extra)"},
        {"mkdir current/stores/2 && touch current/stores/2/x", "1 differs: stores/2 (extra)"},
        {"chmod 600 current/stores/1/app", "1 differs: stores/1/app (mode)"},
        {"chmod 775 current/stores", "1 differs: stores (mode)"},
        {"chmod 700 current/.", "1 differs: . (mode)"},
        {"ln -sfn ../.. current/stores/1/link", "1 differs: stores/1/link (target)"},
        {"ln -sf /etc/passwd current/stores/1/app", "1 differs: stores/1/app (kind)"},
        {"rm current/stores/1/app && mkfifo current/stores/1/app",
         "1 differs: stores/1/app (kind)"},
        {"rm -r current/common && touch current/common", "1 differs: common (kind)"},
        {"rm current", "1 differs: current (missing)"},
        {"ln -sfn /etc current", "1 differs: current (target)"},
        {"rm current && touch current", "1 differs: current (kind)"},
        {"rm current && mkdir -p current/data", "1 differs: current (kind)"},
        {"rm .onward", "1 differs: .onward (missing)"},
        {": >.onward", "1 differs: .onward (content)"},
        {"touch \"$(printf 'current/a\\nb')\"", "1 differs: a\\nb (extra)"},
        {"cd current && rm common/shared stores/1/link && chmod +x stores/1/app && touch z",
         "4 differ: common/shared (missing), stores/1/app (mode), stores/1/link (missing), …"},
    };
    struct place p;

    place_init(&p, *state);
    test_run(p.f->work, "ln -s elsewhere stores/1/link");
    struct oid rev = add_revision(p.f, "one");
    for (size_t i = 0; i < ARRAY_SIZE(drifts); i++) {
        assert_applies(&p, &rev);
        assert_observed(&p, &rev, NULL);
        test_run(p.f->dir, "cd out/retail/store-1 && %s", drifts[i].trick);
        for (int twice = 0; twice < 2; twice++)
            assert_observed(&p, &rev, drifts[i].message);
    }
    assert_applies(&p, &rev);
    assert_current(&p, &rev);
    assert_observed(&p, &rev, NULL);
    place_done(&p);
}

/* What is shown of a drift is a patch that makes it, from the same files, and takes it back. */
static void test_drift_is_a_patch(void **state)
{
    static const struct {
        const char *trick, *says;
    } drifts[] = {
        {"echo evil >>current/stores/1/app", "\n+evil\n"},
        {"rm current/common/shared; chmod +x current/stores/1/app", "deleted file mode 100644\n"},
        {"printf 'a\\0b' >current/stores/1/bin; ln -sfn x current/stores/1/link",
         "GIT binary patch\n"},
        {"rm current/stores/1/link; echo 1 >current/stores/1/link; : >'current/q\"\tq'",
         "new file mode"},
    };
    struct place p;

    place_init(&p, *state);
    test_run(p.f->work, "ln -s elsewhere stores/1/link");
    struct oid rev = add_revision(p.f, "one");
    for (size_t i = 0; i < ARRAY_SIZE(drifts); i++) {
        assert_applies(&p, &rev);
        test_run(p.f->dir,
                 "rm -rf twin; cp -a out/retail/store-1/current/. twin; cd twin; git init -q .");
        test_run(p.f->dir, "cd out/retail/store-1 && %s", drifts[i].trick);
        struct backend_result result = call(&p, VERB_OBSERVE, &rev);
        assert_int_equal(result.end, BACKEND_DRIFTED);
        assert_non_null(strstr(buf_str(&result.log), drifts[i].says));
        test_write_file(p.f->dir, "patch", buf_str(&result.log));
        backend_result_done(&result);
        test_run(p.f->dir, "umask 022; cd twin; git apply ../patch; rm -r .git; mkdir -p common;"
                           "diff -r --no-dereference . ../out/retail/store-1/current/");
        test_run(p.f->dir, "umask 022; cd out/retail/store-1/current/ && git init -q . && git "
                           "apply -R ../../../../patch;"
                           "rm -r .git");
        assert_observed(&p, &rev, NULL);
    }
    place_done(&p);
}

static void test_what_a_drift_does_not_show(void **state)
{
    struct place p;

    place_init(&p, *state);
    struct oid rev = add_revision(p.f, "one");
    assert_applies(&p, &rev);
    test_run(p.f->dir,
             "cd out/retail/store-1/current; echo hidden >key; chmod 600 key; mkfifo pipe; mkdir d;"
             "truncate -s 2M large; ln -s /etc/shadow link; touch git~1; chmod 640 stores/1/app");
    struct backend_result result = call(&p, VERB_OBSERVE, &rev);
    assert_int_equal(result.end, BACKEND_DRIFTED);
    const char *log = buf_str(&result.log);
    assert_null(strstr(log, "hidden"));
    assert_null(strstr(log, "+root:"));
    assert_non_null(strstr(log, "\n# key: not shown: not everybody may read it\n"));
    assert_non_null(strstr(log, "\n# stores/1/app: not shown: not everybody may read it\n"));
    assert_non_null(strstr(log, "\n# large: not shown: it is too large\n"));
    assert_non_null(strstr(log, "\n# pipe: not shown: it is no file\n"));
    assert_non_null(strstr(log, "\n+/etc/shadow\n"));
    test_run(p.f->dir,
             "cd out/retail/store-1/current; for i in $(seq 300); do seq 2000 >f$i; done");
    backend_result_done(&result);
    result = call(&p, VERB_OBSERVE, &rev);
    assert_in_range(result.log.len, DRIFT_PATCH_MOST / 2, DRIFT_PATCH_MOST + 60000);
    assert_non_null(strstr(buf_str(&result.log), ": not shown: the patch would be too large\n"));
    assert_non_null(strstr(buf_str(&result.log), "\n# not more is shown\n"));
    backend_result_done(&result);
    place_done(&p);
}

static void test_observing_makes_nothing(void **state)
{
    struct place p;

    place_init(&p, *state);
    struct oid rev = add_revision(p.f, "one");
    _cleanup_free_ char *missing =
        xasprintf("1 differs: %s/out/retail/store-1 (missing)", p.f->dir);
    assert_observed(&p, &rev, missing);
    test_run(p.f->dir, "test ! -e out && mkdir -p out/retail/store-1");
    struct backend_result r = call(&p, VERB_OBSERVE, &rev);
    assert_int_equal(r.end, BACKEND_DRIFTED);
    assert_non_null(strstr(r.log.data, "missing .onward\nmissing current\n"));
    backend_result_done(&r);
    test_run(p.f->dir, "test -z \"$(ls -A out/retail/store-1)\"");
    place_done(&p);
}

/* P11: who can write beside the sites' directories cannot have the daemon write anywhere else. */
static void test_a_symlink_in_the_way_is_refused(void **state)
{
    static const char *const links[] = {"out/retail", "out/retail/store-1"};
    struct place p;

    place_init(&p, *state);
    struct oid rev = add_revision(p.f, "one");
    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        test_run(p.f->dir,
                 "rm -rf out && mkdir -p out/retail && rm -rf %s && mkdir -p elsewhere "
                 "&& ln -s %s/elsewhere %s",
                 links[i], p.f->dir, links[i]);
        assert_ends(&p, &rev, BACKEND_STALLED, "in the way");
        struct backend_result r = call(&p, VERB_OBSERVE, &rev);
        assert_int_equal(r.end, BACKEND_STALLED);
        backend_result_done(&r);
        test_run(p.f->dir, "test -z \"$(ls -A elsewhere)\"");
    }
    place_done(&p);
}

/* What a crash left complete before it was in force takes nobody's place among those kept. */
static void test_only_versions_that_were_in_force_are_kept(void **state)
{
    struct place p;
    struct oid revs[3];

    place_init(&p, *state);
    p.config.keep = 9;
    for (int i = 0; i < 3; i++) {
        if (i == 2)
            test_run(p.f->dir,
                     "mkdir out/retail/store-1/%040d && "
                     "touch -d @0 out/retail/store-1/%040d",
                     1, 1);
        revs[i] = add_revision(p.f, "next");
        assert_applies(&p, &revs[i]);
    }
    test_run(p.f->dir, "cd out/retail/store-1 && test -d $(git -C ../../../work rev-parse HEAD~1) "
                       "&& test $(ls | grep -vc current) = 3");
    place_done(&p);
}

/* The declaration changed, the revision did not (a pin): the same name gets the new content. */
static void test_other_inputs_at_the_same_revision(void **state)
{
    struct place p;

    place_init(&p, *state);
    struct oid rev = add_revision(p.f, "one");
    assert_applies(&p, &rev);
    *VEC_ADD(&p.site->include) = xstrdup("secret");
    assert_applies(&p, &rev);
    test_run(p.f->dir, "test -e out/retail/store-1/current/secret/other");
    free(p.site->include.v[--p.site->include.n]);
    assert_applies(&p, &rev);
    assert_current(&p, &rev);
    place_done(&p);
}

/* P11: names that come from the repository cannot leave the place that the host gave. */
static void test_a_team_cannot_lead_elsewhere(void **state)
{
    static const char *const teams[] = {"..", ".", "", "a/b", "../../etc", "/etc"};
    struct place p;

    place_init(&p, *state);
    struct oid rev = add_revision(p.f, "one");
    for (size_t i = 0; i < ARRAY_SIZE(teams); i++) {
        free(p.site->team);
        p.site->team = xstrdup(teams[i]);
        assert_ends(&p, &rev, BACKEND_STALLED, "cannot name a directory");
    }
    test_run(p.f->dir, "test ! -e out");
    place_done(&p);
}

/* D5 */
static void test_two_sites_do_not_share_a_directory(void **state)
{
    struct place p;

    place_init(&p, *state);
    free(p.config.directory);
    p.config.directory = xasprintf("%s/out/{team}", p.f->dir);
    struct oid rev = add_revision(p.f, "one");
    assert_applies(&p, &rev);
    free(p.site->name);
    p.site->name = xstrdup("store-2");
    assert_ends(&p, &rev, BACKEND_STALLED, "belongs to site store-1");
    place_done(&p);
}

static void test_another_process_is_waited_for(void **state)
{
    struct place p;

    place_init(&p, *state);
    struct oid rev = add_revision(p.f, "one");
    assert_applies(&p, &rev);
    _cleanup_free_ char *path = xasprintf("%s/out/retail/store-1/.onward", p.f->dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_ends(&p, &rev, BACKEND_LATER, "another process");
    close(fd);
    assert_applies(&p, &rev);
    place_done(&p);
}

static void test_what_is_in_the_way_is_named(void **state)
{
    struct place p;

    place_init(&p, *state);
    struct oid rev = add_revision(p.f, "one");
    test_run(p.f->dir, "mkdir -p out/retail/store-1/current/data");
    assert_ends(&p, &rev, BACKEND_STALLED, "not a symlink");
    test_run(p.f->dir, "test -d out/retail/store-1/current/data");
    test_run(p.f->dir, "rm -rf out && touch out");
    assert_ends(&p, &rev, BACKEND_FAILED, "out");
    place_done(&p);
}

static void test_it_stops_when_told_and_leaves_no_part(void **state)
{
    struct place p;

    place_init(&p, *state);
    struct oid rev = add_revision(p.f, "one");
    struct backend_request request = make_request(p.f, p.site, &rev);
    struct backend_result r;
    request.stop_fd = eventfd(1, EFD_CLOEXEC);
    backend_call(p.backend, &request, &r);
    assert_int_equal(r.end, BACKEND_STOPPED);
    close(request.stop_fd);
    backend_result_done(&r);
    request.stop_fd = -1;
    request.timeout = 0;
    backend_call(p.backend, &request, &r);
    assert_int_equal(r.end, BACKEND_TIMEOUT);
    backend_result_done(&r);
    test_run(p.f->dir, "test \"$(ls -A out/retail/store-1)\" = .onward");
    place_done(&p);
}

static void test_an_unreadable_object_fails_and_harms_nothing(void **state)
{
    struct place p;

    place_init(&p, *state);
    struct oid good = add_revision(p.f, "one");
    assert_applies(&p, &good);
    test_write_file(p.f->work, "stores/1/app", "two, and soon gone\n");
    struct oid bad = add_revision(p.f, "two");
    test_run(p.f->work, "o=$(git rev-parse HEAD:stores/1/app) && "
                        "rm -f .git/objects/$(echo $o | cut -c1-2)/$(echo $o | cut -c3-)");
    assert_ends(&p, &bad, BACKEND_FAILED, "stores/1/app");
    assert_current(&p, &good);
    place_done(&p);
}

/* ---- many at once ----------------------------------------------------------------------------
 * The calls by which the backend makes durable what it writes, seen from here. A thread stamps each
 * step with the number of syncs that had begun, of all threads, and of fsyncs, its own: what came
 * before the step is on the disk once a later one has ended. */

enum { CALLS = 12 };

static pthread_barrier_t all_at_once;
static bool watched;
static atomic_int syncs_begun, syncs_ended, unsafe;
static _Thread_local int stamp, fsyncs;

static void step_done(void)
{
    stamp = syncs_begun;
    fsyncs = 0;
}

/* Everything before the last step is on the disk. */
static void step_must_be_safe(void)
{
    unsafe += watched && !fsyncs && syncs_ended <= stamp;
}

int fstatfs(int fd, struct statfs *ret)
{
    int r = syscall(SYS_fstatfs, fd, ret);

    ret->f_type = watched ? EXT4_SUPER_MAGIC : ret->f_type;
    return r;
}

int flock(int fd, int how)
{
    if (watched)
        pthread_barrier_wait(&all_at_once);
    return syscall(SYS_flock, fd, how);
}

int fsync(int fd)
{
    fsyncs++;
    return syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
    int number = ++syncs_begun;

    syncs_ended = number; /* they follow one another */
    return 0;
}

int fchmod(int fd, mode_t mode)
{
    int r = syscall(SYS_fchmod, fd, mode);

    step_done();
    return r;
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    step_must_be_safe(); /* D1 */
    int r = syscall(SYS_renameat2, from, old, to, new, flags);
    step_done();
    return r;
}

int renameat(int from, const char *old, int to, const char *new)
{
    step_must_be_safe(); /* D2 */
    int r = syscall(SYS_renameat2, from, old, to, new, 0);
    step_done();
    return r;
}

struct job {
    struct place *place;
    struct site *site;
    struct oid rev;
    enum backend_end end;
};

static void *publish(void *arg)
{
    struct job *j = arg;
    struct backend_request request = make_request(j->place->f, j->site, &j->rev);
    struct backend_result result;

    backend_call(j->place->backend, &request, &result);
    step_must_be_safe(); /* it is said to be deployed */
    j->end = result.end;
    backend_result_done(&result);
    return NULL;
}

static void test_many_at_once_are_durable_together(void **state)
{
    struct place p;
    struct job jobs[CALLS];
    pthread_t threads[CALLS];

    place_init(&p, *state);
    struct oid rev = add_revision(p.f, "one");
    pthread_barrier_init(&all_at_once, NULL, CALLS);
    watched = true;
    for (int i = 0; i < CALLS; i++) {
        jobs[i] = (struct job){&p, site_new(), rev, BACKEND_FAILED};
        free(jobs[i].site->name);
        jobs[i].site->name = xasprintf("store-%d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, publish, &jobs[i]), 0);
    }
    for (int i = 0; i < CALLS; i++)
        pthread_join(threads[i], NULL);
    watched = false;
    pthread_barrier_destroy(&all_at_once);
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(jobs[i].end, BACKEND_DONE);
        site_free(jobs[i].site);
    }
    assert_int_equal(unsafe, 0);
    assert_true(syncs_begun > 0);
    test_run(p.f->dir, "test $(cat out/retail/*/current/stores/1/app | wc -l) = %d", CALLS);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_inputs_are_published_at_their_paths),
        TEST(test_the_newest_versions_are_kept_and_reused),
        TEST(test_one_version_is_enough),
        TEST(test_a_tampered_version_is_replaced),
        TEST(test_drift_is_named_and_healed),
        TEST(test_drift_is_a_patch),
        TEST(test_what_a_drift_does_not_show),
        TEST(test_observing_makes_nothing),
        TEST(test_a_symlink_in_the_way_is_refused),
        TEST(test_only_versions_that_were_in_force_are_kept),
        TEST(test_other_inputs_at_the_same_revision),
        TEST(test_a_team_cannot_lead_elsewhere),
        TEST(test_two_sites_do_not_share_a_directory),
        TEST(test_another_process_is_waited_for),
        TEST(test_what_is_in_the_way_is_named),
        TEST(test_it_stops_when_told_and_leaves_no_part),
        TEST(test_an_unreadable_object_fails_and_harms_nothing),
        TEST(test_many_at_once_are_durable_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

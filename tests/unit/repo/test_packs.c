#include "pack_fixture.h"
#include "pack_maker.h"
#include "pack_oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"

/* All that git knows is in our packs, and the same. */
static void assert_all_there(struct packs *packs, const char *path)
{
    struct pack_oracle sum = pack_oracle_compare(packs, path);

    assert_int_equal(sum.absent, 0);
    assert_true(sum.objects > 280);
}

static struct oid oid_at(const char *path, const char *rev)
{
    _cleanup_free_ char *hex = test_output(path, "git rev-parse '%s'", rev);
    struct oid oid;

    assert_int_equal(oid_parse(hex, &oid), 0);
    return oid;
}

static int ask(struct packs *packs, const struct oid *oid)
{
    git_object_t type;
    uint64_t size;

    return packs_header(packs, oid, &type, &size);
}

static void test_deltas_by_offset(void **state)
{
    struct packed *f = *state;

    packed_repack(f, true);
    packed_open(f, PACKED_BASES);
    assert_all_there(f->packs, f->path);
}

static void test_deltas_by_id(void **state)
{
    struct packed *f = *state;

    packed_repack(f, false);
    packed_open(f, PACKED_BASES);
    assert_all_there(f->packs, f->path);
}

static void test_no_cache_of_bases(void **state)
{
    struct packed *f = *state;

    packed_repack(f, true);
    packed_open(f, 0);
    assert_all_there(f->packs, f->path);
}

static void test_several_packs(void **state)
{
    struct packed *f = *state;

    test_run(f->path, "old=$(ls objects/pack/*)\n"
                      "for n in 50 40 30 20 10; do\n"
                      "    echo main~$n | git pack-objects -q --revs objects/pack/pack\n"
                      "done\n"
                      "printf 'main\\nv1\\n^main~10\\n' |\n"
                      "    git pack-objects -q --revs objects/pack/pack\n"
                      "rm -f $old");
    packed_open(f, PACKED_BASES);
    assert_all_there(f->packs, f->path);
}

static void test_alternates(void **state)
{
    struct packed *f = *state;

    test_run(f->dir, "git clone -q --bare --shared repo.git outer.git\n"
                     "git clone -q --bare --shared outer.git inner.git\n"
                     "echo ../../outer.git/objects > inner.git/objects/info/alternates\n"
                     "echo $PWD/inner.git/objects > repo.git/objects/info/alternates\n"
                     "for r in outer inner; do cd $r.git\n"
                     "    git update-ref refs/heads/$r $(git commit-tree -m $r main^{tree})\n"
                     "    git repack -q -d -l; cd ..\n"
                     "done");
    _cleanup_free_ char *inner = xasprintf("%s/inner.git", f->dir);
    _cleanup_free_ char *objects = xasprintf("%s/objects", inner);
    _cleanup_(packs_freep) struct packs *packs = packs_new(objects, PACKED_BASES);
    assert_all_there(packs, inner);
}

/* As git made them until 2008. */
static void test_indexes_of_version_1(void **state)
{
    struct packed *f = *state;

    packed_repack(f, true);
    test_run(f->path, "chmod u+w objects/pack/*; for p in objects/pack/*.pack; do\n"
                      "    git index-pack --index-version=1 -o ${p%%.pack}.idx $p; done");
    packed_open(f, PACKED_BASES);
    assert_all_there(f->packs, f->path);
}

/* More than there are descriptors for. */
#define CROWD 500

static size_t open_files(void)
{
    _cleanup_free_ char *n = test_output("/", "ls /proc/%d/fd | wc -l", getpid());

    return strtoul(n, NULL, 10);
}

static void test_more_packs_than_descriptors(void **state)
{
    struct made *f = *state;
    size_t before = open_files();

    for (uint32_t i = 0; i < CROWD; i++) {
        _cleanup_free_ char *name = xasprintf("pack-%u", i);
        pack_maker_blob(&f->m, i, name);
        pack_maker_write(&f->m, f->pack_dir, name);
        pack_maker_done(&f->m);
        pack_maker_init(&f->m);
    }
    f->packs = packs_new(f->dir, 1 << 20);
    assert_in_range(open_files() - before, 390, 410);
    for (uint32_t i = 0; i < CROWD; i++) {
        _cleanup_free_ char *name = xasprintf("pack-%u", i);
        _cleanup_free_ void *data = NULL;
        struct oid oid = made_id(i);
        git_object_t type;
        size_t size;
        assert_int_equal(packed_read(f->packs, &oid, 100, &type, &data, &size), 0);
        assert_string_equal(data, name);
    }
    test_run(f->pack_dir, "rm -f *");
    for (uint32_t i = 0; i < CROWD; i++) {
        struct oid oid = made_id(i);
        assert_in_range(-ask(f->packs, &oid), 0, ENOENT); /* as long as it is open, it is there */
    }
    struct oid oid = made_id(CROWD);
    assert_int_equal(ask(f->packs, &oid), -ENOENT);
    assert_int_equal(open_files(), before);
}

/* What could not be opened for want of descriptors is there when there are some again. */
static void test_packs_that_could_not_be_opened_are_tried_again(void **state)
{
    struct packed *f = *state;
    struct oid oid = oid_at(f->path, "main");
    struct rlimit all, few;

    test_run(f->path, "git repack -q -d -a && touch -d 2020-01-01 objects/pack");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    for (int enough = 0; enough < 2; enough++) { /* for nothing; for the directory */
        packs_free(f->packs);
        f->packs = NULL;
        int lowest = dup(STDERR_FILENO);
        close(lowest);
        few = (struct rlimit){lowest + enough, all.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        packed_open(f, PACKED_BASES);
        int err = ask(f->packs, &oid);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
        assert_int_not_equal(err, 0);
        assert_int_equal(ask(f->packs, &oid), 0);
        assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0); /* nothing was closed that was not opened */
    }
}

static void test_nothing_there(void **state)
{
    _cleanup_(packs_freep) struct packs *packs = packs_new("/nonexistent", PACKED_BASES);
    struct oid oid = {{1}};

    assert_int_equal(ask(packs, &oid), -ENOENT);
}

static void test_new_packs_are_found(void **state)
{
    struct packed *f = *state;
    struct oid oid;

    packed_open(f, PACKED_BASES);
    for (int i = 0; i < 3; i++) {
        test_run(f->path,
                 "git update-ref refs/heads/main $(git commit-tree -p main -m %d main^{tree})", i);
        oid = oid_at(f->path, "main");
        assert_int_equal(ask(f->packs, &oid), -ENOENT);
        test_run(f->path, "git repack -q -d");
        assert_int_equal(ask(f->packs, &oid), 0);
    }
    packed_repack(f, false);
    assert_all_there(f->packs, f->path);
}

/* A directory that changes twice in one tick of the filesystem's clock has the same time. */
static void test_new_packs_are_found_in_the_same_tick(void **state)
{
    struct packed *f = *state;

    test_run(f->path, "touch -d 2037-01-01 objects/pack");
    packed_open(f, PACKED_BASES);
    test_run(f->path, "git update-ref refs/heads/main $(git commit-tree -m new main^{tree})\n"
                      "git repack -q -d && touch -d 2037-01-01 objects/pack");
    struct oid oid = oid_at(f->path, "main");
    assert_int_equal(ask(f->packs, &oid), 0);
}

static void test_deleted_packs_stay_until_somebody_looks(void **state)
{
    struct packed *f = *state;
    struct oid there = oid_at(f->path, "main"), missing = {{1}};

    packed_open(f, PACKED_BASES);
    test_run(f->path, "rm -f objects/pack/*");
    assert_int_equal(ask(f->packs, &there), 0);
    assert_int_equal(ask(f->packs, &missing), -ENOENT);
    assert_int_equal(ask(f->packs, &there), -ENOENT);
}

static void test_spill(void **state)
{
    struct packed *f = *state;
    static const char *const revs[] = {"main:large", "main~3:grows", "main:empty", "v1"};
    char *spilled;
    void *data;
    size_t size, spilled_size;
    git_object_t type;

    packed_repack(f, true);
    packed_open(f, PACKED_BASES);
    for (size_t i = 0; i < ARRAY_SIZE(revs); i++) {
        struct oid oid = oid_at(f->path, revs[i]);
        assert_int_equal(packed_read(f->packs, &oid, UINT64_MAX, &type, &data, &size), 0);
        assert_int_equal(packed_spill(f->packs, &oid, f->dir, &spilled, &spilled_size), 0);
        assert_int_equal(size, spilled_size);
        if (size)
            assert_memory_equal(data, spilled, size);
        free(data);
        free(spilled);
    }
}

/* Objects and what is in them, read by several threads until they are told to stop. */
struct readers {
    struct packs *packs;
    VEC(struct expected {
        struct oid oid;
        void *data;
        size_t size;
    })
    objects;
    atomic_bool stop;
    atomic_size_t reads, absent, wrong;
};

static void *read_all_the_time(void *arg)
{
    struct readers *r = arg;
    git_object_t type;
    size_t size;
    void *data;

    while (!r->stop)
        vec_foreach (o, &r->objects) {
            r->reads++;
            if (packed_read(r->packs, &o->oid, UINT64_MAX, &type, &data, &size) < 0) {
                r->absent++;
                continue;
            }
            r->wrong += size != o->size || memcmp(data, o->data, size);
            free(data);
        }
    return NULL;
}

static void expect_object(struct readers *r, const char *line)
{
    struct expected *o = VEC_ADD(&r->objects);
    git_object_t type;
    char hex[OID_HEX + 1];

    snprintf(hex, sizeof(hex), "%s", line);
    assert_int_equal(oid_parse(hex, &o->oid), 0);
    assert_int_equal(packed_read(r->packs, &o->oid, UINT64_MAX, &type, &o->data, &o->size), 0);
}

static void expect_all(struct readers *r, const char *path)
{
    _cleanup_free_ char *list =
        test_output(path, "git cat-file --batch-all-objects --batch-check='%%(objectname)'");
    char *rest = list, *line;

    while ((line = strsep(&rest, "\n")))
        expect_object(r, line);
}

/* While git repacks again and again, who reads sees what was there, with hardly a miss: libgit2 is
 * asked for those. */
static void test_repack_meanwhile(void **state)
{
    struct packed *f = *state;
    struct readers r = {0};
    pthread_t threads[3];

    packed_open(f, 100000);
    r.packs = f->packs;
    expect_all(&r, f->path);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &r), 0);
    for (int i = 0; i < 4; i++) {
        test_run(f->path,
                 "git update-ref refs/heads/main $(git commit-tree -p main -m %d main^{tree})", i);
        packed_repack(f, i % 2);
    }
    r.stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    print_message("# %zu reads, %zu not found\n", r.reads, r.absent);
    assert_int_equal(r.wrong, 0);
    assert_true(r.reads > r.objects.n);
    assert_true(r.absent <= r.reads / 100);
    assert_all_there(f->packs, f->path);
    vec_foreach (o, &r.objects)
        free(o->data);
    free(r.objects.v);
}

/* By hand, with a repository of any size: ONWARD_REPO=/path/to/repo.git test_repo_packs */
static void test_given_repository(void **state)
{
    const char *path = getenv("ONWARD_REPO");

    _cleanup_free_ char *objects = xasprintf("%s/objects", path);
    _cleanup_(packs_freep) struct packs *packs = packs_new(objects, 64 << 20);
    struct pack_oracle sum = pack_oracle_compare(packs, path);
    print_message("# %zu objects of %" PRIu64 " bytes are the same, %zu are not in packs\n",
                  sum.objects, sum.bytes, sum.absent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_deltas_by_offset),
        TEST(test_deltas_by_id),
        TEST(test_no_cache_of_bases),
        TEST(test_several_packs),
        TEST(test_alternates),
        TEST(test_new_packs_are_found),
        TEST(test_new_packs_are_found_in_the_same_tick),
        TEST(test_deleted_packs_stay_until_somebody_looks),
        TEST(test_packs_that_could_not_be_opened_are_tried_again),
        TEST(test_spill),
        TEST(test_repack_meanwhile),
        TEST(test_indexes_of_version_1),
        MADE(test_more_packs_than_descriptors),
        cmocka_unit_test(test_nothing_there),
    };
    const struct CMUnitTest given[] = {
        cmocka_unit_test(test_given_repository),
    };

    if (getenv("ONWARD_REPO"))
        return cmocka_run_group_tests_name("packs", given, NULL, NULL);
    return cmocka_run_group_tests_name("packs", tests, NULL, NULL);
}

#include "fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "repo/missing.h"

struct place {
    char *dir; /* with two object directories in it */
    struct odb_dirs dirs;
    struct missing *missing;
};

static void age(struct place *p, const char *which)
{
    test_run(p->dir, "touch -d '1 hour ago' %s/pack", which);
}

static int setup(void **state)
{
    struct place *p = NEW(struct place);

    p->dir = test_dir_new();
    test_run(p->dir, "mkdir -p own/pack alternate/pack own/info;"
                     "echo ../alternate >own/info/alternates");
    age(p, "own");
    age(p, "alternate");
    _cleanup_free_ char *own = xasprintf("%s/own", p->dir);
    odb_dirs_find(own, &p->dirs);
    p->missing = missing_new(&p->dirs);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;

    missing_free(p->missing);
    odb_dirs_done(&p->dirs);
    test_dir_free(p->dir);
    free(p);
    return 0;
}

static struct oid number(unsigned n)
{
    struct oid oid = {{0}};

    memcpy(oid.id, &n, sizeof(n));
    oid.id[OID_RAW - 1] = 1;
    return oid;
}

static bool has(struct place *p, unsigned n)
{
    struct oid oid = number(n);
    struct missing_stamp stamp;

    return missing_has(p->missing, &oid, &stamp);
}

/* Asks for `n`, and says that it was not there. */
static void miss(struct place *p, unsigned n)
{
    struct oid oid = number(n);
    struct missing_stamp stamp;

    missing_has(p->missing, &oid, &stamp);
    missing_add(p->missing, &oid, &stamp);
}

static void test_it_remembers_until_packs_change(void **state)
{
    static const char *const which[] = {"own", "alternate"};
    struct place *p = *state;

    for (int i = 0; i < 2; i++) {
        miss(p, 1);
        miss(p, 2);
        assert_true(has(p, 1));
        assert_true(has(p, 2));
        assert_false(has(p, 3));
        test_run(p->dir, "touch %s/pack/new%d", which[i], i);
        assert_false(has(p, 1));
        assert_false(has(p, 2));
        age(p, which[i]);
    }
    test_run(p->dir, "rm -r alternate");
    assert_false(has(p, 1));
}

/* What was missed a moment after a change may be missing no more, with no time to tell it by. */
static void test_it_trusts_no_fresh_time(void **state)
{
    struct place *p = *state;

    test_run(p->dir, "touch own/pack/new");
    miss(p, 1);
    assert_false(has(p, 1));
    age(p, "own");
    miss(p, 1);
    assert_true(has(p, 1));
}

static void test_it_forgets_with_time(void **state)
{
    struct place *p = *state;
    struct oid oid = number(1);
    struct missing_stamp stamp;

    missing_has(p->missing, &oid, &stamp);
    stamp.taken -= MISSING_SECONDS * NS_PER_SEC + 1;
    missing_add(p->missing, &oid, &stamp);
    assert_false(has(p, 1));
    miss(p, 2);
    assert_true(has(p, 2));
    assert_false(has(p, 1));
}

static void test_it_is_bounded(void **state)
{
    struct place *p = *state;
    unsigned kept = 0;

    for (unsigned n = 0; n < 200000; n++)
        miss(p, n);
    for (unsigned n = 0; n < 200000; n++)
        kept += has(p, n);
    assert_in_range(kept, 1, 131072);
}

#define OWN_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_TEST(test_it_remembers_until_packs_change),
        OWN_TEST(test_it_trusts_no_fresh_time),
        OWN_TEST(test_it_forgets_with_time),
        OWN_TEST(test_it_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

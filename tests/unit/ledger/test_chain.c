#include "fixture.h"
#include "written.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/chain.h"
#include "repo/object.h"

#define REF CHAIN_PREFIX "ops-1"

static struct chain *load(struct fixture *f)
{
    struct chain *c = chain_new(REF);
    _cleanup_(diag_done) struct diag why = {0};

    if (chain_reload(c, f->repo, &why) < 0)
        fail_msg("%s", diag_text(&why, -EIO));
    return c;
}

static struct oid newest_of(struct fixture *f, const struct chain *c, const char *site)
{
    struct oid oid;

    assert_int_equal(chain_newest(f->repo, &c->root, site, &oid, NULL), 0);
    return oid;
}

static size_t count_sites(struct fixture *f, const struct chain *c)
{
    struct map names = {0};

    assert_int_equal(chain_sites(f->repo, &c->root, &names), 0);
    size_t n = names.live;
    map_done(&names, NULL);
    return n;
}

static void test_a_chain_knows_the_newest_record_of_each_site(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    append(l, "a", 1, RECORD_ATTEMPT);
    append(l, "a", 1, RECORD_DEPLOYED);
    append(l, "b.c-d", 1, RECORD_ATTEMPT);

    struct chain *c = load(f);
    struct oid newest = newest_of(f, c, "a");
    _cleanup_(record_done) struct record r = {0};
    assert_int_equal(chain_read(f->repo, &newest, "a", &r, NULL), 0);
    assert_int_equal(r.kind, RECORD_DEPLOYED);
    assert_memory_equal(&r.oid, &newest, sizeof(newest));
    struct oid other = newest_of(f, c, "b.c-d"), none = newest_of(f, c, "b");
    assert_false(oid_is_zero(&other));
    assert_true(oid_is_zero(&none));
    chain_free(c);
}

static void test_a_chain_that_is_not_there_is_empty(void **state)
{
    struct chain *c = load(*state);

    assert_true(oid_is_zero(&c->tip));
    assert_int_equal(count_sites(*state, c), 0);
    chain_free(c);
}

static void test_a_broken_tree_is_an_error_to_who_asks(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    append(l, "a", 1, RECORD_ATTEMPT);

    /* a commit whose tree names a directory that is not there */
    test_run(f->path,
             "t=$(printf '040000 tree %%s\\tsites\\n' 1111111111111111111111111111111111111111 | "
             "git mktree --missing) && git update-ref " REF " $(git commit-tree -m x $t)");
    struct chain *c = load(f);
    _cleanup_(diag_done) struct diag why = {0};
    struct map names = {0};
    struct oid oid;
    assert_int_equal(chain_newest(f->repo, &c->root, "a", &oid, &why), -EIO);
    assert_non_null(strstr(why.text, "at sites/"));
    assert_non_null(strstr(why.text, "Input/output error"));
    assert_int_equal(chain_sites(f->repo, &c->root, &names), -EIO);
    map_done(&names, NULL);
    chain_free(c);
}

static void test_a_record_of_another_site_or_none_is_not_taken(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    append(l, "a", 1, RECORD_ATTEMPT);
    struct chain *c = load(f);
    struct oid newest = newest_of(f, c, "a"), missing = oid_number(5), text;
    _cleanup_(record_done) struct record r = {0};

    assert_int_equal(blob_write(f->repo, "hello", 5, &text, NULL), 0);
    assert_int_equal(chain_read(f->repo, &newest, "b", &r, NULL), -EIO);
    assert_int_equal(chain_read(f->repo, &missing, "a", &r, NULL), -EIO);
    assert_int_equal(chain_read(f->repo, &text, "a", &r, NULL), -EIO);
    chain_free(c);
}

static void test_files_of_others_in_the_tree_are_left_alone(void **state)
{
    struct fixture *f = *state;
    _cleanup_(ledger_freep) struct ledger *l = open_ledger(f, "ops-1");
    append(l, "a", 1, RECORD_ATTEMPT);
    test_run(f->path,
             "export GIT_INDEX_FILE=$PWD/index && git read-tree " REF " && "
             "b=$(echo x | git hash-object -w --stdin) && "
             "git update-index --add --cacheinfo 100644,$b,sites/README "
             "--cacheinfo 100644,$b,sites/00/notes.txt "
             "--cacheinfo 100644,$b,sites/00/.json && "
             "git update-ref " REF " $(git commit-tree -m x -p " REF " $(git write-tree))");
    struct chain *c = load(f);
    assert_int_equal(count_sites(f, c), 1);
    chain_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_chain_knows_the_newest_record_of_each_site),
        TEST(test_a_chain_that_is_not_there_is_empty),
        TEST(test_a_broken_tree_is_an_error_to_who_asks),
        TEST(test_a_record_of_another_site_or_none_is_not_taken),
        TEST(test_files_of_others_in_the_tree_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "testlib.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "deploy/site_track.h"

static struct oid oid_number(int n)
{
    struct oid oid = {0};

    memcpy(oid.id, &n, sizeof(n));
    return oid;
}

/* A record to revision `to`, a second after the one of the number before. */
static struct record make(int second, uint64_t generation, enum record_kind kind,
                          const char *outcome, int to)
{
    return (struct record){.generation = generation,
                           .kind = kind,
                           .outcome = (char *)outcome,
                           .to = oid_number(to),
                           .inputs = oid_number(to + 1000),
                           .source = (char *)(to == 1 ? "old" : "new"),
                           .attempt = second,
                           .at = second * NS_PER_SEC};
}

/* A life: deployed at 1, then 2 after a failure, then on its way to 3. */
static const struct {
    uint64_t generation;
    enum record_kind kind;
    const char *outcome;
    int to;
} life[] = {
    {1, RECORD_ATTEMPT, NULL, 1},     {1, RECORD_DEPLOYED, "done", 1},
    {2, RECORD_ATTEMPT, NULL, 2},     {2, RECORD_FAILED, "retry", 2},
    {2, RECORD_ATTEMPT, NULL, 2},     {2, RECORD_DEPLOYED, "done", 2},
    {3, RECORD_ATTEMPT, NULL, 3},     {3, RECORD_FAILED, "later", 3},
    {3, RECORD_SUPERSEDED, NULL, 3},  {4, RECORD_ATTEMPT, NULL, 2},
    {4, RECORD_INTERRUPTED, NULL, 2}, {4, RECORD_ATTEMPT, NULL, 2},
    {4, RECORD_DEPLOYED, "done", 2},  {5, RECORD_ATTEMPT, NULL, 3},
    {5, RECORD_FAILED, "retry", 3},   {5, RECORD_ATTEMPT, NULL, 3},
    {5, RECORD_FAILED, "failed", 3},  {5, RECORD_HELD, NULL, 3},
};

static struct record record_of(size_t i)
{
    return make(i + 1, life[i].generation, life[i].kind, life[i].outcome, life[i].to);
}

static void assert_same(const struct site_track *a, const struct site_track *b)
{
    assert_int_equal(a->phase, b->phase);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->failures, b->failures);
    assert_int_equal(a->tries, b->tries);
    assert_int_equal(a->begun_at, b->begun_at);
    assert_int_equal(a->at, b->at);
    assert_int_equal(a->ended, b->ended);
    assert_memory_equal(&a->to, &b->to, sizeof(a->to));
    assert_memory_equal(&a->deployed, &b->deployed, sizeof(a->deployed));
    assert_memory_equal(&a->previous, &b->previous, sizeof(a->previous));
    assert_int_equal(a->deployed_generation, b->deployed_generation);
    assert_string_equal(a->deployed_source ? a->deployed_source : "-",
                        b->deployed_source ? b->deployed_source : "-");
    assert_string_equal(a->previous_source ? a->previous_source : "-",
                        b->previous_source ? b->previous_source : "-");
}

/* At any moment of the life, what is read back is what was there, whatever the reader left unread.
 */
static void test_a_restart_gives_the_same_track(void **state)
{
    int64_t real = 1000 * NS_PER_SEC, mono = 5000 * NS_PER_SEC;

    for (size_t n = 0; n <= ARRAY_SIZE(life); n++) {
        _cleanup_(site_track_done) struct site_track lived = {0}, read = {0};
        struct track_reader reader = {0};
        for (size_t i = 0; i < n; i++) {
            struct record r = record_of(i);
            site_track_apply(&lived, &r, mono - (real - r.at));
        }
        for (size_t i = n; i-- > 0;) {
            struct record r = record_of(i);
            if (track_reader_add(&r, &reader))
                break;
        }
        track_reader_finish(&reader, real, mono, &read);
        assert_same(&lived, &read);
    }
}

static void test_the_reader_stops_at_the_revision_before(void **state)
{
    struct track_reader reader = {0};
    struct site_track track;
    size_t read = 0;

    for (size_t i = ARRAY_SIZE(life); i-- > 0;) {
        struct record r = record_of(i);
        read++;
        if (track_reader_add(&r, &reader))
            break;
    }
    assert_int_equal(read, ARRAY_SIZE(life) - 1); /* the first deployment; not its attempt */
    track_reader_finish(&reader, 0, 0, &track);
    site_track_done(&track);
}

/* The end of generation 2, which replaced revision 1, as it is recorded now. */
static struct record full_end(void)
{
    struct record r = make(4, 2, RECORD_DEPLOYED, "done", 2);

    r.attempt = 1;
    r.from = oid_number(1);
    r.from_source = (char *)"old";
    r.begun = 3 * NS_PER_SEC;
    return r;
}

static void test_one_record_says_where_a_site_is(void **state)
{
    _cleanup_(site_track_done) struct site_track lived = {0}, read = {0};
    struct record end = full_end();
    struct track_reader reader = {0};

    for (int i = 1; i <= 3; i++) {
        struct record r =
            make(i, (i + 1) / 2, i == 2 ? RECORD_DEPLOYED : RECORD_ATTEMPT, NULL, (i + 1) / 2);
        site_track_apply(&lived, &r, i);
    }
    site_track_apply(&lived, &end, 0);
    assert_int_equal(track_reader_add(&end, &reader), 1);
    track_reader_finish(&reader, end.at, 0, &read);
    assert_same(&lived, &read);
    assert_string_equal(read.previous_source, "old");
}

/* What one record does not say is read: who held the site, how often it failed, what ran before. */
static void test_what_one_record_leaves_open_is_read(void **state)
{
    struct record ends[] = {full_end(), full_end(), full_end(), full_end(), full_end()};

    ends[0].held = true;
    ends[1].attempt = 2;
    ends[2].from = ends[2].to;
    ends[3].from_source = NULL; /* an older version wrote it */
    ends[4].begun = 0;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        struct track_reader reader = {0};
        struct site_track track;
        assert_int_equal(track_reader_add(&ends[i], &reader), 0);
        track_reader_finish(&reader, 0, 0, &track);
        site_track_done(&track);
    }
}

static void test_the_end_of_the_life(void **state)
{
    _cleanup_(site_track_done) struct site_track t = {0};
    struct oid two = oid_number(2), one = oid_number(1);

    for (size_t i = 0; i < ARRAY_SIZE(life); i++) {
        struct record r = record_of(i);
        site_track_apply(&t, &r, 0);
    }
    assert_int_equal(t.phase, TRACK_FAILED);
    assert_int_equal(t.generation, 5);
    assert_int_equal(t.failures, 2);
    assert_int_equal(t.begun_at, 14 * NS_PER_SEC);
    assert_memory_equal(&t.deployed, &two, sizeof(two));
    assert_int_equal(t.deployed_generation, 4);
    assert_memory_equal(&t.previous, &one, sizeof(one)); /* not 2, which ran twice */
    assert_string_equal(t.previous_source, "old");
}

/* `retry` after the last failure gives all attempts back; later and interrupted do not count. */
static void test_what_counts_as_a_failure(void **state)
{
    static const struct {
        enum record_kind kind;
        const char *outcome;
        int failures, tries;
        enum track_phase phase;
    } steps[] = {
        {RECORD_ATTEMPT, NULL, 0, 0, TRACK_OPEN},
        {RECORD_FAILED, "later", 0, 1, TRACK_RETRY},
        {RECORD_ATTEMPT, NULL, 0, 1, TRACK_OPEN},
        {RECORD_INTERRUPTED, NULL, 0, 1, TRACK_INTERRUPTED},
        {RECORD_ATTEMPT, NULL, 0, 1, TRACK_OPEN},
        {RECORD_FAILED, "retry", 1, 2, TRACK_RETRY},
        {RECORD_ATTEMPT, NULL, 1, 2, TRACK_OPEN},
        {RECORD_FAILED, "failed", 2, 3, TRACK_FAILED},
        {RECORD_ATTEMPT, NULL, 0, 0, TRACK_OPEN},
        {RECORD_FAILED, "stalled", 0, 1, TRACK_STALLED},
        {RECORD_ATTEMPT, NULL, 0, 0, TRACK_OPEN},
        {RECORD_DEPLOYED, "done", 0, 0, TRACK_DEPLOYED},
    };
    _cleanup_(site_track_done) struct site_track t = {0};

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        struct record r = make(i + 1, 1, steps[i].kind, steps[i].outcome, 1);
        site_track_apply(&t, &r, 0);
        assert_int_equal(t.failures, steps[i].failures);
        assert_int_equal(t.tries, steps[i].tries);
        assert_int_equal(t.phase, steps[i].phase);
    }
}

static void test_the_message_is_that_of_the_newest_failure(void **state)
{
    _cleanup_(site_track_done) struct site_track t = {0};
    struct record failed = make(1, 1, RECORD_FAILED, "retry", 1),
                  done = make(2, 1, RECORD_DEPLOYED, "done", 1);

    failed.message = (char *)"disk full";
    site_track_apply(&t, &failed, 0);
    assert_string_equal(t.message, "disk full");
    site_track_apply(&t, &done, 0);
    assert_null(t.message);
}

/* Another host's late word about a generation that is over changes nothing. */
static void test_an_older_generation_is_ignored(void **state)
{
    _cleanup_(site_track_done) struct site_track t = {0};
    struct record new = make(1, 2, RECORD_DEPLOYED, "done", 2),
                  late = make(2, 1, RECORD_FAILED, "failed", 1);

    site_track_apply(&t, &new, 0);
    site_track_apply(&t, &late, 0);
    assert_int_equal(t.phase, TRACK_DEPLOYED);
    assert_int_equal(t.generation, 2);
}

/* Clocks jump: an end that seems to lie in the future has just been. */
static void test_an_end_never_lies_in_the_future(void **state)
{
    struct track_reader reader = {0};
    struct site_track t;
    struct record r = make(500, 1, RECORD_FAILED, "retry", 1);

    track_reader_add(&r, &reader);
    track_reader_finish(&reader, 100 * NS_PER_SEC, 7 * NS_PER_SEC, &t);
    assert_int_equal(t.ended, 7 * NS_PER_SEC);
    site_track_done(&t);
}

static void test_a_broken_chain_is_an_error_not_a_new_site(void **state)
{
    char *dir = test_dir_new();
    _cleanup_free_ char *path = test_repo_new(dir, "r.git", "--bare");
    _cleanup_(repo_freep) struct repo *repo = NULL;
    _cleanup_(ledger_freep) struct ledger *ledger = NULL, *again = NULL;
    _cleanup_(site_track_done) struct site_track t = {0};
    struct record r = make(1, 4, RECORD_DEPLOYED, "done", 1);
    char hex[OID_HEX + 1];

    r.site = (char *)"a";
    assert_int_equal(repo_open(path, &repo, NULL), 0);
    assert_int_equal(ledger_open(repo, "h", &ledger, NULL), 0);
    assert_int_equal(ledger_append(ledger, &r, 1, NULL), 0);
    assert_int_equal(site_track_load(ledger, "a", 0, 0, &t, NULL), 0);
    assert_int_equal(t.generation, 4);
    oid_hex(&r.oid, hex);
    test_run(path,
             "mv objects/pack/*.pack p && rm objects/pack/* && git unpack-objects -q < p && "
             "rm -f objects/%.2s/%s",
             hex, hex + 2);
    repo_free(repo);
    assert_int_equal(repo_open(path, &repo, NULL), 0);
    assert_int_equal(ledger_open(repo, "h", &again, NULL), 0);
    assert_int_equal(site_track_load(again, "a", 0, 0, &t, NULL), -EIO);
    assert_int_equal(t.generation, 4);
    free(r.host);
    test_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_restart_gives_the_same_track),
        cmocka_unit_test(test_the_reader_stops_at_the_revision_before),
        cmocka_unit_test(test_one_record_says_where_a_site_is),
        cmocka_unit_test(test_what_one_record_leaves_open_is_read),
        cmocka_unit_test(test_the_end_of_the_life),
        cmocka_unit_test(test_what_counts_as_a_failure),
        cmocka_unit_test(test_the_message_is_that_of_the_newest_failure),
        cmocka_unit_test(test_an_older_generation_is_ignored),
        cmocka_unit_test(test_an_end_never_lies_in_the_future),
        cmocka_unit_test(test_a_broken_chain_is_an_error_not_a_new_site),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "history_oracle.h"
#include "repo/history_check.h"
#include "repo/history_index.h"

#define BLOCK 4096

/* A file of a store with all that there is to damage: many pages, free ones, both metas. */
struct sample {
    struct fixture *f;
    struct oracle *oracle;
    struct oid head;
    char *dir, *file; /* where an index is opened */
    unsigned char *bytes;
    size_t size;
};

static void sample_make(struct sample *s, struct fixture *f)
{
    s->f = f;
    s->dir = xasprintf("%s/history", f->dir);
    s->file = xasprintf("%s/data.mdb", s->dir);
    history_random(f->path, 21, 80, NULL);
    s->oracle = oracle_new(f->path, "main");
    s->head = oracle_head(s->oracle);
    /* By steps: LMDB keeps lists of free pages then. */
    for (int back = 79; back >= 0; back -= 5) {
        struct oid rev = oid_from(f->path, "git rev-parse main~%d", back);
        history_index_free(history_open_at(f->repo, s->dir, &rev));
    }
    history_index_free(history_open_at(f->repo, s->dir, &s->head));
    s->bytes = (unsigned char *)test_read_file(s->dir, "data.mdb", &s->size);
    assert_int_equal(history_check(s->file, NULL), 0);
}

static void sample_done(struct sample *s)
{
    oracle_free(s->oracle);
    free(s->dir);
    free(s->file);
    free(s->bytes);
}

/* Damages a copy, in one of the ways that disks and people do. Returns its new size. */
static size_t damage(unsigned seed, unsigned char *bytes, size_t size)
{
    size_t at = (size_t)rand_r(&seed) % size, other = (size_t)rand_r(&seed) % (size / BLOCK);
    size_t block = at / BLOCK * BLOCK, end = at + 512 < size ? at + 512 : size;

    switch (rand_r(&seed) / 7 % 8) {
    case 0: /* a page went elsewhere */
        memmove(bytes + block, bytes + other * BLOCK, BLOCK);
        return size;
    case 1: /* a sector is empty */
        memset(bytes + at, 0, end - at);
        return size;
    case 2: /* or something else */
        for (; at < end; at++)
            bytes[at] = rand_r(&seed) / 7;
        return size;
    case 3:
        return at;
    case 4: /* among the first bytes of a page, which say what it is */
        bytes[block + at % 64] ^= 1 << rand_r(&seed) % 8;
        return size;
    default:
        bytes[at] ^= 1 << rand_r(&seed) % 8;
        return size;
    }
}

/* After whatever damage to the file, the answers are right. How often it was found is told. */
static void test_no_damage_is_answered_from(void **state)
{
    const char *seeds = getenv("ONWARD_SEEDS");
    unsigned n = seeds ? (unsigned)strtoul(seeds, NULL, 10) : 60, found = 0;
    struct sample s;

    sample_make(&s, *state);
    log_open(false, LOG_LEVEL_ERROR);
    _cleanup_free_ unsigned char *copy = xmalloc(s.size);
    for (unsigned seed = 0; seed < n; seed++) {
        memcpy(copy, s.bytes, s.size);
        size_t size = damage(seed, copy, s.size);
        test_write_bytes(s.dir, "data.mdb", copy, size);
        found += history_check(s.file, NULL) == -EUCLEAN;
        struct history_index *ix = history_open_at(s.f->repo, s.dir, &s.head);
        oracle_assert_answers(s.oracle, ix);
        history_index_free(ix);
    }
    log_open(false, LOG_LEVEL_INFO);
    print_message("# %u of %u found, file of %zu bytes\n", found, n, s.size);
    assert_true(found > n / 5); /* most pages are free */
    sample_done(&s);
}

/* Whether the file is not whole any more when a bit of the page is another. */
static bool in_use(struct sample *s, size_t page)
{
    s->bytes[page * BLOCK] ^= 1;
    test_write_bytes(s->dir, "data.mdb", s->bytes, s->size);
    s->bytes[page * BLOCK] ^= 1;
    bool used = history_check(s->file, NULL) < 0;
    test_write_bytes(s->dir, "data.mdb", s->bytes, s->size);
    return used;
}

static uint16_t field(const struct sample *s, size_t page, size_t at)
{
    uint16_t v;

    memcpy(&v, s->bytes + page * BLOCK + at, sizeof(v));
    return v;
}

/* Flips each bit of the page but in its free room. Those that go unnoticed must say nothing: the
 * answers are the same. Returns how many they are. */
static unsigned flip_all(struct sample *s, size_t page, int every)
{
    size_t lower = field(s, page, 12), upper = field(s, page, 14);
    _cleanup_close_ int fd = open(s->file, O_RDWR | O_CLOEXEC);
    unsigned passed = 0;

    for (size_t i = 0; i < BLOCK; i++) {
        const unsigned char *p = s->bytes + page * BLOCK + i;
        for (int bit = 0; bit < 8 && (i < lower || i >= upper); bit++) {
            unsigned char c = *p ^ 1 << bit;
            assert_int_equal(pwrite(fd, &c, 1, page * BLOCK + i), 1);
            if (history_check(s->file, NULL) == 0 && passed++ % every == 0) {
                struct history_index *ix = history_open_at(s->f->repo, s->dir, &s->head);
                oracle_assert_answers(s->oracle, ix);
                history_index_free(ix);
            }
        }
        assert_int_equal(pwrite(fd, p, 1, page * BLOCK + i), 1);
    }
    return passed;
}

static void test_every_bit_of_a_page_is_looked_at(void **state)
{
    const char *seeds = getenv("ONWARD_SEEDS");
    unsigned leaves = 0, branches = 0, passed = 0;
    struct sample s;

    sample_make(&s, *state);
    for (size_t page = 2; page < s.size / BLOCK; page++) {
        uint16_t flags = field(&s, page, 10);
        unsigned *seen = flags == 1 ? &branches : &leaves;
        if ((flags == 1 || flags == 2) && *seen < 2 && in_use(&s, page)) {
            ++*seen;
            passed += flip_all(&s, page, seeds ? 1 : 20);
        }
    }
    assert_true(leaves == 2 && branches > 0);
    print_message("# %u bits passed\n", passed);
    assert_true(passed < BLOCK * 8 / 20);
    sample_done(&s);
}

static void test_what_is_not_there_is_whole(void **state)
{
    struct fixture *f = *state;
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *file = xasprintf("%s/x", f->dir);

    assert_int_equal(history_check(file, &why), 0);
    test_write_file(f->dir, "x", "");
    assert_int_equal(history_check(file, &why), 0);
    test_write_file(f->dir, "x", "x");
    assert_int_equal(history_check(file, &why), -EUCLEAN);
    assert_non_null(strstr(why.text, file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_damage_is_answered_from),
        TEST(test_every_bit_of_a_page_is_looked_at),
        TEST(test_what_is_not_there_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

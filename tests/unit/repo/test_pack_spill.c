#include "pack_fixture.h"
#include "pack_maker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* More than is done in memory. */
#define LARGE (17 << 20)

/* A large base with the id 0 whose bytes tell their places, and deltas on it with the ids 1 to 3,
 * each of which cuts a byte from the front and puts its letter behind. */
static void add_chain(struct made *f)
{
    _cleanup_free_ uint32_t *data = xmalloc(LARGE);

    for (size_t i = 0; i < LARGE / 4; i++)
        data[i] = i;
    uint64_t at = pack_maker_entry(&f->m, 0, BLOB, LARGE);
    pack_maker_deflate(&f->m, data, LARGE);
    for (int id = 1; id <= 3; id++) {
        _cleanup_(buf_done) struct buf delta = {0};
        delta_sizes(&delta, LARGE, LARGE);
        delta_copy(&delta, 1, 10 << 20);
        delta_copy(&delta, 1 + (10 << 20), LARGE - 1 - (10 << 20));
        delta_insert(&delta, (const char[]){"0123"[id], 0});
        at = pack_maker_delta(&f->m, id, at, &delta);
    }
}

static void test_chain_of_large_deltas(void **state)
{
    struct made *f = *state;
    uint32_t fifth;

    add_chain(f);
    made_open(f);
    for (int id = 0; id <= 3; id++) {
        struct oid oid = made_id(id);
        char *spilled = NULL;
        void *data = NULL;
        size_t size, read_size;
        git_object_t type;
        assert_int_equal(packed_spill(f->packs, &oid, f->dir, &spilled, &size), 0);
        assert_int_equal(size, LARGE);
        memcpy(&fifth, spilled + 20 - id, 4);
        assert_int_equal(fifth, 5);
        assert_memory_equal(spilled + LARGE - id, "123", id);
        assert_int_equal(packed_read(f->packs, &oid, LARGE, &type, &data, &read_size), 0);
        assert_int_equal(read_size, LARGE);
        assert_true(!memcmp(data, spilled, LARGE));
        assert_int_equal(packed_read(f->packs, &oid, LARGE - 1, &type, &data, &read_size), -EFBIG);
        free(data);
        free(spilled);
    }
}

static void test_wrong_results_are_not_found(void **state)
{
    struct made *f = *state;
    _cleanup_(buf_done) struct buf short_one = {0}, other_base = {0}, beyond = {0};
    char *spilled;
    size_t size;

    add_chain(f);
    uint64_t base = f->m.objects.v[0].at;
    delta_sizes(&short_one, LARGE, LARGE);
    delta_copy(&short_one, 0, 1000);
    pack_maker_delta(&f->m, 10, base, &short_one);
    delta_sizes(&other_base, LARGE + 1, 1);
    delta_copy(&other_base, 0, 1);
    pack_maker_delta(&f->m, 11, base, &other_base);
    delta_sizes(&beyond, LARGE, 1000);
    delta_copy(&beyond, LARGE - 999, 1000);
    pack_maker_delta(&f->m, 12, base, &beyond);
    pack_maker_entry(&f->m, 13, BLOB, LARGE + 1);
    pack_maker_deflate(&f->m, f->m.pack.data, f->m.pack.len);
    made_open(f);
    for (int id = 10; id <= 13; id++) {
        struct oid oid = made_id(id);
        assert_int_equal(packed_spill(f->packs, &oid, f->dir, &spilled, &size), -EBADMSG);
    }
}

static void test_a_full_disk_is_said(void **state)
{
    struct made *f = *state;
    _cleanup_close_ int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    struct unpacked o;

    add_chain(f);
    pack_maker_blob(&f->m, 20, "small");
    made_open(f);
    static const int ids[] = {0, 3, 20};
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct oid oid = made_id(ids[i]);
        assert_int_equal(packs_spill(f->packs, &(struct packed_copy){&oid}, f->dir, full, &o),
                         -ENOSPC);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MADE(test_chain_of_large_deltas),
        MADE(test_wrong_results_are_not_found),
        MADE(test_a_full_disk_is_said),
    };

    return cmocka_run_group_tests_name("pack_spill", tests, NULL, NULL);
}

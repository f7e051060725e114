/* Packs and indexes with bytes changed or cut off, thousands of them, always the same: whatever
 * they hold, reading ends, and with no more than was asked for. The sanitizers see the rest. */
#include "pack_fixture.h"
#include "pack_maker.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MOST (1 << 20)
/* Reads of one mutated pack. */
#define READS 40

struct file {
    char *data;
    size_t len;
};

/* A small pack of many deltas, and a directory for its mutants. */
struct mutants {
    struct packed *packed;
    char *objects, *dir; /* dir: objects/pack */
    struct file pack, index;
    VEC(struct oid) ids;
    uint64_t random;
};

static uint32_t next_random(struct mutants *m)
{
    m->random = m->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return m->random >> 33;
}

static struct file load(struct mutants *m, const char *suffix)
{
    _cleanup_free_ char *name = test_output(m->dir, "ls *.%s", suffix);
    struct file file;

    file.data = test_read_file(m->dir, name, &file.len);
    test_run(m->dir, "mv '%s' ..", name);
    return file;
}

static void list_ids(struct mutants *m)
{
    _cleanup_free_ char *list = test_output(m->packed->path, "git rev-list --objects "
                                                             "--no-object-names main -- dir grows");
    char *rest = list, *line;

    while ((line = strsep(&rest, "\n")))
        assert_int_equal(oid_parse(line, VEC_ADD(&m->ids)), 0);
    assert_true(m->ids.n > 200);
}

static int setup(void **state)
{
    struct mutants *m = NEW(struct mutants);
    void *packed;

    packed_setup(&packed);
    m->packed = packed;
    m->objects = xasprintf("%s/mutants", m->packed->dir);
    m->dir = xasprintf("%s/pack", m->objects);
    list_ids(m);
    test_run(m->packed->path,
             "mkdir -p %s && git rev-list --objects --no-object-names main -- dir grows |\n"
             "    git pack-objects -q --delta-base-offset %s/pack",
             m->dir, m->dir);
    m->pack = load(m, "pack");
    m->index = load(m, "idx");
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct mutants *m = *state;
    void *packed = m->packed;

    free(m->objects);
    free(m->dir);
    free(m->pack.data);
    free(m->index.data);
    free(m->ids.v);
    free(m);
    return packed_teardown(&packed);
}

#define MUTANTS(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* Asks in all three ways. True if the object came. */
static bool read_one(struct packs *packs, const struct oid *oid, const char *dir)
{
    git_object_t type;
    uint64_t head_size;
    size_t size = 0, spilled_size = 0;
    void *data = NULL;
    char *spilled = NULL;

    int r = packs_header(packs, oid, &type, &head_size);
    assert_true(r == 0 || r == -ENOENT || r == -EBADMSG);
    r = packed_read(packs, oid, MOST, &type, &data, &size);
    assert_true(r == 0 || r == -ENOENT || r == -EBADMSG || r == -EFBIG);
    assert_true(size <= MOST);
    if (dir) {
        int spill = packed_spill(packs, oid, dir, &spilled, &spilled_size);
        assert_true(spill == 0 || spill == -ENOENT || spill == -EBADMSG);
        assert_true(r < 0 || (spilled_size == size && !memcmp(data, spilled, size)));
    }
    free(data);
    free(spilled);
    return r == 0;
}

/* How many of some objects can be read. */
static size_t read_some(struct mutants *m, struct packs *packs)
{
    size_t n = 0;

    for (int i = 0; i < READS; i++) {
        const struct oid *oid = &m->ids.v[next_random(m) % m->ids.n];
        n += read_one(packs, oid, i ? NULL : m->packed->dir);
    }
    return n;
}

static size_t read_mutant(struct mutants *m)
{
    test_write_bytes(m->dir, "mutant.pack", m->pack.data, m->pack.len);
    test_write_bytes(m->dir, "mutant.idx", m->index.data, m->index.len);
    _cleanup_(packs_freep) struct packs *packs = packs_new(m->objects, PACKED_BASES);
    return read_some(m, packs);
}

/* Changes a few bytes of `file` from `from` on, reads, and puts them back. */
static size_t mutate(struct mutants *m, struct file *file, size_t from, size_t to)
{
    _cleanup_free_ char *before = xmemdup(file->data, file->len);

    for (uint32_t n = 1 + next_random(m) % 4; n > 0; n--) {
        size_t at = from + next_random(m) % (to - from);
        file->data[at] =
            next_random(m) % 2 ? file->data[at] ^ 1 << next_random(m) % 8 : (int)next_random(m);
    }
    size_t got = read_mutant(m);
    memcpy(file->data, before, file->len);
    return got;
}

/* How many mutants: more by hand. */
static int mutants_wanted(void)
{
    const char *n = getenv("ONWARD_MUTANTS");
    return n ? strtol(n, NULL, 10) : 700;
}

static void test_changed_packs(void **state)
{
    struct mutants *m = *state;
    size_t got = 0, n = mutants_wanted();

    assert_int_equal(read_mutant(m), READS);
    for (size_t i = 0; i < n; i++)
        got += mutate(m, &m->pack, 12, m->pack.len - OID_RAW);
    assert_in_range(got, n, n * READS - 1);
}

static void test_changed_indexes(void **state)
{
    struct mutants *m = *state;
    size_t got = 0, n = mutants_wanted(), start = 8 + 256 * 4;

    for (size_t i = 0; i < n; i++)
        got += mutate(m, &m->index, i % 4 ? start : 0, i % 4 ? m->index.len : start);
    assert_in_range(got, n, n * READS - 1);
}

/* Offsets into anywhere: each is read as an entry. */
static void test_random_offsets(void **state)
{
    struct mutants *m = *state;
    size_t n = mutants_wanted() / 10;
    char *offsets = m->index.data + 8 + 256 * 4 + m->ids.n * 24;

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < m->ids.n * 4; k++)
            offsets[k] = k % 4 < 2 ? 0 : (int)next_random(m);
        read_mutant(m);
    }
}

/* The same checksum at the end, so that what is cut is not seen at once. */
static void test_cut_packs(void **state)
{
    struct mutants *m = *state;
    size_t len = m->pack.len;

    for (size_t i = 0; i < 200; i++) {
        char saved[OID_RAW];
        m->pack.len = 12 + next_random(m) % (len - 12 - OID_RAW) + OID_RAW;
        char *end = m->pack.data + m->pack.len - OID_RAW;
        memcpy(saved, end, OID_RAW);
        memmove(end, m->pack.data + len - OID_RAW, OID_RAW);
        read_mutant(m);
        memcpy(end, saved, OID_RAW);
    }
    m->pack.len = len;
}

static void test_cut_indexes(void **state)
{
    struct mutants *m = *state;
    size_t len = m->index.len;

    for (size_t i = 0; i < 100; i++) {
        m->index.len = next_random(m) % len;
        assert_int_equal(read_mutant(m), 0);
    }
    m->index.len = len;
}

/* Cut short while it is open. */
static void test_cut_under_us(void **state)
{
    struct mutants *m = *state;

    for (size_t len = m->pack.len; len > 100; len /= 2) {
        _cleanup_free_ char *path = xasprintf("%s/mutant.pack", m->dir);
        assert_int_equal(read_mutant(m), READS);
        _cleanup_(packs_freep) struct packs *packs = packs_new(m->objects, PACKED_BASES);
        assert_int_equal(truncate(path, len / 2), 0);
        assert_true(read_some(m, packs) < READS);
    }
}

/* Deltas that are noise, but come out of their deflated form as they were. */
static void test_random_deltas(void **state)
{
    struct mutants *m = *state;

    for (int i = 0; i < 100; i++) {
        struct pack_maker maker;
        pack_maker_init(&maker);
        uint64_t at = pack_maker_blob(&maker, 0, "some text that deltas copy from");
        for (uint32_t id = 1; id <= READS; id++) {
            _cleanup_(buf_done) struct buf delta = {0};
            delta_sizes(&delta, 31, next_random(m) % 64);
            for (uint32_t n = next_random(m) % 20; n > 0; n--)
                buf_addc(&delta, next_random(m) % 3 ? (int)next_random(m) % 16 : 0x91);
            pack_maker_delta(&maker, id, at, &delta);
        }
        pack_maker_write(&maker, m->dir, "mutant");
        pack_maker_done(&maker);
        _cleanup_(packs_freep) struct packs *packs = packs_new(m->objects, PACKED_BASES);
        for (uint32_t id = 0; id <= READS; id++) {
            struct oid oid = made_id(id);
            read_one(packs, &oid, id % 8 ? NULL : m->packed->dir);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MUTANTS(test_changed_packs), MUTANTS(test_changed_indexes), MUTANTS(test_random_offsets),
        MUTANTS(test_cut_packs),     MUTANTS(test_cut_indexes),     MUTANTS(test_cut_under_us),
        MUTANTS(test_random_deltas),
    };

    return cmocka_run_group_tests_name("packs broken", tests, NULL, NULL);
}

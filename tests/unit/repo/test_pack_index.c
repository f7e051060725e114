#include "pack_maker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "repo/pack_index.h"

/* Larger than what is kept in memory. */
#define MANY 6000

static int open_index(struct made *f, struct pack_index *ix)
{
    _cleanup_free_ char *path = xasprintf("%s/made.idx", f->pack_dir);
    return pack_index_open(ix, path, PACK_INDEX_SMALL, NULL);
}

/* All ids of the pack, and none beside them. */
static void assert_finds(struct made *f)
{
    struct pack_index ix;
    uint64_t at;

    pack_maker_write(&f->m, f->pack_dir, "made");
    assert_int_equal(open_index(f, &ix), 0);
    assert_int_equal(ix.count, f->m.objects.n);
    vec_foreach (o, &f->m.objects) {
        struct oid next = o->oid;
        assert_int_equal(pack_index_find(&ix, &o->oid, &at), 0);
        assert_int_equal(at, o->at);
        next.id[OID_RAW - 1] ^= 0xff;
        assert_int_equal(pack_index_find(&ix, &next, &at), -ENOENT);
    }
    pack_index_done(&ix);
}

static void add(struct made *f, struct oid oid)
{
    struct made_object *o = VEC_ADD(&f->m.objects);

    o->oid = oid;
    o->at = 12 + f->m.objects.n;
}

static void test_finds(void **state)
{
    static const uint32_t counts[] = {0, 1, 100, MANY};

    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        struct made *f = *state;
        f->m.objects.n = 0;
        for (uint32_t n = 0; n < counts[i]; n++)
            add(f, made_id(n));
        assert_finds(f);
    }
}

/* Ids that no hash makes: guesses are far off. */
static void test_finds_among_uneven(void **state)
{
    struct made *f = *state;

    for (uint32_t n = 0; n < MANY; n++) {
        struct oid oid = {{7}};
        oid.id[1] = n % 10 ? 0xff : 0;
        oid.id[18] = n >> 7;
        oid.id[19] = n & 0x7f;
        add(f, oid);
    }
    assert_finds(f);
}

/* Opens the index with `len` bytes at `at` replaced. */
static int open_changed(struct made *f, size_t at, const char *bytes, size_t len)
{
    struct pack_index ix;
    size_t size;

    pack_maker_write(&f->m, f->pack_dir, "made");
    _cleanup_free_ char *data = test_read_file(f->pack_dir, "made.idx", &size);
    memcpy(data + at, bytes, len);
    test_write_bytes(f->pack_dir, "made.idx", data, size);
    int r = open_index(f, &ix);
    if (r == 0)
        pack_index_done(&ix);
    return r;
}

static void test_refuses(void **state)
{
    struct made *f = *state;

    for (uint32_t n = 0; n < 10; n++)
        add(f, made_id(n));
    assert_int_equal(open_changed(f, 0, "", 0), 0);
    assert_int_equal(open_changed(f, 0, "x", 1), -EBADMSG);
    assert_int_equal(open_changed(f, 7, "\3", 1), -EBADMSG);
    assert_int_equal(open_changed(f, 8 + 40 * 4, "\377", 1), -EBADMSG);
    assert_int_equal(open_changed(f, 8 + 255 * 4, "\0\0\0\13", 4), -EBADMSG);
    assert_int_equal(pack_index_open(&(struct pack_index){0}, f->dir, 0, NULL), -EBADMSG);
    assert_int_equal(io_remove_tree(AT_FDCWD, f->pack_dir), 0);
    assert_int_equal(open_index(f, &(struct pack_index){0}), -ENOENT);
}

static void test_large_offsets(void **state)
{
    struct made *f = *state;
    struct pack_index ix;
    uint64_t at;
    size_t size;

    add(f, made_id(1));
    add(f, made_id(2));
    pack_maker_write(&f->m, f->pack_dir, "made");
    _cleanup_free_ char *data = test_read_file(f->pack_dir, "made.idx", &size);
    _cleanup_(buf_done) struct buf larger = {0};
    char *offsets = data + 8 + 256 * 4 + 2 * 24;
    memcpy(offsets, "\x80\0\0\0\x80\0\0\1", 8);
    buf_add(&larger, data, size - 2 * OID_RAW);
    buf_add(&larger, "\0\0\0\1\0\0\0\2", 8);
    buf_add(&larger, data + size - 2 * OID_RAW, 2 * OID_RAW);
    test_write_bytes(f->pack_dir, "made.idx", larger.data, larger.len);
    assert_int_equal(open_index(f, &ix), 0);
    assert_int_equal(pack_index_find(&ix, &f->m.objects.v[0].oid, &at), 0);
    assert_true(at == UINT64_C(0x100000002));
    assert_int_equal(pack_index_find(&ix, &f->m.objects.v[1].oid, &at), -EBADMSG);
    pack_index_done(&ix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MADE(test_finds),
        MADE(test_finds_among_uneven),
        MADE(test_refuses),
        MADE(test_large_offsets),
    };

    return cmocka_run_group_tests_name("pack_index", tests, NULL, NULL);
}

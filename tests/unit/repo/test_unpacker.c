#include "pack_fixture.h"
#include "pack_maker.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "repo/packs.h"

static int read_size(struct made *f, uint32_t id, uint64_t most, size_t *ret_size)
{
    struct oid oid = made_id(id);
    git_object_t type;
    void *data;
    int r = packed_read(f->packs, &oid, most, &type, &data, ret_size);

    if (r == 0)
        free(data);
    return r;
}

static int read_result(struct made *f, uint32_t id)
{
    size_t size;
    return read_size(f, id, 1 << 20, &size);
}

static void assert_content(struct made *f, uint32_t id, const char *text)
{
    struct oid oid = made_id(id);
    git_object_t type = 0, head_type = 0;
    uint64_t head_size = 0;
    size_t size = 0;
    void *data = NULL;

    assert_int_equal(packs_header(f->packs, &oid, &head_type, &head_size), 0);
    assert_int_equal(packed_read(f->packs, &oid, 1 << 21, &type, &data, &size), 0);
    assert_string_equal(data, text);
    assert_int_equal(size, strlen(text));
    assert_int_equal(head_size, size);
    assert_int_equal(type, GIT_OBJECT_BLOB);
    assert_int_equal(head_type, GIT_OBJECT_BLOB);
    free(data);
}

static void test_delta_is_applied(void **state)
{
    struct made *f = *state;
    _cleanup_(buf_done) struct buf delta = {0};

    uint64_t base = pack_maker_blob(&f->m, 1, "the base of it");
    delta_sizes(&delta, 14, 16);
    delta_copy(&delta, 4, 4);
    delta_insert(&delta, " and ");
    delta_copy(&delta, 8, 3);
    delta_copy(&delta, 0, 4);
    pack_maker_delta(&f->m, 2, base, &delta);
    pack_maker_entry(&f->m, 3, REF_DELTA, delta.len);
    pack_maker_base(&f->m, 1);
    pack_maker_deflate(&f->m, delta.data, delta.len);
    pack_maker_blob(&f->m, 4, "");
    made_open(f);
    assert_content(f, 2, "base and  ofthe ");
    assert_content(f, 3, "base and  ofthe ");
    assert_content(f, 1, "the base of it");
    assert_content(f, 4, "");
}

static void test_copy_of_length_zero_is_64_kib(void **state)
{
    struct made *f = *state;
    _cleanup_(buf_done) struct buf delta = {0};
    static char text[0x10000 + 2];

    memset(text, 'x', 0x10001);
    uint64_t base = pack_maker_blob(&f->m, 1, text);
    delta_sizes(&delta, 0x10001, 0x10000);
    buf_addc(&delta, 0x80);
    pack_maker_delta(&f->m, 2, base, &delta);
    made_open(f);
    text[0x10000] = 0;
    assert_content(f, 2, text);
}

static void test_base_in_another_pack(void **state)
{
    struct made *f = *state;
    _cleanup_(buf_done) struct buf delta = {0};
    struct pack_maker other;

    pack_maker_init(&other);
    pack_maker_blob(&other, 1, "elsewhere");
    pack_maker_write(&other, f->pack_dir, "other");
    pack_maker_done(&other);
    delta_sizes(&delta, 9, 4);
    delta_copy(&delta, 0, 4);
    pack_maker_entry(&f->m, 2, REF_DELTA, delta.len);
    pack_maker_base(&f->m, 1);
    pack_maker_deflate(&f->m, delta.data, delta.len);
    made_open(f);
    assert_content(f, 2, "else");
}

/* Adds a chain of `n` deltas with the ids 1 … n on a base with the id 0. */
static void add_chain(struct made *f, uint32_t n)
{
    _cleanup_(buf_done) struct buf delta = {0};
    uint64_t at = pack_maker_blob(&f->m, 0, "root");

    delta_sizes(&delta, 4, 4);
    delta_copy(&delta, 0, 4);
    for (uint32_t i = 1; i <= n; i++)
        at = pack_maker_delta(&f->m, i, at, &delta);
}

static void test_chain_of_any_length_that_git_makes(void **state)
{
    struct made *f = *state;

    add_chain(f, 4096);
    made_open(f);
    assert_int_equal(read_result(f, 4096), -EBADMSG);
    assert_content(f, 4095, "root");
}

/* The text that delta `i` of the chain below makes: a part of its own, small, middling or large,
 * and the beginning of what was before. */
static void next_text(uint32_t i, struct buf *delta, struct buf *text)
{
    static const int pieces[] = {1, 40, 25, 0, 90};
    _cleanup_(buf_done) struct buf before = *text;
    size_t kept = before.len < 200 ? before.len : 200;

    *text = (struct buf){0};
    for (int k = 0; k < pieces[i % 5]; k++)
        buf_addf(text, "part %d of delta %u. ", k, i);
    buf_clear(delta);
    delta_sizes(delta, before.len, text->len + kept);
    for (size_t at = 0; at < text->len; at += 100) {
        _cleanup_free_ char *piece =
            xstrndup(text->data + at, text->len - at < 100 ? text->len - at : 100);
        delta_insert(delta, piece);
    }
    delta_copy(delta, 0, kept);
    buf_add(text, before.data, kept);
}

/* Of the deltas of one walk some are held, some are too large, and some find no room; of the bases
 * some are kept. Whichever it is, and in whichever order they are read, texts are what they are. */
static void test_chain_of_small_and_large_deltas(void **state)
{
    enum { N = 400 };
    struct made *f = *state;
    _cleanup_(buf_done) struct buf delta = {0}, text = {0};
    char *texts[N + 1];

    buf_adds(&text, "the root of all");
    uint64_t at = pack_maker_blob(&f->m, 0, text.data);
    texts[0] = xstrdup(text.data);
    for (uint32_t i = 1; i <= N; i++) {
        next_text(i, &delta, &text);
        at = pack_maker_delta(&f->m, i, at, &delta);
        texts[i] = xstrdup(text.data);
    }
    made_open(f);
    for (uint32_t i = 0; i <= N; i++)
        assert_content(f, N - i * 7 % (N + 1), texts[N - i * 7 % (N + 1)]);
    for (uint32_t i = 0; i <= N; i++) {
        assert_content(f, i, texts[i]);
        free(texts[i]);
    }
}

/* More than an unpacker keeps buffers for. */
static void test_large_deltas_one_after_another(void **state)
{
    struct made *f = *state;
    _cleanup_(buf_done) struct buf delta = {0}, text = {0};
    static const char piece[] = "a piece that is put in again and again";

    for (int i = 0; i < 30000; i++)
        buf_adds(&text, piece);
    uint64_t base = pack_maker_blob(&f->m, 1, "of no use");
    delta_sizes(&delta, 9, text.len);
    for (int i = 0; i < 30000; i++)
        delta_insert(&delta, piece);
    pack_maker_delta(&f->m, 2, base, &delta);
    pack_maker_delta(&f->m, 3, base, &delta);
    made_open(f);
    for (int id = 2; id <= 3; id++)
        assert_content(f, id, text.data);
}

static void test_larger_than_allowed(void **state)
{
    struct made *f = *state;
    _cleanup_(buf_done) struct buf small = {0}, large = {0};
    size_t size;

    uint64_t base = pack_maker_blob(&f->m, 1, "twenty bytes of base");
    delta_sizes(&small, 20, 2);
    delta_copy(&small, 0, 2);
    pack_maker_delta(&f->m, 2, base, &small);
    delta_sizes(&large, 20, 40);
    delta_copy(&large, 0, 20);
    delta_copy(&large, 0, 20);
    pack_maker_delta(&f->m, 3, base, &large);
    made_open(f);
    assert_int_equal(read_size(f, 1, 20, &size), 0);
    assert_int_equal(read_size(f, 1, 19, &size), -EFBIG);
    assert_int_equal(read_size(f, 2, 15, &size), -EFBIG);
    assert_int_equal(read_size(f, 3, 40, &size), 0);
    assert_int_equal(size, 40);
    assert_int_equal(read_size(f, 3, 39, &size), -EFBIG);
}

static void test_wrong_deltas(void **state)
{
    struct made *f = *state;
    struct buf d[9] = {0};

    uint64_t base = pack_maker_blob(&f->m, 100, "base");
    delta_sizes(&d[0], 5, 4); /* another base */
    delta_copy(&d[0], 0, 4);
    delta_sizes(&d[1], 4, 5); /* too short */
    delta_copy(&d[1], 0, 4);
    delta_sizes(&d[2], 4, 1); /* too long */
    delta_insert(&d[2], "much longer than what was allocated for it");
    delta_sizes(&d[3], 4, 4); /* beyond the base */
    delta_copy(&d[3], 1, 4);
    delta_sizes(&d[4], 4, 4); /* from far beyond the base */
    delta_copy(&d[4], UINT32_MAX, 4);
    delta_sizes(&d[5], 4, 4); /* reserved */
    buf_addc(&d[5], 0);
    delta_sizes(&d[6], 4, 4); /* an insertion that is cut */
    buf_addc(&d[6], 4);
    buf_adds(&d[6], "ins");
    delta_sizes(&d[7], 4, 4); /* a copy that is cut */
    buf_addc(&d[7], 0xff);
    buf_addc(&d[7], 0);
    buf_add(&d[8], "\x84", 1); /* sizes that are cut */
    for (int i = 0; i < 9; i++)
        pack_maker_delta(&f->m, i, base, &d[i]);
    made_open(f);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(read_result(f, i), -EBADMSG);
        buf_done(&d[i]);
    }
}

static void test_wrong_entries(void **state)
{
    struct made *f = *state;
    _cleanup_(buf_done) struct buf delta = {0};
    struct oid oid;
    git_object_t type;
    uint64_t size;

    delta_sizes(&delta, 4, 4);
    delta_copy(&delta, 0, 4);
    for (int i = 0; i < 3; i++) {
        pack_maker_entry(&f->m, i, i ? 4 + i : 0, 4); /* no type; type 5; itself as base */
        if (i == 2)
            pack_maker_distance(&f->m, 0);
        pack_maker_deflate(&f->m, "abcd", 4);
    }
    pack_maker_entry(&f->m, 3, BLOB, 5); /* longer than what follows */
    pack_maker_deflate(&f->m, "abcd", 4);
    pack_maker_entry(&f->m, 4, BLOB, 3); /* shorter */
    pack_maker_deflate(&f->m, "abcd", 4);
    pack_maker_entry(&f->m, 5, OFS_DELTA, delta.len); /* a base before the pack */
    pack_maker_distance(&f->m, UINT64_C(1) << 40);
    pack_maker_deflate(&f->m, delta.data, delta.len);
    for (int i = 6; i < 8; i++) { /* the bases of each other */
        pack_maker_entry(&f->m, i, REF_DELTA, delta.len);
        pack_maker_base(&f->m, 6 + (i + 1) % 2);
        pack_maker_deflate(&f->m, delta.data, delta.len);
    }
    pack_maker_entry(&f->m, 8, REF_DELTA, delta.len); /* a base that is nowhere */
    pack_maker_base(&f->m, 1000);
    pack_maker_deflate(&f->m, delta.data, delta.len);
    pack_maker_entry(&f->m, 9, BLOB, UINT64_MAX >> 1); /* more than any memory */
    pack_maker_deflate(&f->m, "abcd", 4);
    made_open(f);
    for (int i = 0; i <= 9; i++)
        assert_int_equal(read_result(f, i), -EBADMSG);
    for (int i = 5; i <= 9; i++) {
        oid = made_id(i);
        assert_int_equal(packs_header(f->packs, &oid, &type, &size), -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MADE(test_delta_is_applied),
        MADE(test_copy_of_length_zero_is_64_kib),
        MADE(test_base_in_another_pack),
        MADE(test_chain_of_any_length_that_git_makes),
        MADE(test_chain_of_small_and_large_deltas),
        MADE(test_large_deltas_one_after_another),
        MADE(test_larger_than_allowed),
        MADE(test_wrong_deltas),
        MADE(test_wrong_entries),
    };

    return cmocka_run_group_tests_name("unpacker", tests, NULL, NULL);
}

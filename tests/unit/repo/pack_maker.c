#include "pack_maker.h"

#include <endian.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/cleanup.h"

struct oid made_id(uint32_t n)
{
    struct oid oid = {0};
    uint32_t spread = htobe32(n * 2654435761u), plain = htobe32(n);

    memcpy(oid.id, &spread, 4);
    memcpy(oid.id + 16, &plain, 4);
    return oid;
}

static void add_be32(struct buf *b, uint32_t v)
{
    v = htobe32(v);
    buf_add(b, &v, sizeof(v));
}

void pack_maker_init(struct pack_maker *m)
{
    *m = (struct pack_maker){0};
    buf_adds(&m->pack, "PACK");
    add_be32(&m->pack, 2);
    add_be32(&m->pack, 0);
}

void pack_maker_done(struct pack_maker *m)
{
    buf_done(&m->pack);
    free(m->objects.v);
}

uint64_t pack_maker_entry(struct pack_maker *m, uint32_t id, int type, uint64_t size)
{
    struct made_object *o = VEC_ADD(&m->objects);
    unsigned char c = type << 4 | (size & 15);

    *o = (struct made_object){made_id(id), m->pack.len};
    for (size >>= 4; size; size >>= 7) {
        buf_addc(&m->pack, c | 0x80);
        c = size & 0x7f;
    }
    buf_addc(&m->pack, c);
    return o->at;
}

void pack_maker_distance(struct pack_maker *m, uint64_t distance)
{
    unsigned char bytes[16];
    int at = sizeof(bytes);

    bytes[--at] = distance & 0x7f;
    while (distance >>= 7)
        bytes[--at] = 0x80 | (--distance & 0x7f);
    buf_add(&m->pack, bytes + at, sizeof(bytes) - at);
}

void pack_maker_base(struct pack_maker *m, uint32_t id)
{
    struct oid oid = made_id(id);

    buf_add(&m->pack, oid.id, OID_RAW);
}

void pack_maker_deflate(struct pack_maker *m, const void *data, size_t len)
{
    uLongf out_len = compressBound(len);
    _cleanup_free_ unsigned char *out = xmalloc(out_len);

    assert_int_equal(compress2(out, &out_len, data, len, 1), Z_OK);
    buf_add(&m->pack, out, out_len);
}

uint64_t pack_maker_blob(struct pack_maker *m, uint32_t id, const char *text)
{
    uint64_t at = pack_maker_entry(m, id, BLOB, strlen(text));

    pack_maker_deflate(m, text, strlen(text));
    return at;
}

uint64_t pack_maker_delta(struct pack_maker *m, uint32_t id, uint64_t base, const struct buf *delta)
{
    uint64_t at = pack_maker_entry(m, id, OFS_DELTA, delta->len);

    pack_maker_distance(m, at - base);
    pack_maker_deflate(m, delta->data, delta->len);
    return at;
}

static int by_oid(const void *a, const void *b)
{
    return memcmp(a, b, OID_RAW);
}

static void add_fanout(struct pack_maker *m, struct buf *index)
{
    uint32_t n = 0;

    for (int first = 0; first < 256; first++) {
        while (n < m->objects.n && m->objects.v[n].oid.id[0] <= first)
            n++;
        add_be32(index, n);
    }
}

void pack_maker_write(struct pack_maker *m, const char *dir, const char *name)
{
    static const char checksum[OID_RAW] = "any twenty bytes....";
    _cleanup_(buf_done) struct buf index = {0};
    _cleanup_free_ char *pack_name = xasprintf("%s.pack", name);
    _cleanup_free_ char *index_name = xasprintf("%s.idx", name);
    uint32_t count = htobe32(m->objects.n);

    memcpy(m->pack.data + 8, &count, sizeof(count));
    buf_add(&m->pack, checksum, OID_RAW);
    if (m->objects.n)
        qsort(m->objects.v, m->objects.n, sizeof(*m->objects.v), by_oid);
    buf_add(&index, "\377tOc\0\0\0\2", 8);
    add_fanout(m, &index);
    vec_foreach (o, &m->objects)
        buf_add(&index, o->oid.id, OID_RAW);
    vec_foreach (o, &m->objects)
        add_be32(&index, 0);
    vec_foreach (o, &m->objects)
        add_be32(&index, o->at);
    buf_add(&index, checksum, OID_RAW);
    buf_add(&index, checksum, OID_RAW);
    test_write_bytes(dir, pack_name, m->pack.data, m->pack.len);
    test_write_bytes(dir, index_name, index.data, index.len);
}

int made_setup(void **state)
{
    struct made *f = NEW(struct made);

    f->dir = test_dir_new();
    f->pack_dir = xasprintf("%s/pack", f->dir);
    pack_maker_init(&f->m);
    *state = f;
    return 0;
}

int made_teardown(void **state)
{
    struct made *f = *state;

    packs_free(f->packs);
    pack_maker_done(&f->m);
    test_dir_free(f->dir);
    free(f->pack_dir);
    free(f);
    return 0;
}

void made_open(struct made *f)
{
    pack_maker_write(&f->m, f->pack_dir, "made");
    f->packs = packs_new(f->dir, 1 << 20);
}

static void add_number(struct buf *delta, uint64_t v)
{
    for (; v > 0x7f; v >>= 7)
        buf_addc(delta, 0x80 | (v & 0x7f));
    buf_addc(delta, v);
}

void delta_sizes(struct buf *delta, uint64_t base, uint64_t result)
{
    add_number(delta, base);
    add_number(delta, result);
}

void delta_copy(struct buf *delta, uint32_t from, uint32_t len)
{
    buf_addc(delta, 0xff);
    for (int i = 0; i < 4; i++)
        buf_addc(delta, from >> (8 * i) & 0xff);
    for (int i = 0; i < 3; i++)
        buf_addc(delta, len >> (8 * i) & 0xff);
}

void delta_insert(struct buf *delta, const char *text)
{
    buf_addc(delta, strlen(text));
    buf_adds(delta, text);
}

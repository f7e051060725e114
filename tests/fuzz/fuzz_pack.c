/* A pack whose index is right: how many objects, where each of them is (two bytes each), and the
 * pack's bytes behind its header. */
#include "fuzz.h"

#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/packs.h"

#define OBJECTS_MOST 16
#define MOST         (1 << 20)

static const char end[OID_RAW] = "any twenty bytes....";

static void add_be32(struct buf *b, uint32_t v)
{
    v = htobe32(v);
    buf_add(b, &v, sizeof(v));
}

/* The ids are 0x00…, 0x01…, and so on. */
static struct oid id_of(unsigned i)
{
    return (struct oid){{i, 1}};
}

static void write_index(const uint8_t *places, unsigned n)
{
    _cleanup_(buf_done) struct buf b = {0};

    buf_add(&b, "\377tOc\0\0\0\2", 8);
    for (unsigned i = 0; i < 256; i++)
        add_be32(&b, i < n ? i + 1 : n);
    for (unsigned i = 0; i < n; i++)
        buf_add(&b, id_of(i).id, OID_RAW);
    for (unsigned i = 0; i < n; i++)
        add_be32(&b, 0);
    for (unsigned i = 0; i < n; i++)
        add_be32(&b, 12 + places[2 * i] * 256 + places[2 * i + 1]);
    buf_add(&b, end, OID_RAW);
    buf_add(&b, end, OID_RAW);
    fuzz_write("pack/x.idx", b.data, b.len);
}

static void read_all(struct packs *packs, unsigned n)
{
    _cleanup_free_ char *path = xasprintf("%s/out", fuzz_dir());
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    for (unsigned i = 0; i < n; i++) {
        struct oid oid = id_of(i);
        struct packed_copy copy = {&oid};
        struct unpacked o = {0};
        git_object_t type;
        uint64_t size;
        packs_header(packs, &oid, &type, &size);
        if (packs_read(packs, &copy, MOST, &o) == 0) {
            unpacked_done(&o);
            packs_spill(packs, &copy, fuzz_dir(), fd, &o);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *dir = xasprintf("%s/pack", fuzz_dir());
    _cleanup_(buf_done) struct buf pack = {0};
    unsigned n = size ? data[0] % OBJECTS_MOST + 1 : 0;

    if (size < 1 + 2 * n || !n)
        return 0;
    mkdir(dir, 0700);
    write_index(data + 1, n);
    buf_add(&pack, "PACK\0\0\0\2", 8);
    add_be32(&pack, n);
    buf_add(&pack, data + 1 + 2 * n, size - 1 - 2 * n);
    buf_add(&pack, end, OID_RAW);
    fuzz_write("pack/x.pack", pack.data, pack.len);
    _cleanup_(packs_freep) struct packs *packs = packs_new(fuzz_dir(), MOST);
    read_all(packs, n);
    return 0;
}

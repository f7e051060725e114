#include "repo/pack_large.h"

#include <errno.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/alloc.h"
#include "repo/giterr.h"
#include "repo/hash.h"
#include "repo/object_write.h"

#define PIECE (256u << 10)

int pack_large_name(int fd, uint64_t size, struct oid *ret, struct diag *reterr)
{
    _cleanup_free_ char *path = xasprintf("/proc/self/fd/%d", fd);
    struct stat st;
    git_oid oid;

    if (fstat(fd, &st) < 0)
        return diag_fail(reterr, -errno, "cannot look at the file to store: %s",
                         strerrordesc_np(errno));
    if ((uint64_t)st.st_size != size)
        return diag_fail(reterr, -EIO, "the file to store changed while it was read");
    int code = git_odb_hashfile(&oid, path, GIT_OBJECT_BLOB);
    if (code < 0)
        return giterr_fail(code, reterr, "cannot name the file to store");
    *ret = oid_from_git(&oid);
    return 0;
}

/* One file on its way. */
struct passage {
    struct pack_writer *w;
    z_stream there, back;
    struct hash *hash; /* of what came back */
    unsigned char in[PIECE], out[PIECE], again[PIECE];
};

static void passage_free(struct passage *p)
{
    deflateEnd(&p->there);
    inflateEnd(&p->back);
    hash_free(p->hash);
    free(p);
}
DEFINE_CLEANUP(struct passage *, passage_free)

/* -ENOMEM. */
static int passage_new(struct pack_writer *w, uint64_t size, struct passage **ret)
{
    _cleanup_(passage_freep) struct passage *p = NEW(struct passage);

    p->w = w;
    p->hash = hash_new(GIT_OBJECT_BLOB, size);
    if (!p->hash || deflateInit(&p->there, Z_BEST_SPEED) != Z_OK || inflateInit(&p->back) != Z_OK)
        return -ENOMEM;
    *ret = TAKE(p);
    return 0;
}

/* Inflates the first `n` bytes of `out`. What is wrong with them shows in the hash. */
static int come_back(struct passage *p, size_t n)
{
    int r = 0;

    p->back.next_in = p->out;
    p->back.avail_in = n;
    do {
        p->back.next_out = p->again;
        p->back.avail_out = PIECE;
        inflate(&p->back, Z_NO_FLUSH);
        r = hash_add(p->hash, p->again, PIECE - p->back.avail_out);
    } while (r == 0 && p->back.avail_out == 0);
    return r;
}

/* Deflates the first `n` bytes of `in`; to the end, if they are the last. */
static int pass(struct passage *p, size_t n, bool last, struct diag *reterr)
{
    int r = 0;

    p->there.next_in = p->in;
    p->there.avail_in = n;
    do {
        p->there.next_out = p->out;
        p->there.avail_out = PIECE;
        deflate(&p->there, last ? Z_FINISH : Z_NO_FLUSH);
        size_t made = PIECE - p->there.avail_out;
        r = pack_writer_append(p->w, p->out, made, reterr);
        if (r == 0)
            r = come_back(p, made);
    } while (r == 0 && p->there.avail_out == 0);
    return r;
}

int pack_large_add(struct pack_writer *w, const struct oid *oid, int fd, uint64_t size,
                   struct diag *reterr)
{
    _cleanup_(passage_freep) struct passage *p = NULL;
    struct oid came;
    int r = passage_new(w, size, &p);

    if (r == 0)
        r = pack_writer_begin(w, oid, GIT_OBJECT_BLOB, size, reterr);
    for (uint64_t at = 0; r == 0 && at < size; at += PIECE) {
        size_t n = size - at < PIECE ? size - at : PIECE;
        r = object_read_file(fd, (char *)p->in, n, at, reterr);
        if (r == 0)
            r = pass(p, n, at + n == size, reterr);
    }
    if (r == 0)
        r = hash_end(p->hash, &came);
    if (r == 0 && !oid_equal(&came, oid))
        return diag_fail(reterr, -EIO, "the file to store changed while it was read");
    return r;
}

#include "repo/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/loose_writer.h"
#include "repo/object_write.h"
#include "repo/oidset.h"
#include "repo/pack_writer.h"
#include "repo/packs.h"
#include "repo/source.h"

/* More objects, or more bytes, than this make a pack. Each loose one has a descriptor meanwhile. */
#define LOOSE_MOST       64
#define LOOSE_BYTES_MOST (8u << 20)

/* An object that waits to become a loose one. */
struct waiting {
    struct oid oid;
    git_object_t type;
    void *data;
    size_t len;
};

struct batch {
    struct sink sink;
    struct repo *repo;
    bool held;         /* all that is put goes into packs, also what is there already */
    struct oidset put; /* waiting, or in `writer` */
    VEC(struct waiting) waiting;
    size_t bytes; /* of those */
    struct pack_writer *writer;
    VEC(struct oid) packed; /* what is in `writer` */
    VEC(struct oid) torn;   /* of which there is a broken loose one */
    struct oidset kept;     /* what is in a pack that is kept */
    VEC(struct pack_keep) keeps;
};

static void forget_waiting(struct batch *b)
{
    vec_foreach (o, &b->waiting)
        free(o->data);
    b->waiting.n = b->bytes = 0;
}

/* ---- putting ---- */

/* Whether the object is there, so that it need not be written. */
static bool is_stored(struct batch *b, const struct oid *oid)
{
    struct repo *repo = b->repo;
    bool trusted = repo_is_stored(repo, oid);

    if (oidset_has(&b->kept, oid))
        return true;
    if (b->held)
        return false;
    int r = loose_freshen(repo->objects_dir, oid, trusted);
    bool stored = r > 0 || source_freshen(repo->source, oid, trusted) == 0;
    if (r < 0)
        *VEC_ADD(&b->torn) = *oid;
    if (stored && !trusted)
        repo_note_stored(repo, oid);
    return stored;
}

static int start_pack(struct batch *b, struct diag *reterr)
{
    int r = pack_writer_new(b->repo->objects_dir, &b->writer, reterr);

    for (size_t i = 0; r == 0 && i < b->waiting.n; i++) {
        const struct waiting *o = &b->waiting.v[i];
        r = pack_writer_add(b->writer, &o->oid, o->type, o->data, o->len, reterr);
        *VEC_ADD(&b->packed) = o->oid;
    }
    forget_waiting(b);
    return r;
}

static int add(struct batch *b, const struct oid *oid, git_object_t type, const void *data,
               size_t len, struct diag *reterr)
{
    if (!b->writer &&
        (b->held || b->waiting.n == LOOSE_MOST || b->bytes + len > LOOSE_BYTES_MOST)) {
        int r = start_pack(b, reterr);
        if (r < 0)
            return r;
    }
    if (b->writer) {
        *VEC_ADD(&b->packed) = *oid;
        return pack_writer_add(b->writer, oid, type, data, len, reterr);
    }
    *VEC_ADD(&b->waiting) = (struct waiting){*oid, type, xmemdup(data, len), len};
    b->bytes += len;
    return 0;
}

/* The id is libgit2's, which looks for known attacks on SHA-1, as git does. */
static int put(struct sink *sink, enum sink_type type, const void *data, size_t len,
               struct oid *ret, struct diag *reterr)
{
    struct batch *b = container_of(sink, struct batch, sink);
    git_object_t git_type = sink_git_type(type);
    git_oid git;
    int code = git_odb_hash(&git, data, len, git_type), r = 0;

    if (code < 0)
        return giterr_fail(code, reterr, "cannot name an object");
    struct oid oid = oid_from_git(&git);
    if (!oidset_has(&b->put, &oid) && !is_stored(b, &oid)) {
        r = add(b, &oid, git_type, data, len, reterr);
        oidset_add(&b->put, &oid);
    }
    if (r == 0)
        *ret = oid;
    return r;
}

/* What is large is a loose object of its own at once. */
static int put_fd(struct sink *sink, int fd, uint64_t size, struct oid *ret, struct diag *reterr)
{
    struct batch *b = container_of(sink, struct batch, sink);

    return blob_write_fd(b->repo, fd, size, ret, reterr);
}

static const struct sink_ops ops = {put, put_fd};

struct batch *batch_new(struct repo *repo)
{
    struct batch *b = NEW(struct batch);

    b->sink.ops = &ops;
    b->repo = repo;
    return b;
}

struct batch *batch_new_held(struct repo *repo)
{
    struct batch *b = batch_new(repo);

    b->held = true;
    return b;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    forget_waiting(b);
    free(b->waiting.v);
    pack_writer_free(b->writer);
    free(b->packed.v);
    free(b->torn.v);
    vec_foreach (keep, &b->keeps)
        pack_keep_drop(keep);
    free(b->keeps.v);
    oidset_done(&b->put);
    oidset_done(&b->kept);
    free(b);
}

struct sink *batch_sink(struct batch *b)
{
    return &b->sink;
}

/* ---- storing ---- */

/* Reads it where readers find it. */
static int read_back(struct batch *b, const struct oid *oid, struct diag *reterr)
{
    char hex[OID_HEX + 1];
    int r = source_verify(b->repo->source, oid);

    if (r < 0)
        return diag_fail(reterr, r == -ENOMEM ? r : -EIO,
                         "object %s cannot be read back after it was written: %s",
                         oid_hex(oid, hex), strerrordesc_np(-r));
    repo_note_stored(b->repo, oid);
    return 0;
}

static int store_pack(struct batch *b, struct diag *reterr)
{
    struct pack_keep keep;
    int r = pack_writer_finish(b->writer, &keep, reterr);

    pack_writer_free(TAKE(b->writer));
    if (r == 0)
        *VEC_ADD(&b->keeps) = keep;
    for (size_t i = 0; r == 0 && i < b->packed.n; i++) {
        oidset_add(&b->kept, &b->packed.v[i]);
        r = read_back(b, &b->packed.v[i], reterr);
    }
    b->packed.n = 0;
    return r;
}

static int store_loose(struct batch *b, struct diag *reterr)
{
    _cleanup_(loose_writer_done) struct loose_writer w = {.dir = b->repo->objects_dir};
    int r = 0;

    for (size_t i = 0; r == 0 && i < b->waiting.n; i++) {
        const struct waiting *o = &b->waiting.v[i];
        r = loose_writer_add(&w, &o->oid, o->type, o->data, o->len);
    }
    if (r == 0)
        r = loose_writer_finish(&w);
    if (r < 0)
        return diag_fail(reterr, r, "cannot write to %s: %s", w.dir, strerrordesc_np(-r));
    for (size_t i = 0; r == 0 && i < b->waiting.n; i++)
        r = read_back(b, &b->waiting.v[i].oid, reterr);
    return r;
}

int batch_store(struct batch *b, struct diag *reterr)
{
    int r = b->writer ? store_pack(b, reterr) : b->waiting.n ? store_loose(b, reterr) : 0;

    /* Readers look into packs first; git fsck, which looks at all, would go on complaining. */
    for (size_t i = 0; r == 0 && i < b->torn.n; i++)
        if (source_freshen(b->repo->source, &b->torn.v[i], true) == 0)
            loose_remove(b->repo->objects_dir, &b->torn.v[i]);
    b->torn.n = 0;
    forget_waiting(b);
    oidset_done(&b->put);
    return r;
}

void batch_tidy(struct repo *repo)
{
    pack_keep_tidy(repo->objects_dir);
}

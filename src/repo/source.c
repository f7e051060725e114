#include "repo/source.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/hash.h"
#include "repo/loose.h"
#include "repo/missing.h"
#include "repo/odb.h"
#include "repo/packs.h"
#include "repo/scratches.h"

#define WRONG_CONTENT "its content does not match its id"
#define TAGS_DEEPEST  16 /* tags of tags */

struct source {
    struct repo *repo;
    struct packs *packs;
    struct odb_dirs dirs;
    struct missing *missing;
};

void raw_done(struct raw *raw)
{
    if (raw->owner)
        git_odb_object_free(raw->owner);
    else
        free(raw->data);
    *raw = (struct raw){0};
}

struct source *source_new(struct repo *repo, size_t bases)
{
    struct source *s = NEW(struct source);

    s->repo = repo;
    s->packs = packs_new(repo->objects_dir, bases);
    odb_dirs_find(repo->objects_dir, &s->dirs);
    s->missing = missing_new(&s->dirs);
    return s;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    packs_free(s->packs);
    missing_free(s->missing);
    odb_dirs_done(&s->dirs);
    free(s);
}

/* ---- libgit2 ---- */

/* libgit2's answer `code` to the question for `oid`, as ours. `broken`: somebody had a copy that
 * was no good. */
static int conclude(struct source *s, const struct oid *oid, int code, bool broken)
{
    if (code == GIT_ENOTFOUND && !broken)
        return -ENOENT;
    int err = giterr_errno(code);
    if (err == -ENOMEM || err == -EMFILE || err == -ENFILE) /* that says nothing of the object */
        return err;
    return repo_object_bad(s->repo, oid, code == GIT_ENOTFOUND ? WRONG_CONTENT : giterr_text());
}

/* What libgit2 is asked for one object. */
struct question {
    struct source *source;
    const struct oid *oid;
    bool broken; /* by what was seen so far */
};

/* Asks libgit2 by `ask`, unless it is known to say no. */
static int ask_libgit2(struct question *q, int (*ask)(git_odb *odb, const git_oid *oid, void *arg),
                       void *arg)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    struct missing_stamp asked;

    if (!q->broken && missing_has(q->source->missing, q->oid, &asked))
        return -ENOENT;
    int r = handle_borrow(q->source->repo, &h, NULL);
    if (r < 0)
        return r;
    int code = ask(h->odb, oid_git(q->oid), arg);
    if (code >= 0)
        return 0;
    r = conclude(q->source, q->oid, code, q->broken);
    if (r == -ENOENT)
        missing_add(q->source->missing, q->oid, &asked);
    return r;
}

struct header {
    git_object_t type;
    uint64_t size;
};

static int ask_header(git_odb *odb, const git_oid *oid, void *arg)
{
    struct header *header = arg;
    size_t size;
    int code = git_odb_read_header(&size, &header->type, odb, oid);

    if (code == 0)
        header->size = size;
    return code;
}

static int ask_object(git_odb *odb, const git_oid *oid, void *arg)
{
    struct raw *raw = arg;
    int code = odb_read(odb, oid, &raw->owner);

    if (code < 0)
        return code;
    raw->type = git_odb_object_type(raw->owner);
    raw->size = git_odb_object_size(raw->owner);
    raw->data = (void *)git_odb_object_data(raw->owner);
    return 0;
}

/* ---- headers ---- */

int source_header(struct source *s, const struct oid *oid, git_object_t *ret_type,
                  uint64_t *ret_size)
{
    struct question q = {s, oid};
    struct header header;
    int r;

    if (oid_is_zero(oid))
        return -ENOENT;
    r = scratches_header(s->repo->scratches, oid, &header.type, &header.size);
    if (r < 0)
        r = packs_header(s->packs, oid, ret_type ? &header.type : NULL, &header.size);
    for (size_t i = 0; r < 0 && i < s->dirs.n; i++)
        r = loose_header(s->dirs.v[i], oid, &header.type, &header.size);
    if (r < 0) {
        q.broken = r != -ENOENT;
        r = ask_libgit2(&q, ask_header, &header);
    }
    if (r < 0)
        return r;
    if (ret_type)
        *ret_type = header.type;
    *ret_size = header.size;
    return 0;
}

/* ---- whole objects ---- */

/* Whether a reader's answer is the last word; else the next is asked. */
static bool is_final(int r)
{
    return r == 0 || r == -EFBIG || r == -ENOMEM;
}

static int verified(const struct oid *oid, struct raw *raw, int r)
{
    if (r == 0)
        r = hash_verify(oid, raw->type, raw->data, raw->size);
    if (r < 0)
        raw_done(raw);
    return r;
}

/* From where it is kept, without libgit2. -ENOENT: not there; other codes but the final ones: a
 * copy is broken. */
static int read_stored(struct source *s, const struct oid *oid, uint64_t most, struct raw *ret)
{
    int r = packs_read(s->packs, oid, most, &ret->type, &ret->data, &ret->size), broken = -ENOENT;

    r = verified(oid, ret, r);
    for (size_t i = 0; !is_final(r) && i < s->dirs.n; i++) {
        broken = r == -ENOENT ? broken : r;
        r = loose_load(s->dirs.v[i], oid, most, &ret->type, &ret->data, &ret->size);
        r = verified(oid, ret, r);
    }
    return r == -ENOENT ? broken : r;
}

static int read_fast(struct source *s, const struct oid *oid, uint64_t most, struct raw *ret)
{
    struct scratches *scratches = s->repo->scratches;
    int r = scratches_load(scratches, oid, most, &ret->type, &ret->data, &ret->size);

    r = verified(oid, ret, r);
    return is_final(r) ? r : read_stored(s, oid, most, ret);
}

static int read_libgit2(struct question *q, uint64_t most, struct raw *ret)
{
    struct header header;
    int r = most < SIZE_MAX ? ask_libgit2(q, ask_header, &header) : 0;

    if (r == 0 && most < SIZE_MAX && header.size > most)
        return -EFBIG;
    return r < 0 ? r : ask_libgit2(q, ask_object, ret);
}

int source_verify(struct source *s, const struct oid *oid)
{
    _cleanup_(raw_done) struct raw raw = {0};
    int r = read_stored(s, oid, UINT64_MAX, &raw);

    if (r == -ENOENT) { /* in a pack that is one too many for us */
        struct question q = {s, oid};
        r = read_libgit2(&q, SIZE_MAX, &raw);
    }
    return r;
}

int source_read(struct source *s, const struct oid *oid, uint64_t most, struct raw *ret)
{
    struct raw raw = {0};
    int r;

    if (oid_is_zero(oid))
        return -ENOENT;
    r = read_fast(s, oid, most, &raw);
    if (!is_final(r)) {
        struct question q = {s, oid, r != -ENOENT};
        r = read_libgit2(&q, most, &raw);
    }
    if (r == 0)
        *ret = raw;
    return r;
}

int source_freshen(struct source *s, const struct oid *oid, bool trusted)
{
    _cleanup_(raw_done) struct raw raw = {0};
    int r = packs_freshen(s->packs, oid);

    if (r < 0 || trusted)
        return r;
    r = packs_read(s->packs, oid, UINT64_MAX, &raw.type, &raw.data, &raw.size);
    return verified(oid, &raw, r);
}

/* ---- to a file ---- */

/* What a reader has written to `fd`, verified; -EBADMSG, and the file is empty again, if it is not
 * the object. */
static int verified_fd(const struct oid *oid, int fd, const struct header *header, int r)
{
    if (r == 0)
        r = hash_verify_fd(oid, header->type, fd, header->size);
    if (r < 0 && ftruncate(fd, 0) < 0)
        return -errno;
    return r;
}

/* Whether a failure is one of the object, so that another copy may do, and not of the file. */
static bool is_of_object(int r)
{
    return r == -ENOENT || r == -EIO || r == -EBADMSG;
}

/* As read_fast(). */
static int spill_fast(struct source *s, const struct oid *oid, const char *dir, int fd,
                      struct header *ret)
{
    int r = scratches_spill(s->repo->scratches, oid, fd, &ret->type, &ret->size);
    int broken = -ENOENT;

    r = verified_fd(oid, fd, ret, r);
    if (is_of_object(r)) {
        r = packs_spill(s->packs, oid, dir, fd, &ret->type, &ret->size);
        r = verified_fd(oid, fd, ret, r);
    }
    for (size_t i = 0; is_of_object(r) && i < s->dirs.n; i++) {
        broken = r == -ENOENT ? broken : r;
        r = loose_spill(s->dirs.v[i], oid, fd, &ret->type, &ret->size);
        r = verified_fd(oid, fd, ret, r);
    }
    return r == -ENOENT ? broken : r;
}

static int spill_libgit2(struct question *q, int fd, struct header *ret)
{
    _cleanup_(raw_done) struct raw raw = {0};
    int r = ask_libgit2(q, ask_object, &raw);

    if (r < 0)
        return r;
    ret->type = raw.type;
    ret->size = raw.size;
    return io_pwrite_full(fd, raw.data, raw.size, 0);
}

int source_spill(struct source *s, const struct oid *oid, const char *dir, int fd,
                 git_object_t *ret_type, uint64_t *ret_size)
{
    struct header header;
    int r;

    if (oid_is_zero(oid))
        return -ENOENT;
    r = spill_fast(s, oid, dir, fd, &header);
    if (is_of_object(r)) {
        struct question q = {s, oid, r != -ENOENT};
        r = spill_libgit2(&q, fd, &header);
    }
    if (r == 0) {
        *ret_type = header.type;
        *ret_size = header.size;
    }
    return r;
}

/* ---- tags ---- */

/* What an annotated tag's object names: "object <id>\n" is its first line. */
static int tag_target(struct source *s, struct oid *oid)
{
    _cleanup_(raw_done) struct raw raw = {0};
    char hex[OID_HEX + 1];
    int r = source_read(s, oid, UINT64_MAX, &raw);

    if (r < 0)
        return r;
    if (raw.size <= 7 + OID_HEX || memcmp(raw.data, "object ", 7))
        return -EINVAL;
    memcpy(hex, (char *)raw.data + 7, OID_HEX);
    hex[OID_HEX] = 0;
    return oid_parse(hex, oid);
}

struct oid source_peel(struct source *s, const struct oid *start)
{
    struct oid oid = *start;
    git_object_t type;
    uint64_t size;

    for (int depth = 0; depth < TAGS_DEEPEST; depth++) {
        if (source_header(s, &oid, &type, &size) < 0)
            break;
        if (type == GIT_OBJECT_COMMIT)
            return oid;
        if (type != GIT_OBJECT_TAG || tag_target(s, &oid) < 0)
            break;
    }
    return (struct oid){0};
}

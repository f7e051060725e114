#include "repo/source.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/io.h"
#include "repo/faults.h"
#include "repo/handle.h"
#include "repo/hash.h"
#include "repo/loose.h"
#include "repo/object_dirs.h"
#include "repo/packs.h"
#include "repo/scratches.h"

#define TAGS_DEEPEST 16 /* tags of tags */

/* It is there in every repository, stored or not. */
static const struct oid empty_tree = {{0x4b, 0x82, 0x5d, 0xc6, 0x42, 0xcb, 0x6e, 0xb9, 0xa0, 0x60,
                                       0xe5, 0x4b, 0xf8, 0xd6, 0x92, 0x88, 0xfb, 0xee, 0x49, 0x04}};

struct source {
    struct repo *repo;
    struct packs *packs;
    struct object_dirs dirs;
};

static void on_fault(const char *why, void *arg)
{
    faults_pack(arg, why);
}

struct source *source_new(struct repo *repo, size_t bases)
{
    struct source *s = NEW(struct source);

    s->repo = repo;
    s->packs = packs_new(repo->objects_dir, bases);
    packs_on_fault(s->packs, on_fault, repo->faults);
    object_dirs_find(repo->objects_dir, &s->dirs);
    return s;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    packs_free(s->packs);
    object_dirs_done(&s->dirs);
    free(s);
}

/* ---- what is wrong ---- */

/* Whether a failure is one of this copy, so that another may do. The others are the last word. */
static bool is_of_copy(int r)
{
    return r == -ENOENT || r == -EIO || r == -EBADMSG;
}

/* The files that have a copy of the object. */
static void list_copies(struct source *s, const struct oid *oid, struct buf *out)
{
    char *path;

    for (unsigned n = 1; (path = packs_where(s->packs, oid, n)); n++) {
        buf_addf(out, "%s%s", out->len ? ", " : "", path);
        free(path);
    }
    vec_foreach (dir, &s->dirs)
        if ((path = loose_where(*dir, oid))) {
            buf_addf(out, "%s%s", out->len ? ", " : "", path);
            free(path);
        }
}

void source_explain(struct source *s, const struct oid *oid, struct buf *out)
{
    _cleanup_(buf_done) struct buf files = {0};

    list_copies(s, oid, &files);
    if (files.len)
        buf_addf(out, "broken or not what its id says, in %s", buf_str(&files));
    else
        buf_adds(out, "missing");
}

/* The answer when no copy is good, from that of the first and of the last: -ENOENT if there is none
 * at all. */
static int conclude(struct source *s, const struct oid *oid, int r)
{
    _cleanup_(buf_done) struct buf why = {0};

    if (!is_of_copy(r))
        return r;
    packs_suspect(s->packs);
    if (r == -ENOENT)
        return r;
    source_explain(s, oid, &why);
    return repo_object_bad(s->repo, oid, buf_str(&why));
}

/* ---- headers ---- */

int source_header(struct source *s, const struct oid *oid, git_object_t *ret_type,
                  uint64_t *ret_size)
{
    git_object_t type, *want = ret_type ? &type : NULL;
    int r = -ENOENT, failed = -ENOENT;
    uint64_t size;

    if (oid_is_zero(oid))
        return -ENOENT;
    r = scratches_header(s->repo->scratches, oid, &type, &size);
    if (is_of_copy(r))
        r = failed = packs_header(s->packs, oid, want, &size);
    for (size_t i = 0; is_of_copy(r) && i < s->dirs.n; i++) {
        r = loose_header(s->dirs.v[i], oid, &type, &size);
        failed = r == -ENOENT ? failed : r;
    }
    if (is_of_copy(r))
        r = packs_header(s->packs, oid, want, &size);
    if (r == -ENOENT && failed == r && oid_equal(oid, &empty_tree)) {
        type = GIT_OBJECT_TREE;
        size = r = 0;
    }
    if (r < 0)
        return conclude(s, oid, r == -ENOENT ? failed : r);
    if (ret_type)
        *ret_type = type;
    *ret_size = size;
    return 0;
}

/* ---- copies ---- */

/* What is done with a copy of an object, to memory or to a file. Each leaves nothing behind when it
 * fails, and verifies what it got. */
struct job {
    const struct oid *oid;
    uint64_t most;   /* of what goes to memory */
    const char *dir; /* of what goes to a file … */
    int fd;          /* … which is this; -1: to memory */
    struct unpacked *ret;
};

static int verified(const struct job *j, int r)
{
    if (r == 0 && j->fd < 0)
        r = hash_verify(j->oid, j->ret->type, j->ret->data, j->ret->size);
    else if (r == 0)
        r = hash_verify_fd(j->oid, j->ret->type, j->fd, j->ret->size);
    if (r == 0)
        return 0;
    unpacked_done(j->ret);
    return j->fd >= 0 && ftruncate(j->fd, 0) < 0 ? -errno : r;
}

static int do_scratch(struct scratches *all, const struct job *j)
{
    struct unpacked *o = j->ret;
    uint64_t size;
    int r;

    if (j->fd < 0)
        return verified(j, scratches_load(all, j->oid, j->most, &o->type, &o->data, &o->size));
    r = scratches_spill(all, j->oid, j->fd, &o->type, &size);
    o->size = r == 0 ? size : 0;
    return verified(j, r);
}

static int do_loose(const char *dir, const struct job *j)
{
    struct unpacked *o = j->ret;
    uint64_t size;
    int r;

    if (j->fd < 0)
        return verified(j, loose_load(dir, j->oid, j->most, &o->type, &o->data, &o->size));
    r = loose_spill(dir, j->oid, j->fd, &o->type, &size);
    o->size = r == 0 ? size : 0;
    return verified(j, r);
}

static int do_packed(struct packs *packs, const struct packed_copy *copy, const struct job *j)
{
    return verified(j, j->fd < 0 ? packs_read(packs, copy, j->most, j->ret)
                                 : packs_spill(packs, copy, j->dir, j->fd, j->ret));
}

/* Every copy that packs have. -EBADMSG: all of them are broken. */
static int do_packs(struct packs *packs, const struct job *j)
{
    struct packed_copy copy = {j->oid};
    int first = do_packed(packs, &copy, j), r = first;

    while (r == -EBADMSG || r == -EIO) {
        copy.number++;
        r = do_packed(packs, &copy, j);
    }
    return r == -ENOENT ? first : r;
}

/* From where it is kept. -ENOENT: not there; other codes that are of a copy: what is there is
 * broken. */
static int do_stored(struct source *s, const struct job *j)
{
    int r = do_packs(s->packs, j), failed = r;

    for (size_t i = 0; is_of_copy(r) && i < s->dirs.n; i++) {
        r = do_loose(s->dirs.v[i], j);
        failed = r == -ENOENT ? failed : r;
    }
    if (is_of_copy(r))
        r = do_packs(s->packs, j);
    return r == -ENOENT ? failed : r;
}

static int do_job(struct source *s, const struct job *j)
{
    int r = do_scratch(s->repo->scratches, j);

    if (is_of_copy(r))
        r = do_stored(s, j);
    if (r == -ENOENT && oid_equal(j->oid, &empty_tree)) {
        *j->ret = (struct unpacked){GIT_OBJECT_TREE, 0, j->fd < 0 ? xcalloc(1, 1) : NULL};
        return 0;
    }
    return r < 0 ? conclude(s, j->oid, r) : 0;
}

int source_read(struct source *s, const struct oid *oid, uint64_t most, struct unpacked *ret)
{
    struct unpacked o = {0};

    if (oid_is_zero(oid))
        return -ENOENT;
    int r = do_job(s, &(struct job){oid, most, .fd = -1, .ret = &o});
    if (r == 0)
        *ret = o;
    return r;
}

int source_spill(struct source *s, const struct oid *oid, const char *dir, int fd,
                 git_object_t *ret_type, uint64_t *ret_size)
{
    struct unpacked o = {0};

    if (oid_is_zero(oid))
        return -ENOENT;
    int r = do_job(s, &(struct job){oid, .dir = dir, .fd = fd, .ret = &o});
    if (r == 0) {
        *ret_type = o.type;
        *ret_size = o.size;
    }
    return r;
}

int source_verify(struct source *s, const struct oid *oid)
{
    _cleanup_(unpacked_done) struct unpacked o = {0};

    return do_stored(s, &(struct job){oid, UINT64_MAX, .fd = -1, .ret = &o});
}

/* ---- by the beginning of an id ---- */

struct found {
    const char *hex;
    size_t n;
    struct oid oid;
    bool any, several;
};

static void consider(struct found *f, const struct oid *ids, int n)
{
    char digits[OID_HEX + 1];

    for (int i = 0; i < n; i++) {
        if (strncmp(oid_hex(&ids[i], digits), f->hex, f->n))
            continue;
        f->several |= f->any && !oid_equal(&f->oid, &ids[i]);
        f->any = true;
        f->oid = ids[i];
    }
}

int source_find(struct source *s, const char *prefix, size_t n, struct oid *ret)
{
    char hex[OID_HEX + 1] = "0000000000000000000000000000000000000000";
    struct found f = {hex, n};
    struct oid least, ids[2];

    for (size_t i = 0; i < n; i++)
        hex[i] = tolower((unsigned char)prefix[i]);
    if (oid_parse(hex, &least) < 0)
        return -ENOENT;
    consider(&f, ids, packs_from(s->packs, &least, ids));
    vec_foreach (dir, &s->dirs)
        consider(&f, ids, loose_find(*dir, hex, n, ids));
    if (!f.any || f.several)
        return -ENOENT;
    *ret = f.oid;
    return 0;
}

/* ---- tags ---- */

/* What an annotated tag's object names: "object <id>\n" is its first line. */
static int tag_target(struct source *s, struct oid *oid)
{
    _cleanup_(unpacked_done) struct unpacked raw = {0};
    char hex[OID_HEX + 1];
    int r = source_read(s, oid, COMMIT_MOST, &raw);

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

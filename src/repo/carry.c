#include "repo/carry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "repo/handle.h"
#include "repo/history.h"
#include "repo/oidset.h"
#include "repo/revision.h"
#include "repo/source.h"

#define DEPTH_MOST     2048
#define IN_MEMORY_MOST (1u << 20) /* of a blob */

/* An entry of a tree as it is stored, whether it may be shown or not. */
struct raw_entry {
    const char *name;
    struct oid oid;
    bool is_dir, is_module;
};

struct raw_tree {
    struct unpacked object;
    VEC(struct raw_entry) entries; /* names in `object` */
};

static void raw_tree_done(struct raw_tree *t)
{
    unpacked_done(&t->object);
    free(t->entries.v);
}

static int fail(const struct oid *oid, int r, struct diag *reterr)
{
    char hex[OID_HEX + 1];

    return diag_fail(reterr, r == -ENOENT ? -EIO : r, "cannot read %s: %s", oid_hex(oid, hex),
                     strerrordesc_np(-r));
}

static int read_object(const struct sink_place *place, const struct oid *oid, git_object_t type,
                       struct unpacked *ret, struct diag *reterr)
{
    int r = source_read(place->repo->source, oid, SIZE_MAX, ret);

    if (r == 0 && ret->type == type)
        return 0;
    if (r == 0)
        unpacked_done(ret);
    return fail(oid, r < 0 ? r : -EIO, reterr);
}

/* "<mode> <name>\0<id>", again and again. What does not look like it ends the list. */
static void parse(struct raw_tree *t)
{
    const char *at = t->object.data, *end = at + t->object.size;

    while (at < end) {
        const char *name = memchr(at, ' ', end - at);
        const char *nul = name ? memchr(name, 0, end - name) : NULL;
        if (!nul || end - nul <= OID_RAW)
            return;
        struct raw_entry *e = VEC_ADD(&t->entries);
        unsigned long mode = strtoul(at, NULL, 8);
        e->name = name + 1;
        memcpy(e->oid.id, nul + 1, OID_RAW);
        e->is_dir = (mode & 0170000) == 0040000;
        e->is_module = (mode & 0170000) == 0160000;
        at = nul + 1 + OID_RAW;
    }
}

static int load(const struct sink_place *place, const struct oid *oid, struct raw_tree *ret,
                struct diag *reterr)
{
    if (oid_is_zero(oid))
        return 0;
    int r = read_object(place, oid, GIT_OBJECT_TREE, &ret->object, reterr);
    if (r == 0)
        parse(ret);
    return r;
}

static int carry_large(const struct sink_place *place, const struct oid *oid, struct diag *reterr)
{
    const char *dir = place->repo->objects_dir;
    _cleanup_close_ int fd = io_open_nameless(dir);
    git_object_t type;
    uint64_t size;
    struct oid again;
    int r = fd < 0 ? fd : source_spill(place->repo->source, oid, dir, fd, &type, &size);

    return r < 0 ? fail(oid, r, reterr) : sink_blob_fd(place->sink, fd, size, &again, reterr);
}

static int carry_blob(const struct sink_place *place, const struct oid *oid, struct diag *reterr)
{
    _cleanup_(unpacked_done) struct unpacked o = {0};
    git_object_t type;
    uint64_t size;
    struct oid again;
    int r = source_header(place->repo->source, oid, &type, &size);

    if (r < 0)
        return fail(oid, r, reterr);
    if (size > IN_MEMORY_MOST)
        return carry_large(place, oid, reterr);
    r = read_object(place, oid, GIT_OBJECT_BLOB, &o, reterr);
    return r < 0 ? r : sink_blob(place->sink, o.data, o.size, &again, reterr);
}

/* The directory of that name; zero: there is none. */
static struct oid find_dir(const struct raw_tree *t, const char *name)
{
    vec_foreach (e, &t->entries)
        if (e->is_dir && !strcmp(e->name, name))
            return e->oid;
    return (struct oid){0};
}

struct dirs {
    const struct oid *old, *new;
    int depth;
};

static int carry_dirs(const struct sink_place *place, const struct dirs *dirs, struct diag *reterr);

static int carry_entries(const struct sink_place *place, const struct raw_tree *old,
                         const struct raw_tree *new, int depth, struct diag *reterr)
{
    struct oidset has = {0};
    int r = 0;

    vec_foreach (e, &old->entries)
        oidset_add(&has, &e->oid);
    vec_foreach (e, &new->entries) {
        if (r < 0 || e->is_module || oidset_has(&has, &e->oid))
            continue;
        struct oid before = e->is_dir ? find_dir(old, e->name) : (struct oid){0};
        r = e->is_dir ? carry_dirs(place, &(struct dirs){&before, &e->oid, depth + 1}, reterr)
                      : carry_blob(place, &e->oid, reterr);
    }
    oidset_done(&has);
    return r;
}

static int carry_dirs(const struct sink_place *place, const struct dirs *dirs, struct diag *reterr)
{
    _cleanup_(raw_tree_done) struct raw_tree old = {0}, new = {0};
    struct oid again;

    if (oid_is_zero(dirs->new) || oid_equal(dirs->old, dirs->new))
        return 0;
    if (dirs->depth == DEPTH_MOST)
        return diag_fail(reterr, -ENAMETOOLONG, "directories are nested too deep");
    int r = load(place, dirs->old, &old, reterr);
    if (r == 0)
        r = load(place, dirs->new, &new, reterr);
    if (r == 0)
        r = carry_entries(place, &old, &new, dirs->depth, reterr);
    return r < 0 ? r
                 : place->sink->ops->put(place->sink, SINK_TREE, new.object.data, new.object.size,
                                         &again, reterr);
}

int carry_tree(const struct sink_place *place, const struct oid *old, const struct oid *new,
               struct diag *reterr)
{
    return carry_dirs(place, &(struct dirs){old, new, 0}, reterr);
}

/* ---- commits ---- */

struct commits {
    VEC(struct oid) waiting;
    struct oidset seen;
};

static int carry_commit(const struct sink_place *place, const struct oid *oid, struct commits *c,
                        struct diag *reterr)
{
    _cleanup_(unpacked_done) struct unpacked o = {0};
    _cleanup_(revision_freep) struct revision *rev = NULL;
    struct revision_brief before = {0};
    struct oid again;
    int r = revision_load(place->repo, oid, &rev);

    if (r == 0 && rev->nparents)
        r = revision_brief(place->repo, &rev->parents[0], &before);
    if (r < 0)
        return fail(oid, r, reterr);
    for (size_t i = 0; i < rev->nparents; i++)
        *VEC_ADD(&c->waiting) = rev->parents[i];
    r = carry_tree(place, &before.tree, &rev->tree, reterr);
    if (r == 0)
        r = read_object(place, oid, GIT_OBJECT_COMMIT, &o, reterr);
    return r < 0 ? r
                 : place->sink->ops->put(place->sink, SINK_COMMIT, o.data, o.size, &again, reterr);
}

int carry_commits(const struct sink_place *place, const struct oid *tip, const struct oid *head,
                  struct diag *reterr)
{
    struct commits c = {0};
    int r = 0;

    *VEC_ADD(&c.waiting) = *tip;
    while (r == 0 && c.waiting.n && c.seen.n < CARRY_MOST) {
        struct oid oid = c.waiting.v[--c.waiting.n];
        if (oid_is_zero(&oid) || !oidset_add(&c.seen, &oid))
            continue;
        int has = oid_is_zero(head) ? 0 : history_is_ancestor(place->repo, &oid, head);
        if (has < 0)
            r = fail(&oid, has, reterr);
        else if (has == 0)
            r = carry_commit(place, &oid, &c, reterr);
    }
    oidset_done(&c.seen);
    free(c.waiting.v);
    return r;
}

#include "repo/blame.h"

#include <errno.h>
#include <string.h>

#include "tree/later.h"
#include "view/context.h"

/* sites/<site>/blame: what it says depends on the revision, on the directory, and on where on the
 * mainline the revision stands. Looking at it costs its size; it is made when it is read. */

struct blame_ctx {
    struct blame blame;
    char *path;
};

static int blame_make(void *ctx, struct buf *out)
{
    struct blame_ctx *c = ctx;

    return blame_directory(&c->blame, c->path, VIEW_PATCH_MOST, out);
}

static void blame_free(void *ctx)
{
    free(((struct blame_ctx *)ctx)->path);
    free(ctx);
}

/* A new one, of a size that is found out now. */
static int blame_new(struct view *v, const struct blame *b, const char *path,
                     struct later_config *config, struct node **ret)
{
    size_t size;
    int r = blame_size(b, path, VIEW_PATCH_MOST, &size);

    if (r < 0)
        return r;
    struct blame_ctx *c = NEW(struct blame_ctx);
    *c = (struct blame_ctx){*b, xstrdup(path)};
    config->size = size;
    config->make = blame_make;
    config->free = blame_free;
    config->ctx = c;
    *ret = later_node_get(v->config.table, config);
    return 0;
}

int blame_node(struct view *v, const struct oid *revision, const char *source, uint64_t ino,
               struct node **ret)
{
    _cleanup_(buf_done) struct buf key = {0};
    struct blame b = {v->config.repo, v->config.history, *revision, 0, BLAME_NOWHERE};
    struct snapshot snap;
    int r = snapshot_load(v, revision, &snap);

    if (r == 0)
        r = view_anchor(v, revision, VIEW_INDEX_WAIT, &b.pos);
    if (r < 0 && r != -ENOENT)
        return r;
    buf_add(&key, &ino, sizeof(ino));
    buf_add(&key, revision, sizeof(*revision));
    buf_add(&key, &b.pos, sizeof(b.pos));
    buf_adds(&key, source);
    b.time = snap.time;
    struct later_config config = {
        .key = key.data, .key_len = key.len, .ino = ino, .mtime = snap.time * NS_PER_SEC};
    *ret = later_node_find(v->config.table, key.data, key.len);
    return *ret ? 0 : blame_new(v, &b, strcmp(source, ".") ? source : "", &config, ret);
}

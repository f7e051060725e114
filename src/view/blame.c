#include "repo/blame.h"

#include <errno.h>
#include <string.h>

#include "view/context.h"

/* sites/<site>/blame: what it says depends on the revision, on the directory, and on where on the
 * mainline the revision stands. Made once for as long as the kernel knows it. */

int blame_node(struct view *v, const struct oid *revision, const char *source, uint64_t ino,
               struct node **ret)
{
    _cleanup_(buf_done) struct buf key = {0}, text = {0};
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
    *ret = text_node_find(v->config.table, key.data, key.len);
    if (*ret)
        return 0;
    b.time = snap.time;
    r = blame_directory(&b, strcmp(source, ".") ? source : "", VIEW_PATCH_MOST, &text);
    if (r < 0)
        return r;
    *ret = text_node_intern(v->config.table, key.data, key.len, ino, &text, snap.time * NS_PER_SEC);
    return 0;
}

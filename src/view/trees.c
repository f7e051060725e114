#include "view/trees.h"

#include <errno.h>

#include "base/clock.h"
#include "view/context.h"

/* A tree has no time of its own; every file in one is as old as this century. */
#define TREES_TIME INT64_C(946684800)

static int trees_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFDIR | 0555;
    st->st_mtim = clock_timespec(TREES_TIME * NS_PER_SEC);
    return 0;
}

/* The same nodes as of a revision. The tree's own id stands for the revision that there is none
 * of: no revision has it, and `<id>:path` names the same file to Git. */
static int trees_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct view *v = ((struct view_dir *)dir)->view;
    struct snapshot snap = {.time = TREES_TIME};

    if (oid_parse(name, &snap.tree) < 0)
        return -ENOENT;
    int r = tree_exists(v->config.repo, &snap.tree);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    snap.revision = snap.tree;
    *ret = snapshot_node(v, &snap, node_ino(dir->ino, name));
    return 0;
}

static int trees_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    return 0;
}

static const struct node_ops trees_ops = {
    .kind = "trees",
    .flags = NODE_SLOW,
    .getattr = trees_getattr,
    .lookup = trees_lookup,
    .readdir = trees_readdir,
};

struct node *trees_node(struct view *v, uint64_t ino)
{
    return view_dir_node(v, &trees_ops, ino);
}

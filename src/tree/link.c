#include "tree/link.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

struct link_node {
    struct node node;
    char *target;
    int64_t mtime;
};

static int link_getattr(struct node *node, struct stat *st)
{
    struct link_node *l = (struct link_node *)node;

    st->st_mode = S_IFLNK | 0777;
    st->st_size = strlen(l->target);
    st->st_mtim = clock_timespec(l->mtime);
    return 0;
}

static int link_readlink(struct node *node, char **ret)
{
    *ret = xstrdup(((struct link_node *)node)->target);
    return 0;
}

static void link_free(struct node *node)
{
    free(((struct link_node *)node)->target);
}

static const struct node_ops link_ops = {
    .kind = "link",
    .getattr = link_getattr,
    .readlink = link_readlink,
    .free = link_free,
};

struct node *link_node_new(struct node_table *table, uint64_t ino, char *target, int64_t mtime)
{
    struct link_node *l = node_new(table, &link_ops, sizeof(*l), ino);

    l->target = target;
    l->mtime = mtime;
    return &l->node;
}

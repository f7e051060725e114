#include <string.h>

#include "base/clock.h"
#include "view/context.h"

/* head: a symlink whose target moves, and which every path through it resolves. So it is one node
 * that the kernel keeps with its target, until view_refs_changed() says that it has moved. */

static int head_readlink(struct node *node, char **ret)
{
    struct oid head;
    int r = mainline_head(((struct view_dir *)node)->view->config.mainline, &head);

    if (r == 0)
        *ret = view_target("", &head, NULL);
    return r;
}

static int head_getattr(struct node *node, struct stat *st)
{
    _cleanup_free_ char *target = NULL;
    int r = head_readlink(node, &target);

    if (r < 0)
        return r;
    st->st_mode = S_IFLNK | 0777;
    st->st_size =
        strlen(target); /* the same for every revision: the kernel cuts the target to it */
    st->st_mtim = clock_timespec(view_refs_time(((struct view_dir *)node)->view));
    return 0;
}

static const struct node_ops head_ops = {
    .kind = "head",
    .flags = NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER, /* view_refs_changed() */
    .getattr = head_getattr,
    .readlink = head_readlink,
};

struct node *head_node(struct view *v, uint64_t ino)
{
    return view_dir_node(v, &head_ops, ino);
}

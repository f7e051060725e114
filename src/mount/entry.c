#include "mount/entry.h"

#define FOREVER 1e9 /* seconds */
#define UNSET   -1  /* a number of blocks; a sparse file may have none */

double entry_attr_timeout(const struct node *node)
{
    return node->ops->flags & NODE_ATTR_FOREVER ? FOREVER : 0;
}

int entry_stat(const struct front *f, struct node *node, struct stat *st)
{
    *st = (struct stat){
        .st_ino = node->ino,
        .st_uid = f->uid,
        .st_gid = f->gid,
        .st_nlink = 1,
        .st_blksize = 4096,
        .st_blocks = UNSET,
    };
    int r = node->ops->getattr(node, st);
    if (r < 0)
        return r;
    if (!st->st_ctim.tv_sec)
        st->st_ctim = st->st_mtim;
    if (!st->st_atim.tv_sec)
        st->st_atim = st->st_mtim;
    if (st->st_blocks == UNSET)
        st->st_blocks = (st->st_size + 511) / 512;
    return 0;
}

int entry_fill(struct front *f, struct node *node, const struct node_place *place,
               struct fuse_entry_param *e)
{
    *e = (struct fuse_entry_param){
        .attr_timeout = entry_attr_timeout(node),
        .entry_timeout = node->ops->flags & NODE_ENTRY_FOREVER ? FOREVER : 0,
    };
    int r = entry_stat(f, node, &e->attr);
    if (r < 0)
        return r;
    struct node_place at = *place;
    at.st = &e->attr;
    e->ino = node_table_lookup_at(f->table, node, &at);
    e->attr.st_ino = node->ino; /* it may have been known by another one */
    return 0;
}

void entry_reply(fuse_req_t req, struct node *node, const struct node_place *place, uint64_t epoch,
                 const struct fuse_file_info *opened)
{
    struct front *f = fuse_req_userdata(req);
    struct fuse_entry_param e;
    int r = entry_fill(f, node, place, &e);

    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    if (!notifier_enter(f->notifier, epoch))
        e.attr_timeout = e.entry_timeout = 0;
    r = opened ? fuse_reply_create(req, &e, opened) : fuse_reply_entry(req, &e);
    notifier_leave(f->notifier);
    if (r < 0)
        node_table_forget(f->table, e.ino, 1);
}

void entry_reply_attr(fuse_req_t req, struct node *node, bool keep)
{
    struct stat st;
    int r = entry_stat(fuse_req_userdata(req), node, &st);

    if (r < 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_attr(req, &st, keep ? entry_attr_timeout(node) : 0);
}

#include "mount/dirents.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "mount/entry.h"
#include "mount/scratch.h"

#define DOTS        2 /* "." and "..", with the cookies 1 and 2; those of the nodes come behind */
#define INO_UNKNOWN 0xffffffff /* as libfuse has it: a parent may change while we look */

/* One reply being filled. */
struct dirents {
    struct dir_sink sink;
    fuse_req_t req;
    struct front *front;
    struct node *dir;
    uint64_t id; /* of dir */
    bool plus;
    char *data;
    size_t len, size;
};

/* The entries of a READDIRPLUS reply, as the kernel will read them. */
#define plus_foreach(d, l)                                                                         \
    for (struct fuse_direntplus *d = (void *)(l)->data; (char *)d < (l)->data + (l)->len;          \
         d = (void *)((char *)d + FUSE_DIRENTPLUS_SIZE(d)))

/* The entry's attributes and lookup; without them (nodeid 0) the kernel asks when it needs them. */
static void fill_plus(struct dirents *l, const char *name, bool plus, struct fuse_entry_param *e)
{
    _cleanup_(node_unrefp) struct node *child = NULL;

    if (!plus || l->dir->ops->lookup(l->dir, name, &child) < 0 ||
        entry_fill(l->front, child, &(struct node_place){.dir = l->id, .name = name}, e) < 0)
        e->ino = 0;
}

/* Behind the entry, reading goes on at `cookie`. */
static int append(struct dirents *l, const char *name, mode_t type, uint64_t ino, uint64_t cookie,
                  bool plus)
{
    struct fuse_entry_param e = {.attr = {.st_mode = type, .st_ino = ino}};
    size_t room = l->size - l->len;
    size_t need = l->plus ? fuse_add_direntry_plus(l->req, NULL, 0, name, &e, 0)
                          : fuse_add_direntry(l->req, NULL, 0, name, &e.attr, 0);

    if (need > room)
        return 1;
    if (l->plus) {
        fill_plus(l, name, plus, &e);
        if (!e.ino)
            e.attr = (struct stat){.st_mode = type, .st_ino = ino};
        fuse_add_direntry_plus(l->req, l->data + l->len, room, name, &e, cookie);
    } else {
        fuse_add_direntry(l->req, l->data + l->len, room, name, &e.attr, cookie);
    }
    l->len += need;
    return 0;
}

static int dirents_add(struct dir_sink *sink, const char *name, mode_t type, uint64_t ino,
                       uint64_t cookie, bool plus)
{
    struct dirents *l = container_of(sink, struct dirents, sink);

    return append(l, name, type, ino, cookie + DOTS, plus);
}

/* 1: the reply is full. */
static int add_dots(struct dirents *l, uint64_t cookie)
{
    if (cookie == 0 && append(l, ".", S_IFDIR, l->dir->ino, 1, false))
        return 1;
    return cookie < DOTS ? append(l, "..", S_IFDIR, INO_UNKNOWN, DOTS, false) : 0;
}

/* An error counts only if there is nothing else to be said. */
static int fill(struct dirents *l, uint64_t cookie)
{
    if (!l->dir->ops->readdir)
        return -ENOTDIR;
    if (add_dots(l, cookie))
        return 0;
    size_t dots = l->len;
    int r = l->dir->ops->readdir(l->dir, cookie < DOTS ? 0 : cookie - DOTS, &l->sink);
    return l->len > dots ? 0 : r;
}

static void keep_nothing(struct dirents *l)
{
    plus_foreach(d, l)
    {
        d->entry_out.entry_valid = 0;
        d->entry_out.entry_valid_nsec = 0;
        d->entry_out.attr_valid = 0;
        d->entry_out.attr_valid_nsec = 0;
    }
}

/* The kernel did not get the reply, so it will not forget what it says. */
static void take_lookups_back(struct dirents *l)
{
    plus_foreach(d, l) if (d->entry_out.nodeid)
        node_table_forget(l->front->table, d->entry_out.nodeid, 1);
}

static void send_dirents(struct dirents *l, uint64_t epoch)
{
    if (!l->plus) {
        fuse_reply_buf(l->req, l->data, l->len);
        return;
    }
    if (!notifier_enter(l->front->notifier, epoch))
        keep_nothing(l);
    int r = fuse_reply_buf(l->req, l->data, l->len);
    notifier_leave(l->front->notifier);
    if (r < 0)
        take_lookups_back(l);
}

void dirents_reply(fuse_req_t req, const struct dirents_asked *asked)
{
    size_t size = asked->size;
    char *data = scratch(size);
    struct dirents l = {
        .sink = {.add = dirents_add},
        .req = req,
        .front = fuse_req_userdata(req),
        .dir = asked->dir,
        .id = asked->id,
        .plus = asked->plus,
        .data = data,
        .size = size,
    };

    if (size && !data) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    if (asked->plus && !asked->cookie)
        node_table_gap(l.front->table);
    uint64_t epoch = notifier_epoch(l.front->notifier);
    int r = fill(&l, asked->cookie);
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        send_dirents(&l, epoch);
}

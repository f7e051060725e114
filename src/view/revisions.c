#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "repo/history.h"
#include "view/context.h"

/* revisions/: lists the mainline's first parents by full id, and resolves anything that names a
 * revision: a full id is the directory itself, all else a symlink to it.
 *
 * The list is the index's. While that is not there, history is walked and the list kept in memory.
 * Both have the same cookies: the place on the mainline + 1. */

static int revisions_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct view *v = ((struct view_dir *)dir)->view;
    struct snapshot snap;
    struct oid oid;
    uint64_t ino = node_ino(dir->ino, name);
    char hex[OID_HEX + 1];

    if (oid_parse(name, &oid) == 0) {
        int r = snapshot_load(v, &oid, &snap);
        if (r == 0)
            *ret = snapshot_node(v, &snap, ino);
        if (r != -ENOENT)
            return r;
    }
    int r = revision_resolve(v->config.repo, name, &oid);
    if (r == 0)
        r = snapshot_load(v, &oid, &snap);
    if (r < 0 || !strcmp(oid_hex(&oid, hex), name))
        return r < 0 ? r : -ENOENT;
    *ret = link_node_new(v->config.table, ino, xstrdup(hex), snap.time * NS_PER_SEC);
    return 0;
}

struct walk {
    struct oid until;
    bool reached;
    VEC(struct oid);
};

static int walk_add(const struct oid *rev, const struct oid *tree, int64_t time, void *arg)
{
    struct walk *w = arg;

    w->reached = oid_equal(rev, &w->until);
    if (w->reached)
        return 1;
    *VEC_ADD(w) = *rev;
    return 0;
}

/* Brings the list up to `head`, at the cost of what is new. Called with the view's lock held. */
static int revisions_extend(struct view *v, const struct oid *head)
{
    struct walk w = {.until = v->revisions.head};

    if (oid_equal(head, &v->revisions.head))
        return 0;
    int r = history_first_parents(v->config.repo, head, walk_add, &w);
    if (r >= 0) {
        if (!w.reached)
            v->revisions.n = 0;
        for (size_t i = w.n; i-- > 0;)
            *VEC_ADD(&v->revisions) = w.v[i];
        v->revisions.head = *head;
    }
    free(w.v);
    return r < 0 ? r : 0;
}

struct revisions_list {
    const struct node *dir;
    struct dir_sink *sink;
};

static int list_revision(const struct history_revision *rev, void *arg)
{
    struct revisions_list *l = arg;
    char hex[OID_HEX + 1];

    oid_hex(&rev->oid, hex);
    /* Not with attributes: a list of a long history must not read every revision. */
    return l->sink->add(l->sink, hex, S_IFDIR, node_ino(l->dir->ino, hex), (uint64_t)rev->pos + 1,
                        false)
               ? 1
               : 0;
}

static int list_walked(struct view *v, uint64_t cookie, struct revisions_list *l)
{
    struct oid head;

    if (mainline_head(v->config.mainline, &head) < 0)
        return 0;
    pthread_mutex_lock(&v->lock);
    int r = revisions_extend(v, &head);
    for (size_t i = cookie; r == 0 && i < v->revisions.n; i++)
        r = list_revision(&(struct history_revision){.pos = i, .oid = v->revisions.v[i]}, l);
    pthread_mutex_unlock(&v->lock);
    return r;
}

static int revisions_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct view *v = ((struct view_dir *)dir)->view;
    struct revisions_list l = {dir, sink};
    int r = view_index_wait(v, VIEW_INDEX_SOON);

    if (r == 0)
        r = history_index_revisions(v->config.history, cookie, list_revision, &l);
    else
        r = list_walked(v, cookie, &l);
    return r < 0 ? r : 0;
}

static const struct node_ops revisions_ops = {
    .kind = "revisions",
    .flags = NODE_SLOW | NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER, /* view_refs_changed() */
    .getattr = view_dir_getattr,
    .lookup = revisions_lookup,
    .readdir = revisions_readdir,
};

struct node *revisions_node(struct view *v, uint64_t ino)
{
    return view_dir_node(v, &revisions_ops, ino);
}

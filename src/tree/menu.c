#include "tree/menu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

struct menu_node {
    struct node node;
    const struct menu *menu;
    void *ctx;
};

static int menu_getattr(struct node *node, struct stat *st)
{
    struct menu_node *m = (struct menu_node *)node;

    st->st_mode = S_IFDIR | m->menu->mode;
    st->st_mtim = clock_timespec(m->menu->mtime(m->ctx));
    return 0;
}

static int menu_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct menu_node *m = (struct menu_node *)dir;

    for (size_t i = 0; i < m->menu->n; i++) {
        const struct menu_item *item = &m->menu->items[i];
        if (strcmp(item->name, name))
            continue;
        if (item->there && !item->there(m->ctx))
            return -ENOENT;
        return item->open(m->ctx, dir, node_ino(dir->ino, name), ret);
    }
    return -ENOENT;
}

static int menu_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct menu_node *m = (struct menu_node *)dir;

    for (size_t i = cookie; i < m->menu->n; i++) {
        const struct menu_item *item = &m->menu->items[i];
        if (item->hidden || (item->there && !item->there(m->ctx)))
            continue;
        /* A file here is generated when it is looked up: a listing must not make all of them. */
        if (sink->add(sink, item->name, item->type, node_ino(dir->ino, item->name), i + 1,
                      !S_ISREG(item->type)))
            break;
    }
    return 0;
}

static void menu_free(struct node *node)
{
    struct menu_node *m = (struct menu_node *)node;

    if (m->menu->free_ctx)
        m->menu->free_ctx(m->ctx);
}

#define MENU_OPS(name, keep)                                                                       \
    static const struct node_ops name = {                                                          \
        .kind = "menu",                                                                            \
        .flags = NODE_SLOW | (keep),                                                               \
        .getattr = menu_getattr,                                                                   \
        .lookup = menu_lookup,                                                                     \
        .readdir = menu_readdir,                                                                   \
        .free = menu_free,                                                                         \
    }
MENU_OPS(menu_ops, 0);
MENU_OPS(kept_menu_ops, NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER);

struct menu_args {
    const struct menu *menu;
    void *ctx;
    struct node *parent;
    bool *made;
};

static void menu_init(struct node *node, const void *arg)
{
    const struct menu_args *args = arg;
    struct menu_node *m = (struct menu_node *)node;

    m->menu = args->menu;
    m->ctx = args->ctx;
    node->parent = args->parent;
    *args->made = true;
}

struct node *menu_node_get(struct node_table *table, const struct menu *menu, const char *key,
                           uint64_t ino, void *ctx, struct node *parent)
{
    bool made = false;
    struct menu_args args = {menu, ctx, parent, &made};
    _cleanup_(buf_done) struct buf full = {0};

    buf_add(&full, &menu, sizeof(menu));
    buf_adds(&full, key);
    struct node *node =
        node_intern(table, menu->kept ? &kept_menu_ops : &menu_ops, sizeof(struct menu_node),
                    full.data, full.len, ino, menu_init, &args);
    if (!made && menu->free_ctx)
        menu->free_ctx(ctx);
    return node;
}

void *menu_node_ctx(struct node *node)
{
    return ((struct menu_node *)node)->ctx;
}

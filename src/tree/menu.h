/* A directory with a fixed menu of names: root, `.onward`, `sites/<site>`, … Each item says what is
 * behind its name; items may be hidden (found, not listed) or absent for now. */
#ifndef ONWARD_TREE_MENU_H
#define ONWARD_TREE_MENU_H

#include "tree/node.h"

struct menu_item {
    const char *name;
    mode_t type; /* S_IFREG, S_IFDIR, S_IFLNK */
    bool hidden; /* found by name, not listed */
    /* Is it there now? NULL: always. */
    bool (*there)(void *ctx);
    /* The node behind the name, referenced. `dir` is the menu's node, `ino` node_ino(dir->ino,
     * name). */
    int (*open)(void *ctx, struct node *dir, uint64_t ino, struct node **ret);
};

struct menu {
    const char *kind; /* for traces */
    const struct menu_item *items;
    size_t n;
    mode_t mode; /* permission bits of the directory, e.g. 0555 */
    /* Real ns; must grow when items come or go. */
    int64_t (*mtime)(void *ctx);
    /* When the node goes; may be NULL. */
    void (*free_ctx)(void *ctx);
    bool kept; /* name and list are kept by the kernel until node_changed() */
};

/* The node of (menu, key): found again as long as it lives. `ctx` belongs to a new node; when the
 * node was there already, free_ctx(ctx) is called at once. `parent` is referenced while it lives
 * (NULL: none). Lookups in a menu run in slow threads: items may generate. The reference is yours.
 */
struct node *menu_node_get(struct node_table *table, const struct menu *menu, const char *key,
                           uint64_t ino, void *ctx, struct node *parent);
/* The ctx of a menu's node. */
void *menu_node_ctx(struct node *node);

#endif

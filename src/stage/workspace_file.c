#include "stage/workspace_file.h"

struct workspace_file {
    struct node node;
    struct workspace *ws; /* kept by node.parent */
};

struct init_args {
    struct workspace *ws;
    struct node *root;
};

static void init(struct node *node, const void *arg)
{
    const struct init_args *args = arg;

    ((struct workspace_file *)node)->ws = args->ws;
    node->parent = args->root;
}

struct node *workspace_file_get(const struct node_ops *kind, struct workspace *ws,
                                struct node *root, uint64_t ino)
{
    struct init_args args = {ws, root};

    return node_intern(ws->env->config->table, kind, sizeof(struct workspace_file), &ws, sizeof(ws),
                       ino, init, &args);
}

struct workspace *workspace_file_of(struct node *file)
{
    return ((struct workspace_file *)file)->ws;
}

#include "stage/flush.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/pool.h"
#include "tree/table.h"

/* The marked nodes of a workspace are a list, guarded by ws->marks. */

void flush_mark(struct overlay_node *n)
{
    struct workspace *ws = n->ws;

    if (n->marked)
        return;
    pthread_mutex_lock(&ws->marks);
    if (!n->marked) {
        n->marked = true;
        n->next_marked = ws->marked;
        n->prev_marked = &ws->marked;
        if (ws->marked)
            ws->marked->prev_marked = &n->next_marked;
        ws->marked = n;
    }
    pthread_mutex_unlock(&ws->marks);
}

void flush_forget(struct overlay_node *n)
{
    pthread_mutex_lock(&n->ws->marks);
    if (n->marked) {
        n->marked = false;
        *n->prev_marked = n->next_marked;
        if (n->next_marked)
            n->next_marked->prev_marked = n->prev_marked;
    }
    pthread_mutex_unlock(&n->ws->marks);
}

struct ids {
    VEC(uint64_t);
};

/* By id: a node in the list may be on its way out. */
static void collect(struct workspace *ws, struct ids *ids)
{
    pthread_mutex_lock(&ws->marks);
    for (struct overlay_node *n = ws->marked; n; n = n->next_marked)
        *VEC_ADD(ids) = n->node.id;
    pthread_mutex_unlock(&ws->marks);
}

static void add_path(const struct overlay_node *n, struct buf *out)
{
    if (!n->name)
        return;
    add_path(overlay_parent(n), out);
    if (out->len)
        buf_addc(out, '/');
    buf_adds(out, n->name);
}

/* Where the node is, if it is a file of the upper that has a name. */
static bool find_path(struct overlay_node *n, struct buf *out)
{
    workspace_lock_read(n->ws);
    bool there = overlay_node_sync(n) == 0 && !n->gone && n->at.upper;
    if (there)
        add_path(n, out);
    workspace_unlock_read(n->ws);
    return there;
}

/* Closing a file makes the kernel write back all of its dirty pages, and wait for them. A directory
 * on the way may have become a link: what it leads to is not ours to open. */
static int open_and_close(int root, const char *path)
{
    struct open_how how = {
        .flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    int fd = root < 0 ? -1 : (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

    if (fd < 0)
        return -EBADF;
    close(fd);
    return 0;
}

/* A file that has been changed is in use, and keeps its pages. Of others, which are many once
 * somebody has read a whole workspace, they are taken away, after those that are dirty have come
 * back: there is nothing to look for until they are read again. (A new base would take them away,
 * too.) */
static void flush_node(struct overlay_node *n, int root)
{
    _cleanup_(buf_done) struct buf path = {0};

    if (find_path(n, &path) && open_and_close(root, buf_str(&path)) == 0)
        return;
    flush_forget(n);
    node_changed(&n->node);
}

static int open_root(const struct workspace *ws)
{
    const char *mountpoint = ws->env->config->mountpoint;

    if (!mountpoint)
        return -1;
    _cleanup_free_ char *path = xasprintf("%s/staging/%s", mountpoint, ws->name);
    return open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void flush_all(struct workspace *ws)
{
    struct ids ids = {0};

    collect(ws, &ids);
    if (ids.n == 0)
        return;
    pool_wait_begin();
    _cleanup_close_ int root = open_root(ws);
    vec_foreach (id, &ids) {
        _cleanup_(node_unrefp) struct node *node =
            *id ? node_table_get(ws->env->config->table, *id) : NULL;
        if (node)
            flush_node(overlay_node(node), root);
    }
    pool_wait_end();
    free(ids.v);
}

int flush_workspace(struct workspace *ws, struct diag *reterr)
{
    struct stage_env *env = ws->env;

    pthread_rwlock_rdlock(&env->flushing);
    bool ended = env->flush_ended;
    if (!ended)
        flush_all(ws);
    pthread_rwlock_unlock(&env->flushing);
    return ended ? diag_fail(reterr, -ECANCELED, "the mount is about to end") : 0;
}

void flush_end(struct stage_env *env)
{
    env->flush_ended = true;
    pthread_rwlock_wrlock(&env->flushing);
    pthread_rwlock_unlock(&env->flushing);
}

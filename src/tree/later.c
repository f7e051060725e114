#include "tree/later.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "tree/table.h"

struct later_node {
    struct node node;
    uint64_t size;
    int64_t mtime;
    int (*make)(void *ctx, struct buf *out);
    void (*free)(void *ctx);
    void *ctx;
    pthread_mutex_t lock; /* guards what follows */
    bool made;
    struct buf text;
    uint64_t given; /* bytes of it that were read */
};

static int later_getattr(struct node *node, struct stat *st)
{
    struct later_node *l = (struct later_node *)node;

    st->st_mode = S_IFREG | 0444;
    st->st_size = l->size;
    st->st_mtim = clock_timespec(l->mtime);
    return 0;
}

/* Called with the lock held, as are those below. */
static void forget_text(struct later_node *l)
{
    buf_done(&l->text);
    node_weigh(&l->node, 0);
    l->made = false;
    l->given = 0;
}

static int make_text(struct later_node *l)
{
    int r = l->made ? 0 : l->make(l->ctx, &l->text);

    if (r == 0 && l->text.len != l->size)
        r = -EIO;
    l->made = r == 0;
    if (r < 0)
        forget_text(l);
    else
        node_weigh(&l->node, l->text.cap);
    return r;
}

/* The kernel asks for each piece once and keeps it: what has been read is not kept twice. */
static ssize_t give(struct later_node *l, void *buf, size_t size, uint64_t off)
{
    if (size > l->size - off)
        size = l->size - off;
    memcpy(buf, l->text.data + off, size);
    l->given += size;
    if (l->given >= l->size)
        forget_text(l);
    return size;
}

static ssize_t later_read(struct node *node, void *buf, size_t size, off_t off)
{
    struct later_node *l = (struct later_node *)node;

    if (off < 0 || (uint64_t)off >= l->size)
        return 0;
    pthread_mutex_lock(&l->lock);
    ssize_t n = make_text(l);
    if (n == 0)
        n = give(l, buf, size, off);
    pthread_mutex_unlock(&l->lock);
    return n;
}

static void later_free(struct node *node)
{
    struct later_node *l = (struct later_node *)node;

    l->free(l->ctx);
    buf_done(&l->text);
    pthread_mutex_destroy(&l->lock);
}

static const struct node_ops later_ops = {
    .kind = "later",
    .flags = NODE_ATTR_FOREVER | NODE_SLOW,
    .getattr = later_getattr,
    .read = later_read,
    .free = later_free,
};

struct node *later_node_find(struct node_table *table, const void *key, size_t len)
{
    return node_find(table, &later_ops, key, len);
}

struct later_args {
    const struct later_config *config;
    bool *taken;
};

static void later_init(struct node *node, const void *arg)
{
    const struct later_args *args = arg;
    const struct later_config *c = args->config;
    struct later_node *l = (struct later_node *)node;

    l->size = c->size;
    l->mtime = c->mtime;
    l->make = c->make;
    l->free = c->free;
    l->ctx = c->ctx;
    pthread_mutex_init(&l->lock, NULL);
    *args->taken = true;
}

struct node *later_node_get(struct node_table *table, const struct later_config *config)
{
    bool taken = false;
    struct later_args args = {config, &taken};
    struct node *node = node_intern(table, &later_ops, sizeof(struct later_node), config->key,
                                    config->key_len, config->ino, later_init, &args);

    if (!taken)
        config->free(config->ctx); /* somebody else was first */
    return node;
}

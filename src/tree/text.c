#include "tree/text.h"

#include <string.h>

#include "base/clock.h"
#include "tree/table.h"

struct text_node {
    struct node node;
    struct buf text;
    int64_t mtime;
};

static int text_getattr(struct node *node, struct stat *st)
{
    struct text_node *t = (struct text_node *)node;

    st->st_mode = S_IFREG | 0444;
    st->st_size = t->text.len;
    st->st_mtim = clock_timespec(t->mtime);
    return 0;
}

static ssize_t text_read(struct node *node, void *buf, size_t size, off_t off)
{
    struct text_node *t = (struct text_node *)node;

    if (off < 0 || (size_t)off >= t->text.len)
        return 0;
    if (size > t->text.len - off)
        size = t->text.len - off;
    memcpy(buf, t->text.data + off, size);
    return size;
}

static void text_free(struct node *node)
{
    buf_done(&((struct text_node *)node)->text);
}

static const struct node_ops text_ops = {
    .kind = "text",
    .flags = NODE_ATTR_FOREVER,
    .getattr = text_getattr,
    .read = text_read,
    .free = text_free,
};

struct node *text_node_new(struct node_table *table, uint64_t ino, struct buf *text, int64_t mtime)
{
    struct text_node *t = node_new(table, &text_ops, sizeof(*t), ino);

    t->text = *text;
    *text = (struct buf){0};
    t->mtime = mtime;
    node_weigh(&t->node, t->text.cap);
    return &t->node;
}

const struct buf *text_node_content(const struct node *node)
{
    return node->ops == &text_ops ? &((const struct text_node *)node)->text : NULL;
}

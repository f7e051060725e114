#include "stage/autocommit_node.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "stage/autocommit.h"
#include "stage/workspace_file.h"

static void render(const struct workspace *ws, struct buf *out)
{
    char text[CLOCK_TEXT];
    int64_t after = ws->autocommit;

    buf_addf(out, "%s\n", after ? clock_format_duration(after, text) : "off");
}

/* The modification time differs with each value, or the kernel would show the one before. */
static int autocommit_getattr(struct node *node, struct stat *st)
{
    struct workspace *ws = workspace_file_of(node);
    _cleanup_(buf_done) struct buf text = {0};

    render(ws, &text);
    st->st_mode = S_IFREG | 0600;
    st->st_uid = ws->state.uid;
    st->st_gid = ws->state.gid;
    st->st_size = text.len;
    st->st_mtim = clock_timespec(ws->autocommit_set_at);
    return 0;
}

static ssize_t autocommit_read(struct node *node, void *buf, size_t size, off_t off)
{
    _cleanup_(buf_done) struct buf text = {0};

    render(workspace_file_of(node), &text);
    if (off < 0 || (size_t)off >= text.len)
        return 0;
    if (size > text.len - off)
        size = text.len - off;
    memcpy(buf, text.data + off, size);
    return size;
}

static int parse(const char *text, int64_t *ret)
{
    *ret = 0;
    if (!strcmp(text, "off"))
        return 0;
    int r = clock_parse_duration(text, ret);
    return r < 0 ? r : *ret > 0 ? 0 : -EINVAL;
}

static ssize_t autocommit_write(struct node *node, const struct caller *who, const void *data,
                                size_t size, off_t off)
{
    struct workspace *ws = workspace_file_of(node);
    const char *end = memchr(data, '\n', size);
    _cleanup_free_ char *text = xstrndup(data, end ? (size_t)(end - (const char *)data) : size);
    int64_t after;
    int r = workspace_may_change(ws, who);

    if (r == 0)
        r = off != 0 || (end && end + 1 != (const char *)data + size) ? -EINVAL : 0;
    if (r == 0)
        r = parse(text, &after);
    if (r == 0)
        r = workspace_set_autocommit(ws, after);
    if (r == 0)
        autocommit_rearm(ws->env->autocommit, ws);
    return r < 0 ? r : (ssize_t)size;
}

/* `>` truncates first; what counts is what is written. */
static int autocommit_setattr(struct node *node, const struct caller *who,
                              const struct set_attrs *set)
{
    return workspace_may_change(workspace_file_of(node), who);
}

static const struct node_ops autocommit_ops = {
    .kind = "autocommit",
    .flags = NODE_SLOW, /* setting it waits for a commit that is under way */
    .getattr = autocommit_getattr,
    .read = autocommit_read,
    .write = autocommit_write,
    .setattr = autocommit_setattr,
};

struct node *autocommit_node_get(struct workspace *ws, struct node *root, uint64_t ino)
{
    return workspace_file_get(&autocommit_ops, ws, root, ino);
}

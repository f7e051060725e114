#include "tree/control.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"

/* What a user has written without its newline yet. */
struct tail {
    struct tail *next;
    uid_t uid;
    struct buf text;
};

struct control_node {
    struct node node;
    struct control_config config;
    pthread_mutex_t lock; /* guards tails */
    struct tail *tails;
};

static int control_getattr(struct node *node, struct stat *st)
{
    struct control_node *c = (struct control_node *)node;

    st->st_mode = S_IFREG | c->config.mode;
    if (c->config.uid != (uid_t)-1)
        st->st_uid = c->config.uid;
    if (c->config.gid != (gid_t)-1)
        st->st_gid = c->config.gid;
    st->st_mtim = clock_timespec(c->config.mtime);
    return 0;
}

/* Takes what the user left unfinished out of the node. */
static struct buf take_tail(struct control_node *c, uid_t uid)
{
    struct buf text = {0};

    pthread_mutex_lock(&c->lock);
    for (struct tail **at = &c->tails; *at; at = &(*at)->next)
        if ((*at)->uid == uid) {
            struct tail *t = *at;
            *at = t->next;
            text = t->text;
            free(t);
            break;
        }
    pthread_mutex_unlock(&c->lock);
    return text;
}

static void keep_tail(struct control_node *c, uid_t uid, struct buf *text)
{
    struct tail *t = NEW(struct tail);

    *t = (struct tail){.uid = uid, .text = *text};
    *text = (struct buf){0};
    pthread_mutex_lock(&c->lock);
    t->next = c->tails;
    c->tails = t;
    pthread_mutex_unlock(&c->lock);
}

/* `echo x > file` truncates first: what an earlier writer left unfinished is not to become a part
 * of this command. Times are nobody's business here; who may write is not to be changed. */
static int control_setattr(struct node *node, const struct caller *who, const struct set_attrs *set)
{
    if (set->valid & (SET_MODE | SET_UID | SET_GID))
        return -EPERM;
    if (set->valid & SET_SIZE) {
        struct buf tail = take_tail((struct control_node *)node, who->uid);
        buf_done(&tail);
    }
    return 0;
}

/* Is there more to come of a write that ended at `end` without a newline? Writers and the kernel
 * cut where a page of the file ends; who stops elsewhere has said all (nothing tells us of close).
 * */
static bool is_cut(off_t end)
{
    return end % CONTROL_PIECE == 0;
}

static int refuse(struct control_node *c, const struct caller *who, int err, const char *why)
{
    if (c->config.refused)
        c->config.refused(c->config.ctx, who, why);
    return err;
}

#define TOO_LONG "a line is longer than 64 KiB"

/* What is behind the last newline: kept if it is a piece, else a command. */
static int take_rest(struct control_node *c, const struct caller *who, const char *rest, bool cut)
{
    if (!cut)
        return strlen(rest) ? c->config.command(c->config.ctx, who, rest)
                            : refuse(c, who, -EINVAL, "a line begins with a NUL byte");
    struct buf tail = {0};
    buf_adds(&tail, rest);
    keep_tail(c, who->uid, &tail);
    return 0;
}

static ssize_t control_write(struct node *node, const struct caller *who, const void *data,
                             size_t size, off_t off)
{
    struct control_node *c = (struct control_node *)node;
    _cleanup_(buf_done) struct buf text = take_tail(c, who->uid);

    buf_add(&text, data, size);
    if (off == 0 && size && text.len == size && strspn(text.data, "\n") == size)
        return refuse(c, who, -EINVAL, "the line is empty");
    char *line = text.data, *end;
    while ((end = memchr(line, '\n', text.data + text.len - line))) {
        if (memchr(line, 0, end - line))
            return refuse(c, who, -EINVAL, "a line has a NUL byte in it");
        if (end - line > CONTROL_LINE_MOST)
            return refuse(c, who, -EMSGSIZE, TOO_LONG);
        *end = 0;
        if (*line) {
            int r = c->config.command(c->config.ctx, who, line);
            if (r < 0)
                return r;
        }
        line = end + 1;
    }
    size_t rest = text.data + text.len - line;
    if (rest > CONTROL_LINE_MOST)
        return refuse(c, who, -EMSGSIZE, TOO_LONG);
    int r = rest ? take_rest(c, who, line, is_cut(off + size)) : 0;
    return r < 0 ? r : (ssize_t)size;
}

static void control_free(struct node *node)
{
    struct control_node *c = (struct control_node *)node;

    while (c->tails) {
        struct tail *t = c->tails;
        c->tails = t->next;
        buf_done(&t->text);
        free(t);
    }
    pthread_mutex_destroy(&c->lock);
}

static const struct node_ops control_ops = {
    .kind = "control",
    .flags = NODE_SLOW,
    .getattr = control_getattr,
    .setattr = control_setattr,
    .write = control_write,
    .free = control_free,
};

static void control_init(struct node *node, const void *arg)
{
    struct control_node *c = (struct control_node *)node;

    c->config = *(const struct control_config *)arg;
    pthread_mutex_init(&c->lock, NULL);
    node->parent = c->config.holder;
}

struct node *control_node_get(struct node_table *table, uint64_t ino,
                              const struct control_config *config)
{
    return node_intern(table, &control_ops, sizeof(struct control_node), &ino, sizeof(ino), ino,
                       control_init, config);
}

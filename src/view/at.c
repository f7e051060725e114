#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "repo/history.h"
#include "view/context.h"

/* at/<time>: the mainline as it was at a time. Not listed. */

/* How a time may be written, and how it becomes a whole one. */
static const struct form {
    const char *shape; /* '0': a digit */
    int keep;
    const char *rest;
} forms[] = {
    {"0000-00-00", 10, "T00:00:00Z"},
    {"0000-00-00T00:00Z", 16, ":00Z"},
    {"0000-00-00T00:00:00Z", 19, "Z"},
};

static bool has_shape(const char *name, const char *shape)
{
    for (; *name && *shape; name++, shape++)
        if (*shape == '0' ? *name < '0' || *name > '9' : *name != *shape)
            return false;
    return !*name && !*shape;
}

/* Seconds since 1970. -ENOENT for what is no time, as the 30th of February. */
static int parse_time(const char *name, int64_t *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        if (!has_shape(name, forms[i].shape))
            continue;
        _cleanup_free_ char *whole = xasprintf("%.*s%s", forms[i].keep, name, forms[i].rest);
        char again[CLOCK_TEXT];
        struct tm tm = {0};
        strptime(whole, "%Y-%m-%dT%H:%M:%SZ", &tm);
        *ret = timegm(&tm);
        strftime(again, sizeof(again), "%Y-%m-%dT%H:%M:%SZ", &tm);
        return strcmp(again, whole) ? -ENOENT : 0;
    }
    return -ENOENT;
}

struct search {
    int64_t time;
    struct history_revision found;
};

static int search_step(const struct oid *rev, const struct oid *tree, int64_t time, void *arg)
{
    struct search *s = arg;

    s->found.oid = *rev;
    s->found.time = time;
    return time <= s->time;
}

/* Without an index, or while it is being made, as far as it is back. */
static int search_mainline(struct view *v, int64_t time, struct history_revision *ret)
{
    struct search s = {.time = time};
    struct oid head;
    int r = mainline_head(v->config.mainline, &head);

    if (r == 0)
        r = history_first_parents(v->config.repo, &head, search_step, &s);
    *ret = s.found;
    return r < 0 ? r : r == 1 ? 0 : -ENOENT;
}

static int at_lookup(struct node *dir, const char *name, struct node **ret)
{
    struct view *v = ((struct view_dir *)dir)->view;
    struct history_revision rev;
    int64_t time;
    int r = parse_time(name, &time);

    if (r < 0)
        return r;
    if (view_index_wait(v, VIEW_INDEX_SOON) == 0)
        r = history_index_at_time(v->config.history, time, &rev);
    else
        r = search_mainline(v, time, &rev);
    if (r < 0)
        return r;
    *ret = link_node_new(v->config.table, node_ino(dir->ino, name),
                         view_target("../", &rev.oid, NULL), clock_from_seconds(rev.time));
    return 0;
}

static int at_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    return 0;
}

static const struct node_ops at_ops = {
    .kind = "at",
    .flags = NODE_SLOW | NODE_ENTRY_FOREVER,
    .getattr = view_dir_getattr,
    .lookup = at_lookup,
    .readdir = at_readdir,
};

struct node *at_node(struct view *v, uint64_t ino)
{
    return view_dir_node(v, &at_ops, ino);
}

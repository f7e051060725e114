#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tree/legacy.h"
#include "tree/table_inside.h"
#include "tree/text.h"

static struct alias **find_alias(struct node_table *t, uint64_t id)
{
    struct alias **at = &t->aliases;

    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

struct node *table_find_alias(struct node_table *t, uint64_t id)
{
    struct alias *a = *find_alias(t, id);

    return a ? a->node : NULL;
}

/* What we leave */

void table_note_lookups(struct node_table *t, uint64_t will, uint64_t lookups)
{
    if (will && t->legacy)
        legacy_set_lookups(t->legacy, will, lookups);
}

/* A file of which the kernel keeps nothing is not told of: the command that somebody writes to it
 * may wait for those who tell, and they for the page that the kernel holds meanwhile. */
static unsigned will_flags(const struct node *node, mode_t mode)
{
    unsigned f = node->ops->flags;
    bool version = S_ISREG(mode) && (f & NODE_ATTR_FOREVER) && !(f & NODE_ENTRY_FOREVER);
    bool kept = S_ISDIR(mode) || (f & (NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER));

    return (S_ISDIR(mode) || (f & NODE_ENTRY_FOREVER) ? LEGACY_KEPT_NAME : 0) |
           (version ? LEGACY_VERSION : 0) |
           (!kept || version || (f & NODE_FIXED) ? 0 : LEGACY_TOLD) |
           (text_node_content(node) ? LEGACY_TEXT : 0);
}

/* Whoever our predecessor knew by that name is it no more. */
static void supersede(struct node_table *t, uint64_t dir, const char *name, uint64_t by)
{
    uint64_t at = legacy_find_name(t->legacy, dir, name);
    const struct legacy_record *r = at ? legacy_at(t->legacy, at) : NULL;

    if (r && r->lookups && r->id != by)
        legacy_set_gone(t->legacy, at);
}

void table_write_will(struct node_table *t, struct node *node, const struct node_place *place)
{
    const struct buf *text = text_node_content(node);
    struct legacy_record r = {
        .id = node->id,
        .parent = place->dir,
        .ino = node->ino,
        .lookups = node->lookups + 1,
        .size = place->st->st_size,
        .mtime = clock_ns(place->st->st_mtim),
        .text_len = text ? text->len : 0,
        .type = place->st->st_mode & S_IFMT,
        .flags = will_flags(node, place->st->st_mode),
    };

    if (r.flags & LEGACY_KEPT_NAME)
        supersede(t, place->dir, place->name, node->id);
    node->will = legacy_add(t->legacy, &r, place->name, text ? text->data : NULL);
}

uint64_t table_inherit_id(struct node_table *t, struct node *node, const struct node_place *place)
{
    if (place->made || !(will_flags(node, place->st->st_mode) & LEGACY_KEPT_NAME))
        return 0;
    uint64_t at = legacy_find_name(t->legacy, place->dir, place->name);
    const struct legacy_record *r = at ? legacy_at(t->legacy, at) : NULL;
    if (!r || !r->lookups || (r->flags & LEGACY_GONE) || r->type != (place->st->st_mode & S_IFMT) ||
        table_find_any(t, r->id))
        return 0;
    node->lookups = r->lookups;
    node->will = at;
    node->ino = r->ino;
    t->unseen--;
    return r->id;
}

void table_note_gone(struct node_table *t, struct node *node)
{
    if (node->will && t->legacy)
        legacy_set_gone(t->legacy, node->will);
}

struct node *table_forget_inherited(struct node_table *t, uint64_t id, uint64_t n)
{
    struct alias **at = find_alias(t, id), *a = *at;
    uint64_t will = t->legacy ? legacy_find(t->legacy, id) : 0;
    struct node *node = NULL;

    if (a) {
        a->lookups = table_less(a->lookups, n);
        table_note_lookups(t, a->will, a->lookups);
        if (!a->lookups) {
            node = a->node;
            *at = a->next;
            free(a);
        }
    } else if (will) {
        uint64_t lookups = legacy_at(t->legacy, will)->lookups;
        t->unseen -= lookups && lookups <= n;
        table_note_lookups(t, will, table_less(lookups, n));
    }
    return node;
}

size_t table_add_unseen(struct node_table *t, uint64_t *ids)
{
    size_t n = 0;
    uint64_t at;

    for (size_t i = 0; n < t->unseen && (at = legacy_nth(t->legacy, i)); i++) {
        const struct legacy_record *r = legacy_at(t->legacy, at);
        if (r->lookups && !table_find_any(t, r->id))
            ids[n++] = r->id;
    }
    return n;
}

static void compact(struct node_table *t)
{
    if (legacy_compact(t->legacy) < 0)
        return;
    for (size_t i = 0; i < t->by_id.nslots; i++)
        for (struct node *n = t->by_id.slot[i]; n; n = n->next_by_id)
            if (n->will)
                n->will = legacy_find(t->legacy, n->id);
    for (struct alias *a = t->aliases; a; a = a->next)
        a->will = legacy_find(t->legacy, a->id);
}

void table_tidy_legacy(struct node_table *t)
{
    if (t->legacy && legacy_is_wasteful(t->legacy))
        compact(t);
}

/* What our predecessor knew */

/* Its word on one node. */
struct will {
    struct legacy_record r;
    char *name;
    struct buf text;
};
struct wills {
    VEC(struct will);
};

static void wills_done(struct wills *wills)
{
    vec_foreach (w, wills) {
        free(w->name);
        buf_done(&w->text);
    }
    free(wills->v);
}

void node_table_inherit(struct node_table *t, struct legacy *legacy)
{
    pthread_mutex_lock(&t->lock);
    t->legacy = legacy;
    if (legacy && legacy_last_id(legacy) > t->last_id)
        t->last_id = legacy_last_id(legacy);
    t->unseen = 0;
    uint64_t at;
    for (size_t i = 0; legacy && (at = legacy_nth(legacy, i)); i++)
        t->unseen += legacy_at(legacy, at)->lookups > 0;
    pthread_mutex_unlock(&t->lock);
}

/* The place of the record of what is still where it says; 0: there is none. */
static uint64_t find_valid(const struct legacy *l, uint64_t id)
{
    uint64_t at = legacy_find(l, id);
    const struct legacy_record *r = at ? legacy_at(l, at) : NULL;
    bool valid =
        r && !(r->flags & LEGACY_GONE) &&
        (!(r->flags & LEGACY_KEPT_NAME) || legacy_find_name(l, r->parent, legacy_name(r)) == at);

    return valid ? at : 0;
}

/* `known`: the kernel knows it; else it is only on the way to what the kernel knows. */
static bool read_will(struct node_table *t, uint64_t id, bool known, struct wills *out)
{
    pthread_mutex_lock(&t->lock);
    uint64_t at = find_valid(t->legacy, id);
    const struct legacy_record *r = at ? legacy_at(t->legacy, at) : NULL;
    bool valid = r && (r->lookups || !known);
    if (valid) {
        struct will *w = VEC_ADD(out);
        w->r = *r;
        w->name = xstrdup(legacy_name(r));
        buf_add(&w->text, legacy_text(r), r->text_len);
    }
    pthread_mutex_unlock(&t->lock);
    return valid;
}

static bool is_what_it_was(struct node *node, const struct legacy_record *r)
{
    struct stat st = {0};

    return node->ops->getattr(node, &st) == 0 && (st.st_mode & S_IFMT) == r->type &&
           (!(r->flags & LEGACY_VERSION) ||
            ((uint64_t)st.st_size == r->size && clock_ns(st.st_mtim) == r->mtime));
}

static void add_alias(struct node_table *t, struct node *node, const struct alias *alias)
{
    struct alias *a = NEW(struct alias);

    *a = *alias;
    a->next = t->aliases;
    t->aliases = a;
    node->refs++;
}

/* Takes the reference of `node`, which has been found for the id: the one that has it now. */
static struct node *settle(struct node_table *t, struct node *node, uint64_t id)
{
    pthread_mutex_lock(&t->lock);
    struct node *there = table_find_any(t, id);
    uint64_t will = legacy_find(t->legacy, id);
    uint64_t lookups = will ? legacy_at(t->legacy, will)->lookups : 0;
    t->unseen -= !there && lookups;
    if (there) {
        there->refs++;
    } else if (lookups && node->id) {
        add_alias(t, node,
                  &(struct alias){.node = node, .id = id, .lookups = lookups, .will = will});
    } else if (lookups) {
        node->lookups = lookups;
        node->will = will;
        node->ino = legacy_at(t->legacy, will)->ino;
        table_give_id(t, node, id);
    }
    pthread_mutex_unlock(&t->lock);
    if (there)
        node_unref(node);
    return there ? there : node;
}

static struct node *find_again(struct node_table *t, struct node *dir, struct will *w)
{
    struct node *node = NULL;

    if (w->r.flags & LEGACY_TEXT)
        node = text_node_new(t, w->r.ino, &w->text, w->r.mtime);
    else if (!dir->ops->lookup || dir->ops->lookup(dir, w->name, &node) < 0)
        return NULL;
    if (is_what_it_was(node, &w->r))
        return settle(t, node, w->r.id);
    node_unref(node);
    return NULL;
}

#define DEPTH_MOST 100000

struct node *node_table_reach(struct node_table *t, uint64_t id)
{
    _cleanup_(wills_done) struct wills up = {0};
    struct node *n = node_table_get(t, id);

    if (n || !t->legacy)
        return n;
    for (uint64_t at = id; !n; at = up.v[up.n - 1].r.parent, n = node_table_get(t, at)) {
        if (up.n == DEPTH_MOST || !read_will(t, at, !up.n, &up))
            return NULL;
        if (up.v[up.n - 1].r.flags & LEGACY_TEXT)
            break;
    }
    for (size_t i = up.n; i-- > 0;) {
        struct node *dir = n;
        n = find_again(t, dir, &up.v[i]);
        node_unref(dir);
        if (!n)
            return NULL;
    }
    return n;
}

/* The record of what has that name, if nobody has asked for it yet. With the lock held. */
static const struct legacy_record *unseen(struct node_table *t, uint64_t dir, const char *name,
                                          uint64_t *ret_at)
{
    uint64_t at = t->legacy ? legacy_find_name(t->legacy, dir, name) : 0;
    const struct legacy_record *r = at ? legacy_at(t->legacy, at) : NULL;

    *ret_at = at;
    return r && r->lookups && !(r->flags & LEGACY_GONE) && !table_find_any(t, r->id) ? r : NULL;
}

struct node *node_table_reach_name(struct node_table *t, uint64_t dir, const char *name)
{
    uint64_t at;

    pthread_mutex_lock(&t->lock);
    const struct legacy_record *r = unseen(t, dir, name, &at);
    uint64_t id = r ? r->id : 0;
    pthread_mutex_unlock(&t->lock);
    return id ? node_table_reach(t, id) : NULL;
}

void node_table_moved(struct node *node, const char *name)
{
    struct node_table *t = node->table;

    pthread_mutex_lock(&t->lock);
    if (node->will && t->legacy) {
        uint64_t before = node->will;
        struct legacy_record r = *legacy_at(t->legacy, before);
        r.parent = node->parent->id;
        r.text_len = 0;
        supersede(t, r.parent, name, r.id);
        node->will = legacy_add(t->legacy, &r, name, NULL);
        legacy_set_lookups(t->legacy, before, 0);
    }
    pthread_mutex_unlock(&t->lock);
}

void node_table_moved_before(struct node_table *t, uint64_t dir, const char *name, uint64_t to_dir,
                             const char *to_name)
{
    uint64_t at;

    pthread_mutex_lock(&t->lock);
    if (unseen(t, dir, name, &at))
        legacy_move(t->legacy, at, to_dir, to_name);
    pthread_mutex_unlock(&t->lock);
}

static void collect_owed(struct node_table *t, struct wills *out)
{
    pthread_mutex_lock(&t->lock);
    uint64_t at;
    for (size_t i = 0; (at = legacy_nth(t->legacy, i)); i++) {
        const struct legacy_record *r = legacy_at(t->legacy, at);
        if (!r->lookups || !(r->flags & LEGACY_TOLD))
            continue;
        struct will *w = VEC_ADD(out);
        w->r = *r;
        w->name = xstrdup(legacy_name(r));
    }
    pthread_mutex_unlock(&t->lock);
}

void node_table_owed(struct node_table *t,
                     void (*fn)(uint64_t id, uint64_t dir, const char *name, void *arg), void *arg)
{
    _cleanup_(wills_done) struct wills owed = {0};

    collect_owed(t, &owed);
    vec_foreach (w, &owed)
        fn(w->r.id, w->r.parent, w->name, arg);
}

/* Numbers */

struct told_numbers {
    VEC(struct node_told);
};

static void told_done(struct told_numbers *told)
{
    vec_foreach (x, told) {
        free((char *)x->top);
        free((char *)x->name);
    }
    free(told->v);
}

/* What is said of all that is in one directory. */
struct below {
    uint64_t dir, ino; /* its id and number */
    uint64_t top;      /* the record of what it is below; 0: it is not below the root */
};

static struct below climb(const struct legacy *l, uint64_t dir, uint64_t root_ino)
{
    uint64_t below = 0, at = find_valid(l, dir);
    struct below found = {.dir = dir, .ino = at ? legacy_at(l, at)->ino : 0};

    for (int depth = 0; at && depth < DEPTH_MOST; depth++) {
        const struct legacy_record *r = legacy_at(l, at);
        if (r->ino == root_ino) {
            found.top = below;
            break;
        }
        below = at;
        at = find_valid(l, r->parent);
    }
    return found;
}

static void collect_told(struct node_table *t, uint64_t root_ino, struct told_numbers *out)
{
    struct below in = {0}; /* neighbours in the order of ids are mostly in one directory */
    uint64_t at;

    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; t->legacy && (at = legacy_nth(t->legacy, i)); i++) {
        const struct legacy_record *r = legacy_at(t->legacy, at);
        if (!r->lookups || !(r->flags & LEGACY_KEPT_NAME) || find_valid(t->legacy, r->id) != at)
            continue;
        if (in.dir != r->parent)
            in = climb(t->legacy, r->parent, root_ino);
        if (in.top)
            *VEC_ADD(out) = (struct node_told){
                .top = xstrdup(legacy_name(legacy_at(t->legacy, in.top))),
                .dir_ino = in.ino,
                .name = xstrdup(legacy_name(r)),
                .type = r->type,
                .ino = r->ino,
            };
    }
    pthread_mutex_unlock(&t->lock);
}

void node_table_told(struct node_table *t, uint64_t root_ino,
                     void (*fn)(const struct node_told *told, void *arg), void *arg)
{
    _cleanup_(told_done) struct told_numbers told = {0};

    collect_told(t, root_ino, &told);
    vec_foreach (x, &told)
        fn(x, arg);
}

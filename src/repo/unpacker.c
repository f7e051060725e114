#include "repo/unpacker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/pack_delta.h"

#define CHAIN_MOST       4095 /* what git pack-objects makes at most */
#define READ_FIRST       4096 /* header and, of most entries, the rest */
#define READ_HEADER      64
#define READ_HEADER_BODY 512 /* header and the first bytes inflated */
#define DELTA_STEP       (64 << 10)
#define DELTA_KEPT       (1 << 20)
#define HELD_EACH        1024 /* most deltas are smaller by far */
#define HELD_MOST        (64 << 10)
/* One base in so many of a chain is kept for others, beside the last: the next object is often made
 * of that one, and who begins elsewhere is not far from another. Keeping all of them costs more
 * than making a few again. */
#define KEPT_EVERY 4

struct unpacker *unpacker_new(struct base_cache *bases)
{
    struct unpacker *u = NEW(struct unpacker);

    u->bases = bases;
    return u;
}

static void forget_chain(struct unpacker *u)
{
    u->chain.n = u->held_len = 0;
    base_unref(TAKE(u->cached));
}

void unpacker_reset(struct unpacker *u)
{
    forget_chain(u);
    pack_list_unref(TAKE(u->list));
    inflater_trim(&u->inflater);
    if (u->delta_cap > DELTA_KEPT) {
        free(TAKE(u->delta));
        u->delta_cap = 0;
    }
}

void unpacker_free(struct unpacker *u)
{
    if (!u)
        return;
    unpacker_reset(u);
    inflater_done(&u->inflater);
    free(u->chain.v);
    free(u->delta);
    free(u->held);
    free(u);
}

static bool is_delta(const struct pack_entry *e)
{
    return (int)e->type == GIT_OBJECT_OFS_DELTA || (int)e->type == GIT_OBJECT_REF_DELTA;
}

/* Where the base of a delta is: in the same pack, if it is there at all. */
static int base_place(struct unpacker *u, const struct chain_link *delta, struct place *ret)
{
    struct place place = {delta->pack, delta->entry.base_at};
    int r = 0;

    if ((int)delta->entry.type == GIT_OBJECT_REF_DELTA)
        r = pack_index_find(&delta->pack->index, &delta->entry.base, &place.at);
    if (r < 0)
        r = pack_list_find(u->list, &delta->entry.base, 0, &place.pack, &place.at);
    if (r == 0)
        *ret = place;
    return r == -ENOENT ? -EBADMSG : r;
}

/* Inflates the delta of a link if it is small and there is room: its bytes are in the window now,
 * and will not be when the walk is over. */
static int hold_delta(struct unpacker *u, struct chain_link *link)
{
    size_t size = link->entry.size;

    if (size > HELD_EACH || size > HELD_MOST - u->held_len)
        return 0;
    if (!u->held && !(u->held = malloc(HELD_MOST)))
        return -ENOMEM;
    link->held = u->held + u->held_len;
    u->held_len += size;
    return inflater_whole(&u->inflater, link->pack, &link->entry, u->held + u->held_len - size);
}

/* The walk from `place` on. `hold`: the deltas will be applied. */
static int walk(struct unpacker *u, struct place place, size_t want, bool hold)
{
    for (;;) {
        u->cached = base_cache_get(u->bases, place.pack->serial, place.at);
        if (u->cached)
            return 0;
        struct chain_link *link = &u->root;
        *link = (struct chain_link){.pack = place.pack};
        int r = pack_entry_read(place.pack, place.at, &u->inflater.window, want, &link->entry);
        if (r < 0 || !is_delta(&link->entry))
            return r;
        if (u->chain.n == CHAIN_MOST)
            return -EBADMSG;
        r = hold ? hold_delta(u, link) : 0;
        if (r < 0)
            return r;
        *VEC_ADD(&u->chain) = *link;
        r = base_place(u, link, &place);
        if (r < 0)
            return r;
        u->inflater.window.back = true;
    }
}

static int walk_chain(struct unpacker *u, struct place place, size_t want, bool hold)
{
    forget_chain(u);
    int r = walk(u, place, want, hold);
    u->inflater.window.back = false;
    return r;
}

int unpacker_walk(struct unpacker *u, struct place place, size_t want)
{
    return walk_chain(u, place, want, false);
}

int unpacker_header(struct unpacker *u, struct place place, git_object_t *ret_type,
                    uint64_t *ret_size)
{
    unsigned char head[PACK_DELTA_HEAD];
    struct pack_delta delta = {0};
    struct pack_entry e;
    int r = pack_entry_read(place.pack, place.at, &u->inflater.window, READ_HEADER_BODY, &e);

    if (r == 0 && is_delta(&e)) {
        ssize_t n = inflater_head(&u->inflater, place.pack, &e, head, sizeof(head));
        r = n < 0 ? n : pack_delta_open(&delta, head, n);
    }
    if (r == 0 && ret_type && is_delta(&e))
        r = unpacker_walk(u, place, READ_HEADER);
    if (r < 0)
        return r;
    if (ret_type)
        *ret_type = !is_delta(&e) ? e.type : u->cached ? u->cached->type : u->root.entry.type;
    *ret_size = is_delta(&e) ? delta.result_size : e.size;
    return 0;
}

/* The whole object at the end of the chain, as a base. */
static int root_base(struct unpacker *u, uint64_t most, struct base **ret)
{
    const struct pack_entry *e = &u->root.entry;

    if (u->cached) {
        *ret = TAKE(u->cached);
        return 0;
    }
    if (e->size > most)
        return -EFBIG;
    _cleanup_(base_unrefp) struct base *b = base_new(e->type, e->size);
    if (!b)
        return -ENOMEM;
    int r = inflater_whole(&u->inflater, u->root.pack, e, b->data);
    if (r < 0)
        return r;
    base_cache_put(u->bases, u->root.pack->serial, e->at, b);
    *ret = TAKE(b);
    return 0;
}

static int delta_room(struct unpacker *u, size_t size)
{
    if (size <= u->delta_cap)
        return 0;
    size_t cap = (size + DELTA_STEP - 1) / DELTA_STEP * DELTA_STEP;
    unsigned char *grown = malloc(cap);
    if (!grown)
        return -ENOMEM;
    free(u->delta);
    u->delta = grown;
    u->delta_cap = cap;
    return 0;
}

/* Inflates a delta, which must be one for `base`. */
static int load_delta(struct unpacker *u, const struct chain_link *link, const struct base *base,
                      uint64_t most, struct pack_delta *ret)
{
    if (link->entry.size > most)
        return -EFBIG;
    int r = link->held ? 0 : delta_room(u, link->entry.size);
    if (r == 0 && !link->held)
        r = inflater_whole(&u->inflater, link->pack, &link->entry, u->delta);
    if (r == 0)
        r = pack_delta_open(ret, link->held ? link->held : u->delta, link->entry.size);
    if (r < 0)
        return r;
    return ret->base_size != base->size ? -EBADMSG : ret->result_size > most ? -EFBIG : 0;
}

/* Replaces *base by what delta `i` of the chain makes of it. */
static int step_base(struct unpacker *u, size_t i, uint64_t most, struct base **base)
{
    const struct chain_link *link = &u->chain.v[i];
    struct pack_delta delta;
    int r = load_delta(u, link, *base, most, &delta);

    if (r < 0)
        return r;
    _cleanup_(base_unrefp) struct base *b = base_new((*base)->type, delta.result_size);
    if (!b)
        return -ENOMEM;
    r = pack_delta_apply(&delta, (*base)->data, b->data);
    if (r < 0)
        return r;
    if (i == 1 || (u->chain.n - i) % KEPT_EVERY == 0)
        base_cache_put(u->bases, link->pack->serial, link->entry.at, b);
    base_unref(*base);
    *base = TAKE(b);
    return 0;
}

static int unpacked_new(git_object_t type, uint64_t size, struct unpacked *ret)
{
    unsigned char *data = size < SIZE_MAX ? malloc(size + 1) : NULL;

    if (!data)
        return -ENOMEM;
    data[size] = 0;
    *ret = (struct unpacked){type, size, data};
    return 0;
}

/* An object that is no delta. */
static int read_whole(struct unpacker *u, uint64_t most, struct unpacked *ret)
{
    const struct pack_entry *e = &u->root.entry;
    struct unpacked o;
    uint64_t size = u->cached ? u->cached->size : e->size;
    git_object_t type = u->cached ? u->cached->type : e->type;

    int r = size > most ? -EFBIG : unpacked_new(type, size, &o);
    if (r < 0)
        return r;
    if (u->cached)
        memcpy(o.data, u->cached->data, size);
    else
        r = inflater_whole(&u->inflater, u->root.pack, e, o.data);
    if (r < 0)
        free(o.data);
    else
        *ret = o;
    return r;
}

int unpacker_read(struct unpacker *u, struct place place, uint64_t most, struct unpacked *ret)
{
    _cleanup_(base_unrefp) struct base *base = NULL;
    struct pack_delta delta;
    struct unpacked o;
    int r = walk_chain(u, place, READ_FIRST, true);

    if (r < 0)
        return r;
    if (!u->chain.n)
        return read_whole(u, most, ret);
    r = root_base(u, most, &base);
    for (size_t i = u->chain.n - 1; r == 0 && i > 0; i--)
        r = step_base(u, i, most, &base);
    if (r == 0)
        r = load_delta(u, &u->chain.v[0], base, most, &delta);
    if (r == 0)
        r = unpacked_new(base->type, delta.result_size, &o);
    if (r < 0)
        return r;
    r = pack_delta_apply(&delta, base->data, o.data);
    if (r < 0)
        free(o.data);
    else
        *ret = o;
    return r;
}

#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

uint64_t hash_bytes(const void *data, size_t len, uint64_t seed)
{
    const unsigned char *p = data;
    uint64_t h = seed ^ 0x9e3779b97f4a7c15u ^ (len * 0xff51afd7ed558ccdu);

    for (; len >= 8; p += 8, len -= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = (h ^ w) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 29;
    }
    for (; len; p++, len--)
        h = (h ^ *p) * 0x100000001b3u;
    h ^= h >> 30;
    h *= 0xbf58476d1ce4e5b9u;
    h ^= h >> 27;
    h *= 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

static size_t slot_of(const struct map *m, const char *key)
{
    size_t at = hash_bytes(key, strlen(key), 0) & (m->nslots - 1);

    while (m->slots[at]) {
        const char *there = m->items[m->slots[at] - 1].key;
        if (there && !strcmp(there, key))
            break;
        at = (at + 1) & (m->nslots - 1);
    }
    return at;
}

/* Makes room for one more item: drops the removed ones and doubles the table when it is half full.
 */
static void make_room(struct map *m)
{
    if (m->n < m->cap && 2 * (m->n + 1) <= m->nslots)
        return;
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i].key)
            m->items[n++] = m->items[i];
    m->n = n;
    if (n + 1 > m->cap / 2) {
        m->cap = m->cap ? 2 * m->cap : 8;
        m->items = xrealloc(m->items, m->cap, sizeof(*m->items));
    }
    free(m->slots);
    for (m->nslots = 16; m->nslots < 2 * (m->cap + 1);)
        m->nslots *= 2;
    m->slots = xcalloc(m->nslots, sizeof(*m->slots));
    for (size_t i = 0; i < n; i++)
        m->slots[slot_of(m, m->items[i].key)] = i + 1;
}

void map_done(struct map *m, void (*free_value)(void *))
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->items[i].key && free_value)
            free_value(m->items[i].value);
        free(m->items[i].key);
    }
    free(m->items);
    free(m->slots);
    *m = (struct map){0};
}

void *map_get(const struct map *m, const char *key)
{
    if (!m->nslots)
        return NULL;
    size_t at = slot_of(m, key);
    return m->slots[at] ? m->items[m->slots[at] - 1].value : NULL;
}

void *map_put(struct map *m, const char *key, void *value)
{
    make_room(m);
    size_t at = slot_of(m, key);
    if (m->slots[at]) {
        struct map_item *it = &m->items[m->slots[at] - 1];
        void *before = it->value;
        it->value = value;
        return before;
    }
    m->items[m->n] = (struct map_item){xstrdup(key), value};
    m->slots[at] = ++m->n;
    m->live++;
    return NULL;
}

void *map_del(struct map *m, const char *key)
{
    if (!m->nslots)
        return NULL;
    size_t at = slot_of(m, key);
    if (!m->slots[at])
        return NULL;
    struct map_item *it = &m->items[m->slots[at] - 1];
    void *value = it->value;
    free(it->key);
    *it = (struct map_item){0};
    m->live--;
    return value;
}

/* A hash map from strings to pointers. Keys are copied; values are the caller's. Not thread-safe.
 * Order of iteration is that of insertion as long as nothing is removed. */
#ifndef ONWARD_BASE_MAP_H
#define ONWARD_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_item {
    char *key; /* NULL: removed */
    void *value;
};

struct map {
    struct map_item *items;
    size_t n;    /* items in use, removed ones included */
    size_t live; /* items that are there */
    size_t cap;
    uint32_t *slots; /* index + 1 into items, 0: free */
    size_t nslots;   /* a power of two */
};

/* Frees keys and table; `free_value` is called for each value unless NULL. */
void map_done(struct map *m, void (*free_value)(void *));
/* The value of `key`, or NULL. */
void *map_get(const struct map *m, const char *key);
/* Sets and returns the value that was there before (NULL if none). `value` must not be NULL. */
void *map_put(struct map *m, const char *key, void *value);
/* Removes and returns the value, or NULL. */
void *map_del(struct map *m, const char *key);

#define map_foreach(it, m)                                                                         \
    for (struct map_item *it = (m)->items; it < (m)->items + (m)->n; it++)                         \
        if (it->key)

/* A 64-bit hash of bytes, seeded; the same on every machine and in every run. */
uint64_t hash_bytes(const void *data, size_t len, uint64_t seed);

#endif

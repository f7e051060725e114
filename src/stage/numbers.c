#include "stage/numbers.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "tree/node.h"

#define SLOTS_LEAST 16

void numbers_reset(struct numbers *numbers, uint64_t seed)
{
    free(numbers->slots);
    *numbers = (struct numbers){.seed = seed};
}

void numbers_done(struct numbers *numbers)
{
    numbers_reset(numbers, 0);
}

uint64_t numbers_of_base(const struct numbers *numbers, uint64_t dir, const char *name)
{
    return node_ino(dir ^ numbers->seed, name);
}

uint64_t numbers_of_upper(const struct numbers *numbers, uint64_t local)
{
    uint64_t ino = hash_bytes(&local, sizeof(local), numbers->seed);

    return ino > 1 ? ino : ino + 2;
}

uint64_t numbers_place(uint64_t dir, const char *name)
{
    return hash_bytes(name, strlen(name), dir);
}

/* The table: open addressing; who collides is in one of the next slots. */

/* Where the place is, or the free slot where it belongs. There is one. */
static struct kept_number *find(const struct numbers *numbers, uint64_t place)
{
    size_t at = place & (numbers->nslots - 1);

    while (numbers->slots[at].ino && numbers->slots[at].place != place)
        at = (at + 1) & (numbers->nslots - 1);
    return &numbers->slots[at];
}

static void grow(struct numbers *numbers)
{
    struct numbers bigger = *numbers;

    bigger.nslots = numbers->nslots ? 2 * numbers->nslots : SLOTS_LEAST;
    bigger.slots = xcalloc(bigger.nslots, sizeof(*bigger.slots));
    for (size_t i = 0; i < numbers->nslots; i++)
        if (numbers->slots[i].ino)
            *find(&bigger, numbers->slots[i].place) = numbers->slots[i];
    free(numbers->slots);
    *numbers = bigger;
}

/* Frees a slot, and brings those that it made give way closer to where they belong. */
static void remove_slot(struct numbers *numbers, struct kept_number *slot)
{
    size_t mask = numbers->nslots - 1, hole = slot - numbers->slots;

    for (size_t at = (hole + 1) & mask; numbers->slots[at].ino; at = (at + 1) & mask) {
        size_t way = (at - numbers->slots[at].place) & mask;
        if (way < ((at - hole) & mask))
            continue;
        numbers->slots[hole] = numbers->slots[at];
        hole = at;
    }
    numbers->slots[hole] = (struct kept_number){0};
    numbers->n--;
}

/* What is kept for a place is so no longer. ino 0: nothing was. */
static struct kept_number take(struct numbers *numbers, uint64_t place)
{
    struct kept_number kept = {0};

    if (!numbers->n)
        return kept;
    struct kept_number *slot = find(numbers, place);
    kept = *slot;
    if (kept.ino)
        remove_slot(numbers, slot);
    return kept;
}

static void put(struct numbers *numbers, uint64_t place, const struct kept_number *kept)
{
    if (kept->ino)
        numbers_keep(numbers, place, kept->type, kept->ino);
}

uint64_t numbers_get(const struct numbers *numbers, uint64_t place, mode_t type, uint64_t ino)
{
    if (!numbers->n)
        return ino;
    const struct kept_number *slot = find(numbers, place);
    return slot->ino && slot->type == type ? slot->ino : ino;
}

void numbers_keep(struct numbers *numbers, uint64_t place, mode_t type, uint64_t ino)
{
    if (2 * (numbers->n + 1) > numbers->nslots)
        grow(numbers);
    struct kept_number *slot = find(numbers, place);
    numbers->n += !slot->ino;
    *slot = (struct kept_number){place, ino, type};
}

void numbers_drop(struct numbers *numbers, uint64_t place)
{
    take(numbers, place);
}

void numbers_move(struct numbers *numbers, uint64_t from, uint64_t to)
{
    struct kept_number kept = take(numbers, from);

    take(numbers, to);
    put(numbers, to, &kept);
}

void numbers_exchange(struct numbers *numbers, uint64_t a, uint64_t b)
{
    struct kept_number at_a = take(numbers, a), at_b = take(numbers, b);

    put(numbers, a, &at_b);
    put(numbers, b, &at_a);
}

#include "stage/fd_cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"

struct fd_cache {
    pthread_mutex_t mutex;
    unsigned most, idle;
    struct fd_slot ring; /* idle slots: ring.next was used last, ring.prev longest ago */
};

struct fd_cache *fd_cache_new(unsigned most)
{
    struct fd_cache *c = NEW(struct fd_cache);

    pthread_mutex_init(&c->mutex, NULL);
    c->most = most;
    c->ring.prev = c->ring.next = &c->ring;
    return c;
}

void fd_cache_free(struct fd_cache *c)
{
    if (!c)
        return;
    assert(c->idle == 0);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

void fd_slot_init(struct fd_slot *slot)
{
    *slot = (struct fd_slot){.fd = -1};
}

static void leave_ring(struct fd_cache *c, struct fd_slot *slot)
{
    if (!slot->next)
        return;
    slot->prev->next = slot->next;
    slot->next->prev = slot->prev;
    slot->prev = slot->next = NULL;
    c->idle--;
}

/* Closes the slots used longest ago until at most `most` idle ones are left. */
static void shrink(struct fd_cache *c, unsigned most)
{
    while (c->idle > most) {
        struct fd_slot *last = c->ring.prev;
        leave_ring(c, last);
        close(last->fd);
        last->fd = -1;
    }
}

static int pin(struct fd_cache *c, struct fd_slot *slot)
{
    if (slot->fd < 0)
        return -1;
    leave_ring(c, slot);
    slot->pins++;
    return slot->fd;
}

int fd_cache_get(struct fd_cache *c, struct fd_slot *slot)
{
    pthread_mutex_lock(&c->mutex);
    int fd = pin(c, slot);
    pthread_mutex_unlock(&c->mutex);
    return fd;
}

int fd_cache_add(struct fd_cache *c, struct fd_slot *slot, int fd)
{
    pthread_mutex_lock(&c->mutex);
    if (slot->fd < 0)
        slot->fd = fd;
    else
        close(fd);
    fd = pin(c, slot);
    pthread_mutex_unlock(&c->mutex);
    return fd;
}

/* An unpinned slot goes to the front of the ring. */
static void rest(struct fd_cache *c, struct fd_slot *slot)
{
    if (slot->pins || slot->keep || slot->fd < 0)
        return;
    slot->next = c->ring.next;
    slot->prev = &c->ring;
    slot->next->prev = slot->prev->next = slot;
    c->idle++;
    shrink(c, c->most);
}

void fd_cache_put(struct fd_cache *c, struct fd_slot *slot)
{
    pthread_mutex_lock(&c->mutex);
    assert(slot->pins > 0);
    slot->pins--;
    rest(c, slot);
    pthread_mutex_unlock(&c->mutex);
}

void fd_cache_keep(struct fd_cache *c, struct fd_slot *slot)
{
    pthread_mutex_lock(&c->mutex);
    leave_ring(c, slot);
    slot->keep = true;
    pthread_mutex_unlock(&c->mutex);
}

void fd_cache_drop(struct fd_cache *c, struct fd_slot *slot)
{
    pthread_mutex_lock(&c->mutex);
    assert(slot->pins == 0);
    leave_ring(c, slot);
    if (slot->fd >= 0)
        close(slot->fd);
    fd_slot_init(slot);
    pthread_mutex_unlock(&c->mutex);
}

void fd_cache_trim(struct fd_cache *c)
{
    pthread_mutex_lock(&c->mutex);
    shrink(c, 0);
    pthread_mutex_unlock(&c->mutex);
}

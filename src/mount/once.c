#include "mount/once.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"

#define MAGIC      UINT64_C(0x6f65636e6f313030) /* another layout is another number */
#define SENT_AGAIN (UINT64_C(1) << 63)          /* in `unique`, by the kernel */

/* `state` last: whoever finds it finds the rest. */
struct noted {
    uint64_t unique; /* 0: nothing, or it is being written */
    int32_t result;
    enum { BEGUN, DONE } state;
};

struct memory {
    uint64_t magic;
    uint64_t next;
    struct once_hello hello;
    struct noted noted[ONCE_KEPT];
};

struct once {
    int fd;
    struct memory *memory;
};

static int map(int fd, struct once **ret)
{
    void *memory = mmap(NULL, sizeof(struct memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED)
        return -errno;
    struct once *o = NEW(struct once);
    o->fd = fd;
    o->memory = memory;
    *ret = o;
    return 0;
}

int once_new(struct once **ret)
{
    _cleanup_close_ int fd = memfd_create("onwardfs-once", MFD_CLOEXEC);
    struct once *o;

    if (fd < 0 || ftruncate(fd, sizeof(struct memory)) < 0)
        return -errno;
    int r = map(fd, &o);
    if (r < 0)
        return r;
    TAKE_FD(fd);
    o->memory->magic = MAGIC;
    *ret = o;
    return 0;
}

static bool is_sound(const struct memory *m)
{
    return m->magic == MAGIC && m->hello.asked_len <= sizeof(m->hello.asked) &&
           m->hello.answered_len <= sizeof(m->hello.answered);
}

int once_open(int fd, struct once **ret)
{
    _cleanup_close_ int own = fd;
    struct stat st;
    struct once *o;

    if (fstat(own, &st) < 0)
        return -errno;
    int r = st.st_size == sizeof(struct memory) ? map(own, &o) : -EBADMSG;
    if (r < 0)
        return r;
    TAKE_FD(own);
    if (!is_sound(o->memory)) {
        once_free(o);
        return -EBADMSG;
    }
    *ret = o;
    return 0;
}

void once_free(struct once *o)
{
    if (!o)
        return;
    munmap(o->memory, sizeof(struct memory));
    closep(&o->fd);
    free(o);
}

int once_fd(const struct once *o)
{
    return o->fd;
}

struct once_hello *once_hello(struct once *o)
{
    return &o->memory->hello;
}

bool once_is_again(uint64_t unique)
{
    return unique & SENT_AGAIN;
}

/* Looks for it among those before us. */
static void look_back(struct once_turn *turn)
{
    const struct memory *m = turn->once->memory;

    for (size_t i = 0; i < ONCE_KEPT && !turn->done; i++) {
        const struct noted *x = &m->noted[i];
        if (__atomic_load_n(&x->unique, __ATOMIC_ACQUIRE) != turn->unique)
            continue;
        turn->again = true;
        turn->done = __atomic_load_n(&x->state, __ATOMIC_ACQUIRE) == DONE;
        turn->result = x->result;
    }
}

struct once_turn once_begin(struct once *o, uint64_t unique)
{
    struct once_turn turn = {.once = o, .unique = unique & ~SENT_AGAIN};

    if (!o)
        return turn;
    if (once_is_again(unique))
        look_back(&turn);
    turn.at = __atomic_fetch_add(&o->memory->next, 1, __ATOMIC_RELAXED) % ONCE_KEPT;
    struct noted *x = &o->memory->noted[turn.at];
    __atomic_store_n(&x->unique, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&x->state, BEGUN, __ATOMIC_RELEASE);
    __atomic_store_n(&x->unique, turn.unique, __ATOMIC_RELEASE);
    return turn;
}

void once_end(struct once_turn *turn, int result)
{
    if (!turn->once)
        return;
    struct noted *x = &turn->once->memory->noted[turn->at];
    if (__atomic_load_n(&x->unique, __ATOMIC_ACQUIRE) != turn->unique)
        return; /* it took so long that its place went to another */
    x->result = result;
    __atomic_store_n(&x->state, DONE, __ATOMIC_RELEASE);
}

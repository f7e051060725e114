#include "mount/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "mount/vigil.h"

#define PAUSE_LEAST (NS_PER_MS / 50)
#define PAUSE_MOST  NS_PER_MS
#define STAT_MOST   4096
#define CALL_AWAY   (SIGRTMIN + 1)
#define PIECE       (64 << 10)

/* One thread. `step` counts up, before and after each read: odd while it reads. A slot outlives its
 * thread, and serves another. */
struct slot {
    struct intake *intake;
    struct slot *next;
    pid_t thread;
    bool used;
    bool in_hand;        /* the thread has a request */
    _Atomic bool sleeps; /* it may be called away */
    _Atomic uint64_t step;
    uint64_t unique;          /* of the request in hand; the thread's own */
    _Atomic uint64_t storing; /* the node whose page is in hand; 0: none. Set before `step`. */
};

struct intake {
    struct vigil vigil;
    pthread_key_t own; /* a thread's slot */
    pthread_mutex_t lock;
    struct slot *slots; /* grows only; under the lock, as `used` and `thread` are */
};

static void put_down(struct slot *s)
{
    if (s->in_hand)
        vigil_end(&s->intake->vigil);
    s->in_hand = false;
}

/* The thread ends. */
static void leave(void *arg)
{
    struct slot *s = arg;

    put_down(s);
    vigil_leave(&s->intake->vigil);
    s->sleeps = false;
    s->storing = 0;
    s->step += 2 - s->step % 2; /* odd: it was cancelled in its read */
    __atomic_store_n(&s->used, false, __ATOMIC_RELEASE);
}

static struct slot *first_slot(struct intake *in)
{
    pthread_mutex_lock(&in->lock);
    struct slot *s = in->slots;
    pthread_mutex_unlock(&in->lock);
    return s;
}

static void call_away(void *arg)
{
    for (struct slot *s = first_slot(arg); s; s = s->next)
        if (s->sleeps)
            tgkill(getpid(), s->thread, CALL_AWAY);
}

static void on_call(int signal)
{
}

/* Those that this process may run on. */
static int count_cpus(void)
{
    cpu_set_t cpus;

    return sched_getaffinity(0, sizeof(cpus), &cpus) < 0 ? 1 : CPU_COUNT(&cpus);
}

struct intake *intake_new(void)
{
    struct intake *in = NEW(struct intake);

    /* Without SA_RESTART: it ends the read. */
    sigaction(CALL_AWAY, &(struct sigaction){.sa_handler = on_call}, NULL);
    vigil_init(&in->vigil, count_cpus(), wakeful_device(), call_away, in);
    pthread_mutex_init(&in->lock, NULL);
    if (pthread_key_create(&in->own, leave) != 0)
        abort();
    return in;
}

void intake_free(struct intake *in)
{
    if (!in)
        return;
    while (in->slots) {
        struct slot *s = in->slots;
        in->slots = s->next;
        free(s);
    }
    vigil_done(&in->vigil);
    pthread_key_delete(in->own);
    pthread_mutex_destroy(&in->lock);
    free(in);
}

static struct slot *enter(struct intake *in)
{
    pthread_mutex_lock(&in->lock);
    struct slot *s = in->slots;
    while (s && __atomic_load_n(&s->used, __ATOMIC_ACQUIRE))
        s = s->next;
    if (!s) {
        s = NEW(struct slot);
        s->intake = in;
        s->next = in->slots;
        in->slots = s;
    }
    s->thread = gettid();
    s->used = true;
    pthread_mutex_unlock(&in->lock);
    pthread_setspecific(in->own, s);
    return s;
}

/* The node of a write-back; 0: the request is another. */
static uint64_t stored_node(const void *request, ssize_t len)
{
    const struct fuse_in_header *head = request;
    const struct fuse_write_in *w = (const void *)(head + 1);

    if (len < (ssize_t)(sizeof(*head) + sizeof(*w)) || head->opcode != FUSE_WRITE)
        return 0;
    return w->write_flags & FUSE_WRITE_CACHE ? head->nodeid : 0;
}

/* Who waits for the answer (vigil.h). Who reads or writes much asks for several pieces at once. */
static int64_t asker(const struct fuse_in_header *head, ssize_t len)
{
    if (len < (ssize_t)sizeof(*head))
        return VIGIL_NOBODY;
    switch (head->opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        return VIGIL_NOBODY;
    case FUSE_READ:
        return VIGIL_ANYBODY;
    default:
        return len > PIECE || head->pid == 0 ? VIGIL_ANYBODY : head->pid;
    }
}

/* read(2) that may be called away. The signal is let in here alone: it is to end no other call. */
static ssize_t sleep_and_read(struct slot *s, int fd, void *buf, size_t len)
{
    sigset_t call;

    sigemptyset(&call);
    sigaddset(&call, CALL_AWAY);
    s->sleeps = true;
    pthread_sigmask(SIG_UNBLOCK, &call, NULL);
    ssize_t n = read(fd, buf, len);
    int err = errno;
    pthread_sigmask(SIG_BLOCK, &call, NULL);
    s->sleeps = false;
    errno = err;
    return n;
}

ssize_t intake_read(struct intake *in, int fd, void *buf, size_t len)
{
    struct slot *s = pthread_getspecific(in->own);

    if (!s)
        s = enter(in);
    put_down(s);
    s->step++;
    bool sleeps = vigil_keep(&in->vigil, fd);
    ssize_t n = sleeps ? sleep_and_read(s, fd, buf, len) : read(fd, buf, len);
    int err = errno;
    if (n > 0) {
        s->in_hand = true;
        vigil_begin(&in->vigil, asker(buf, n));
    }
    s->storing = stored_node(buf, n);
    s->step++;
    s->unique =
        n >= (ssize_t)sizeof(struct fuse_in_header) ? ((struct fuse_in_header *)buf)->unique : 0;
    errno = err;
    return n;
}

uint64_t intake_unique(struct intake *in)
{
    const struct slot *s = pthread_getspecific(in->own);

    return s ? s->unique : 0;
}

/* Does the thread sleep? One that cannot be asked about is taken to. */
static bool sleeps(pid_t thread)
{
    _cleanup_free_ char *path = xasprintf("/proc/self/task/%d/stat", (int)thread);
    _cleanup_(buf_done) struct buf text = {0};

    if (io_read_file(AT_FDCWD, path, STAT_MOST, &text) < 0)
        return true;
    const char *end = strrchr(buf_str(&text), ')');
    return !end || !strncmp(end, ") S", 3);
}

/* What may be told now of the request that the thread had, or was about to take, at `step`. */
static bool is_done(const struct slot *s, uint64_t step, bool (*mine)(uint64_t id, void *arg),
                    void *arg)
{
    uint64_t now = s->step;
    bool reads = step % 2;

    if (reads && now == step)
        return sleeps(s->thread) && s->step == step;
    if (now - step > reads)
        return true;
    uint64_t id = s->storing;
    return s->step != now || !id || !mine(id, arg);
}

void intake_wait_stores(struct intake *in, bool (*mine)(uint64_t id, void *arg), void *arg)
{
    for (struct slot *s = first_slot(in); s; s = s->next) {
        uint64_t step = s->step;
        for (int64_t pause = PAUSE_LEAST; !is_done(s, step, mine, arg);) {
            struct timespec wait = clock_timespec(pause);
            nanosleep(&wait, NULL);
            pause = pause * 2 < PAUSE_MOST ? pause * 2 : PAUSE_MOST;
        }
    }
}

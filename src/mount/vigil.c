#include "mount/vigil.h"

#include <poll.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"

#define LOOK_OUT  (NS_PER_MS / 5)  /* a program that sleeps wakes up and asks again within that */
#define OFF_CPU   (NS_PER_MS / 5)  /* so much too late: it did not have the CPU */
#define RESPITE   (NS_PER_SEC / 4) /* after that */
#define STAY_AWAY NS_PER_MS
#define RESERVE   (16 * NS_PER_MS) /* waking up costs those who work */

void vigil_init(struct vigil *v, int cpus, const char *device, void (*call_away)(void *arg),
                void *arg)
{
    *v = (struct vigil){.never = cpus < 2, .call_away = call_away, .arg = arg};
    wakeful_init(&v->wakeful, device);
}

void vigil_done(struct vigil *v)
{
    wakeful_done(&v->wakeful);
}

void vigil_begin(struct vigil *v, int64_t who)
{
    bool beside = v->in_hand++ > 0;

    beside |= atomic_exchange(&v->early, false);
    if (who == VIGIL_NOBODY)
        return;
    bool next = who > 0 && who == v->who;
    v->who = who;
    if (beside && !next)
        v->row = 0;
    else
        v->row++;
}

void vigil_leave(struct vigil *v)
{
    wakeful_release(&v->wakeful);
}

void vigil_end(struct vigil *v)
{
    v->answered++;
    v->in_hand--;
}

static bool is_ready(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) != 0;
}

/* True if there is a request. */
static bool look_out(struct vigil *v, int fd)
{
    int64_t begin = clock_mono(), now = begin;

    wakeful_hold(&v->wakeful);
    while (now - begin < LOOK_OUT) {
        if (is_ready(fd))
            return true;
        now = clock_mono();
    }
    v->row = 0;
    if (now - begin > LOOK_OUT + OFF_CPU)
        v->respite = now + RESPITE;
    return false;
}

/* Another thread sees to the requests, as long as some are answered. The first to be away is the
 * first to be back. */
static void stay_away(struct vigil *v)
{
    const struct timespec pause = {.tv_nsec = v->away++ == 0 ? STAY_AWAY : RESERVE};
    uint64_t before;

    do {
        before = v->answered;
        nanosleep(&pause, NULL);
    } while (v->answered != before && v->row >= VIGIL_ROW);
    v->away--;
}

/* True if there is a request. */
static bool keep(struct vigil *v, int fd)
{
    if (v->row < VIGIL_ROW || clock_mono() < v->respite)
        return false;
    if (v->in_hand || atomic_exchange(&v->kept, true)) {
        stay_away(v);
        return false;
    }
    bool ready = is_ready(fd);
    if (ready) {
        v->early = true;
    } else {
        v->call_away(v->arg);
        ready = look_out(v, fd);
    }
    v->kept = false;
    return ready;
}

bool vigil_keep(struct vigil *v, int fd)
{
    bool sleeps = !v->never && !keep(v, fd);

    if (sleeps)
        wakeful_release(&v->wakeful);
    return sleeps;
}

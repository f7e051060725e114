#include "mount/vigil.h"

#include <poll.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"

#define LOOK_OUT  (NS_PER_MS / 5)  /* a program that sleeps wakes up and asks again within that */
#define OFF_CPU   (NS_PER_MS / 5)  /* so much too late: it did not have the CPU */
#define RESPITE   (NS_PER_SEC / 4) /* after that */
#define STAY_AWAY NS_PER_MS

void vigil_init(struct vigil *v, int cpus, void (*call_away)(void *arg), void *arg)
{
    *v = (struct vigil){.never = cpus < 2, .call_away = call_away, .arg = arg};
}

void vigil_begin(struct vigil *v)
{
    if (v->in_hand++ == 0)
        v->row++;
    else
        v->row = 0;
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

static void look_out(struct vigil *v, int fd)
{
    int64_t begin = clock_mono(), now = begin;

    while (now - begin < LOOK_OUT) {
        if (is_ready(fd))
            return;
        now = clock_mono();
    }
    v->row = 0;
    if (now - begin > LOOK_OUT + OFF_CPU)
        v->respite = now + RESPITE;
}

/* Another thread sees to the requests, as long as some are answered. */
static void stay_away(struct vigil *v)
{
    uint64_t before;

    do {
        before = v->answered;
        nanosleep(&(struct timespec){.tv_nsec = STAY_AWAY}, NULL);
    } while (v->answered != before && v->row >= VIGIL_ROW);
}

void vigil_keep(struct vigil *v, int fd)
{
    if (v->never || v->row < VIGIL_ROW || clock_mono() < v->respite)
        return;
    if (v->in_hand || atomic_exchange(&v->kept, true)) {
        stay_away(v);
        return;
    }
    if (is_ready(fd)) {
        v->row = 0; /* it came while the last one was answered */
    } else {
        v->call_away(v->arg);
        look_out(v, fd);
    }
    v->kept = false;
}

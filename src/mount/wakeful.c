#include "mount/wakeful.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"

#define DRIVER      "/sys/devices/system/cpu/cpuidle/current_driver"
#define DRIVER_MOST 64
#define CPUS_MOST   4

#define AT_ONCE INT32_C(0)          /* microseconds that waking a CPU may take */
#define ANY     INT32_C(2000000000) /* as if nobody had asked */

const char *wakeful_device(void)
{
    _cleanup_(buf_done) struct buf driver = {0};

    if (sysconf(_SC_NPROCESSORS_ONLN) > CPUS_MOST ||
        io_read_file(AT_FDCWD, DRIVER, DRIVER_MOST, &driver) < 0 ||
        strcmp(buf_str(&driver), "haltpoll\n") != 0)
        return NULL;
    return "/dev/cpu_dma_latency";
}

void wakeful_init(struct wakeful *w, const char *device)
{
    *w = (struct wakeful){.fd = device ? open(device, O_WRONLY | O_CLOEXEC) : -1};
}

void wakeful_done(struct wakeful *w)
{
    closep(&w->fd);
    w->fd = -1;
}

static void ask_for(struct wakeful *w, int32_t latency)
{
    ssize_t n = write(w->fd, &latency, sizeof(latency));

    (void)n; /* it was a wish */
}

/* `held` last, and first in the other: who sees it not held finds nothing held. */
void wakeful_hold(struct wakeful *w)
{
    if (w->fd < 0 || w->held)
        return;
    ask_for(w, AT_ONCE);
    w->held = true;
}

void wakeful_release(struct wakeful *w)
{
    if (w->held && atomic_exchange(&w->held, false))
        ask_for(w, ANY);
}

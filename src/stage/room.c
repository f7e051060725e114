#include "stage/room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "stage/workspace.h"

/* Adds what everything in and below the directory `*fd` takes, which moves but comes back. */
static int count_bytes(struct overlay *o, int *fd, int64_t *sum)
{
    _cleanup_(overlay_names_done) struct overlay_names names = {0};
    int r = overlay_upper_names(o, *fd, &names);

    for (size_t i = 0; i < names.n && r == 0; i++) {
        const struct overlay_name *n = &names.v[i];
        int64_t bytes = ROOM_LEAST;
        if (S_ISDIR(n->type)) {
            r = overlay_go(fd, n->name);
            if (r == 0)
                r = count_bytes(o, fd, sum);
            if (r == 0)
                r = overlay_go(fd, "..");
        } else if (S_ISREG(n->type)) {
            bytes = overlay_file_room(*fd, n->name);
            r = bytes < 0 ? bytes : 0;
        }
        *sum += bytes;
    }
    return r;
}

/* The first to ask counts. Until then nobody has changed anything: who does asks first. */
static int count_used(struct workspace *ws)
{
    int64_t sum = 0, unknown = -1;
    _cleanup_close_ int fd = fcntl(ws->upper, F_DUPFD_CLOEXEC, 0);
    int r = fd < 0 ? -errno : count_bytes(&ws->overlay, &fd, &sum);

    if (r == 0)
        atomic_compare_exchange_strong(&ws->room.used, &unknown, sum);
    return r;
}

static int64_t limit(const struct workspace *ws)
{
    return ws->env->config->most_workspace_size;
}

static int64_t left(int64_t most, int64_t used, int64_t held)
{
    int64_t beside = most + (most - used) - held;

    return beside < most - used ? beside : most - used;
}

/* The room of what has a name as it is now, which must be counted. */
static int take_used(struct workspace *ws, int64_t bytes)
{
    int64_t used = ws->room.used;

    do {
        if (bytes > 0 && bytes > left(limit(ws), used, ws->room.held))
            return -EDQUOT;
    } while (!atomic_compare_exchange_weak(&ws->room.used, &used, used + bytes));
    return 0;
}

static int take_held(struct workspace *ws, int64_t bytes)
{
    int64_t held = ws->room.held;

    do {
        if (bytes > 0 && held + bytes > limit(ws))
            return -EDQUOT;
    } while (!atomic_compare_exchange_weak(&ws->room.held, &held, held + bytes));
    return 0;
}

int room_take(struct workspace *ws, bool held, int64_t bytes)
{
    if (limit(ws) == 0 || bytes == 0)
        return 0;
    if (held)
        return take_held(ws, bytes);
    if (ws->room.used < 0) {
        int r = bytes < 0 ? 0 : count_used(ws);
        if (r < 0 || bytes < 0)
            return r;
    }
    return take_used(ws, bytes);
}

void room_hold(struct workspace *ws, int64_t bytes)
{
    if (limit(ws))
        ws->room.held += bytes;
}

void room_forget(struct workspace *ws)
{
    ws->room.used = -1;
}

int64_t room_left(struct workspace *ws)
{
    if (limit(ws) == 0)
        return INT64_MAX;
    int r = ws->room.used < 0 ? count_used(ws) : 0;
    if (r < 0)
        return r;
    int64_t n = left(limit(ws), ws->room.used, ws->room.held);
    return n < 0 ? 0 : n;
}

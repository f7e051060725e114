#include "daemon/respawn.h"

#define DELAY_FIRST (100 * NS_PER_MS)
#define DELAY_MOST  (5 * NS_PER_SEC)

static bool has_failed(const struct respawn_end *end)
{
    int64_t least = end->killed ? RESPAWN_LIFE_KILLED : RESPAWN_LIFE;

    return !end->asked && (!end->served || end->lived < least);
}

int64_t respawn_after(struct respawn *r, const struct respawn_end *end)
{
    r->failures = has_failed(end) ? r->failures + 1 : 0;
    if (r->failures >= RESPAWN_FAILURES)
        return -1;
    int64_t delay = r->failures > 1 ? DELAY_FIRST << (r->failures - 2) : 0;
    return delay < DELAY_MOST ? delay : DELAY_MOST;
}

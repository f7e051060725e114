#include "tree/caller.h"

static _Thread_local struct caller current;

struct caller caller_current(void)
{
    return current;
}

void caller_set_current(const struct caller *who)
{
    current = *who;
}

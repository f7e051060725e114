#include "daemon/confine.h"

#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

/* The leak checker of a sanitizer reads the process as a debugger does. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_WATCHED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_WATCHED true
#endif
#endif
#ifndef IS_WATCHED
#define IS_WATCHED false
#endif

void confine_memory(void)
{
    if (!IS_WATCHED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        log_warn("memory-not-confined", "reason=\"%m\"");
}

void confine_descriptors(void)
{
    close_range(STDERR_FILENO + 1, ~0U, 0);
}

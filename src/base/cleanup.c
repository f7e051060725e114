#include "base/cleanup.h"

#include <errno.h>
#include <unistd.h>

void closep(int *fd)
{
    if (*fd >= 0) {
        int keep = errno;
        close(*fd);
        errno = keep;
    }
    *fd = -1;
}

void freep(void *p)
{
    free(*(void **)p);
}

#include "base/helper.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"

void helper_begin(const char *name, const int *fds, size_t n)
{
    static const int not_ours[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE};
    int null = open("/dev/null", O_RDWR), kept[2];

    assert(n <= ARRAY_SIZE(kept));
    for (size_t i = 0; i < ARRAY_SIZE(not_ours); i++)
        signal(not_ours[i], SIG_IGN);
    prctl(PR_SET_NAME, name);
    for (size_t i = 0; i < n; i++) /* out of the way of those that they replace */
        kept[i] = fcntl(fds[i], F_DUPFD, HELPER_FD + (int)n);
    for (int fd = 0; fd < HELPER_FD; fd++)
        dup2(null, fd);
    for (size_t i = 0; i < n; i++)
        dup2(kept[i], HELPER_FD + (int)i);
    close_range(HELPER_FD + (int)n, ~0u, 0);
    if (chdir("/") < 0)
        _exit(1);
}

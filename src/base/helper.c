#include "base/helper.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/alloc.h"
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

/* The directory of the program that runs, with its slash; "" if that is not known. */
static void own_directory(char ret[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
    char *slash;

    ret[n < 0 ? 0 : n] = 0;
    slash = strrchr(ret, '/');
    ret[slash ? slash + 1 - ret : 0] = 0;
}

char *helper_find(const char *name)
{
    char own[PATH_MAX];

    own_directory(own);
    const char *const places[] = {own, ONWARD_LIBEXEC "/"};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        _cleanup_free_ char *path = xasprintf("%s%s", places[i], name);
        if (*places[i] && access(path, X_OK) == 0)
            return TAKE(path);
    }
    return NULL;
}

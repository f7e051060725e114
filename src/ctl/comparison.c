#include "ctl/comparison.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exit status of the child when neither program is there. */
#define NO_PROGRAM 127

/* An empty directory of our own: what a missing side is compared as. */
struct nothing {
    char path[4096]; /* "" while there is none */
};

static void nothing_done(struct nothing *n)
{
    if (*n->path)
        rmdir(n->path);
}

static int nothing_make(struct nothing *n, struct diag *reterr)
{
    const char *tmp = getenv("TMPDIR");

    if (*n->path)
        return 0;
    snprintf(n->path, sizeof(n->path), "%s/onward.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (mkdtemp(n->path))
        return 0;
    int r = diag_fail(reterr, -errno, "%s: %s", n->path, strerrordesc_np(errno));
    *n->path = 0;
    return r;
}

/* The path of one side in the mount, or of the empty directory when it is not there. Yours. */
static int side(const struct mountpoint *m, const char *rev, const char *path, struct nothing *n,
                char **ret, struct diag *reterr)
{
    _cleanup_free_ char *full = NULL;

    if (rev)
        full = !strcmp(path, ".") ? xasprintf("revisions/%s", rev)
                                  : xasprintf("revisions/%s/%s", rev, path);
    if (full && faccessat(m->fd, full, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        *ret = TAKE(full);
        return 0;
    }
    if (full && errno != ENOENT && errno != ENOTDIR)
        return diag_fail(reterr, -errno, "%s/%s: %s", m->path, full, strerrordesc_np(errno));
    int r = nothing_make(n, reterr);
    if (r == 0)
        *ret = xstrdup(n->path);
    return r;
}

/* In the child: becomes git, or diff. The user's configuration of git has no say in the format, and
 * no repository around the mount is looked at. */
static void become_program(const struct mountpoint *m, const char *from, const char *to, int output)
{
    if (fchdir(m->fd) < 0 || dup2(output, STDOUT_FILENO) < 0)
        _exit(NO_PROGRAM);
    setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
    setenv("GIT_CEILING_DIRECTORIES", m->path, 1);
    setenv("LC_ALL", "C", 1);
    execlp("git", "git", "diff", "--no-index", "--no-ext-diff", "--no-color", "--no-textconv", "--",
           from, to, (char *)NULL);
    execlp("diff", "diff", "-ruN", "--", from, to, (char *)NULL);
    _exit(NO_PROGRAM);
}

static int start(const struct mountpoint *m, const char *from, const char *to, pid_t *ret_pid,
                 FILE **ret_output)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        become_program(m, from, to, ends[1]);
    int r = pid < 0 ? -errno : 0;
    close(ends[1]);
    *ret_output = r == 0 ? fdopen(ends[0], "r") : NULL;
    *ret_pid = pid;
    return r;
}

/* 0 same, 1 different, or an error, from how the program ended. */
static int conclude(pid_t pid, struct diag *reterr)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
        return WEXITSTATUS(status);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_PROGRAM)
        return diag_fail(reterr, -ENOENT, "comparing needs git or diff; neither is installed");
    return diag_fail(reterr, -EIO, "the comparison failed");
}

int comparison_print(const struct mountpoint *m, const char *from, const char *path, const char *to,
                     const char *path_to, struct patch *patch, struct diag *reterr)
{
    _cleanup_(nothing_done) struct nothing nothing = {0};
    _cleanup_free_ char *left = NULL, *right = NULL, *line = NULL;
    _cleanup_free_ char *strip_left = from ? xasprintf("revisions/%s/", from) : NULL;
    _cleanup_free_ char *strip_right = xasprintf("revisions/%s/", to);
    _cleanup_(fclosep) FILE *output = NULL;
    size_t room = 0;
    pid_t pid = -1;

    int r = side(m, from, path, &nothing, &left, reterr);
    if (r == 0)
        r = side(m, to, path_to, &nothing, &right, reterr);
    if (r == 0)
        r = start(m, left, right, &pid, &output);
    if (r < 0)
        return r;
    patch->strip[0] = strip_left;
    patch->strip[1] = strip_right;
    for (ssize_t n; (n = getline(&line, &room, output)) > 0;)
        patch_line(patch, line, n);
    patch->strip[0] = patch->strip[1] = NULL;
    return conclude(pid, reterr);
}

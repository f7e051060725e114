#include "ctl/mountpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

#define FILE_MOST (256 << 20)

static int choose(const char *path, const char *cwd, struct mountpoint *ret)
{
    const char *inside = cwd ? path_below(cwd, path) : NULL;

    ret->path = xstrdup(path);
    ret->inside = xstrdup_or_null(inside);
    return 0;
}

/* The only onwardfs in the table, whether or not somebody is in it. */
static int choose_only(const struct mountinfo *table, const char *cwd, struct mountpoint *ret,
                       struct diag *reterr)
{
    _cleanup_(buf_done) struct buf all = {0};
    const struct mount_entry *found = NULL;
    int several = 0;

    vec_foreach (e, table) {
        if (!mount_entry_is_ours(e) || mountinfo_holding(table, e->point) != e)
            continue;
        several |= found != NULL;
        found = e;
        buf_addf(&all, " %s", e->point);
    }
    if (!found)
        return diag_fail(
            reterr, -ENODEV,
            "nothing is mounted; `onwardfs REPOSITORY MOUNTPOINT` mounts a repository");
    if (several)
        return diag_fail(reterr, -ENOTUNIQ,
                         "several are mounted; say which with -C DIR or ONWARD_MOUNT:%s", all.data);
    return choose(found->point, cwd, ret);
}

int mountpoint_choose(const struct mountinfo *table, const char *cwd, const char *env, int explicit,
                      struct mountpoint *ret, struct diag *reterr)
{
    const struct mount_entry *here = cwd ? mountinfo_holding(table, cwd) : NULL;

    if (here && mount_entry_is_ours(here))
        return choose(here->point, cwd, ret);
    if (env && *env && (!explicit || (cwd && path_below(cwd, env))))
        return choose(env, cwd, ret);
    if (explicit)
        return diag_fail(reterr, -ENODEV, "%s is not inside an onwardfs mount", cwd ? cwd : "-C");
    return choose_only(table, cwd, ret, reterr);
}

/* The words for an error on `path` of the mount. */
static int explain(const struct mountpoint *m, const char *path, int err, struct diag *reterr)
{
    const char *slash = *path ? "/" : "";

    if (err == -ENOTCONN)
        return diag_fail(
            reterr, err,
            "the daemon behind %s is gone; `fusermount3 -uz %s` clears the mount point, "
            "then mount again: nothing that was acknowledged is lost",
            m->path, m->path);
    if (err == -EACCES && !*path)
        return diag_fail(reterr, err,
                         "%s is not open to you: another user mounted it without allow_other",
                         m->path);
    return diag_fail(reterr, err, "%s%s%s: %s", m->path, slash, path, strerrordesc_np(-err));
}

static int open_root(struct mountpoint *m, struct diag *reterr)
{
    m->fd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->fd < 0)
        return explain(m, "", -errno, reterr);
    if (faccessat(m->fd, "fleet", F_OK, 0) == 0)
        return 0;
    if (errno != ENOENT)
        return explain(m, "fleet", -errno, reterr);
    return diag_fail(reterr, -ENODEV, "%s is no onwardfs mount: it has no file `fleet`", m->path);
}

int mountpoint_open(const char *dir, struct mountpoint *ret, struct diag *reterr)
{
    _cleanup_(mountinfo_done) struct mountinfo table = {0};
    struct mountpoint m = {.path = (char *)dir, .fd = -1};

    if (dir && chdir(dir) < 0)
        return explain(&m, "", -errno, reterr);
    int r = mountinfo_read(&table, reterr);
    if (r < 0)
        return r;
    /* NULL when the directory was removed or unmounted under us; then it is in no mount. */
    _cleanup_free_ char *cwd = getcwd(NULL, 0);
    m.path = NULL;
    r = mountpoint_choose(&table, cwd, getenv("ONWARD_MOUNT"), dir != NULL, &m, reterr);
    if (r == 0)
        r = open_root(&m, reterr);
    if (r < 0)
        mountpoint_close(&m);
    else
        *ret = m;
    return r;
}

void mountpoint_close(struct mountpoint *m)
{
    free(m->path);
    free(m->inside);
    closep(&m->fd);
    m->path = m->inside = NULL;
}

void mountpoint_leave(struct mountpoint *m)
{
    closep(&m->fd);
    m->fd = -1;
}

int mountpoint_return(struct mountpoint *m, struct diag *reterr)
{
    mountpoint_leave(m);
    return open_root(m, reterr);
}

int mountpoint_read(const struct mountpoint *m, const char *path, struct buf *out,
                    struct diag *reterr)
{
    int r = io_read_file(m->fd, path, FILE_MOST, out);

    return r < 0 ? explain(m, path, r, reterr) : 0;
}

int mountpoint_read_trimmed(const struct mountpoint *m, const char *path, struct buf *out,
                            struct diag *reterr)
{
    int r = mountpoint_read(m, path, out, reterr);

    while (out->len && out->data[out->len - 1] == '\n')
        out->data[--out->len] = 0;
    return r;
}

int mountpoint_read_json(const struct mountpoint *m, const char *path, json_t **ret,
                         struct diag *reterr)
{
    _cleanup_(buf_done) struct buf text = {0};
    int r = mountpoint_read(m, path, &text, reterr);

    if (r < 0)
        return r;
    r = json_read(buf_str(&text), text.len, ret, reterr);
    return r < 0 ? diag_prefix(reterr, r, "%s/%s", m->path, path) : 0;
}

int mountpoint_readlink(const struct mountpoint *m, const char *path, char **ret,
                        struct diag *reterr)
{
    char target[8192];
    ssize_t n = readlinkat(m->fd, path, target, sizeof(target) - 1);

    if (n < 0)
        return explain(m, path, -errno, reterr);
    *ret = xstrndup(target, n);
    return 0;
}

static int write_all(const struct mountpoint *m, const char *path, int flags, const char *text,
                     struct diag *reterr)
{
    _cleanup_close_ int fd = openat(m->fd, path, O_WRONLY | O_CLOEXEC | flags, 0666);
    int r = fd < 0 ? -errno : io_write_full(fd, text, strlen(text));

    if (r == 0 && close(TAKE_FD(fd)) < 0)
        r = -errno;
    return r < 0 ? explain(m, path, r, reterr) : 0;
}

int mountpoint_command(const struct mountpoint *m, const char *path, const char *line,
                       struct diag *reterr)
{
    _cleanup_free_ char *text = xasprintf("%s\n", line);

    return write_all(m, path, 0, text, reterr);
}

int mountpoint_replace(const struct mountpoint *m, const char *path, const char *text,
                       struct diag *reterr)
{
    return write_all(m, path, O_TRUNC | O_CREAT, text, reterr);
}

static int by_version(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

int mountpoint_list(const struct mountpoint *m, const char *path, struct names *ret,
                    struct diag *reterr)
{
    _cleanup_(closedirp) DIR *dir = NULL;
    struct dirent *e;
    int r = io_open_dir(m->fd, path, &dir);

    while (r >= 0 && (r = io_next_entry(dir, &e)) > 0)
        *VEC_ADD(ret) = xstrdup(e->d_name);
    if (r < 0)
        return explain(m, path, r, reterr);
    if (ret->n)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_version);
    return 0;
}

void names_done(struct names *n)
{
    vec_foreach (name, n)
        free(*name);
    free(n->v);
    *n = (struct names){0};
}

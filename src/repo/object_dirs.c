#include "repo/object_dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"

#define ALTERNATES_DEEPEST 5 /* as Git */
#define ALTERNATES_SIZE    (1 << 20)

/* Directories that have been found, and which they are, so that cycles end. */
struct search {
    struct object_dirs *dirs;
    VEC(struct stat) seen;
};

static bool seen_before(struct search *s, const struct stat *st)
{
    vec_foreach (seen, &s->seen)
        if (seen->st_dev == st->st_dev && seen->st_ino == st->st_ino)
            return true;
    *VEC_ADD(&s->seen) = *st;
    return false;
}

static void search_dir(struct search *s, const char *dir, int depth);

static void search_alternates(struct search *s, const char *dir, int depth)
{
    _cleanup_free_ char *path = xasprintf("%s/info/alternates", dir);
    _cleanup_(buf_done) struct buf text = {0};
    char *rest, *line;

    int r =
        depth < ALTERNATES_DEEPEST ? io_read_file(AT_FDCWD, path, ALTERNATES_SIZE, &text) : -ENOENT;
    if (r < 0) {
        s->dirs->unsure |= r != -ENOENT;
        return;
    }
    rest = text.data;
    while ((line = strsep(&rest, "\r\n"))) {
        if (!*line || *line == '#')
            continue;
        _cleanup_free_ char *alternate =
            *line == '/' ? xstrdup(line) : xasprintf("%s/%s", dir, line);
        search_dir(s, alternate, depth + 1);
    }
}

/* An alternate that is gone costs the objects in it, not the repository. The directory itself is
 * always one of them: it may come back. */
static void search_dir(struct search *s, const char *dir, int depth)
{
    struct stat st;
    int r = stat(dir, &st);

    if (r < 0 ? depth > 0 : seen_before(s, &st))
        return;
    *VEC_ADD(s->dirs) = xstrdup(dir);
    search_alternates(s, dir, depth);
}

void object_dirs_find(const char *objects_dir, struct object_dirs *ret)
{
    struct search s = {.dirs = ret};

    *ret = (struct object_dirs){0};
    search_dir(&s, objects_dir, 0);
    free(s.seen.v);
}

void object_dirs_done(struct object_dirs *dirs)
{
    vec_foreach (dir, dirs)
        free(*dir);
    free(dirs->v);
    *dirs = (struct object_dirs){0};
}

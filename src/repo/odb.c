#include "repo/odb.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "repo/giterr.h"
#include "repo/loose.h"

#define ALTERNATES_DEEPEST 5 /* as Git */
#define ALTERNATES_SIZE    (1 << 20)
#define PRIORITY_LOOSE     1 /* packs are asked first: what is in both is whole there */
#define PRIORITY_PACK      2

/* Directories that have been found, and which they are, so that cycles end. */
struct search {
    struct odb_dirs *dirs;
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

    if (depth >= ALTERNATES_DEEPEST || io_read_file(AT_FDCWD, path, ALTERNATES_SIZE, &text) < 0)
        return;
    rest = text.data;
    while ((line = strsep(&rest, "\r\n"))) {
        if (!*line || *line == '#')
            continue;
        _cleanup_free_ char *alternate =
            *line == '/' ? xstrdup(line) : xasprintf("%s/%s", dir, line);
        search_dir(s, alternate, depth + 1);
    }
}

/* An alternate that is gone costs the objects in it, not the repository. */
static void search_dir(struct search *s, const char *dir, int depth)
{
    struct stat st;

    if (stat(dir, &st) < 0 || seen_before(s, &st))
        return;
    *VEC_ADD(s->dirs) = xstrdup(dir);
    search_alternates(s, dir, depth);
}

void odb_dirs_find(const char *objects_dir, struct odb_dirs *ret)
{
    struct search s = {.dirs = ret};

    *ret = (struct odb_dirs){0};
    search_dir(&s, objects_dir, 0);
    free(s.seen.v);
}

void odb_dirs_done(struct odb_dirs *dirs)
{
    vec_foreach (dir, dirs)
        free(*dir);
    free(dirs->v);
    *dirs = (struct odb_dirs){0};
}

static int add_backends(git_odb *odb, const char *dir, bool alternate)
{
    int (*add)(git_odb *, git_odb_backend *, int) =
        alternate ? git_odb_add_alternate : git_odb_add_backend;
    git_odb_backend *loose = NULL, *pack = NULL;
    int code = loose_backend_new(dir, odb, &loose);

    if (code == 0 && (code = add(odb, loose, PRIORITY_LOOSE)) < 0)
        loose->free(loose);
    if (code == 0)
        code = git_odb_backend_pack(&pack, dir);
    if (code == 0 && (code = add(odb, pack, PRIORITY_PACK)) < 0)
        pack->free(pack);
    return code;
}

int odb_open(const char *objects_dir, git_odb **ret)
{
    _cleanup_(odb_dirs_done) struct odb_dirs dirs;
    git_odb *odb = NULL;

    odb_dirs_find(objects_dir, &dirs);
    if (!dirs.n) {
        git_error_set_str(GIT_ERROR_ODB, "no directory of objects");
        return GIT_ENOTFOUND;
    }
    int code = git_odb_new(&odb);
    for (size_t i = 0; code == 0 && i < dirs.n; i++)
        code = add_backends(odb, dirs.v[i], i > 0);
    if (code < 0) {
        git_odb_free(odb);
        return code;
    }
    *ret = odb;
    return 0;
}

int odb_read(git_odb *odb, const git_oid *oid, git_odb_object **ret)
{
    int code = git_odb_read(ret, odb, oid);

    if (code < 0 && code != GIT_ENOTFOUND && git_odb_refresh(odb) == 0)
        code = git_odb_read(ret, odb, oid);
    return code;
}

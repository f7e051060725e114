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
#define TAGS_DEEPEST       16 /* tags of tags */
#define PRIORITY_LOOSE     1  /* packs are asked first: what is in both is whole there */
#define PRIORITY_PACK      2

struct opening {
    git_odb *odb;
    VEC(struct stat) seen; /* directories that have been added, so that cycles end */
};

static bool seen_before(struct opening *o, const struct stat *st)
{
    vec_foreach (s, &o->seen)
        if (s->st_dev == st->st_dev && s->st_ino == st->st_ino)
            return true;
    *VEC_ADD(&o->seen) = *st;
    return false;
}

static int add_backends(struct opening *o, const char *dir, bool alternate)
{
    int (*add)(git_odb *, git_odb_backend *, int) =
        alternate ? git_odb_add_alternate : git_odb_add_backend;
    git_odb_backend *loose = NULL, *pack = NULL;
    int code = loose_backend_new(dir, o->odb, &loose);

    if (code == 0 && (code = add(o->odb, loose, PRIORITY_LOOSE)) < 0)
        loose->free(loose);
    if (code == 0)
        code = git_odb_backend_pack(&pack, dir);
    if (code == 0 && (code = add(o->odb, pack, PRIORITY_PACK)) < 0)
        pack->free(pack);
    return code;
}

static int add_directory(struct opening *o, const char *dir, int depth);

/* One line of `info/alternates` in `dir`. */
static int add_alternate(struct opening *o, const char *dir, const char *line, int depth)
{
    if (!*line || *line == '#')
        return 0;
    _cleanup_free_ char *path = *line == '/' ? xstrdup(line) : xasprintf("%s/%s", dir, line);
    return add_directory(o, path, depth + 1);
}

static int add_alternates(struct opening *o, const char *dir, int depth)
{
    _cleanup_free_ char *path = xasprintf("%s/info/alternates", dir);
    _cleanup_(buf_done) struct buf text = {0};
    char *rest, *line;
    int code = 0;

    if (depth >= ALTERNATES_DEEPEST || io_read_file(AT_FDCWD, path, ALTERNATES_SIZE, &text) < 0)
        return 0;
    rest = text.data;
    while (code == 0 && (line = strsep(&rest, "\r\n")))
        code = add_alternate(o, dir, line, depth);
    return code;
}

static int add_directory(struct opening *o, const char *dir, int depth)
{
    struct stat st;

    if (stat(dir, &st) < 0) {
        /* An alternate that is gone costs the objects in it, not the repository. */
        if (depth > 0)
            return 0;
        git_error_set_str(GIT_ERROR_ODB, "no directory of objects");
        return GIT_ENOTFOUND;
    }
    if (seen_before(o, &st))
        return 0;
    int code = add_backends(o, dir, depth > 0);
    return code < 0 ? code : add_alternates(o, dir, depth);
}

int odb_open(const char *objects_dir, git_odb **ret)
{
    struct opening o = {0};
    int code = git_odb_new(&o.odb);

    if (code == 0)
        code = add_directory(&o, objects_dir, 0);
    free(o.seen.v);
    if (code < 0) {
        git_odb_free(o.odb);
        return code;
    }
    *ret = o.odb;
    return 0;
}

int odb_read(git_odb *odb, const git_oid *oid, git_odb_object **ret)
{
    int code = git_odb_read(ret, odb, oid);

    if (code < 0 && code != GIT_ENOTFOUND && git_odb_refresh(odb) == 0)
        code = git_odb_read(ret, odb, oid);
    return code;
}

/* What an annotated tag's object names: "object <id>\n" is its first line. */
static int tag_target(git_odb *odb, git_oid *oid)
{
    git_odb_object *raw;
    char hex[OID_HEX + 1];
    int r = -EINVAL;

    if (odb_read(odb, oid, &raw) < 0)
        return -EIO;
    const char *data = git_odb_object_data(raw);
    if (git_odb_object_size(raw) > 7 + OID_HEX && !memcmp(data, "object ", 7)) {
        memcpy(hex, data + 7, OID_HEX);
        hex[OID_HEX] = 0;
        r = git_oid_fromstr(oid, hex) < 0 ? -EINVAL : 0;
    }
    git_odb_object_free(raw);
    return r;
}

struct oid odb_peel(git_odb *odb, const git_oid *start)
{
    git_oid oid = *start;
    git_object_t type;
    size_t len;

    for (int depth = 0; depth < TAGS_DEEPEST; depth++) {
        if (git_odb_read_header(&len, &type, odb, &oid) < 0)
            break;
        if (type == GIT_OBJECT_COMMIT)
            return oid_from_git(&oid);
        if (type != GIT_OBJECT_TAG || tag_target(odb, &oid) < 0)
            break;
    }
    return (struct oid){0};
}

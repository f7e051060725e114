#include "ctl/log_path.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/repo_path.h"
#include "ctl/rev.h"

/* A version of the path: an entry of history/<path>/. */
struct version {
    unsigned long number;
    char *rev;
    mode_t kind; /* S_IFMT of what is there; 0: it vanished */
    char change; /* as in commits/<id>/changes */
    struct buf date, author, message;
};

struct versions {
    VEC(struct version); /* newest first */
};

static void version_done(struct version *v)
{
    free(v->rev);
    buf_done(&v->date);
    buf_done(&v->author);
    buf_done(&v->message);
}

static void versions_done(struct versions *all)
{
    vec_foreach (v, all)
        version_done(v);
    free(all->v);
}

/* NNNN-YYYY-MM-DD-<abbrev>; a directory may hold names of other shapes. 0: it is none. */
static unsigned long number_of(const char *name)
{
    static const char shape[] = "-dddd-dd-dd-";
    char *end = NULL;
    unsigned long n = isdigit((unsigned char)*name) ? strtoul(name, &end, 10) : 0;

    for (const char *s = shape; n && *s; s++, end++)
        if (*s == 'd' ? !isdigit((unsigned char)*end) : *end != *s)
            return 0;
    return n;
}

static int newest_first(const void *a, const void *b)
{
    const struct version *x = a, *y = b;

    return (x->number < y->number) - (x->number > y->number);
}

static int explain(const struct mountpoint *m, const char *path, int err, struct diag *reterr)
{
    struct stat st;

    if (err == -EAGAIN)
        return diag_fail(reterr, err,
                         "the index of the history is being made; `onward index` waits for it");
    if (err == -ENOENT && fstatat(m->fd, "history", &st, 0) < 0)
        return diag_fail(reterr, err, "%s has no history/: no index of it is kept here", m->path);
    if (err == -ENOENT)
        return diag_fail(reterr, err, "%s never was on the mainline", path);
    return err;
}

/* The names and revisions of all versions. */
static int list_versions(const struct mountpoint *m, const char *path, struct versions *ret,
                         struct diag *reterr)
{
    _cleanup_free_ char *dir = xasprintf("history/%s", path);
    _cleanup_(names_done) struct names names = {0};
    int r = mountpoint_list(m, dir, &names, reterr);

    if (r < 0)
        return explain(m, path, r, reterr);
    vec_foreach (name, &names) {
        _cleanup_free_ char *link = xasprintf("%s/%s", dir, *name), *rev = NULL;
        unsigned long number = number_of(*name);
        r = number ? rev_of_link(m, link, &rev, reterr) : -EINVAL;
        if (r == 0)
            *VEC_ADD(ret) = (struct version){.number = number, .rev = TAKE(rev)};
        else if (r != -EINVAL) /* which is a name in the directory that looks like a version */
            return r;
    }
    if (ret->n)
        qsort(ret->v, ret->n, sizeof(*ret->v), newest_first);
    return 0;
}

/* What is at the path as of a version. */
static int look(const struct mountpoint *m, const char *path, struct version *v,
                struct diag *reterr)
{
    _cleanup_free_ char *there = xasprintf("revisions/%s/%s", v->rev, path);
    struct stat st = {0};

    if (fstatat(m->fd, there, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT && errno != ENOTDIR)
        return diag_fail(reterr, -errno, "%s/%s: %s", m->path, there, strerrordesc_np(errno));
    v->kind = st.st_mode & S_IFMT;
    return 0;
}

static char change_of(mode_t before, mode_t now)
{
    return !now ? 'D' : !before ? 'A' : before != now ? 'T' : 'M';
}

static int read_commit(const struct mountpoint *m, struct version *v, struct diag *reterr)
{
    const struct {
        const char *file;
        struct buf *to;
    } parts[] = {{"date", &v->date}, {"author", &v->author}, {"message", &v->message}};
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++) {
        _cleanup_free_ char *path = xasprintf("commits/%s/%s", v->rev, parts[i].file);
        r = mountpoint_read_trimmed(m, path, parts[i].to, reterr);
    }
    return r;
}

/* Fills in the newest `n`, and leaves out the rest. */
static int read_versions(const struct mountpoint *m, const char *path, size_t n,
                         struct versions *all, struct diag *reterr)
{
    int r = all->n ? look(m, path, &all->v[0], reterr) : 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        struct version *v = &all->v[i], *before = i + 1 < all->n ? v + 1 : NULL;
        if (before)
            r = look(m, path, before, reterr);
        v->change = change_of(before ? before->kind : 0, v->kind);
        if (r == 0)
            r = read_commit(m, v, reterr);
    }
    for (; all->n > n; all->n--)
        version_done(&all->v[all->n - 1]);
    return r;
}

static void print_text(const struct call *call, const struct versions *all)
{
    static const char *const heading[] = {"AT", "REVISION", "CHANGE", "AUTHOR", "SUBJECT"};
    _cleanup_(columns_done) struct columns t = {.ncolumns = ARRAY_SIZE(heading)};

    for (size_t i = 0; i < ARRAY_SIZE(heading); i++)
        columns_add(&t, heading[i]);
    vec_foreach (v, all) {
        const char *author = buf_str(&v->author), *message = buf_str(&v->message);
        const char *address = strstr(author, " <");
        _cleanup_free_ char *rev = xstrndup(v->rev, REV_SHORT);
        _cleanup_free_ char *name = xstrndup(author, address ? address - author : strlen(author));
        _cleanup_free_ char *subject = xstrndup(message, strcspn(message, "\n"));
        columns_add(&t, buf_str(&v->date));
        columns_add(&t, rev);
        columns_add(&t, (const char[]){v->change, 0});
        columns_add(&t, name);
        columns_add(&t, subject);
    }
    columns_print(&t, &call->paint, -1, true, call->out);
}

static void print_json(const struct call *call, const struct versions *all)
{
    _cleanup_(json_decrefp) json_t *array = json_array();
    _cleanup_(buf_done) struct buf text = {0};

    vec_foreach (v, all) {
        json_t *one = json_object();
        json_object_set_new(one, "version", json_integer((json_int_t)v->number));
        json_put_str(one, "revision", v->rev);
        json_put_str(one, "at", buf_str(&v->date));
        json_put_str(one, "change", (const char[]){v->change, 0});
        json_put_str(one, "author", buf_str(&v->author));
        json_put_str(one, "message", buf_str(&v->message));
        json_array_append_new(array, one);
    }
    json_write(array, 1, &text);
    fprintf(call->out, "%s\n", buf_str(&text));
}

int log_path(const struct call *call, struct diag *reterr)
{
    _cleanup_(versions_done) struct versions all = {0};
    _cleanup_free_ char *path = NULL;
    int r = repo_path(call->mount, call->path, &path, reterr);

    if (r == 0 && !*path)
        return diag_fail(reterr, -EINVAL,
                         "every revision changes the root of the repository; name a path in it");
    if (r == 0)
        r = list_versions(call->mount, path, &all, reterr);
    if (r == 0)
        r = read_versions(call->mount, path,
                          call->limit && call->limit < all.n ? call->limit : all.n, &all, reterr);
    if (r < 0)
        return r;
    (call->json ? print_json : print_text)(call, &all);
    return VERB_YES;
}

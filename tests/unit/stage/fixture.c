#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"

const struct caller me = {1000, 1000}, stranger = {1001, 1001}, root_user = {0, 0};

struct fixture *fixture_new(void)
{
    struct fixture *f = NEW(struct fixture);

    log_open(false, LOG_LEVEL_ERROR);
    f->dir = test_dir_new();
    f->work = test_repo_new(f->dir, "repo.git", "--bare");
    f->state = xasprintf("%s/state", f->dir);
    test_run(f->dir, "mkdir state");
    return f;
}

char *fixture_push(struct fixture *f, const char *script)
{
    test_run(f->dir, "rm -rf clone && git clone -q repo.git clone");
    _cleanup_free_ char *clone = xasprintf("%s/clone", f->dir);
    test_run(clone, "%s", script);
    test_run(clone, "git add -A && git commit -q -m change && git push -q origin HEAD:main");
    return test_output(clone, "git rev-parse HEAD");
}

void fixture_open(struct fixture *f)
{
    _cleanup_(diag_done) struct diag why = {0};

    assert_int_equal(repo_open(f->work, &f->repo, &why), 0);
    assert_int_equal(mainline_new(f->repo, NULL, &f->mainline, &why), 0);
    f->table = node_table_new();
    f->config.repo = f->repo;
    f->config.mainline = f->mainline;
    f->config.table = f->table;
    f->config.state_dir = f->state;
    f->config.host = "testhost";
    f->config.root_ino = 77;
    int r = staging_new(&f->config, &f->staging, &why);
    if (r < 0)
        fail_msg("staging_new: %s", diag_text(&why, r));
}

void fixture_close(struct fixture *f)
{
    if (!f->repo)
        return;
    staging_free(f->staging);
    node_table_free(f->table);
    mainline_free(f->mainline);
    repo_free(f->repo);
    f->repo = NULL;
}

void fixture_free(struct fixture *f)
{
    fixture_close(f);
    test_dir_free(f->dir);
    free(f->work);
    free(f->state);
    free(f);
}

struct node *fx_walk(struct fixture *f, const char *path, int *err)
{
    struct node *n = node_ref(staging_root(f->staging));
    _cleanup_free_ char *parts = xstrdup(path);

    *err = 0;
    for (char *name = parts, *slash; name && *name; name = slash) {
        struct node *child = NULL;
        slash = strchr(name, '/');
        if (slash)
            *slash++ = 0;
        *err = n->ops->lookup ? n->ops->lookup(n, name, &child) : -ENOTDIR;
        node_unref(n);
        if (*err < 0)
            return NULL;
        n = child;
    }
    return n;
}

struct node *fx_get(struct fixture *f, const char *path)
{
    int err;
    struct node *n = fx_walk(f, path, &err);

    if (!n)
        fail_msg("%s: %s", path, strerror(-err));
    return n;
}

/* The directory that holds `path`, referenced, and the last name. */
static struct node *walk_parent(struct fixture *f, const char *path, const char **name, int *err)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *parent = slash ? xstrndup(path, slash - path) : xstrdup("");

    *name = slash ? slash + 1 : path;
    return fx_walk(f, parent, err);
}

/* What the kernel would know of a name before it changes it. */
static struct node *known(struct node *dir, const char *name)
{
    struct node *n = NULL;

    return dir->ops->lookup && dir->ops->lookup(dir, name, &n) == 0 ? n : NULL;
}

int fx_create(struct fixture *f, const char *path, mode_t mode)
{
    const char *name;
    struct node *n = NULL;
    int err;
    _cleanup_(node_unrefp) struct node *dir = walk_parent(f, path, &name, &err);

    if (!dir)
        return err;
    if (!dir->ops->create)
        return -ENOTDIR;
    err = dir->ops->create(dir, &me, name, mode, &n);
    node_unref(err == 0 ? n : NULL);
    return err;
}

int fx_mkdir(struct fixture *f, const char *path, mode_t mode)
{
    const char *name;
    struct node *n = NULL;
    int err;
    _cleanup_(node_unrefp) struct node *dir = walk_parent(f, path, &name, &err);

    if (!dir)
        return err;
    if (!dir->ops->mkdir)
        return -ENOTDIR;
    err = dir->ops->mkdir(dir, &me, name, mode, &n);
    node_unref(err == 0 ? n : NULL);
    return err;
}

int fx_symlink(struct fixture *f, const char *path, const char *target)
{
    const char *name;
    struct node *n = NULL;
    int err;
    _cleanup_(node_unrefp) struct node *dir = walk_parent(f, path, &name, &err);

    if (!dir)
        return err;
    if (!dir->ops->symlink)
        return -ENOTDIR;
    err = dir->ops->symlink(dir, &me, name, target, &n);
    node_unref(err == 0 ? n : NULL);
    return err;
}

int fx_unlink(struct fixture *f, const char *path)
{
    const char *name;
    int err;
    _cleanup_(node_unrefp) struct node *dir = walk_parent(f, path, &name, &err);

    if (!dir)
        return err;
    struct node *victim = known(dir, name);
    err = dir->ops->unlink ? dir->ops->unlink(dir, &me, name) : -ENOTDIR;
    node_unref(victim);
    return err;
}

int fx_rmdir(struct fixture *f, const char *path)
{
    const char *name;
    int err;
    _cleanup_(node_unrefp) struct node *dir = walk_parent(f, path, &name, &err);

    if (!dir)
        return err;
    struct node *victim = known(dir, name);
    err = dir->ops->rmdir ? dir->ops->rmdir(dir, &me, name) : -ENOTDIR;
    node_unref(victim);
    return err;
}

int fx_rename(struct fixture *f, const char *from, const char *to, unsigned flags)
{
    const char *name, *to_name;
    int err;
    _cleanup_(node_unrefp) struct node *dir = walk_parent(f, from, &name, &err);

    if (!dir)
        return err;
    _cleanup_(node_unrefp) struct node *to_dir = walk_parent(f, to, &to_name, &err);
    if (!to_dir)
        return err;
    if (!dir->ops->rename || !to_dir->ops->lookup)
        return -ENOTDIR;
    struct node *a = known(dir, name), *b = known(to_dir, to_name);
    err = dir->ops->rename(dir, &me, name, to_dir, to_name, flags);
    node_unref(a);
    node_unref(b);
    return err;
}

void node_stat(struct node *n, struct stat *st)
{
    *st = (struct stat){.st_ino = n->ino, .st_nlink = 1};
    int r = n->ops->getattr(n, st);
    if (r < 0)
        fail_msg("getattr: %s", strerror(-r));
}

int fx_stat(struct fixture *f, const char *path, struct stat *st)
{
    int err;
    _cleanup_(node_unrefp) struct node *n = fx_walk(f, path, &err);

    if (n)
        node_stat(n, st);
    return err;
}

int node_chmod(struct node *n, mode_t mode)
{
    return n->ops->setattr(n, &me, &(struct set_attrs){.valid = SET_MODE, .mode = mode});
}

int node_truncate(struct node *n, off_t size)
{
    return n->ops->setattr(n, &me, &(struct set_attrs){.valid = SET_SIZE, .size = size});
}

int fx_chmod(struct fixture *f, const char *path, mode_t mode)
{
    int err;
    _cleanup_(node_unrefp) struct node *n = fx_walk(f, path, &err);

    return n ? node_chmod(n, mode) : err;
}

int fx_truncate(struct fixture *f, const char *path, off_t size)
{
    int err;
    _cleanup_(node_unrefp) struct node *n = fx_walk(f, path, &err);

    return n ? node_truncate(n, size) : err;
}

ssize_t fx_write(struct fixture *f, const char *path, const char *text, off_t off)
{
    int err;
    _cleanup_(node_unrefp) struct node *n = fx_walk(f, path, &err);

    if (!n)
        return err;
    return n->ops->write ? n->ops->write(n, &me, text, strlen(text), off) : -EISDIR;
}

void fx_put(struct fixture *f, const char *path, const char *text)
{
    int r = fx_create(f, path, 0644);

    if (r == -EEXIST)
        r = fx_truncate(f, path, 0);
    if (r == 0 && *text)
        r = fx_write(f, path, text, 0);
    if (r < 0)
        fail_msg("put %s: %s", path, strerror(-r));
}

char *node_content(struct node *n, size_t *ret_len)
{
    struct buf out = {0};
    char chunk[700]; /* odd, so that reads begin anywhere */
    ssize_t got;

    while ((got = n->ops->read(n, chunk, sizeof(chunk), out.len)) > 0)
        buf_add(&out, chunk, got);
    if (got < 0)
        fail_msg("read: %s", strerror(-got));
    if (ret_len)
        *ret_len = out.len;
    return buf_take(&out);
}

char *fx_read(struct fixture *f, const char *path, int *err)
{
    _cleanup_(node_unrefp) struct node *n = fx_walk(f, path, err);

    return n ? node_content(n, NULL) : NULL;
}

void fx_assert_content(struct fixture *f, const char *path, const char *text)
{
    int err;
    _cleanup_free_ char *content = fx_read(f, path, &err);

    if (!content)
        fail_msg("%s: %s", path, strerror(-err));
    assert_string_equal(content, text);
}

struct collector {
    struct dir_sink sink;
    VEC(char *);
    uint64_t last;
    int room;
};

static int collect(struct dir_sink *sink, const char *name, mode_t type, uint64_t ino,
                   uint64_t cookie, bool plus)
{
    struct collector *c = container_of(sink, struct collector, sink);

    if (c->room-- == 0)
        return 1;
    assert_true(cookie > c->last);
    assert_true(ino > 1);
    c->last = cookie;
    *VEC_ADD(c) = xasprintf("%s%s", name, S_ISDIR(type) ? "/" : S_ISLNK(type) ? "@" : "");
    return 0;
}

static int by_string(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *fx_list(struct fixture *f, const char *path)
{
    _cleanup_(node_unrefp) struct node *n = fx_get(f, path);
    struct collector c = {.sink.add = collect};
    struct buf out = {0};
    size_t before;

    do { /* three at a time */
        before = c.n;
        c.room = 3;
        assert_int_equal(n->ops->readdir(n, c.last, &c.sink), 0);
    } while (c.n > before);
    if (c.n)
        qsort(c.v, c.n, sizeof(*c.v), by_string);
    for (size_t i = 0; i < c.n; i++) {
        buf_addf(&out, "%s\n", c.v[i]);
        free(c.v[i]);
    }
    free(c.v);
    return buf_take(&out);
}

int fx_commit(struct fixture *f, const char *ws, const struct caller *who, const char *message)
{
    _cleanup_free_ char *path = xasprintf("%s/.onward/commit", ws);
    _cleanup_free_ char *line = xasprintf("%s\n", message);
    _cleanup_(node_unrefp) struct node *n = fx_get(f, path);
    ssize_t r = n->ops->write(n, who, line, strlen(line), 0);

    return r < 0 ? r : 0;
}

#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define LONG50 "12345678901234567890123456789012345678901234567890"
#define LONG   LONG50 LONG50 LONG50 LONG50 LONG50

static const char *const names[] = {
    "a", "b", "d", "s", "x", "y", "A", ".git", "git~1", LONG "12345", LONG "123456", "\xff\n",
};

const char *model_name(unsigned n)
{
    return names[n % ARRAY_SIZE(names)];
}

static struct thing *add(struct model *m, struct thing *dir, const char *name, mode_t type)
{
    struct thing *t = NEW(struct thing);

    t->type = type;
    t->parent = dir;
    t->name = name;
    if (type == S_IFLNK)
        t->size = strlen(MODEL_TARGET);
    *VEC_ADD(m) = t;
    return t;
}

static void add_file(struct model *m, struct thing *dir, const char *name)
{
    model_write(add(m, dir, name, S_IFREG), MODEL_FILE, strlen(MODEL_FILE), 0);
}

void model_base(struct model *m)
{
    *m = (struct model){0};
    m->root = add(m, NULL, NULL, S_IFDIR);
    struct thing *d = add(m, m->root, model_name(2), S_IFDIR);
    add_file(m, m->root, model_name(0));
    add_file(m, d, model_name(0));
    add_file(m, d, model_name(1));
    add(m, m->root, model_name(3), S_IFLNK);
}

void model_done(struct model *m)
{
    vec_foreach (t, m)
        free(*t);
    free(m->v);
}

struct thing *model_known(struct model *m, unsigned n)
{
    size_t known = 0;

    vec_foreach (t, m)
        known += (*t)->id != 0;
    n %= known;
    vec_foreach (t, m)
        if ((*t)->id && !n--)
            return *t;
    abort();
}

static bool is_gone(const struct model *m, const struct thing *t)
{
    return t != m->root && !t->name;
}

static struct thing *find(struct model *m, const struct thing *dir, const char *name)
{
    vec_foreach (t, m)
        if ((*t)->parent == dir && (*t)->name && !strcmp((*t)->name, name))
            return *t;
    return NULL;
}

static bool is_empty(struct model *m, const struct thing *dir)
{
    vec_foreach (t, m)
        if ((*t)->parent == dir && (*t)->name)
            return false;
    return true;
}

static bool is_too_long(const char *name)
{
    return strlen(name) > 255;
}

/* May this name be made? */
static int check_new(const char *name)
{
    if (is_too_long(name))
        return -ENAMETOOLONG;
    return !strcmp(name, ".git") || !strcmp(name, "git~1") ? -EINVAL : 0;
}

int model_find(struct model *m, struct thing *dir, const char *name, struct thing **ret)
{
    if (is_too_long(name))
        return -ENAMETOOLONG;
    if (dir->type != S_IFDIR)
        return -ENOTDIR;
    *ret = find(m, dir, name);
    return *ret ? 0 : -ENOENT;
}

int model_make(struct model *m, struct thing *dir, const char *name, mode_t type,
               struct thing **ret)
{
    int r = dir->type != S_IFDIR ? -EROFS : is_gone(m, dir) ? -ENOENT : check_new(name);

    if (r == 0 && find(m, dir, name))
        r = -EEXIST;
    if (r == 0)
        *ret = add(m, dir, name, type);
    return r;
}

int model_remove(struct model *m, struct thing *dir, const char *name, bool is_dir)
{
    if (dir->type != S_IFDIR)
        return -EROFS;
    if (is_too_long(name))
        return -ENAMETOOLONG;
    struct thing *t = find(m, dir, name);
    if (!t)
        return -ENOENT;
    if (is_dir != (t->type == S_IFDIR))
        return is_dir ? -ENOTDIR : -EISDIR;
    if (is_dir && !is_empty(m, t))
        return -ENOTEMPTY;
    t->name = NULL;
    return 0;
}

static bool is_within(const struct thing *t, const struct thing *above)
{
    for (; t; t = t->name ? t->parent : NULL)
        if (t == above)
            return true;
    return false;
}

static int check_replaced(struct model *m, const struct thing *t, const struct thing *by)
{
    if (by->type == S_IFDIR && t->type != S_IFDIR)
        return -ENOTDIR;
    if (by->type != S_IFDIR && t->type == S_IFDIR)
        return -EISDIR;
    return t->type == S_IFDIR && !is_empty(m, t) ? -ENOTEMPTY : 0;
}

static int check_rename(struct model *m, const struct thing *t, const struct thing *there,
                        const struct thing *from, const struct thing *to, unsigned flags)
{
    if ((flags & RENAME_EXCHANGE) && !there)
        return -ENOENT;
    if ((flags & RENAME_NOREPLACE) && there)
        return -EEXIST;
    if (t == there)
        return 0;
    if (is_within(to, t) || ((flags & RENAME_EXCHANGE) && is_within(from, there)))
        return -EINVAL;
    return there && !(flags & RENAME_EXCHANGE) ? check_replaced(m, there, t) : 0;
}

int model_rename(struct model *m, struct thing *from, const char *name, struct thing *to,
                 const char *to_name, unsigned flags)
{
    if (from->type != S_IFDIR)
        return -EROFS;
    if (to->type != S_IFDIR)
        return -EXDEV;
    if (is_gone(m, from) || is_gone(m, to))
        return -ENOENT;
    if (is_too_long(name))
        return -ENAMETOOLONG;
    struct thing *t = find(m, from, name), *there = find(m, to, to_name);
    if (!t)
        return -ENOENT;
    int r = check_new(to_name);
    if (r == 0)
        r = check_rename(m, t, there, from, to, flags);
    if (r < 0 || t == there)
        return r;
    if (there) {
        there->name = flags & RENAME_EXCHANGE ? t->name : NULL;
        there->parent = from;
    }
    t->name = to_name;
    t->parent = to;
    return 0;
}

void model_resize(struct thing *t, size_t size)
{
    if (size > t->size)
        memset(t->data + t->size, 0, size - t->size);
    t->size = size;
}

void model_write(struct thing *t, const char *data, size_t n, size_t off)
{
    if (!n)
        return;
    if (off + n > t->size)
        model_resize(t, off + n);
    memcpy(t->data + off, data, n);
}

void model_unlist(struct model *m)
{
    vec_foreach (t, m)
        (*t)->listed = false;
}

bool model_is_listed(struct model *m, const struct thing *dir)
{
    vec_foreach (t, m)
        if ((*t)->parent == dir && (*t)->name && !(*t)->listed)
            return false;
    return true;
}

bool model_may_forget(struct model *m, const struct thing *dir)
{
    vec_foreach (t, m)
        if ((*t)->parent == dir && (*t)->id)
            return false;
    return dir != m->root;
}

void model_each(struct model *m, void (*each)(struct thing *t))
{
    vec_foreach (t, m)
        each(*t);
}

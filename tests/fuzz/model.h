/* A directory tree in memory, as a workspace on the base is to show it: what each change of it
 * answers, and what there is afterwards. Every thing that ever was stays in the model, since the
 * kernel may still know what has been removed. */
#ifndef ONWARD_TESTS_MODEL_H
#define ONWARD_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/alloc.h"

#define MODEL_FILE   "base\n" /* what the base's files hold */
#define MODEL_TARGET "d/a"    /* where all symlinks lead to */
#define MODEL_SIZE   8192     /* bytes in a file, at most */

struct thing {
    mode_t type; /* S_IFREG S_IFDIR S_IFLNK */
    struct thing *parent;
    const char *name; /* NULL: it was removed, or is the root */
    char data[MODEL_SIZE];
    size_t size;
    uint64_t id, lookups; /* what the kernel calls it, 0: it does not know it; and how often */
    uint64_t ino;         /* 0: not seen yet */
    bool listed;
};

struct model {
    VEC(struct thing *);
    struct thing *root;
};

/* The tree of the base: files a, d/a and d/b, and a symlink s. */
void model_base(struct model *m);
void model_done(struct model *m);
/* One of some names, of which some cannot be made. */
const char *model_name(unsigned n);
/* One of the things that the kernel knows. */
struct thing *model_known(struct model *m, unsigned n);

/* What is to be answered, 0 or -errno; then also what is to be seen. */
int model_find(struct model *m, struct thing *dir, const char *name, struct thing **ret);
int model_make(struct model *m, struct thing *dir, const char *name, mode_t type,
               struct thing **ret);
int model_remove(struct model *m, struct thing *dir, const char *name, bool is_dir);
int model_rename(struct model *m, struct thing *from, const char *name, struct thing *to,
                 const char *to_name, unsigned flags);
void model_write(struct thing *t, const char *data, size_t n, size_t off);
void model_resize(struct thing *t, size_t size);

/* Nothing has been listed; everything in the directory has. */
void model_unlist(struct model *m);
bool model_is_listed(struct model *m, const struct thing *dir);
/* The kernel forgets no directory before what is in it. */
bool model_may_forget(struct model *m, const struct thing *t);
void model_each(struct model *m, void (*each)(struct thing *t));

#endif

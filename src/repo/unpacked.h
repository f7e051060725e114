/* An object in memory, as it is stored. Zero is one that holds nothing. Inside src/repo only. */
#ifndef ONWARD_REPO_UNPACKED_H
#define ONWARD_REPO_UNPACKED_H

#include <git2.h>
#include <stddef.h>
#include <stdlib.h>

struct unpacked {
    git_object_t type;
    size_t size;
    void *data; /* malloc'ed, with a NUL behind `size` */
};

static inline void unpacked_done(struct unpacked *o)
{
    free(o->data);
    *o = (struct unpacked){0};
}

#endif

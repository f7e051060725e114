/* Writes loose objects, several at once: all of them under names that mean nothing, then synced,
 * then named, then their directories synced. So the filesystem has one reason to write its journal
 * where one object after the other gives it as many, and none is seen that is not durable.
 *
 *     struct loose_writer w = {.dir = objects_dir};
 *     loose_writer_add …, loose_writer_finish, loose_writer_done
 *
 * Errors: -errno. Inside src/repo only. */
#ifndef ONWARD_REPO_LOOSE_WRITER_H
#define ONWARD_REPO_LOOSE_WRITER_H

#include <git2.h>
#include <stddef.h>

#include "base/alloc.h"
#include "repo/oid.h"

struct loose_draft {
    struct oid oid;
    char *path; /* NULL: it has its name */
    int fd;
};

struct loose_writer {
    const char *dir; /* borrowed */
    VEC(struct loose_draft) drafts;
};

int loose_writer_add(struct loose_writer *w, const struct oid *oid, git_object_t type,
                     const void *data, size_t len);
/* All of them are there, over whatever had their names, and durable. */
int loose_writer_finish(struct loose_writer *w);
/* Removes what has not got its name. */
void loose_writer_done(struct loose_writer *w);

/* 1: there is a whole object of that id, as if it were written now: durable, and young for `git gc`
 * (`trusted`: it was whole before; only whether it is there is looked at). 0: there is none. -EIO:
 * there is one that is broken, or cannot be made durable. */
int loose_freshen(const char *dir, const struct oid *oid, bool trusted);
/* Removes one that is broken, when it is elsewhere. */
void loose_remove(const char *dir, const struct oid *oid);

#endif

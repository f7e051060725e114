/* A repository whose every object is known, to be broken and read again: what comes back of an
 * object is the object, or an error, and an error only where something was broken. */
#ifndef ONWARD_TESTS_BAD_SPECIMEN_H
#define ONWARD_TESTS_BAD_SPECIMEN_H

#include "testlib.h"

#include <git2.h>

#include "base/alloc.h"
#include "repo/oid.h"
#include "repo/repo.h"

/* A file of the repository, as it is when nothing is broken. */
struct specimen_file {
    char *path; /* absolute */
    unsigned char *data;
    size_t len;
};

struct specimen_object {
    struct oid oid;
    git_object_t type;
    char *data;
    size_t size;
    uint64_t at, end;           /* in the pack, where it is */
    size_t base;                /* the object that it is a delta to; its own number: it is whole */
    size_t number;              /* in the order of the index */
    struct specimen_file loose; /* where it is loose: path NULL: it is not */
};

struct specimen {
    char *dir, *path; /* temporary; the repository in it */
    struct repo *repo;
    VEC(struct specimen_object) objects;
    struct specimen_file pack, index; /* path NULL: all is loose */
    uint64_t random;
    int said;   /* faults that were told of */
    bool *hurt; /* which objects may fail now */
};

/* All objects loose, or all in one pack. */
struct specimen *specimen_new(bool packed);
void specimen_free(struct specimen *s);

/* A number below `n`; the same ones in every run. */
size_t specimen_random(struct specimen *s, size_t n);
/* Puts `len` bytes where the file is. */
void specimen_put(const struct specimen_file *file, const void *data, size_t len);

/* Nothing may fail; all may; this one may, and what is made of it. */
void specimen_hurt_none(struct specimen *s);
void specimen_hurt_all(struct specimen *s);
void specimen_hurt(struct specimen *s, size_t object);
/* Objects that have a byte of the pack in [from, to). */
void specimen_hurt_range(struct specimen *s, size_t from, size_t to);

/* Reads every object with a mind that knows nothing, as a file and by libgit2 with our database,
 * and fails the test unless each is right, or broken and said. How many could be read. */
size_t specimen_read(struct specimen *s);

#endif

/* The packs that there are: those of an object directory and of its alternates, as they were found
 * at one time. It does not change after it is made, and is counted; when the directories change,
 * another takes its place. Inside src/repo only. */
#ifndef ONWARD_REPO_PACK_LIST_H
#define ONWARD_REPO_PACK_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "repo/pack.h"

/* A directory that was looked through; zero times when it was not there. */
struct pack_dir {
    char *path;
    dev_t dev;
    ino_t ino;
    int64_t mtime, seen; /* real; when it was read */
};

struct pack_list {
    atomic_uint refs;
    VEC(struct pack_dir) dirs;
    VEC(struct pack *) packs;
    VEC(char *) refused;  /* for each pack that cannot be read: its file and why, a line */
    bool unsure;          /* there may be packs that could not be opened at that time */
    atomic_size_t recent; /* the pack that had what was looked for last: the first to ask */
};

/* Looks through the directories. Packs that `before` (may be NULL) has open are taken from it. */
struct pack_list *pack_list_new(const char *objects_dir, const struct pack_list *before);
struct pack_list *pack_list_ref(struct pack_list *l);
void pack_list_unref(struct pack_list *l);
DEFINE_CLEANUP(struct pack_list *, pack_list_unref)

/* Whether there may be others by now: a stat for each directory. What changed as late as it was
 * read may have changed again in the same tick of the file's clock, so it may; and what could not
 * be opened, for want of descriptors or memory, may be opened now. */
bool pack_list_is_stale(const struct pack_list *l);

/* The pack that has the object, borrowed from the list, and the offset in it. Several may have one:
 * `copy` 0 is the first that is found, 1 and so on are all of them. -ENOENT; of 0 also -EBADMSG:
 * not found, but not all indexes can be read; -errno of their files. */
int pack_list_find(struct pack_list *l, const struct oid *oid, unsigned copy, struct pack **ret,
                   uint64_t *ret_at);

#endif

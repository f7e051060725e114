/* One pack: the entries of a .pack file, found by its index. Read with pread(2), so that a pack
 * that is cut short under us is an error and not a signal, and its pages are not our memory.
 *
 * Counted: who holds a reference can read it although the files are gone. Thread-safe; a window
 * belongs to one thread. Inside src/repo only. */
#ifndef ONWARD_REPO_PACK_H
#define ONWARD_REPO_PACK_H

#include <git2.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "repo/pack_index.h"

struct pack {
    atomic_uint refs;
    uint64_t serial; /* of this opening: no two packs of the process have the same */
    struct pack_file file;
    atomic_bool checked; /* pack_check() has looked */
    uint64_t end;        /* of the entries: where the checksum begins */
    struct pack_index index;
};

/* `index_path` ends in ".idx"; the pack is beside it. `small` as of pack_index_open(). -errno of
 * the files; -EBADMSG: not a pack that this can read, or the index of another; the reason begins
 * with the name of the file. */
int pack_open(const char *index_path, size_t small, struct pack **ret, struct diag *reterr);
/* Gives the descriptors back: its files are opened for each read from now on. Before others know
 * the pack. */
void pack_rest(struct pack *p);
/* How many descriptors it keeps. */
unsigned pack_descriptors(const struct pack *p);
/* Reads all of the index, once: the next call returns 0. -EBADMSG: it is broken, as `reterr` says;
 * -errno of the file. */
int pack_check(struct pack *p, struct diag *reterr);
struct pack *pack_ref(struct pack *p);
void pack_unref(struct pack *p);
DEFINE_CLEANUP(struct pack *, pack_unref)

/* A piece of a pack in memory. Zero is an empty one. */
struct pack_window {
    uint64_t serial, at; /* of the pack; offset of `data` in it */
    size_t len, cap;
    bool back; /* what is asked for next will mostly lie before what is asked for now */
    unsigned char *data;
};

void pack_window_done(struct pack_window *w);
/* The bytes at `at`, as many as there are up to `least`; reads `want` of them unless they are in
 * the window. `*ret` is good until the next call. Returns how many, or -EBADMSG, -ENOMEM, and
 * -errno of the file. */
ssize_t pack_window_get(struct pack_window *w, const struct pack *p, uint64_t at, size_t least,
                        size_t want, const unsigned char **ret);

struct pack_entry {
    uint64_t at;       /* offset of the entry */
    uint64_t data;     /* of its deflated bytes */
    uint64_t size;     /* inflated */
    git_object_t type; /* or GIT_OBJECT_OFS_DELTA, GIT_OBJECT_REF_DELTA */
    uint64_t base_at;  /* of an OFS_DELTA */
    struct oid base;   /* of a REF_DELTA */
};

/* The entry at offset `at`, its header read through `w` with `want` bytes. The size is one that the
 * rest of the pack can hold, the base of an OFS_DELTA is before the entry. -EBADMSG, -ENOMEM. */
int pack_entry_read(const struct pack *p, uint64_t at, struct pack_window *w, size_t want,
                    struct pack_entry *ret);

#endif

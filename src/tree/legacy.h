/* What a process that serves a mount leaves to the one that takes the mount over: which node the
 * kernel means by which id. It lies in memory that does not end with the process (memfd_create(2)),
 * as a log of records, one for each id, which say where the node was found: in which directory,
 * itself given as an id, under which name. The successor finds the node there again when the kernel
 * first asks for it (table.h, node_table_reach).
 *
 * Not from its place, but from its content, is made what could not be found again: a generated file
 * (text.h). One that is made when it is read (later.h) must have the same size and time.
 *
 * Invariants
 *   L1  A record is complete before `end` includes it; what changes of it afterwards is one word.
 *       So it may be read after the writer has died at any moment.
 *   L2  Lookups are written before the reply that makes the kernel count them, so what stands here
 *       is what the kernel counts, or more; never less.
 *   L3  Of several records of one id the last one holds.
 *   L4  Of several records of one place, the last one whose node keeps its name holds: the others'
 *       nodes are nothing any more.
 *   L5  The record of a directory stays while one of something in it does, even when the kernel has
 *       forgotten the directory.
 *
 * What is no longer needed is left behind when it is half of all: what remains is copied to the
 * end, `start` is set to it, and the memory before is given back. Places grow for ever.
 *
 * Threads: the table's lock guards it. */
#ifndef ONWARD_TREE_LEGACY_H
#define ONWARD_TREE_LEGACY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"

enum legacy_flags {
    LEGACY_KEPT_NAME = 1 << 0, /* whoever has the place is this node */
    LEGACY_VERSION = 1 << 1,   /* another size or time is another node */
    LEGACY_TOLD = 1 << 2, /* the kernel keeps what is told to it, and is told when it changes */
    LEGACY_TEXT = 1 << 3, /* the record holds the content */
    LEGACY_GONE = 1 << 4, /* no name leads to it any more */
};

struct legacy_record {
    uint32_t len; /* of all of it, in bytes; a multiple of 8 */
    uint32_t flags;
    uint64_t id, parent, ino;
    uint64_t lookups; /* 0: the kernel does not know it any more */
    uint64_t size;
    int64_t mtime; /* ns */
    uint64_t text_len;
    uint32_t type;     /* S_IFREG … */
    uint32_t name_len; /* of the name, which is behind this, with a NUL; then comes the text */
};

struct legacy;

int legacy_new(struct legacy **ret);
/* That of the process before us; takes `fd`, also when it fails. -EBADMSG: it is not to be
 * understood. */
int legacy_open(int fd, struct legacy **ret, struct diag *reterr);
/* Our end of it. NULL is allowed. */
void legacy_free(struct legacy *l);
int legacy_fd(const struct legacy *l);

/* The last id that was given. */
uint64_t legacy_last_id(const struct legacy *l);
void legacy_set_last_id(struct legacy *l, uint64_t id);

/* Adds a copy of the record, with this name and `text` (text_len bytes of it); its place. 0: there
 * is no memory. */
uint64_t legacy_add(struct legacy *l, const struct legacy_record *r, const char *name,
                    const void *text);
/* The record at that place, until the next legacy_add(). */
const struct legacy_record *legacy_at(const struct legacy *l, uint64_t place);
/* 0 lookups: it is not needed any more. */
void legacy_set_lookups(struct legacy *l, uint64_t place, uint64_t lookups);
void legacy_set_gone(struct legacy *l, uint64_t place);
/* Says that the record's node is elsewhere now; its new place, which is found from now on. */
uint64_t legacy_move(struct legacy *l, uint64_t place, uint64_t parent, const char *name);
/* What stands behind it in the memory: not of a copy. */
const char *legacy_name(const struct legacy_record *r);
const char *legacy_text(const struct legacy_record *r);

/* Of what there was when it was opened or compacted; 0: nothing. */
uint64_t legacy_find(const struct legacy *l, uint64_t id);
/* The last one with a kept name there (L4). */
uint64_t legacy_find_name(const struct legacy *l, uint64_t parent, const char *name);
/* The n-th of them; 0: there are no more. */
uint64_t legacy_nth(const struct legacy *l, size_t n);

/* Is it worth while to compact it? */
bool legacy_is_wasteful(const struct legacy *l);
/* All places change. */
int legacy_compact(struct legacy *l);

#endif

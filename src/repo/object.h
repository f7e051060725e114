/* Trees and blobs: reading, writing. Objects that were read are shared, counted and cached by id
 * within a byte budget; they never change. See repo.h for threads and errors. */
#ifndef ONWARD_REPO_OBJECT_H
#define ONWARD_REPO_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/oid.h"
#include "repo/repo.h"

enum entry_kind {
    ENTRY_FILE,   /* 100644 (and old 100664) */
    ENTRY_EXEC,   /* 100755 */
    ENTRY_LINK,   /* 120000 */
    ENTRY_DIR,    /* 040000 */
    ENTRY_MODULE, /* 160000, a submodule: the id is a commit of another repository */
};

struct tree_entry {
    const char *name; /* any bytes but NUL and '/', 1..255 of them; borrowed from the tree */
    enum entry_kind kind;
    struct oid oid;
};

/* One directory, as a filesystem can show it: sorted by name (strcmp), unique, without the entries
 * that may not be shown: "." ".." ".git" in any case, empty, with '/', longer than 255 bytes,
 * repeated (the first stays), and unknown kinds. Those are counted in METRIC_HIDDEN_ENTRIES and
 * named once in the log. */
struct tree {
    struct oid oid;
    size_t n;
    const struct tree_entry *entries;
};

/* The tree object `oid`, shared: tree_unref() gives it back. -EIO also when it is not a tree. */
int tree_load(struct repo *repo, const struct oid *oid, struct tree **ret);
/* 1 if the repository has a tree of that id, 0 if not; for ids that somebody asks for, whose
 * absence is nobody's fault and goes into no log. -EIO: it is there, and cannot be read. */
int tree_exists(struct repo *repo, const struct oid *oid);
void tree_unref(struct tree *tree);
DEFINE_CLEANUP(struct tree *, tree_unref)
/* The entry of that name, or NULL. Borrowed. */
const struct tree_entry *tree_find(const struct tree *tree, const char *name);

/* What is at `path` ("a/b/c"; "" is the root itself) below the tree `root`. Never follows symlinks.
 * -ENOENT -ENOTDIR -EIO. */
int tree_walk_path(struct repo *repo, const struct oid *root, const char *path,
                   enum entry_kind *ret_kind, struct oid *ret_oid);

struct blob {
    const void *data; /* NUL-terminated behind `size` */
    size_t size;
};

/* Size of a blob from its header, without reading it. */
int blob_size(struct repo *repo, const struct oid *oid, uint64_t *ret);
/* Up to `size` bytes of the blob's content from `off` on, verified against its id; the number of
 * bytes, short only at the end. What files are read with: memory stays bounded, whatever the size
 * of the blob, because large ones are unpacked once, to a file without a name (repo_spool_in).
 * -EIO, -ENOMEM, -ENOSPC (no room for that file). */
ssize_t blob_read(struct repo *repo, const struct oid *oid, void *buf, size_t size, uint64_t off);
/* Writes the content to the file `fd`, from 0 on, in pieces; not fsynced. Errors as of blob_read(),
 * and those of the file. */
int blob_copy(struct repo *repo, const struct oid *oid, int fd);
/* The target of the symlink whose blob it is; yours. -EIO also for one that no file system could
 * show: empty, with NUL bytes, or too long. */
int blob_target(struct repo *repo, const struct oid *oid, char **ret);
/* The content in one piece, verified against its id. Shared: give it back with blob_unref(). For
 * blobs that must be in memory anyway (declarations, links, patches); files are read with
 * blob_read(). -ENOMEM, -EIO. */
int blob_load(struct repo *repo, const struct oid *oid, struct blob **ret);
/* How many lines have ended in it. What compares lines spends many times their bytes on them, and
 * takes no blob with more than BLOB_LINES_MOST. */
size_t blob_lines(const struct blob *blob);
#define BLOB_LINES_MOST (1u << 20)
void blob_unref(struct blob *blob);
DEFINE_CLEANUP(struct blob *, blob_unref)

/* Whether the first `size` bytes of a file are that blob. False also where that cannot be told. */
bool blob_is_file(struct repo *repo, const struct oid *oid, int fd, uint64_t size);
/* The id that a blob of these bytes has. */
void blob_hash(const void *data, size_t len, struct oid *ret);

#endif

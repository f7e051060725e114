/* A node: one file, directory or symlink of the mount, whatever stands behind it. Views and the
 * staging area implement `node_ops`; the FUSE front calls them. Nodes know neither Git nor FUSE.
 *
 * Identity. Several kinds of id meet here; each has one owner:
 *   - key: bytes that say what a node is, within its `node_ops` (a directory: parent and name; a
 *     file of a revision: object id, kind, revision). node_intern() gives one node for one key at a
 *     time.
 *   - node id: what the kernel calls a node. A number that counts up and is never reused while
 *     mounted. It lives from the first reply that names the node until the kernel has forgotten it
 *     (table.h).
 *   - inode number (st_ino): 64-bit hash of what the node is, so it is the same again after the
 *     kernel has forgotten the node and asks anew. Directories have one for each path.
 *   - Git object ids stay inside the implementations. File handles do not exist: there is no open.
 *
 * Lifetime. A node is counted: node_ref/node_unref. The kernel's lookups hold one reference while
 * there are any; a child holds its `parent`. At zero the node leaves the table and ops->free runs.
 *
 * Caching. The kernel may keep names (`entry`) and attributes with pages (`attr`) for ever or not
 * at all; nothing in between, because a time-out in between shows stale content for that long.
 * Which, is a property of the kind of node: NODE_ENTRY_FOREVER, NODE_ATTR_FOREVER in ops->flags.
 *   - immutable: both.
 *   - a generated file: a new node for each version (same inode number); attributes for ever, entry
 *     never.
 *   - a changing directory, a growing log: neither.
 *   - a symlink: the kernel keeps its target whatever the flags say. One that moves is a new node
 *     for each target, so its name must not be kept; or one node of which node_changed() is said.
 *   - a directory that changes seldom (revisions/): both, and node_changed() with each change.
 *   - a control file: neither, size 0.
 *   - staging: both, and node_changes() when the daemon itself moves a workspace.
 * A directory whose list changes must give a new, larger mtime with each change: the kernel keeps
 * listings by mtime.
 *
 * Threads. Every op may be called by several threads at once. An op must not block on another
 * request of the kernel, unless its ops have NODE_SLOW (those run in threads apart, so that readers
 * never wait for them).
 *
 * Errors are -errno and reach the calling process as they are.
 *
 * What must not grow here: caches, paths, anything of Git or FUSE. */
#ifndef ONWARD_TREE_NODE_H
#define ONWARD_TREE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "tree/caller.h"

struct node;

enum node_flags {
    NODE_ENTRY_FOREVER = 1 << 0, /* the kernel may keep the name of such a node for ever */
    NODE_ATTR_FOREVER = 1 << 1,  /* …its attributes and content */
    NODE_SLOW = 1 << 2,     /* lookup, readdir, read and write may take long: in threads apart */
    NODE_PREFETCH = 1 << 3, /* a file that never changes: the kernel may be given its content before
                             * it asks, when its neighbours are read one after the other */
    NODE_FIXED = 1 << 4,    /* nothing of it ever changes, nor where its name leads */
};

/* What node_ops.readdir hands its entries to. */
struct dir_sink {
    /* One entry. `type` is S_IFREG, S_IFDIR, S_IFLNK …; `cookie` > 0 continues behind this entry.
     * `plus`: the attributes may be asked for right away (by a lookup of the name); false for names
     * whose lookup is dear. Returns non-zero when the reply is full: this entry was not taken,
     * stop. */
    int (*add)(struct dir_sink *sink, const char *name, mode_t type, uint64_t ino, uint64_t cookie,
               bool plus);
};

/* Which attributes setattr is to change. Times are nanoseconds since 1970. */
enum set_attr {
    SET_MODE = 1 << 0,
    SET_UID = 1 << 1,
    SET_GID = 1 << 2,
    SET_SIZE = 1 << 3,
    SET_ATIME = 1 << 4,
    SET_MTIME = 1 << 5,
};

struct set_attrs {
    unsigned valid; /* enum set_attr */
    mode_t mode;
    uid_t uid;
    gid_t gid;
    uint64_t size;
    struct timespec atime, mtime;
};

/* Any op may be NULL: reading ops then answer as said, writing ops answer -EROFS. */
struct node_ops {
    const char *kind; /* for traces: "revision-dir", "control" … */
    unsigned flags;   /* enum node_flags */

    /* Fills `st`: st_mode with type, st_size (of which st_blocks follows unless it is set), st_mtim
     * (used for all three times unless st_atim, st_ctim are set), st_nlink. st_uid and st_gid come
     * preset to the mount's owner, st_ino to node->ino, st_nlink to 1. Never NULL. */
    int (*getattr)(struct node *node, struct stat *st);
    /* The child of that name, referenced; -ENOENT. Directories only (NULL: -ENOTDIR). */
    int (*lookup)(struct node *dir, const char *name, struct node **ret);
    /* Hands the entries behind `cookie` (0: from the start) to the sink, without "." and "..".
     * Cookies stay valid while the directory changes. Returns 0 also when the sink was full. */
    int (*readdir)(struct node *dir, uint64_t cookie, struct dir_sink *sink);
    /* The target as a string that the caller frees, of one length ever. Symlinks only (NULL:
     * -EINVAL). */
    int (*readlink)(struct node *node, char **ret);
    /* Up to `size` bytes at `off`; the number of bytes, short only at the end (NULL: -EINVAL). */
    ssize_t (*read)(struct node *node, void *buf, size_t size, off_t off);
    /* Extended attributes: value of `name` as a string that the caller frees (-ENODATA); the names
     * that there are, as a static NULL-ended array. NULL: there are none. */
    int (*getxattr)(struct node *node, const char *name, char **ret);
    const char *const *xattrs;

    /* The number of bytes taken. */
    ssize_t (*write)(struct node *node, const struct caller *who, const void *buf, size_t size,
                     off_t off);
    int (*setattr)(struct node *node, const struct caller *who, const struct set_attrs *set);
    /* New regular file, directory, symlink in `dir`; the new node, referenced. -EEXIST … `mode` has
     * the umask applied. create() gets S_IFREG only; other kinds are refused before. */
    int (*create)(struct node *dir, const struct caller *who, const char *name, mode_t mode,
                  struct node **ret);
    int (*mkdir)(struct node *dir, const struct caller *who, const char *name, mode_t mode,
                 struct node **ret);
    int (*symlink)(struct node *dir, const struct caller *who, const char *name, const char *target,
                   struct node **ret);
    int (*unlink)(struct node *dir, const struct caller *who, const char *name);
    int (*rmdir)(struct node *dir, const struct caller *who, const char *name);
    /* Called with the ops of the old directory; `flags` as renameat2(2). -EXDEV when the two
     * directories do not belong together. */
    int (*rename)(struct node *dir, const struct caller *who, const char *name, struct node *to_dir,
                  const char *to_name, unsigned flags);
    /* A process that served the mount before has done that, and died before it could note it. Ops
     * with rename() only. NULL: nothing is noted. */
    void (*renamed_before)(struct node *dir, const char *name, struct node *to_dir,
                           const char *to_name);
    /* Makes content (and, for `full`, metadata) of a file, or the entries of a directory, durable.
     * NULL: there is nothing to be made durable, 0. */
    int (*fsync)(struct node *node, bool full);
    int (*fallocate)(struct node *node, int mode, off_t off, off_t len); /* NULL: -EOPNOTSUPP */
    /* NULL: the mount's own (zeros). */
    int (*statfs)(struct node *node, struct statvfs *ret);

    /* Ends what the implementation holds; the table frees the memory itself. NULL: nothing. */
    void (*free)(struct node *node);
};

struct node_table;

/* Implementations embed this as their first member. */
struct node {
    const struct node_ops *ops;
    struct node_table *table;
    struct node *parent; /* held while this one lives; may be NULL */
    uint64_t ino;     /* st_ino; set by node_intern from parent and name or by the implementation */
    uint64_t id;      /* node id, 0 until the kernel has been told of it; owned by the table */
    uint64_t lookups; /* the kernel's references; owned by the table */
    size_t weight;    /* of node_weigh() */
    uint64_t will;    /* its record (legacy.h), 0: none; owned by the table */
    unsigned refs;    /* owned by the table */
    uint32_t key_len : 31;  /* 0: not interned */
    uint32_t key_apart : 1; /* the key has memory of its own: it is not the one of the beginning */
    struct node *next_by_key, *next_by_id; /* the table's chains */
    void *key; /* of node_intern(): right behind the implementation's struct */
};

/* A node of `size` bytes (the implementation's struct, zeroed behind the head) that no key leads
 * to; one reference is yours. `ino` as said above. */
void *node_new(struct node_table *table, const struct node_ops *ops, size_t size, uint64_t ino);

/* The node with this key, referenced: the one that is there, or a new one of `size` bytes on which
 * init(node, arg) has been called. That happens under the table's lock: it only sets fields, among
 * them node->parent, on which the table then takes a reference. The key is ops, then `len` bytes.
 */
void *node_intern(struct node_table *table, const struct node_ops *ops, size_t size,
                  const void *key, size_t len, uint64_t ino,
                  void (*init)(struct node *node, const void *arg), const void *arg);

/* Says how many bytes of memory the node holds besides itself, so that old ones can be given up
 * when all together are too many (table.h). */
void node_weigh(struct node *node, size_t bytes);

struct node *node_ref(struct node *node);
/* NULL if the last reference has been given back, and ops->free is about to run. For who finds
 * nodes by a way of his own that ops->free takes away. */
struct node *node_ref_living(struct node *node);
void node_unref(struct node *node);
DEFINE_CLEANUP(struct node *, node_unref)

/* The kernel shall ask again for the attributes of this node and, of a directory, for its list:
 * they have changed although it was told to keep them for ever. Returns when it knows. Not inside
 * an op of the same node, nor under a lock that an op needs. */
void node_changed(struct node *node);

/* The same of many at once. */
struct node_change {
    struct node *node;
    const char *name; /* of an entry of `node` that leads elsewhere now, or nowhere; NULL: this is
                       * about the node itself */
    bool content;     /* not only attributes have changed */
};
/* Returns when the kernel knows. Names: the caller answers no request of a directory meanwhile, as
 * the kernel waits for the requests of theirs that are under way. */
void node_changes(struct node_table *table, const struct node_change *changes, size_t n);

/* The inode number of `name` in a directory whose own is `parent`. Never 0 or 1. */
uint64_t node_ino(uint64_t parent, const char *name);

#endif

/* What differs between two root trees, as a stream of changed paths: files and directories, down
 * only where ids differ, so it costs what changed. Inside src/repo only. */
#ifndef ONWARD_REPO_HISTORY_SCAN_H
#define ONWARD_REPO_HISTORY_SCAN_H

#include "repo/history_index.h"

/* Nobody can walk to what lies deeper: the longest path that the kernel takes has half as many
 * components. It does not exist for the index; a chain of trees costs no more than this. */
#define SCAN_DEEPEST 4096

/* Where the stream goes. What they return other than 0 ends it. */
struct scan_sink {
    /* The id of the entry `name` of the directory `dir`. */
    int (*path)(void *arg, path_id dir, const char *name, path_id *ret);
    /* `path` changed. `pos` and `number` are 0. Each path at most once; a directory after what is
     * in it. */
    int (*change)(void *arg, path_id path, const struct history_change *change);
    void *arg;
};

/* From the root tree `old` (NULL: nothing was there) to `new`. -EIO: a tree cannot be read. */
int history_scan(struct repo *repo, const struct oid *old, const struct oid *new,
                 const struct scan_sink *sink);

#endif

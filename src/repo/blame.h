/* Blame: which revision of the mainline last changed each line of a file, out of the history
 * index: only the versions of the path are read, and they are compared one with the next, newest
 * first, until every line has its revision. Renames are not followed: a path is new where it
 * appears. */
#ifndef ONWARD_REPO_BLAME_H
#define ONWARD_REPO_BLAME_H

#include "base/buf.h"
#include "repo/history_index.h"

#define BLAME_NOWHERE UINT32_MAX

/* What is looked at. */
struct blame {
    struct repo *repo;
    struct history_index *index;
    struct oid revision;
    int64_t time; /* its committer's, seconds */
    /* The place of the revision on the mainline; or, when it is not there, that of the newest of
     * its first-parent ancestors that is, or BLAME_NOWHERE. A line that is not in the mainline's
     * version has the revision itself. */
    uint32_t pos;
};

/* Adds every file of the directory `path` ("": the root) of the revision, in the order of paths, a
 * line for each of its lines:
 *
 *     <12 digits of the id> <YYYY-MM-DD> <path below the directory>:<line>: <text>
 *
 * and for what has no lines (a NUL in its first 8000 bytes, a symlink, a submodule) one line with
 * "N/A" in the first two columns, and the path. Control bytes, quotes and backslashes of paths are
 * escaped as in C; text is as it is. A last line without a newline gets one; an empty file adds
 * nothing. -ENOENT: there is no such directory; -EFBIG: more than `most` bytes, or an older version
 * with more to compare with; -EAGAIN, -EIO as history_index.h. */
int blame_directory(const struct blame *b, const char *path, size_t most, struct buf *out);
/* How many bytes that would be, without finding out who made the lines: for all columns before the
 * path are of one width. Costs a look at each file; where there are more than `most` bytes, at the
 * first of them. -ENOENT, -EFBIG, -EIO as above. */
int blame_size(const struct blame *b, const char *path, size_t most, size_t *ret);

#endif

/* What other writers in src/repo share with object_write.c. Inside src/repo only. */
#ifndef ONWARD_REPO_OBJECT_WRITE_H
#define ONWARD_REPO_OBJECT_WRITE_H

#include <git2.h>

#include "base/buf.h"
#include "repo/object.h"
#include "repo/sink.h"

/* Reads all of `len` bytes at `at` of a file that is to be stored. -EIO: it is shorter. */
int object_read_file(int fd, char *out, size_t len, uint64_t at, struct diag *reterr);
/* What a tree object of these entries is made of. As sink_tree(). */
int tree_encode(const struct tree_entry *entries, size_t n, struct buf *ret, struct diag *reterr);
/* Git's order of entries: names compare as bytes, those of directories as if they ended in '/'. */
int tree_entry_compare_git(const struct tree_entry *a, const struct tree_entry *b);

/* What libgit2 calls it. */
git_object_t sink_git_type(enum sink_type type);

#endif

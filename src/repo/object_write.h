/* What other writers in src/repo share with object_write.c. Inside src/repo only. */
#ifndef ONWARD_REPO_OBJECT_WRITE_H
#define ONWARD_REPO_OBJECT_WRITE_H

#include "repo/handle.h"
#include "repo/object.h"

/* Writes an object and reads it back; durable on return. */
int object_write(struct handle *h, const void *data, size_t len, git_object_t type, struct oid *ret,
                 struct diag *reterr);
/* Git's order of entries: names compare as bytes, those of directories as if they ended in '/'. */
int tree_entry_compare_git(const struct tree_entry *a, const struct tree_entry *b);

#endif

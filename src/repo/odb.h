/* The object database of a handle: packs by libgit2, loose objects by loose.h, and both again for
 * each alternate. Inside src/repo only. */
#ifndef ONWARD_REPO_ODB_H
#define ONWARD_REPO_ODB_H

#include <git2.h>
#include <stddef.h>

#include "repo/oid.h"

/* The directories that hold a repository's objects: its own first (none if that is not there), then
 * its alternates, each once. */
struct odb_dirs {
    char **v;
    size_t n, cap;
};

void odb_dirs_find(const char *objects_dir, struct odb_dirs *ret);
void odb_dirs_done(struct odb_dirs *dirs);

/* Opens the objects in `objects_dir`. Returns libgit2's code; the result is the caller's. */
int odb_open(const char *objects_dir, git_odb **ret);
/* git_odb_read(), which looks for new packs only when an object is missing: this does when a loose
 * one is broken, too, since it may have been packed meanwhile. */
int odb_read(git_odb *odb, const git_oid *oid, git_odb_object **ret);

#endif

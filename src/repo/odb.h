/* The object database that libgit2 gets from us: one backend, which reads by source.h. None of its
 * own readers is ever given a byte of the repository's objects, and it writes none.
 *
 * A git_repository that is opened without it has libgit2's readers: odb_give() it before it is
 * asked for anything. Inside src/repo only. */
#ifndef ONWARD_REPO_ODB_H
#define ONWARD_REPO_ODB_H

#include <git2.h>

struct repo;

/* The objects of `repo`. Returns libgit2's code; the result is the caller's. */
int odb_new(struct repo *repo, git_odb **ret);
/* Makes it the database of `git`, which is the same repository or a work tree of it. */
int odb_give(struct repo *repo, git_repository *git);

#endif

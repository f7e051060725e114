/* What somebody changed in published files, as a patch from what should be there to what is: `git
 * apply` makes the same change in a checkout, `patch -p1 -R` in the directory takes it back.
 *
 * A patch is read by more people than the directory may be, and kept in the ledger. So of what is
 * there it holds only files that everybody may read (their own mode says so), and symlinks. What is
 * neither, and what is too large or too much, is left out with a line that says so; so is a path
 * that could not be read, for a patch is a help, not the word on whether something differs.
 *
 * Nothing that is read here gets into the repository: see repo/scratch.h. One thread. */
#ifndef ONWARD_DEPLOY_DRIFT_PATCH_H
#define ONWARD_DEPLOY_DRIFT_PATCH_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/object.h"

#define DRIFT_PATCH_FILE_MOST (1 << 20)   /* bytes of a file on either side */
#define DRIFT_PATCH_PATHS     256         /* of which there is more than a name */
#define DRIFT_PATCH_MOST      (256 << 10) /* bytes of the patch */

struct drift_patch;

struct drift_patch *drift_patch_new(struct repo *repo);
/* NULL is allowed. */
void drift_patch_free(struct drift_patch *d);
DEFINE_CLEANUP(struct drift_patch *, drift_patch_free)
/* `path`, relative to the root of the revision, is to hold `e` (NULL: nothing), and what is there
 * is the file `name` in `dirfd`, if there is one. Each path once; directories are not shown. */
void drift_patch_add(struct drift_patch *d, const char *path, const struct tree_entry *e, int dirfd,
                     const char *name);
/* Adds the patch, in the order of paths as they were added. Once. */
void drift_patch_print(struct drift_patch *d, struct buf *out);

#endif

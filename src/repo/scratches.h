/* The scratches of a repository that live at the moment, as its readers see them (scratch.h; in the
 * same source file). Costs next to nothing while there is none. Thread-safe. Inside src/repo only.
 */
#ifndef ONWARD_REPO_SCRATCHES_H
#define ONWARD_REPO_SCRATCHES_H

#include <git2.h>
#include <stdint.h>

#include "repo/oid.h"

struct scratches;

struct scratches *scratches_new(void);
void scratches_free(struct scratches *all);

/* None of these compares content with the id. -ENOENT: no scratch has it. */
int scratches_header(struct scratches *all, const struct oid *oid, git_object_t *ret_type,
                     uint64_t *ret_size);
/* As loose_load(), loose_spill(). */
int scratches_load(struct scratches *all, const struct oid *oid, uint64_t most,
                   git_object_t *ret_type, void **ret, size_t *ret_size);
int scratches_spill(struct scratches *all, const struct oid *oid, int fd, git_object_t *ret_type,
                    uint64_t *ret_size);

#endif

/* Objects of any size, from a pack into a file: whole ones are inflated piece by piece; of deltas,
 * base and program are mapped files without names. Inside src/repo only. */
#ifndef ONWARD_REPO_PACK_SPILL_H
#define ONWARD_REPO_PACK_SPILL_H

#include "repo/unpacker.h"

/* Writes the object to the file `fd`, from 0; `dir` is for files on the way; `*ret` has no data.
 * -EBADMSG and -ENOMEM as of the unpacker, or what a file says. */
int pack_spill(struct unpacker *u, struct place place, const char *dir, int fd,
               struct unpacked *ret);

#endif

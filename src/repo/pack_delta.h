/* Deltas, as packs hold them: the sizes of base and result, then a program that makes the result of
 * pieces of the base and of bytes of its own. Knows no files. Nothing that a delta says makes this
 * read or write outside what it was given. Inside src/repo only. */
#ifndef ONWARD_REPO_PACK_DELTA_H
#define ONWARD_REPO_PACK_DELTA_H

#include <stddef.h>
#include <stdint.h>

#define PACK_DELTA_HEAD 20 /* enough bytes for both sizes */

struct pack_delta {
    const unsigned char *at, *end; /* the program: what is left of it */
    uint64_t base_size, result_size;
};

/* Reads the sizes at the start of a delta, of which `len` bytes are at `data`. -EBADMSG. */
int pack_delta_open(struct pack_delta *d, const void *data, size_t len);

/* The next piece of the result: `*ret` and `*ret_len`, in `base`, of d->base_size bytes, or in the
 * delta. 1; 0 at the end; -EBADMSG. */
int pack_delta_next(struct pack_delta *d, const unsigned char *base, const unsigned char **ret,
                    size_t *ret_len);
/* Makes the whole result, d->result_size bytes at `out`. -EBADMSG: it is not that long. */
int pack_delta_apply(struct pack_delta *d, const unsigned char *base, unsigned char *out);

#endif

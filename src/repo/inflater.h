/* What unpacks the deflated bytes of a pack's entries: whole with libdeflate, which is fastest but
 * wants to see all of them; the first bytes only, or into a file piece by piece, with zlib. Each
 * belongs to one thread at a time; it keeps its buffers from one call to the next.
 *
 * The size that the entry's header gives is the size that comes out, or it is -EBADMSG. Inside
 * src/repo only. */
#ifndef ONWARD_REPO_INFLATER_H
#define ONWARD_REPO_INFLATER_H

#include <stdbool.h>
#include <zlib.h>

#include "repo/pack.h"

struct libdeflate_decompressor;

/* Zero is one that has not unpacked anything yet. */
struct inflater {
    struct pack_window window;
    struct libdeflate_decompressor *whole;
    z_stream z;
    bool has_z;
};

void inflater_done(struct inflater *f);
/* Frees buffers that an unusually large object has left. */
void inflater_trim(struct inflater *f);

/* The content of the entry, e->size bytes, into `out`. -EBADMSG, -ENOMEM. */
int inflater_whole(struct inflater *f, const struct pack *p, const struct pack_entry *e, void *out);
/* Its first bytes, up to `len`. Returns how many; -EBADMSG, -ENOMEM. */
ssize_t inflater_head(struct inflater *f, const struct pack *p, const struct pack_entry *e,
                      void *out, size_t len);
/* Its content to the file `fd`, from 0. -EBADMSG, -ENOMEM, or what the file says. */
int inflater_to_file(struct inflater *f, const struct pack *p, const struct pack_entry *e, int fd);

#endif

/* A secret that is shared with somebody else: the content of a file that only its owner may read,
 * without a newline at its end. It stays in memory no longer than it is needed, and goes into no
 * message. */
#ifndef ONWARD_DEPLOY_SECRET_H
#define ONWARD_DEPLOY_SECRET_H

#include "base/buf.h"
#include "base/diag.h"

#define SECRET_MOST 4096 /* bytes */

/* Reads it. -EPERM: somebody else may read the file; -EINVAL: there is nothing in it; others as
 * they come, with a reason. The caller ends it with secret_done(). */
int secret_read(const char *path, struct buf *ret, struct diag *reterr);
void secret_done(struct buf *secret);

#endif

/* Revision expressions: what a person writes for a revision, to its full id. The mount resolves
 * them. */
#ifndef ONWARD_CTL_REV_H
#define ONWARD_CTL_REV_H

#include "ctl/mountpoint.h"

/* How many digits of an id a person is shown. */
#define REV_SHORT 12

/* The full id of `expr`: what revisions/ resolves (an id, abbreviated too, a tag, a branch,
 * HEAD~3), a branch or tag with slashes, or `head`. Yours. -ENOENT: it names nothing. */
int rev_resolve(const struct mountpoint *m, const char *expr, char **ret, struct diag *reterr);
/* The id in the target of a link such as `head` or sites/<site>/deployed: what follows the
 * component "revisions". Yours; NULL when the target is no such path. */
char *rev_of_target(const char *target);
/* The id in the link at `path`. -ENOENT when the link is not there. */
int rev_of_link(const struct mountpoint *m, const char *path, char **ret, struct diag *reterr);

#endif

/* What backends outside of this process are told: the request as JSON, as include/onward/backend.h
 * describes it; and what is made of what they say. */
#ifndef ONWARD_DEPLOY_REQUEST_H
#define ONWARD_DEPLOY_REQUEST_H

#include "base/json.h"
#include "deploy/backend.h"

/* Yours (json_decref). */
json_t *request_json(const struct backend_request *request);
/* The root directory of a revision in the mount; NULL for none. Yours. */
char *request_tree(const struct backend_request *request, const struct oid *revision);

/* The pattern with {site} and {team} replaced; `escaped`: as they stand in an address. -EINVAL: one
 * of them is no plain component of a path. */
int request_expand(const char *pattern, const struct site *site, bool escaped, struct buf *ret);

/* The last line of an output that is not blank, made harmless, and not too long; "" if there is
 * none. Yours. */
char *request_last_line(const struct buf *output);

#endif

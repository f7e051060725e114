/* Object ids in JSON. */
#ifndef ONWARD_REPO_OID_JSON_H
#define ONWARD_REPO_OID_JSON_H

#include "base/json.h"
#include "repo/oid.h"

/* Sets obj[key] to the 40 hex digits; null for the zero id. */
void oid_put_json(json_t *obj, const char *key, const struct oid *oid);

#endif

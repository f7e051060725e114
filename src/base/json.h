/* JSON by jansson. The only header that includes <jansson.h>; others include this one.
 * Reading is strict (no duplicate keys, depth limited by jansson); writing keeps the order in which
 * keys were set, so that the same content gives the same bytes. */
#ifndef ONWARD_BASE_JSON_H
#define ONWARD_BASE_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/diag.h"

/* Parses `len` bytes. -EINVAL with "line:col: reason". The result is yours. */
int json_read(const char *data, size_t len, json_t **ret, struct diag *reterr);
/* Adds it as one line without a newline (`pretty`: indented by two). */
void json_write(const json_t *j, int pretty, struct buf *out);
/* The string or integer under `key`, or the default when it is absent or of another type. Borrowed.
 */
const char *json_str(const json_t *obj, const char *key, const char *fallback);
json_int_t json_int(const json_t *obj, const char *key, json_int_t fallback);
/* Sets obj[key] to a string, with bytes that are not UTF-8 replaced by U+FFFD; null for NULL. */
void json_put_str(json_t *obj, const char *key, const char *value);
/* Sets obj[key] to a time (real ns) as clock_format() has it; null for 0. */
void json_put_time(json_t *obj, const char *key, int64_t real);

#endif

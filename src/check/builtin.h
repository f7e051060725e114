/* The checks that are built in, each over the bytes of one file. Private to this folder. */
#ifndef ONWARD_CHECK_BUILTIN_H
#define ONWARD_CHECK_BUILTIN_H

#include "base/finding.h"

/* Adds findings (check "json") for what is not as RFC 8259 says, and for duplicate keys. Any
 * document that it allows passes, whatever the size of its numbers; nesting is limited to
 * CHECK_JSON_DEPTH. data[len] is 0. */
#define CHECK_JSON_DEPTH 2000
void check_json(const char *path, const char *data, size_t len, struct findings *findings);

#endif

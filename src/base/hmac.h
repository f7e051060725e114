/* Proof that a text comes from somebody who knows a secret: HMAC-SHA256, by OpenSSL. */
#ifndef ONWARD_BASE_HMAC_H
#define ONWARD_BASE_HMAC_H

#include <stddef.h>

#include "base/buf.h"

#define HMAC_HEX 64

/* Writes it as lower-case hex digits. -ENOMEM: OpenSSL cannot say. */
int hmac_sha256(const struct buf *key, const void *data, size_t len, char out[HMAC_HEX + 1]);

#endif

#include "base/hmac.h"

#include <errno.h>
#include <openssl/hmac.h>

int hmac_sha256(const struct buf *key, const void *data, size_t len, char out[HMAC_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (!HMAC(EVP_sha256(), buf_str(key), key->len, data, len, mac, &n))
        return -ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        out[2 * i] = digits[mac[i] >> 4];
        out[2 * i + 1] = digits[mac[i] & 15];
    }
    out[2 * n] = 0;
    return 0;
}

#include "repo/oid.h"

#include <errno.h>

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

char *oid_hex(const struct oid *oid, char out[OID_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < OID_RAW; i++) {
        out[2 * i] = digits[oid->id[i] >> 4];
        out[2 * i + 1] = digits[oid->id[i] & 15];
    }
    out[OID_HEX] = 0;
    return out;
}

int oid_parse(const char *hex, struct oid *ret)
{
    struct oid oid;

    for (int i = 0; i < OID_RAW; i++) {
        int high = digit_value(hex[2 * i]);
        int low = high < 0 ? -1 : digit_value(hex[2 * i + 1]);
        if (low < 0)
            return -EINVAL;
        oid.id[i] = high << 4 | low;
    }
    if (hex[OID_HEX])
        return -EINVAL;
    *ret = oid;
    return 0;
}

/* Object ids: 20 bytes, or 40 hex digits as text. */
#ifndef ONWARD_REPO_OID_H
#define ONWARD_REPO_OID_H

#include <stdbool.h>
#include <string.h>

#define OID_RAW 20
#define OID_HEX 40

struct oid {
    unsigned char id[OID_RAW];
};

/* Writes 40 lower-case hex digits and a NUL; returns `out`. */
char *oid_hex(const struct oid *oid, char out[OID_HEX + 1]);
/* Reads exactly 40 lower-case hex digits up to the NUL. -EINVAL otherwise. */
int oid_parse(const char *hex, struct oid *ret);

static inline bool oid_equal(const struct oid *a, const struct oid *b)
{
    return !memcmp(a->id, b->id, OID_RAW);
}

static inline bool oid_is_zero(const struct oid *oid)
{
    static const struct oid zero;
    return oid_equal(oid, &zero);
}

#endif

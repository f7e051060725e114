#include "repo/oid_json.h"

void oid_put_json(json_t *obj, const char *key, const struct oid *oid)
{
    char hex[OID_HEX + 1];

    json_put_str(obj, key, oid_is_zero(oid) ? NULL : oid_hex(oid, hex));
}

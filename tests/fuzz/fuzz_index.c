/* The index of a pack: opened, searched, looked at as a whole. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/pack_index.h"

static void use(const char *path, size_t small, const uint8_t *data, size_t size)
{
    struct pack_index ix;
    struct oid oid, two[2];
    uint64_t at;

    if (pack_index_open(&ix, path, small, NULL) < 0)
        return;
    for (size_t i = 0; i + OID_RAW <= size; i += 1 + size / 50) {
        memcpy(oid.id, data + i, OID_RAW);
        pack_index_find(&ix, &oid, &at);
        pack_index_from(&ix, &oid, two);
    }
    pack_index_check(&ix, 1000, NULL);
    pack_index_done(&ix);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *path = xasprintf("%s/x.idx", fuzz_dir());

    fuzz_write("x.idx", data, size);
    use(path, 0, data, size);
    use(path, PACK_INDEX_SMALL, data, size);
    return 0;
}

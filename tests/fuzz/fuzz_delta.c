/* A delta: the length of its base (two bytes), the base, the delta. */
#include "fuzz.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/pack_delta.h"

#define MOST (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t base = size < 2 ? 0 : data[0] * 256 + data[1];
    struct pack_delta d;

    if (size < 2 + base || pack_delta_open(&d, data + 2 + base, size - 2 - base) < 0 ||
        d.base_size != base || d.result_size > MOST)
        return 0;
    _cleanup_free_ unsigned char *out = xmalloc(d.result_size + 1);
    pack_delta_apply(&d, data + 2, out);
    return 0;
}

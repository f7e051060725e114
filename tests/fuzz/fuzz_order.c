/* A line written to .onward/ctl, and a revision that somebody names. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "deploy/order.h"
#include "repo/entry_name.h"
#include "repo/revision.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *line = xstrndup((const char *)data, size);
    struct order order = {0};
    struct oid oid;

    if (order_parse(line, &order, NULL) == 0)
        order_done(&order);
    revision_resolve(fuzz_repo(), line, &oid);
    line[strcspn(line, "/")] = 0;
    entry_name_is_gits(line);
    entry_name_is_modules(line);
    return 0;
}

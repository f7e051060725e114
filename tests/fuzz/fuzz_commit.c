/* A commit or tag object. */
#include "fuzz.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/handle.h"
#include "repo/loose.h"
#include "repo/revision.h"
#include "repo/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"commit", "tag"};
    _cleanup_free_ char *objects = xasprintf("%s/objects", repo_common_dir(fuzz_repo()));

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct oid oid = fuzz_store(types[i], data, size);
        _cleanup_(revision_freep) struct revision *rev = NULL;
        struct revision_brief brief;
        revision_load(fuzz_repo(), &oid, &rev);
        revision_brief(fuzz_repo(), &oid, &brief);
        source_peel(fuzz_repo()->source, &oid);
        _cleanup_free_ char *path = loose_where(objects, &oid);
        unlink(path);
    }
    return 0;
}

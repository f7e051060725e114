/* A tree object: what is listed is sorted, unique, of names that can be shown, and found again. */
#include "fuzz.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/loose.h"
#include "repo/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oid oid = fuzz_store("tree", data, size);
    _cleanup_(tree_unrefp) struct tree *tree = NULL;
    _cleanup_free_ char *objects = xasprintf("%s/objects", repo_common_dir(fuzz_repo()));

    if (tree_load(fuzz_repo(), &oid, &tree) == 0)
        for (size_t i = 0; i < tree->n; i++) {
            const char *name = tree->entries[i].name;
            assert(!i || strcmp(tree->entries[i - 1].name, name) < 0);
            assert(*name && strlen(name) <= 255 && !strchr(name, '/') && strcmp(name, "..") &&
                   strcmp(name, "."));
            assert(tree_find(tree, name) == &tree->entries[i]);
        }
    _cleanup_free_ char *path = loose_where(objects, &oid);
    unlink(path);
    return 0;
}

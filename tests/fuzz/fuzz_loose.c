/* A loose object's file. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/loose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct oid oid;
    _cleanup_free_ char *dir = xasprintf("%s/00", fuzz_dir());
    _cleanup_free_ char *path = xasprintf("%s/out", fuzz_dir());
    _cleanup_free_ void *got = NULL;
    git_object_t type;
    uint64_t len;
    size_t n;

    mkdir(dir, 0700);
    fuzz_write("00/00000000000000000000000000000000000000", data, size);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    loose_header(fuzz_dir(), &oid, &type, &len);
    if (loose_load(fuzz_dir(), &oid, 1 << 20, &type, &got, &n) == 0)
        loose_spill(fuzz_dir(), &oid, fd, &type, &len);
    loose_remove_broken(fuzz_dir(), &oid);
    return 0;
}

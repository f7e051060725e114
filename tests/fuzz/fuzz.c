#include "fuzz.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "repo/hash.h"

static char *dir;
static struct repo *repo;

static void end(void)
{
    repo_free(repo);
    io_remove_tree(AT_FDCWD, dir);
    free(dir);
}

const char *fuzz_dir(void)
{
    const char *tmp = getenv("TMPDIR");

    if (!dir) {
        dir = xasprintf("%s/onward-fuzz-XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(dir))
            abort();
        atexit(end);
    }
    return dir;
}

struct repo *fuzz_repo(void)
{
    if (!repo) {
        _cleanup_free_ char *path = xasprintf("%s/repo", fuzz_dir());
        git_repository *git;
        git_libgit2_init();
        assert(git_repository_init(&git, path, 1) == 0);
        git_repository_free(git);
        assert(repo_open(path, &repo, NULL) == 0);
    }
    return repo;
}

void fuzz_write(const char *path, const void *data, size_t len)
{
    _cleanup_free_ char *full = xasprintf("%s/%s", fuzz_dir(), path);
    _cleanup_close_ int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert(fd >= 0 && io_write_full(fd, data, len) == 0);
}

struct oid fuzz_store(const char *type, const void *data, size_t len)
{
    _cleanup_(buf_done) struct buf plain = {0};
    char hex[OID_HEX + 1];
    struct oid oid;

    fuzz_repo();
    buf_addf(&plain, "%s %zu", type, len);
    buf_addc(&plain, 0);
    buf_add(&plain, data, len);
    assert(hash_bare(plain.data, plain.len, &oid) == 0);
    uLongf n = compressBound(plain.len);
    _cleanup_free_ Bytef *out = xmalloc(n);
    assert(compress2(out, &n, (const Bytef *)plain.data, plain.len, 1) == Z_OK);
    oid_hex(&oid, hex);
    _cleanup_free_ char *parent = xasprintf("%s/repo/objects/%.2s", fuzz_dir(), hex);
    _cleanup_free_ char *path = xasprintf("repo/objects/%.2s/%s", hex, hex + 2);
    mkdir(parent, 0777);
    fuzz_write(path, out, n);
    return oid;
}

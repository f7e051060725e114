#include "repo/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"

#define PIECE (256u << 10)

/* One context for each thread: making one costs as much as hashing a small object. */
static pthread_key_t context;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *sha1; /* fetched once: a fetch takes locks */

static void free_context(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void setup(void)
{
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    if (pthread_key_create(&context, free_context))
        abort();
}

/* NULL: OpenSSL has no memory or no SHA-1. */
static EVP_MD_CTX *begin_bare(void)
{
    EVP_MD_CTX *ctx;

    pthread_once(&once, setup);
    ctx = pthread_getspecific(context);
    if (!ctx) {
        ctx = EVP_MD_CTX_new();
        pthread_setspecific(context, ctx);
    }
    return ctx && sha1 && EVP_DigestInit_ex2(ctx, sha1, NULL) ? ctx : NULL;
}

/* The header, which comes first. */
static bool add_header(EVP_MD_CTX *ctx, git_object_t type, uint64_t size)
{
    char header[64];
    int len = snprintf(header, sizeof(header), "%s %" PRIu64, git_object_type2string(type), size);

    return EVP_DigestUpdate(ctx, header, len + 1);
}

/* Starts the hash of an object. */
static EVP_MD_CTX *begin(git_object_t type, uint64_t size)
{
    EVP_MD_CTX *ctx = begin_bare();

    return ctx && add_header(ctx, type, size) ? ctx : NULL;
}

static int end(EVP_MD_CTX *ctx, struct oid *ret)
{
    return EVP_DigestFinal_ex(ctx, ret->id, NULL) ? 0 : -ENOMEM;
}

int hash_data(git_object_t type, const void *data, size_t size, struct oid *ret)
{
    EVP_MD_CTX *ctx = begin(type, size);

    return ctx && EVP_DigestUpdate(ctx, data, size) ? end(ctx, ret) : -ENOMEM;
}

/* Adds the first `size` bytes of a file, and ends. */
static int end_file(EVP_MD_CTX *ctx, int fd, uint64_t size, int copy, off_t at, struct oid *ret)
{
    _cleanup_free_ char *piece = xmalloc(PIECE);
    ssize_t n;

    for (uint64_t done = 0; ctx && done < size; done += n) {
        n = pread(fd, piece, size - done < PIECE ? size - done : PIECE, done);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        int r = copy < 0 ? 0 : io_pwrite_full(copy, piece, n, at + done);
        if (r < 0)
            return r;
        if (!EVP_DigestUpdate(ctx, piece, n))
            return -ENOMEM;
    }
    return ctx ? end(ctx, ret) : -ENOMEM;
}

int hash_file(git_object_t type, int fd, uint64_t size, int copy, off_t at, struct oid *ret)
{
    return end_file(begin(type, size), fd, size, copy, at, ret);
}

struct hash {
    EVP_MD_CTX *ctx;
};

struct hash *hash_new(git_object_t type, uint64_t size)
{
    _cleanup_(hash_freep) struct hash *h = NEW(struct hash);

    pthread_once(&once, setup);
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx || !sha1 || !EVP_DigestInit_ex2(h->ctx, sha1, NULL) ||
        !add_header(h->ctx, type, size))
        return NULL;
    return TAKE(h);
}

void hash_free(struct hash *h)
{
    if (h)
        EVP_MD_CTX_free(h->ctx);
    free(h);
}

int hash_add(struct hash *h, const void *data, size_t size)
{
    return EVP_DigestUpdate(h->ctx, data, size) ? 0 : -ENOMEM;
}

int hash_end(struct hash *h, struct oid *ret)
{
    return end(h->ctx, ret);
}

int hash_bare(const void *data, size_t size, struct oid *ret)
{
    EVP_MD_CTX *ctx = begin_bare();

    return ctx && EVP_DigestUpdate(ctx, data, size) ? end(ctx, ret) : -ENOMEM;
}

int hash_bare_file(int fd, uint64_t size, struct oid *ret)
{
    return end_file(begin_bare(), fd, size, -1, 0, ret);
}

static int compare(const struct oid *want, const struct oid *real, int r)
{
    return r < 0 ? r : oid_equal(want, real) ? 0 : -EBADMSG;
}

int hash_verify(const struct oid *oid, git_object_t type, const void *data, size_t size)
{
    struct oid real;
    int r = hash_data(type, data, size, &real);

    return compare(oid, &real, r);
}

int hash_verify_fd(const struct oid *oid, git_object_t type, int fd, uint64_t size)
{
    struct oid real;
    int r = hash_file(type, fd, size, -1, 0, &real);

    return r == -EIO ? -EBADMSG : compare(oid, &real, r);
}

/* The id of an object, from its content: SHA-1 by OpenSSL, which uses the CPU's instructions for it
 * (three times as fast as libgit2's, which also looks for known attacks on SHA-1; what comes by
 * libgit2 is still checked by that one). Thread-safe. Inside src/repo only. */
#ifndef ONWARD_REPO_HASH_H
#define ONWARD_REPO_HASH_H

#include <git2.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "repo/oid.h"

/* The id of these bytes as an object of this type. -ENOMEM. */
int hash_data(git_object_t type, const void *data, size_t size, struct oid *ret);
/* The same of the first `size` bytes of the file `fd`, which are copied to `copy` (-1: to nowhere),
 * from `at` on, as they are read. -EIO: it is shorter; errors of the files as they come. */
int hash_file(git_object_t type, int fd, uint64_t size, int copy, off_t at, struct oid *ret);

/* The id of an object that comes in pieces. NULL: OpenSSL has no memory. */
struct hash;
struct hash *hash_new(git_object_t type, uint64_t size);
/* NULL is allowed. */
void hash_free(struct hash *h);
DEFINE_CLEANUP(struct hash *, hash_free)
/* -ENOMEM. */
int hash_add(struct hash *h, const void *data, size_t size);
int hash_end(struct hash *h, struct oid *ret);

/* The SHA-1 of bytes as they are, which packs end in; of the first `size` bytes of a file. */
int hash_bare(const void *data, size_t size, struct oid *ret);
int hash_bare_file(int fd, uint64_t size, struct oid *ret);

/* Whether these bytes, as an object of this type, have the id `oid`. 0; -EBADMSG: they have
 * another; -ENOMEM: OpenSSL cannot say. */
int hash_verify(const struct oid *oid, git_object_t type, const void *data, size_t size);
/* The same of the first `size` bytes of a file. -EBADMSG also when it is shorter. */
int hash_verify_fd(const struct oid *oid, git_object_t type, int fd, uint64_t size);

#endif

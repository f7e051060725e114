/* What the fuzz targets share. Each is a file with LLVMFuzzerTestOneInput(), which is linked with
 * libFuzzer (scripts/fuzz) or with replay.c, which gives it the files of its corpus: what once went
 * wrong, and seeds. */
#ifndef ONWARD_TESTS_FUZZ_H
#define ONWARD_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "repo/oid.h"
#include "repo/repo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A directory of this process, removed when it ends. */
const char *fuzz_dir(void);
/* An empty repository in it, opened. */
struct repo *fuzz_repo(void);
/* Writes dir/path, which has its directories already. */
void fuzz_write(const char *path, const void *data, size_t len);
/* Stores the bytes in the repository as an object of this type, whatever they are. */
struct oid fuzz_store(const char *type, const void *data, size_t len);

#endif

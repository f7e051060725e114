/* What git says is in a repository, against what our packs say. */
#ifndef ONWARD_TESTS_REPO_PACK_ORACLE_H
#define ONWARD_TESTS_REPO_PACK_ORACLE_H

#include "testlib.h"

#include "repo/packs.h"

struct pack_oracle {
    size_t objects, absent; /* compared; not found by us, such as loose ones */
    uint64_t bytes;
};

/* Reads every object that `git cat-file` knows in the repository `git_dir`, header and content, by
 * `packs` as well. What we find must be the same byte for byte, or the test fails. */
struct pack_oracle pack_oracle_compare(struct packs *packs, const char *git_dir);

#endif

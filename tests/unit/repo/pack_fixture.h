/* A bare repository whose history is in packs: what the tests of packs read. */
#ifndef ONWARD_TESTS_REPO_PACK_FIXTURE_H
#define ONWARD_TESTS_REPO_PACK_FIXTURE_H

#include "testlib.h"

#include "base/alloc.h"
#include "repo/packs.h"

#define PACKED_BASES (8 << 20)

struct packed {
    char *dir, *path; /* temporary; dir/repo.git */
    struct packs *packs;
};

int packed_setup(void **state);
int packed_teardown(void **state);

/* Puts all into one pack with chains of fifty deltas and more, which say where their base is by
 * offset, or by id. */
void packed_repack(struct packed *f, bool by_offset);
/* Opens f->packs anew. */
void packed_open(struct packed *f, size_t bases);
/* What packs_read() says of the copy that is found first; the caller frees the content. */
int packed_read(struct packs *packs, const struct oid *oid, uint64_t most, git_object_t *ret_type,
                void **ret, size_t *ret_size);
/* Writes the object to a new file; returns what packs_spill() did and, if that is 0, the content,
 * for the caller to free. */
int packed_spill(struct packs *packs, const struct oid *oid, const char *dir, char **ret,
                 size_t *ret_size);

/* A test with a fixture of its own. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, packed_setup, packed_teardown)

#endif

/* Packs made by hand, right or wrong as the test wants them. Ids are made up: what reads packs does
 * not verify them. */
#ifndef ONWARD_TESTS_REPO_PACK_MAKER_H
#define ONWARD_TESTS_REPO_PACK_MAKER_H

#include "testlib.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "repo/packs.h"

enum { COMMIT = 1, TREE, BLOB, TAG, OFS_DELTA = 6, REF_DELTA };

struct made_object {
    struct oid oid;
    uint64_t at;
};

struct pack_maker {
    struct buf pack;
    VEC(struct made_object) objects;
};

/* The id number `n`: bytes that are spread over the index. */
struct oid made_id(uint32_t n);

void pack_maker_init(struct pack_maker *m);
void pack_maker_done(struct pack_maker *m);
/* Begins an entry: id, type, the size it says it has. Returns its offset. Base and content follow:
 */
uint64_t pack_maker_entry(struct pack_maker *m, uint32_t id, int type, uint64_t size);
void pack_maker_distance(struct pack_maker *m, uint64_t distance);
void pack_maker_base(struct pack_maker *m, uint32_t id);
void pack_maker_deflate(struct pack_maker *m, const void *data, size_t len);
/* A whole blob with this text. Returns its offset. */
uint64_t pack_maker_blob(struct pack_maker *m, uint32_t id, const char *text);
/* A delta with these bytes, on the base at offset `base`. Returns its offset. */
uint64_t pack_maker_delta(struct pack_maker *m, uint32_t id, uint64_t base,
                          const struct buf *delta);

/* Writes name.pack and name.idx to `dir`. */
void pack_maker_write(struct pack_maker *m, const char *dir, const char *name);

/* A fixture: a directory of objects with one pack, made by hand. */
struct made {
    char *dir, *pack_dir; /* temporary; dir/pack */
    struct pack_maker m;
    struct packs *packs;
};

int made_setup(void **state);
int made_teardown(void **state);
/* Writes the pack and opens the directory. */
void made_open(struct made *f);

/* A test with a fixture of its own. */
#define MADE(function) cmocka_unit_test_setup_teardown(function, made_setup, made_teardown)

/* The parts of a delta. */
void delta_sizes(struct buf *delta, uint64_t base, uint64_t result);
void delta_copy(struct buf *delta, uint32_t from, uint32_t len);
void delta_insert(struct buf *delta, const char *text);

#endif

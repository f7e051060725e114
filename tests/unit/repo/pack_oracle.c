#include "pack_oracle.h"

#include "pack_fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/cleanup.h"

/* One object, as git gives it. */
struct told {
    struct oid oid;
    git_object_t type;
    size_t size;
    char *data;
};

static bool next_told(FILE *git, struct told *o)
{
    char hex[OID_HEX + 1], type[16];
    uint64_t size;

    if (fscanf(git, "%40s %15s %" SCNu64, hex, type, &size) != 3)
        return false;
    assert_int_equal(oid_parse(hex, &o->oid), 0);
    o->type = git_object_string2type(type);
    o->size = size;
    o->data = xrealloc(o->data, size + 1, 1);
    assert_int_equal(fgetc(git), '\n');
    assert_int_equal(fread(o->data, 1, size, git), size);
    assert_int_equal(fgetc(git), '\n');
    return true;
}

static void compare_one(struct packs *packs, const struct told *o, struct pack_oracle *sum)
{
    char hex[OID_HEX + 1];
    git_object_t type, head_type;
    uint64_t head_size;
    size_t size;
    void *data;
    int r = packs_header(packs, &o->oid, &head_type, &head_size);

    if (r == -ENOENT) {
        sum->absent++;
        return;
    }
    if (r < 0 || head_type != o->type || head_size != o->size)
        fail_msg("header of %s: %d, type %d, size %" PRIu64, oid_hex(&o->oid, hex), r, head_type,
                 head_size);
    r = packed_read(packs, &o->oid, UINT64_MAX, &type, &data, &size);
    if (r < 0 || type != o->type || size != o->size || memcmp(data, o->data, size) ||
        ((char *)data)[size])
        fail_msg("content of %s: %d", oid_hex(&o->oid, hex), r);
    free(data);
    sum->objects++;
    sum->bytes += size;
}

struct pack_oracle pack_oracle_compare(struct packs *packs, const char *git_dir)
{
    _cleanup_free_ char *command = xasprintf(
        "git --git-dir='%s' cat-file --batch-all-objects --unordered --batch --buffer", git_dir);
    struct pack_oracle sum = {0};
    struct told o = {0};
    FILE *git = popen(command, "r");

    assert_non_null(git);
    while (next_told(git, &o))
        compare_one(packs, &o, &sum);
    assert_true(feof(git));
    assert_int_equal(pclose(git), 0);
    free(o.data);
    return sum;
}

#include "repo/merge_file.h"

#include <errno.h>
#include <git2.h>

#include "repo/giterr.h"
#include "repo/handle.h"

#define TEXT_MOST (64u << 20) /* larger files are not compared by lines */

static git_merge_file_input input_of(const struct blob *blob)
{
    git_merge_file_input in = GIT_MERGE_FILE_INPUT_INIT;

    in.ptr = blob->data;
    in.size = blob->size;
    return in;
}

/* Merges the lines and writes the result. 1 if they conflict, or are none: libgit2 takes a file
 * with a NUL for a binary one. */
static int merge_lines(struct repo *repo, const struct blob *base, const struct blob *ours,
                       const struct blob *theirs, struct oid *ret, struct diag *reterr)
{
    git_merge_file_input b = input_of(base), o = input_of(ours), t = input_of(theirs);
    git_merge_file_result merged = {0};
    int code = git_merge_file(&merged, &b, &o, &t, NULL);

    if (code < 0)
        return giterr_fail(code, reterr, "cannot merge");
    int r = merged.automergeable ? blob_write(repo, merged.ptr, merged.len, ret, reterr) : 1;
    git_merge_file_result_free(&merged);
    return r;
}

/* 1 if it is too large. */
static int load_text(struct repo *repo, const struct oid *oid, struct blob **ret)
{
    uint64_t size;
    int r = blob_size(repo, oid, &size);

    if (r < 0)
        return r;
    if (size > TEXT_MOST)
        return 1;
    return blob_load(repo, oid, ret);
}

static int merge_contents(struct repo *repo, const struct oid *base, const struct oid *ours,
                          const struct oid *theirs, struct oid *ret, struct diag *reterr)
{
    _cleanup_(blob_unrefp) struct blob *b = NULL, *o = NULL, *t = NULL;
    int r = load_text(repo, base, &b);

    if (r == 0)
        r = load_text(repo, ours, &o);
    if (r == 0)
        r = load_text(repo, theirs, &t);
    return r ? r : merge_lines(repo, b, o, t, ret, reterr);
}

int merge_file(struct repo *repo, const struct tree_entry *base, const struct tree_entry *ours,
               const struct tree_entry *theirs, struct tree_entry *ret, struct diag *reterr)
{
    *ret = *ours;
    ret->kind = ours->kind == base->kind ? theirs->kind : ours->kind;
    if (oid_equal(&ours->oid, &theirs->oid) || oid_equal(&base->oid, &theirs->oid))
        return 0;
    if (oid_equal(&base->oid, &ours->oid)) {
        ret->oid = theirs->oid;
        return 0;
    }
    return merge_contents(repo, &base->oid, &ours->oid, &theirs->oid, &ret->oid, reterr);
}

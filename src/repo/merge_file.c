#include "repo/merge_file.h"

#include <errno.h>
#include <git2.h>

#include "repo/giterr.h"
#include "repo/handle.h"

#define TEXT_MOST (64u << 20) /* larger files are not compared by lines */

/* The contents of the three sides; the base may be NULL. */
struct texts {
    struct blob *base, *ours, *theirs;
};

static void texts_done(struct texts *t)
{
    blob_unref(t->base);
    blob_unref(t->ours);
    blob_unref(t->theirs);
}

static git_merge_file_input input_of(const struct blob *blob)
{
    git_merge_file_input in = GIT_MERGE_FILE_INPUT_INIT;

    in.ptr = blob ? blob->data : "";
    in.size = blob ? blob->size : 0;
    return in;
}

/* What came out of it, if it can be kept: 0, 1 or 2 as merge_file(). */
static int judge(const git_merge_file_result *merged, const struct merge_sides *marks)
{
    if (merged->automergeable)
        return 0;
    return marks && merged->ptr && merged->len <= MERGE_MARKED_MOST ? 2 : 1;
}

/* Merges the lines and puts the result. Files that are no text have none: libgit2 takes a file
 * with a NUL for a binary one. With marks, theirs comes first. */
static int merge_lines(struct sink *sink, const struct texts *t, const struct merge_sides *marks,
                       struct oid *ret, struct diag *reterr)
{
    git_merge_file_options opts = GIT_MERGE_FILE_OPTIONS_INIT;
    git_merge_file_input base = input_of(t->base), ours = input_of(t->ours),
                         theirs = input_of(t->theirs);
    git_merge_file_result merged = {0};

    opts.our_label = marks ? marks->theirs_name : NULL;
    opts.their_label = marks ? marks->ours_name : NULL;
    int code = git_merge_file(&merged, &base, &theirs, &ours, &opts);
    if (code < 0)
        return giterr_fail(code, reterr, "cannot merge");
    int how = judge(&merged, marks);
    int r = how == 1 ? 0 : sink_blob(sink, merged.ptr, merged.len, ret, reterr);
    git_merge_file_result_free(&merged);
    return r < 0 ? r : how;
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

static bool has_many_lines(const struct blob *blob)
{
    return blob && blob_lines(blob) > BLOB_LINES_MOST;
}

static int merge_contents(const struct sink_place *place, const struct three *e,
                          const struct merge_sides *marks, struct oid *ret, struct diag *reterr)
{
    _cleanup_(texts_done) struct texts t = {0};
    int r = e->base ? load_text(place->repo, &e->base->oid, &t.base) : 0;

    if (r == 0)
        r = load_text(place->repo, &e->ours->oid, &t.ours);
    if (r == 0)
        r = load_text(place->repo, &e->theirs->oid, &t.theirs);
    if (r == 0)
        r = has_many_lines(t.base) || has_many_lines(t.ours) || has_many_lines(t.theirs);
    return r ? r : merge_lines(place->sink, &t, marks, ret, reterr);
}

int merge_file(const struct sink_place *place, const struct three *e,
               const struct merge_sides *marks, struct tree_entry *ret, struct diag *reterr)
{
    const struct tree_entry *base = e->base, *ours = e->ours, *theirs = e->theirs;

    *ret = *ours;
    if (!base) /* without marks, what both added differently is nobody's to mix */
        return !marks || oid_equal(&ours->oid, &theirs->oid)
                   ? 1
                   : merge_contents(place, e, marks, &ret->oid, reterr);
    ret->kind = ours->kind == base->kind ? theirs->kind : ours->kind;
    if (oid_equal(&ours->oid, &theirs->oid) || oid_equal(&base->oid, &theirs->oid))
        return 0;
    if (oid_equal(&base->oid, &ours->oid)) {
        ret->oid = theirs->oid;
        return 0;
    }
    return merge_contents(place, e, marks, &ret->oid, reterr);
}

#include "repo/refs.h"

#include <errno.h>
#include <git2.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/source.h"

#define LOAD_PATIENCE (2 * NS_PER_SEC)

struct refs_object {
    struct refs refs;
    atomic_uint count;
    size_t cap;
};

static struct refs_object *object_of(struct refs *refs)
{
    return container_of(refs, struct refs_object, refs);
}

struct refs *refs_ref(struct refs *refs)
{
    atomic_fetch_add(&object_of(refs)->count, 1);
    return refs;
}

void refs_unref(struct refs *refs)
{
    if (!refs || atomic_fetch_sub(&object_of(refs)->count, 1) != 1)
        return;
    for (size_t i = 0; i < refs->n; i++)
        free(refs->v[i].name);
    free(refs->v);
    free(object_of(refs));
}

/* What `ref` names in the end; for a tag in packed-refs, what that says it leads to, which spares
 * reading the tag. libgit2 looks even a direct one up again to resolve it. */
static int final_target(const git_reference *ref, git_oid *ret)
{
    git_reference *direct = NULL;

    if (git_reference_type(ref) == GIT_REFERENCE_DIRECT) {
        const git_oid *peeled = git_reference_target_peel(ref);
        git_oid_cpy(ret, peeled ? peeled : git_reference_target(ref));
        return 0;
    }
    int code = git_reference_resolve(&direct, ref);
    if (code == 0)
        git_oid_cpy(ret, git_reference_target(direct));
    git_reference_free(direct);
    return code;
}

/* The refs that somebody here looks at. A mirror of a forge has tens of thousands of others
 * (refs/pull/…), and each one costs the reading of an object. */
static const char *const spaces[] = {"refs/heads/", "refs/remotes/", "refs/tags/", "refs/onward/"};

/* Is it in one of them (`prefix` NULL), or below the prefix? */
static bool is_wanted(const char *name, const char *prefix)
{
    if (prefix)
        return !strncmp(name, prefix, strlen(prefix));
    for (size_t i = 0; i < ARRAY_SIZE(spaces); i++)
        if (!strncmp(name, spaces[i], strlen(spaces[i])))
            return true;
    return false;
}

/* Which refs are wanted, and what is known already. */
struct load {
    const char *prefix;       /* NULL: all of ours */
    const struct refs *known; /* may be NULL */
};

static struct oid peel(struct handle *h, const struct load *l, const char *name,
                       const struct oid *named)
{
    const struct ref *k = l->known ? refs_find(l->known, name) : NULL;

    return k && oid_equal(&k->named, named) && !oid_is_zero(&k->target)
               ? k->target
               : source_peel(h->repo->source, named);
}

static void add_ref(struct handle *h, const struct load *l, struct refs_object *o,
                    const git_reference *ref)
{
    const char *name = git_reference_name(ref);
    git_oid target;

    if (final_target(ref, &target) < 0)
        return;
    struct oid named = oid_from_git(&target);
    if (o->refs.n == o->cap) {
        o->cap = o->cap ? o->cap * 2 : 64;
        o->refs.v = xrealloc(o->refs.v, o->cap, sizeof(*o->refs.v));
    }
    o->refs.v[o->refs.n++] = (struct ref){
        .name = xstrdup(name),
        .named = named,
        .target = peel(h, l, name, &named),
    };
}

static int compare_refs(const void *a, const void *b)
{
    return strcmp(((const struct ref *)a)->name, ((const struct ref *)b)->name);
}

static int load_once(struct handle *h, const struct load *l, struct refs **ret)
{
    _cleanup_(refs_unrefp) struct refs *refs = &NEW(struct refs_object)->refs;
    git_reference_iterator *it = NULL;
    git_reference *ref;

    object_of(refs)->count = 1;
    int code = git_reference_iterator_new(&it, h->git);
    while (code == 0 && (code = git_reference_next(&ref, it)) == 0) {
        if (is_wanted(git_reference_name(ref), l->prefix))
            add_ref(h, l, object_of(refs), ref);
        git_reference_free(ref);
    }
    git_reference_iterator_free(it);
    if (code != GIT_ITEROVER)
        return code;
    if (refs->n)
        qsort(refs->v, refs->n, sizeof(*refs->v), compare_refs);
    *ret = TAKE(refs);
    return 0;
}

/* Confirming. libgit2's iterator passes over a loose ref that it cannot open, for whatever reason,
 * and gives the older value that packed-refs has instead, or nothing. Its lookup says what is
 * wrong. So what is not as it was is looked up before it counts. */

/* Is `ref` (NULL: nothing) what there is of that name? GIT_EMODIFIED: no. A ref without sense is
 * as good as none: that is its own trouble; what cannot be read now is everybody's. */
static int confirm(struct handle *h, const char *name, const struct ref *ref)
{
    git_reference *found = NULL;
    git_oid named;
    int code = git_reference_lookup(&found, h->git, name);

    if (code < 0 && code != GIT_ENOTFOUND && giterr_is_system())
        return code;
    bool there = code == 0 && final_target(found, &named) == 0;
    git_reference_free(found);
    if (there != (ref != NULL))
        return GIT_EMODIFIED;
    return !there || git_oid_equal(oid_git(&ref->named), &named) ? 0 : GIT_EMODIFIED;
}

/* The next of both sorted lists: in one of them, or in both, of the same name. */
static int next_pair(const struct refs *refs, const struct refs *known, size_t *r, size_t *k,
                     const struct ref *ret[2])
{
    const struct ref *a = *r < refs->n ? &refs->v[*r] : NULL;
    const struct ref *b = *k < known->n ? &known->v[*k] : NULL;
    int order = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);

    ret[0] = a && order <= 0 ? a : NULL;
    ret[1] = b && order >= 0 ? b : NULL;
    *r += ret[0] != NULL;
    *k += ret[1] != NULL;
    return ret[0] || ret[1];
}

/* What is in one list only, or has another value there. */
static int confirm_changes(struct handle *h, const struct refs *refs, const struct refs *known)
{
    const struct ref *pair[2];
    size_t r = 0, k = 0;
    int code = 0;

    while (code == 0 && next_pair(refs, known, &r, &k, pair))
        if (!pair[0] || !pair[1] || !oid_equal(&pair[0]->named, &pair[1]->named))
            code = confirm(h, (pair[0] ? pair[0] : pair[1])->name, pair[0]);
    return code;
}

/* What `packed-refs` is at the moment; zero if it is not there. */
static struct stat packed_stamp(const struct repo *repo)
{
    _cleanup_free_ char *path = xasprintf("%s/packed-refs", repo->common_dir);
    struct stat st = {0};

    if (stat(path, &st) < 0)
        return (struct stat){0};
    return st;
}

static bool same_stamp(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Packing puts a new packed-refs in place and then deletes the loose files. Who has read the old
 * packed-refs and then looks for the loose files finds neither, or an older value. So a list counts
 * only if packed-refs was the same before and after it was made. */
static int load(struct repo *repo, const struct load *l, struct refs **ret, struct diag *reterr)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    int64_t until = clock_mono() + LOAD_PATIENCE;
    int code = 0, r = handle_borrow(repo, &h, reterr);

    if (r < 0)
        return r;
    do {
        _cleanup_(refs_unrefp) struct refs *refs = NULL;
        struct stat before = packed_stamp(repo);
        code = load_once(h, l, &refs);
        if (code == 0 && l->known)
            code = confirm_changes(h, refs, l->known);
        struct stat after = packed_stamp(repo);
        if (code == 0 && same_stamp(&before, &after)) {
            *ret = TAKE(refs);
            return 0;
        }
    } while ((code == 0 || code == GIT_EMODIFIED) && clock_mono() < until);
    if (code == 0 || code == GIT_EMODIFIED)
        return diag_fail(reterr, -EAGAIN, "the refs of %s change again and again", repo->path);
    return giterr_fail(code, reterr, "cannot read the refs of %s", repo->path);
}

int refs_load(struct repo *repo, struct refs **ret, struct diag *reterr)
{
    return refs_reload(repo, NULL, ret, reterr);
}

int refs_reload(struct repo *repo, const struct refs *known, struct refs **ret, struct diag *reterr)
{
    return load(repo, &(struct load){.known = known}, ret, reterr);
}

int refs_load_below(struct repo *repo, const char *prefix, struct refs **ret, struct diag *reterr)
{
    return load(repo, &(struct load){.prefix = prefix}, ret, reterr);
}

const struct ref *refs_find(const struct refs *refs, const char *name)
{
    size_t at = refs_first(refs, name);

    return at < refs->n && !strcmp(refs->v[at].name, name) ? &refs->v[at] : NULL;
}

size_t refs_first(const struct refs *refs, const char *prefix)
{
    size_t low = 0, high = refs->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(refs->v[mid].name, prefix) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int ref_read(struct repo *repo, const char *name, struct oid *ret)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    git_oid direct;
    int r = handle_borrow(repo, &h, NULL);

    if (r < 0)
        return r;
    int code = git_reference_name_to_id(&direct, h->git, name);
    if (code == GIT_ENOTFOUND || code == GIT_EINVALIDSPEC)
        return -ENOENT;
    if (code < 0)
        return giterr_errno(code);
    struct oid start = oid_from_git(&direct), commit = source_peel(repo->source, &start);
    if (oid_is_zero(&commit))
        return -ENOENT;
    *ret = commit;
    return 0;
}

int ref_check(struct repo *repo, const char *name, struct diag *reterr)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    _cleanup_(unpacked_done) struct unpacked raw = {0};
    _cleanup_(buf_done) struct buf why = {0};
    char hex[OID_HEX + 1];
    git_oid id;
    int r = handle_borrow(repo, &h, reterr);

    if (r < 0)
        return r;
    int code = git_reference_name_to_id(&id, h->git, name);
    if (code == GIT_ENOTFOUND || code == GIT_EINVALIDSPEC)
        return 0;
    if (code < 0)
        return diag_fail(reterr, giterr_errno(code),
                         "cannot read the file %s/%s: %s; write the id of its last commit there, "
                         "which %s/logs/%s may have",
                         repo->common_dir, name, giterr_text(), repo->common_dir, name);
    struct oid named = oid_from_git(&id), commit = source_peel(repo->source, &named);
    struct oid *last = oid_is_zero(&commit) ? &named : &commit;
    r = source_read(repo->source, last, COMMIT_MOST, &raw);
    if (r == 0 && raw.type == GIT_OBJECT_COMMIT)
        return 0;
    if (r == 0)
        buf_adds(&why, "no commit");
    else
        source_explain(repo->source, last, &why);
    return diag_fail(reterr, -EIO,
                     "%s leads to %s, which is %s; fetch it from another clone, or move the branch "
                     "to a commit that is whole: git -C %s update-ref %s COMMIT",
                     name, oid_hex(last, hex), buf_str(&why), repo->path, name);
}

int ref_head_branch(struct repo *repo, char **ret)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    git_reference *head = NULL;
    int r = handle_borrow(repo, &h, NULL);

    if (r < 0)
        return r;
    int code = git_reference_lookup(&head, h->git, "HEAD");
    if (code < 0)
        return giterr_errno(code);
    const char *target = git_reference_symbolic_target(head);
    if (target)
        *ret = xstrdup(target);
    git_reference_free(head);
    return target ? 0 : -ENOENT;
}

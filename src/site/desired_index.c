/* Since when a site takes what it takes, out of the history index: the answer of desired_walk.c,
 * without walking.
 *
 * A site's desired revision is the newer of two. The one that last changed the content of its
 * source or includes is a question to the index. The other one is the newest whose parent declares
 * the site differently, or not at all. Only declarations younger than the content matter for that:
 * behind it the answer is found anyway.
 *
 * The line falls into spans, over each of which onward.yaml is one blob. What a blob declares still
 * depends on the directories that its patterns find. But as long as a site's content has not
 * changed, its own source is there: whether a pattern finds that cannot change. So within a span
 * the site is declared the same at all revisions whose declaration is right, and one of them is
 * enough, unless the site has namesakes: other directories that a pattern would take for the same
 * site, were they there. The index knows all directories that ever were, so it is known who has
 * namesakes, and when those came and went; then another revision of the span is looked at. A
 * revision whose declaration is wrong (which counts as "declared as now") says nothing of the rest
 * of its span: the next older one that is right does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/map.h"
#include "repo/diff.h"
#include "repo/revision.h"
#include "site/discover.h"
#include "site/inputs.h"

struct answer {
    uint32_t pos; /* of the newest change that is known */
    path_id source;
    bool open; /* its declaration may have changed after that */
};

/* A path that the patterns at hand would take for a site that lives elsewhere. */
struct namesake {
    size_t site;
    path_id path;
};

struct question {
    struct repo *repo;
    struct history_index *ix;
    const struct site *const *sites;
    size_t n;
    const bool *cancel;
    uint32_t head;
    struct answer *answers; /* one for each site */
    uint32_t least;         /* position of any open answer */
    struct map by_name;     /* site → index + 1 */
    struct map content;     /* include → position of its newest change + 1 */
    struct map judged;      /* blobs of onward.yaml that need not be looked at again */
    struct buf patterns;    /* that the namesakes are for */
    VEC(struct namesake) namesakes;
};

static void question_done(struct question *q)
{
    free(q->answers);
    map_done(&q->by_name, NULL);
    map_done(&q->content, NULL);
    map_done(&q->judged, NULL);
    buf_done(&q->patterns);
    free(q->namesakes.v);
}

static int cancelled(const struct question *q)
{
    return q->cancel && __atomic_load_n(q->cancel, __ATOMIC_RELAXED) ? -ECANCELED : 0;
}

/* ---- the content ---- */

/* The newest change of a path as of head: what never was there has not changed since the first
 * revision. */
static int content_change(struct question *q, const char *path, path_id *ret_id, uint32_t *ret)
{
    struct history_change change = {0};
    int r = history_index_path(q->ix, strcmp(path, ".") ? path : "", ret_id);

    if (r == 0)
        r = history_index_last_change(q->ix, *ret_id, q->head, &change);
    if (r == 0 || r == -ENOENT)
        *ret = change.pos;
    return r == -ENOENT ? 0 : r;
}

/* The same for an include, which many sites share. */
static int include_change(struct question *q, const char *path, uint32_t *ret)
{
    uintptr_t known = (uintptr_t)map_get(&q->content, path);
    path_id id;

    if (known) {
        *ret = (uint32_t)(known - 1);
        return 0;
    }
    int r = content_change(q, path, &id, ret);
    if (r == 0)
        map_put(&q->content, path, (void *)((uintptr_t)*ret + 1));
    return r;
}

static int ask_content(struct question *q, size_t i)
{
    struct answer *a = &q->answers[i];

    a->open = true;
    a->source = PATH_ROOT;
    int r = content_change(q, q->sites[i]->source, &a->source, &a->pos);
    for (size_t k = 0; r == 0 && k < q->sites[i]->include.n; k++) {
        uint32_t pos = 0;
        r = include_change(q, q->sites[i]->include.v[k], &pos);
        a->pos = MAX(a->pos, pos);
    }
    q->least = MIN(q->least, a->pos);
    map_put(&q->by_name, q->sites[i]->name, (void *)(uintptr_t)(i + 1));
    return r;
}

/* ---- the spans ---- */

/* Revisions with the same onward.yaml. */
struct span {
    uint32_t bottom, top; /* the oldest and the newest of them */
    char blob[OID_HEX + 1];
};

struct spans {
    VEC(struct span); /* newest first */
    uint32_t top;     /* of the next one */
    uint32_t least;   /* what ends before that does not matter */
};

static void spans_done(struct spans *s)
{
    free(s->v);
}

static void add_span(struct spans *s, uint32_t bottom, const struct oid *blob)
{
    struct span *span = VEC_ADD(s);

    span->bottom = bottom;
    span->top = s->top;
    oid_hex(blob, span->blob);
    s->top = bottom - 1;
}

static int on_declaration(const struct history_change *change, void *arg)
{
    static const struct oid none;
    struct spans *s = arg;

    add_span(s, change->pos, change->there ? &change->oid : &none);
    return change->pos <= s->least;
}

static int find_spans(struct question *q, struct spans *ret)
{
    static const struct oid none;
    path_id path;
    int r = history_index_path(q->ix, DECLARATION_FILE, &path);

    ret->top = q->head;
    ret->least = q->least;
    if (r == 0)
        r = history_index_changes_back(q->ix, path, q->head, on_declaration, ret);
    if (r < 0 && r != -ENOENT)
        return r;
    if (!ret->n || (r != 1 && ret->v[ret->n - 1].bottom > 0))
        add_span(ret, 0, &none);
    return 0;
}

/* ---- one declaration ---- */

static int tree_at(const struct question *q, uint32_t pos, struct oid *ret)
{
    struct history_revision rev;
    struct revision_brief brief;
    int r = history_index_at(q->ix, pos, &rev);

    if (r == 0)
        r = revision_brief(q->repo, &rev.oid, &brief);
    if (r == 0)
        *ret = brief.tree;
    return r;
}

/* -EINVAL: it is wrong. */
static int load_at(const struct question *q, uint32_t pos, struct declaration **ret)
{
    _cleanup_(findings_done) struct findings findings = {0};
    struct oid tree;
    int r = cancelled(q);

    if (r == 0)
        r = tree_at(q, pos, &tree);
    return r < 0 ? r : declaration_load(q->repo, &tree, ret, &findings, NULL);
}

static int is_structural(const struct change *change, void *arg)
{
    return change->status != 'M';
}

/* 1 if something came, went or became another kind between a revision and the one before: what
 * makes a declaration right or wrong while its file stays the same. */
static int structure_changed(const struct question *q, uint32_t pos)
{
    struct oid old, new;
    int r = cancelled(q);

    if (r == 0)
        r = tree_at(q, pos - 1, &old);
    if (r == 0)
        r = tree_at(q, pos, &new);
    return r < 0 ? r : diff_changes(q->repo, &old, &new, is_structural, NULL);
}

/* Moves *pos back to the next revision of the span whose declaration may be right, other than the
 * one at *pos. 1, or 0 if there is none that matters. */
static int older_structure(const struct question *q, const struct span *span, uint32_t *pos)
{
    for (int r = 0; *pos > span->bottom && *pos > q->least;) {
        r = structure_changed(q, *pos);
        --*pos;
        if (r)
            return r;
    }
    return 0;
}

/* The newest declaration of the span, from *pos back, that is right; *pos becomes where. 1, or 0 if
 * there is none that matters. */
static int newest_right(const struct question *q, const struct span *span, uint32_t *pos,
                        struct declaration **ret)
{
    int r;

    do {
        r = load_at(q, *pos, ret);
        if (r != -EINVAL)
            return r < 0 ? r : 1;
        r = older_structure(q, span, pos);
    } while (r == 1);
    return r;
}

/* Closes the answers of the sites that the revision declares differently, or not at all: the one
 * after it changed them. Those whose content is younger do not matter. */
static void judge(struct question *q, uint32_t pos, const struct declaration *d)
{
    for (size_t i = 0; i < q->n && pos < q->head; i++) {
        struct answer *a = &q->answers[i];
        if (!a->open || a->pos > pos)
            continue;
        const struct site *then = declaration_site(d, q->sites[i]->name);
        if (then && inputs_declared_same(then, q->sites[i]))
            continue;
        a->pos = pos + 1;
        a->open = false;
    }
}

/* ---- namesakes ---- */

static int on_past(path_id path, const char *name, void *arg)
{
    struct question *q = arg;
    uintptr_t at = (uintptr_t)map_get(&q->by_name, name);

    if (at && q->answers[at - 1].open && q->answers[at - 1].source != path)
        *VEC_ADD(&q->namesakes) = (struct namesake){at - 1, path};
    return 0;
}

/* Makes the namesakes those that the patterns of `d` give. */
static int find_namesakes(struct question *q, const struct declaration *d)
{
    _cleanup_(buf_done) struct buf text = {0};
    int r = 0;

    vec_foreach (pattern, &d->discover)
        buf_add(&text, *pattern, strlen(*pattern) + 1);
    if (text.len == q->patterns.len &&
        (!text.len || !memcmp(text.data, q->patterns.data, text.len)))
        return 0;
    q->namesakes.n = 0;
    for (size_t i = 0; r == 0 && i < d->discover.n; i++)
        r = discover_ever(q->ix, d->discover.v[i], on_past, q);
    buf_done(&q->patterns);
    q->patterns = text;
    text = (struct buf){0};
    return r;
}

static bool anyone_has_namesakes(const struct question *q)
{
    vec_foreach (name, &q->namesakes)
        if (q->answers[name->site].open)
            return true;
    return false;
}

/* When a directory came or went last. */
struct coming {
    uint32_t after; /* what is not newer does not matter */
    uint32_t pos;   /* of the change before in the list, the next newer one */
    bool begun, there;
};

static int on_coming(const struct history_change *change, void *arg)
{
    struct coming *c = arg;
    bool there = change->there && change->kind == ENTRY_DIR;

    if (c->begun && c->there != there)
        return 1;
    c->begun = true;
    c->there = there;
    c->pos = change->pos;
    return c->pos <= c->after ? 2 : 0;
}

/* 1 and where it came or went, at or before *pos; 0 if it did not after `after`. */
static int last_coming(struct question *q, path_id path, uint32_t after, uint32_t *pos)
{
    struct coming c = {.after = after};
    int r = history_index_changes_back(q->ix, path, *pos, on_coming, &c);

    if (r < 0 && r != -ENOENT)
        return r;
    if (r == 2 || !c.begun || (r != 1 && (!c.there || c.pos <= after)))
        return 0;
    *pos = c.pos;
    return 1;
}

/* Moves *pos back to where a namesake of an open site was not as it is at *pos. 1, or 0 if none
 * matters. */
static int older_namesakes(struct question *q, const struct span *span, uint32_t *pos)
{
    uint32_t newest = 0;

    vec_foreach (name, &q->namesakes) {
        const struct answer *a = &q->answers[name->site];
        uint32_t came = *pos;
        if (!a->open || a->pos >= *pos)
            continue;
        int r = last_coming(q, name->path, MAX(span->bottom, a->pos), &came);
        if (r < 0)
            return r;
        if (r == 1)
            newest = MAX(newest, came);
    }
    if (newest)
        *pos = newest - 1;
    return newest > 0;
}

/* ---- all together ---- */

static int ask_span(struct question *q, const struct span *span)
{
    uint32_t pos = span->top;
    int r;

    /* All that were open then have been held against it, and only fewer are open now. */
    if (map_get(&q->judged, span->blob))
        return 0;
    do {
        _cleanup_(declaration_unrefp) struct declaration *d = NULL;
        r = newest_right(q, span, &pos, &d);
        if (r <= 0)
            return r;
        judge(q, pos, d);
        r = find_namesakes(q, d);
        if (r < 0)
            return r;
        if (!anyone_has_namesakes(q)) {
            map_put(&q->judged, span->blob, q);
            return 0;
        }
        r = older_namesakes(q, span, &pos);
    } while (r == 1);
    return r;
}

/* Closes the answers whose content is younger than all that is left. How many are open. */
static size_t narrow(struct question *q, uint32_t top)
{
    size_t open = 0;

    q->least = UINT32_MAX;
    for (size_t i = 0; i < q->n; i++) {
        struct answer *a = &q->answers[i];
        a->open &= a->pos <= top;
        open += a->open;
        if (a->open)
            q->least = MIN(q->least, a->pos);
    }
    return open;
}

static int ask(struct question *q)
{
    _cleanup_(spans_done) struct spans spans = {0};
    int r = 0;

    q->least = q->head;
    for (size_t i = 0; r == 0 && i < q->n; i++)
        r = ask_content(q, i);
    if (r == 0)
        r = find_spans(q, &spans);
    for (size_t i = 0; r == 0 && i < spans.n && narrow(q, spans.v[i].top); i++)
        r = ask_span(q, &spans.v[i]);
    return r;
}

/* The revisions at the positions that were found. */
static int revisions_of(const struct question *q, struct oid *ret)
{
    struct history_revision rev;
    int r = 0;

    for (size_t i = 0; r == 0 && i < q->n; i++) {
        r = history_index_at(q->ix, q->answers[i].pos, &rev);
        if (r == 0)
            ret[i] = rev.oid;
    }
    return r;
}

/* Whether all questions were about one line. */
static bool is_same_line(const struct question *q, const struct oid *head, uint64_t epoch)
{
    struct history_revision at;

    return history_index_find(q->ix, head, &at) == 0 && at.pos == q->head &&
           history_index_epoch(q->ix) == epoch;
}

int site_desired_indexed(struct repo *repo, struct history_index *ix, const struct oid *head,
                         const struct site *const *sites, size_t n, const bool *cancel,
                         struct oid *ret)
{
    _cleanup_(question_done) struct question q = {
        .repo = repo, .ix = ix, .sites = sites, .n = n, .cancel = cancel};
    _cleanup_free_ struct oid *found = xcalloc(n, sizeof(*found));
    uint64_t epoch = history_index_epoch(ix);
    struct history_revision at;
    int r = history_index_find(ix, head, &at);

    if (r == 0) {
        q.head = at.pos;
        q.answers = xcalloc(n, sizeof(*q.answers));
        r = ask(&q);
    }
    if (r == 0)
        r = revisions_of(&q, found);
    if (r == -ENOENT || (r != -ECANCELED && !is_same_line(&q, head, epoch)))
        return -EAGAIN;
    if (r == 0)
        memcpy(ret, found, n * sizeof(*ret));
    return r;
}

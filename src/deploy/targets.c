#include "deploy/targets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "ledger/ledger.h"
#include "repo/history.h"
#include "repo/revision.h"

static void target_done(struct target *t)
{
    free(t->problem);
}

void targets_done(struct targets *t)
{
    vec_foreach (e, t)
        target_done(e);
    free(t->v);
    declaration_unref(t->declaration);
    free(t->frozen);
    free(t->frozen_more);
    *t = (struct targets){0};
}

static void freeze(struct targets *t, const char *kind, char *reason)
{
    free(t->frozen);
    free(t->frozen_more);
    t->frozen_kind = kind;
    t->frozen = reason;
    t->frozen_more = NULL;
}

/* ---- the declaration ----------------------------------------------------------------------------
 */

#define MORE_SHOWN 19 /* findings besides the first */

/* `n` findings from the one at `from` on, without the last newline. */
static char *findings_text(const struct findings *f, size_t from, size_t n)
{
    _cleanup_(buf_done) struct buf text = {0};
    struct findings some = {.n = n < f->n - from ? n : f->n - from};

    some.v = f->v + from;
    findings_render(&some, &text);
    size_t left = findings_count(f) - from - some.n;
    while (text.len && text.data[text.len - 1] == '\n')
        text.data[--text.len] = 0;
    if (left)
        buf_addf(&text, from ? "\n… and %zu more" : " (and %zu more)", left);
    return buf_take(&text);
}

/* The declaration of a revision; if it has none that is right, `ret_why` says so in one line. */
static int load(struct repo *repo, const struct oid *rev, struct declaration **ret, char **ret_why,
                char **ret_more)
{
    _cleanup_(findings_done) struct findings findings = {0};
    _cleanup_(diag_done) struct diag why = {0};
    char hex[OID_HEX + 1];
    struct revision_brief brief;
    int r = revision_brief(repo, rev, &brief);

    if (r == 0)
        r = declaration_load(repo, &brief.tree, ret, &findings, &why);
    if (r < 0)
        *ret_why = findings.n ? findings_text(&findings, 0, 1)
                              : xasprintf("cannot read the declaration of revision %s: %s",
                                          oid_hex(rev, hex), diag_text(&why, r));
    *ret_more = r < 0 && findings.n > 1 ? findings_text(&findings, 1, MORE_SHOWN) : NULL;
    return r;
}

struct last_good {
    struct repo *repo;
    struct oid rev;
    struct declaration *declaration;
    int left; /* revisions that are still tried */
};

static int try_older(const struct oid *rev, const struct oid *tree, int64_t time, void *arg)
{
    struct last_good *g = arg;
    _cleanup_free_ char *why = NULL, *more = NULL;

    g->rev = *rev;
    return load(g->repo, rev, &g->declaration, &why, &more) == 0 || --g->left == 0;
}

/* How far back a good declaration is looked for. Each revision costs a parse. */
#define LAST_GOOD_MOST 1000

/* The newest revision at or behind `rev` whose declaration is right; a zero `ret` if there is none.
 */
static void find_last_good(struct repo *repo, const struct oid *rev, struct oid *ret,
                           struct declaration **ret_declaration)
{
    struct last_good g = {.repo = repo, .left = LAST_GOOD_MOST};

    history_first_parents(repo, rev, try_older, &g);
    *ret = g.declaration ? g.rev : (struct oid){0};
    *ret_declaration = g.declaration;
}

/* ---- which revision decides ------------------------------------------------------------------ */

/* Whether the index has both on its line, the mark behind head: then head is a descendant. On one
 * line, that is: it may turn to another one between the questions. */
static bool line_holds_mark(const struct targets_source *s)
{
    struct history_revision seen, head;
    uint32_t epoch = s->history ? history_index_epoch(s->history) : 0;

    return s->history && history_index_find(s->history, &s->head, &head) == 0 &&
           history_index_find(s->history, &s->seen, &seen) == 0 && seen.pos <= head.pos &&
           history_index_epoch(s->history) == epoch;
}

/* The mainline's newest revision, or the high-water mark if that is not behind it (and there). */
static struct oid choose_tip(const struct targets_source *s, struct targets *t)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct revision_brief brief;

    if (s->seen_unknown) {
        freeze(t, "rewritten",
               xstrdup("cannot read which revision the mainline was at (refs/onward/seen)"));
        return s->head;
    }
    if (line_holds_mark(s))
        return s->head;
    int r = ledger_seen_holds(s->repo, &s->seen, &s->head, &why);
    if (r == 0)
        return s->head;
    freeze(t, "rewritten", xstrdup(diag_text(&why, r)));
    return revision_brief(s->repo, &s->seen, &brief) < 0 ? s->head : s->seen;
}

#define BRANCHES       "refs/heads/"
#define BRANCHES_SHOWN 5

/* Why there is no head, NULL if there is no other branch either. The caller frees. */
static char *why_no_head(const struct targets_source *s)
{
    _cleanup_(buf_done) struct buf names = {0};
    size_t n = 0;

    for (size_t i = refs_first(s->refs, BRANCHES); i < s->refs->n; i++) {
        const char *name = s->refs->v[i].name;
        if (strncmp(name, BRANCHES, strlen(BRANCHES)) != 0)
            break;
        if (n++ < BRANCHES_SHOWN)
            buf_addf(&names, "%s%s", n > 1 ? ", " : "", name + strlen(BRANCHES));
    }
    if (!n)
        return NULL;
    return xasprintf("the mainline, %s, is not in the repository, which has %s%s", s->mainline,
                     buf_str(&names), n > BRANCHES_SHOWN ? "…" : "");
}

/* Sets head and declaration of `t`, starting from those of `old`. */
static void choose_head(const struct targets_source *s, const struct targets *old,
                        struct targets *t)
{
    struct oid tip = choose_tip(s, t);
    char *why = NULL, *more = NULL;

    if (oid_is_zero(&tip)) {
        why = t->frozen ? NULL : why_no_head(s);
        if (why)
            freeze(t, "declaration", why);
        return;
    }
    bool known = old->declaration && oid_equal(&tip, &old->head);
    if (known)
        t->declaration = declaration_ref(old->declaration);
    else if (load(s->repo, &tip, &t->declaration, &why, &more) < 0) {
        if (t->frozen) {
            free(why);
            free(more);
        } else {
            freeze(t, "declaration", why);
            t->frozen_more = more;
        }
        if (old->declaration) {
            tip = old->head;
            t->declaration = declaration_ref(old->declaration);
        } else {
            find_last_good(s->repo, &tip, &tip, &t->declaration);
        }
    }
    t->head = tip;
}

/* ---- what each site should run --------------------------------------------------------------- */

/* What was found before for the site of `t` at `i`; NULL if it was not declared, or had no target.
 */
static const struct target *old_target(const struct targets *old, const struct targets *t, size_t i)
{
    const struct target *before = NULL;

    if (old->declaration == t->declaration) {
        before = &old->v[i];
    } else if (old->declaration) {
        const struct site *site = declaration_site(old->declaration, t->v[i].site->name);
        before = site ? &old->v[site - old->declaration->sites.v] : NULL;
    }
    return before && !before->site->pin && !oid_is_zero(&before->desired) ? before : NULL;
}

/* The sites of `t` for which `wanted` holds and that are not pinned, as site_desired() takes them.
 */
struct query {
    const struct site **sites;
    struct oid *revs;
    size_t *index; /* in the targets */
    size_t n;
};

static void query_done(struct query *q)
{
    free(q->sites);
    free(q->revs);
    free(q->index);
}

static void query_init(struct query *q, size_t most)
{
    *q = (struct query){.sites = xcalloc(most, sizeof(*q->sites)),
                        .revs = xcalloc(most, sizeof(*q->revs)),
                        .index = xcalloc(most, sizeof(*q->index))};
}

static void query_add(struct query *q, const struct targets *t, size_t i, const struct oid *rev)
{
    q->sites[q->n] = t->v[i].site;
    q->index[q->n] = i;
    if (rev)
        q->revs[q->n] = *rev;
    q->n++;
}

/* What a walk takes longer than: so long, and so many revisions, the index may be behind. */
#define NEARLY_NS        (100 * NS_PER_MS)
#define NEARLY_REVISIONS 100

/* Whether the index has caught up, after a moment: while it takes in a long history, it has not. */
static bool catches_up(struct history_index *ix)
{
    struct history_progress p;

    history_index_progress(ix, &p);
    return (p.current || p.total <= p.done + NEARLY_REVISIONS) &&
           history_index_wait(ix, NEARLY_NS) == 0;
}

/* -EAGAIN, -EIO: the index cannot tell (now). */
static int ask_index(const struct targets_source *s, const struct targets *t, struct query *q)
{
    struct history_index *ix = s->history;
    int r = -EAGAIN;

    if (ix)
        r = site_desired_indexed(s->repo, ix, &t->head, q->sites, q->n, s->cancel, q->revs);
    if (ix && r == -EAGAIN && catches_up(ix))
        r = site_desired_indexed(s->repo, ix, &t->head, q->sites, q->n, s->cancel, q->revs);
    return r;
}

/* `stop` as in site_desired(). */
static int ask(const struct targets_source *s, struct targets *t, struct query *q,
               const struct oid *stop)
{
    int r = !q->n ? 0 : stop ? -EAGAIN : ask_index(s, t, q);

    if (r == -EAGAIN || r == -EIO)
        r = site_desired(s->repo, &t->head, q->sites, q->n, stop, s->cancel, q->revs);
    for (size_t i = 0; r == 0 && i < q->n; i++)
        t->v[q->index[i]].desired = q->revs[i];
    return r;
}

/* Of every site that follows the mainline: only what happened since `old` is walked over; a second
 * query finds what that does not tell. */
static int find_desired(const struct targets_source *s, const struct targets *old,
                        struct targets *t)
{
    _cleanup_(query_done) struct query since = {0}, ever = {0};
    int r = 0;

    query_init(&since, t->n);
    query_init(&ever, t->n);
    for (size_t i = 0; i < t->n; i++) {
        const struct target *before = old_target(old, t, i);
        if (!t->v[i].site->pin)
            query_add(&since, t, i, before ? &before->desired : NULL);
    }
    if (old->declaration)
        r = ask(s, t, &since, &old->head);
    for (size_t i = 0; i < t->n; i++)
        if (!t->v[i].site->pin && oid_is_zero(&t->v[i].desired))
            query_add(&ever, t, i, NULL);
    return r < 0 ? r : ask(s, t, &ever, NULL);
}

static int find_inputs(const struct targets_source *s, const struct targets *old, struct targets *t)
{
    struct revision_brief head;
    int r = revision_brief(s->repo, &t->head, &head);

    for (size_t i = 0; r == 0 && i < t->n; i++) {
        struct target *e = &t->v[i];
        const struct target *before = old_target(old, t, i);
        if (before && oid_equal(&before->desired, &e->desired))
            e->inputs = before->inputs;
        else if (!e->site->pin)
            r = site_inputs(s->repo, &head.tree, e->site, &e->inputs);
    }
    return r;
}

/* The revision that a pin names. */
static int resolve_pin(const struct targets_source *s, const char *pin, struct oid *ret)
{
    _cleanup_free_ char *name = xasprintf("refs/tags/%s", pin);
    const struct ref *tag = refs_find(s->refs, name);

    if (tag && !oid_is_zero(&tag->target)) {
        *ret = tag->target;
        return 0;
    }
    return oid_parse(pin, ret) < 0 ? -ENOENT : 0;
}

/* A pinned site's target is what the pin names now: tags move. Returns whether it changed. */
static bool follow_pin(const struct targets_source *s, struct target *t)
{
    struct revision_brief brief;
    struct oid rev = {0};
    struct target old = *t;
    int r = resolve_pin(s, t->site->pin, &rev);

    if (r == 0)
        r = revision_brief(s->repo, &rev, &brief);
    if (r == 0)
        r = site_inputs(s->repo, &brief.tree, t->site, &t->inputs);
    t->problem = NULL;
    t->desired = r == 0 ? rev : (struct oid){0};
    if (r == -ENOENT)
        t->problem = xasprintf("pin: there is no tag or revision %s", t->site->pin);
    else if (r < 0)
        t->problem = xasprintf("pin: cannot read %s: %s", t->site->pin, strerror(-r));
    bool changed = !oid_equal(&old.desired, &t->desired) || !oid_equal(&old.inputs, &t->inputs) ||
                   !str_equal(old.problem, t->problem);
    free(old.problem);
    return changed;
}

/* Fills the targets of the sites of `t->declaration`. */
static int fill(const struct targets_source *s, const struct targets *old, struct targets *t)
{
    vec_foreach (site, &t->declaration->sites)
        *VEC_ADD(t) = (struct target){.site = site};
    int r = find_desired(s, old, t);
    return r < 0 ? r : find_inputs(s, old, t);
}

/* Takes over what was found before, for the same declaration. */
static void keep_old(struct targets *t, struct targets *old)
{
    declaration_unref(t->declaration);
    t->declaration = TAKE(old->declaration);
    t->head = old->head;
    t->v = TAKE(old->v);
    t->n = old->n;
    t->cap = old->cap;
    old->n = old->cap = 0;
}

int targets_update(struct targets *t, const struct targets_source *source)
{
    _cleanup_(targets_done) struct targets next = {0};
    struct targets old;
    int r = 0;

    choose_head(source, t, &next);
    /* The declaration alone does not tell: revisions that differ in other files share it. */
    bool same =
        next.declaration && next.declaration == t->declaration && oid_equal(&next.head, &t->head);
    if (next.declaration && !same)
        r = fill(source, t, &next);
    if (r == -ECANCELED)
        return r;
    if (r < 0) {
        freeze(&next, "declaration",
               xasprintf("cannot tell what the sites should run: %s", strerror(-r)));
        vec_foreach (e, &next)
            target_done(e);
        free(next.v);
    }
    bool changed =
        !same || !str_equal(t->frozen, next.frozen) || !str_equal(t->frozen_more, next.frozen_more);
    if (r < 0 || same)
        keep_old(&next, t);
    vec_foreach (e, &next)
        if (e->site->pin)
            changed |= follow_pin(source, e);
    old = *t;
    *t = next;
    next = old;
    return changed;
}

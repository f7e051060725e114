#include "stage/proposals.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "repo/carry.h"
#include "repo/diff.h"
#include "stage/author.h"
#include "stage/landing.h"
#include "stage/workspace.h"

#define ENDED_REF  "refs/onward/proposals-ended"
#define HIGHEST    "Onward-Highest"
#define REFS_MOST  (2 * PROPOSALS_MOST) /* that are looked at in one go */
#define KNOWN_MOST (2 * REFS_MOST)
#define TRIES_MOST 64

static char none; /* stands for a tip that is no proposal's */

struct proposals *proposals_new(const struct staging_config *config, struct stage_env *env)
{
    struct proposals *s = NEW(struct proposals);

    s->refs = 1;
    s->config = *config;
    s->env = env;
    pthread_mutex_init(&s->writing, NULL);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

struct proposals *proposals_ref(struct proposals *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

static void unref_known(void *value)
{
    if (value != &none)
        proposal_unref(value);
}

void proposals_unref(struct proposals *s)
{
    if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    map_done(&s->known, unref_known);
    map_done(&s->reasons, free);
    pthread_mutex_destroy(&s->writing);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Under which a tip is known: what is a proposal under one number need not be one under another.
 * The caller frees. */
static char *key_of(uint64_t number, const struct oid *tip)
{
    char hex[OID_HEX + 1];

    return xasprintf("%" PRIu64 " %s", number, oid_hex(tip, hex));
}

static void forget(struct map *m, void (*free_value)(void *))
{
    map_done(m, free_value);
    *m = (struct map){0};
}

static void remember(struct proposals *s, const char *key, void *value)
{
    pthread_mutex_lock(&s->lock);
    if (s->known.live >= KNOWN_MOST)
        forget(&s->known, unref_known);
    if (value != &none)
        proposal_ref(value);
    void *old = map_put(&s->known, key, value);
    pthread_mutex_unlock(&s->lock);
    if (old)
        unref_known(old);
}

/* What is known of a tip: `none`, a proposal (referenced), or NULL. */
static void *recall(struct proposals *s, const char *key)
{
    pthread_mutex_lock(&s->lock);
    void *known = map_get(&s->known, key);
    if (known && known != &none)
        proposal_ref(known);
    pthread_mutex_unlock(&s->lock);
    return known;
}

/* The proposal at that tip, referenced. */
static int load(struct proposals *s, uint64_t number, const struct oid *tip, struct proposal **ret,
                struct diag *reterr)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *key = key_of(number, tip);
    void *known = recall(s, key);

    if (known == &none)
        return diag_fail(reterr, -EINVAL, PROPOSAL_REFS "%" PRIu64 " is no proposal", number);
    if (known) {
        *ret = known;
        return 0;
    }
    int r = proposal_load(s->config.repo, number, tip, ret, &why);
    if (r == 0)
        remember(s, key, *ret);
    if (r == -EINVAL) {
        remember(s, key, &none);
        log_info("no-proposal", "ref=" PROPOSAL_REFS "%" PRIu64 " reason=\"%s\"", number,
                 diag_text(&why, r));
    }
    return r < 0 ? diag_fail(reterr, r, "proposal %" PRIu64 ": %s", number, diag_text(&why, r)) : 0;
}

/* Those that are closing for good are shown no more. */
static bool is_open(struct proposals *s, const struct proposal *p)
{
    return p->state == PROPOSAL_OPEN ||
           (p->state == PROPOSAL_MERGING && landing_has_landed(&s->config, &p->as) == 0);
}

void proposal_list_done(struct proposal_list *l)
{
    vec_foreach (p, l)
        proposal_unref(*p);
    free(l->v);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = (*(struct proposal *const *)a)->number, y = (*(struct proposal *const *)b)->number;

    return x < y ? -1 : x > y;
}

/* Those that can be read. Less than 0: the last reason why one could not be. */
static int list_refs(struct proposals *s, const struct refs *refs, struct proposal_list *ret,
                     struct diag *reterr)
{
    size_t first = refs_first(refs, PROPOSAL_REFS);
    int err = 0;

    for (size_t i = first;
         i < refs->n && !strncmp(refs->v[i].name, PROPOSAL_REFS, strlen(PROPOSAL_REFS)); i++) {
        struct proposal *p;
        uint64_t number = proposal_number(refs->v[i].name);
        if (!number || oid_is_zero(&refs->v[i].target))
            continue;
        if (ret->n == PROPOSALS_MOST || i - first >= REFS_MOST) {
            if (!__atomic_exchange_n(&s->said_many, true, __ATOMIC_RELAXED))
                log_info("many-proposals", "shown=%d", PROPOSALS_MOST);
            break;
        }
        int r = load(s, number, &refs->v[i].target, &p, reterr);
        if (r < 0 && r != -EINVAL)
            err = r;
        if (r < 0)
            continue;
        if (is_open(s, p))
            *VEC_ADD(ret) = p;
        else
            proposal_unref(p);
    }
    if (ret->n)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_number);
    return err;
}

void proposals_list(struct proposals *s, struct proposal_list *ret)
{
    _cleanup_(refs_unrefp) struct refs *refs = mainline_refs(s->config.mainline);

    list_refs(s, refs, ret, NULL);
}

int proposals_get(struct proposals *s, uint64_t number, struct proposal **ret)
{
    _cleanup_(refs_unrefp) struct refs *refs = mainline_refs(s->config.mainline);
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;
    _cleanup_free_ char *name = proposal_ref_name(number);
    const struct ref *ref = refs_find(refs, name);

    if (!ref || oid_is_zero(&ref->target) || load(s, number, &ref->target, &p, NULL) < 0 ||
        !is_open(s, p))
        return -ENOENT;
    *ret = TAKE(p);
    return 0;
}

/* Steps */

/* What a record is. */
struct text {
    const struct oid *tree, *parent; /* parent zero: of nothing */
    const struct signature *author;  /* NULL: the host */
    const char *text;
};

/* Where records go: the batch is held until a ref leads there. */
struct writing {
    struct proposals *s;
    struct batch *batch;
};

/* Durable on return. */
static int write_record(const struct writing *w, const struct text *what, struct oid *ret,
                        struct diag *reterr)
{
    struct signature host;
    struct oid parent = *what->parent;

    author_host(&w->s->config, &host);
    const struct revision draft = {.tree = *what->tree,
                                   .parents = &parent,
                                   .nparents = !oid_is_zero(&parent),
                                   .author = what->author ? *what->author : host,
                                   .committer = host,
                                   .message = (char *)what->text};
    int r = revision_write(w->batch, &draft, ret, reterr);
    author_done(&host);
    return r;
}

/* Moves the ref, and *p with it. What is there then is read before, so that nothing can fail once
 * it has moved. */
static int move(struct proposals *s, struct proposal **p, const struct oid *to, const char *why,
                struct diag *reterr)
{
    _cleanup_free_ char *name = proposal_ref_name((*p)->number);
    struct proposal *next;
    int r = load(s, (*p)->number, to, &next, reterr);

    if (r < 0)
        return r;
    r = ref_update(s->config.repo, name, &(*p)->tip, to, why, reterr);
    if (r < 0) {
        proposal_unref(next);
        return r;
    }
    proposal_unref(*p);
    *p = next;
    return 0;
}

int proposals_approve(struct proposals *s, struct proposal **p, const struct signature *who,
                      const char *comment, struct diag *reterr)
{
    _cleanup_(batch_freep) struct batch *batch = batch_new(s->config.repo);
    _cleanup_free_ char *text = proposal_approval_text((*p)->number, &(*p)->content, comment);
    const struct text what = {&(*p)->tree, &(*p)->tip, who, text};
    struct oid record;
    int r = write_record(&(struct writing){s, batch}, &what, &record, reterr);

    return r < 0 ? r : move(s, p, &record, "approve", reterr);
}

int proposals_close(struct proposals *s, struct proposal **p, const struct oid *as,
                    struct diag *reterr)
{
    _cleanup_free_ char *text = as ? proposal_merging_text((*p)->number, as)
                                   : proposal_withdrawal_text((*p)->number, &(*p)->content);
    _cleanup_(batch_freep) struct batch *batch = batch_new(s->config.repo);
    const struct text what = {&(*p)->tree, &(*p)->tip, NULL, text};
    struct oid record;
    int r = write_record(&(struct writing){s, batch}, &what, &record, reterr);

    return r < 0 ? r : move(s, p, &record, as ? "merge" : "withdraw", reterr);
}

/* The highest number of those that have ended; *ret_tip is zero when none has. */
static int read_ended(struct proposals *s, struct oid *ret_tip, uint64_t *ret, struct diag *reterr)
{
    _cleanup_(revision_freep) struct revision *rev = NULL;
    int r = ref_read(s->config.repo, ENDED_REF, ret_tip);

    *ret = 0;
    if (r == -ENOENT) {
        *ret_tip = (struct oid){0};
        return 0;
    }
    if (r == 0)
        r = revision_load(s->config.repo, ret_tip, &rev);
    if (r < 0)
        return diag_fail(reterr, r, ENDED_REF " cannot be read: %s", strerror(-r));
    _cleanup_free_ char *highest = proposal_field(rev->message, HIGHEST);
    if (!highest)
        return diag_fail(reterr, -EIO, ENDED_REF " does not say which number was the last");
    *ret = strtoull(highest, NULL, 10);
    return 0;
}

/* What only the proposal's ref keeps, which is about to go. What cannot be read cannot be lost. */
static int carry_records(struct proposals *s, struct batch *batch, const struct proposal *p,
                         struct diag *reterr)
{
    _cleanup_(diag_done) struct diag why = {0};
    const struct sink_place place = {s->config.repo, batch_sink(batch)};
    struct oid head = {0};

    mainline_head(s->config.mainline, &head);
    int r = carry_commits(&place, &p->tip, &head, &why);
    return r < 0 && r != -EIO ? diag_fail(reterr, r, "%s", diag_text(&why, r)) : 0;
}

static int try_to_note_end(struct proposals *s, const struct proposal *p, struct diag *reterr)
{
    _cleanup_(batch_freep) struct batch *batch = batch_new(s->config.repo);
    _cleanup_free_ char *text = NULL;
    struct signature host;
    struct oid record, tip;
    uint64_t highest;
    char hex[OID_HEX + 1];
    int r = read_ended(s, &tip, &highest, reterr);

    if (r == 0)
        r = carry_records(s, batch, p, reterr);
    if (r < 0)
        return r;
    text = xasprintf("Proposal %" PRIu64 " %s%s\n\n" HIGHEST ": %" PRIu64 "\n", p->number,
                     p->state == PROPOSAL_MERGING ? "was merged as " : "was withdrawn",
                     p->state == PROPOSAL_MERGING ? oid_hex(&p->as, hex) : "",
                     highest > p->number ? highest : p->number);
    struct oid parents[] = {tip, p->tip};
    author_host(&s->config, &host);
    const struct revision draft = {.tree = p->tree,
                                   .parents = parents + oid_is_zero(&tip),
                                   .nparents = 2 - oid_is_zero(&tip),
                                   .author = host,
                                   .committer = host,
                                   .message = text};
    r = revision_write(batch, &draft, &record, reterr);
    author_done(&host);
    return r < 0 ? r : ref_update(s->config.repo, ENDED_REF, &tip, &record, "proposal", reterr);
}

/* Its number and its records stay; the ref goes. */
static int end(struct proposals *s, const struct proposal *p, struct diag *reterr)
{
    _cleanup_free_ char *name = proposal_ref_name(p->number);
    int r = -EAGAIN;

    for (int i = 0; i < TRIES_MOST && r == -EAGAIN; i++)
        r = try_to_note_end(s, p, reterr);
    return r < 0 ? r : ref_delete(s->config.repo, name, &p->tip, reterr);
}

int proposals_resolve(struct proposals *s, struct proposal **p, struct diag *reterr)
{
    int r = (*p)->state == PROPOSAL_WITHDRAWN ? 1 : landing_has_landed(&s->config, &(*p)->as);

    if (r < 0)
        return diag_fail(reterr, r, "the mainline cannot be read");
    if (r == 0)
        return move(s, p, &(*p)->before, "not merged", reterr);
    r = end(s, *p, reterr);
    if (r == 0)
        proposal_unref(TAKE(*p));
    return r;
}

int proposals_read(struct proposals *s, uint64_t number, struct proposal **ret, struct diag *reterr)
{
    _cleanup_free_ char *name = proposal_ref_name(number);
    struct oid tip;
    int r = ref_read(s->config.repo, name, &tip);

    if (r < 0)
        return diag_fail(reterr, r, "%s: %s", name, strerror(-r));
    r = load(s, number, &tip, ret, reterr);
    return r == -EINVAL ? -ENOENT : r;
}

int proposals_fresh(struct proposals *s, uint64_t number, struct proposal **ret,
                    struct diag *reterr)
{
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;
    int r = proposals_read(s, number, &p, reterr);

    if (r == 0 && p->state != PROPOSAL_OPEN)
        r = proposals_resolve(s, &p, reterr);
    if (r < 0)
        return r;
    if (!p)
        return -ENOENT;
    *ret = TAKE(p);
    return 0;
}

void proposals_recover(struct proposals *s)
{
    _cleanup_(refs_unrefp) struct refs *refs = mainline_refs(s->config.mainline);
    bool changed = false;

    for (size_t i = refs_first(refs, PROPOSAL_REFS); i < refs->n; i++) {
        _cleanup_(proposal_unrefp) struct proposal *p = NULL;
        _cleanup_(diag_done) struct diag why = {0};
        uint64_t number = proposal_number(refs->v[i].name);
        if (!number || load(s, number, &refs->v[i].target, &p, NULL) < 0 ||
            p->state == PROPOSAL_OPEN)
            continue;
        int r = proposals_resolve(s, &p, &why);
        if (r < 0)
            log_warn("proposal-not-resolved", "proposal=%" PRIu64 " reason=\"%s\"", number,
                     diag_text(&why, r));
        changed = true;
    }
    if (changed)
        proposals_changed(s);
}

void proposals_changed(struct proposals *s)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = mainline_refresh(s->config.mainline, &why);

    if (r < 0)
        log_error("refs-unreadable", "reason=\"%s\"", diag_text(&why, r));
}

/* Putting */

static int add_change(const struct change *c, void *arg)
{
    char old[OID_HEX + 1], new[OID_HEX + 1];

    buf_addf(arg, "%c %d %d %s %s %s", c->status, c->old_kind, c->new_kind,
             oid_hex(&c->old_oid, old), oid_hex(&c->new_oid, new), c->path);
    buf_addc(arg, 0);
    return 0;
}

/* Does every path change from the same to the same, on whatever base? */
static int same_change(struct proposals *s, const struct proposal *a, const struct proposal *b)
{
    _cleanup_(buf_done) struct buf x = {0}, y = {0};
    int r = diff_changes(s->config.repo, &a->base_tree, &a->tree, add_change, &x);

    if (r == 0)
        r = diff_changes(s->config.repo, &b->base_tree, &b->tree, add_change, &y);
    return r < 0 ? r : x.len == y.len && !memcmp(buf_str(&x), buf_str(&y), x.len);
}

static bool same_words(const struct proposal *a, const struct proposal *b)
{
    return !strcmp(a->message, b->message) && !strcmp(a->author.name, b->author.name) &&
           !strcmp(a->author.email, b->author.email) && str_equal(a->owner, b->owner);
}

static int write_content(const struct writing *w, const struct proposal *what, uint64_t number,
                         struct oid *ret, struct diag *reterr)
{
    struct proposal like = *what;

    like.number = number;
    _cleanup_free_ char *text = proposal_content_text(&like);
    const struct text content = {&what->tree, &what->base, &what->author, text};
    return write_record(w, &content, ret, reterr);
}

/* Writes the approvals of the old content anew, for the new one. */
static int carry(const struct writing *w, const struct proposal *old, const struct proposal *what,
                 struct oid *tip, struct diag *reterr)
{
    const struct oid content = *tip;
    int r = 0;

    for (size_t i = 0; i < old->approvals.n && r == 0; i++) {
        const struct approval *a = &old->approvals.v[i];
        _cleanup_free_ char *text = proposal_approval_text(old->number, &content, a->comment);
        const struct text approval = {&what->tree, tip, &a->who, text};
        r = write_record(w, &approval, tip, reterr);
    }
    return r;
}

static int update(struct proposals *s, struct proposal **p, const struct proposal *what,
                  struct diag *reterr)
{
    _cleanup_(batch_freep) struct batch *batch = batch_new(s->config.repo);
    const struct writing w = {s, batch};
    bool keep = same_words(*p, what);
    struct oid tip;

    if (keep && oid_equal(&(*p)->tree, &what->tree) && oid_equal(&(*p)->base, &what->base)) {
        _cleanup_free_ char *name = proposal_ref_name((*p)->number);
        return ref_sync(s->config.repo, name, reterr);
    }
    int r = keep ? same_change(s, *p, what) : 0;
    if (r < 0)
        return diag_fail(reterr, r, "the proposal cannot be compared with what it was");
    keep = r;
    r = write_content(&w, what, (*p)->number, &tip, reterr);
    if (r == 0 && keep)
        r = carry(&w, *p, what, &tip, reterr);
    return r < 0 ? r : move(s, p, &tip, "propose", reterr);
}

/* The number that comes next. Open ones are looked at first: one that ends in between is noted
 * before it goes (P3). */
static int next_number(struct proposals *s, uint64_t *ret, struct diag *reterr)
{
    _cleanup_(refs_unrefp) struct refs *refs = NULL;
    uint64_t highest;
    struct oid tip;
    int r = refs_load_below(s->config.repo, PROPOSAL_REFS, &refs, reterr);

    if (r == 0)
        r = read_ended(s, &tip, &highest, reterr);
    if (r < 0)
        return r;
    if (refs->n >= PROPOSALS_MOST)
        return diag_fail(reterr, -EDQUOT, "%d proposals are open already", PROPOSALS_MOST);
    for (size_t i = 0; i < refs->n; i++) {
        uint64_t n = proposal_number(refs->v[i].name);
        highest = n > highest ? n : highest;
    }
    *ret = highest + 1;
    return 0;
}

/* Somebody else may have used the number and ended it meanwhile: then it is not for us, nor is it
 * if that cannot be read. */
static int confirm(struct proposals *s, uint64_t number, const struct oid *tip, struct diag *reterr)
{
    _cleanup_free_ char *name = proposal_ref_name(number);
    _cleanup_(diag_done) struct diag why = {0};
    uint64_t highest;
    struct oid ended;
    int r = read_ended(s, &ended, &highest, reterr);

    if (r == 0 && highest < number)
        return 0;
    int gone = ref_delete(s->config.repo, name, tip, &why);
    if (gone < 0)
        return diag_fail(reterr, gone,
                         "%s is there now, but may have the number of another, and stays: %s", name,
                         diag_text(&why, gone));
    return r < 0 ? r : -EAGAIN;
}

static int create(struct proposals *s, const struct proposal *what, struct proposal **ret,
                  struct diag *reterr)
{
    _cleanup_(batch_freep) struct batch *batch = batch_new(s->config.repo);
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;
    static const struct oid nothing;
    uint64_t number = 0;
    struct oid tip;
    int r = next_number(s, &number, reterr);

    if (r == 0)
        r = write_content(&(struct writing){s, batch}, what, number, &tip, reterr);
    if (r < 0)
        return r;
    _cleanup_free_ char *name = proposal_ref_name(number);
    r = load(s, number, &tip, &p, reterr);
    if (r == 0)
        r = ref_update(s->config.repo, name, &nothing, &tip, "propose", reterr);
    if (r == 0)
        r = confirm(s, number, &tip, reterr);
    if (r == 0)
        *ret = TAKE(p);
    return r;
}

/* Is it from the same workspace or, when neither is from any, the same change? */
static int is_for_same(struct proposals *s, const struct proposal *p, const struct proposal *what)
{
    if (what->id || p->id)
        return str_equal(what->id, p->id);
    return same_words(p, what) ? same_change(s, p, what) : 0;
}

/* The number of the open one whose content `what` is to become; 0: there is none. */
static int find_number(struct proposals *s, const struct proposal *what, uint64_t *ret,
                       struct diag *reterr)
{
    _cleanup_(refs_unrefp) struct refs *refs = NULL;
    struct proposal_list list = {0};
    int r = refs_load_below(s->config.repo, PROPOSAL_REFS, &refs, reterr);

    *ret = 0;
    if (r == 0)
        r = list_refs(s, refs, &list, reterr);
    int same = 0;
    for (size_t i = 0; i < list.n && r == 0 && same == 0; i++) {
        same = is_for_same(s, list.v[i], what);
        if (same == 1)
            *ret = list.v[i]->number;
    }
    proposal_list_done(&list);
    if (r == 0 && same < 0)
        return diag_fail(reterr, same, "the open proposals cannot be compared with it: %s",
                         strerror(-same));
    return r;
}

bool proposals_has(struct proposals *s, const struct proposal *what)
{
    struct proposal_list list = {0};
    bool has = false;

    proposals_list(s, &list);
    vec_foreach (p, &list)
        if (!has && str_equal((*p)->id, what->id))
            has = same_change(s, *p, what) == 1;
    proposal_list_done(&list);
    return has;
}

static int try_to_put(struct proposals *s, const struct proposal *what, struct proposal **ret,
                      struct diag *reterr)
{
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;
    uint64_t number;
    int r = find_number(s, what, &number, reterr);

    if (r == 0 && number) {
        r = proposals_fresh(s, number, &p, reterr);
        if (r == 0)
            r = update(s, &p, what, reterr);
        else if (r == -ENOENT)
            r = -EAGAIN;
    } else if (r == 0) {
        r = create(s, what, &p, reterr);
    }
    if (r == 0)
        *ret = TAKE(p);
    return r;
}

int proposals_put(struct proposals *s, const struct proposal *what, struct proposal **ret,
                  struct diag *reterr)
{
    int r = -EAGAIN;

    for (int i = 0; i < TRIES_MOST && r == -EAGAIN; i++)
        r = try_to_put(s, what, ret, reterr);
    return r;
}

/* Reasons */

char *proposals_reason(struct proposals *s, const struct proposal *p)
{
    char hex[OID_HEX + 1];

    pthread_mutex_lock(&s->lock);
    const char *text = map_get(&s->reasons, oid_hex(&p->content, hex));
    char *copy = xstrdup(text ? text : "");
    pthread_mutex_unlock(&s->lock);
    return copy;
}

void proposals_set_reason(struct proposals *s, const struct proposal *p, const char *text)
{
    char hex[OID_HEX + 1];

    oid_hex(&p->content, hex);
    pthread_mutex_lock(&s->lock);
    if (s->reasons.live >= PROPOSALS_MOST)
        forget(&s->reasons, free);
    free(text ? map_put(&s->reasons, hex, xstrdup(text)) : map_del(&s->reasons, hex));
    pthread_mutex_unlock(&s->lock);
}

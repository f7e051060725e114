#include "ledger/ledger.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "ledger/append.h"
#include "ledger/audit.h"
#include "ledger/cursors.h"
#include "ledger/marks.h"
#include "ledger/seen.h"
#include "ledger/timeline.h"
#include "repo/history.h"
#include "repo/object.h"
#include "repo/refs.h"
#include "repo/revision.h"

/* How often an append starts anew because somebody else wrote to our own chain. */
#define APPEND_TRIES 20

/* Records of one group, at most, unless one caller brings more. */
#define GROUP_MOST 4096

/* One call of ledger_append(), on the stack of its thread. */
struct request {
    struct request *next;
    struct record *records;
    size_t n;
    struct diag *reterr;
    int result;
    bool done;
};

/* Group commit. Who comes while nobody writes, writes at once: its own records and all that wait;
 * who comes meanwhile, waits, and one of those is the next to write. So a record waits for one
 * commit before its own at most, and nobody waits for company.
 *
 * Locks: `queue` guards the requests, `lock` the chains; both are held for moments only, never over
 * a disk. Our own chain is changed by who has set `writing`, and by nobody else. */
struct ledger {
    struct repo *repo;
    char *host;
    struct seen seen;

    pthread_mutex_t queue;
    pthread_cond_t written;
    struct request *waiting, **last_waiting;
    bool writing;

    pthread_mutex_t lock;
    VEC(struct chain *) chains; /* [0] is this host's */

    struct timelines timelines;
    struct marks marks; /* who has set `writing` */
};

void ledger_free(struct ledger *l)
{
    if (!l)
        return;
    vec_foreach (c, &l->chains)
        chain_free(*c);
    free(l->chains.v);
    timelines_done(&l->timelines);
    marks_done(&l->marks);
    free(l->host);
    seen_done(&l->seen);
    pthread_mutex_destroy(&l->queue);
    pthread_cond_destroy(&l->written);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static struct chain *find_chain(struct ledger *l, const char *ref)
{
    vec_foreach (c, &l->chains)
        if (!strcmp((*c)->ref, ref))
            return *c;
    pthread_mutex_lock(&l->lock);
    struct chain *c = *VEC_ADD(&l->chains) = chain_new(ref);
    pthread_mutex_unlock(&l->lock);
    return c;
}

/* The right to change chains. */
static void begin_writing(struct ledger *l)
{
    pthread_mutex_lock(&l->queue);
    while (l->writing)
        pthread_cond_wait(&l->written, &l->queue);
    l->writing = true;
    pthread_mutex_unlock(&l->queue);
}

static void end_writing(struct ledger *l)
{
    pthread_mutex_lock(&l->queue);
    l->writing = false;
    pthread_cond_broadcast(&l->written);
    pthread_mutex_unlock(&l->queue);
}

/* The chain was moved by somebody else. -errno: whether it still holds its mark cannot be told. */
static int follow_mark(struct ledger *l, const struct chain *c)
{
    struct oid mark = marks_get(&l->marks, c->ref);
    char now[OID_HEX + 1], seen[OID_HEX + 1];
    int r = 0;

    if (!oid_is_zero(&mark))
        r = history_distance(l->repo, &c->tip, &mark, INT_MAX);
    if (r == -ENOENT) {
        log_error("ledger-set-back", "ref=%s now=%s seen=%s what=\"see LEDGER in man 8 onwardfs\"",
                  c->ref, oid_hex(&c->tip, now), oid_hex(&mark, seen));
        marks_save_now(&l->marks); /* all of it, while we know it */
    } else if (r >= 0)
        marks_move(&l->marks, c->ref, &mark, &c->tip);
    return r < 0 && r != -ENOENT ? r : 0;
}

/* Takes in what the chain's ref names now; readers go on with what was known until it is all
 * there. 1: it had moved. */
static int follow(struct ledger *l, struct chain *c, struct diag *reterr)
{
    _cleanup_(chain_freep) struct chain *fresh = chain_new(c->ref);
    int r = chain_reload(fresh, l->repo, reterr);

    if (r < 0 || oid_equal(&fresh->tip, &c->tip))
        return r;
    if ((r = follow_mark(l, fresh)) < 0)
        return diag_fail(reterr, r, "cannot tell what the ledger %s has lost", c->ref);
    pthread_mutex_lock(&l->lock);
    c->tip = fresh->tip;
    c->root = fresh->root;
    pthread_mutex_unlock(&l->lock);
    return 1;
}

/* Follows all chains, those that are gone as well; called with the right to change them. */
static int refresh(struct ledger *l, const struct refs *refs, struct diag *reterr)
{
    int r = 0;

    for (size_t i = 0; i < refs->n; i++)
        find_chain(l, refs->v[i].name);
    vec_foreach (c, &l->chains) {
        const struct ref *ref = refs_find(refs, (*c)->ref);
        bool stays = ref ? oid_equal(&(*c)->tip, &ref->target) : oid_is_zero(&(*c)->tip);
        if (r >= 0 && !stays)
            r = follow(l, *c, reterr);
    }
    marks_save(&l->marks);
    return r < 0 ? r : 0;
}

static int take_in(struct ledger *l, struct diag *reterr)
{
    _cleanup_(refs_unrefp) struct refs *refs = NULL;
    int r = refs_load_below(l->repo, CHAIN_PREFIX, &refs, reterr);

    if (r < 0)
        return r;
    begin_writing(l);
    r = refresh(l, refs, reterr);
    end_writing(l);
    return r;
}

int ledger_open(struct repo *repo, const char *host, struct ledger **ret, struct diag *reterr)
{
    _cleanup_free_ char *name = chain_host(host);
    _cleanup_free_ char *ref = xasprintf(CHAIN_PREFIX "%s", name);
    _cleanup_(ledger_freep) struct ledger *l = NEW(struct ledger);

    l->repo = repo;
    l->host = xstrdup(*host ? host : "localhost");
    seen_init(&l->seen, repo, name);
    l->last_waiting = &l->waiting;
    timelines_init(&l->timelines);
    pthread_mutex_init(&l->queue, NULL);
    pthread_cond_init(&l->written, NULL);
    pthread_mutex_init(&l->lock, NULL);
    *VEC_ADD(&l->chains) = chain_new(ref);
    int r = take_in(l, reterr);
    if (r < 0)
        return r;
    *ret = TAKE(l);
    return 0;
}

/* ---- chains that were set back ---------------------------------------------------------------
 */

/* Who has the right to change chains has moved the mark along with each step, so any other one is
 * ahead, or beside. */
static bool is_set_back(const struct ledger *l, const struct chain *c)
{
    struct oid mark = marks_get(&l->marks, c->ref);

    return !oid_is_zero(&mark) && !oid_equal(&mark, &c->tip);
}

static bool is_there(const struct ledger *l, const struct oid *commit)
{
    struct revision_brief brief;

    return revision_brief(l->repo, commit, &brief) == 0;
}

static int fail_set_back(const struct ledger *l, const struct chain *c, struct diag *reterr)
{
    struct oid mark = marks_get(&l->marks, c->ref);
    char now[OID_HEX + 1], seen[OID_HEX + 1];
    bool gone = oid_is_zero(&c->tip);

    oid_hex(&mark, seen);
    return diag_fail(
        reterr, -ESTALE,
        "the ledger %s was %s%s, and was at %s, which %s: put that back (git "
        "fetch, git update-ref), or accept what is left (onward accept --reason TEXT; see LEDGER "
        "in man 8 onwardfs)",
        c->ref, gone ? "removed" : "set back: it is at ", gone ? "" : oid_hex(&c->tip, now), seen,
        is_there(l, &mark) ? "is still here" : "this repository does not have");
}

int ledger_holds(struct ledger *l, struct diag *reterr)
{
    int r = take_in(l, reterr);

    begin_writing(l);
    vec_foreach (c, &l->chains)
        if (r == 0 && is_set_back(l, *c))
            r = fail_set_back(l, *c, reterr);
    end_writing(l);
    return r;
}

static bool accepts(struct record *const *records, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (records[i]->kind == RECORD_ACCEPTED)
            return true;
    return false;
}

/* Keeps what the chains that were set back have lost, as far as it is there. */
static int keep_what_was_lost(struct ledger *l, struct diag *reterr)
{
    int r = 0;

    vec_foreach (c, &l->chains) {
        struct oid mark = marks_get(&l->marks, (*c)->ref);
        if (r == 0 && is_set_back(l, *c) && is_there(l, &mark))
            r = ledger_keep(l, &mark, reterr);
    }
    return r;
}

/* What is left of the chains is what they are from now on. */
static void accept_chains(struct ledger *l)
{
    vec_foreach (c, &l->chains)
        if (is_set_back(l, *c))
            marks_accept(&l->marks, (*c)->ref, &(*c)->tip);
    marks_save_now(&l->marks);
}

/* ---- appending --------------------------------------------------------------------------------
 */

/* Writes everything on top of what is known of our chain, and moves the ref. -EAGAIN: it had
 * moved. */
static int append_once(struct ledger *l, struct record *const *records, size_t n,
                       struct diag *reterr)
{
    struct chain *own = l->chains.v[0];
    _cleanup_(append_done) struct append a = {
        .repo = l->repo, .chain = own, .host = l->host, .records = records, .n = n};
    int r = append_write(&a, reterr);

    if (r == 0)
        r = ref_update(l->repo, own->ref, &own->tip, &a.tip, "onwardfs: ledger", reterr);
    if (r < 0)
        return r;
    marks_move(&l->marks, own->ref, &own->tip, &a.tip);
    pthread_mutex_lock(&l->lock);
    own->tip = a.tip;
    own->root = a.root;
    pthread_mutex_unlock(&l->lock);
    return 0;
}

/* Appends the records of a whole group, again if somebody else wrote to our chain meanwhile: if it
 * has not moved, it was not that which stopped us, but a lock. */
static int append_group(struct ledger *l, struct record *const *records, size_t n,
                        struct diag *reterr)
{
    struct chain *own = l->chains.v[0];
    int r = -EAGAIN, moved = 1;
    bool all_the_same = accepts(records, n);

    for (int i = 0; r == -EAGAIN && moved == 1 && i < APPEND_TRIES; i++) {
        if (is_set_back(l, own) && !all_the_same)
            return fail_set_back(l, own, reterr);
        r = append_once(l, records, n, reterr);
        if (r == -EAGAIN)
            moved = follow(l, own, reterr);
    }
    return moved < 0 ? moved : r;
}

/* …and if a person accepts by it what is left of chains that were set back, so it is then. */
static int append_or_accept(struct ledger *l, struct record *const *records, size_t n,
                            struct diag *reterr)
{
    if (!accepts(records, n))
        return append_group(l, records, n, reterr);
    int r = keep_what_was_lost(l, reterr);
    if (r == 0)
        r = append_group(l, records, n, reterr);
    if (r == 0)
        accept_chains(l);
    return r;
}

/* Takes what waits, as it came, up to GROUP_MOST records but one request at least. */
static struct request *take_group(struct ledger *l, size_t *ret_n)
{
    struct request *first = l->waiting, *last = first;

    *ret_n = first->n;
    while (last->next && *ret_n + last->next->n <= GROUP_MOST) {
        last = last->next;
        *ret_n += last->n;
    }
    l->waiting = last->next;
    if (!l->waiting)
        l->last_waiting = &l->waiting;
    last->next = NULL;
    return first;
}

static void write_group(struct ledger *l, struct request *group, size_t n)
{
    _cleanup_free_ struct record **records = xcalloc(n, sizeof(*records));
    _cleanup_(diag_done) struct diag why = {0};
    size_t k = 0;

    for (struct request *q = group; q; q = q->next)
        for (size_t i = 0; i < q->n; i++)
            records[k++] = &q->records[i];
    int r = append_or_accept(l, records, n, &why);
    marks_save(&l->marks);
    for (struct request *q = group; q; q = q->next) {
        q->result = r;
        if (r < 0)
            diag_fail(q->reterr, r, "cannot write the ledger: %s", diag_text(&why, r));
    }
}

/* Writes one group; called and returns with the queue locked, which is open meanwhile. */
static void lead(struct ledger *l)
{
    size_t n;
    struct request *group = take_group(l, &n);

    l->writing = true;
    pthread_mutex_unlock(&l->queue);
    write_group(l, group, n);
    pthread_mutex_lock(&l->queue);
    l->writing = false;
    for (struct request *q = group, *next; q; q = next) {
        next = q->next; /* once done, it is gone */
        q->done = true;
    }
    pthread_cond_broadcast(&l->written);
}

int ledger_append(struct ledger *l, struct record *records, size_t n, struct diag *reterr)
{
    struct request q = {.records = records, .n = n, .reterr = reterr};

    if (n == 0)
        return 0;
    pthread_mutex_lock(&l->queue);
    *l->last_waiting = &q;
    l->last_waiting = &q.next;
    while (!q.done) {
        if (l->writing)
            pthread_cond_wait(&l->written, &l->queue);
        else
            lead(l);
    }
    pthread_mutex_unlock(&l->queue);
    return q.result;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* The chains as they are now, to be read without the lock; refs stay as long as the ledger. */
struct tips {
    VEC(struct tip {
        const char *ref;
        struct oid root;
    });
};

static void tips_done(struct tips *t)
{
    free(t->v);
}

static void take_tips(struct ledger *l, struct tips *ret)
{
    pthread_mutex_lock(&l->lock);
    vec_foreach (c, &l->chains)
        *VEC_ADD(ret) = (struct tip){(*c)->ref, (*c)->root};
    pthread_mutex_unlock(&l->lock);
}

static int open_cursors(struct ledger *l, const char *site, struct cursors *ret,
                        struct diag *reterr)
{
    _cleanup_(tips_done) struct tips tips = {0};
    int r = 0;

    *ret = (struct cursors){.repo = l->repo, .site = site};
    take_tips(l, &tips);
    for (size_t i = 0; i < tips.n && r == 0; i++) {
        struct oid newest;
        r = chain_newest(l->repo, &tips.v[i].root, site, &newest, reterr);
        if (r == 0 && !oid_is_zero(&newest))
            cursors_add(ret, tips.v[i].ref, &newest);
    }
    return r;
}

int ledger_history(struct ledger *l, const char *site,
                   int (*each)(const struct record *r, void *arg), void *arg, struct diag *reterr)
{
    _cleanup_(cursors_done) struct cursors cursors;
    const struct record *record;
    int r = open_cursors(l, site, &cursors, reterr);

    while (r == 0 && (r = cursors_next(&cursors, &record, reterr)) == 0 && record) {
        if (record->kind == RECORD_NEWER)
            return cursors_too_new(&cursors, reterr);
        r = each(record, arg);
        if (r)
            return r;
    }
    return r;
}

static int open_timeline(struct ledger *l, const char *site, struct timeline **ret)
{
    _cleanup_(cursors_done) struct cursors cursors;
    int r = open_cursors(l, site, &cursors, NULL);

    if (r == 0)
        *ret = timelines_get(&l->timelines, &cursors);
    return r;
}

int ledger_generations(struct ledger *l, const char *site, uint64_t after,
                       int (*each)(uint64_t generation, void *arg), void *arg)
{
    struct timeline *t = NULL;
    int r = open_timeline(l, site, &t);

    if (r < 0)
        return r;
    r = t->error;
    for (size_t i = timeline_find(t, after); i-- > 0;) {
        if (i && t->v[i].generation == t->v[i - 1].generation)
            continue;
        if (each(t->v[i].generation, arg)) {
            r = 0;
            break;
        }
    }
    timelines_give_back(&l->timelines, t);
    return r;
}

int ledger_generation(struct ledger *l, const char *site, uint64_t generation,
                      int (*each)(const struct record *r, void *arg), void *arg)
{
    struct timeline *t = NULL;
    int r = open_timeline(l, site, &t);

    if (r < 0)
        return r;
    size_t first = timeline_find(t, generation), i = first;
    for (; r == 0 && i < t->n && t->v[i].generation == generation; i++) {
        _cleanup_(record_done) struct record record = {0};
        r = chain_read(l->repo, &t->v[i].record, site, &record, NULL);
        if (r == 0)
            r = each(&record, arg);
    }
    if (r == 0 && i == first)
        r = t->error ? t->error : -ENOENT;
    timelines_give_back(&l->timelines, t);
    return r;
}

int ledger_sites(struct ledger *l, int (*each)(const char *site, void *arg), void *arg)
{
    _cleanup_(tips_done) struct tips tips = {0};
    struct map names = {0};
    int r = 0;

    take_tips(l, &tips);
    for (size_t i = 0; i < tips.n && r == 0; i++)
        r = chain_sites(l->repo, &tips.v[i].root, &names);
    map_foreach (it, &names) {
        if (r || (r = each(it->key, arg)))
            break;
    }
    map_done(&names, NULL);
    return r;
}

int ledger_keep_marks(struct ledger *l, const char *path, struct diag *reterr)
{
    begin_writing(l);
    int r = marks_load(&l->marks, path, reterr);
    map_foreach (it, &l->marks.all) {
        find_chain(l, it->key); /* it may be gone */
    }
    vec_foreach (c, &l->chains)
        if (r == 0 && follow_mark(l, *c) < 0)
            log_error("ledger-broken", "ref=%s what=\"see onward verify --ledger\"", (*c)->ref);
    marks_save(&l->marks);
    end_writing(l);
    return r;
}

/* Chains that were seen and are not there any more. */
static void add_lost(const struct marks *marks, const struct refs *refs, struct map *ret)
{
    map_foreach (it, &marks->all) {
        if (!refs_find(refs, it->key))
            map_put(ret, it->key, xmemdup(it->value, sizeof(struct oid)));
    }
}

/* The chains to verify -> their marks, as they are at one time. */
static void list_marks(struct ledger *l, const struct refs *refs, struct map *ret)
{
    begin_writing(l);
    for (size_t i = 0; i < refs->n; i++) {
        struct oid mark = marks_get(&l->marks, refs->v[i].name);
        map_put(ret, refs->v[i].name, xmemdup(&mark, sizeof(mark)));
    }
    add_lost(&l->marks, refs, ret);
    end_writing(l);
}

int ledger_verify(struct ledger *l, int (*each)(const struct ledger_finding *f, void *arg),
                  void *arg, struct ledger_totals *ret, struct diag *reterr)
{
    _cleanup_(refs_unrefp) struct refs *refs = NULL;
    struct map marks = {0};
    int r = refs_load_below(l->repo, CHAIN_PREFIX, &refs, reterr);

    if (r < 0)
        return r;
    *ret = (struct ledger_totals){0};
    list_marks(l, refs, &marks);
    map_foreach (it, &marks) {
        const struct ref *ref = refs_find(refs, it->key);
        struct audit_chain chain = {.repo = l->repo, .ref = it->key, .totals = ret};
        chain.each = each;
        chain.arg = arg;
        chain.mark = *(const struct oid *)it->value;
        if (ref)
            chain.tip = ref->target;
        if ((r = audit_run(&chain)))
            break;
    }
    map_done(&marks, free);
    return r;
}

/* ---- marks that keep revisions ----------------------------------------------------------------
 */

#define REMEDY " (onward accept --reason TEXT; see REWRITTEN HISTORY in man 8 onwardfs)"

int ledger_seen_holds(struct repo *repo, const struct oid *seen, const struct oid *head,
                      struct diag *reterr)
{
    char hex[OID_HEX + 1];

    if (oid_is_zero(seen) || oid_equal(seen, head))
        return 0;
    oid_hex(seen, hex);
    if (oid_is_zero(head))
        return diag_fail(reterr, -ESTALE,
                         "there is no mainline: its branch does not exist, and it was at %s; put "
                         "it back, or name the right one (-o branch=NAME)",
                         hex);
    int r = history_is_ancestor(repo, seen, head);
    if (r == -ENOENT)
        return diag_fail(reterr, -ESTALE,
                         "this repository does not have revision %s, which its mainline was at: is "
                         "it an old copy? Put that revision back, or accept this history" REMEDY,
                         hex);
    if (r < 0)
        return diag_fail(reterr, r, "cannot tell whether the mainline still holds %s: %s", hex,
                         strerror(-r));
    if (r == 1)
        return 0;
    return diag_fail(reterr, -ESTALE,
                     "the mainline was rewritten: it does not hold %s any more; put that back, or "
                     "accept the new history" REMEDY,
                     hex);
}

int ledger_keep_seen(struct ledger *l, const char *path, const struct ledger_mainline *mainline,
                     struct diag *reterr)
{
    return seen_keep(&l->seen, path, mainline, reterr);
}

int ledger_seen(struct ledger *l, const struct oid *head, struct oid *ret)
{
    return seen_get(&l->seen, head, ret);
}

int ledger_see(struct ledger *l, const struct oid *rev, struct diag *reterr)
{
    return seen_move(&l->seen, rev, reterr);
}

int ledger_keep(struct ledger *l, const struct oid *rev, struct diag *reterr)
{
    char hex[OID_HEX + 1];
    _cleanup_free_ char *ref = xasprintf("refs/onward/kept/%s", oid_hex(rev, hex));
    struct oid there;
    int r = ref_read(l->repo, ref, &there);

    if (r != -ENOENT)
        return r;
    return ref_update(l->repo, ref, &(struct oid){0}, rev, "onwardfs: kept", reterr);
}

/* Sites run, and their histories name, revisions of the line that is left. */
static int keep_what_is_left(struct ledger *l, const struct oid *rev, struct diag *reterr)
{
    struct oid mark;
    int r = ledger_seen(l, rev, &mark);

    if (r == 0)
        r = history_is_ancestor(l->repo, &mark, rev);
    if (r == 0)
        return ledger_keep(l, &mark, reterr);
    return r == 1 || r == -ENOENT ? 0 : diag_fail(reterr, r, "cannot keep what is left");
}

int ledger_accept(struct ledger *l, const struct oid *rev, struct diag *reterr)
{
    int r = keep_what_is_left(l, rev, reterr);

    return r < 0 ? r : seen_accept(&l->seen, rev, reterr);
}

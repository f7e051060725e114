#include "ledger/ledger.h"

#include <assert.h>
#include <errno.h>
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

/* So many commits may a chain have gained since its mark was saved. */
#define MARK_FURTHEST 100000
/* How often an append is written anew because `git prune` took away a file that had no name yet. */
#define PASSING_TRIES 10
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
    int r = ledger_refresh(l, reterr);
    if (r < 0)
        return r;
    *ret = TAKE(l);
    return 0;
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

/* The chain was moved by somebody else. */
static void follow_mark(struct ledger *l, const char *ref, const struct oid *tip)
{
    struct oid mark = marks_get(&l->marks, ref);
    char now[OID_HEX + 1], seen[OID_HEX + 1];

    if (!oid_is_zero(&mark) && history_distance(l->repo, tip, &mark, MARK_FURTHEST) < 0)
        log_error("ledger-set-back", "ref=%s now=%s seen=%s what=\"see onward verify --ledger\"",
                  ref, oid_hex(tip, now), oid_hex(&mark, seen));
    else
        marks_move(&l->marks, ref, &mark, tip);
}

/* Takes in what the chain's ref names now; readers go on with what was known until it is all
 * there. 1: it had moved. */
static int follow(struct ledger *l, struct chain *c, struct diag *reterr)
{
    _cleanup_(chain_freep) struct chain *fresh = chain_new(c->ref);
    int r = chain_reload(fresh, l->repo, reterr);

    if (r < 0 || oid_equal(&fresh->tip, &c->tip))
        return r;
    follow_mark(l, c->ref, &fresh->tip);
    pthread_mutex_lock(&l->lock);
    c->tip = fresh->tip;
    c->root = fresh->root;
    pthread_mutex_unlock(&l->lock);
    return 1;
}

int ledger_refresh(struct ledger *l, struct diag *reterr)
{
    _cleanup_(refs_unrefp) struct refs *refs = NULL;
    int r = refs_load_below(l->repo, CHAIN_PREFIX, &refs, reterr);

    if (r < 0)
        return r;
    begin_writing(l);
    for (size_t i = 0; i < refs->n && r >= 0; i++) {
        struct chain *c = find_chain(l, refs->v[i].name);
        if (!oid_equal(&c->tip, &refs->v[i].target))
            r = follow(l, c, reterr);
    }
    marks_save(&l->marks);
    end_writing(l);
    return r < 0 ? r : 0;
}

/* ---- appending --------------------------------------------------------------------------------
 */

static void wait_shortly(void)
{
    struct timespec t = clock_timespec(5 * NS_PER_MS);

    nanosleep(&t, NULL);
}

/* Writes everything on top of what is known of our chain, and moves the ref. -EAGAIN: it had moved;
 * -ENOENT: something was in the way that passes. */
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
    int r = -EAGAIN, moved = 1, passing = 0;

    for (int i = 0; r == -EAGAIN && moved == 1 && i < APPEND_TRIES; i++) {
        r = append_once(l, records, n, reterr);
        if (r == -ENOENT && ++passing < PASSING_TRIES) {
            wait_shortly();
            r = -EAGAIN;
        } else if (r == -EAGAIN)
            moved = follow(l, l->chains.v[0], reterr);
    }
    return moved < 0 ? moved : r;
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
    int r = append_group(l, records, n, &why);
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
    vec_foreach (c, &l->chains)
        if (r == 0)
            follow_mark(l, (*c)->ref, &(*c)->tip);
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

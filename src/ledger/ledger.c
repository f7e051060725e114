#include "ledger/ledger.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "ledger/chain.h"
#include "ledger/tree_edit.h"
#include "repo/history.h"
#include "repo/object.h"
#include "repo/refs.h"
#include "repo/revision.h"

/* How often an append starts anew because somebody else wrote to our own chain. */
#define APPEND_TRIES 20

/* `appending` serialises writers and is held over their I/O; `lock` guards the chains and is held
 * for moments only, so that readers never wait for a disk. Order: appending, lock. */
struct ledger {
    struct repo *repo;
    char *host;
    char *seen_ref;
    pthread_mutex_t appending, lock;
    VEC(struct chain *) chains; /* [0] is this host's */
};

/* A name that is one harmless component of a ref, as alike `host` as possible. */
static char *host_component(const char *host)
{
    char *name = xstrdup(*host ? host : "localhost");
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        bool plain = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
                     (name[i] >= '0' && name[i] <= '9') || name[i] == '_' || name[i] == '-';
        bool inner_dot = name[i] == '.' && i > 0 && i + 1 < len && name[i - 1] != '.';
        if (!plain && !inner_dot)
            name[i] = '-';
    }
    if (len >= 5 && !strcmp(name + len - 5, ".lock"))
        name[len - 5] = '-';
    return name;
}

void ledger_free(struct ledger *l)
{
    if (!l)
        return;
    vec_foreach (c, &l->chains)
        chain_free(*c);
    free(l->chains.v);
    free(l->host);
    free(l->seen_ref);
    pthread_mutex_destroy(&l->appending);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

int ledger_open(struct repo *repo, const char *host, struct ledger **ret, struct diag *reterr)
{
    _cleanup_free_ char *name = host_component(host);
    _cleanup_free_ char *ref = xasprintf(CHAIN_PREFIX "%s", name);
    _cleanup_(ledger_freep) struct ledger *l = NEW(struct ledger);

    l->repo = repo;
    l->host = xstrdup(*host ? host : "localhost");
    l->seen_ref = xasprintf("refs/onward/seen/%s", name);
    pthread_mutex_init(&l->appending, NULL);
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
    return *VEC_ADD(&l->chains) = chain_new(ref);
}

int ledger_refresh(struct ledger *l, struct diag *reterr)
{
    _cleanup_(refs_unrefp) struct refs *refs = NULL;
    int r = refs_load_below(l->repo, CHAIN_PREFIX, &refs, reterr);

    if (r < 0)
        return r;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < refs->n && r == 0; i++) {
        struct chain *c = find_chain(l, refs->v[i].name);
        if (!oid_equal(&c->tip, &refs->v[i].target))
            r = chain_reload(c, l->repo, reterr);
    }
    pthread_mutex_unlock(&l->lock);
    return r;
}

/* ---- appending --------------------------------------------------------------------------------
 */

/* One append in the making. The tree of a commit holds one record a site, and what is in no tree is
 * not kept by Git: so the n-th record of each site goes into the n-th of a row of commits, and the
 * ref moves over all of them at once. */
struct append {
    struct ledger *l;
    struct record *records;
    size_t n;
    int *rounds;          /* of each record: in which commit it goes */
    struct map newest;    /* site -> the newest record of it so far (struct record *, borrowed) */
    struct oid tip, root; /* of the last commit that was written */
};

static void append_done(struct append *a)
{
    free(a->rounds);
    map_done(&a->newest, NULL);
}

/* Numbers the records by site and returns how many rounds there are. */
static int number_rounds(struct append *a)
{
    struct map last = {0}; /* site -> &rounds[of its last record] */
    int most = 0;

    for (size_t i = 0; i < a->n; i++) {
        int *before = map_put(&last, a->records[i].site, &a->rounds[i]);
        a->rounds[i] = before ? *before + 1 : 0;
        if (a->rounds[i] >= most)
            most = a->rounds[i] + 1;
    }
    map_done(&last, NULL);
    return most;
}

/* Writes the record's blob, chained to the one before. */
static int write_record(struct append *a, struct record *r, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf json = {0};
    const struct record *before = map_get(&a->newest, r->site);

    free(r->host);
    r->host = xstrdup(a->l->host);
    r->at -= r->at % NS_PER_MS;
    r->previous = before ? before->oid : chain_newest(a->l->chains.v[0], r->site);
    record_encode(r, &json);
    int err = blob_write(a->l->repo, json.data, json.len, &r->oid, reterr);
    if (err == 0)
        map_put(&a->newest, r->site, r);
    return err;
}

/* The journal: one line a record, below a subject if there are several. */
static void write_message(const struct append *a, int round, struct buf *out)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++)
        n += a->rounds[i] == round;
    if (n > 1)
        buf_addf(out, "%zu records\n\n", n);
    for (size_t i = 0; i < a->n; i++) {
        if (a->rounds[i] != round)
            continue;
        record_summary(&a->records[i], out);
        buf_addc(out, '\n');
    }
}

static int write_commit(struct append *a, int round, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf message = {0};
    _cleanup_free_ char *email = xasprintf("onwardfs@%s", a->l->host);
    struct signature us = {
        .name = (char *)"onwardfs", .email = email, .time = clock_timespec(clock_real()).tv_sec};

    write_message(a, round, &message);
    return revision_write(a->l->repo, &a->root, &a->tip, oid_is_zero(&a->tip) ? 0 : 1, &us, &us,
                          buf_str(&message), &a->tip, reterr);
}

static int write_round(struct append *a, int round, struct diag *reterr)
{
    _cleanup_(tree_edits_done) struct tree_edits edits = {0};
    int err;

    for (size_t i = 0; i < a->n; i++) {
        struct record *r = &a->records[i];
        if (a->rounds[i] != round)
            continue;
        if ((err = write_record(a, r, reterr)) < 0)
            return err;
        tree_edits_add(&edits, chain_path("sites", r->site, ".json"), &r->oid);
        if (!oid_is_zero(&r->log))
            tree_edits_add(&edits, chain_path("logs", r->site, ""), &r->log);
    }
    if ((err = tree_edits_apply(a->l->repo, &a->root, &edits, &a->root, reterr)) < 0)
        return err;
    return write_commit(a, round, reterr);
}

/* Writes everything on top of what is known of our chain, and moves the ref. -EAGAIN: it had moved.
 */
static int append_once(struct ledger *l, struct record *records, size_t n, struct diag *reterr)
{
    struct chain *own = l->chains.v[0];
    _cleanup_(append_done) struct append a = {.l = l,
                                              .records = records,
                                              .n = n,
                                              .rounds = xcalloc(n, sizeof(int)),
                                              .tip = own->tip,
                                              .root = own->root};
    int rounds = number_rounds(&a), r = 0;

    for (int i = 0; i < rounds && r == 0; i++)
        r = write_round(&a, i, reterr);
    if (r == 0)
        r = ref_update(l->repo, own->ref, &own->tip, &a.tip, "onwardfs: ledger", reterr);
    if (r < 0)
        return r;
    pthread_mutex_lock(&l->lock);
    own->tip = a.tip;
    own->root = a.root;
    map_foreach (it, &a.newest) {
        chain_set_newest(own, it->key, &((const struct record *)it->value)->oid);
    }
    pthread_mutex_unlock(&l->lock);
    return 0;
}

/* Our chain as somebody else left it. 1: it has moved; 0: it has not, so it was not that which
 * stopped us, but a lock. */
static int reload_own(struct ledger *l, struct diag *reterr)
{
    struct chain *own = l->chains.v[0];

    pthread_mutex_lock(&l->lock);
    struct oid before = own->tip;
    int r = chain_reload(own, l->repo, reterr);
    bool moved = !oid_equal(&before, &own->tip);
    pthread_mutex_unlock(&l->lock);
    return r < 0 ? r : moved;
}

int ledger_append(struct ledger *l, struct record *records, size_t n, struct diag *reterr)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = -EAGAIN, moved = 1;

    if (n == 0)
        return 0;
    pthread_mutex_lock(&l->appending);
    for (int i = 0; r == -EAGAIN && moved == 1 && i < APPEND_TRIES; i++) {
        r = append_once(l, records, n, &why);
        if (r == -EAGAIN)
            moved = reload_own(l, &why);
    }
    pthread_mutex_unlock(&l->appending);
    if (moved < 0)
        r = moved;
    return r < 0 ? diag_fail(reterr, r, "cannot write the ledger: %s", diag_text(&why, r)) : 0;
}

int ledger_write_log(struct ledger *l, const void *data, size_t len, struct oid *ret,
                     struct diag *reterr)
{
    return blob_write(l->repo, data, len, ret, reterr);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Where one chain's records of a site are being read. */
struct cursor {
    struct record record; /* the next one to give out; site NULL: not read yet */
    struct oid next;      /* its id, zero: at the end */
};

struct cursors {
    VEC(struct cursor);
};

static void cursors_done(struct cursors *c)
{
    vec_foreach (k, c)
        record_done(&k->record);
    free(c->v);
}

/* Which of two chains' next records is the newer one. Generations grow over all hosts, so they
 * decide before clocks do. */
static bool newer(const struct record *a, const struct record *b)
{
    if (a->generation != b->generation)
        return a->generation > b->generation;
    return a->at > b->at;
}

/* The cursor that holds the newest record, NULL at the end of all. */
static int cursors_newest(struct ledger *l, struct cursors *c, const char *site,
                          struct cursor **ret)
{
    *ret = NULL;
    vec_foreach (k, c) {
        if (oid_is_zero(&k->next))
            continue;
        if (!k->record.site) {
            int r = chain_read(l->repo, &k->next, site, &k->record);
            if (r < 0)
                return r;
        }
        if (!*ret || newer(&k->record, &(*ret)->record))
            *ret = k;
    }
    return 0;
}

static void cursors_open(struct ledger *l, const char *site, struct cursors *ret)
{
    pthread_mutex_lock(&l->lock);
    vec_foreach (c, &l->chains)
        VEC_ADD(ret)->next = chain_newest(*c, site);
    pthread_mutex_unlock(&l->lock);
}

int ledger_history(struct ledger *l, const char *site,
                   int (*each)(const struct record *r, void *arg), void *arg)
{
    _cleanup_(cursors_done) struct cursors cursors = {0};
    struct cursor *k;
    int r;

    cursors_open(l, site, &cursors);
    while ((r = cursors_newest(l, &cursors, site, &k)) == 0 && k) {
        r = each(&k->record, arg);
        if (r)
            return r;
        k->next = k->record.previous;
        record_done(&k->record);
    }
    return r;
}

int ledger_sites(struct ledger *l, int (*each)(const char *site, void *arg), void *arg)
{
    struct map names = {0};
    int r = 0;

    pthread_mutex_lock(&l->lock);
    vec_foreach (c, &l->chains)
        map_foreach (it, &(*c)->newest) {
            map_put(&names, it->key, l);
        }
    pthread_mutex_unlock(&l->lock);
    map_foreach (it, &names) {
        if ((r = each(it->key, arg)))
            break;
    }
    map_done(&names, NULL);
    return r;
}

/* ---- marks that keep revisions ----------------------------------------------------------------
 */

int ledger_seen_holds(struct repo *repo, const struct oid *seen, const struct oid *head,
                      struct diag *reterr)
{
    char hex[OID_HEX + 1];

    if (oid_is_zero(seen) || oid_equal(seen, head))
        return 0;
    oid_hex(seen, hex);
    if (oid_is_zero(head))
        return diag_fail(reterr, -ESTALE,
                         "there is no mainline: its branch does not exist, and it was at %s", hex);
    int r = history_is_ancestor(repo, seen, head);
    if (r < 0)
        return diag_fail(reterr, r, "cannot tell whether the mainline still holds %s: %s", hex,
                         strerror(-r));
    if (r == 1)
        return 0;
    return diag_fail(reterr, -ESTALE,
                     "the mainline was rewritten: it does not hold %s any more; put that back, or "
                     "accept the new history (see REWRITTEN HISTORY in man 8 onwardfs)",
                     hex);
}

int ledger_seen(struct ledger *l, struct oid *ret)
{
    return ref_read(l->repo, l->seen_ref, ret);
}

int ledger_see(struct ledger *l, const struct oid *rev, struct diag *reterr)
{
    struct oid seen = {0};
    int r = ledger_seen(l, &seen);

    if (r < 0 && r != -ENOENT)
        return diag_fail(reterr, r, "cannot read %s", l->seen_ref);
    if (oid_equal(&seen, rev))
        return 0;
    if (!oid_is_zero(&seen)) {
        r = history_is_ancestor(l->repo, &seen, rev);
        if (r < 0)
            return diag_fail(reterr, r, "cannot compare with %s", l->seen_ref);
        if (r == 0)
            return diag_fail(reterr, -ESTALE, "not a descendant of %s", l->seen_ref);
    }
    return ref_update(l->repo, l->seen_ref, &seen, rev, "onwardfs: seen", reterr);
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

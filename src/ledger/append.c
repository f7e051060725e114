#include "ledger/append.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "repo/batch.h"
#include "repo/object.h"
#include "repo/revision.h"
#include "repo/tree_edit.h"

void append_done(struct append *a)
{
    batch_free(a->batch);
    free(a->rounds);
    for (size_t i = 0; a->settled && i < a->n; i++)
        record_done(&a->settled[i]);
    free(a->settled);
    map_done(&a->newest, NULL);
}

/* Numbers the records by site and returns how many rounds there are. */
static int number_rounds(struct append *a)
{
    struct map last = {0}; /* site -> &rounds[of its last record] */
    int most = 0;

    for (size_t i = 0; i < a->n; i++) {
        int *before = map_put(&last, a->records[i]->site, &a->rounds[i]);
        a->rounds[i] = before ? *before + 1 : 0;
        if (a->rounds[i] >= most)
            most = a->rounds[i] + 1;
    }
    map_done(&last, NULL);
    return most;
}

static int put_log(struct append *a, struct record *r, struct diag *reterr)
{
    const struct buf *text = r->output;

    return text ? sink_blob(batch_sink(a->batch), buf_str(text), text->len, &r->log, reterr) : 0;
}

/* Writes the record's blob, chained to the one before. */
static int write_record(struct append *a, size_t i, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf json = {0};
    struct record *r = a->records[i], *settled = &a->settled[i];
    const struct record *before = map_get(&a->newest, r->site);

    free(r->host);
    r->host = xstrdup(a->host);
    int err = before ? 0 : chain_newest(a->repo, &a->chain->root, r->site, &r->previous, reterr);
    if (before)
        r->previous = before->oid;
    if (err < 0 || (err = put_log(a, r, reterr)) < 0)
        return err;
    record_copy(r, settled);
    if ((err = record_settle(settled, reterr)) < 0)
        return err;
    r->at = settled->at;
    record_encode(settled, &json);
    err = sink_blob(batch_sink(a->batch), json.data, json.len, &r->oid, reterr);
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
        record_summary(&a->settled[i], out);
        buf_addc(out, '\n');
    }
}

static int put_commit(struct append *a, int round, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf message = {0};
    _cleanup_free_ char *email = xasprintf(CHAIN_AUTHOR "@%s", a->host);
    struct signature us = {
        .name = (char *)CHAIN_AUTHOR, .email = email, .time = clock_timespec(clock_real()).tv_sec};
    struct oid parent = a->tip;
    struct revision draft = {.tree = a->root,
                             .parents = &parent,
                             .nparents = oid_is_zero(&parent) ? 0 : 1,
                             .author = us,
                             .committer = us};

    write_message(a, round, &message);
    draft.message = message.data;
    return revision_put(batch_sink(a->batch), &draft, &a->tip, reterr);
}

static int write_round(struct append *a, int round, struct diag *reterr)
{
    _cleanup_(tree_edits_done) struct tree_edits edits = {0};
    struct sink_place place = {a->repo, batch_sink(a->batch)};
    int err;

    for (size_t i = 0; i < a->n; i++) {
        struct record *r = a->records[i];
        if (a->rounds[i] != round)
            continue;
        if ((err = write_record(a, i, reterr)) < 0)
            return err;
        tree_edits_add(&edits, chain_path(r->site), ENTRY_FILE, &r->oid);
        if (!oid_is_zero(&r->log))
            tree_edits_add(&edits, chain_log_path(r->site), ENTRY_FILE, &r->log);
    }
    if ((err = tree_edits_put(&place, &a->root, &edits, &a->root, reterr)) < 0 ||
        (err = put_commit(a, round, reterr)) < 0)
        return err;
    return batch_store(a->batch, reterr); /* the next round reads the trees of this one */
}

int append_write(struct append *a, struct diag *reterr)
{
    int r = 0;

    a->rounds = xcalloc(a->n, sizeof(*a->rounds));
    a->settled = xcalloc(a->n, sizeof(*a->settled));
    a->batch = batch_new(a->repo);
    a->tip = a->chain->tip;
    a->root = a->chain->root;
    int rounds = number_rounds(a);
    for (int i = 0; i < rounds && r == 0; i++)
        r = write_round(a, i, reterr);
    return r;
}

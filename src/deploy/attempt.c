#include "deploy/attempt.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "repo/revision.h"

/* Puts the output where the record can name it. Without it the deployment counts all the same. */
static void keep_log(struct attempt *a)
{
    _cleanup_(diag_done) struct diag why = {0};
    const struct buf *log = &a->result.log;
    int r = log->len ? ledger_write_log(a->ledger, log->data, log->len, &a->log, &why) : 0;

    if (r < 0)
        log_warn("log-lost", "site=%s generation=%llu reason=\"%s\"", a->request.site->name,
                 (unsigned long long)a->request.generation, diag_text(&why, r));
}

static void run(void *arg)
{
    struct attempt *a = arg;
    struct revision_brief brief;
    int r = revision_brief(a->backend->repo, &a->request.to, &brief);

    a->request.to_tree = brief.tree;
    if (r == 0)
        backend_apply(a->backend, &a->request, &a->result);
    else
        backend_result_set(&a->result, BACKEND_FAILED, "cannot read the revision: %s",
                           strerror(-r));
    a->duration = clock_mono() - a->started;
    keep_log(a);
    a->ended(a, a->arg);
}

void attempt_start(struct attempt *a, struct pool *pool)
{
    a->started = clock_mono();
    a->started_at = clock_real();
    a->result.exit = -1;
    pool_submit(pool, run, a);
}

void attempt_free(struct attempt *a)
{
    if (!a)
        return;
    declaration_unref(a->declaration);
    record_done(&a->record);
    backend_result_done(&a->result);
    free(a);
}

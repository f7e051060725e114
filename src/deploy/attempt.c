#include "deploy/attempt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/log.h"
#include "repo/revision.h"

int attempt_init(struct attempt *a)
{
    a->request.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return a->request.stop_fd < 0 ? -errno : 0;
}

/* What the record of the end will have in it. */
static void keep_log(struct attempt *a)
{
    struct buf *log = &a->applied;

    buf_add(log, a->result.log.data, a->result.log.len);
    if (log->len)
        blob_hash(log->data, log->len, &a->log);
}

enum plan_next attempt_next(const struct attempt *a)
{
    return plan_next(a->call, a->result.end, backend_knows(a->backend, VERB_HEALTH));
}

/* What was said is kept when the attempt is over, or an observation found something. */
static void follow_up(struct attempt *a)
{
    bool found = a->result.end == BACKEND_DRIFTED;

    if (a->call == VERB_OBSERVE ? found : attempt_next(a) == NEXT_RECORD) {
        keep_log(a);
    } else if (a->call == VERB_APPLY) {
        a->applied = a->result.log;
        a->result.log = (struct buf){0};
    }
}

static void run(void *arg)
{
    struct attempt *a = arg;
    struct revision_brief brief;
    int r = revision_brief(a->backend->repo, &a->request.to, &brief);

    a->request.to_tree = brief.tree;
    if (r == 0)
        backend_call(a->backend, &a->request, &a->result);
    else
        backend_result_set(&a->result, BACKEND_FAILED, "cannot read the revision: %s",
                           strerror(-r));
    a->duration = clock_mono() - a->started;
    follow_up(a);
    a->ended(a, a->arg);
}

void attempt_call(struct attempt *a, enum backend_verb verb, struct pool *pool)
{
    eventfd_t stopped; /* a call before this one, perhaps */

    eventfd_read(a->request.stop_fd, &stopped);
    a->stopping = false;
    if (!a->started)
        a->started = clock_mono();
    a->deadline = clock_real() + a->request.timeout;
    a->call = a->request.verb = verb;
    a->asked += verb == VERB_HEALTH;
    backend_result_done(&a->result);
    a->result.exit = -1;
    pool_submit(pool, run, a);
}

void attempt_stop(struct attempt *a)
{
    a->stopping = true;
    eventfd_write(a->request.stop_fd, 1);
}

void attempt_give_up(struct attempt *a)
{
    _cleanup_free_ char *last = TAKE(a->result.message);
    char limit[CLOCK_TEXT];

    clock_format_duration(a->request.timeout, limit);
    backend_result_set(&a->result, BACKEND_TIMEOUT, "not healthy within %s%s%s", limit,
                       last ? ": " : "", last ? last : "");
    keep_log(a);
}

void attempt_free(struct attempt *a)
{
    if (!a)
        return;
    closep(&a->request.stop_fd);
    declaration_unref(a->declaration);
    record_done(&a->record);
    backend_result_done(&a->result);
    buf_done(&a->applied);
    free(a);
}

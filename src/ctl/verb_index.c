/* onward index: how far the index of the history is, and waiting until it is current. */
#include <errno.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/verb.h"

#define BAR_WIDTH 40
#define LOOK_NS   (200 * NS_PER_MS) /* between two looks at it */

/* `history` of .onward/status.json. */
struct progress {
    char *state; /* "building" "current" "failed" "none" */
    char *problem;
    json_int_t revisions, of; /* of: 0 while it is not known */
};

static void progress_done(struct progress *p)
{
    free(p->state);
    free(p->problem);
    *p = (struct progress){0};
}

static int progress_read(const struct call *call, struct progress *ret, struct diag *reterr)
{
    _cleanup_(json_decrefp) json_t *status = NULL;
    int r = mountpoint_read_json(call->mount, ".onward/status.json", &status, reterr);

    if (r < 0)
        return r;
    const json_t *history = json_object_get(status, "history");
    progress_done(ret);
    ret->state = xstrdup(json_str(history, "state", "none"));
    ret->problem = xstrdup(json_str(history, "problem", ""));
    ret->revisions = json_int(history, "revisions", 0);
    ret->of = json_int(history, "of", 0);
    return 0;
}

static bool is(const struct progress *p, const char *state)
{
    return !strcmp(p->state, state);
}

/* "building: 1200 of 82000 revisions". */
static void print_line(const struct call *call, const struct progress *p)
{
    fprintf(call->out, "%s: %lld", p->state, (long long)p->revisions);
    if (is(p, "building") && p->of)
        fprintf(call->out, " of %lld", (long long)p->of);
    fputs(" revisions", call->out);
}

static void print_bar(const struct call *call, const struct progress *p)
{
    json_int_t full = p->of > 0 ? MIN(p->revisions, p->of) : 0;
    int done = p->of > 0 ? (int)(full * BAR_WIDTH / p->of) : 0;
    int percent = p->of > 0 ? (int)(full * 100 / p->of) : 0;

    fputs("\r[", call->out);
    for (int i = 0; i < BAR_WIDTH; i++)
        putc(i < done ? '#' : '.', call->out);
    fprintf(call->out, "] %3d%%  ", percent);
    print_line(call, p);
    fputs("\033[K", call->out);
}

/* Redraws the bar on a terminal; elsewhere a line a second, if something moved. */
static void show(const struct call *call, const struct progress *p, int64_t *last)
{
    int64_t now = clock_mono();

    if (call->json)
        return;
    if (call->paint.harmless)
        print_bar(call, p);
    else if (!*last || now - *last >= NS_PER_SEC) {
        print_line(call, p);
        putc('\n', call->out);
        *last = now;
    }
    fflush(call->out);
}

static void print_json(const struct call *call, const struct progress *p)
{
    _cleanup_(json_decrefp) json_t *j = json_object();
    _cleanup_(buf_done) struct buf out = {0};

    json_put_str(j, "state", p->state);
    json_object_set_new(j, "revisions", json_integer(p->revisions));
    json_object_set_new(j, "of", json_integer(p->of));
    json_put_str(j, "problem", *p->problem ? p->problem : NULL);
    json_write(j, 1, &out);
    fprintf(call->out, "%s\n", buf_str(&out));
}

/* Says how it ended. */
static int conclude(const struct call *call, const struct progress *p, bool bar,
                    struct diag *reterr)
{
    if (bar)
        fputs("\r\033[K", call->out);
    if (call->json) {
        print_json(call, p);
    } else if (is(p, "current") || is(p, "building")) {
        print_line(call, p);
        putc('\n', call->out);
    }
    if (is(p, "current"))
        return VERB_YES;
    if (is(p, "building"))
        return VERB_NO;
    if (is(p, "none"))
        return diag_fail(reterr, -ENOENT, "%s keeps no index of the history%s%s", call->mount->path,
                         *p->problem ? ": " : "", p->problem);
    return diag_fail(reterr, -EIO, "the index of the history cannot be made: %s",
                     *p->problem ? p->problem : "the daemon's log says why");
}

int verb_index(const struct call *call, struct diag *reterr)
{
    _cleanup_(progress_done) struct progress p = {0};
    const struct timespec pause = clock_timespec(LOOK_NS);
    int64_t last = 0;
    bool bar = false;
    int r = progress_read(call, &p, reterr);

    while (r == 0 && is(&p, "building") && !call->no_wait) {
        show(call, &p, &last);
        bar = call->paint.harmless && !call->json;
        nanosleep(&pause, NULL);
        r = progress_read(call, &p, reterr);
    }
    return r < 0 ? r : conclude(call, &p, bar, reterr);
}

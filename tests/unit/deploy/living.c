#include "living.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"

static void on_refs(void *arg)
{
    struct world *w = arg;

    if (w->reconcile)
        reconcile_wake(w->reconcile);
}

static void on_event(json_t *event, void *arg)
{
    struct world *w = arg;

    pthread_mutex_lock(&w->lock);
    buf_addf(&w->events, "%s ", json_str(event, "event", "?"));
    pthread_mutex_unlock(&w->lock);
    json_decref(event);
}

void set_verbs(struct world *w, const char *other, const char *apply)
{
    _cleanup_free_ char *text =
        xasprintf("#!/bin/sh\ncd %s\nif [ $1 != apply ]; then\n%s\nexit 64\nfi\n"
                  "echo \"$ONWARD_SITE $ONWARD_GENERATION.$ONWARD_ATTEMPT\" >>calls\n%s\n",
                  w->f->dir, other, apply);

    test_write_file(w->f->dir, "script.new", text);
    test_run(w->f->dir, "chmod +x script.new && mv script.new script");
}

void set_script(struct world *w, const char *apply)
{
    set_verbs(w, ":", apply);
}

void declare(struct world *w, const char *sites)
{
    _cleanup_free_ char *text = xasprintf("onward: 1\nsites:\n%s", sites);

    test_write_file(w->f->work, "onward.yaml", text);
}

int living_setup(void **state)
{
    assert_int_equal(fixture_setup(state), 0);
    struct world *w = NEW(struct world);
    w->f = *state;
    pthread_mutex_init(&w->lock, NULL);
    for (int i = 0; i < 2; i++) {
        w->backends[i] = (struct backend_config)BACKEND_DEFAULTS;
        w->backends[i].retry.first = 10 * NS_PER_MS;
    }
    w->backends[0].name = (char *)"script";
    w->backends[0].kind = BACKEND_EXEC;
    *VEC_ADD(&w->backends[0].command) = xasprintf("%s/script", w->f->dir);
    w->backends[1].name = (char *)"files";
    w->backends[1].kind = BACKEND_DIRECTORY;
    w->backends[1].directory = xasprintf("%s/out/{site}", w->f->dir);
    set_script(w, "");
    declare(w, "  - {name: a, source: stores/a, backend: script}\n");
    test_write_file(w->f->work, "stores/a/app", "one\n");
    test_write_file(w->f->work, "stores/b/app", "one\n");
    *state = w;
    return 0;
}

void start(struct world *w)
{
    _cleanup_(diag_done) struct diag why = {0};

    if (!w->mainline) {
        assert_int_equal(mainline_new(w->f->repo, NULL, &w->mainline, NULL), 0);
        mainline_listen(w->mainline, on_refs, w);
    }
    mainline_refresh(w->mainline, NULL);
    if (!w->ledger)
        assert_int_equal(ledger_open(w->f->repo, "ops-1", &w->ledger, NULL), 0);
    w->board = fleet_board_new();
    w->config.repo = w->f->repo;
    w->config.mainline = w->mainline;
    w->config.ledger = w->ledger;
    w->config.board = w->board;
    w->config.backends = w->backends;
    w->config.nbackends = 2;
    w->config.mountpoint = w->f->mount;
    w->config.host = "ops-1";
    w->config.event = on_event;
    w->config.event_arg = w;
    if (reconcile_start(&w->config, &w->reconcile, &why) < 0)
        fail_msg("%s", diag_text(&why, -EIO));
}

void stop(struct world *w, int64_t grace)
{
    reconcile_stop(TAKE(w->reconcile), grace);
    fleet_board_free(w->board);
    w->board = NULL;
    ledger_free(w->ledger); /* so that the next start reads what is written */
    w->ledger = NULL;
}

void start_enabled(struct world *w)
{
    w->config.enabled = true;
    start(w);
}

int living_teardown(void **state)
{
    struct world *w = *state;

    if (w->reconcile)
        stop(w, 0);
    mainline_free(w->mainline);
    free(w->backends[0].command.v[0]);
    free(w->backends[0].command.v);
    free(w->backends[1].directory);
    buf_done(&w->events);
    *state = w->f;
    free(w);
    return fixture_teardown(state);
}

int give_order(struct world *w, const char *who, const char *line, struct diag *reterr)
{
    _cleanup_(order_done) struct order order = {0};
    int r = order_parse(line, &order, reterr);

    return r < 0 ? r : reconcile_order(w->reconcile, who, &order, reterr);
}

struct oid commit(struct world *w, const char *path, const char *content)
{
    test_write_file(w->f->work, path, content);
    struct oid rev = add_revision(w->f, path);

    if (w->mainline)
        mainline_refresh(w->mainline, NULL);
    return rev;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool is_so(void *arg)
{
    const struct expected *e = arg;
    struct fleet *f = fleet_board_get(e->w->board);
    const struct site_status *s = fleet_site(f, e->site);
    bool so = s && s->state == e->state && (!e->deployed || oid_equal(&s->deployed, e->deployed)) &&
              (!e->blocked || (s->blocked_by.n && !strcmp(s->blocked_by.v[0].kind, e->blocked)));

    fleet_unref(f);
    return so;
}

void wait_for(struct expected e)
{
    if (test_wait(is_so, &e, WAIT))
        return;
    struct fleet *f = fleet_board_get(e.w->board);
    struct buf text = {0};
    fleet_render(f, &text);
    fail_msg("%s is not %s:\n%s", e.site, site_state_name(e.state), text.data);
}

/* The lines that the script has left. */
static char *calls(struct world *w)
{
    return test_output(w->f->dir, "cat calls 2>/dev/null | paste -sd,");
}

void assert_calls(struct world *w, const char *expected)
{
    _cleanup_free_ char *got = calls(w);

    assert_string_equal(got, expected);
}

bool has_calls(void *world)
{
    struct world *w = world;

    return test_status(w->f->dir, "test -s calls") == 0;
}

bool has_two_calls(void *world)
{
    struct world *w = world;

    return test_status(w->f->dir, "test $(wc -l <calls) = 2") == 0;
}

static int add_record(const struct record *r, void *arg)
{
    buf_addf(arg, "%d.%d:%s%s%s ", (int)r->generation, r->attempt, record_kind_name(r->kind),
             r->outcome ? "=" : "", r->outcome ? r->outcome : "");
    return 0;
}

void assert_records(struct world *w, const char *site, const char *expected)
{
    _cleanup_(buf_done) struct buf got = {0};
    struct ledger *fresh = NULL;

    assert_int_equal(ledger_open(w->f->repo, "ops-1", &fresh, NULL), 0);
    assert_int_equal(ledger_history(fresh, site, add_record, &got, NULL), 0);
    ledger_free(fresh);
    assert_string_equal(buf_str(&got), expected);
}

/* What the reconciler does: that what was decided happens, in which order it is recorded, and what
 * is left after an end or a crash. What is decided is tested in test_plan.c and tests/sim. */
#include "living.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

/* ---- the usual way --------------------------------------------------------------------------- */

static void test_a_site_is_deployed_recorded_and_shown(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    set_script(w, "echo it works");
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_calls(w, "a 1.1");
    assert_records(w, "a", "1.1:deployed=done 1.1:attempt ");
    test_run(w->f->work, "git ls-tree -r refs/onward/ledger/ops-1 logs/ | cut -c13-52 | "
                         "git cat-file --batch | grep -qx 'it works'");
    struct fleet *f = fleet_board_get(w->board);
    const struct site_status *s = fleet_site(f, "a");
    assert_memory_equal(&f->head, &one, sizeof(one));
    assert_memory_equal(&s->desired, &one, sizeof(one));
    assert_memory_equal(&s->deployed_inputs, &s->desired_inputs, sizeof(one));
    assert_true(oid_is_zero(&s->previous));
    assert_string_equal(s->deployed_source, "stores/a");
    assert_null(s->step);
    assert_true(s->since > 0 && s->since <= clock_real());
    fleet_unref(f);
    stop(w, 0);
    assert_string_equal(w->events.data, "head wave-opened attempt deployed rollout-done ");
}

static void test_the_directory_backend_brings_the_inputs_there(void **state)
{
    struct world *w = *state;
    declare(w, "  - {name: b, source: stores/b, backend: files}\n");
    struct oid one = add_revision(w->f, "one");

    start_enabled(w);
    WAIT_FOR(w, "b", SITE_IN_SYNC, &one);
    test_run(w->f->dir, "grep -q one out/b/current/stores/b/app");
    struct oid two = commit(w, "stores/b/app", "two\n");
    WAIT_FOR(w, "b", SITE_IN_SYNC, &two);
    test_run(w->f->dir, "grep -q two out/b/current/stores/b/app");
    struct fleet *f = fleet_board_get(w->board);
    assert_memory_equal(&fleet_site(f, "b")->previous, &one, sizeof(one));
    fleet_unref(f);
}

/* Principle 3. */
static void test_a_commit_that_does_not_touch_a_site_leaves_it_alone(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    declare(w, "  - {name: a, source: stores/a, backend: script}\n"
               "  - {name: b, source: stores/b, backend: script}\n");
    struct oid two = commit(w, "unrelated", "x\n");
    WAIT_FOR(w, "b", SITE_IN_SYNC, &two);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_calls(w, "a 1.1,b 1.1");
    assert_records(w, "a", "1.1:deployed=done 1.1:attempt ");
}

static void test_a_restart_finds_everything_as_it_was(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    struct fleet *f = fleet_board_get(w->board);
    int64_t since = fleet_site(f, "a")->since;
    fleet_unref(f);
    stop(w, 0);
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    f = fleet_board_get(w->board);
    assert_int_equal(fleet_site(f, "a")->since, since - since % NS_PER_MS);
    fleet_unref(f);
    assert_calls(w, "a 1.1");
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_a_failure_is_tried_again_then_given_up_then_retried(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    w->backends[0].retry.limit = 3;
    set_script(w, "echo disk full; exit 1");
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_FAILED);
    assert_calls(w, "a 1.1,a 1.2,a 1.3");
    assert_records(w, "a",
                   "1.3:failed=failed 1.3:attempt 1.2:failed=retry 1.2:attempt "
                   "1.1:failed=retry 1.1:attempt ");
    struct fleet *f = fleet_board_get(w->board);
    assert_string_equal(fleet_site(f, "a")->message, "exit status 1: disk full");
    fleet_unref(f);
    set_script(w, "");
    assert_int_equal(give_order(w, "ann", "retry a", NULL), 0);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_calls(w, "a 1.1,a 1.2,a 1.3,a 1.4");
    assert_int_equal(give_order(w, "ann", "retry a", NULL), 0);
}

static int take_by(const struct record *r, void *arg)
{
    if (r->kind == RECORD_ATTEMPT)
        *(char **)arg = xstrdup(r->by);
    return r->kind == RECORD_ATTEMPT;
}

static void test_who_asked_for_a_retry_is_recorded(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");
    _cleanup_free_ char *by = NULL;

    set_script(w, "exit 78");
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_STALLED);
    set_script(w, "");
    assert_int_equal(give_order(w, "ann", "retry a", NULL), 0);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_int_equal(ledger_history(w->ledger, "a", take_by, &by, NULL), 1);
    assert_string_equal(by, "ann");
}

static void test_commands_that_cannot_be_are_refused(void **state)
{
    static const struct {
        const char *line, *reason;
        int err;
    } bad[] = {{"", "no command", -EINVAL},           {"retreat a", "no command", -EINVAL},
               {"retry", "name of a site", -EINVAL},  {"retry  ", "name of a site", -EINVAL},
               {"retry a zz", "no site zz", -ENOENT}, {"ret a", "no command", -EINVAL}};
    struct world *w = *state;

    add_revision(w->f, "one");
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_(diag_done) struct diag why = {0};
        assert_int_equal(give_order(w, "ann", bad[i].line, &why), bad[i].err);
        if (!strstr(why.text, bad[i].reason))
            fail_msg("%s: %s", bad[i].line, why.text);
    }
}

/* Fifteen failures, 5: the fix is there at once, not after the hour that the broken one would wait.
 * */
static void test_a_fix_does_not_wait_for_what_it_fixes(void **state)
{
    struct world *w = *state;
    add_revision(w->f, "one");

    w->backends[0].retry.first = w->backends[0].retry.longest = 3600 * NS_PER_SEC;
    set_script(w, "exit 1");
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_MIGRATING);
    assert_true(test_wait(has_calls, w, WAIT));
    set_script(w, "");
    struct oid fix = commit(w, "stores/a/app", "fixed\n");
    WAIT_FOR(w, "a", SITE_IN_SYNC, &fix);
    assert_calls(w, "a 1.1,a 2.1");
    assert_records(w, "a",
                   "2.1:deployed=done 2.1:attempt 1.1:superseded 1.1:failed=retry "
                   "1.1:attempt ");
}

static void test_an_attempt_under_way_is_let_finish(void **state)
{
    struct world *w = *state;
    add_revision(w->f, "one");

    set_script(w, "while [ ! -e go ]; do sleep 0.01; done");
    start_enabled(w);
    assert_true(test_wait(has_calls, w, WAIT));
    struct oid two = commit(w, "stores/a/app", "two\n");
    WAIT_FOR(w, "a", SITE_MIGRATING);
    assert_calls(w, "a 1.1");
    test_write_file(w->f->dir, "go", "");
    WAIT_FOR(w, "a", SITE_IN_SYNC, &two);
    assert_calls(w, "a 1.1,a 2.1");
    /* it was applied; what is newer does not wait for whether it is healthy */
    assert_records(w, "a", "2.1:deployed=done 2.1:attempt 1.1:superseded 1.1:attempt ");
}

/* P8. As a `kill -9` leaves it: an attempt in the ledger, and nobody who runs it. */
static void test_an_attempt_without_an_end_is_interrupted_and_started_again(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");
    struct record left = {.site = (char *)"a",
                          .kind = RECORD_ATTEMPT,
                          .generation = 4,
                          .attempt = 2,
                          .to = one,
                          .at = clock_real(),
                          .exit = -1},
                  gone = left;

    gone.site = (char *)"gone"; /* no longer declared: it gets its end all the same */
    assert_int_equal(ledger_open(w->f->repo, "ops-1", &w->ledger, NULL), 0);
    assert_int_equal(ledger_append(w->ledger, &left, 1, NULL), 0);
    assert_int_equal(ledger_append(w->ledger, &gone, 1, NULL), 0);
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_calls(w, "a 5.1"); /* the record's inputs were others */
    assert_records(w, "a",
                   "5.1:deployed=done 5.1:attempt 4.2:superseded 4.2:interrupted "
                   "4.2:attempt ");
    assert_records(w, "gone", "4.2:interrupted 4.2:attempt ");
    free(left.host);
    free(gone.host);
}

static void test_an_end_of_the_daemon_is_recorded_and_made_good(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    set_script(w, "exec sleep 1000");
    start_enabled(w);
    assert_true(test_wait(has_calls, w, WAIT));
    stop(w, 0);
    assert_records(w, "a", "1.1:interrupted 1.1:attempt ");
    set_script(w, "");
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_records(w, "a", "1.2:deployed=done 1.2:attempt 1.1:interrupted 1.1:attempt ");
}

static void test_an_attempt_may_finish_within_the_grace(void **state)
{
    struct world *w = *state;
    add_revision(w->f, "one");

    set_script(w, "sleep 0.2");
    start_enabled(w);
    assert_true(test_wait(has_calls, w, WAIT));
    stop(w, 60 * NS_PER_SEC);
    assert_records(w, "a", "1.1:deployed=done 1.1:attempt ");
}

static bool has_problem(void *world)
{
    struct fleet *f = fleet_board_get(((struct world *)world)->board);
    bool has = f->problem != NULL;

    fleet_unref(f);
    return has;
}

/* P8: what cannot be recorded is not started, and not shown. */
static void test_nothing_starts_while_the_ledger_cannot_be_written(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    test_run(w->f->work, "git pack-refs --all; echo in the way >.git/refs/onward");
    start_enabled(w);
    assert_true(test_wait(has_problem, w, WAIT));
    struct fleet *f = fleet_board_get(w->board);
    assert_non_null(strstr(f->problem, "ledger"));
    assert_int_not_equal(fleet_site(f, "a")->state, SITE_MIGRATING);
    fleet_unref(f);
    assert_calls(w, "");
    test_run(w->f->work, "rm .git/refs/onward");
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    assert_calls(w, "a 1.1");
    f = fleet_board_get(w->board);
    assert_null(f->problem);
    fleet_unref(f);
}

/* ---- declarations ---------------------------------------------------------------------------- */

static void test_a_wrong_declaration_stops_everything_and_says_so(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
    declare(w, "  - {nme: a}\n");
    struct oid two = commit(w, "stores/a/app", "two\n");
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one, "declaration");
    struct fleet *f = fleet_board_get(w->board);
    assert_non_null(strstr(f->problem, "onward.yaml:3"));
    assert_memory_equal(&f->head, &one, sizeof(one));
    fleet_unref(f);
    declare(w, "  - {name: a, source: stores/a, backend: script}\n");
    commit(w, "unrelated", "x\n");
    WAIT_FOR(w, "a", SITE_IN_SYNC, &two);
    assert_calls(w, "a 1.1,a 2.1");
}

static void test_what_is_declared_of_a_site_is_followed(void **state)
{
    struct world *w = *state;
    declare(w, "  - {name: a, source: stores/a, backend: script, suspend: true}\n"
               "  - {name: b, source: stores/b, backend: script, depends_on: [a]}\n"
               "  - {name: c, source: stores/b, backend: nowhere}\n"
               "  - {name: d, source: stores/b}\n"
               "  - {name: e, source: stores/b, backend: script, pin: v9}\n");
    add_revision(w->f, "one");
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_SUSPENDED, NULL, "suspend");
    WAIT_FOR(w, "b", SITE_PENDING, NULL, "dependency");
    WAIT_FOR(w, "c", SITE_UNKNOWN, NULL, "declaration");
    WAIT_FOR(w, "d", SITE_UNKNOWN, NULL, "declaration");
    WAIT_FOR(w, "e", SITE_UNKNOWN, NULL, "declaration");
    assert_calls(w, "");
    test_run(w->f->work, "git tag v9");
    mainline_refresh(w->mainline, NULL);
    WAIT_FOR(w, "e", SITE_IN_SYNC);
    declare(w, "  - {name: a, source: stores/a, backend: script}\n"
               "  - {name: b, source: stores/b, backend: script, depends_on: [a]}\n");
    commit(w, "unrelated", "x\n");
    WAIT_FOR(w, "b", SITE_IN_SYNC);
    assert_calls(w, "e 1.1,a 1.1,b 1.1");
    struct fleet *f = fleet_board_get(w->board);
    assert_int_equal(f->sites.n, 2); /* the others are not declared any more */
    fleet_unref(f);
    test_run(w->f->work, "git for-each-ref --format='%%(refname)' | grep -q refs/onward/kept/");
}

/* Fifteen failures, 14: also over a restart, since the mark is in the repository. */
static void test_a_rewritten_mainline_moves_nothing(void **state)
{
    struct world *w = *state;
    add_revision(w->f, "one");
    struct oid two = commit(w, "stores/a/app", "two\n");

    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &two);
    test_run(w->f->work, "git reset -q --hard HEAD~1");
    commit(w, "stores/a/app", "other\n");
    WAIT_FOR(w, "a", SITE_IN_SYNC, &two, "rewritten");
    stop(w, 0);
    start_enabled(w);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &two, "rewritten");
    assert_calls(w, "a 1.1");
    test_run(w->f->work, "git reflog expire --expire=now --all; git gc -q --prune=now");
    char hex[OID_HEX + 1];
    test_run(w->f->work, "git cat-file -e %s", oid_hex(&two, hex));
}

static void test_a_branch_that_is_born_later_is_followed(void **state)
{
    struct world *w = *state;

    start_enabled(w);
    struct fleet *f = fleet_board_get(w->board);
    assert_int_equal(f->sites.n, 0);
    assert_null(f->problem);
    fleet_unref(f);
    struct oid one = commit(w, "stores/a/app", "one\n");
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one);
}

/* ---- others ---------------------------------------------------------------------------------- */

static void test_who_only_shows_starts_and_records_nothing(void **state)
{
    struct world *w = *state;
    struct oid one = add_revision(w->f, "one");

    w->config.enabled = false;
    w->config.disabled_why = "process 17 has the lease";
    start(w);
    WAIT_FOR(w, "a", SITE_UNKNOWN, NULL, "lease");
    assert_int_not_equal(test_status(w->f->work, "git for-each-ref | grep -q refs/onward"), 0);
    struct ledger *other = NULL; /* the one with the lease deploys it */
    struct record r = {.site = (char *)"a",
                       .kind = RECORD_DEPLOYED,
                       .generation = 1,
                       .attempt = 1,
                       .to = one,
                       .at = clock_real(),
                       .exit = 0};
    struct fleet *f = fleet_board_get(w->board);
    r.inputs = fleet_site(f, "a")->desired_inputs;
    fleet_unref(f);
    assert_int_equal(ledger_open(w->f->repo, "ops-1", &other, NULL), 0);
    assert_int_equal(ledger_append(other, &r, 1, NULL), 0);
    mainline_refresh(w->mainline, NULL);
    WAIT_FOR(w, "a", SITE_IN_SYNC, &one, "lease");
    assert_calls(w, "");
    free(r.host);
    r = (struct record){.site = (char *)"a",
                        .kind = RECORD_FAILED,
                        .generation = 2,
                        .attempt = 1,
                        .to = oid_number(9),
                        .outcome = (char *)"retry",
                        .at = clock_real()};
    assert_int_equal(ledger_append(other, &r, 1, NULL), 0);
    mainline_refresh(w->mainline, NULL);
    WAIT_FOR(w, "a", SITE_PENDING, &one, "lease");
    stop(w, 0);
    assert_records(w, "a", "2.1:failed=retry 1.1:deployed ");
    ledger_free(other);
    free(r.host);
}

/* Everything decided at once is one commit of the ledger, and no more than `concurrency` run. With
 * `idle` others beside them that do not move. */
static void deploy_many(struct world *w, int idle)
{
    _cleanup_(buf_done) struct buf sites = {0};

    for (int i = 0; i < 20 + idle; i++)
        buf_addf(&sites, "  - {name: s%02d, source: stores/a, backend: script, suspend: %s}\n", i,
                 i < 20 ? "false" : "true");
    declare(w, sites.data);
    w->backends[0].concurrency = 3;
    set_script(w, "mkdir -p run && : >run/$ONWARD_SITE && ls run | wc -l >>most; sleep 0.02; "
                  "rm run/$ONWARD_SITE");
    add_revision(w->f, "one");
    start_enabled(w);
    for (int i = 0; i < 20; i++) {
        _cleanup_free_ char *name = xasprintf("s%02d", i);
        WAIT_FOR(w, name, SITE_IN_SYNC);
    }
    test_run(w->f->dir,
             "test $(sort -n most | tail -1) -le 3 && test $(sort -u calls | wc -l) = 20");
    test_run(w->f->work, "git log --format=%%s refs/onward/ledger/ops-1 | grep -q '[34] records'");
}

static void test_many_sites_at_once(void **state)
{
    deploy_many(*state, 0);
}

/* So many that not every step of each is shown. */
static void test_some_of_a_large_fleet(void **state)
{
    deploy_many(*state, 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LTEST(test_a_site_is_deployed_recorded_and_shown),
        LTEST(test_the_directory_backend_brings_the_inputs_there),
        LTEST(test_a_commit_that_does_not_touch_a_site_leaves_it_alone),
        LTEST(test_a_restart_finds_everything_as_it_was),
        LTEST(test_a_failure_is_tried_again_then_given_up_then_retried),
        LTEST(test_who_asked_for_a_retry_is_recorded),
        LTEST(test_commands_that_cannot_be_are_refused),
        LTEST(test_a_fix_does_not_wait_for_what_it_fixes),
        LTEST(test_an_attempt_under_way_is_let_finish),
        LTEST(test_an_attempt_without_an_end_is_interrupted_and_started_again),
        LTEST(test_an_end_of_the_daemon_is_recorded_and_made_good),
        LTEST(test_an_attempt_may_finish_within_the_grace),
        LTEST(test_nothing_starts_while_the_ledger_cannot_be_written),
        LTEST(test_a_wrong_declaration_stops_everything_and_says_so),
        LTEST(test_what_is_declared_of_a_site_is_followed),
        LTEST(test_a_rewritten_mainline_moves_nothing),
        LTEST(test_a_branch_that_is_born_later_is_followed),
        LTEST(test_who_only_shows_starts_and_records_nothing),
        LTEST(test_many_sites_at_once),
        LTEST(test_some_of_a_large_fleet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "check/check.h"

#define LONG (60 * NS_PER_SEC)

/* Runs `change` in the work tree, commits it; the trees before and after. */
static struct check_input input_of(struct fixture *f, const char *change)
{
    struct check_input in = {.base = fixture_rev(f, "HEAD^{tree}")};

    test_run(f->path, "%s", change);
    test_run(f->path, "git add -A && git commit -qm change");
    in.tree = fixture_rev(f, "HEAD^{tree}");
    return in;
}

static void assert_gives(struct checks *c, const struct check_input *in, const char *expected)
{
    struct findings findings = {0};
    struct diag why = {0};
    struct buf out = {0};

    if (checks_run(c, in, 0, &findings, &why) < 0)
        fail_msg("%s", diag_text(&why, 0));
    findings_render(&findings, &out);
    assert_string_equal(buf_str(&out), expected);
    findings_done(&findings);
    buf_done(&out);
}

/* What the checks of a host that offers none of its own say of a change. */
static void assert_change_gives(struct fixture *f, const char *change, const char *expected)
{
    struct check_input in = input_of(f, change);
    struct checks *c = checks_new(&(struct checks_config){.repo = f->repo});

    assert_gives(c, &in, expected);
    checks_free(c);
}

static void only_what_changed_is_checked(void **state)
{
    struct fixture *f = *state;

    assert_change_gives(
        f, "printf 'a: 1\\n---\\nb: 2\\n' > apps/ok.yaml && echo '{}' > apps/ok.json", "");
    assert_change_gives(f,
                        "printf 'a: 1\\na: 2\\n' > apps/a.yaml && echo '[1,]' > apps/b.JSON && "
                        "echo 'a: [' > apps/c.yml && echo 'a: [' > apps/d.txt && echo '{' > yaml",
                        "apps/a.yaml:2:1: yaml: duplicate key \"a\": the first one is on line 1\n"
                        "apps/b.JSON:1:4: json: expected a value, found ']'\n"
                        "apps/c.yml:2:1: yaml: did not find expected node content: expected a "
                        "value; perhaps [ or { is not closed\n");
    /* What was wrong before is no finding of another change, nor of an execute bit. */
    assert_change_gives(f, "echo x > apps/file && chmod +x apps/c.yml", "");
    assert_change_gives(f, "git mv apps/c.yml apps/e.yml && git rm -q apps/a.yaml",
                        "apps/e.yml:2:1: yaml: did not find expected node content: expected a "
                        "value; perhaps [ or { is not closed\n");
    /* A symlink's text is no YAML, whatever its name. */
    assert_change_gives(f, "ln -s 'a: [' apps/link.yaml", "");
    assert_change_gives(f, "head -c 17000000 /dev/zero | tr '\\0' '[' > apps/huge.yaml", "");
}

static void without_a_base_everything_is_new(void **state)
{
    struct fixture *f = *state;
    struct findings findings = {0};
    struct checks *c = checks_new(&(struct checks_config){.repo = f->repo});

    test_run(f->path,
             "echo 'a: [' > apps/a.yaml && echo 'onward: 3' > onward.yaml && git add -A && "
             "git commit -qm wrong");
    struct check_input in = {.tree = fixture_rev(f, "HEAD^{tree}")};
    assert_int_equal(checks_run(c, &in, 0, &findings, NULL), 0);
    assert_int_equal(findings.n, 2);
    assert_string_equal(findings.v[0].check, "declaration");
    assert_string_equal(findings.v[1].check, "yaml");
    findings_done(&findings);
    checks_free(c);
}

static void the_declaration_names_what_is_checked(void **state)
{
    assert_change_gives(*state,
                        "printf 'onward: 1\\nchecks: [json]\\n' > onward.yaml && "
                        "echo 'a: [' > apps/a.yaml && echo '[' > apps/a.json",
                        "apps/a.json:2:1: json: expected a value, found the end of the file\n");
    assert_change_gives(*state,
                        "printf 'onward: 1\\nchecks: []\\n' > onward.yaml && "
                        "echo 'a: [[' > apps/a.yaml",
                        "");
    assert_change_gives(
        *state, "printf 'onward: 1\\nchecks: [declaration,\\n kubeconform]\\n' > onward.yaml",
        "onward.yaml:2:9: declaration: checks: this host has no check \"kubeconform\"; "
        "expected one of yaml, json, declaration, conflict-markers, size\n");
    assert_change_gives(*state, "echo '# more' >> onward.yaml", "");
}

static void the_declaration_is_checked_by_what_it_names(void **state)
{
    struct fixture *f = *state;

    assert_change_gives(
        f, "printf 'onward: 1\\nsites:\\n- name: hub\\n  include: [apps]\\n' > onward.yaml", "");
    /* The file has not changed; the tree has. */
    assert_change_gives(f, "git rm -qr apps",
                        "onward.yaml:4:13: declaration: include: \"apps\" does not "
                        "exist in this revision\n");
    assert_change_gives(f, "echo x > common.yaml", "");
    assert_change_gives(f, "printf '  team: [a]\\n' >> onward.yaml",
                        "onward.yaml:5:9: declaration: team: expected a string, found a list\n");
    assert_change_gives(f, "echo 'sites: {' > onward.yaml",
                        "onward.yaml:2:1: declaration: did not find expected node content: "
                        "expected a value; perhaps [ or { is not closed\n");
    assert_change_gives(f, "git rm -q onward.yaml", "");
}

static void what_cannot_be_read_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct findings findings = {0};
    struct diag why = {0};
    struct check_input missing = {.tree = {{0x77}}}, nothing = {0};
    struct checks *c = checks_new(&(struct checks_config){.repo = f->repo});

    assert_int_equal(checks_run(c, &nothing, 0, &findings, &why), 0);
    assert_int_equal(checks_run(c, &missing, 0, &findings, &why), -EIO);
    assert_non_null(why.text);
    assert_int_equal(findings.n, 0);
    diag_done(&why);
    checks_free(c);
}

static void two_checks_always_run(void **state)
{
    struct fixture *f = *state;
    struct checks *c = checks_new(&(struct checks_config){.repo = f->repo, .most_file_size = 100});
    struct check_input in =
        input_of(f, "printf 'onward: 1\nchecks: []\n' > onward.yaml && seq 100 > apps/numbers && "
                    "printf 'a\n<<<<<<< ours\n1\n=======\n2\n>>>>>>> theirs\n' > apps/both");
    const char expected[] =
        "apps/both:2:1: conflict-markers: a conflict of a merge that nobody has decided: choose a "
        "side, and remove the lines <<<<<<<, ======= and >>>>>>>\n"
        "apps/numbers:1:1: size: the file has 292 bytes; this host takes at most 100 (limits: "
        "file_size)\n";

    assert_gives(c, &in, expected);
    assert_gives(c, &in, expected); /* out of memory this time */
    /* What stood there before is nobody's new mistake; one more is. */
    in = input_of(f, "echo more >> apps/both && chmod +x apps/numbers");
    assert_gives(c, &in, "");
    in = input_of(f, "printf '<<<<<<< a\n=======\n>>>>>>> b\n' >> apps/both");
    assert_gives(c, &in,
                 "apps/both:8:1: conflict-markers: a conflict of a merge that nobody has decided: "
                 "choose a side, and remove the lines <<<<<<<, ======= and >>>>>>>\n");
    checks_free(c);
}

/* ---- checks of the host ---- */

/* A host that offers `lint`, a shell script, for files below apps/, and `whole`, another, for
 * everything. Both note each of their runs in the file `runs`. */
struct host {
    char *words[2][3], *glob;
    struct check_config checks[2];
    struct checks *c;
};

static void host_open(struct fixture *f, struct host *h, const char *lint, const char *whole)
{
    const char *const scripts[] = {lint, whole}, *const names[] = {"lint", "whole"};

    for (int i = 0; i < 2; i++) {
        char **words = h->words[i];
        words[0] = (char *)"/bin/sh";
        words[1] = (char *)"-c";
        words[2] = xasprintf("echo $ONWARD_CHECK $* >>%s/runs; %s", f->dir, scripts[i]);
        h->checks[i] = (struct check_config){.name = (char *)names[i], .timeout = LONG};
        h->checks[i].command.v = words;
        h->checks[i].command.n = 3;
    }
    h->glob = (char *)"apps/**";
    h->checks[0].paths.v = &h->glob;
    h->checks[0].paths.n = 1;
    _cleanup_free_ char *trees = xasprintf("%s/trees", f->dir);
    h->c = checks_new(
        &(struct checks_config){.repo = f->repo, .host = h->checks, .nhost = 2, .trees = trees});
}

static void host_close(struct host *h)
{
    checks_free(h->c);
    free(h->words[0][2]);
    free(h->words[1][2]);
}

/* A change with its tree where the checks look for it. */
static struct check_input visible_input(struct fixture *f, const char *change)
{
    struct check_input in = input_of(f, change);
    char hex[OID_HEX + 1];

    test_run(f->path, "mkdir -p ../trees/%s && git archive HEAD | tar x -C ../trees/%s",
             oid_hex(&in.tree, hex), oid_hex(&in.tree, hex));
    return in;
}

static void assert_runs(struct fixture *f, const char *expected)
{
    _cleanup_free_ char *runs = test_output(f->dir, "sort runs; : >runs");

    assert_string_equal(runs, expected);
}

#define NAME_THEM "printf 'onward: 1\nchecks: [lint, whole]\n' > onward.yaml"

static void a_check_of_the_host_runs_for_what_it_looks_at(void **state)
{
    struct fixture *f = *state;
    struct host h;

    host_open(f, &h, "grep -q bad apps/x || exit 0; echo apps/x:1:2: no; exit 1", "true");
    struct check_input in = visible_input(f, NAME_THEM " && echo bad > apps/x");
    assert_gives(h.c, &in, "apps/x:1:2: lint: no\n");
    /* sh -c takes the first argument as $0. */
    assert_runs(f, "lint\nwhole onward.yaml");
    in = visible_input(f, "echo 1 > apps/1 && echo 2 > apps/2 && echo good > apps/x");
    assert_gives(h.c, &in, "");
    assert_runs(f, "lint apps/2 apps/x\nwhole apps/2 apps/x");
    in = visible_input(f, "git rm -q apps/1 apps/2 && ln -s x apps/link");
    assert_gives(h.c, &in, "");
    assert_runs(f, "whole");
    in = visible_input(f, "echo x > elsewhere");
    assert_gives(h.c, &in, "");
    assert_runs(f, "whole");
    host_close(&h);
}

static void the_same_input_is_checked_once(void **state)
{
    struct fixture *f = *state;
    struct findings none = {0};
    struct host h;

    host_open(f, &h, "true", "exit 3");
    struct check_input in = visible_input(f, NAME_THEM " && echo x > apps/x");
    assert_int_equal(checks_run(h.c, &in, CHECK_NO_WAIT, &none, NULL), -EINPROGRESS);
    assert_int_equal(none.n, 0);
    assert_gives(h.c, &in, ".: whole: exit status 3\n");
    assert_gives(h.c, &in, ".: whole: exit status 3\n");
    assert_int_equal(checks_run(h.c, &in, CHECK_NO_WAIT, &none, NULL), 0);
    assert_int_equal(none.n, 1);
    assert_runs(f, "lint\nwhole onward.yaml");
    in.base = (struct oid){0};
    assert_int_equal(checks_run(h.c, &in, CHECK_NO_WAIT, &none, NULL), -EINPROGRESS);
    findings_done(&none);
    host_close(&h);
}

static void what_was_cut_short_is_checked_again(void **state)
{
    struct fixture *f = *state;
    struct host h;

    host_open(f, &h, "sleep 1000", "true");
    h.checks[0].timeout = 50 * NS_PER_MS;
    struct check_input in = visible_input(f, NAME_THEM " && echo x > apps/x");
    for (int i = 0; i < 2; i++) {
        assert_gives(h.c, &in, ".: lint: not done within 50ms, stopped\n");
        assert_runs(f, i ? "lint" : "lint\nwhole onward.yaml");
    }
    host_close(&h);
}

/* Each of them waits for the other. */
static void checks_run_beside_each_other(void **state)
{
    struct fixture *f = *state;
    struct host h;
    char meet[300];

    test_run(f->dir, "mkfifo a");
    snprintf(meet, sizeof(meet), "cat <%s/a >/dev/null", f->dir);
    char met[300];
    snprintf(met, sizeof(met), "echo x >%s/a", f->dir);
    host_open(f, &h, meet, met);
    struct check_input in = visible_input(f, NAME_THEM " && echo x > apps/x");
    assert_gives(h.c, &in, "");
    host_close(&h);
}

struct asker {
    struct checks *c;
    const struct check_input *in;
    int result; /* the error, or how many findings */
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    struct findings found = {0};

    a->result = checks_run(a->c, a->in, 0, &found, NULL);
    if (a->result == 0)
        a->result = found.n;
    findings_done(&found);
    return NULL;
}

static bool has_begun(void *arg)
{
    return test_status(((struct fixture *)arg)->dir, "test -s runs") == 0;
}

static void the_end_of_the_daemon_ends_them(void **state)
{
    struct fixture *f = *state;
    struct host h;
    pthread_t thread;

    host_open(f, &h, "sleep 1000", "true");
    struct check_input in = visible_input(f, NAME_THEM " && echo x > apps/x");
    struct asker asker = {h.c, &in, 0};
    assert_int_equal(pthread_create(&thread, NULL, ask, &asker), 0);
    assert_true(test_wait(has_begun, f, 20000));
    checks_end(h.c);
    pthread_join(thread, NULL);
    assert_int_equal(asker.result, -ECANCELED);
    test_run(f->dir, "echo >runs");
    ask(&asker);
    assert_int_equal(asker.result, -ECANCELED);
    host_close(&h);
}

static void ask_in_pool(void *arg)
{
    ask(arg);
}

static void let_pass(void *arg)
{
    test_run(((struct fixture *)arg)->dir, "echo x >a");
}

/* Neither who runs a command keeps the mount from serving it, nor who waits for the one who does.
 */
static void who_waits_for_the_same_tree_leaves_the_pool_to_others(void **state)
{
    struct fixture *f = *state;
    struct host h;
    _cleanup_free_ char *wait = xasprintf("cat <%s/a >/dev/null", f->dir);

    test_run(f->dir, "mkfifo a");
    host_open(f, &h, wait, "true");
    h.checks[0].timeout = 20 * NS_PER_SEC;
    struct check_input in = visible_input(f, NAME_THEM " && echo x > apps/x");
    struct asker askers[] = {{h.c, &in, -1}, {h.c, &in, -1}};
    struct pool *pool = pool_new("serve", 1);
    pool_submit(pool, ask_in_pool, &askers[0]);
    pool_submit(pool, ask_in_pool, &askers[1]);
    pool_submit(pool, let_pass, f);
    pool_free(pool);
    assert_int_equal(askers[0].result, 0);
    assert_int_equal(askers[1].result, 0);
    host_close(&h);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_what_changed_is_checked),
        TEST(without_a_base_everything_is_new),
        TEST(the_declaration_names_what_is_checked),
        TEST(the_declaration_is_checked_by_what_it_names),
        TEST(what_cannot_be_read_is_an_error),
        TEST(two_checks_always_run),
        TEST(a_check_of_the_host_runs_for_what_it_looks_at),
        TEST(the_same_input_is_checked_once),
        TEST(what_was_cut_short_is_checked_again),
        TEST(checks_run_beside_each_other),
        TEST(the_end_of_the_daemon_ends_them),
        TEST(who_waits_for_the_same_tree_leaves_the_pool_to_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

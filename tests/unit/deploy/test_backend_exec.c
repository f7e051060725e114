/* The exec backend with real commands: what they are given, and what their ends mean. */
#include "fixture.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "onward/backend.h"
#include "onward/version.h"

/* A backend whose command is the script dir/backend.sh, started with one argument of its own. */
struct script {
    struct fixture *f;
    struct site *site;
    struct oid rev;
    struct backend_config config;
    struct backend *backend;
};

static void script_init(struct script *s, struct fixture *f, const char *text)
{
    *s = (struct script){.f = f, .site = site_new()};
    s->config = (struct backend_config){.name = "test", .kind = BACKEND_EXEC};
    *VEC_ADD(&s->config.command) = xasprintf("%s/backend.sh", f->dir);
    *VEC_ADD(&s->config.command) = xstrdup("--own");
    test_write_file(f->dir, "backend.sh", text);
    test_run(f->dir, "chmod +x backend.sh");
    test_write_file(f->work, "stores/1/app.conf", "answer=42\n");
    s->rev = add_revision(f, "one");
    assert_int_equal(backend_new(&s->config, f->repo, &s->backend, NULL), 0);
}

static void script_done(struct script *s)
{
    backend_free(s->backend);
    vec_foreach (word, &s->config.command)
        free(*word);
    free(s->config.command.v);
    site_free(s->site);
}

static struct backend_result apply(struct script *s)
{
    struct backend_request request = make_request(s->f, s->site, &s->rev);
    struct backend_result result;

    backend_call(s->backend, &request, &result);
    return result;
}

static void test_the_command_works_in_the_source_directory(void **state)
{
    struct script s;

    script_init(&s, *state, "#!/bin/sh\necho \"$@\"; cat app.conf\n");
    struct backend_result r = apply(&s);
    assert_int_equal(r.end, BACKEND_DONE);
    assert_int_equal(r.exit, 0);
    assert_null(r.message);
    assert_string_equal(r.log.data, "--own apply\nanswer=42\n");
    backend_result_done(&r);
    script_done(&s);
}

static void assert_field(const json_t *j, const char *key, const char *value)
{
    const json_t *field = json_object_get(j, key);

    if (!value)
        assert_true(field && json_is_null(field));
    else if (!field || strcmp(json_str(j, key, ""), value) != 0)
        fail_msg("%s is not '%s' but '%s'", key, value, json_str(j, key, "nothing"));
}

/* Every field of include/onward/backend.h, in the first deployment and in a later one. */
static void test_the_request_is_what_the_header_says(void **state)
{
    struct fixture *f = *state;
    struct script s;
    json_t *j = NULL;
    char hex[OID_HEX + 1], at[CLOCK_TEXT];
    int64_t deadline;

    script_init(&s, f, "#!/bin/sh\ncat\n");
    struct backend_result r = apply(&s);
    assert_int_equal(json_read(r.log.data, r.log.len, &j, NULL), 0);
    _cleanup_free_ char *tree = xasprintf("%s/revisions/%s", f->mount, oid_hex(&s.rev, hex));
    assert_int_equal(json_int(j, ONWARD_FIELD_ONWARD, 0), ONWARD_CONTRACT);
    assert_field(j, ONWARD_FIELD_VERB, ONWARD_VERB_APPLY);
    assert_field(j, ONWARD_FIELD_SITE, "store-1");
    assert_field(j, ONWARD_FIELD_TEAM, "retail");
    assert_field(json_object_get(j, ONWARD_FIELD_LABELS), "ring", "canary");
    assert_int_equal(json_int(j, ONWARD_FIELD_GENERATION, 0), 7);
    assert_int_equal(json_int(j, ONWARD_FIELD_ATTEMPT, 0), 2);
    assert_field(j, ONWARD_FIELD_FROM, NULL);
    assert_field(j, ONWARD_FIELD_TO, hex);
    assert_field(j, ONWARD_FIELD_SOURCE, "stores/1");
    assert_field(j, ONWARD_FIELD_TREE, tree);
    assert_field(j, ONWARD_FIELD_PREVIOUS_TREE, NULL);
    assert_int_equal(clock_parse(json_str(j, ONWARD_FIELD_DEADLINE, ""), &deadline), 0);
    assert_true(deadline > clock_real() && deadline <= clock_real() + 60 * NS_PER_SEC);
    assert_string_equal(clock_format(deadline, at), json_str(j, ONWARD_FIELD_DEADLINE, ""));
    json_decref(j);
    backend_result_done(&r);
    script_done(&s);
}

static void test_every_field_is_a_variable_too(void **state)
{
    struct script s;
    char hex[OID_HEX + 1];

    script_init(&s, *state,
                "#!/bin/sh\nenv | grep ^ONWARD_ | grep -v DEADLINE | sort\n"
                "env | cut -d= -f1 | grep -v -e ^ONWARD_ -e PWD -e SHLVL -e ^_ | sort | xargs\n");
    struct backend_request request = make_request(s.f, s.site, &s.rev);
    struct backend_result r;
    request.from = s.rev;
    backend_call(s.backend, &request, &r);
    oid_hex(&s.rev, hex);
    _cleanup_free_ char *expected =
        xasprintf("ONWARD_ATTEMPT=2\nONWARD_FROM=%s\nONWARD_GENERATION=7\n"
                  "ONWARD_LABELS=ring=canary\nONWARD_ONWARD=1\n"
                  "ONWARD_PREVIOUS_TREE=%s/revisions/%s\nONWARD_SITE=store-1\n"
                  "ONWARD_SOURCE=stores/1\nONWARD_TEAM=retail\nONWARD_TO=%s\n"
                  "ONWARD_TREE=%s/revisions/%s\nONWARD_VERB=apply\nHOME LANG PATH\n",
                  hex, s.f->mount, hex, hex, s.f->mount, hex);
    assert_string_equal(r.log.data, expected);
    backend_result_done(&r);
    script_done(&s);
}

static void test_labels_are_lines(void **state)
{
    struct script s;

    script_init(&s, *state, "#!/bin/sh\necho \"$ONWARD_LABELS\"\n");
    struct label *l = VEC_ADD(&s.site->labels);
    *l = (struct label){xstrdup("zone"), xstrdup("eu = west")};
    struct backend_result r = apply(&s);
    assert_string_equal(r.log.data, "ring=canary\nzone=eu = west\n");
    backend_result_done(&r);
    script_done(&s);
}

static void test_ends_mean_what_the_header_says(void **state)
{
    static const struct {
        const char *script;
        enum backend_end end;
        int exit;
        const char *message;
    } ends[] = {
        {"#!/bin/sh\nexit 0\n", BACKEND_DONE, 0, NULL},
        {"#!/bin/sh\necho wait a bit; exit 75\n", BACKEND_LATER, 75, "exit status 75: wait a bit"},
        {"#!/bin/sh\necho bad key >&2; exit 78\n", BACKEND_STALLED, 78, "exit status 78: bad key"},
        {"#!/bin/sh\nexit 64\n", BACKEND_STALLED, 64, "exit status 64"},
        {"#!/bin/sh\nexit 1\n", BACKEND_FAILED, 1, "exit status 1"},
        {"#!/bin/sh\nexit 2\n", BACKEND_FAILED, 2, "exit status 2"},
        {"#!/bin/sh\nprintf 'a\\nb\\033[1m\\n\\n \\n'; exit 9\n", BACKEND_FAILED, 9,
         "exit status 9: b\\033[1m"},
        {"#!/bin/sh\nkill -KILL $$\n", BACKEND_FAILED, 137, "killed by SIGKILL"},
        {"#!/nonexistent/shell\n", BACKEND_FAILED, -1, "cannot start"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        struct script s;
        script_init(&s, *state, ends[i].script);
        struct backend_result r = apply(&s);
        if (r.end != ends[i].end || r.exit != ends[i].exit || !r.message != !ends[i].message ||
            (r.message && strncmp(r.message, ends[i].message, strlen(ends[i].message)) != 0))
            fail_msg("%s: %s %d '%s'", ends[i].script, backend_end_name(r.end), r.exit, r.message);
        backend_result_done(&r);
        script_done(&s);
    }
}

static void test_a_timeout_is_a_failure_with_its_name(void **state)
{
    struct script s;

    /* even if it says "done" when it is told to stop: fifteen failures, 1 */
    script_init(&s, *state, "#!/bin/sh\ntrap 'exit 0' TERM\necho halfway\nwhile :; do :; done\n");
    struct backend_request request = make_request(s.f, s.site, &s.rev);
    struct backend_result r;
    request.timeout = 500 * NS_PER_MS;
    backend_call(s.backend, &request, &r);
    assert_int_equal(r.end, BACKEND_TIMEOUT);
    assert_string_equal(r.message, "not done within 500ms, stopped: halfway");
    backend_result_done(&r);
    script_done(&s);
}

static void test_a_missing_command_fails_and_says_so(void **state)
{
    struct script s;

    script_init(&s, *state, "");
    test_run(s.f->dir, "rm backend.sh");
    struct backend_result r = apply(&s);
    assert_int_equal(r.end, BACKEND_FAILED);
    assert_int_equal(r.exit, -1);
    assert_non_null(strstr(r.message, "backend.sh"));
    backend_result_done(&r);
    script_done(&s);
}

/* A name without a slash comes from the system's directories: never from the revision that is the
 * working directory, and not from the daemon's PATH. */
static void test_a_name_is_found_on_the_host_only(void **state)
{
    struct script s;
    const char *path = getenv("PATH");
    _cleanup_free_ char *before = xstrdup(path ? path : "");

    script_init(&s, *state, "");
    test_write_file(s.f->work, "stores/1/evil", "#!/bin/sh\necho evil\n");
    test_run(s.f->work, "chmod +x stores/1/evil");
    s.rev = add_revision(s.f, "evil");
    _cleanup_free_ char *evil_path = xasprintf("%s/stores/1:.:%s", s.f->work, before);
    setenv("PATH", evil_path, 1);
    static const char *const names[] = {"evil", "true"};
    for (int i = 0; i < 2; i++) {
        free(s.config.command.v[0]);
        s.config.command.v[0] = xstrdup(names[i]);
        struct backend_result r = apply(&s);
        assert_int_equal(r.end, i ? BACKEND_DONE : BACKEND_FAILED);
        if (!i)
            assert_non_null(strstr(r.message, "no command evil"));
        backend_result_done(&r);
    }
    setenv("PATH", before, 1);
    script_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_command_works_in_the_source_directory),
        TEST(test_the_request_is_what_the_header_says),
        TEST(test_every_field_is_a_variable_too),
        TEST(test_labels_are_lines),
        TEST(test_ends_mean_what_the_header_says),
        TEST(test_a_timeout_is_a_failure_with_its_name),
        TEST(test_a_missing_command_fails_and_says_so),
        TEST(test_a_name_is_found_on_the_host_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

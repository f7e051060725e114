#include "testlib.h"

#include <errno.h>
#include <stdlib.h>

#include "../../bad/replay.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/config.h"

static void load_bad(const char *path, const char *text, struct findings *ret, void *arg)
{
    struct config c = {.most_workspaces = -1};

    assert_int_equal(config_load(path, &c, ret, NULL), -EINVAL);
    assert_int_equal(c.most_workspaces, -1);
}

static void what_is_wrong_is_found_where_it_stands(void **state)
{
    bad_replay(BAD_DIR "/config", load_bad, NULL);
}

static void load(const char *path, struct config *c)
{
    struct findings findings = {0};
    struct buf text = {0};

    if (config_load(path, c, &findings, NULL) < 0) {
        findings_render(&findings, &text);
        fail_msg("%s: %s", path, buf_str(&text));
    }
}

static void load_text(const char *text, struct config *c)
{
    char *dir = test_dir_new(), *path;

    test_write_file(dir, "config.yaml", text);
    assert_true(asprintf(&path, "%s/config.yaml", dir) > 0);
    load(path, c);
    free(path);
    test_dir_free(dir);
}

/* With the path of a secret. */
#define FULL                                                                                       \
    "repository: /srv/infra.git\n"                                                                 \
    "mountpoint: /infra\n"                                                                         \
    "branch: ops/live\n"                                                                           \
    "state: /var/lib/onwardfs\n"                                                                   \
    "backends:\n"                                                                                  \
    "  files: {directory: \"/srv/{team}/{site}\", keep: 5}\n"                                      \
    "  \"null\":\n"                                                                                \
    "    exec: [/bin/sh, -c, \"echo \\\"hé\\\"\\t: {}\"]\n"                                       \
    "    privileges: true\n"                                                                       \
    "    timeout: 90s\n"                                                                           \
    "    concurrency: 8\n"                                                                         \
    "    retry: {limit: 2, first: 500ms, factor: 1.5, longest: 2h}\n"                              \
    "    observe_every: 5m\n"                                                                      \
    "  hook: {http: {url: \"https://h/{site}?a=b\", secret_file: %s}}\n"                           \
    "checks:\n"                                                                                    \
    "  lint: {exec: [lint, -s], paths: [\"**/*.yaml\", a/*], timeout: 5s}\n"                       \
    "  all: {exec: [/bin/true]}\n"                                                                 \
    "identities: {1000: \"Ann Lee <ann@example.org>\", 0: \"root <root@h>\"}\n"                    \
    "limits: {cache: 4M, file_size: 1M, inodes: 2000, workspaces: 2, workspace_size: 1500}\n"

static void assert_is_full(const struct config *c)
{
    const struct backend_config *files = &c->backends.v[0], *null = &c->backends.v[1],
                                *hook = &c->backends.v[2];

    assert_string_equal(c->repository, "/srv/infra.git");
    assert_string_equal(c->mountpoint, "/infra");
    assert_string_equal(c->branch, "ops/live");
    assert_string_equal(c->state, "/var/lib/onwardfs");
    assert_int_equal(c->backends.n, 3);
    assert_int_equal(files->kind, BACKEND_DIRECTORY);
    assert_string_equal(files->directory, "/srv/{team}/{site}");
    assert_int_equal(files->keep, 5);
    assert_int_equal(files->timeout, 600 * NS_PER_SEC);
    assert_int_equal(files->observe_every, 0);
    assert_string_equal(null->name, "null");
    assert_int_equal(null->kind, BACKEND_EXEC);
    assert_true(null->privileges);
    assert_int_equal(null->command.n, 3);
    assert_string_equal(null->command.v[2], "echo \"hé\"\t: {}");
    assert_int_equal(null->timeout, 90 * NS_PER_SEC);
    assert_int_equal(null->concurrency, 8);
    assert_int_equal(null->retry.limit, 2);
    assert_int_equal(null->retry.first, 500 * NS_PER_MS);
    assert_true(null->retry.factor == 1.5);
    assert_int_equal(null->retry.longest, 7200 * NS_PER_SEC);
    assert_int_equal(null->observe_every, 300 * NS_PER_SEC);
    assert_int_equal(hook->kind, BACKEND_HTTP);
    assert_string_equal(hook->url, "https://h/{site}?a=b");
    assert_non_null(strstr(hook->secret_file, "/key"));
    assert_int_equal(c->checks.n, 2);
    assert_string_equal(c->checks.v[0].name, "lint");
    assert_int_equal(c->checks.v[0].command.n, 2);
    assert_string_equal(c->checks.v[0].command.v[1], "-s");
    assert_int_equal(c->checks.v[0].paths.n, 2);
    assert_string_equal(c->checks.v[0].paths.v[0], "**/*.yaml");
    assert_int_equal(c->checks.v[0].timeout, 5 * NS_PER_SEC);
    assert_int_equal(c->checks.v[1].paths.n, 0);
    assert_int_equal(c->checks.v[1].timeout, 60 * NS_PER_SEC);
    assert_int_equal(c->identities.n, 2);
    assert_int_equal(c->identities.v[0].uid, 1000);
    assert_string_equal(c->identities.v[0].name, "Ann Lee");
    assert_string_equal(c->identities.v[0].email, "ann@example.org");
    assert_int_equal(c->cache, 4 << 20);
    assert_int_equal(c->most_file_size, 1 << 20);
    assert_int_equal(c->most_workspaces, 2);
    assert_int_equal(c->most_inodes, 2000);
    assert_int_equal(c->most_workspace_size, 1500);
}

static void every_key_is_read_and_what_is_in_force_reads_as_the_same(void **state)
{
    struct config c, again;
    struct buf text = {0}, second = {0};
    char *dir = test_dir_new();

    test_run(dir, "umask 077 && echo s3cret >key");
    _cleanup_free_ char *key = xasprintf("%s/key", dir), *full = xasprintf(FULL, key);
    load_text(full, &c);
    assert_is_full(&c);
    config_render(&c, &text);
    assert_null(strstr(text.data, "s3cret"));
    load_text(text.data, &again);
    assert_is_full(&again);
    config_render(&again, &second);
    assert_string_equal(text.data, second.data);
    buf_done(&text);
    buf_done(&second);
    config_done(&c);
    config_done(&again);
    test_dir_free(dir);
}

static void an_empty_file_gives_the_defaults(void **state)
{
    struct config c, defaults;

    load_text("# nothing\n", &c);
    config_init(&defaults);
    assert_memory_equal(&c, &defaults, sizeof(c));
    assert_int_equal(c.cache, 64 << 20);
    assert_int_equal(c.most_file_size, 100 << 20);
    assert_int_equal(c.most_workspaces, 64);
    assert_int_equal(c.most_inodes, 500000);
    config_done(&c);
}

static void the_example_is_right(void **state)
{
    struct config c;

    load(EXAMPLES_DIR "/config.yaml", &c);
    assert_int_equal(c.backends.n, 2);
    assert_int_equal(c.checks.n, 1);
    config_done(&c);
}

static void a_file_that_is_not_there_is_said(void **state)
{
    struct findings findings = {0};
    struct diag why = {0};
    struct config c;

    assert_int_equal(config_load("/nonexistent/config.yaml", &c, &findings, &why), -ENOENT);
    assert_string_equal(why.text, "cannot read the configuration /nonexistent/config.yaml: "
                                  "No such file or directory");
    assert_int_equal(findings.n, 0);
    diag_done(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_found_where_it_stands),
        cmocka_unit_test(every_key_is_read_and_what_is_in_force_reads_as_the_same),
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(the_example_is_right),
        cmocka_unit_test(a_file_that_is_not_there_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

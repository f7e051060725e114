#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"

static void test_a_source_that_is_not_there_is_stalled_unasked(void **state)
{
    struct fixture *f = *state;
    struct backend_config config = {.name = "d", .kind = BACKEND_DIRECTORY, .keep = 1};
    struct site *site = site_new();
    _cleanup_(backend_freep) struct backend *b = NULL;

    config.directory = xasprintf("%s/out", f->dir);
    assert_int_equal(backend_new(&config, f->repo, &b, NULL), 0);
    test_write_file(f->work, "stores/1", "a file, not a directory\n");
    struct oid rev = add_revision(f, "one");
    for (int i = 0; i < 2; i++) {
        struct backend_request request = make_request(f, site, &rev);
        struct backend_result result;
        backend_call(b, &request, &result);
        assert_int_equal(result.end, BACKEND_STALLED);
        assert_non_null(strstr(result.message, site->source));
        backend_result_done(&result);
        free(site->source);
        site->source = xstrdup("stores/2");
    }
    test_run(f->dir, "test ! -e out");
    site_free(site);
    free(config.directory);
}

static void test_a_configuration_that_cannot_work_is_refused(void **state)
{
    static const char *const commands[] = {"", "bin/tool", "./tool", "../tool"};
    struct backend_config config = {.name = "tools", .kind = BACKEND_EXEC};
    struct backend *b;

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        _cleanup_(diag_done) struct diag why = {0};
        char *word = (char *)commands[i];
        config.command.v = &word;
        config.command.n = 1;
        assert_int_equal(backend_new(&config, NULL, &b, &why), -EINVAL);
        assert_non_null(strstr(why.text, "tools"));
    }
    config = (struct backend_config){.name = "d", .kind = BACKEND_DIRECTORY};
    assert_int_equal(backend_new(&config, NULL, &b, NULL), -EINVAL);
    config.directory = (char *)"relative/{site}";
    assert_int_equal(backend_new(&config, NULL, &b, NULL), -EINVAL);
}

static void test_every_end_has_a_name(void **state)
{
    for (int i = 0; i < BACKEND_ENDS; i++)
        assert_true(strlen(backend_end_name(i)) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_source_that_is_not_there_is_stalled_unasked),
        TEST(test_a_configuration_that_cannot_work_is_refused),
        cmocka_unit_test(test_every_end_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Trailers, as Git puts them and finds them. */
#include <errno.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "fixture.h"
#include "stage/trailer.h"

/* The message with the trailer, which must be what git makes of it, and stay so when done twice. */
static void assert_set(const char *message, const char *want)
{
    _cleanup_free_ char *once = trailer_set(message, "Onward-Workspace", "ws");
    _cleanup_free_ char *twice = trailer_set(once, "Onward-Workspace", "ws");

    assert_string_equal(once, want);
    assert_string_equal(twice, want);
}

static void assert_as_git(const char *dir, const char *message)
{
    _cleanup_free_ char *ours = trailer_set(message, "Onward-Workspace", "ws");

    test_write_file(dir, "message", message);
    test_write_file(dir, "ours", ours);
    test_run(dir, "git interpret-trailers --no-divider --trailer 'Onward-Workspace: ws' "
                  "message > theirs && diff theirs ours");
}

static void test_a_trailer_has_its_place(void **state)
{
    static const char *const messages[] = {
        "subject\n",
        "fix: dns\n",
        "subject\n\nbody\n",
        "subject\n\nbody\nin: two lines\n",
        "subject\n\nSigned-off-by: A <a@b>\n",
        "subject\n\nbody\n\nReviewed: yes\n  and more\nFixes: #1\n",
        "subject\n\nA: 1\n\nno trailers\n",
        "subject\n\nSigned-off-by: A <a@b>\nwith a line of words\n",
    };
    const struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
        assert_as_git(f->dir, messages[i]);
}

static void test_it_is_there_once_and_true(void **state)
{
    assert_set("subject\n", "subject\n\nOnward-Workspace: ws\n");
    assert_set("subject\n\nOnward-Workspace: other\nA: 1\n",
               "subject\n\nA: 1\nOnward-Workspace: ws\n");
    assert_set("subject\n\nA: 1\nonward-workspace : x\n  y\n",
               "subject\n\nA: 1\nOnward-Workspace: ws\n");
    assert_set("subject\n\nA: 1\nonward-rollback: all\nB: 2\n",
               "subject\n\nA: 1\nB: 2\nOnward-Workspace: ws\n");
    assert_set("subject\n\nOnward-Workspace: x\n", "subject\n\nOnward-Workspace: ws\n");
}

static void test_what_only_approvals_say(void **state)
{
    static const char *const bad[] = {"x\n\n approved-BY: me\n", "x\n\nApproved-by : me\n",
                                      "Reviewed-By: me\n", "x\n\nA: 1\n\tapproved-by:\n"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(trailer_check(bad[i], NULL), -EINVAL);
    assert_int_equal(trailer_check("x\n\nwas approved-by: me\nApproved-by me\n", NULL), 0);
}

/* What knows of trailers is ready once a repository is open. */
static int setup(void **state)
{
    struct fixture *f = fixture_new();

    fixture_open(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_trailer_has_its_place),
        cmocka_unit_test(test_it_is_there_once_and_true),
        cmocka_unit_test(test_what_only_approvals_say),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/* Who a commit says it is from. */
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "stage/author.h"
#include "testlib.h"

static const char *name, *email;

static void identity(uid_t uid, char **ret_name, char **ret_email, void *arg)
{
    *ret_name = name ? xstrdup(name) : NULL;
    *ret_email = email ? xstrdup(email) : NULL;
}

static const struct staging_config config = {.identity = identity, .host = "h1"};

static void assert_author(uid_t uid, const char *want_name, const char *want_email)
{
    struct signature s;

    author_of(&config, uid, &s);
    assert_string_equal(s.name, want_name);
    assert_string_equal(s.email, want_email);
    author_done(&s);
}

static void what_git_cannot_hold_is_dropped(void **state)
{
    name = "Ann <evil>\nLee", email = "ann@example.org>\n";
    assert_author(1, "Ann evilLee", "ann@example.org");
    name = " .,;\"Dr. Who\"' ", email = "<who@x>";
    assert_author(1, "Dr. Who", "who@x");
    name = "\n<> ", email = "";
    assert_author(1, "unknown", "unknown");
    name = "Zoë", email = "zoë@x";
    assert_author(1, "Zoë", "zoë@x");
}

static void without_identity_the_account(void **state)
{
    name = email = NULL;
    assert_author(0, "root", "root@h1");
    assert_author(3999999999u, "3999999999", "3999999999@h1");
    char *login = author_account(0);
    assert_string_equal(login, "root");
    free(login);
}

static void the_host(void **state)
{
    struct signature s;

    author_host(&config, &s);
    assert_string_equal(s.name, "onwardfs");
    assert_string_equal(s.email, "onwardfs@h1");
    author_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_git_cannot_hold_is_dropped),
        cmocka_unit_test(without_identity_the_account),
        cmocka_unit_test(the_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

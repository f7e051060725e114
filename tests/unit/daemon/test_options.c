/* The command line: as mount(8), fstab and people write it; every refusal names the argument. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "daemon/options.h"
#include "testlib.h"

/* Parses words that are separated by blanks. */
static int parse(const char *line, struct options *ret, struct diag *why)
{
    char text[512], *argv[32] = {(char *)"onwardfs"}, *rest = text, *word;
    int argc = 1;

    assert_true(strlen(line) < sizeof(text));
    memcpy(text, line, strlen(line) + 1);
    while ((word = strsep(&rest, " ")))
        argv[argc++] = word;
    return options_parse(argc, argv, ret, why);
}

static void assert_refused(const char *line, const char *reason)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct options o = {0};

    assert_int_equal(parse(line, &o, &why), -EINVAL);
    assert_string_equal(diag_text(&why, -EINVAL), reason);
    assert_null(o.repository);
}

static void what_people_write(void **state)
{
    struct options o = {0};

    assert_int_equal(
        parse("-f -v --config /c.yaml -o branch=live,state=/s,ro /srv/r.git /infra", &o, NULL), 0);
    assert_string_equal(o.repository, "/srv/r.git");
    assert_string_equal(o.mountpoint, "/infra");
    assert_string_equal(o.config, "/c.yaml");
    assert_string_equal(o.branch, "live");
    assert_string_equal(o.state, "/s");
    assert_true(o.foreground && o.verbose && o.read_only);
    assert_false(o.no_reconcile || o.allow_other || o.help || o.version);
    assert_string_equal(buf_str(&o.fuse), "");
    options_done(&o);
    assert_int_equal(parse("r m -odefault_permissions", &o, NULL), 0);
    assert_true(o.default_permissions && !o.allow_other);
    options_done(&o);
    assert_int_equal(parse("r m -onoreconcile -o allow_other -f --config=/d", &o, NULL), 0);
    assert_string_equal(o.mountpoint, "m");
    assert_string_equal(o.config, "/d");
    assert_true(o.foreground && o.no_reconcile && o.allow_other);
    options_done(&o);
    assert_int_equal(parse("--help", &o, NULL), 0);
    assert_true(o.help);
    options_done(&o);
}

/* mount.fuse3 calls: onwardfs REPOSITORY MOUNTPOINT -o OPTIONS-OF-FSTAB */
static void what_fstab_writes(void **state)
{
    struct options o = {0};

    assert_int_equal(parse("/r /m -o rw,nosuid,nodev,relatime,_netdev,nofail,x-systemd.automount,"
                           "noexec,,defaults,config=/c",
                           &o, NULL),
                     0);
    assert_string_equal(buf_str(&o.fuse), "rw,nosuid,nodev,noexec");
    assert_string_equal(o.config, "/c");
    assert_false(o.read_only);
    options_done(&o);
}

static void a_choice_is_one_of_its_words(void **state)
{
    struct options o = {0};

    assert_int_equal(parse("-o mtime=change r m", &o, NULL), 0);
    assert_string_equal(o.mtime, "change");
    options_done(&o);
    assert_int_equal(parse("-o mtime=revision r m", &o, NULL), 0);
    options_done(&o);
    assert_refused("-o mtime=chang r m",
                   "option -o mtime cannot be chang: -o mtime=revision|change");
    assert_refused("-o mtime=now r m", "option -o mtime cannot be now: -o mtime=revision|change");
    assert_refused("-o mtime r m", "option -o mtime needs a value: -o mtime=revision|change");
}

static void the_last_of_a_value_counts(void **state)
{
    struct options o = {0};

    assert_int_equal(parse("-o branch=a -o branch=b,branch=c r m", &o, NULL), 0);
    assert_string_equal(o.branch, "c");
    options_done(&o);
    assert_int_equal(parse("-o branch=a=b r m", &o, NULL), 0);
    assert_string_equal(o.branch, "a=b");
    options_done(&o);
}

static void refusals_name_the_argument(void **state)
{
    assert_refused("-o bogus r m", "unknown option -o bogus; see onwardfs --help");
    assert_refused("-o --config=x r m", "unknown option -o --config=x; see onwardfs --help");
    assert_refused("-x r m", "unknown option -x; see onwardfs --help");
    assert_refused("-f=yes r m", "unknown option -f=yes; see onwardfs --help");
    assert_refused("-o ro=1 r m", "option -o ro takes no value");
    assert_refused("-o branch r m", "option -o branch needs a value: -o branch=NAME");
    assert_refused("r m -o", "-o needs a value");
    assert_refused("r m --config", "--config needs a value: --config FILE");
    assert_refused("r m n", "too many arguments: n; see onwardfs --help");
    assert_refused("r", "no mount point given; usage: onwardfs REPOSITORY MOUNTPOINT");
}

/* --help is made from the table: what it lists is taken. */
static void help_lists_what_is_taken(void **state)
{
    struct buf text = {0};
    int listed = 0;

    options_usage(&text);
    char *rest = text.data, *line;
    while ((line = strsep(&rest, "\n"))) {
        char option[64], call[128];
        if (sscanf(line, "  -o %63s", option) == 1)
            snprintf(call, sizeof(call), "-o %s r m", option);
        else if (sscanf(line, "  %63s", option) == 1 && *option == '-')
            snprintf(call, sizeof(call), "%s%s r m", option,
                     !strcmp(option, "--config")    ? " FILE"
                     : !strcmp(option, "--upgrade") ? " MOUNTPOINT"
                                                    : "");
        else
            continue;
        struct options o = {0};
        _cleanup_(diag_done) struct diag why = {0};
        if (parse(call, &o, &why) < 0)
            fail_msg("%s: %s", call, diag_text(&why, -EINVAL));
        options_done(&o);
        listed++;
    }
    assert_true(listed > 8);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_write),
        cmocka_unit_test(what_fstab_writes),
        cmocka_unit_test(a_choice_is_one_of_its_words),
        cmocka_unit_test(the_last_of_a_value_counts),
        cmocka_unit_test(refusals_name_the_argument),
        cmocka_unit_test(help_lists_what_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

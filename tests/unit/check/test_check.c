#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "check/check.h"

/* Runs `change` in the work tree, commits it, and compares what the checks say of it. */
static void assert_change_gives(struct fixture *f, const char *change, const char *expected)
{
    struct findings findings = {0};
    struct diag why = {0};
    struct buf out = {0};
    struct oid base = fixture_rev(f, "HEAD^{tree}");

    test_run(f->path, "%s", change);
    test_run(f->path, "git add -A && git commit -qm change");
    struct oid tree = fixture_rev(f, "HEAD^{tree}");
    if (check_tree(f->repo, &base, &tree, &findings, &why) < 0)
        fail_msg("%s", diag_text(&why, 0));
    findings_render(&findings, &out);
    assert_string_equal(buf_str(&out), expected);
    findings_done(&findings);
    buf_done(&out);
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
    struct oid none = {{0}};

    test_run(f->path,
             "echo 'a: [' > apps/a.yaml && echo 'onward: 3' > onward.yaml && git add -A && "
             "git commit -qm wrong");
    struct oid tree = fixture_rev(f, "HEAD^{tree}");
    assert_int_equal(check_tree(f->repo, &none, &tree, &findings, NULL), 0);
    assert_int_equal(findings.n, 2);
    assert_string_equal(findings.v[0].check, "declaration");
    assert_string_equal(findings.v[1].check, "yaml");
    findings_done(&findings);
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
        "expected yaml, json or declaration\n");
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
    struct oid none = {{0}}, missing = {{0x77}};

    assert_int_equal(check_tree(f->repo, &none, &missing, &findings, &why), -EIO);
    assert_non_null(why.text);
    assert_int_equal(findings.n, 0);
    diag_done(&why);
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "fixture.h"
#include "written.h"

#include <errno.h>

#include "check/files.h"

static void files_are_found_with_what_they_were(void **state)
{
    struct fixture *f = *state;
    struct changed_files files = {0};
    struct check_input in;

    test_run(f->path, "echo 1 >a && echo 1 >b && ln -s a c && echo 1 >d && git add -A && "
                      "git commit -qm before");
    in.base = fixture_rev(f, "HEAD^{tree}");
    test_run(f->path, "echo 2 >a && git rm -q b && rm c && echo 3 >c && ln -sf a d && echo 4 >e && "
                      "ln -s a f && git add -A && git commit -qm after");
    in.tree = fixture_rev(f, "HEAD^{tree}");
    assert_int_equal(changed_files_find(f->repo, &in, &files), 0);
    assert_int_equal(files.n, 3);
    assert_string_equal(files.v[0].path, "a");
    assert_false(oid_is_zero(&files.v[0].old));
    assert_string_equal(files.v[1].path, "c");
    assert_true(oid_is_zero(&files.v[1].old)); /* a link's target is no older version */
    assert_string_equal(files.v[2].path, "e");
    assert_true(files.any);
    changed_files_done(&files);
    in.base = in.tree;
    assert_int_equal(changed_files_find(f->repo, &in, &files), 0);
    assert_false(files.any);
}

static void each_file_is_held_to_the_rules(void **state)
{
    struct fixture *f = *state;
    struct file_rules rules = {.repo = f->repo, .checks = FILE_JSON, .most_file_size = 4};
    struct changed_file files[] = {{.path = (char *)"a.json"}, {.path = (char *)"b.yaml"}};
    struct findings found = {0};
    struct diag why = {0};

    blob_write(f->repo, "[1,]", 4, &files[0].oid, NULL);
    blob_write(f->repo, "[[[[[", 5, &files[1].oid, NULL);
    assert_int_equal(files_check(&rules, files, 2, &found, NULL), 0);
    assert_int_equal(found.n, 2);
    assert_string_equal(found.v[0].check, "json");
    assert_string_equal(found.v[1].check, "size");
    files[0].oid = (struct oid){{1}};
    assert_int_equal(files_check(&rules, files, 2, &found, &why), -EIO);
    assert_string_equal(why.text, "cannot read a.json to check it: Input/output error");
    diag_done(&why);
    findings_done(&found);
}

static void they_have_names(void **state)
{
    assert_int_equal(file_check_named("yaml"), FILE_YAML);
    assert_int_equal(file_check_named("kubeconform"), 0);
    assert_true(check_is_builtin("json") && check_is_builtin("size"));
    assert_true(check_is_builtin("declaration") && check_is_builtin("conflict-markers"));
    assert_false(check_is_builtin("kubeconform"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_found_with_what_they_were),
        TEST(each_file_is_held_to_the_rules),
        cmocka_unit_test(they_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

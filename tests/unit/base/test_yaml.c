#include "testlib.h"

#include <stdlib.h>

#include "base/yaml.h"

/* What yaml_read finds in `text`, as lines; free() it. */
static char *findings_of(const char *text, bool check)
{
    struct findings f = {0};
    struct buf out = {0};

    if (check)
        yaml_check("f", text, strlen(text), &f);
    else
        yaml_done(yaml_read("f", "c", text, strlen(text), &f));
    findings_render(&f, &out);
    findings_done(&f);
    return buf_take(&out);
}

static void assert_findings(const char *text, bool check, const char *expected)
{
    char *found = findings_of(text, check);

    assert_string_equal(found, expected);
    free(found);
}

static void nodes_know_their_places(void **state)
{
    const char *text = "# comment\na: 1\nb:\n  - x\n  - 'é': [null, \"q\"]\n    k:\n";
    struct findings f = {0};
    struct yaml *y = yaml_read("f", "c", text, strlen(text), &f);

    assert_non_null(y);
    assert_int_equal(f.n, 0);
    assert_int_equal(y->root->kind, YAML_MAPPING);
    assert_int_equal(y->root->n, 4);
    assert_int_equal(y->root->line, 2);
    const struct yaml_node *b = yaml_get(y->root, "b"), *second = b->first->next;
    assert_int_equal(b->kind, YAML_SEQUENCE);
    assert_int_equal(b->n, 2);
    assert_int_equal(second->line, 5);
    assert_int_equal(second->col, 5);
    const struct yaml_node *list = yaml_get(second, "é"), *q = list->first->next;
    assert_int_equal(list->col, 10);
    assert_true(yaml_is_null(list->first));
    assert_string_equal(q->text, "q");
    assert_false(q->plain);
    assert_int_equal(q->col, 17);
    assert_true(yaml_is_null(yaml_get(second, "k")));
    assert_null(yaml_get(second, "none"));
    assert_null(yaml_get(q, "none"));
    yaml_done(y);
}

static void an_empty_document_has_no_root(void **state)
{
    struct findings f = {0};
    struct yaml *y = yaml_read("f", "c", "# nothing\n", 10, &f);

    assert_non_null(y);
    assert_null(y->root);
    assert_int_equal(f.n, 0);
    yaml_done(y);
}

static void duplicates_are_found_with_what_else_is_wrong(void **state)
{
    assert_findings("a: 1\nb: {c: 1, c: 2}\na: 2\n\"a\": 3\n", false,
                    "f:2:11: c: duplicate key \"c\": the first one is on line 2\n"
                    "f:3:1: c: duplicate key \"a\": the first one is on line 1\n"
                    "f:4:1: c: duplicate key \"a\": the first one is on line 1\n");
    assert_findings("a: 1\na: 2\nb: [x\n", false,
                    "f:2:1: c: duplicate key \"a\": the first one is on line 1\n"
                    "f:4:1: c: did not find expected ',' or ']' while parsing a flow sequence that "
                    "begins on line 3: a list that begins with [ is not closed\n");
    /* The number 1 and the text "1" are two keys, and merge keys may be many. */
    assert_findings("1: a\n\"1\": b\n", true, "");
    assert_findings("a: &a {x: 1}\nb: &b {y: 1}\nc:\n  <<: *a\n  <<: *b\n", true, "");
}

static void the_check_goes_on_at_the_next_document(void **state)
{
    assert_findings("a: 1\n---\na: {\n---\nb: 1\nb: 2\n--- # fine\nx: !!set {y, z}\n---\n\tt: 1\n",
                    true,
                    "f:4:1: yaml: did not find expected node content: expected a value; perhaps [ "
                    "or { is not closed\n"
                    "f:6:1: yaml: duplicate key \"b\": the first one is on line 5\n"
                    "f:10:1: yaml: found character that cannot start any token: "
                    "indent by blanks, not by tabs; a value that begins with @, ` or % "
                    "needs quotes\n");
    assert_findings("a: 1\n--- \nb: 2\n", false,
                    "f:2:1: c: expected one document, found another\n");
}

static void bytes_that_are_no_text_have_a_place(void **state)
{
    assert_findings("a: 1\nb: é\xff\n", true,
                    "f:2:5: yaml: invalid leading UTF-8 octet: expected UTF-8\n");
    assert_findings("a: \x01\n", true, "f:1:4: yaml: control characters are not allowed\n");
}

static void aliases_are_copies_within_a_budget(void **state)
{
    const char *text = "a: &x [1, {k: v}]\nb: *x\n";
    struct findings f = {0};
    struct yaml *y = yaml_read("f", "c", text, strlen(text), &f);
    const struct yaml_node *b = yaml_get(y->root, "b");

    assert_string_equal(yaml_get(b->first->next, "k")->text, "v");
    assert_int_equal(b->first->line, 2);
    yaml_done(y);
    assert_findings("a: *none\n", false, "f:1:4: c: no anchor &none before this alias\n");
    assert_findings("a: &x [*x]\n", true, "f:1:8: yaml: no anchor &x before this alias\n");
    /* Anchors end with their document. */
    assert_findings("--- &x 1\n--- *x\n", true, "f:2:5: yaml: no anchor &x before this alias\n");
    /* Five levels of ten aliases are a hundred thousand nodes; thirty bytes more, ten times that.
     */
    struct buf bomb = {0};
    buf_adds(&bomb, "a0: &a0 x\n");
    for (int i = 1; i < 6; i++) {
        buf_addf(&bomb, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            buf_addf(&bomb, "%s*a%d", j ? ", " : "", i - 1);
        buf_adds(&bomb, "]\n");
    }
    char *found = findings_of(bomb.data, false);
    assert_non_null(strstr(found, "aliases make this document too large"));
    free(found);
    /* Which is no reason for a check to refuse it: nothing is expanded. */
    assert_findings(bomb.data, true, "");
    buf_done(&bomb);
}

static void depth_is_limited(void **state)
{
    struct buf deep = {0};

    for (int i = 0; i < YAML_DEPTH; i++)
        buf_addc(&deep, '[');
    for (int i = 0; i < YAML_DEPTH; i++)
        buf_addc(&deep, ']');
    assert_findings(deep.data, false, "");
    buf_clear(&deep);
    for (int i = 0; i < 1000000; i++)
        buf_addc(&deep, '[');
    assert_findings(deep.data, true, "f:1:201: yaml: nested too deeply\n");
    buf_done(&deep);
}

static void tags_mean_nothing_to_us(void **state)
{
    assert_findings("a: !include x\n", false, "f:1:4: c: tags such as !x have no meaning here\n");
    assert_findings("a: !include x\n", true, "");
}

/* One finding a document, in a stream of 100,000 broken ones: it must end, and soon. */
static void a_stream_of_errors_ends(void **state)
{
    struct findings f = {0};
    struct buf text = {0};

    for (int i = 0; i < 100000; i++)
        buf_adds(&text, "--- ]\n");
    yaml_check("f", text.data, text.len, &f);
    assert_int_equal(f.n, FINDINGS_MOST);
    assert_int_equal(f.left_out, 1);
    findings_done(&f);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_know_their_places),
        cmocka_unit_test(an_empty_document_has_no_root),
        cmocka_unit_test(duplicates_are_found_with_what_else_is_wrong),
        cmocka_unit_test(the_check_goes_on_at_the_next_document),
        cmocka_unit_test(bytes_that_are_no_text_have_a_place),
        cmocka_unit_test(aliases_are_copies_within_a_budget),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(tags_mean_nothing_to_us),
        cmocka_unit_test(a_stream_of_errors_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

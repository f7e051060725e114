/* The file `outcome`: its lines, and that whatever is saved can be read. */
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"
#include "stage/outcome.h"
#include "stage/overlay_node.h"

static int setup(void **state)
{
    struct fixture *f = *state = fixture_new();

    fixture_open(f);
    assert_int_equal(fx_mkdir(f, "ws", 0777), 0);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static struct workspace *get_workspace(struct fixture *f)
{
    _cleanup_(node_unrefp) struct node *root = fx_get(f, "ws");

    return workspace_ref(overlay_node(root)->ws);
}

static void a_conflict_is_one_line(void **state)
{
    _cleanup_(buf_done) struct buf out = {0};
    char path[] = "a b\nc\"\xc3\xa4";
    struct conflict c = {.path = path, .ours.id = {0xab}, .theirs.id = {0xcd}};

    outcome_add_conflict(&out, "kept", &c);
    outcome_add_revision(&out, &c.ours);
    assert_string_equal(buf_str(&out), "kept: a b\\nc\\\"\xc3\xa4 - "
                                       "ab00000000000000000000000000000000000000 "
                                       "cd00000000000000000000000000000000000000\n"
                                       "ab00000000000000000000000000000000000000\n");
}

static void it_is_replaced_as_a_whole(void **state)
{
    _cleanup_(workspace_unrefp) struct workspace *ws = get_workspace(*state);
    _cleanup_(buf_done) struct buf none = {0}, one = {0}, two = {0}, text = {0};

    assert_int_equal(outcome_read(ws, &none), 0);
    assert_int_equal(none.len, 0);
    buf_adds(&text, "the first, and longer\n");
    outcome_save(ws, &text);
    assert_int_equal(outcome_read(ws, &one), 0);
    assert_string_equal(buf_str(&one), buf_str(&text));
    buf_clear(&text);
    buf_adds(&text, "the second\n");
    outcome_save(ws, &text);
    assert_int_equal(outcome_read(ws, &two), 0);
    assert_string_equal(buf_str(&two), "the second\n");
}

/* As many conflicts as there may be. */
static void what_is_too_long_is_cut_between_lines(void **state)
{
    _cleanup_(workspace_unrefp) struct workspace *ws = get_workspace(*state);
    _cleanup_(buf_done) struct buf text = {0}, read = {0};
    size_t lines = 0, more = 0, i = 0;

    while (text.len <= OUTCOME_MOST)
        buf_addf(&text, "conflict: number %zu\n", lines++);
    outcome_save(ws, &text);
    assert_int_equal(outcome_read(ws, &read), 0);
    const char *last = (char *)memrchr(read.data, '\n', read.len - 1) + 1;
    assert_int_equal(sscanf(last, "and %zu lines more", &more), 1);
    for (const char *p = read.data; p < last; p++)
        i += *p == '\n';
    assert_int_equal(i + more, lines);
    assert_memory_equal(read.data, text.data, last - read.data);
    assert_true(read.len > OUTCOME_MOST - 200);
}

static void one_that_has_ended_has_none(void **state)
{
    struct fixture *f = *state;
    _cleanup_(workspace_unrefp) struct workspace *ws = get_workspace(f);
    _cleanup_(buf_done) struct buf text = {0};

    assert_int_equal(fx_rmdir(f, "ws"), 0);
    buf_adds(&text, "late\n");
    outcome_save(ws, &text);
    test_run(f->dir, "test -z \"$(ls -A state/workspaces)\"");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_conflict_is_one_line),
        T(it_is_replaced_as_a_whole),
        T(what_is_too_long_is_cut_between_lines),
        T(one_that_has_ended_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

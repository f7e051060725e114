/* Control files: whole lines become commands, however they are cut; one user's pieces never join
 * another's. */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "testlib.h"
#include "tree/control.h"
#include "tree/table.h"

struct heard {
    struct buf lines; /* "uid:line;" */
};

static int on_command(void *ctx, const struct caller *who, const char *line)
{
    struct heard *h = ctx;

    if (!strcmp(line, "bad"))
        return -EBUSY;
    buf_addf(&h->lines, "%u:%s;", who->uid, line);
    return 0;
}

struct fixture {
    struct node_table *table;
    struct node *node;
    struct heard heard;
};

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    struct control_config config = {
        .mode = 0200, .uid = 5, .gid = (gid_t)-1, .command = on_command, .ctx = &f->heard};

    f->table = node_table_new();
    f->node = control_node_get(f->table, 9, &config);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    node_unref(f->node);
    node_table_free(f->table);
    buf_done(&f->heard.lines);
    free(f);
    return 0;
}

/* A piece: the write ends where a page of the file does. */
static ssize_t say(struct fixture *f, uid_t uid, const char *text)
{
    struct caller who = {.uid = uid};

    return f->node->ops->write(f->node, &who, text, strlen(text), CONTROL_PIECE - strlen(text));
}

static void a_last_line_needs_no_newline(void **state)
{
    struct fixture *f = *state;
    struct caller who = {.uid = 1};

    assert_int_equal(f->node->ops->write(f->node, &who, "why", 3, 0), 3);
    assert_int_equal(f->node->ops->write(f->node, &who, "one\ntwo", 7, 0), 7);
    assert_int_equal(f->node->ops->write(f->node, &who, "bad", 3, 0), -EBUSY);
    assert_string_equal(buf_str(&f->heard.lines), "1:why;1:one;1:two;");
}

static void nothing_is_no_command(void **state)
{
    struct fixture *f = *state;
    struct caller who = {.uid = 1};

    assert_int_equal(f->node->ops->write(f->node, &who, "\n\n", 2, 0), -EINVAL);
    assert_int_equal(f->node->ops->write(f->node, &who, "one\n", 4, 0), 4);
    assert_int_equal(f->node->ops->write(f->node, &who, "\n", 1, 4), 1);
    assert_string_equal(buf_str(&f->heard.lines), "1:one;");
}

static void whole_lines(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(say(f, 1, "one\ntwo\n\n"), 9);
    assert_string_equal(buf_str(&f->heard.lines), "1:one;1:two;");
}

static void pieces_of_two_users(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(say(f, 1, "hel"), 3);
    assert_int_equal(say(f, 2, "good"), 4);
    assert_string_equal(buf_str(&f->heard.lines), "");
    assert_int_equal(say(f, 1, "lo\nx"), 4);
    assert_int_equal(say(f, 2, "bye\n"), 4);
    assert_int_equal(say(f, 1, "\n"), 1);
    assert_string_equal(buf_str(&f->heard.lines), "1:hello;2:goodbye;1:x;");
}

static void every_way_to_cut_a_text(void **state)
{
    struct fixture *f = *state;
    const char text[] = "ab\ncd\nef\n";

    for (size_t i = 0; i < sizeof(text); i++) {
        buf_clear(&f->heard.lines);
        _cleanup_free_ char *first = xstrndup(text, i);
        say(f, 1, first);
        say(f, 1, text + i);
        assert_string_equal(buf_str(&f->heard.lines), "1:ab;1:cd;1:ef;");
    }
}

/* `printf part > file` and then `echo whole > file`. */
static void opening_anew_drops_what_is_unfinished(void **state)
{
    struct fixture *f = *state;
    struct caller who = {.uid = 1};

    say(f, 1, "part of ");
    say(f, 2, "a");
    struct set_attrs set = {.valid = SET_MTIME};
    assert_int_equal(f->node->ops->setattr(f->node, &who, &set), 0);
    say(f, 1, "it\n");
    say(f, 1, "part");
    set.valid = SET_SIZE;
    assert_int_equal(f->node->ops->setattr(f->node, &who, &set), 0);
    say(f, 1, "whole\n");
    say(f, 2, "b\n");
    assert_string_equal(buf_str(&f->heard.lines), "1:part of it;1:whole;2:ab;");
}

static void errors_reach_the_writer(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(say(f, 1, "bad\n"), -EBUSY);
    assert_int_equal(say(f, 1, "good\n"), 5);
    struct caller who = {.uid = 1};
    assert_int_equal(f->node->ops->write(f->node, &who, "a\0b\n", 4, 0), -EINVAL);
    _cleanup_free_ char *large = xmalloc(CONTROL_LINE_MOST + 2);
    memset(large, 'x', CONTROL_LINE_MOST + 1);
    large[CONTROL_LINE_MOST + 1] = 0;
    assert_int_equal(say(f, 1, large), -EMSGSIZE);
    large[CONTROL_LINE_MOST + 1] = '\n';
    assert_int_equal(f->node->ops->write(f->node, &who, large, CONTROL_LINE_MOST + 2, 0),
                     -EMSGSIZE);
    assert_int_equal(say(f, 1, "still\n"), 6);
    assert_string_equal(buf_str(&f->heard.lines), "1:good;1:still;");
}

static void looks_like_a_control_file(void **state)
{
    struct fixture *f = *state;
    struct stat st = {.st_uid = 1, .st_gid = 2};

    assert_int_equal(f->node->ops->getattr(f->node, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0200);
    assert_int_equal(st.st_uid, 5);
    assert_int_equal(st.st_gid, 2);
    assert_int_equal(st.st_size, 0);
    assert_null(f->node->ops->read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_last_line_needs_no_newline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_no_command, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pieces_of_two_users, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_way_to_cut_a_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(opening_anew_drops_what_is_unfinished, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_reach_the_writer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(looks_like_a_control_file, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

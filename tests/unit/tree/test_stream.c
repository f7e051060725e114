/* The growing log: what was appended is read, outlives a restart, and starts again when it is
 * large. */
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "testlib.h"
#include "tree/stream.h"
#include "tree/table.h"

static struct node *open_stream(struct node_table *t, const char *path)
{
    struct node *n = NULL;

    assert_int_equal(stream_node_new(t, 3, path, &n, NULL), 0);
    return n;
}

static off_t size_of(struct node *n)
{
    struct stat st = {0};

    assert_int_equal(n->ops->getattr(n, &st), 0);
    return st.st_size;
}

static void grows_and_stays(void **state)
{
    char *dir = test_dir_new();
    _cleanup_free_ char *path = xasprintf("%s/events", dir);
    struct node_table *t = node_table_new();
    struct node *n = open_stream(t, path);
    char got[16] = "";

    assert_int_equal(size_of(n), 0);
    stream_append(n, "one\n", 4);
    stream_append(n, "two\n", 4);
    assert_int_equal(size_of(n), 8);
    assert_int_equal(n->ops->read(n, got, sizeof(got), 4), 4);
    assert_string_equal(got, "two\n");
    node_unref(n);
    n = open_stream(t, path);
    assert_int_equal(size_of(n), 8);
    node_unref(n);
    assert_int_equal(truncate(path, STREAM_MOST + 1), 0);
    n = open_stream(t, path);
    assert_int_equal(size_of(n), 0);
    node_unref(n);
    assert_int_equal(test_status(dir, "test -s events.1"), 0);
    node_table_free(t);
    test_dir_free(dir);
}

static void a_place_that_cannot_be_written_is_named(void **state)
{
    struct node_table *t = node_table_new();
    struct node *n;
    struct diag why = {0};

    assert_true(stream_node_new(t, 3, "/no/such/place", &n, &why) < 0);
    assert_non_null(strstr(why.text, "/no/such/place"));
    diag_done(&why);
    node_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_stays),
        cmocka_unit_test(a_place_that_cannot_be_written_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

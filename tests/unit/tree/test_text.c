/* Generated files: any window of the text, nothing beyond it. */
#include <stdlib.h>

#include "testlib.h"
#include "tree/table.h"
#include "tree/text.h"

static void windows(void **state)
{
    struct node_table *t = node_table_new();
    const char text[] = "0123456789";
    struct buf b = {0};

    buf_adds(&b, text);
    struct node *n = text_node_new(t, 3, &b, 5000000001);
    assert_null(b.data);
    struct stat st = {0};
    assert_int_equal(n->ops->getattr(n, &st), 0);
    assert_int_equal(st.st_size, 10);
    assert_int_equal(st.st_mtim.tv_sec, 5);
    assert_int_equal(st.st_mtim.tv_nsec, 1);
    for (int off = 0; off <= 12; off++)
        for (int size = 0; size <= 12; size++) {
            char got[16] = "";
            int want = off >= 10 ? 0 : size < 10 - off ? size : 10 - off;
            assert_int_equal(n->ops->read(n, got, size, off), want);
            assert_memory_equal(got, text + (off > 10 ? 10 : off), want);
        }
    node_unref(n);
    struct buf none = {0};
    n = text_node_new(t, 4, &none, 0);
    char c;
    assert_int_equal(n->ops->read(n, &c, 1, 0), 0);
    node_unref(n);
    node_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

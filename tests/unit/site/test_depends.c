#include "testlib.h"

#include <stdlib.h>

#include "site/depends.h"

enum { NODES = 12 };

/* What a circle is, by the slowest way: who can reach itself. */
static void reach(bool edge[NODES][NODES], bool reached[NODES][NODES])
{
    memcpy(reached, edge, sizeof(bool[NODES][NODES]));
    for (int k = 0; k < NODES; k++)
        for (int i = 0; i < NODES; i++)
            for (int j = 0; j < NODES; j++)
                reached[i][j] |= reached[i][k] && reached[k][j];
}

static void check_graph(bool edge[NODES][NODES])
{
    bool reached[NODES][NODES], covered[NODES] = {false};
    struct depends d;
    size_t *circle, n;

    reach(edge, reached);
    depends_init(&d, NODES);
    for (int i = 0; i < NODES; i++)
        for (int j = 0; j < NODES; j++)
            if (edge[i][j])
                depends_add(&d, i, j);
    while ((n = depends_circle(&d, &circle))) {
        for (size_t i = 0; i < n; i++) {
            assert_true(edge[circle[i]][circle[(i + 1) % n]]);
            assert_false(covered[circle[i]]);
            covered[circle[i]] = true;
        }
        free(circle);
    }
    /* Without the members of what was returned, nothing reaches itself any more. */
    for (int i = 0; i < NODES; i++)
        for (int j = 0; j < NODES; j++)
            if (covered[i] || covered[j])
                edge[i][j] = false;
    reach(edge, reached);
    for (int i = 0; i < NODES; i++)
        assert_false(reached[i][i]);
    depends_done(&d);
}

static void circles_are_circles_and_none_is_left(void **state)
{
    unsigned seed = 7;

    for (int round = 0; round < 2000; round++) {
        bool edge[NODES][NODES] = {{false}};
        int edges = round % 25;
        for (int i = 0; i < edges; i++) {
            seed = seed * 1103515245 + 12345;
            edge[(seed >> 16) % NODES][(seed >> 8) % NODES] = true;
        }
        check_graph(edge);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(circles_are_circles_and_none_is_left)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the tests of src/view share: the views of a small repository as nodes, without a mount. */
#ifndef ONWARD_TESTS_VIEW_FIXTURE_H
#define ONWARD_TESTS_VIEW_FIXTURE_H

#include "testlib.h"

#include "tree/table.h"
#include "view/context.h"

struct fixture {
    char *dir;  /* temporary */
    char *path; /* dir/work: a repository with one commit on main */
    struct repo *repo;
    struct mainline *mainline;
    struct ledger *ledger;
    struct history_index *history; /* NULL: without */
    struct fleet_board *board;     /* with an empty fleet */
    struct node_table *table;
    struct view *view;
    struct node *root;
};

int fixture_setup(void **state);
/* The same without a history index; with mtime=change. */
int fixture_setup_without(void **state);
int fixture_setup_by_change(void **state);
int fixture_teardown(void **state);
/* A test with a fixture of its own. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
#define TEST_WITHOUT(function)                                                                     \
    cmocka_unit_test_setup_teardown(function, fixture_setup_without, fixture_teardown)
#define TEST_BY_CHANGE(function)                                                                   \
    cmocka_unit_test_setup_teardown(function, fixture_setup_by_change, fixture_teardown)

/* Runs git commands in the repository, and lets index and views learn of it. */
void change(struct fixture *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The id of a revision. */
struct oid oid_from(struct fixture *f, const char *rev);

/* The node behind a path from the root, through directories only; NULL if there is none. */
struct node *walk(struct fixture *f, const char *path);
/* What reading the file behind a path gives; free() it. "(none)" if there is nothing. */
char *text(struct fixture *f, const char *path);
/* The target of the link behind a path; free() it. "(none)" if there is nothing. */
char *target(struct fixture *f, const char *path);
/* What a directory lists in replies of `most` entries: names in order, each with a space behind it,
 * directories with '/', links with '@'. free() it. */
char *listing(struct node *dir, int most);
/* The same with the names sorted, of the directory behind a path. */
char *sorted_listing(struct fixture *f, const char *path);

#endif

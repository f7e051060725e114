/* A repository with a tree that declarations can speak of, and that tree with any onward.yaml. */
#ifndef ONWARD_TESTS_SITE_FIXTURE_H
#define ONWARD_TESTS_SITE_FIXTURE_H

#include "testlib.h"

#include "repo/object.h"
#include "site/declaration.h"

struct fixture {
    char *dir, *path; /* a temporary directory, the repository in it */
    struct repo *repo;
    struct oid tree; /* of its only revision: no onward.yaml, and what fixture.c lists */
};

/* For cmocka: *state is the fixture. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* The tree with this onward.yaml. */
struct oid fixture_tree(struct fixture *f, const char *onward);
/* Loads the declaration `onward` over the tree; fails the test when it is wrong. */
struct declaration *fixture_declare(struct fixture *f, const char *onward);
/* The id that `git rev-parse` says. */
struct oid fixture_rev(struct fixture *f, const char *expr);

#endif

/* What the tests of src/deploy share: a repository made by git, and plain directories in the place
 * of the mount. */
#ifndef ONWARD_TESTS_DEPLOY_FIXTURE_H
#define ONWARD_TESTS_DEPLOY_FIXTURE_H

#include "testlib.h"

#include "deploy/backend.h"
#include "repo/repo.h"

struct fixture {
    char *dir;   /* temporary */
    char *work;  /* dir/work: a repository with a work tree */
    char *mount; /* dir/mount: revisions/<id>/ as add_revision() puts them there */
    struct repo *repo;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
/* A test with a fixture of its own. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

/* Commits what is in the work tree and shows it in the mount; its id. */
struct oid add_revision(struct fixture *f, const char *message);
/* The root tree of a revision. */
struct oid tree_of(struct fixture *f, const struct oid *rev);
/* Shows a revision in the mount. */
void show_revision(struct fixture *f, const struct oid *rev);

/* A number as an id; 0 is zero. */
struct oid oid_number(int n);

/* A site named "store-1" of team "retail" with source "stores/1", include "common", and a label. */
struct site *site_new(void);
void site_free(struct site *s);

/* A request to bring `s` to `to`, generation 7, attempt 2. */
struct backend_request make_request(struct fixture *f, const struct site *s, const struct oid *to);

#endif

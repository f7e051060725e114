/* What the tests of src/repo share: a work tree repository made by git, opened by us. */
#ifndef ONWARD_TESTS_REPO_FIXTURE_H
#define ONWARD_TESTS_REPO_FIXTURE_H

#include "testlib.h"

#include "repo/object.h"
#include "repo/repo.h"

struct fixture {
    char *dir;  /* temporary */
    char *path; /* dir/work: a repository with a work tree and no commit */
    struct repo *repo;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
/* Opens the repository again: a new cache, a new snapshot. */
void fixture_reopen(struct fixture *f);

/* A test with a fixture of its own. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

struct oid oid_of(const char *hex);
/* The id that a shell command prints. */
struct oid oid_from(const char *dir, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Our id against what git prints for `rev`. */
void assert_oid_is(const struct oid *oid, const char *dir, const char *rev);
void assert_oid_equal(const struct oid *a, const struct oid *b);
/* The value of a metric without labels. */
int64_t metric_value(const char *name);
/* Writes bytes as an object of any type, without Git's checks. */
struct oid write_literally(const char *dir, const char *type, const void *data, size_t len);

#endif

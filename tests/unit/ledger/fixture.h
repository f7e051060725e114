/* What the tests of src/ledger share: an empty bare repository, opened. */
#ifndef ONWARD_TESTS_LEDGER_FIXTURE_H
#define ONWARD_TESTS_LEDGER_FIXTURE_H

#include "testlib.h"

#include "ledger/ledger.h"

struct fixture {
    char *dir;  /* temporary */
    char *path; /* dir/infra.git */
    struct repo *repo;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
/* A test with a fixture of its own. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

/* An id made of a number; 0 gives zero. */
struct oid oid_number(int n);
/* A record of `site`; record_done() it. */
struct record make_record(const char *site, uint64_t generation, enum record_kind kind);
/* Makes and appends one. */
void append(struct ledger *l, const char *site, uint64_t generation, enum record_kind kind);
struct ledger *open_ledger(struct fixture *f, const char *host);
/* Makes every object a loose one, that can be taken away by itself. */
void unpack(struct fixture *f);
/* The history of a site, newest first, as "3:deployed 3:attempt"; free() it. */
char *history(struct ledger *l, const char *site);

#endif

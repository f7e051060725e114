/* A living reconciler for tests: over a real repository, a real ledger and real backends; only the
 * mount is a plain directory. One site, "a", of the backend "script", whose calls to apply leave
 * their lines in the file `calls`. */
#ifndef ONWARD_TESTS_DEPLOY_LIVING_H
#define ONWARD_TESTS_DEPLOY_LIVING_H

#include "fixture.h"

#include <pthread.h>

#include "deploy/reconcile.h"
#include "repo/mainline.h"

#define WAIT 20000 /* ms: far more than anything here takes */

struct world {
    struct fixture *f;
    struct mainline *mainline;
    struct ledger *ledger;
    struct fleet_board *board;
    struct backend_config backends[2]; /* "script" and "files" */
    struct reconcile_config config;
    struct reconcile *reconcile;
    pthread_mutex_t lock;
    struct buf events; /* their names */
};

struct expected {
    struct world *w;
    const char *site;
    enum site_state state;
    const struct oid *deployed; /* NULL: any */
    const char *blocked;        /* kind; NULL: any */
};

#define WAIT_FOR(...) wait_for((struct expected){__VA_ARGS__})

/* A test in a living world. */
#define LTEST(function) cmocka_unit_test_setup_teardown(function, living_setup, living_teardown)

int living_setup(void **state);
int living_teardown(void **state);

/* Sets what the script backend does: `other` when it is asked for anything but to apply, `apply`
 * after it has left its line. */
void set_verbs(struct world *w, const char *other, const char *apply);
void set_script(struct world *w, const char *apply);
void declare(struct world *w, const char *sites);
void start(struct world *w);
void stop(struct world *w, int64_t grace);
void start_enabled(struct world *w);
/* What an operator writes to .onward/ctl. */
int give_order(struct world *w, const char *who, const char *line, struct diag *reterr);
/* Commits, and lets the reconciler know. */
struct oid commit(struct world *w, const char *path, const char *content);
void wait_for(struct expected e);
void assert_calls(struct world *w, const char *expected);
bool has_calls(void *world);
bool has_two_calls(void *world);
/* The site's records, newest first. */
void assert_records(struct world *w, const char *site, const char *expected);

#endif

/* What checks have said, by (check, tree, base): an input that has not changed is not checked
 * twice. In memory, a bounded number of the newest that were used.
 *
 * Calling sequence: results_begin(); when that says RESULT_MINE, run the check and
 * results_finish(). Others that ask for the same meanwhile wait for it (and never for another)
 * and get what it said, even if nobody gets that later; they run the check themselves if it said
 * nothing.
 *
 * Threads: all functions from any thread. */
#ifndef ONWARD_CHECK_RESULTS_H
#define ONWARD_CHECK_RESULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/finding.h"

struct results;

/* Keeps at most `most` results. */
struct results *results_new(size_t most);
void results_free(struct results *r);

enum result {
    RESULT_KNOWN,   /* its findings were added */
    RESULT_MINE,    /* run the check, and finish */
    RESULT_UNKNOWN, /* nothing is known, and waiting was not wanted */
};
/* `wait` false: never waits, and never RESULT_MINE. */
enum result results_begin(struct results *r, const char *key, bool wait, struct findings *ret);

#define RESULT_FOREVER INT64_MAX
/* Ends what results_begin() began. `findings` NULL: there is no result. `until`: the mono time
 * until which it answers those who have not begun to wait yet; 0: it does not. */
void results_finish(struct results *r, const char *key, const struct findings *findings,
                    int64_t until);

#endif

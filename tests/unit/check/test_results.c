#include "testlib.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "check/results.h"

/* What an asker that does not wait gets: "?" for nothing, else the message (or "ok"). */
static const char *known(struct results *r, const char *key)
{
    static char text[64];
    struct findings found = {0};

    if (results_begin(r, key, false, &found) != RESULT_KNOWN)
        return "?";
    snprintf(text, sizeof(text), "%s", found.n ? found.v[0].message : "ok");
    findings_done(&found);
    return text;
}

/* Runs a check that says `message` (NULL: nothing at all). */
static void say(struct results *r, const char *key, const char *message, int64_t until)
{
    struct findings found = {0};

    assert_int_equal(results_begin(r, key, true, &found), RESULT_MINE);
    if (message && *message)
        findings_add(&found, "p", 1, 1, "c", "%s", message);
    results_finish(r, key, message ? &found : NULL, until);
    findings_done(&found);
}

static void what_was_said_is_known(void **state)
{
    struct results *r = results_new(10);

    assert_string_equal(known(r, "a"), "?");
    say(r, "a", "", RESULT_FOREVER);
    say(r, "b", "bad", RESULT_FOREVER);
    assert_string_equal(known(r, "a"), "ok");
    assert_string_equal(known(r, "b"), "bad");
    say(r, "c", NULL, RESULT_FOREVER);
    assert_string_equal(known(r, "c"), "?");
    say(r, "d", "late", 0);
    assert_string_equal(known(r, "d"), "?");
    say(r, "d", "now", RESULT_FOREVER);
    assert_string_equal(known(r, "d"), "now");
    results_free(r);
}

static void the_ones_that_nobody_uses_are_forgotten(void **state)
{
    struct results *r = results_new(2);

    say(r, "a", "", RESULT_FOREVER);
    say(r, "b", "", RESULT_FOREVER);
    assert_string_equal(known(r, "a"), "ok");
    say(r, "c", "", RESULT_FOREVER);
    assert_string_equal(known(r, "b"), "?");
    assert_string_equal(known(r, "a"), "ok");
    assert_string_equal(known(r, "c"), "ok");
    results_free(r);
}

#define ASKERS 6

struct crowd {
    struct results *r;
    int64_t until;
    atomic_int asking, runs, answers;
};

/* All but the last to come are answered by whoever ran; who runs waits until all have asked. */
static void *ask(void *arg)
{
    struct crowd *c = arg;
    struct findings found = {0};

    atomic_fetch_add(&c->asking, 1);
    if (results_begin(c->r, "k", true, &found) == RESULT_MINE) {
        atomic_fetch_add(&c->runs, 1);
        while (c->asking < ASKERS)
            sched_yield();
        struct timespec moment = clock_timespec(20 * NS_PER_MS); /* so that they wait, mostly */
        nanosleep(&moment, NULL);
        findings_add(&found, "p", 1, 1, "c", "x");
        results_finish(c->r, "k", &found, c->until);
    }
    atomic_fetch_add(&c->answers, found.n);
    findings_done(&found);
    return NULL;
}

static void assert_crowd(int64_t until, int runs)
{
    struct crowd c = {.r = results_new(4), .until = until};
    pthread_t threads[ASKERS];

    for (int i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &c), 0);
    for (int i = 0; i < ASKERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(c.answers, ASKERS);
    assert_true(c.runs <= runs);
    results_free(c.r);
}

static void who_asks_meanwhile_is_answered_by_the_one_run(void **state)
{
    assert_crowd(RESULT_FOREVER, 1);
    assert_crowd(0, ASKERS - 1); /* also when nobody else is to be told */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_said_is_known),
        cmocka_unit_test(the_ones_that_nobody_uses_are_forgotten),
        cmocka_unit_test(who_asks_meanwhile_is_answered_by_the_one_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

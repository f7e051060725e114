#include "fixture.h"

#include <semaphore.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "deploy/attempt.h"

/* A backend that says what the test wants. */
struct fake {
    struct backend backend;
    const char *log;
    struct oid tree; /* what it was asked for */
};

static void fake_apply(struct backend *b, const struct backend_request *request,
                       struct backend_result *ret)
{
    struct fake *f = container_of(b, struct fake, backend);

    f->tree = request->to_tree;
    ret->end = BACKEND_DONE;
    if (f->log)
        buf_adds(&ret->log, f->log);
}

static const struct backend_ops fake_ops = {.call = {[VERB_APPLY] = fake_apply}};

static void on_end(struct attempt *a, void *arg)
{
    sem_post(arg);
}

/* Runs an attempt at `to` to its end. */
static struct attempt *run(struct fixture *f, struct fake *fake, const struct oid *to)
{
    struct attempt *a = NEW(struct attempt);
    struct pool *pool = pool_new("test", 1);
    struct site *site = site_new();
    sem_t ended;

    sem_init(&ended, 0, 0);
    fake->backend.ops = &fake_ops;
    fake->backend.repo = f->repo;
    a->backend = &fake->backend;
    a->request = (struct backend_request){.site = site, .to = *to};
    assert_int_equal(attempt_init(a), 0);
    a->ended = on_end;
    a->arg = &ended;
    attempt_call(a, VERB_APPLY, pool);
    sem_wait(&ended);
    pool_free(pool);
    sem_destroy(&ended);
    a->request.site = NULL;
    site_free(site);
    return a;
}

static void test_the_backend_is_asked_and_its_output_kept(void **state)
{
    struct fixture *f = *state;
    struct fake fake = {.log = "it works\n"};
    char hex[OID_HEX + 1];
    test_write_file(f->work, "stores/1/app", "x\n");
    struct oid rev = add_revision(f, "one"), tree = tree_of(f, &rev);

    int64_t before = clock_mono();
    struct attempt *a = run(f, &fake, &rev);
    assert_int_equal(a->result.end, BACKEND_DONE);
    assert_memory_equal(&fake.tree, &tree, sizeof(tree));
    assert_true(a->started >= before && a->started <= clock_mono());
    assert_true(a->duration > 0);
    assert_string_equal(buf_str(&a->applied), "it works\n");
    _cleanup_free_ char *id = test_output(f->work, "echo it works | git hash-object --stdin");
    assert_string_equal(oid_hex(&a->log, hex), id);
    attempt_free(a);
    fake.log = NULL;
    a = run(f, &fake, &rev);
    assert_true(oid_is_zero(&a->log));
    attempt_free(a);
}

static void test_a_revision_that_is_not_there_fails_unasked(void **state)
{
    struct fixture *f = *state;
    struct fake fake = {.log = "never"};
    struct oid none = oid_number(7);
    struct attempt *a = run(f, &fake, &none);

    assert_int_equal(a->result.end, BACKEND_FAILED);
    assert_non_null(strstr(a->result.message, "revision"));
    assert_true(oid_is_zero(&fake.tree));
    attempt_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_backend_is_asked_and_its_output_kept),
        TEST(test_a_revision_that_is_not_there_fails_unasked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

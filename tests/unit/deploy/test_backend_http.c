/* The http backend against a receiver that does what the path says. */
#include "fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "onward/backend.h"

extern char **environ;

struct hook {
    struct fixture *f;
    struct site *site;
    struct oid rev;
    struct backend_config config;
    struct backend *backend;
    pid_t receiver;
    char *port;
};

static bool has_port(void *arg)
{
    const struct hook *h = arg;

    return test_status(h->f->dir, "test -s port") == 0;
}

/* `certificate` NULL: it speaks no TLS. */
static void start_receiver(struct hook *h, const char *certificate)
{
    const char *dir = h->f->dir;
    _cleanup_free_ char *port = xasprintf("%s/port", dir), *log = xasprintf("%s/log", dir);
    char *argv[] = {(char *)"python3", (char *)RECEIVER,    port, log,
                    (char *)"s3cret",  (char *)certificate, NULL};

    assert_int_equal(posix_spawnp(&h->receiver, "python3", NULL, NULL, argv, environ), 0);
    assert_true(test_wait(has_port, h, 30000));
    h->port = test_read_file(dir, "port", NULL);
}

static void hook_init(struct hook *h, struct fixture *f)
{
    *h = (struct hook){.f = f, .site = site_new()};
    test_write_file(f->work, "stores/1/app.conf", "x\n");
    h->rev = add_revision(f, "one");
    test_run(f->dir, "umask 077 && echo s3cret >key");
    h->config = (struct backend_config){.name = "hook", .kind = BACKEND_HTTP};
    h->config.url = xstrdup("http://127.0.0.1:1/");
    h->config.secret_file = xasprintf("%s/key", f->dir);
    assert_int_equal(backend_new(&h->config, f->repo, &h->backend, NULL), 0);
}

static void hook_done(struct hook *h)
{
    if (h->receiver) {
        kill(h->receiver, SIGKILL);
        waitpid(h->receiver, NULL, 0);
    }
    backend_free(h->backend);
    site_free(h->site);
    free(h->config.url);
    free(h->config.secret_file);
    free(h->port);
}

static void go_to(struct hook *h, const char *path)
{
    free(h->config.url);
    h->config.url = xasprintf("http://127.0.0.1:%s%s", h->port, path);
}

static struct backend_result apply(struct hook *h, int64_t timeout, int stop_fd)
{
    struct backend_request request = make_request(h->f, h->site, &h->rev);
    struct backend_result result;

    request.timeout = timeout;
    request.stop_fd = stop_fd;
    backend_call(h->backend, &request, &result);
    return result;
}

static void assert_ends(struct hook *h, int64_t timeout, enum backend_end end, const char *message)
{
    struct backend_result r = apply(h, timeout, -1);

    if (r.end != end || (message ? !r.message || !strstr(r.message, message) : r.message != NULL))
        fail_msg("%s: %s: %s", h->config.url, backend_end_name(r.end), r.message);
    backend_result_done(&r);
}

static void test_the_request_is_signed_and_names_its_key(void **state)
{
    struct hook h;

    hook_init(&h, *state);
    start_receiver(&h, NULL);
    go_to(&h, "/status/200/{team}/{site}?a=b");
    struct backend_result r = apply(&h, 10 * NS_PER_SEC, -1);
    assert_int_equal(r.end, BACKEND_DONE);
    assert_string_equal(r.log.data, "first\nsaid 200\n");
    backend_result_done(&r);
    _cleanup_free_ char *log = test_read_file(h.f->dir, "log", NULL);
    assert_string_equal(log, "/status/200/retail/store-1?a=b True store-1/7 application/json "
                             "apply store-1\n");
    hook_done(&h);
}

/* What each answer means; nothing that a receiver does is more than a result. */
static void test_answers_mean_what_is_promised(void **state)
{
    static const struct {
        const char *path;
        enum backend_end end;
        const char *message;
    } answers[] = {
        {"/status/202", BACKEND_DONE, NULL},
        {"/status/204", BACKEND_DONE, NULL},
        {"/status/404", BACKEND_REFUSED, "status 404: said 404"},
        {"/status/400", BACKEND_REFUSED, "status 400"},
        {"/redirect", BACKEND_REFUSED, "redirects are not followed"},
        {"/status/429", BACKEND_LATER, "status 429"},
        {"/status/503", BACKEND_FAILED, "status 503"},
        {"/once", BACKEND_FAILED, "status 500: said 500"},
        {"/once", BACKEND_DONE, NULL},
        {"/cut", BACKEND_FAILED, "127.0.0.1"},
        {"/nothing", BACKEND_FAILED, "127.0.0.1"},
        {"/garbage", BACKEND_FAILED, "127.0.0.1"},
        {"/headers", BACKEND_FAILED, "127.0.0.1"},
    };
    struct hook h;

    hook_init(&h, *state);
    start_receiver(&h, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        go_to(&h, answers[i].path);
        assert_ends(&h, 20 * NS_PER_SEC, answers[i].end, answers[i].message);
    }
    hook_done(&h);
}

/* P14: time and memory are bounded. */
static void test_who_hangs_drips_or_floods_is_left(void **state)
{
    struct hook h;

    hook_init(&h, *state);
    start_receiver(&h, NULL);
    int64_t start = clock_mono();
    go_to(&h, "/hang");
    assert_ends(&h, 200 * NS_PER_MS, BACKEND_TIMEOUT, "no whole answer within 200ms");
    go_to(&h, "/drip");
    assert_ends(&h, 200 * NS_PER_MS, BACKEND_TIMEOUT, "no whole answer within 200ms");
    assert_true(clock_mono() - start < 10 * NS_PER_SEC);
    go_to(&h, "/flood");
    struct backend_result r = apply(&h, 60 * NS_PER_SEC, -1);
    assert_int_equal(r.end, BACKEND_DONE);
    assert_int_equal(r.log.len, ONWARD_LOG_MOST);
    backend_result_done(&r);
    hook_done(&h);
}

static void test_retry_after_is_passed_on(void **state)
{
    static const struct {
        const char *path;
        int64_t least, most; /* s */
    } waits[] = {
        {"/after/429/120", 120, 120}, {"/after/503/7", 7, 7},
        {"/date/429/300", 290, 301},  {"/date/429/-300", 0, 0},
        {"/after/429/soon", 0, 0},    {"/after/429/99999999999999999999", 0, 7 * 24 * 3600},
    };
    struct hook h;

    hook_init(&h, *state);
    start_receiver(&h, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
        go_to(&h, waits[i].path);
        struct backend_result r = apply(&h, 20 * NS_PER_SEC, -1);
        if (r.end != BACKEND_LATER || r.retry_after < waits[i].least * NS_PER_SEC ||
            r.retry_after > waits[i].most * NS_PER_SEC)
            fail_msg("%s: %s %lld", waits[i].path, backend_end_name(r.end),
                     (long long)(r.retry_after / NS_PER_SEC));
        backend_result_done(&r);
    }
    hook_done(&h);
}

/* Waves pass over who cannot be reached. */
static void test_who_cannot_be_reached_is_for_later(void **state)
{
    struct hook h;

    hook_init(&h, *state);
    assert_ends(&h, 10 * NS_PER_SEC, BACKEND_LATER, "127.0.0.1");
    free(h.config.url);
    h.config.url = xstrdup("http://nobody.invalid/");
    assert_ends(&h, 60 * NS_PER_SEC, BACKEND_LATER, "nobody.invalid");
    hook_done(&h);
}

struct stopper {
    struct hook *hook;
    int fd;
};

static bool was_asked(void *arg)
{
    const struct hook *h = arg;

    return test_status(h->f->dir, "test -s log") == 0;
}

static void *stop_when_asked(void *arg)
{
    struct stopper *s = arg;

    test_wait(was_asked, s->hook, 30000);
    eventfd_write(s->fd, 1);
    return NULL;
}

static void test_it_is_stopped_at_once(void **state)
{
    struct hook h;
    pthread_t thread;

    hook_init(&h, *state);
    start_receiver(&h, NULL);
    go_to(&h, "/hang");
    struct stopper s = {&h, eventfd(0, EFD_CLOEXEC)};
    int64_t start = clock_mono();
    pthread_create(&thread, NULL, stop_when_asked, &s);
    struct backend_result r = apply(&h, 600 * NS_PER_SEC, s.fd);
    assert_int_equal(r.end, BACKEND_STOPPED);
    assert_true(clock_mono() - start < 40 * NS_PER_SEC);
    backend_result_done(&r);
    pthread_join(thread, NULL);
    close(s.fd);
    hook_done(&h);
}

static void test_a_certificate_of_somebody_else_is_refused(void **state)
{
    struct hook h;

    if (test_status(NULL, "openssl version") != 0)
        test_skip("there is no openssl to make a certificate with");
    hook_init(&h, *state);
    test_run(h.f->dir, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
                       "-subj /CN=localhost -days 9 -keyout pem -out cert 2>&1 && cat cert >>pem");
    _cleanup_free_ char *pem = xasprintf("%s/pem", h.f->dir);
    start_receiver(&h, pem);
    free(h.config.url);
    h.config.url = xasprintf("https://localhost:%s/status/200", h.port);
    assert_ends(&h, 20 * NS_PER_SEC, BACKEND_FAILED, "certificate");
    assert_false(was_asked(&h));
    hook_done(&h);
}

/* The secret is read for each call, used by nobody else, and in no message. */
static void test_a_secret_that_others_can_read_is_not_used(void **state)
{
    struct hook h;

    hook_init(&h, *state);
    start_receiver(&h, NULL);
    go_to(&h, "/status/200");
    test_run(h.f->dir, "chmod 640 key");
    assert_ends(&h, 10 * NS_PER_SEC, BACKEND_STALLED, "chmod 600");
    test_run(h.f->dir, ": >key && chmod 600 key");
    assert_ends(&h, 10 * NS_PER_SEC, BACKEND_STALLED, "is empty");
    test_run(h.f->dir, "rm key");
    assert_ends(&h, 10 * NS_PER_SEC, BACKEND_STALLED, "No such file");
    assert_false(was_asked(&h));
    test_run(h.f->dir, "umask 077 && printf 's3cret\\r\\n' >key");
    assert_ends(&h, 10 * NS_PER_SEC, BACKEND_DONE, NULL);
    test_run(h.f->dir, "grep -q ' True ' log");
    hook_done(&h);
}

/* P11 */
static void test_a_team_cannot_lead_elsewhere(void **state)
{
    struct hook h;

    hook_init(&h, *state);
    free(h.config.url);
    h.config.url = xstrdup("http://127.0.0.1:1/{team}/{site}");
    free(h.site->team);
    h.site->team = xstrdup("..");
    assert_ends(&h, 10 * NS_PER_SEC, BACKEND_STALLED, "cannot stand in an address");
    hook_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_request_is_signed_and_names_its_key),
        TEST(test_answers_mean_what_is_promised),
        TEST(test_who_hangs_drips_or_floods_is_left),
        TEST(test_retry_after_is_passed_on),
        TEST(test_who_cannot_be_reached_is_for_later),
        TEST(test_it_is_stopped_at_once),
        TEST(test_a_certificate_of_somebody_else_is_refused),
        TEST(test_a_secret_that_others_can_read_is_not_used),
        TEST(test_a_team_cannot_lead_elsewhere),
    };

    signal(SIGPIPE, SIG_IGN); /* as in the daemon */
    return cmocka_run_group_tests(tests, NULL, NULL);
}

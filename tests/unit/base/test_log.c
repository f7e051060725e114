#include "testlib.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

/* What `act` writes to standard error; free() it. */
static char *captured(const char *dir, void (*act)(void))
{
    int keep = dup(STDERR_FILENO);
    char *path = NULL;

    assert_true(asprintf(&path, "%s/log", dir) > 0);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(fd, STDERR_FILENO);
    act();
    dup2(keep, STDERR_FILENO);
    close(keep);
    close(fd);
    free(path);
    return test_read_file(dir, "log", NULL);
}

static void write_events(void)
{
    errno = ENOSPC;
    log_info("mounted", "path=\"%s\"", "a\nonwardfs: error: forged");
    assert_int_equal(errno, ENOSPC);
    log_debug("quiet", "x=%d", 1);
    log_error("bad", "n=%d", 2);
    log_warn("all", "d=%d u=%u zu=%zu lld=%lld llu=%llu s=%s q=\"%.4s\" end", -1, 2u, (size_t)3,
             -4ll, 5ull, "a\tb", "\"\\full");
    log_info("said", "message=\"%s\"", "disk \"full\" in C:\\");
}

static void an_event_is_one_line(void **state)
{
    char *dir = test_dir_new();
    char *text = captured(dir, write_events);

    assert_string_equal(text, "onwardfs: info: mounted path=\"a\\nonwardfs: error: forged\"\n"
                              "onwardfs: error: bad n=2\n"
                              "onwardfs: warning: all d=-1 u=2 zu=3 lld=-4 llu=5 s=a\\tb "
                              "q=\"\\\"\\\\fu\" end\n"
                              "onwardfs: info: said message=\"disk \\\"full\\\" in C:\\\\\"\n");
    free(text);
    test_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_event_is_one_line)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "testlib.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

__attribute__((constructor)) static void testlib_environment(void)
{
    static const char *const set[][2] = {
        {"GIT_CONFIG_GLOBAL", "/dev/null"},
        {"GIT_CONFIG_NOSYSTEM", "1"},
        {"GIT_CONFIG_COUNT", "2"},
        {"GIT_CONFIG_KEY_0", "init.defaultBranch"},
        {"GIT_CONFIG_VALUE_0", "main"},
        {"GIT_CONFIG_KEY_1", "protocol.file.allow"},
        {"GIT_CONFIG_VALUE_1", "always"},
        {"GIT_AUTHOR_NAME", "Ann Author"},
        {"GIT_AUTHOR_EMAIL", "ann@example.org"},
        {"GIT_AUTHOR_DATE", TEST_DATE},
        {"GIT_COMMITTER_NAME", "Carl Committer"},
        {"GIT_COMMITTER_EMAIL", "carl@example.org"},
        {"GIT_COMMITTER_DATE", TEST_DATE},
        {"GIT_TERMINAL_PROMPT", "0"},
        {"GIT_PAGER", "cat"},
        {"HOME", "/nonexistent"},
        {"LC_ALL", "C.UTF-8"},
        {"TZ", "UTC"},
    };
    static const char *const unset[] = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE",
                                        "XDG_CONFIG_HOME", "GIT_CEILING_DIRECTORIES"};

    for (size_t i = 0; i < ARRAY_SIZE(set); i++)
        setenv(set[i][0], set[i][1], 1);
    for (size_t i = 0; i < ARRAY_SIZE(unset); i++)
        unsetenv(unset[i]);
}

char *test_dir_new(void)
{
    const char *tmp = getenv("TMPDIR");
    _cleanup_free_ char *dir = xasprintf("%s/onward-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");

    if (!mkdtemp(dir))
        fail_msg("mkdtemp %s: %s", dir, strerror(errno));
    char *real = realpath(dir, NULL);
    assert_non_null(real);
    return real;
}

void test_dir_free(char *dir)
{
    if (!dir)
        return;
    int r = io_remove_tree(AT_FDCWD, dir);
    if (r < 0)
        fail_msg("cannot remove %s: %s", dir, strerror(-r));
    free(dir);
}

/* In the child: standard output to `out`, standard error to `err`, and the shell with its
 * `options`. */
static void child(const char *dir, const char *options, const char *command, int out, int err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, 0) < 0 || dup2(out >= 0 ? out : null, 1) < 0 ||
        dup2(err >= 0 ? err : null, 2) < 0 || (dir && chdir(dir) < 0))
        _exit(126);
    execl("/bin/sh", "sh", options, command, (char *)NULL);
    _exit(127);
}

/* Runs it; what it writes goes to the descriptors (-1: dropped). Returns the exit status. */
static int run(const char *dir, const char *options, const char *command, int out, int err)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        child(dir, options, command, out, err);
    assert_true(pid > 0);
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int scratch_file(void)
{
    const char *tmp = getenv("TMPDIR");
    int fd = open(tmp && *tmp ? tmp : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        fail_msg("O_TMPFILE in %s: %s", tmp ? tmp : "/tmp", strerror(errno));
    return fd;
}

/* Runs it, fails the test unless it exits 0, and returns its standard output. */
static char *run_checked(const char *dir, const char *command)
{
    _cleanup_close_ int out = scratch_file();
    _cleanup_close_ int err = scratch_file();
    struct buf text = {0};
    int status = run(dir, "-ec", command, out, err);

    if (status != 0) {
        lseek(err, 0, SEEK_SET);
        io_read_fd(err, 1 << 20, &text);
        fail_msg("`%s` in %s: status %d: %s", command, dir ? dir : ".", status, buf_str(&text));
    }
    lseek(out, 0, SEEK_SET);
    assert_int_equal(io_read_fd(out, 1 << 30, &text), 0);
    return buf_take(&text);
}

#define FORMAT(command, fmt)                                                                       \
    _cleanup_(buf_done) struct buf command = {0};                                                  \
    do {                                                                                           \
        va_list ap_;                                                                               \
        va_start(ap_, fmt);                                                                        \
        buf_vaddf(&command, fmt, ap_);                                                             \
        va_end(ap_);                                                                               \
    } while (0)

void test_run(const char *dir, const char *fmt, ...)
{
    FORMAT(command, fmt);
    free(run_checked(dir, buf_str(&command)));
}

int test_status(const char *dir, const char *fmt, ...)
{
    FORMAT(command, fmt);
    return run(dir, "-c", buf_str(&command), -1, -1);
}

char *test_output(const char *dir, const char *fmt, ...)
{
    FORMAT(command, fmt);
    char *text = run_checked(dir, buf_str(&command));
    size_t n = strlen(text);
    while (n && text[n - 1] == '\n')
        text[--n] = 0;
    return text;
}

void test_write_bytes(const char *dir, const char *path, const void *data, size_t len)
{
    _cleanup_free_ char *full = xasprintf("%s/%s", dir, path);
    _cleanup_free_ char *parent = xstrndup(full, strrchr(full, '/') - full);

    assert_int_equal(io_make_dirs(AT_FDCWD, parent, 0777), 0);
    _cleanup_close_ int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        fail_msg("%s: %s", full, strerror(errno));
    assert_int_equal(io_write_full(fd, data, len), 0);
}

void test_write_file(const char *dir, const char *path, const char *content)
{
    test_write_bytes(dir, path, content, strlen(content));
}

char *test_read_file(const char *dir, const char *path, size_t *ret_len)
{
    _cleanup_free_ char *full = xasprintf("%s/%s", dir, path);
    struct buf data = {0};
    int r = io_read_file(AT_FDCWD, full, 1 << 30, &data);

    if (r < 0)
        fail_msg("%s: %s", full, strerror(-r));
    if (ret_len)
        *ret_len = data.len;
    return buf_take(&data);
}

char *test_repo_new(const char *dir, const char *name, const char *options)
{
    char *path = xasprintf("%s/%s", dir, name);

    test_run(dir, "git init -q %s -- '%s'", options ? options : "", path);
    return path;
}

char *test_commit(const char *repo, const char *path, const char *content, const char *message)
{
    test_write_file(repo, path, content);
    test_run(repo, "git add -A && git commit -q -m '%s'", message);
    return test_output(repo, "git rev-parse HEAD");
}

bool test_wait(bool (*holds)(void *arg), void *arg, int ms)
{
    int64_t until = clock_mono() + ms * NS_PER_MS;

    while (!holds(arg)) {
        if (clock_mono() > until)
            return false;
        usleep(1000);
    }
    return true;
}

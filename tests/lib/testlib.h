/* What tests of several folders share: temporary directories, running programs, making
 * repositories.
 *
 * Linking this library gives every test the same Git: no configuration of the user or the system,
 * a fixed identity and date, `main` as the first branch, no prompts. HOME is a directory that does
 * not exist. All functions fail the running cmocka test when something goes wrong. */
#ifndef ONWARD_TESTS_TESTLIB_H
#define ONWARD_TESTS_TESTLIB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TEST_DATE "2026-01-01T00:00:00Z" /* of every commit that does not say otherwise */
#define TEST_TIME INT64_C(1767225600)    /* the same in seconds */

/* Leaves a test that cannot be made here, and says why. cmocka's skip() says "not ok". */
#define test_skip(why, ...)                                                                        \
    do {                                                                                           \
        print_message("# skipped: " why "\n", ##__VA_ARGS__);                                      \
        return;                                                                                    \
    } while (0)

/* A new directory below TMPDIR, absolute and without symlinks; test_dir_free() removes it. */
char *test_dir_new(void);
void test_dir_free(char *dir);

/* Runs shell commands in `dir` (NULL: where the test is) and fails the test, with the commands and
 * what they said, unless each of them succeeds (`sh -e`). */
void test_run(const char *dir, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Returns the exit status (128 + signal if it was killed) of `sh -c`; output is dropped. */
int test_status(const char *dir, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same as test_run(), returns standard output without newlines at its end; free() it. */
char *test_output(const char *dir, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes dir/path, making directories on the way; `content` is text. */
void test_write_file(const char *dir, const char *path, const char *content);
void test_write_bytes(const char *dir, const char *path, const void *data, size_t len);
/* The content of dir/path, NUL-terminated; `ret_len` may be NULL. free() it. */
char *test_read_file(const char *dir, const char *path, size_t *ret_len);

/* `git init` in dir/name (made if it is not there), with further options such as "--bare"; returns
 * its path; free() it. */
char *test_repo_new(const char *dir, const char *name, const char *options);
/* Writes `path`, adds everything, commits; returns the new id in hex; free() it. */
char *test_commit(const char *repo, const char *path, const char *content, const char *message);

/* Asks `holds(arg)` every millisecond or so until it is true; false after `ms` milliseconds. */
bool test_wait(bool (*holds)(void *arg), void *arg, int ms);

#endif

/* The helper of mount/flusher.h, on a file of an ordinary filesystem. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mount/flusher.h"
#include "testlib.h"

static void it_reads_the_file_each_time(void **state)
{
    char path[] = "./flusher.XXXXXX";
    struct flusher *f;
    int fd = mkstemp(path);

    assert_true(fd >= 0 && write(fd, "text", 4) == 4);
    char *full = realpath(path, NULL);
    assert_int_equal(flusher_new(full, &f), 0);
    assert_int_equal(flusher_run(f), 0);
    assert_int_equal(flusher_run(f), 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(flusher_run(f), -EIO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(flusher_run(f), -ENOENT);
    flusher_free(f);
    free(full);
    close(fd);
}

static void *run(void *arg)
{
    return (void *)(intptr_t)flusher_run(arg);
}

/* A FIFO that nobody writes to keeps the helper in its open(2). */
static void stopping_lets_those_go_who_wait(void **state)
{
    char dir[] = "./flusher.XXXXXX", path[sizeof(dir) + 8];
    struct flusher *f;
    pthread_t waiters[2];
    void *r;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/fifo", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    char *full = realpath(path, NULL);
    assert_int_equal(flusher_new(full, &f), 0);
    for (int i = 0; i < 2; i++)
        pthread_create(&waiters[i], NULL, run, f);
    flusher_stop(f);
    for (int i = 0; i < 2; i++) {
        pthread_join(waiters[i], &r);
        assert_int_equal((intptr_t)r, -ESHUTDOWN);
    }
    assert_int_equal(flusher_run(f), -ESHUTDOWN);
    flusher_free(f);
    unlink(path);
    rmdir(dir);
    free(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_reads_the_file_each_time),
        cmocka_unit_test(stopping_lets_those_go_who_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "testlib.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

static int set_up(void **state)
{
    *state = test_dir_new();
    return 0;
}

static int tear_down(void **state)
{
    test_dir_free(*state);
    return 0;
}

static void a_file_is_replaced_as_a_whole(void **state)
{
    _cleanup_close_ int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct buf text = {0};
    struct stat st;

    assert_int_equal(io_replace_file(dir, "f", "old", 3, 0600), 0);
    assert_int_equal(io_replace_file(dir, "f", "new one", 7, 0640), 0);
    assert_int_equal(io_read_file(dir, "f", 7, &text), 0);
    assert_string_equal(buf_str(&text), "new one");
    assert_int_equal(fstatat(dir, "f", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    buf_clear(&text);
    assert_int_equal(io_read_file(dir, "f", 6, &text), -EFBIG);
    assert_int_equal(io_read_file(dir, "none", 6, &text), -ENOENT);
    buf_done(&text);
    /* Nothing is left beside it, also when it fails: the target is a directory. */
    test_run(*state, "mkdir -p d/full");
    assert_int_equal(io_replace_file(dir, "d", "x", 1, 0600), -EISDIR);
    test_run(*state, "test \"$(ls)\" = \"$(printf 'd\\nf')\"");
}

static void directories_are_made_and_trees_removed(void **state)
{
    char *path = test_output(*state, "pwd");
    _cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(io_make_dirs(dir, "a/b/c", 0700), 0);
    assert_int_equal(io_make_dirs(dir, "a/b/c", 0700), 0);
    test_run(path, "mkdir keep && echo x > keep/me && ln -s ../keep a/b/link && echo y > a/b/f");
    assert_int_equal(io_make_dirs(dir, "a/b/f/g", 0700), -ENOTDIR);
    assert_int_equal(io_remove_tree(dir, "a"), 0);
    assert_int_equal(io_remove_tree(dir, "a"), 0);
    test_run(path, "test ! -e a && test -f keep/me");
    free(path);
}

/* Nor is the place where one listing stands that of another. */
static void a_listing_has_no_dots_and_ends(void **state)
{
    _cleanup_free_ char *path = test_output(*state, "pwd");
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(closedirp) DIR *none = NULL;

    test_run(path, "echo x >.hidden");
    for (int i = 0; i < 2; i++) {
        _cleanup_(closedirp) DIR *dir = NULL;
        struct dirent *e = NULL;
        assert_int_equal(io_open_dir(fd, ".", &dir), 0);
        assert_int_equal(io_next_entry(dir, &e), 1);
        assert_string_equal(e->d_name, ".hidden");
        errno = EIO;
        assert_int_equal(io_next_entry(dir, &e), 0);
    }
    assert_int_equal(io_open_dir(fd, ".hidden", &none), -ENOTDIR);
    assert_int_equal(io_open_dir(fd, "none", &none), -ENOENT);
}

static void writes_take_all_bytes(void **state)
{
    char *big = calloc(1, 1 << 20), *path = test_output(*state, "pwd");
    _cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int fd = openat(dir, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct buf got = {0};

    assert_int_equal(io_write_full(fd, big, 1 << 20), 0);
    assert_int_equal(io_pwrite_full(fd, "end", 3, (1 << 20) - 3), 0);
    assert_int_equal(lseek(fd, -4, SEEK_END), (1 << 20) - 4);
    assert_int_equal(io_read_fd(fd, 4, &got), 0);
    assert_memory_equal(got.data, "\0end", 4);
    assert_int_equal(io_write_full(dir, "x", 1), -EBADF);
    buf_done(&got);
    free(big);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_replaced_as_a_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(directories_are_made_and_trees_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_listing_has_no_dots_and_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_take_all_bytes, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a killed program has left among the objects goes; what somebody is writing stays. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "repo/litter.h"

#define OBJECTS ".git/objects/"

static bool is_there(struct fixture *f, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/" OBJECTS "%s", f->path, name);
    struct stat st;

    return lstat(path, &st) == 0;
}

static void test_what_nobody_has_open_goes(void **state)
{
    struct fixture *f = *state;

    test_write_file(f->path, OBJECTS "tmp_object_git2_dead", "part");
    test_write_file(f->path, OBJECTS "pack/tmp_pack_dead", "part");
    test_write_file(f->path, OBJECTS "pack/pack-1.keep", "");
    test_write_file(f->path, OBJECTS "tmp_object_git2_open", "part");
    _cleanup_free_ char *path = xasprintf("%s/" OBJECTS "tmp_object_git2_open", f->path);
    pid_t writer = fork();
    if (writer == 0) {
        open(path, O_WRONLY);
        test_write_file(f->path, "ready", "");
        pause();
    }
    test_run(f->path, "until test -e ready; do sleep 0.01; done");
    litter_clear(f->repo);
    assert_false(is_there(f, "tmp_object_git2_dead"));
    assert_false(is_there(f, "pack/tmp_pack_dead"));
    assert_true(is_there(f, "pack/pack-1.keep"));
    assert_true(is_there(f, "tmp_object_git2_open"));
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    litter_clear(f->repo);
    assert_false(is_there(f, "tmp_object_git2_open"));
}

/* Between its last byte and its name, nobody has it open. */
static void test_what_has_just_been_written_stays(void **state)
{
    struct fixture *f = *state;

    test_write_file(f->path, OBJECTS "tmp_object_git2_dead", "part");
    test_write_file(f->path, OBJECTS "tmp_object_git2_fresh", "part");
    test_run(f->path, "touch -d '+1 minute' " OBJECTS "tmp_object_git2_fresh");
    litter_clear(f->repo);
    assert_false(is_there(f, "tmp_object_git2_dead"));
    assert_true(is_there(f, "tmp_object_git2_fresh"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_nobody_has_open_goes),
        TEST(test_what_has_just_been_written_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

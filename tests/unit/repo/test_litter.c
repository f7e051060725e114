/* What a killed program has left among the objects goes; what somebody is writing stays. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
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

/* As a loss of power leaves it: a name, and nothing or a part behind it. While it is there, Git
 * takes it for written. */
static void test_torn_objects_go(void **state)
{
    struct fixture *f = *state;

    test_run(f->path,
             "seq 1000 >long; for t in a b c; do echo $t | git hash-object -w --stdin; done;"
             "git hash-object -w long; git fsck;"
             "path() { git hash-object --stdin | sed 's,..,.git/objects/&/,'; }; chmod -R u+w .git;"
             ": >$(echo a | path); truncate -s -3 $(echo b | path); truncate -s 900 $(path <long);"
             "touch -d '-1 hour' $(echo b | path); ! git fsck");
    litter_clear_torn(f->repo, clock_real() - 600 * NS_PER_SEC);
    test_run(f->path, "! echo a | git hash-object --stdin | git cat-file --batch-check | grep blob;"
                      "git cat-file -e $(echo c | git hash-object --stdin);"
                      "test -e $(echo b | git hash-object --stdin | sed 's,..,.git/objects/&/,')");
    litter_clear_torn(f->repo, 0);
    test_run(f->path, "git fsck; git hash-object -w long; echo a | git hash-object -w --stdin;"
                      "git fsck; git cat-file blob $(git hash-object long) | cmp - long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_nobody_has_open_goes),
        TEST(test_what_has_just_been_written_stays),
        TEST(test_torn_objects_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

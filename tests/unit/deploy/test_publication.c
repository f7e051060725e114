#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "deploy/publication.h"

static bool never(void *arg)
{
    return false;
}

static bool after_three(void *arg)
{
    return ++*(int *)arg > 3;
}

struct out {
    struct publication p;
    int dirfd;
};

/* A publication of `paths` (NULL-terminated) at the newest revision, and the empty directory
 * dir/out. */
static struct out begin(struct fixture *f, const char *const *paths)
{
    struct out o = {.p = {.repo = f->repo, .paths = paths, .halt = never, .owner = geteuid()}};
    struct oid rev = add_revision(f, "x");

    while (paths[o.p.npaths])
        o.p.npaths++;
    o.p.root = tree_of(f, &rev);
    test_run(f->dir, "rm -rf out && mkdir out");
    _cleanup_free_ char *path = xasprintf("%s/out", f->dir);
    o.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(o.dirfd >= 0);
    return o;
}

static void end(struct out *o)
{
    publication_done(&o->p);
    close(o->dirfd);
}

static int compare(struct out *o)
{
    return publication_compare(&o->p, o->dirfd, NULL, NULL);
}

static void make_tree(struct fixture *f)
{
    test_run(f->work, "mkdir -p stores/1/sub stores/2 common/a other && "
                      "echo one >stores/1/app && echo x >stores/1/sub/run && "
                      "chmod +x stores/1/sub/run && ln -s ../../common stores/1/link && "
                      "printf '' >stores/1/empty && echo two >stores/2/app && "
                      "echo c >common/a/c && echo d >common/d && echo o >other/o && "
                      "head -c 200000 /dev/urandom >common/large");
}

static void test_what_is_taken_is_written_as_git_has_it(void **state)
{
    struct fixture *f = *state;
    make_tree(f);
    struct out o = begin(f, (const char *[]){"stores/1", "common", NULL});

    assert_int_equal(publication_write(&o.p, o.dirfd, NULL), 0);
    test_run(f->dir, "mkdir want && git -C work archive HEAD stores/1 common | tar x -C want && "
                     "diff -r --no-dereference want out && "
                     "(cd want && find . -printf '%%P %%y %%l\\n' | sort) >w && "
                     "(cd out && find . -printf '%%P %%y %%l\\n' | sort) >o && cmp w o && "
                     "test \"$(stat -c %%a out/stores/1/sub/run out/stores/1/app out/stores/1 | "
                     "xargs)\" = '755 644 755'");
    assert_int_equal(compare(&o), 1);
    end(&o);
}

static void test_the_root_is_everything(void **state)
{
    struct fixture *f = *state;
    make_tree(f);
    struct out o = begin(f, (const char *[]){".", "common", NULL});

    assert_int_equal(publication_write(&o.p, o.dirfd, NULL), 0);
    test_run(f->dir, "diff -r --no-dereference -x .git work out");
    assert_int_equal(compare(&o), 1);
    end(&o);
}

static void test_nested_absent_and_single_files_are_taken_once(void **state)
{
    struct fixture *f = *state;
    make_tree(f);
    struct out o = begin(f, (const char *[]){"stores", "stores/1/sub", "nothing/here", "common/d",
                                             "common/d/below", "stor", NULL});

    assert_int_equal(publication_write(&o.p, o.dirfd, NULL), 0);
    test_run(f->dir, "test \"$(cd out && echo * common/*)\" = 'common stores common/d'");
    assert_int_equal(compare(&o), 1);
    end(&o);
}

/* A path is a path, not the beginning of one; and nothing is below a file. */
static void test_only_whole_components_count(void **state)
{
    struct fixture *f = *state;
    make_tree(f);
    struct out o = begin(f, (const char *[]){"stor", "common/a", "common/d/below", NULL});

    assert_int_equal(publication_write(&o.p, o.dirfd, NULL), 0);
    test_run(f->dir, "test \"$(cd out && echo * common/*)\" = 'common common/a'");
    end(&o);
}

/* Every way of not being exactly right is found. */
static void test_any_difference_is_seen(void **state)
{
    static const char *const changes[] = {
        "echo evil >out/stores/1/app",
        "printf onf >out/stores/1/app",
        "printf 'one\\nmore' >out/stores/1/app",
        "truncate -s 131072 out/common/large",
        "printf x >>out/common/large",
        "printf xxxxxxxx | dd of=out/common/large bs=1 seek=150000 conv=notrunc status=none",
        "chmod +x out/stores/1/app",
        "chmod -x out/stores/1/sub/run",
        "chmod u+s out/stores/1/sub/run",
        "chmod 777 out/stores/1",
        "rm out/stores/1/empty",
        "printf on >out/stores/1/app",
        "rm out/stores/1/empty && mkfifo out/stores/1/empty",
        "touch out/stores/1/extra",
        "touch out/extra",
        "mkdir out/stores/1/sub/extra",
        "ln -sfn /etc out/stores/1/link",
        "rm out/stores/1/link && mkdir out/stores/1/link",
        "rm out/stores/1/app && mkfifo out/stores/1/app",
        "mv out/common out/c && ln -s c out/common",
        "cp out/stores/1/app app && rm out/stores/1/app && ln -s ../../../app out/stores/1/app",
    };
    struct fixture *f = *state;
    make_tree(f);

    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        struct out o = begin(f, (const char *[]){"stores/1", "common", NULL});
        assert_int_equal(publication_write(&o.p, o.dirfd, NULL), 0);
        assert_int_equal(compare(&o), 1);
        test_run(f->dir, "%s", changes[i]);
        if (compare(&o) != 0)
            fail_msg("not seen: %s", changes[i]);
        end(&o);
    }
}

/* P11: what the repository says does not lead out of the directory. */
static void test_links_are_written_and_never_followed(void **state)
{
    struct fixture *f = *state;
    test_run(f->work, "mkdir -p stores/1 && ln -s / stores/1/root && ln -s ../../.. stores/1/up");
    struct out o =
        begin(f, (const char *[]){"stores/1", "stores/1/root/etc", "stores/1/up/work", NULL});

    assert_int_equal(publication_write(&o.p, o.dirfd, NULL), 0);
    test_run(f->dir, "test \"$(readlink out/stores/1/root)\" = / && test \"$(ls out)\" = stores");
    end(&o);
}

static void test_a_submodule_is_an_empty_directory(void **state)
{
    struct fixture *f = *state;
    test_run(f->work, "mkdir -p stores/1 && git update-index --add --cacheinfo "
                      "160000,1111111111111111111111111111111111111111,stores/1/module && "
                      "mkdir stores/1/module && git commit -qm module");
    struct out o = begin(f, (const char *[]){"stores/1", NULL});

    assert_int_equal(publication_write(&o.p, o.dirfd, NULL), 0);
    test_run(f->dir, "rmdir out/stores/1/module && mkdir out/stores/1/module");
    assert_int_equal(compare(&o), 1);
    test_run(f->dir, "touch out/stores/1/module/x");
    assert_int_equal(compare(&o), 0);
    end(&o);
}

static void test_a_link_to_what_is_no_path_is_refused(void **state)
{
    struct fixture *f = *state;
    test_run(f->work, "mkdir -p stores/1 && b=$(printf 'a\\0b' | git hash-object -w --stdin) && "
                      "git update-index --add --cacheinfo 120000,$b,stores/1/link && "
                      "git commit -qm link && git rm -q --cached stores/1/link && "
                      "git reset -q --soft HEAD && git read-tree HEAD");
    struct oid rev;
    _cleanup_free_ char *hex = test_output(f->work, "git rev-parse HEAD");
    assert_int_equal(oid_parse(hex, &rev), 0);
    struct out o = begin(f, (const char *[]){"stores/1", NULL});
    o.p.root = tree_of(f, &rev);

    assert_int_equal(publication_write(&o.p, o.dirfd, NULL), -EINVAL);
    end(&o);
}

static void test_it_can_be_halted(void **state)
{
    struct fixture *f = *state;
    int asked = 0;
    make_tree(f);
    struct out o = begin(f, (const char *[]){".", NULL});

    o.p.halt = after_three;
    o.p.halt_arg = &asked;
    assert_int_equal(publication_write(&o.p, o.dirfd, NULL), -ECANCELED);
    end(&o);
}

static void test_too_deep_is_refused(void **state)
{
    struct fixture *f = *state;
    _cleanup_(buf_done) struct buf path = {0};

    for (int i = 0; i < PUBLICATION_DEPTH_MOST + 5; i++)
        buf_adds(&path, "d/");
    buf_adds(&path, "file");
    test_write_file(f->work, path.data, "x");
    struct out o = begin(f, (const char *[]){".", NULL});
    assert_int_equal(publication_write(&o.p, o.dirfd, NULL), -EINVAL);
    end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_taken_is_written_as_git_has_it),
        TEST(test_the_root_is_everything),
        TEST(test_nested_absent_and_single_files_are_taken_once),
        TEST(test_only_whole_components_count),
        TEST(test_any_difference_is_seen),
        TEST(test_links_are_written_and_never_followed),
        TEST(test_a_submodule_is_an_empty_directory),
        TEST(test_a_link_to_what_is_no_path_is_refused),
        TEST(test_it_can_be_halted),
        TEST(test_too_deep_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The overlay of one directory: what each object of the upper means, and what a crash inside the
 * operations that are not one step would leave. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "fixture.h"
#include "repo/revision.h"
#include "stage/overlay.h"

struct bench {
    struct fixture *f;
    struct overlay o;
    struct overlay_dir dir;
};

static int setup(void **state)
{
    struct bench *b = NEW(struct bench);
    struct revision_brief brief;
    struct oid id;

    b->f = fixture_new();
    _cleanup_free_ char *hex =
        fixture_push(b->f, "mkdir sub && echo s > sub/s && echo f > file && echo x > exec && "
                           "chmod 755 exec && ln -s file link");
    fixture_open(b->f);
    assert_int_equal(oid_parse(hex, &id), 0);
    assert_int_equal(revision_brief(b->f->repo, &id, &brief), 0);
    test_run(b->f->dir, "mkdir work upper");
    _cleanup_free_ char *work = xasprintf("%s/work", b->f->dir);
    _cleanup_free_ char *upper = xasprintf("%s/upper", b->f->dir);
    b->o.repo = b->f->repo;
    b->o.work = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    b->o.numbers.seed = 5;
    b->dir = (struct overlay_dir){
        .fd = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .base = brief.tree, .ino = 99};
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    numbers_done(&b->o.numbers);
    close(b->o.work);
    close(b->dir.fd);
    fixture_free(b->f);
    free(b);
    return 0;
}

static struct overlay_entry find(struct bench *b, const char *name)
{
    struct overlay_entry e;
    int r = overlay_find(&b->o, &b->dir, name, &e);

    if (r < 0)
        fail_msg("%s: %s", name, strerror(-r));
    return e;
}

static int absent(struct bench *b, const char *name)
{
    struct overlay_entry e;

    return overlay_find(&b->o, &b->dir, name, &e) == -ENOENT;
}

static char *list(struct bench *b)
{
    struct overlay_names names;
    struct buf out = {0};

    assert_int_equal(overlay_list(&b->o, &b->dir, &names), 0);
    for (size_t i = 0; i < names.n; i++) {
        struct overlay_entry e = find(b, names.v[i].name);
        assert_int_equal(names.v[i].type, e.type);
        assert_true(names.v[i].ino == e.ino);
        buf_addf(&out, "%s ", names.v[i].name);
    }
    overlay_names_done(&names);
    return buf_take(&out);
}

static void assert_list(struct bench *b, const char *want)
{
    _cleanup_free_ char *got = list(b);

    assert_string_equal(got, want);
}

static void what_the_base_shows(void **state)
{
    struct bench *b = *state;

    assert_list(b, "exec file link sub ");
    assert_int_equal(find(b, "file").mode, 0644);
    assert_int_equal(find(b, "exec").mode, 0755);
    assert_true(S_ISLNK(find(b, "link").type));
    assert_true(S_ISDIR(find(b, "sub").type) && !find(b, "sub").upper);
    b->dir.base = (struct oid){0};
    assert_list(b, "");
    assert_int_equal(overlay_is_empty(&b->o, &b->dir), 1);
}

static void whiteouts_of_both_kinds(void **state)
{
    struct bench *b = *state;

    assert_int_equal(mkfifoat(b->dir.fd, "file", 0600), 0);
    assert_true(absent(b, "file"));
    if (mknodat(b->dir.fd, "exec", S_IFCHR, 0) == 0) {
        assert_true(absent(b, "exec"));
        assert_list(b, "link sub ");
    } else {
        assert_list(b, "exec link sub ");
    }
    assert_int_equal(mkfifoat(b->dir.fd, "stray", 0600), 0);
    assert_true(absent(b, "stray"));
}

static void copying_up_changes_nothing_that_shows(void **state)
{
    struct bench *b = *state;
    static const char *const names[] = {"exec", "file", "link", "sub"};

    b->o.base_mtime = 123456789;
    for (int i = 0; i < 4; i++) {
        struct overlay_entry before = find(b, names[i]), e = before;
        struct stat st;
        assert_int_equal(overlay_copy_up(&b->o, &b->dir, names[i], false, &e), 0);
        struct overlay_entry after = find(b, names[i]);
        assert_true(after.upper && e.upper && after.type == before.type);
        assert_int_equal(after.mode, before.mode);
        if (i != 2)
            assert_true(after.ino == before.ino);
        assert_int_equal(fstatat(b->dir.fd, names[i], &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    }
    struct overlay_entry sub = find(b, "sub");
    assert_false(oid_is_zero(&sub.base)); /* merged with what it was */
    test_run(b->f->dir,
             "cd upper && grep -qx f file && test -x exec && test \"$(readlink link)\" = file"
             " && test -z \"$(ls -A sub)\" && test -z \"$(ls -A ../work)\"");
}

static void modes_that_we_need_stay_ours(void **state)
{
    struct bench *b = *state;
    struct overlay_entry e;
    struct stat st;
    int fd;

    assert_int_equal(overlay_make_file(&b->o, &b->dir, "secret", 0040, &e, &fd), 0);
    assert_int_equal(find(b, "secret").mode, 0040);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(overlay_set_mode(fd, S_IFREG, 0751), 0);
    assert_int_equal(find(b, "secret").mode, 0751);
    close(fd);
    assert_int_equal(overlay_make_dir(&b->o, &b->dir, "closed", 0, &e), 0);
    assert_int_equal(find(b, "closed").mode, 0);
}

static void made_in_one_step_or_in_work(void **state)
{
    struct bench *b = *state;
    struct overlay_entry e;
    mode_t mask = umask(077);
    int fd;

    for (int i = 0; i < 2;
         i++) { /* then over a whiteout, which a plain creation would not replace */
        assert_int_equal(overlay_make_file(&b->o, &b->dir, "new", 0664, &e, &fd), 0);
        assert_int_equal(write(fd, "x", 1), 1);
        close(fd);
        assert_int_equal(find(b, "new").mode, 0664);
        assert_int_equal(find(b, "new").ino, e.ino);
        test_run(b->f->dir,
                 "test -s upper/new && rm upper/new && mkfifo upper/new && test -z \"$(ls work)\"");
    }
    assert_true(absent(b, "new"));
    umask(mask);
}

static void removed_and_made_again(void **state)
{
    struct bench *b = *state;
    struct overlay_entry e = find(b, "sub");
    int fd;

    assert_int_equal(overlay_copy_up(&b->o, &b->dir, "sub", false, &e), 0);
    assert_int_equal(overlay_remove(&b->o, &b->dir, "sub", &e), 0);
    assert_true(absent(b, "sub"));
    assert_int_equal(overlay_make_dir(&b->o, &b->dir, "sub", 0755, &e), 0);
    e = find(b, "sub");
    assert_true(oid_is_zero(&e.base)); /* what was in it does not come back */
    e = find(b, "file");
    assert_int_equal(overlay_remove(&b->o, &b->dir, "file", &e), 0);
    assert_true(absent(b, "file"));
    assert_int_equal(overlay_make_file(&b->o, &b->dir, "file", 0644, &e, &fd), 0);
    close(fd);
    assert_true(find(b, "file").upper);
    e = find(b, "file");
    assert_int_equal(overlay_remove(&b->o, &b->dir, "file", &e), 0);
    assert_true(absent(b, "file"));
    assert_list(b, "exec link sub ");
    test_run(b->f->dir, "test -z \"$(ls -A work)\"");
}

static void moved_away_leaves_a_whiteout(void **state)
{
    struct bench *b = *state;
    static const char *const names[] = {"file", "sub"};
    static const char *const listed[] = {"exec link moved sub ", "exec file link moved "};

    for (int i = 0; i < 2; i++) {
        struct overlay_entry e = find(b, names[i]);
        assert_int_equal(overlay_copy_up(&b->o, &b->dir, names[i], false, &e), 0);
        assert_int_equal(overlay_rename(&b->o, &b->dir, names[i], &e, &b->dir, "moved"), 0);
        assert_true(absent(b, names[i]));
        assert_list(b, listed[i]); /* with the number that it had */
        /* Back again, over the whiteout. */
        assert_int_equal(overlay_rename(&b->o, &b->dir, "moved", &e, &b->dir, names[i]), 0);
        assert_true(absent(b, "moved"));
        assert_true(find(b, names[i]).upper);
        test_run(b->f->dir, "test ! -e upper/moved");
    }
    assert_list(b, "exec file link sub ");
}

static void probe(void **state)
{
    struct bench *b = *state;
    _cleanup_(diag_done) struct diag why = {0};

    assert_int_equal(overlay_probe(b->dir.fd, &why), 0);
    assert_list(b, "exec file link sub ");
    _cleanup_close_ int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(overlay_probe(proc, &why) < 0);
    assert_non_null(why.text);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_the_base_shows),
        T(whiteouts_of_both_kinds),
        T(copying_up_changes_nothing_that_shows),
        T(modes_that_we_need_stay_ours),
        T(made_in_one_step_or_in_work),
        T(removed_and_made_again),
        T(moved_away_leaves_a_whiteout),
        T(probe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

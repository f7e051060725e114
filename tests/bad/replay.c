#include "replay.h"

#include "testlib.h"

#include <dirent.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* The findings as lines, with the names of files instead of their paths. */
static char *lines_of(struct findings *f)
{
    struct buf out = {0};

    vec_foreach (x, f) {
        char *slash = strrchr(x->path, '/');
        if (slash)
            memmove(x->path, slash + 1, strlen(slash));
    }
    findings_render(f, &out);
    return buf_take(&out);
}

/* Whether the file gives what it should. */
static bool replay(const char *dir, const char *name,
                   void (*judge)(const char *path, const char *text, struct findings *ret,
                                 void *arg),
                   void *arg)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, name),
                        *text = test_read_file(dir, name, NULL);
    _cleanup_free_ char *expect = xasprintf("%.*s.expect", (int)strlen(name) - 5, name);
    _cleanup_free_ char *expected = test_read_file(dir, expect, NULL);
    _cleanup_(findings_done) struct findings f = {0};

    judge(path, text, &f, arg);
    _cleanup_free_ char *found = lines_of(&f);
    if (*found && !strcmp(found, expected))
        return true;
    fprintf(stderr, "%s: expected\n%s--- found\n%s---\n", name, expected, found);
    return false;
}

void bad_replay(const char *dir,
                void (*judge)(const char *path, const char *text, struct findings *ret, void *arg),
                void *arg)
{
    _cleanup_(closedirp) DIR *d = opendir(dir);
    int files = 0, wrong = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if (n <= 5 || strcmp(e->d_name + n - 5, ".yaml"))
            continue;
        files++;
        wrong += !replay(dir, e->d_name, judge, arg);
    }
    assert_true(files > 0);
    assert_int_equal(wrong, 0);
}

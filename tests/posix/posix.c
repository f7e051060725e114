/* posix [--make | --given] DIRECTORY SCRIPT…: runs scripts of system calls (script.h).
 *
 *   --make    only makes what the cases are given, each case's in DIRECTORY/GROUP/CASE
 *   --given   runs the cases on what is there already
 *   neither   makes it, then runs
 *
 * GROUP is the script's name. Prints a line for each call. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "script.h"

enum mode { MAKE_AND_RUN, MAKE, RUN };

struct run {
    const char *directory;
    enum mode mode;
    struct script script;
};

static void fail(const char *what)
{
    fprintf(stderr, "posix: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void end_case(struct run *r)
{
    struct script *s = &r->script;

    if (!s->name)
        return;
    script_clear(s);
    close(s->home);
    free((char *)s->name);
    free(s->directory);
    s->name = s->directory = NULL;
}

static void begin_case(struct run *r, const char *name)
{
    struct script *s = &r->script;

    end_case(r);
    s->name = xstrdup(name);
    s->directory = xasprintf("%s/%s/%s", r->directory, s->group, name);
    if (mkdir(s->directory, 0755) < 0 && (errno != EEXIST || r->mode == MAKE_AND_RUN))
        fail(s->directory);
    s->home = open(s->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->home < 0 || fchdir(s->home) < 0)
        fail(s->directory);
}

static void do_line(struct run *r, char *line)
{
    line[strcspn(line, "\n")] = 0;
    line += strspn(line, " \t");
    if (!*line || *line == '#')
        return;
    if (!strncmp(line, "case ", 5))
        begin_case(r, line + 5);
    else if (*line == '+')
        script_given(&r->script, line, r->mode == RUN);
    else if (r->mode != MAKE)
        script_call(&r->script, line);
}

/* GROUP of `…/GROUP.cases`. */
static char *group_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

    return xstrndup(base, strcspn(base, "."));
}

static void run_script(struct run *r, const char *path)
{
    _cleanup_free_ char *group = group_of(path), *line = NULL;
    _cleanup_free_ char *directory = xasprintf("%s/%s", r->directory, group);
    size_t size = 0;
    FILE *f = fopen(path, "re");

    if (!f)
        fail(path);
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        fail(directory);
    r->script.group = group;
    while (getline(&line, &size, f) >= 0)
        do_line(r, line);
    end_case(r);
    fclose(f);
}

int main(int argc, char **argv)
{
    struct run r = {.script = {.home = -1}};
    int i = 1;

    if (argc > 1 && !strcmp(argv[1], "--make"))
        r.mode = MAKE;
    if (argc > 1 && !strcmp(argv[1], "--given"))
        r.mode = RUN;
    i += r.mode != MAKE_AND_RUN;
    if (argc < i + 2) {
        fprintf(stderr, "usage: posix [--make | --given] DIRECTORY SCRIPT...\n");
        return 2;
    }
    r.directory = argv[i];
    for (int k = 0; k < SLOTS; k++)
        r.script.fds[k] = -1;
    umask(022);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    for (i++; i < argc; i++)
        run_script(&r, argv[i]);
    return 0;
}

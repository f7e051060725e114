/* usage: staging_fsx MOUNTED TWIN SEED OPERATIONS EVENTS [--tell]
 *
 * EVENTS: so many operations lie between two events, on average. What has to be done beside the
 * operations is asked of the runner, a word a line on standard output, answered by a line on
 * standard input: `commit`, `rebase`, `move` (the mainline), `forget` (what the kernel knows),
 * `kill` (of the daemon, while nothing is open), `time` (answered "stop" when there is no more). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fsx.h"

static struct fsx *running; /* for the handler of SIGBUS */

uint64_t below(struct fsx *f, uint64_t n)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return n ? f->random % n : 0;
}

bool chance(struct fsx *f, int percent)
{
    return below(f, 100) < (uint64_t)percent;
}

void say(struct fsx *f, const char *fmt, ...)
{
    char **line = &f->trace[f->said++ % TRACE];
    _cleanup_(buf_done) struct buf text = {0}, shown = {0};
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    buf_add_visible(&shown, buf_str(&text));
    free(*line);
    *line = xasprintf("%ld: %s", f->n, buf_str(&shown));
    if (f->tell)
        fprintf(stderr, "%s\n", *line);
}

void differ(struct fsx *f, const char *fmt, ...)
{
    va_list ap;

    for (size_t i = 0; i < TRACE; i++)
        if (f->trace[(f->said + i) % TRACE])
            fprintf(stderr, "%s\n", f->trace[(f->said + i) % TRACE]);
    va_start(ap, fmt);
    fprintf(stderr, "operation %ld: ", f->n);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    exit(1);
}

bool agreed(struct fsx *f, const struct answer *a)
{
    if (a->v[MOUNTED] != a->v[TWIN])
        differ(f, "answer %ld (%s), not %ld (%s)", a->v[MOUNTED],
               a->v[MOUNTED] < 0 ? strerror(-a->v[MOUNTED]) : "success", a->v[TWIN],
               a->v[TWIN] < 0 ? strerror(-a->v[TWIN]) : "success");
    return a->v[TWIN] >= 0;
}

void remember(struct fsx *f, const char *path)
{
    char **slot = &f->known[below(f, KNOWN)];

    free(*slot);
    *slot = xstrdup(path);
}

void close_all(struct fsx *f)
{
    for (int i = 0; i < HANDLES; i++)
        if (f->files[i].fd[TWIN] >= 0)
            close_file(f, &f->files[i]);
    for (int i = 0; i < DIRS; i++)
        for (int s = 0; s < SIDES; s++) {
            if (f->dirs[i][s] >= 0)
                close(f->dirs[i][s]);
            f->dirs[i][s] = -1;
        }
    close(f->root[MOUNTED]);
    close(f->root[TWIN]);
}

static void open_roots(struct fsx *f, char **paths)
{
    for (int s = 0; s < SIDES; s++) {
        f->root[s] = open(paths[s], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (f->root[s] < 0)
            differ(f, "%s: %s", paths[s], strerror(errno));
    }
}

/* Asks the runner; true if it answers "ok". */
static bool ask(struct fsx *f, const char *what)
{
    char line[64];

    say(f, "%s", what);
    printf("%s %ld\n", what, f->n);
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        exit(1); /* it has said why */
    return !strcmp(line, "ok\n");
}

/* The moments at which the runner does something. */
static void event(struct fsx *f, const char *what, char **paths)
{
    bool kill = !strcmp(what, "kill");

    for (int i = 0; i < HANDLES; i++)
        write_back(&f->files[i]);
    if (kill)
        close_all(f);
    else
        same_everything(f, true);
    ask(f, what);
    if (kill)
        open_roots(f, paths);
    f->n++;
    same_everything(f, strcmp(what, "commit") && strcmp(what, "rebase"));
}

static void run_one(struct fsx *f)
{
    const struct operation *const tables[] = {file_operations, name_operations};
    int total = 0;

    for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
        for (const struct operation *o = tables[t]; o->name; o++)
            total += o->weight;
    int at = below(f, total);
    for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
        for (const struct operation *o = tables[t]; o->name; o++) {
            at -= o->weight;
            if (at < 0) {
                o->run(f);
                return;
            }
        }
}

static void run(struct fsx *f, long operations, long between, char **paths)
{
    static const char *const events[] = {"commit", "rebase", "forget", "move", "commit", "kill"};

    same_everything(f, false);
    for (f->n = 1; f->n < operations; f->n++) {
        if (f->n % 200 == 0 && !ask(f, "time"))
            break;
        if (below(f, between) == 0)
            event(f, events[below(f, ARRAY_SIZE(events))], paths);
        else if (below(f, 1500) == 0)
            same_everything(f, true);
        else
            run_one(f);
    }
    event(f, "commit", paths);
    printf("done %ld\n", f->n);
    close_all(f);
}

/* A page of a map could not be read. */
static void on_bus_error(int signal)
{
    differ(running, "SIGBUS");
}

int main(int argc, char **argv)
{
    static struct fsx f;

    if (argc < 6) {
        fputs("usage: staging_fsx MOUNTED TWIN SEED OPERATIONS EVENTS [--tell]\n", stderr);
        return 2;
    }
    running = &f;
    signal(SIGBUS, on_bus_error);
    umask(022);
    f.random = strtoull(argv[3], NULL, 10) * 2654435761 + 88172645463325252;
    f.tell = argc > 6;
    for (int i = 0; i < HANDLES; i++)
        f.files[i].fd[MOUNTED] = f.files[i].fd[TWIN] = -1;
    memset(f.dirs, 0xff, sizeof(f.dirs));
    for (int s = 0; s < SIDES; s++)
        f.data[s] = xmalloc(IO_MOST + 1);
    open_roots(&f, argv + 1);
    run(&f, strtol(argv[4], NULL, 10), strtol(argv[5], NULL, 10), argv + 1);
    return 0;
}

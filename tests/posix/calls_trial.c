/* Trials: what takes many calls, or several processes at once, in one line of a script. Each says
 * what was wrong, or nothing but its totals. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "script.h"

#define RECORD  64
#define WRITERS 4

/* Appending */

static void append_records(const char *path, int writer, long n)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    char record[RECORD + 1];

    for (long i = 0; i < n; i++) {
        int len = snprintf(record, sizeof(record), "%d:%ld:", writer, i);
        memset(record + len, 'a' + writer, RECORD - len);
        record[RECORD - 1] = '\n';
        if (write(fd, record, RECORD) != RECORD)
            _exit(1);
    }
}

/* Every record once, whole, and each writer's in order. */
static bool records_are_whole(const char *data, size_t len, long n)
{
    long next[WRITERS] = {0};

    if (len != (size_t)n * WRITERS * RECORD)
        return false;
    for (const char *p = data; p < data + len; p += RECORD) {
        int writer = 0;
        long i = -1;
        if (sscanf(p, "%d:%ld:", &writer, &i) != 2 || writer < 0 || writer >= WRITERS ||
            i != next[writer]++ || p[RECORD - 1] != '\n' || p[RECORD - 2] != 'a' + writer)
            return false;
    }
    return true;
}

/* appenders PATH N: four processes append N records each */
static void trial_appenders(struct script *s)
{
    long n = number(s->word[2]);
    size_t most = (n + 1) * WRITERS * RECORD;
    _cleanup_free_ char *data = xmalloc(most);
    pid_t pids[WRITERS];
    int bad = 0;

    for (int w = 0; w < WRITERS; w++) {
        pids[w] = fork();
        if (pids[w] == 0) {
            append_records(s->word[1], w, n);
            _exit(0);
        }
    }
    for (int w = 0; w < WRITERS; w++) {
        int status = 1;
        waitpid(pids[w], &status, 0);
        bad += status != 0;
    }
    _cleanup_close_ int fd = open(s->word[1], O_RDONLY | O_CLOEXEC);
    ssize_t len = pread(fd, data, most, 0);
    say("%d failed, %s", bad, records_are_whole(data, len < 0 ? 0 : len, n) ? "whole" : "torn");
}

/* Depth */

/* deep N NAME: N directories below each other, and back, removed again */
static void trial_deep(struct script *s)
{
    long n = number(s->word[1]), made = 0, removed = 0;
    const char *name = s->word[2];
    int err = 0;

    while (made < n && !err) {
        if (mkdir(name, 0777) < 0 || chdir(name) < 0)
            err = errno;
        else
            made++;
    }
    _cleanup_close_ int fd = open("leaf", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    bool leaf = fd >= 0 && write(fd, "x", 1) == 1 && unlink("leaf") == 0;
    for (; removed < made && !chdir("..") && !rmdir(name); removed++)
        ;
    say("made %ld, %s, leaf %s, removed %ld", made, err ? strerrorname_np(err) : "no error",
        leaf ? "yes" : "no", removed);
    if (fchdir(s->home) < 0)
        say("lost");
}

/* Width */

/* Counts, in one reading of the directory, the entries eNNN with NNN < n; -1 if one comes twice. */
static long count_entries(DIR *d, long n, char *seen)
{
    struct dirent *e;
    long found = 0;

    memset(seen, 0, n);
    while ((e = readdir(d))) {
        long i = e->d_name[0] == 'e' ? strtol(e->d_name + 1, NULL, 10) : -1;
        if (i < 0 || i >= n)
            continue;
        if (seen[i]++)
            return -1;
        found++;
    }
    return found;
}

static long make_entries(int dir, long n)
{
    char name[24];
    long made = 0;

    for (; made < n; made++) {
        snprintf(name, sizeof(name), "e%ld", made);
        int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0)
            break;
        close(fd);
    }
    return made;
}

static long stat_sample(int dir, long n)
{
    char name[24];
    struct stat st;
    long bad = 0;

    for (long i = 0; i < n; i += n / 100 + 1) {
        snprintf(name, sizeof(name), "e%ld", i);
        bad += fstatat(dir, name, &st, 0) < 0 || !S_ISREG(st.st_mode) || st.st_size;
    }
    return bad;
}

static long remove_entries(int dir, long n)
{
    char name[24];
    long removed = 0;

    for (; removed < n; removed++) {
        snprintf(name, sizeof(name), "e%ld", removed);
        if (unlinkat(dir, name, 0) < 0)
            break;
    }
    return removed;
}

static long wanted(const char *word)
{
    const char *many = getenv("POSIX_MANY");

    return strcmp(word, "many") ? number(word) : many ? number(many) : 1000;
}

/* wide DIRECTORY N|many: made, listed, looked at, removed. `many` is $POSIX_MANY, else 2000; only
 * differences from it are said. */
static void trial_wide(struct script *s)
{
    long n = wanted(s->word[2]);
    _cleanup_free_ char *seen = xcalloc(1, n);
    _cleanup_close_ int dir = open(s->word[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long made = make_entries(dir, n);
    DIR *d = opendir(s->word[1]);
    long found = count_entries(d, n, seen);

    closedir(d);
    say("%ld not made, %ld not listed, ", n - made, n - found);
    say("%ld not as made, ", stat_sample(dir, n));
    say("%ld not removed", n - remove_entries(dir, n));
}

/* Listing while others change */

struct changer {
    int dir;
    _Atomic bool stop;
};

static void *keep_changing(void *arg)
{
    struct changer *c = arg;
    char name[24];

    for (long i = 0; !c->stop; i++) {
        snprintf(name, sizeof(name), "x%ld", i % 50);
        close(openat(c->dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
        renameat(c->dir, name, c->dir, "y");
        unlinkat(c->dir, i % 2 ? "y" : name, 0);
    }
    return NULL;
}

/* scan DIRECTORY N ROUNDS: N entries that stay are in every listing once, whatever comes and goes
 */
static void trial_scan(struct script *s)
{
    long n = number(s->word[2]), rounds = number(s->word[3]), bad = 0;
    _cleanup_free_ char *seen = xcalloc(1, n);
    _cleanup_close_ int dir = open(s->word[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct changer changer = {.dir = dir};
    pthread_t thread;

    make_entries(dir, n);
    if (pthread_create(&thread, NULL, keep_changing, &changer))
        abort();
    for (long i = 0; i < rounds; i++) {
        DIR *d = opendir(s->word[1]);
        bad += count_entries(d, n, seen) != n;
        rewinddir(d);
        bad += count_entries(d, n, seen) != n;
        closedir(d);
    }
    changer.stop = true;
    pthread_join(thread, NULL);
    say("%ld listings wrong", bad);
}

/* telldir DIRECTORY N: from every place, seekdir() goes on as reading did the first time */
static void trial_telldir(struct script *s)
{
    long n = number(s->word[2]), places = 0, bad = 0;
    _cleanup_close_ int dir = open(s->word[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_free_ char **names = xcalloc(n + 2, sizeof(char *));
    _cleanup_free_ long *at = xcalloc(n + 3, sizeof(long));

    make_entries(dir, n);
    DIR *d = opendir(s->word[1]);
    struct dirent *e;
    for (at[0] = telldir(d); places < n + 2 && (e = readdir(d)); at[++places] = telldir(d))
        names[places] = xstrdup(e->d_name);
    for (long i = places; i-- > 0;) {
        seekdir(d, at[i]);
        e = readdir(d);
        bad += !e || strcmp(e->d_name, names[i]);
    }
    closedir(d);
    for (long i = 0; i < places; i++)
        free(names[i]);
    say("%ld places, %ld wrong", places, bad);
}

/* halfway DIRECTORY N: entries removed while the directory is being read (`rm -r`): all go */
static void trial_halfway(struct script *s)
{
    long n = number(s->word[2]), removed = 0;
    _cleanup_close_ int dir = open(s->word[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    make_entries(dir, n);
    DIR *d = opendir(s->word[1]);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] == 'e')
            removed += unlinkat(dir, e->d_name, 0) == 0;
    closedir(d);
    say("%ld removed, ", removed);
    say_done(rmdir(s->word[1]));
}

/* Mappings of two processes */

/* shared PATH: what a child writes through its own mapping is in ours, and in read(2) */
static void trial_shared(struct script *s)
{
    _cleanup_close_ int fd = open(s->word[1], O_RDWR | O_CLOEXEC);
    char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), byte = 0;
    int status = 1;
    pid_t pid = fork();

    if (pid == 0) {
        _cleanup_close_ int own = open(s->word[1], O_RDWR | O_CLOEXEC);
        char *other = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
        other[100] = 'Q';
        _exit(0);
    }
    waitpid(pid, &status, 0);
    ssize_t n = pread(fd, &byte, 1, 100);
    say("status %d, mapped %c, read %zd %c", status, at[100], n, byte);
    munmap(at, 4096);
}

/* exclusive NAME ROUNDS: of four processes that make NAME at once with O_EXCL, one does */
static void trial_exclusive(struct script *s)
{
    long rounds = number(s->word[2]), bad = 0;

    for (long i = 0; i < rounds; i++) {
        pid_t pids[WRITERS];
        int won = 0;
        for (int w = 0; w < WRITERS; w++) {
            pids[w] = fork();
            if (pids[w] == 0)
                _exit(open(s->word[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) < 0);
        }
        for (int w = 0; w < WRITERS; w++) {
            int status = 1;
            waitpid(pids[w], &status, 0);
            won += status == 0;
        }
        bad += won != 1 || unlink(s->word[1]) < 0;
    }
    say("%ld wrong", bad);
}

const struct call trial_calls[] = {
    {"appenders", 2, trial_appenders},
    {"deep", 2, trial_deep},
    {"wide", 2, trial_wide},
    {"scan", 3, trial_scan},
    {"telldir", 2, trial_telldir},
    {"halfway", 2, trial_halfway},
    {"shared", 1, trial_shared},
    {"exclusive", 2, trial_exclusive},
    {NULL},
};

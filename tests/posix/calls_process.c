/* Calls between processes: locks, execution, notification. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "script.h"

/* flock SLOT sh|ex|un, never waiting */
static void call_flock(struct script *s)
{
    static const struct bit kinds[] = {{"sh", LOCK_SH}, {"ex", LOCK_EX}, {"un", LOCK_UN}, {NULL}};

    say_done(flock(file(s, s->word[1]), bits(kinds, s->word[2]) | LOCK_NB));
}

static struct flock lock_of(struct script *s)
{
    const char *kind = s->word[2];

    return (struct flock){
        .l_type = *kind == 'r'   ? F_RDLCK
                  : *kind == 'w' ? F_WRLCK
                                 : F_UNLCK,
        .l_whence = SEEK_SET,
        .l_start = number(s->word[3]),
        .l_len = number(s->word[4]),
    };
}

/* lock SLOT r|w|u START LENGTH: of the process, never waiting */
static void call_lock(struct script *s)
{
    struct flock l = lock_of(s);

    say_done(fcntl(file(s, s->word[1]), F_SETLK, &l));
}

/* ofdlock SLOT r|w|u START LENGTH: of the open file */
static void call_ofdlock(struct script *s)
{
    struct flock l = lock_of(s);

    say_done(fcntl(file(s, s->word[1]), F_OFD_SETLK, &l));
}

/* locked SLOT r|w START LENGTH: what is in the way */
static void call_locked(struct script *s)
{
    struct flock l = lock_of(s);

    if (fcntl(file(s, s->word[1]), F_GETLK, &l) < 0)
        say_errno(errno);
    else if (l.l_type == F_UNLCK)
        say("free");
    else
        say("%s %lld %lld", l.l_type == F_RDLCK ? "r" : "w", (long long)l.l_start,
            (long long)l.l_len);
}

/* lease SLOT r|w|u */
static void call_lease(struct script *s)
{
    static const struct bit kinds[] = {{"r", F_RDLCK}, {"w", F_WRLCK}, {"u", F_UNLCK}, {NULL}};

    say_done(fcntl(file(s, s->word[1]), F_SETLEASE, bits(kinds, s->word[2])));
}

/* copy FROM TO: the bytes of a file of the host */
static void call_copy(struct script *s)
{
    char data[1 << 16];
    _cleanup_close_ int from = open(s->word[1], O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int to = open(s->word[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    ssize_t n = from < 0 || to < 0 ? -1 : 1;

    while (n > 0 && (n = read(from, data, sizeof(data))) > 0)
        if (write(to, data, n) != n)
            n = -1;
    say_done(n);
}

/* exec PATH [WORD]: its exit status, or why it does not start */
static void call_exec(struct script *s)
{
    char *argv[] = {s->word[1], s->word[2], NULL};
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        execve(argv[0], argv, (char *[]){"PATH=/bin:/usr/bin", NULL});
        _exit(200 + (errno == EACCES    ? 1
                     : errno == ETXTBSY ? 2
                     : errno == ENOENT  ? 3
                     : errno == ENOEXEC ? 4
                     : errno == ENOTDIR ? 5
                                        : 9));
    }
    waitpid(pid, &status, 0);
    static const char *const why[] = {"E?", "EACCES", "ETXTBSY", "ENOENT", "ENOEXEC", "ENOTDIR"};
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code > 200 && code < 206)
        say("%s", why[code - 200]);
    else
        say("exit %d", code);
}

/* sleeper PATH: starts it with `60` for an argument, until `wake` */
static pid_t sleeper;

static void call_sleeper(struct script *s)
{
    int p[2];
    char c;

    if (pipe2(p, O_CLOEXEC) < 0)
        abort();
    sleeper = fork();
    if (sleeper == 0) {
        execl(s->word[1], s->word[1], "60", (char *)NULL);
        _exit(1);
    }
    close(p[1]);
    /* It runs as soon as execve has closed the other end. */
    ssize_t n = read(p[0], &c, 1);
    close(p[0]);
    say_done(n);
}

static void call_wake(struct script *s)
{
    int status;

    kill(sleeper, SIGKILL);
    say_done(waitpid(sleeper, &status, 0));
}

/* Notification */

static const struct bit events[] = {
    {"create", IN_CREATE},
    {"delete", IN_DELETE},
    {"from", IN_MOVED_FROM},
    {"to", IN_MOVED_TO},
    {"modify", IN_MODIFY},
    {"attrib", IN_ATTRIB},
    {"closewrite", IN_CLOSE_WRITE},
    {"deleteself", IN_DELETE_SELF},
    {"moveself", IN_MOVE_SELF},
    {"ignored", IN_IGNORED},
    {"open", IN_OPEN},
    {NULL},
};

/* watch SLOT PATH EVENTS */
static void call_watch(struct script *s)
{
    int fd = file(s, s->word[1]);

    if (fd < 0) {
        fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        put_file(s, s->word[1], fd);
    }
    say_done(inotify_add_watch(fd, s->word[2], bits(events, s->word[3])));
}

static void say_event(const struct inotify_event *e)
{
    for (const struct bit *b = events; b->name; b++)
        if (e->mask & b->bit)
            say("%s ", b->name);
    if (e->len)
        say("%s ", e->name);
}

/* events SLOT: what has come */
static void call_events(struct script *s)
{
    char data[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n = read(file(s, s->word[1]), data, sizeof(data));

    if (n < 0) {
        say_errno(errno);
        return;
    }
    for (char *p = data; p < data + n;) {
        const struct inotify_event *e = (void *)p;
        say_event(e);
        p += sizeof(*e) + e->len;
    }
}

const struct call process_calls[] = {
    {"flock", 2, call_flock},   {"lock", 4, call_lock},       {"ofdlock", 4, call_ofdlock},
    {"locked", 4, call_locked}, {"lease", 2, call_lease},     {"copy", 2, call_copy},
    {"exec", 1, call_exec},     {"sleeper", 1, call_sleeper}, {"wake", 0, call_wake},
    {"watch", 3, call_watch},   {"events", 1, call_events},   {NULL},
};

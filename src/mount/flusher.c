#include "mount/flusher.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/helper.h"

#define PIECE 4096 /* what is read of the file: aligned and as long as O_DIRECT may want */

struct flusher {
    char *file;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t done_more;
    uint64_t begun, done; /* rounds; done: begun, or one less */
    int result;           /* of the last one */
    bool stopped;
    int sock; /* -1: there is no helper; used by the one who runs a round */
    pid_t helper;
};

/* In the helper. */

static int write_back(const char *file)
{
    static char piece[PIECE] __attribute__((aligned(PIECE)));
    int fd = open(file, O_RDONLY | O_DIRECT | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    ssize_t r = syncfs(fd) < 0 ? -1 : pread(fd, piece, PIECE, 0);
    int err = r < 0 ? -errno : r == 0 ? -EIO : 0;
    close(fd);
    return err;
}

_Noreturn static void help(int sock, const char *file)
{
    char c;

    helper_begin("onwardfs-flush", &sock, 1);
    while (read(HELPER_FD, &c, 1) == 1) {
        int32_t r = write_back(file);
        if (write(HELPER_FD, &r, sizeof(r)) < 0)
            break;
    }
    _exit(0);
}

static int start_helper(struct flusher *f)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    pid_t pid = fork();
    int err = -errno;
    if (pid == 0)
        help(pair[1], f->file);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return err;
    }
    pthread_mutex_lock(&f->lock);
    f->sock = pair[0];
    f->helper = pid;
    bool stopped = f->stopped;
    pthread_mutex_unlock(&f->lock);
    if (stopped)
        shutdown(f->sock, SHUT_RDWR);
    return 0;
}

static void end_helper(struct flusher *f)
{
    if (f->sock < 0)
        return;
    kill(f->helper, SIGKILL);
    while (waitpid(f->helper, NULL, 0) < 0 && errno == EINTR)
        ;
    pthread_mutex_lock(&f->lock);
    close(f->sock);
    f->sock = -1;
    pthread_mutex_unlock(&f->lock);
}

int flusher_new(const char *file, struct flusher **ret)
{
    struct flusher *f = NEW(struct flusher);

    f->file = xstrdup(file);
    f->sock = -1;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->done_more, NULL);
    int r = start_helper(f);
    if (r < 0) {
        flusher_free(f);
        return r;
    }
    *ret = f;
    return 0;
}

/* Asks the helper; -EPIPE: there is none. */
static int ask(struct flusher *f)
{
    int32_t r;
    ssize_t got;

    if (f->sock < 0 || send(f->sock, "f", 1, MSG_NOSIGNAL) != 1)
        return -EPIPE;
    do
        got = recv(f->sock, &r, sizeof(r), MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    return got == sizeof(r) ? r : -EPIPE;
}

/* With the lock held, which it gives up meanwhile. */
static void run_round(struct flusher *f)
{
    f->begun++;
    pthread_mutex_unlock(&f->lock);
    int r = ask(f);
    pthread_mutex_lock(&f->lock);
    if (r == -EPIPE && !f->stopped) {
        pthread_mutex_unlock(&f->lock);
        end_helper(f);
        r = start_helper(f);
        if (r == 0)
            r = ask(f);
        pthread_mutex_lock(&f->lock);
    }
    f->result = r;
    f->done = f->begun;
    pthread_cond_broadcast(&f->done_more);
}

int flusher_run(struct flusher *f)
{
    pthread_mutex_lock(&f->lock);
    uint64_t mine = f->begun + 1; /* one that runs may have begun too early */
    while (f->done < mine && !f->stopped) {
        if (f->done == f->begun)
            run_round(f);
        else
            pthread_cond_wait(&f->done_more, &f->lock);
    }
    int r = f->done < mine || f->stopped ? -ESHUTDOWN : f->result;
    pthread_mutex_unlock(&f->lock);
    return r;
}

void flusher_stop(struct flusher *f)
{
    pthread_mutex_lock(&f->lock);
    f->stopped = true;
    if (f->sock >= 0)
        shutdown(f->sock, SHUT_RDWR);
    pthread_cond_broadcast(&f->done_more);
    pthread_mutex_unlock(&f->lock);
}

void flusher_free(struct flusher *f)
{
    if (!f)
        return;
    end_helper(f);
    pthread_cond_destroy(&f->done_more);
    pthread_mutex_destroy(&f->lock);
    free(f->file);
    free(f);
}

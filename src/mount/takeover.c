#include "mount/takeover.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "mount/unmount.h"

/* Linux 6.9; the header here may be older. */
#define NOTIFY_RESEND   7
#define INIT_HAS_RESEND (UINT64_C(1) << 39)

#define TOLD_AT_ONCE 256

struct takeover {
    const struct succession *succession;
    int fd; /* -1: we are the first */
    struct once *once;
    struct legacy *legacy;
    _Atomic enum { ASKING, ANSWERING, ANSWERED } stage; /* of the first request, played again */
    bool differs;
    _Atomic bool met; /* the first process: the kernel has been answered */
};

/* What is in the park, in this order. */
enum { PARKED_CONNECTION, PARKED_ONCE, PARKED_LEGACY, PARKED_COUNT };

static int begin_anew(struct takeover *t, struct diag *reterr)
{
    int r = once_new(&t->once);

    if (r == 0)
        r = legacy_new(&t->legacy);
    return r < 0 ? diag_fail(reterr, r, "cannot get memory for a successor: %s", strerror(-r)) : 0;
}

static int take(struct takeover *t, const int fds[PARKED_COUNT], struct diag *reterr)
{
    t->fd = fds[PARKED_CONNECTION];
    int r = once_open(fds[PARKED_ONCE], &t->once);
    if (r < 0) {
        close(fds[PARKED_LEGACY]);
        return diag_fail(reterr, r, "cannot take the mount over: %s",
                         r == -EBADMSG ? "another version serves it; unmount it first"
                                       : strerror(-r));
    }
    return legacy_open(fds[PARKED_LEGACY], &t->legacy, reterr);
}

int takeover_new(const struct succession *s, struct takeover **ret, struct diag *reterr)
{
    struct takeover *t = NEW(struct takeover);
    const struct parcel *found = &s->found;
    int r;

    t->succession = s;
    t->fd = -1;
    if (!found->n)
        r = begin_anew(t, reterr);
    else if (found->n < PARKED_COUNT)
        r = diag_fail(reterr, -EBADMSG, "cannot take the mount over: something is missing");
    else
        r = take(t, found->fds + found->n - PARKED_COUNT, reterr);
    if (r < 0) {
        takeover_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void takeover_free(struct takeover *t)
{
    if (!t)
        return;
    once_free(t->once);
    legacy_free(t->legacy);
    free(t);
}

int takeover_fd(const struct takeover *t)
{
    return t->fd;
}

struct once *takeover_once(struct takeover *t)
{
    return t->once;
}

struct legacy *takeover_legacy(struct takeover *t)
{
    return t->legacy;
}

/* The first process */

static void leave(struct takeover *t, int fd)
{
    const struct once_hello *hello = once_hello(t->once);
    struct fuse_init_in init = {0};
    size_t head = sizeof(struct fuse_in_header);
    struct parcel parcel = t->succession->ours;
    const int fds[PARKED_COUNT] = {fd, once_fd(t->once), legacy_fd(t->legacy)};

    size_t len = hello->asked_len > head ? hello->asked_len - head : 0;
    memcpy(&init, hello->asked + head, len < sizeof(init) ? len : sizeof(init));
    uint64_t can = init.flags | (uint64_t)init.flags2 << 32;
    memcpy(parcel.fds + parcel.n, fds, sizeof(fds));
    parcel.n += PARKED_COUNT;
    park_tell(t->succession->park);
    int r = can & INIT_HAS_RESEND ? park_leave(t->succession->park, &parcel) : -EOPNOTSUPP;
    if (r < 0)
        log_warn("no-takeover", "reason=\"%s\" consequence=\"the mount ends with its process\"",
                 r == -EOPNOTSUPP ? "the kernel cannot send requests again (Linux 6.9 can)"
                                  : strerror(-r));
}

/* The answer as it was agreed on. */
static void answer_hello(const struct takeover *t, const struct fuse_in_header *head)
{
    const struct once_hello *hello = once_hello(t->once);
    char answer[sizeof(hello->answered)] __attribute__((aligned(8)));

    memcpy(answer, hello->answered, hello->answered_len);
    ((struct fuse_out_header *)answer)->unique = head->unique;
    if (write(t->fd, answer, hello->answered_len) < 0)
        log_error("not-answered", "request=INIT reason=\"%s\"", strerror(errno));
}

bool takeover_saw_read(struct takeover *t, const void *buf, ssize_t len)
{
    struct once_hello *hello = once_hello(t->once);
    const struct fuse_in_header *head = buf;

    if (t->met || len < (ssize_t)sizeof(*head) || head->opcode != FUSE_INIT)
        return false;
    if (t->fd >= 0) {
        answer_hello(t, head);
        return true;
    }
    if (len <= (ssize_t)sizeof(hello->asked)) {
        memcpy(hello->asked, buf, len);
        hello->asked_len = len;
    }
    return false;
}

/* Is this the answer to the first request? Notifications may come in between. */
static bool is_hello(const struct once_hello *hello, const struct iovec *iov)
{
    const struct fuse_in_header *asked = (const void *)hello->asked;
    const struct fuse_out_header *answer = iov->iov_base;

    return hello->asked_len >= sizeof(*asked) && iov->iov_len >= sizeof(*answer) &&
           answer->unique == asked->unique;
}

/* -EMSGSIZE: there is no room for it. */
static ssize_t flatten(const struct iovec *iov, int count, char *out, size_t room)
{
    size_t len = 0;

    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > room - len)
            return -EMSGSIZE;
        memcpy(out + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    return len;
}

void takeover_sees_write(struct takeover *t, int fd, const struct iovec *iov, int count)
{
    struct once_hello *hello = once_hello(t->once);

    if (t->met || t->fd >= 0 || !is_hello(hello, iov))
        return;
    t->met = true;
    ssize_t len = flatten(iov, count, hello->answered, sizeof(hello->answered));
    if (len < 0)
        return;
    hello->answered_len = len;
    leave(t, fd);
}

/* Those after it */

bool takeover_read(struct takeover *t, void *buf, size_t len, ssize_t *ret)
{
    const struct once_hello *hello = once_hello(t->once);

    if (t->fd < 0 || t->stage != ASKING || len < hello->asked_len)
        return false;
    t->stage = ANSWERING;
    memcpy(buf, hello->asked, hello->asked_len);
    *ret = hello->asked_len;
    return true;
}

bool takeover_write(struct takeover *t, const struct iovec *iov, int count, ssize_t *ret)
{
    const struct once_hello *hello = once_hello(t->once);
    char answer[sizeof(hello->answered)];

    if (t->fd < 0 || t->stage != ANSWERING || !is_hello(hello, iov))
        return false;
    t->stage = ANSWERED;
    ssize_t len = flatten(iov, count, answer, sizeof(answer));
    t->differs = len != hello->answered_len || memcmp(answer, hello->answered, len);
    *ret = len;
    return true;
}

static int send_again(struct takeover *t)
{
    const struct fuse_out_header resend = {.len = sizeof(resend), .error = NOTIFY_RESEND};

    /* -ENODEV: it has been unmounted meanwhile, which the loop finds out. */
    return write(t->fd, &resend, sizeof(resend)) < 0 && errno != ENODEV ? -errno : 0;
}

int takeover_begin(struct takeover *t, struct fuse_session *session, struct diag *reterr)
{
    struct fuse_buf first = {0};

    if (t->fd < 0)
        return 0;
    int r = fuse_session_receive_buf(session, &first);
    if (r > 0)
        fuse_session_process_buf(session, &first);
    free(first.mem);
    if (r == 0 && fuse_session_exited(session)) /* a signal has come; the loop ends at once */
        return 0;
    if (r <= 0 || t->stage != ANSWERED || t->differs)
        return diag_fail(reterr, -EPROTO,
                         "cannot take the mount over: this version agrees on other things with "
                         "the kernel; unmount it first");
    park_tell(t->succession->park);
    r = send_again(t);
    return r < 0 ? diag_fail(reterr, r, "cannot take the mount over: %s", strerror(-r)) : 0;
}

/* What is to be told, on its way to a notifier. */
struct telling {
    struct notifier *to;
    struct {
        VEC(struct node_notice);
    } notices;
};

static void flush(struct telling *x)
{
    notifier_queue(x->to, x->notices.v, x->notices.n);
    vec_foreach (n, &x->notices)
        free((char *)n->name);
    x->notices.n = 0;
}

static void add(struct telling *x, const struct node_notice *notice)
{
    *VEC_ADD(&x->notices) = *notice;
    if (x->notices.n == TOLD_AT_ONCE)
        flush(x);
}

struct tellings {
    struct telling nodes, names;
};

static void tell_of(uint64_t id, uint64_t dir, const char *name, void *arg)
{
    struct tellings *x = arg;

    add(&x->nodes, &(struct node_notice){.id = id, .content = true});
    add(&x->names, &(struct node_notice){.id = dir, .name = xstrdup(name), .stays = true});
}

void takeover_tell(struct takeover *t, struct front *f)
{
    struct tellings x = {.nodes = {.to = f->notifier}, .names = {.to = f->names}};

    if (t->fd < 0)
        return;
    add(&x.nodes, &(struct node_notice){.id = 1, .content = true});
    node_table_owed(f->table, tell_of, &x);
    flush(&x.nodes);
    flush(&x.names);
    free(x.nodes.notices.v);
    free(x.names.notices.v);
}

/* The end */

void takeover_renounce(struct takeover *t)
{
    t->met = true;
    park_clear(t->succession->park);
}

static bool is_connected(int fd)
{
    struct pollfd p = {.fd = fd};

    return poll(&p, 1, 0) == 0 || !(p.revents & POLLERR);
}

void takeover_unmount(struct takeover *t, const char *mountpoint)
{
    if (t->fd < 0 || !is_connected(t->fd))
        return;
    unmount_lazily(mountpoint);
}

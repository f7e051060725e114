#include "base/park.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

int park_open(struct park *ret)
{
    struct park p;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p.ends) < 0)
        return -errno;
    *ret = p;
    return 0;
}

void park_close(struct park *p)
{
    closep(&p->ends[0]);
    closep(&p->ends[1]);
}

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(PARK_MOST * sizeof(int))];
};

int park_leave(const struct park *p, const struct parcel *parcel)
{
    union control control = {0};
    size_t len = parcel->n * sizeof(int);
    struct iovec tag = {.iov_base = (void *)&parcel->tag, .iov_len = 1};
    struct msghdr m = {
        .msg_iov = &tag,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = CMSG_SPACE(len),
    };

    assert(parcel->n && parcel->n <= PARK_MOST);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){CMSG_LEN(len), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(c), parcel->fds, len);
    return sendmsg(p->ends[0], &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

bool park_is_full(const struct park *p)
{
    char c;

    return recv(p->ends[1], &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

int park_look(const struct park *p, struct parcel *ret)
{
    union control control = {0};
    struct parcel found = {0};
    struct iovec tag = {.iov_base = &found.tag, .iov_len = 1};
    struct msghdr m = {
        .msg_iov = &tag,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control),
    };

    if (recvmsg(p->ends[1], &m, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
        return errno == EAGAIN ? -ENOENT : -errno;
    const struct cmsghdr *head = CMSG_FIRSTHDR(&m);
    if (!head || head->cmsg_type != SCM_RIGHTS)
        return -EBADMSG; /* there was no room for the descriptors */
    found.n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(found.fds, CMSG_DATA(head), found.n * sizeof(int));
    *ret = found;
    return 0;
}

/* The other way: parcels go from the first end to the second. */
void park_tell(const struct park *p)
{
    /* If there is no room for it, there is another one. */
    if (send(p->ends[1], "t", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return;
}

bool park_was_told(const struct park *p)
{
    bool told = false;
    char c;

    while (recv(p->ends[0], &c, 1, MSG_DONTWAIT) == 1)
        told = true;
    return told;
}

void park_clear(const struct park *p)
{
    char c;

    while (recv(p->ends[1], &c, 1, MSG_DONTWAIT) == 1)
        ;
}

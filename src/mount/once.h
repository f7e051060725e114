/* Which requests have been done, for a successor to whom the kernel sends them again.
 *
 * When a process that serves a mount dies, the kernel knows which requests it had taken and not
 * answered. Its successor has them sent again (FUSE_NOTIFY_RESEND), each with its old `unique`, of
 * which the highest bit is set. Reading again, or writing the same bytes to the same place, does no
 * harm. What makes or takes away a name, and a command, must be done once. So it is noted here, in
 * memory that outlives the process, before it is begun and when it is done, before the answer is
 * written.
 *
 *   done         its answer is given again.
 *   not done     of a name: the kernel holds the directory until it has its answer, so nobody else
 *                has changed it: if it had been begun, and the name is there that was to be made,
 *                or is not there that was to be taken away, it has been done; else it is done now.
 *                A command: how far it came nobody knows, and of one that is not noted as begun it
 *                is not known for sure that it was not. It is not done here, but answers
 *                -ECONNABORTED, and its user looks and decides.
 *
 * Also what the kernel and the first process have agreed on when the mount began (INIT), to be told
 * to the successor, which must answer the same.
 *
 * Threads: any. The newest ONCE_KEPT requests are remembered: more than there can be without an
 * answer. */
#ifndef ONWARD_MOUNT_ONCE_H
#define ONWARD_MOUNT_ONCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ONCE_KEPT 8192

struct once;

int once_new(struct once **ret);
/* That of the process before us; takes `fd`. -EBADMSG: it is of another kind. */
int once_open(int fd, struct once **ret);
void once_free(struct once *o);
int once_fd(const struct once *o);

/* What is agreed: the kernel's words and ours. */
struct once_hello {
    uint32_t asked_len, answered_len;
    char asked[256] __attribute__((aligned(8))), answered[256];
};
struct once_hello *once_hello(struct once *o);

/* A request that is to be done once. */
struct once_turn {
    struct once *once; /* NULL: there is no successor, so all of this does nothing */
    size_t at;
    uint64_t unique;
    bool again; /* it was begun before, and perhaps done */
    bool done;  /* it was done, with this: */
    int result;
};

/* Begins it; `turn` says whether it has been before. `o` may be NULL. */
struct once_turn once_begin(struct once *o, uint64_t unique);
/* It is done, with that. */
void once_end(struct once_turn *turn, int result);
/* Has the kernel sent the request before? */
bool once_is_again(uint64_t unique);

#endif

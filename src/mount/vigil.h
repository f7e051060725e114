/* Whether a thread that waits for the next request goes to sleep for it at once, or first looks out
 * for it for a moment.
 *
 * One program that does one thing after the other (tar, cp, find in what is not known yet) has one
 * request under way at a time. Then each costs two wake-ups, of a thread of ours and of the
 * program: on an idle CPU, of a virtual machine above all, that is many times what the request
 * itself takes. So while requests come in a row, one at a time, the thread that has answered one
 * keeps its CPU and asks the kernel again and again whether there is another, for a fifth of a
 * millisecond at most. The others are called away meanwhile: the kernel would wake one of them. And
 * the CPU that the program has left is kept from halting (wakeful.h), until a thread goes to sleep.
 *
 * It ends by itself:
 *   - requests come at the same time: all threads sleep, as if there were no vigil. What the same
 *     thread asks next may come before its last answer is off our hands: that is a row;
 *   - nothing has come in that time: a row has to begin anew, so a slow program costs a small part
 *     of the time that it takes, and an idle mount nothing;
 *   - others wanted the CPU: not again for a while;
 *   - a request takes long: of those who were called away, one looks each millisecond whether any
 *     have been answered since, the others look more seldom, and if not, they wait for the next as
 *     usual;
 *   - there is only one CPU: never.
 *
 * Threads: those that take requests. Nothing is locked; a thread may be cancelled in here. */
#ifndef ONWARD_MOUNT_VIGIL_H
#define ONWARD_MOUNT_VIGIL_H

#include <stdbool.h>
#include <stdint.h>

#include "mount/wakeful.h"

#define VIGIL_ROW 32 /* so many requests, one at a time, are a row */

/* Who asks: a positive number for a thread that waits for the answer; else one of these. */
#define VIGIL_NOBODY  0    /* no answer is waited for */
#define VIGIL_ANYBODY (-1) /* it may have asked for more meanwhile, or is not known */

struct vigil {
    bool never;
    void (*call_away)(void *arg);
    void *arg;
    struct wakeful wakeful;
    _Atomic bool kept;         /* a thread looks out */
    _Atomic bool early;        /* the next request was there before anybody looked out */
    _Atomic int64_t who;       /* asked last */
    _Atomic unsigned row;      /* requests up to now, one at a time */
    _Atomic unsigned in_hand;  /* threads with a request */
    _Atomic unsigned away;     /* threads that were called away */
    _Atomic uint64_t answered; /* grows with each that is done */
    _Atomic int64_t respite;   /* nobody looks out before this time (mono) */
};

/* `cpus`: how many there are to run on; `device` is for wakeful_init(). call_away(arg) makes the
 * threads that sleep until a request comes call vigil_keep() once more. */
void vigil_init(struct vigil *v, int cpus, const char *device, void (*call_away)(void *arg),
                void *arg);
void vigil_done(struct vigil *v);

/* Before a thread sleeps until `fd` has a request for it. Returns when there is one, or when the
 * thread is to sleep: true if it may have to be called away from that. */
bool vigil_keep(struct vigil *v, int fd);
/* The thread has a request, of `who`; has done with it. */
void vigil_begin(struct vigil *v, int64_t who);
void vigil_end(struct vigil *v);
/* The thread ends, wherever it was cancelled. */
void vigil_leave(struct vigil *v);

#endif

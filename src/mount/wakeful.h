/* Keeps idle CPUs from halting, while a vigil (vigil.h) is kept.
 *
 * The program that waits for our answer has left its CPU idle, and an idle CPU halts: on a virtual
 * machine the host has to be asked to go on with it, which takes many times what a request takes.
 * Asked for a latency of nothing by /dev/cpu_dma_latency, Linux has its idle CPUs turn round
 * instead, and then waking a thread on one takes no more than a store to memory. Linux can do the
 * same by itself, for a moment before each halt (`haltpoll`), where somebody has switched that on.
 *
 * It is the idle CPUs of the whole machine, and what they turn round for the host might have given
 * to others: so only where the guest knows that halting is dear (haltpoll is its idle driver), with
 * few CPUs, and never longer than a row of requests lasts. The wish ends with the process, whatever
 * that dies of. Who may not open the device, as most users, does without.
 *
 * Threads: hold() is called by one at a time, release() by anyone at any time. A release beside a
 * hold may undo it; one that comes after it has always undone it. */
#ifndef ONWARD_MOUNT_WAKEFUL_H
#define ONWARD_MOUNT_WAKEFUL_H

#include <stdbool.h>

struct wakeful {
    int fd; /* < 0: it does nothing */
    _Atomic bool held;
};

/* What wakeful_init() is to open on this machine; NULL: nothing. */
const char *wakeful_device(void);

/* `device`: NULL for one that does nothing. */
void wakeful_init(struct wakeful *w, const char *device);
void wakeful_done(struct wakeful *w);
void wakeful_hold(struct wakeful *w);
void wakeful_release(struct wakeful *w);

#endif

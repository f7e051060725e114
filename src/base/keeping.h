/* The keeper's own side of keeper.h: what runs in that process. It may have been forked from one
 * that has threads, so it makes system calls only. */
#ifndef ONWARD_BASE_KEEPING_H
#define ONWARD_BASE_KEEPING_H

#include <stdint.h>

#define KEEPING_NAME "onward-commands"

/* An order is one byte through the socket, with these descriptors. */
enum { KEEPING_CTL, KEEPING_SAID, KEEPING_SPEC, KEEPING_IN, KEEPING_OUT, KEEPING_FDS };

/* The spec, a file: this, then strings, each with its NUL: path, cwd, arguments, environment. */
struct keeping_spec {
    uint32_t nargv, nenvp;
    int64_t kill_after;
    uint8_t privileges, alone;
};

/* Is the keeper. `lock`: an open file, or -1. */
_Noreturn void keeping_run(int sock, int lock);

#endif

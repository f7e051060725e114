/* A process that we fork to do something for us that threads of ours must not or cannot do. It
 * shares nothing with us any more, but may be a fork of a process that has threads: it makes system
 * calls only. It ends when the socket that it serves is closed. */
#ifndef ONWARD_BASE_HELPER_H
#define ONWARD_BASE_HELPER_H

#include <stddef.h>

/* Where the first descriptor is that a helper keeps. */
#define HELPER_FD 3

/* What a helper does first: it takes the name, is deaf to signals that are meant for us, lets go of
 * everything of ours (/dev/fuse, locks, the pipe of whoever reads our log, the working directory)
 * but `fds`, which are HELPER_FD, HELPER_FD + 1, … from now on. At most 2. */
void helper_begin(const char *name, const int *fds, size_t n);

/* The file of a program of ours that is not for people: beside the one that runs, as where it was
 * built, or else where it is installed. NULL: it is in neither place. Yours. */
char *helper_find(const char *name);

#endif

/* Scope-bound cleanup. `_cleanup_(f) T x` calls f(&x) when x leaves its scope; `TAKE(p)` moves a
 * pointer out of such a variable. Destructors accept NULL. */
#ifndef ONWARD_BASE_CLEANUP_H
#define ONWARD_BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* The value of `p`, which becomes NULL. */
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

/* The value of the descriptor `fd`, which becomes -1. */
#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

/* Defines `<free>p(T **)`, the form that _cleanup_ wants, from `<free>(T *)`. */
#define DEFINE_CLEANUP(T, free)                                                                    \
    static inline void free##p(T *p)                                                               \
    {                                                                                              \
        if (*p)                                                                                    \
            free(*p);                                                                              \
    }

/* Closes *fd unless negative, sets it to -1, keeps errno. */
void closep(int *fd);
void freep(void *p);
DEFINE_CLEANUP(FILE *, fclose)
DEFINE_CLEANUP(DIR *, closedir)

#define _cleanup_free_  _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of type T whose member `m` is at `p`. */
#define container_of(p, T, m) ((T *)((char *)(p) - __builtin_offsetof(T, m)))

#endif

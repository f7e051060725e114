/* Allocation. Small objects of our own: these never return NULL; when memory is gone the process
 * says so and aborts (on Linux that means a limit was set too low, and no caller could go on).
 * Sizes that come from outside (blobs, requests) are allocated with malloc() and answered with
 * -ENOMEM. */
#ifndef ONWARD_BASE_ALLOC_H
#define ONWARD_BASE_ALLOC_H

#include <stddef.h>

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
/* A copy of a string that may be absent: NULL for NULL. */
char *xstrdup_or_null(const char *s);
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
void *xmemdup(const void *p, size_t n) __attribute__((malloc, returns_nonnull));
/* A formatted string of its own. */
char *xasprintf(const char *fmt, ...)
    __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

#define NEW(T) ((T *)xcalloc(1, sizeof(T)))

/* A growing array: `struct { T *v; size_t n, cap; }`. VEC_ADD returns a pointer to the new element,
 * zeroed. The owner frees `v`. */
#define VEC(T)                                                                                     \
    struct {                                                                                       \
        T *v;                                                                                      \
        size_t n, cap;                                                                             \
    }
#define VEC_ADD(vec)                                                                               \
    ({                                                                                             \
        __typeof__(vec) vec_ = (vec);                                                              \
        if (vec_->n == vec_->cap) {                                                                \
            vec_->cap = vec_->cap ? vec_->cap * 2 : 8;                                             \
            vec_->v = xrealloc(vec_->v, vec_->cap, sizeof(*vec_->v));                              \
        }                                                                                          \
        memset(&vec_->v[vec_->n], 0, sizeof(*vec_->v));                                            \
        &vec_->v[vec_->n++];                                                                       \
    })
/* An empty one has no memory, and C allows no arithmetic with NULL. */
#define vec_end(vec)        ((vec)->n ? (vec)->v + (vec)->n : (vec)->v)
#define vec_foreach(p, vec) for (__typeof__(*(vec)->v) *p = (vec)->v; p < vec_end(vec); p++)

#endif

/* Who waits for whom, as numbers: a directed graph in which circles are looked for. Linear in sites
 * and dependencies, without recursion, since 100,000 sites may stand in one chain. */
#ifndef ONWARD_SITE_DEPENDS_H
#define ONWARD_SITE_DEPENDS_H

#include "base/alloc.h"

struct depends_node {
    VEC(size_t) on;   /* what it waits for */
    VEC(size_t) back; /* what waits for it */
    size_t waits;     /* how many of `on` are not settled */
    size_t seen;      /* which search came by; 0: none */
    int settled;
};

struct depends {
    struct depends_node *v;
    size_t n;
    size_t next, searches; /* where the next search begins; how many there were */
    int started;
};

void depends_init(struct depends *d, size_t n);
void depends_done(struct depends *d);
void depends_add(struct depends *d, size_t who, size_t on);
/* The next circle: its length, and its members, each waiting for the one that follows and the last
 * for the first; yours. 0: none is left. Every circle shares a member with one that is returned. */
size_t depends_circle(struct depends *d, size_t **ret);

#endif

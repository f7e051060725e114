/* Counters, gauges and histograms, declared in the one table of metric.c and shown as Prometheus
 * text in `.onward/metrics`. A metric with a label has a value for each label value; label values
 * are short strings of our own (an operation, a backend's name), never text from the repository.
 * What a metric of the kind "info" says is not kept here: who knows it writes it when it is asked
 * for, behind metric_render(). Thread-safe. */
#ifndef ONWARD_BASE_METRIC_H
#define ONWARD_BASE_METRIC_H

#include <stdint.h>

#include "base/buf.h"

enum metric {
    METRIC_FUSE_REQUESTS, /* label: op */
    METRIC_PREFETCHED_FILES,
    METRIC_HIDDEN_ENTRIES, /* tree entries that no filesystem may show */
    METRIC_OBJECT_ERRORS,  /* objects that could not be read */
    METRIC_PACK_ERRORS,    /* packs and indexes that are broken */
    METRIC_OBJECT_CACHE,   /* bytes, gauge */
    METRIC_NODES,          /* gauge */
    METRIC_COMMITS,        /* label: outcome */
    METRIC_ATTEMPTS,       /* labels: backend, outcome */
    METRIC_DRIFTS,         /* label: backend */
    METRIC_TO_DEPLOYED,    /* histogram */
    METRIC_SITES,          /* label: state; gauge */
    METRIC_ROLLOUTS,       /* label: phase of the open wave; gauge */
    METRIC_SITE_INFO,      /* info, of each site */
    METRIC_COUNT
};

/* Adds n to a metric; `label` is its label's value, NULL if the metric has none. */
void metric_add(enum metric m, const char *label, int64_t n);
/* The same for a metric with two labels. */
void metric_add2(enum metric m, const char *label, const char *label2, int64_t n);
/* The value itself, for counters that are bumped often: look it up once, then metric_bump(). Lives
 * for ever. */
int64_t *metric_counter(enum metric m, const char *label);
static inline void metric_bump(int64_t *counter, int64_t n)
{
    __atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}
void metric_set(enum metric m, const char *label, int64_t value);
/* Adds a duration in ns to a histogram. */
void metric_observe(enum metric m, int64_t ns);
/* All metrics but those of the kind "info" as Prometheus text. */
void metric_render(struct buf *out);
/* The head of one metric of that kind, and a line of it: 1, with labels, whose values may be any
 * text. */
void metric_render_head(enum metric m, struct buf *out);
struct metric_label {
    const char *name, *value;
};
void metric_render_info(enum metric m, const struct metric_label *labels, size_t n,
                        struct buf *out);

#endif

#include "base/metric.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/map.h"

static const struct {
    const char *name, *help, *label, *label2;
    bool gauge;
} table[METRIC_COUNT] = {
    [METRIC_FUSE_REQUESTS] = {"onward_fuse_requests_total", "Requests from the kernel", "op"},
    [METRIC_PREFETCHED_FILES] = {"onward_prefetched_files_total",
                                 "Files whose content the kernel got before it asked"},
    [METRIC_HIDDEN_ENTRIES] = {"onward_hidden_entries_total",
                               "Tree entries left out because no filesystem may show them"},
    [METRIC_OBJECT_ERRORS] = {"onward_object_errors_total", "Git objects that could not be read"},
    [METRIC_OBJECT_CACHE] = {"onward_object_cache_bytes", "Bytes of Git objects held in memory",
                             .gauge = true},
    [METRIC_NODES] = {"onward_nodes", "Files and directories known to the kernel", .gauge = true},
    [METRIC_COMMITS] = {"onward_commits_total", "Commits of workspaces", "outcome"},
    [METRIC_ATTEMPTS] = {"onward_attempts_total", "Deployment attempts that ended", "backend",
                         "outcome"},
    [METRIC_SITES] = {"onward_sites", "Sites by state", "state", .gauge = true},
};

struct series {
    char *labels; /* `{op="read"}` or "" */
    int64_t value;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct map series[METRIC_COUNT]; /* by label value(s) */

static struct series *series_get(enum metric m, const char *label, const char *label2)
{
    _cleanup_free_ char *key = xasprintf("%s\n%s", label ? label : "", label2 ? label2 : "");
    struct series *s = map_get(&series[m], key);

    if (s)
        return s;
    s = NEW(struct series);
    if (label2)
        s->labels =
            xasprintf("{%s=\"%s\",%s=\"%s\"}", table[m].label, label, table[m].label2, label2);
    else if (label)
        s->labels = xasprintf("{%s=\"%s\"}", table[m].label, label);
    else
        s->labels = xstrdup("");
    map_put(&series[m], key, s);
    return s;
}

void metric_add2(enum metric m, const char *label, const char *label2, int64_t n)
{
    pthread_mutex_lock(&lock);
    metric_bump(&series_get(m, label, label2)->value, n);
    pthread_mutex_unlock(&lock);
}

int64_t *metric_counter(enum metric m, const char *label)
{
    pthread_mutex_lock(&lock);
    int64_t *counter = &series_get(m, label, NULL)->value;
    pthread_mutex_unlock(&lock);
    return counter;
}

void metric_add(enum metric m, const char *label, int64_t n)
{
    metric_add2(m, label, NULL, n);
}

void metric_set(enum metric m, const char *label, int64_t value)
{
    pthread_mutex_lock(&lock);
    __atomic_store_n(&series_get(m, label, NULL)->value, value, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lock);
}

void metric_render(struct buf *out)
{
    pthread_mutex_lock(&lock);
    for (int m = 0; m < METRIC_COUNT; m++) {
        buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", table[m].name, table[m].help, table[m].name,
                 table[m].gauge ? "gauge" : "counter");
        if (!series[m].live && !table[m].label)
            buf_addf(out, "%s 0\n", table[m].name);
        map_foreach (it, &series[m]) {
            struct series *s = it->value;
            buf_addf(out, "%s%s %" PRId64 "\n", table[m].name, s->labels,
                     __atomic_load_n(&s->value, __ATOMIC_RELAXED));
        }
    }
    pthread_mutex_unlock(&lock);
}

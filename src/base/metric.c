#include "base/metric.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/map.h"

static const struct {
    const char *name, *help, *label, *label2;
    bool gauge, histogram, info;
} table[METRIC_COUNT] = {
    [METRIC_FUSE_REQUESTS] = {"onward_fuse_requests_total", "Requests from the kernel", "op"},
    [METRIC_PREFETCHED_FILES] = {"onward_prefetched_files_total",
                                 "Files whose content the kernel got before it asked"},
    [METRIC_HIDDEN_ENTRIES] = {"onward_hidden_entries_total",
                               "Tree entries left out because no filesystem may show them"},
    [METRIC_OBJECT_ERRORS] = {"onward_object_errors_total", "Git objects that could not be read"},
    [METRIC_PACK_ERRORS] = {"onward_pack_errors_total", "Packs and indexes that are broken"},
    [METRIC_OBJECT_CACHE] = {"onward_object_cache_bytes", "Bytes of Git objects held in memory",
                             .gauge = true},
    [METRIC_NODES] = {"onward_nodes", "Files and directories known to the kernel", .gauge = true},
    [METRIC_COMMITS] = {"onward_commits_total", "Commits of workspaces", "outcome"},
    [METRIC_ATTEMPTS] = {"onward_attempts_total", "Deployment attempts that ended", "backend",
                         "outcome"},
    [METRIC_DRIFTS] = {"onward_drifts_total", "Sites that were found changed", "backend"},
    [METRIC_TO_DEPLOYED] = {"onward_commit_to_deployed_seconds",
                            "From the mainline's move until a site has arrived", .histogram = true},
    [METRIC_SITES] = {"onward_sites", "Sites by state", "state", .gauge = true},
    [METRIC_ROLLOUTS] = {"onward_rollouts", "Rollouts under way by the phase of their open wave",
                         "phase", .gauge = true},
    [METRIC_SITE_INFO] = {"onward_site_info", "What each site runs, and what it should run",
                          .gauge = true, .info = true},
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

/* ---- histograms ---- */

static const int64_t bounds[] = {1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}; /* seconds */
#define BOUNDS ARRAY_SIZE(bounds)

static struct histogram {
    int64_t buckets[BOUNDS + 1]; /* not added up; the last has no bound */
    int64_t ns;
} histograms[METRIC_COUNT];

void metric_observe(enum metric m, int64_t ns)
{
    size_t k = 0;

    while (k < BOUNDS && ns > bounds[k] * NS_PER_SEC)
        k++;
    pthread_mutex_lock(&lock);
    histograms[m].buckets[k]++;
    histograms[m].ns += ns;
    pthread_mutex_unlock(&lock);
}

static void render_histogram(enum metric m, struct buf *out)
{
    const struct histogram *h = &histograms[m];
    const char *name = table[m].name;
    int64_t n = 0;

    for (size_t k = 0; k < BOUNDS; k++)
        buf_addf(out, "%s_bucket{le=\"%" PRId64 "\"} %" PRId64 "\n", name, bounds[k],
                 n += h->buckets[k]);
    n += h->buckets[BOUNDS];
    buf_addf(out, "%s_bucket{le=\"+Inf\"} %" PRId64 "\n%s_sum %.3f\n%s_count %" PRId64 "\n", name,
             n, name, (double)h->ns / NS_PER_SEC, name, n);
}

static void render_series(enum metric m, struct buf *out)
{
    if (!series[m].live && !table[m].label)
        buf_addf(out, "%s 0\n", table[m].name);
    map_foreach (it, &series[m]) {
        struct series *s = it->value;
        buf_addf(out, "%s%s %" PRId64 "\n", table[m].name, s->labels,
                 __atomic_load_n(&s->value, __ATOMIC_RELAXED));
    }
}

void metric_render_head(enum metric m, struct buf *out)
{
    const char *type = table[m].histogram ? "histogram" : table[m].gauge ? "gauge" : "counter";

    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", table[m].name, table[m].help, table[m].name,
             type);
}

static void add_label_value(const char *s, struct buf *out)
{
    for (size_t n; *s; s += n + 1) {
        n = strcspn(s, "\"\\\n");
        buf_add(out, s, n);
        if (!s[n])
            return;
        buf_addc(out, '\\');
        buf_addc(out, s[n] == '\n' ? 'n' : s[n]);
    }
}

void metric_render_info(enum metric m, const struct metric_label *labels, size_t n, struct buf *out)
{
    buf_adds(out, table[m].name);
    for (size_t i = 0; i < n; i++) {
        buf_addc(out, i ? ',' : '{');
        buf_adds(out, labels[i].name);
        buf_adds(out, "=\"");
        add_label_value(labels[i].value, out);
        buf_addc(out, '"');
    }
    buf_adds(out, "} 1\n");
}

void metric_render(struct buf *out)
{
    pthread_mutex_lock(&lock);
    for (int m = 0; m < METRIC_COUNT; m++) {
        if (table[m].info)
            continue;
        metric_render_head(m, out);
        if (table[m].histogram)
            render_histogram(m, out);
        else
            render_series(m, out);
    }
    pthread_mutex_unlock(&lock);
}

/* Appends to a ledger, reads it, verifies it, and prints how long that took: what ledger.py puts
 * into a table.
 *
 *     ledger_load fill REPOSITORY RECORDS SITES GROUP    appends, GROUP records a call
 *     ledger_load append REPOSITORY N SITES THREADS      N appends of one record by each thread
 *     ledger_load read REPOSITORY SITE ENTRIES           its newest entries
 *     ledger_load verify REPOSITORY
 *
 * Prints `key value` lines; times are milliseconds. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "ledger/ledger.h"

static struct repo *repo;
static struct ledger *ledger;

static void die(const struct diag *why, int r)
{
    fprintf(stderr, "ledger_load: %s\n", diag_text(why, r));
    exit(1);
}

static double ms(int64_t ns)
{
    return (double)ns / NS_PER_MS;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print_times(const char *what, int64_t *times, size_t n)
{
    qsort(times, n, sizeof(*times), by_value);
    printf("%s-p50 %.3f\n%s-p99 %.3f\n%s-max %.3f\n", what, ms(times[n / 2]), what,
           ms(times[n * 99 / 100]), what, ms(times[n - 1]));
}

static void put_number(uint64_t n, struct oid *ret)
{
    uint64_t mixed = n * UINT64_C(0x9e3779b97f4a7c15);

    *ret = (struct oid){0};
    for (size_t i = 0; i < OID_RAW; i++, mixed = mixed * 6364136223846793005 + 1442695040888963407)
        ret->id[i] = mixed >> 56;
}

/* What a deployment leaves: an attempt, and its end. */
static struct record make(uint64_t i, uint64_t sites)
{
    uint64_t round = i / sites;
    struct record r = {.site = xasprintf("store-%05llu", (unsigned long long)(i % sites)),
                       .generation = round / 2 + 1,
                       .kind = round % 2 ? RECORD_DEPLOYED : RECORD_ATTEMPT,
                       .attempt = 1,
                       .backend = xstrdup("files"),
                       .outcome = round % 2 ? xstrdup("done") : NULL,
                       .exit = round % 2 ? 0 : -1,
                       .by = xstrdup("onwardfs"),
                       .at = clock_real(),
                       .duration_ms = (int64_t)(i % 977)};
    r.source = xasprintf("stores/%s", r.site);
    put_number(round / 2 + 1, &r.to);
    put_number(round / 2, &r.from);
    put_number(i / 2 + 7, &r.inputs);
    return r;
}

static int64_t append_some(uint64_t first, uint64_t n, uint64_t sites)
{
    _cleanup_free_ struct record *records = xcalloc(n, sizeof(*records));
    _cleanup_(diag_done) struct diag why = {0};

    for (uint64_t i = 0; i < n; i++)
        records[i] = make(first + i, sites);
    int64_t begin = clock_mono();
    int r = ledger_append(ledger, records, n, &why);
    int64_t took = clock_mono() - begin;
    if (r < 0)
        die(&why, r);
    for (uint64_t i = 0; i < n; i++)
        record_done(&records[i]);
    return took;
}

static void fill(uint64_t records, uint64_t sites, uint64_t group)
{
    uint64_t n = (records + group - 1) / group;
    _cleanup_free_ int64_t *times = xcalloc(n, sizeof(*times));
    int64_t begin = clock_mono();

    for (uint64_t i = 0; i < n; i++)
        times[i] = append_some(i * group, group, sites);
    print_times("group", times, n);
    printf("records-per-second %.0f\n", (double)records * NS_PER_SEC / (clock_mono() - begin));
}

struct appender {
    pthread_t thread;
    uint64_t first, n, sites;
    int64_t *times;
};

static void *append_one_by_one(void *arg)
{
    struct appender *a = arg;

    for (uint64_t i = 0; i < a->n; i++)
        a->times[i] = append_some(a->first + i, 1, a->sites);
    return NULL;
}

/* Each thread has sites of its own; generations go on far above those of fill(). */
static void append(uint64_t n, uint64_t sites, uint64_t threads)
{
    _cleanup_free_ int64_t *times = xcalloc(n * threads, sizeof(*times));
    _cleanup_free_ struct appender *v = xcalloc(threads, sizeof(*v));

    for (uint64_t i = 0; i < threads; i++) {
        v[i] = (struct appender){.first = (1u << 20) * sites + i * sites / threads,
                                 .n = n,
                                 .sites = sites,
                                 .times = times + i * n};
        pthread_create(&v[i].thread, NULL, append_one_by_one, &v[i]);
    }
    for (uint64_t i = 0; i < threads; i++)
        pthread_join(v[i].thread, NULL);
    print_times("append", times, n * threads);
}

struct wanted {
    uint64_t n, most;
};

static int count(const struct record *r, void *arg)
{
    struct wanted *w = arg;

    return ++w->n == w->most;
}

static void read_entries(const char *site, uint64_t entries)
{
    _cleanup_(diag_done) struct diag why = {0};

    for (int i = 0; i < 2; i++) {
        struct wanted w = {0, entries};
        int64_t begin = clock_mono();
        int r = ledger_history(ledger, site, count, &w, &why);
        int64_t took = clock_mono() - begin;
        if (r < 0)
            die(&why, r);
        printf("entries %llu\n%s %.3f\n", (unsigned long long)w.n, i ? "again" : "first", ms(took));
    }
}

static int show(const struct ledger_finding *f, void *arg)
{
    fprintf(stderr, "%s %s: %s\n", f->host, f->site ? f->site : "-", f->what);
    return 0;
}

static void verify(void)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct ledger_totals totals;
    int64_t begin = clock_mono();
    int r = ledger_verify(ledger, show, NULL, &totals, &why);

    if (r < 0)
        die(&why, r);
    printf("verify %.3f\nrecords %llu\ncommits %llu\nfindings %llu\n", ms(clock_mono() - begin),
           (unsigned long long)totals.records, (unsigned long long)totals.commits,
           (unsigned long long)totals.findings);
}

int main(int argc, char **argv)
{
    _cleanup_(diag_done) struct diag why = {0};
    uint64_t n[3] = {0};

    for (int i = 3; i < argc && i < 6; i++)
        n[i - 3] = strtoull(argv[i], NULL, 10);
    if (argc < 3)
        return 2;
    int r = repo_open(argv[2], &repo, &why);
    int64_t begin = clock_mono();
    if (r == 0)
        r = ledger_open(repo, "bench", &ledger, &why);
    if (r < 0)
        die(&why, r);
    printf("open %.3f\n", ms(clock_mono() - begin));
    if (!strcmp(argv[1], "fill"))
        fill(n[0], n[1], n[2]);
    else if (!strcmp(argv[1], "append"))
        append(n[0], n[1], n[2]);
    else if (!strcmp(argv[1], "read"))
        read_entries(argv[3], n[1]);
    else
        verify();
    ledger_free(ledger);
    repo_free(repo);
    return 0;
}

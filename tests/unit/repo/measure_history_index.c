/* Measures the history index on a repository: run by hand.
 *
 *     measure_history_index REPOSITORY [REV [DIR]]
 *
 * Makes an index of REV (default HEAD) in DIR (default: a temporary directory) and prints how long
 * that took, how large it is, what opening it again, one more revision and questions cost. What DIR
 * holds already is extended. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "repo/history_index.h"
#include "repo/revision.h"

#define QUESTIONS 20000

static struct repo *repo;
static char *dir;

static void must(int r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(-r));
        exit(1);
    }
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Memory of our own, in MB; pages of files that are mapped are not in it. */
static double anonymous_mb(void)
{
    _cleanup_(buf_done) struct buf text = {0};

    must(io_read_file(AT_FDCWD, "/proc/self/status", 1 << 16, &text), "status");
    const char *at = strstr(buf_str(&text), "RssAnon:");
    return at ? strtod(at + strlen("RssAnon:"), NULL) / 1024 : 0;
}

/* Opens the index and waits until it holds `head`; prints what that cost. */
static struct history_index *bring_to(const char *what, const struct oid *head)
{
    struct history_index *ix;
    struct history_progress p;
    double cpu = cpu_seconds();
    int64_t start = clock_mono();

    must(history_index_open(repo, dir, &ix, NULL), dir);
    if (head)
        history_index_follow(ix, head);
    int r = history_index_wait(ix, 3600 * NS_PER_SEC);
    double wall = (clock_mono() - start) / 1e9;
    history_index_progress(ix, &p);
    printf("%s: %.3f s, %.3f CPU s, %.0f MB of memory, %u revisions%s%s\n", what, wall,
           cpu_seconds() - cpu, anonymous_mb(), p.done, *p.problem ? ": " : "", p.problem);
    must(r, "wait");
    return ix;
}

/* One more revision, `n` times: brings a new index to head~n and follows from there. */
static void measure_steps(const struct oid *head, int n)
{
    _cleanup_free_ struct oid *line = xcalloc(n + 1, sizeof(*line));
    _cleanup_free_ int64_t *ns = xcalloc(n, sizeof(*ns));
    struct revision_brief brief;
    int64_t sum = 0, worst = 0;

    line[0] = *head;
    for (int i = 0; i < n; i++) {
        must(revision_brief(repo, &line[i], &brief), "revision");
        line[i + 1] = brief.parent;
    }
    history_index_free(bring_to("taking off", &line[n]));
    struct history_index *ix = bring_to("opening again", &line[n]);
    for (int i = n; i-- > 0;) {
        int64_t start = clock_mono();
        history_index_follow(ix, &line[i]);
        must(history_index_wait(ix, 60 * NS_PER_SEC), "wait");
        ns[i] = clock_mono() - start;
        sum += ns[i];
        worst = ns[i] > worst ? ns[i] : worst;
    }
    printf("one more revision: mean %.2f ms, worst %.2f ms of %d\n", sum / 1e6 / n, worst / 1e6, n);
    history_index_free(ix);
}

struct paths {
    struct history_index *ix;
    VEC(path_id);
    path_id dir;
};

static int add_path(path_id id, const char *name, void *arg)
{
    *VEC_ADD((struct paths *)arg) = id;
    return 0;
}

static int compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static void print_times(const char *what, int64_t *ns, size_t n)
{
    int64_t sum = 0;

    qsort(ns, n, sizeof(*ns), compare_ns);
    for (size_t i = 0; i < n; i++)
        sum += ns[i];
    printf("%s: mean %.2f us, median %.2f us, p99 %.2f us\n", what, sum / 1e3 / n, ns[n / 2] / 1e3,
           ns[n * 99 / 100] / 1e3);
}

static int count_change(const struct history_change *change, void *arg)
{
    ++*(uint64_t *)arg;
    return 0;
}

static void measure_questions(struct history_index *ix)
{
    _cleanup_free_ int64_t *ns = xcalloc(QUESTIONS, sizeof(*ns));
    struct paths all = {.ix = ix};
    struct history_revision rev;
    struct history_change change;
    uint64_t changes = 0;
    uint32_t count;

    must(history_index_count(ix, &count), "count");
    *VEC_ADD(&all) = PATH_ROOT;
    for (size_t i = 0; i < all.n; i++)
        must(history_index_children(ix, all.v[i], PATH_ROOT, add_path, &all), "children");
    for (size_t i = 0; i < all.n; i++)
        must(history_index_changes(ix, all.v[i], 0, count_change, &changes), "changes");
    printf("%zu paths, %" PRIu64 " changes\n", all.n, changes);
    for (int warm = 0; warm < 2; warm++) {
        srandom(1);
        for (int i = 0; i < QUESTIONS; i++) {
            path_id id = all.v[random() % all.n];
            int64_t start = clock_mono();
            history_index_last_change(ix, id, random() % count, &change);
            ns[i] = clock_mono() - start;
        }
    }
    print_times("last change", ns, QUESTIONS);
    for (int i = 0; i < QUESTIONS; i++) {
        must(history_index_at(ix, random() % count, &rev), "at");
        int64_t start = clock_mono();
        must(history_index_find(ix, &rev.oid, &rev), "find");
        ns[i] = clock_mono() - start;
    }
    print_times("find a revision", ns, QUESTIONS);
    free(all.v);
}

int main(int argc, char **argv)
{
    char made[] = "/tmp/onward-history-XXXXXX";
    struct rusage u;
    struct stat st;
    struct oid head;

    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: %s REPOSITORY [REV [DIR]]\n", argv[0]);
        return 2;
    }
    dir = argc > 3 ? argv[3] : mkdtemp(made);
    must(repo_open(argv[1], &repo, NULL), argv[1]);
    must(revision_resolve(repo, argc > 2 ? argv[2] : "HEAD", &head), "revision");
    history_index_free(bring_to("making", &head));
    getrusage(RUSAGE_SELF, &u);
    printf("peak RSS %ld MB\n", u.ru_maxrss >> 10);
    struct history_index *ix = bring_to("opening", NULL);
    measure_questions(ix);
    history_index_free(ix);
    measure_steps(&head, 50);
    _cleanup_free_ char *data = xasprintf("%s/data.mdb", dir);
    if (stat(data, &st) == 0)
        printf("size %.1f MB\n", st.st_size / 1e6);
    if (argc <= 3)
        io_remove_tree(AT_FDCWD, dir);
    repo_free(repo);
    return 0;
}

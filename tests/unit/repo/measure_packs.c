/* How fast packs are read, by us and by libgit2: not a test, a program to run by hand.
 *
 *     measure_packs OBJECTS_DIR HOW THREADS ROUNDS < ids
 *
 * Reads each id on standard input, the threads taking turns, and prints what it took. HOW:
 *
 *     own git                   unpacked, by one libgit2 database a thread
 *     own-verified git-verified and then hashed by OpenSSL
 *     git-strict                hashed by libgit2
 *     own-header git-header     type and size only */
#include <git2.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "repo/hash.h"
#include "repo/packs.h"

#define BASES (32 << 20)

static struct {
    const char *objects, *how;
    struct packs *packs;
    VEC(struct oid) ids;
    size_t threads;
    atomic_size_t next, objects_read, missing;
    atomic_uint_fast64_t bytes;
} run;

static const git_oid *as_git(const struct oid *oid)
{
    return (const git_oid *)oid;
}

/* An object that was read. */
struct got {
    git_object_t type;
    const void *data;
    size_t size;
};

static int64_t take(const struct oid *oid, const struct got *got)
{
    bool wrong =
        strstr(run.how, "-verified") && hash_verify(oid, got->type, got->data, got->size) < 0;
    return wrong ? -1 : (int64_t)got->size;
}

static int64_t read_own(const struct oid *oid)
{
    _cleanup_(unpacked_done) struct unpacked o = {0};

    if (packs_read(run.packs, &(struct packed_copy){oid}, UINT64_MAX, &o) < 0)
        return -1;
    return take(oid, &(struct got){o.type, o.data, o.size});
}

static int64_t read_git(git_odb *odb, const struct oid *oid)
{
    git_odb_object *o;

    if (git_odb_read(&o, odb, as_git(oid)) < 0)
        return -1;
    struct got got = {git_odb_object_type(o), git_odb_object_data(o), git_odb_object_size(o)};
    int64_t size = take(oid, &got);
    git_odb_object_free(o);
    return size;
}

/* The size of the object, read in the way that was asked for; -1 if it is not there. */
static int64_t read_one(git_odb *odb, const struct oid *oid)
{
    git_object_t type;
    uint64_t size;
    size_t len;

    if (!strcmp(run.how, "own-header"))
        return packs_header(run.packs, oid, &type, &size) < 0 ? -1 : (int64_t)size;
    if (!strcmp(run.how, "git-header"))
        return git_odb_read_header(&len, &type, odb, as_git(oid)) < 0 ? -1 : (int64_t)len;
    return odb ? read_git(odb, oid) : read_own(oid);
}

static void *work(void *arg)
{
    git_odb *odb = NULL;

    if (!strncmp(run.how, "git", 3) && git_odb_open(&odb, run.objects) < 0)
        abort();
    for (size_t i; (i = atomic_fetch_add(&run.next, 1)) < run.ids.n;) {
        int64_t size = read_one(odb, &run.ids.v[i]);
        atomic_fetch_add(size < 0 ? &run.missing : &run.objects_read, 1);
        atomic_fetch_add(&run.bytes, size < 0 ? 0 : size);
    }
    git_odb_free(odb);
    return NULL;
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void round_once(void)
{
    pthread_t threads[64];
    double cpu = cpu_seconds();
    int64_t start = clock_mono();

    run.next = run.objects_read = run.missing = run.bytes = 0;
    if (!strncmp(run.how, "own", 3))
        run.packs = packs_new(run.objects, BASES);
    for (size_t i = 0; i < run.threads; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (size_t i = 0; i < run.threads; i++)
        pthread_join(threads[i], NULL);
    packs_free(TAKE(run.packs));
    double wall = (clock_mono() - start) / 1e9;
    cpu = cpu_seconds() - cpu;
    printf("%-12s %zu threads: %6zu objects %5zu missing %7.1f MB: wall %.3f s, cpu %.3f s,"
           " %.0f MB/cpu-s, %.0f objects/cpu-s\n",
           run.how, run.threads, run.objects_read, run.missing, run.bytes / 1e6, wall, cpu,
           run.bytes / 1e6 / cpu, run.ids.n / cpu);
}

int main(int argc, char **argv)
{
    char line[128];

    if (argc != 5)
        return 2;
    run.objects = argv[1];
    run.how = argv[2];
    run.threads = strtoul(argv[3], NULL, 10);
    if (!run.threads || run.threads > 64)
        return 2;
    git_libgit2_init();
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, !strcmp(run.how, "git-strict"));
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, " \n")] = 0;
        if (oid_parse(line, VEC_ADD(&run.ids)) < 0)
            return 2;
    }
    for (unsigned long n = strtoul(argv[4], NULL, 10); n > 0; n--)
        round_once();
    free(run.ids.v);
    git_libgit2_shutdown();
    return 0;
}

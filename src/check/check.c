#include "check/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/pool.h"
#include "check/files.h"
#include "check/host.h"
#include "check/inputs.h"
#include "check/results.h"
#include "site/declaration.h"

#define THREADS_MOST 4   /* for one tree */
#define FILES_A_JOB  256 /* that the built-in checks look at in one go */
#define RESULTS_MOST 256

#define DECLARATION_CHECK "declaration"

/* The name under which the results of all built-in checks of files are kept; no check has it. */
#define FILES_KEY "*"

struct checks {
    struct checks_config config;
    char *trees;
    struct results *results;
    struct inputs *inputs;
    int stop_fd; /* an eventfd, written once to stop everything */
    atomic_bool ended;
    atomic_int waiting;
};

/* A part of the checks of one tree, which runs beside the others. */
struct job {
    const struct run *run;
    const struct check_config *host; /* NULL: the built-in checks of `n` files… */
    const struct changed_file *files;
    size_t n;
    VEC(const char *) paths; /* …else these files are given to the host's check */
    char *key;               /* …this is what its result is kept under… */
    bool known;              /* …and `findings` holds it already */
    struct findings findings;
    struct diag why;
    int err;
};

/* The checks of one tree. */
struct run {
    struct checks *checks;
    const struct check_input *input;
    struct file_rules rules;
    struct changed_files files;
    VEC(struct job) jobs; /* of the host's checks; then of files */
    size_t host_jobs;
    char *files_key;
    struct findings declaration, of_files;
};

static const char *const always[] = {DECLARATION_CHECK, "conflict-markers", "size"};

bool check_is_builtin(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(always); i++)
        if (!strcmp(always[i], name))
            return true;
    return file_check_named(name);
}

struct checks *checks_new(const struct checks_config *config)
{
    struct checks *c = NEW(struct checks);

    c->config = *config;
    c->config.trees = c->trees = xstrdup_or_null(config->trees);
    c->results = results_new(RESULTS_MOST);
    c->inputs = inputs_new(config->repo);
    c->stop_fd = eventfd(0, EFD_CLOEXEC); /* -1: commands end with their timeouts */
    return c;
}

void checks_end(struct checks *c)
{
    if (!c)
        return;
    c->ended = true;
    if (c->stop_fd >= 0)
        eventfd_write(c->stop_fd, 1);
}

void checks_free(struct checks *c)
{
    if (!c)
        return;
    closep(&c->stop_fd);
    results_free(c->results);
    inputs_free(c->inputs);
    free(c->trees);
    free(c);
}

/* ---- the declaration ---- */

static bool has_message(const struct findings *f, const char *message)
{
    vec_foreach (x, f)
        if (!strcmp(x->message, message))
            return true;
    return false;
}

/* Loads the declarations of both trees (NULL where wrong), and adds what is wrong with the newer
 * one that was not wrong with the older one in the same words. */
static int check_declaration(struct run *run, struct declaration **ret_old,
                             struct declaration **ret_new, struct diag *reterr)
{
    _cleanup_(findings_done) struct findings old = {0}, new = {0};
    struct repo *repo = run->checks->config.repo;
    const struct check_input *in = run->input;
    int r = declaration_load(repo, &in->tree, ret_new, &new, reterr);

    if (r < 0 && r != -EINVAL)
        return r;
    r = oid_is_zero(&in->base) ? 0 : declaration_load(repo, &in->base, ret_old, &old, reterr);
    if (r < 0 && r != -EINVAL)
        return r;
    vec_foreach (f, &new)
        if (!has_message(&old, f->message))
            findings_add(&run->declaration, f->path, f->line, f->col, f->check, "%s", f->message);
    return 0;
}

static bool names_check(const struct declaration *d, const char *name)
{
    for (size_t i = 0; d && i < d->checks.n; i++)
        if (!strcmp(d->checks.v[i], name))
            return true;
    return false;
}

static const struct check_config *host_check(const struct checks *c, const char *name)
{
    for (size_t i = 0; i < c->config.nhost; i++)
        if (!strcmp(c->config.host[i].name, name))
            return &c->config.host[i];
    return NULL;
}

/* A check that is not available here is a finding in the change that names it first, so that nobody
 * believes that it runs, and a line in the log from then on. */
static void miss(struct run *run, const struct declaration *old, const struct declaration *new,
                 const char *name)
{
    if (names_check(old, name)) {
        log_warn("check-unavailable", "check=%s", name);
        return;
    }
    struct buf known = {0};
    buf_adds(&known, "yaml, json");
    for (size_t i = 0; i < ARRAY_SIZE(always); i++)
        buf_addf(&known, ", %s", always[i]);
    for (size_t i = 0; i < run->checks->config.nhost; i++)
        buf_addf(&known, ", %s", run->checks->config.host[i].name);
    findings_add(&run->declaration, DECLARATION_FILE, new->checks_line, new->checks_col,
                 DECLARATION_CHECK, "checks: this host has no check \"%s\"; expected one of %s",
                 name, known.data);
    buf_done(&known);
}

/* ---- what runs ---- */

static char *result_key(const char *name, const struct check_input *in)
{
    char tree[OID_HEX + 1], base[OID_HEX + 1];

    return xasprintf("%s %s %s", name, oid_hex(&in->tree, tree), oid_hex(&in->base, base));
}

/* Adds the job of a host's check if it has anything to look at. */
static void add_host_job(struct run *run, const struct check_config *host)
{
    struct job job = {.run = run, .host = host};

    vec_foreach (f, &run->files)
        if (check_looks_at(host, f->path))
            *VEC_ADD(&job.paths) = f->path;
    if (!job.paths.n && (host->paths.n || !run->files.any))
        return;
    struct inputs *inputs = run->checks->inputs;
    const struct check_input same = {inputs_of(inputs, host, &run->input->base),
                                     inputs_of(inputs, host, &run->input->tree)};
    job.key = result_key(host->name, &same);
    *VEC_ADD(&run->jobs) = job;
    run->host_jobs++;
}

static void add_file_jobs(struct run *run)
{
    for (size_t at = 0; at < run->files.n; at += FILES_A_JOB)
        *VEC_ADD(&run->jobs) = (struct job){
            .run = run,
            .files = run->files.v + at,
            .n = run->files.n - at < FILES_A_JOB ? run->files.n - at : FILES_A_JOB,
        };
}

static void choose(struct run *run, const struct declaration *old, const struct declaration *now)
{
    if (!now)
        run->rules.checks = FILE_YAML | FILE_JSON;
    for (size_t i = 0; now && i < now->checks.n; i++) {
        const char *name = now->checks.v[i];
        const struct check_config *host = host_check(run->checks, name);
        run->rules.checks |= file_check_named(name);
        if (check_is_builtin(name))
            continue;
        if (host)
            add_host_job(run, host);
        else
            miss(run, old, now, name);
    }
}

/* Takes what commands have said of this tree before; true if one would have to be waited for. */
static bool is_waiting(struct run *run)
{
    bool waits = false;

    vec_foreach (job, &run->jobs) {
        job->known =
            results_begin(run->checks->results, job->key, false, &job->findings) == RESULT_KNOWN;
        waits |= !job->known;
    }
    return waits;
}

/* ---- running ---- */

static void run_host_job(struct job *job)
{
    const struct run *run = job->run;
    struct checks *c = run->checks;
    struct host_check h = {
        .repo = c->config.repo,
        .config = job->host,
        .input = run->input,
        .trees = c->trees,
        .paths = job->paths.v,
        .npaths = job->paths.n,
        .stop_fd = c->stop_fd,
    };
    int64_t until = 0;

    if (job->known || results_begin(c->results, job->key, true, &job->findings) == RESULT_KNOWN)
        return;
    job->err = c->ended ? diag_fail(&job->why, -ECANCELED, "onwardfs is ending")
                        : host_check_run(&h, &job->findings, &until, &job->why);
    findings_sort(&job->findings, 0);
    results_finish(c->results, job->key, job->err < 0 ? NULL : &job->findings, until);
}

static void run_job(void *arg)
{
    struct job *job = arg;

    if (job->host)
        run_host_job(job);
    else
        job->err = files_check(&job->run->rules, job->files, job->n, &job->findings, &job->why);
}

static void run_jobs(struct run *run)
{
    if (run->jobs.n < 2) {
        vec_foreach (job, &run->jobs)
            run_job(job);
        return;
    }
    struct pool *pool = pool_new("check", run->jobs.n < THREADS_MOST ? run->jobs.n : THREADS_MOST);
    vec_foreach (job, &run->jobs)
        pool_submit(pool, run_job, job);
    pool_free(pool);
}

/* The first error of any job; else what those of files have found is in one list. */
static int collect(struct run *run, struct diag *reterr)
{
    for (size_t i = 0; i < run->jobs.n; i++) {
        struct job *job = &run->jobs.v[i];
        if (job->err < 0)
            return diag_fail(reterr, job->err, "%s", diag_text(&job->why, job->err));
        if (!job->host)
            findings_append(&run->of_files, &job->findings);
    }
    return 0;
}

/* Those of files are kept as one result, whatever the number of their jobs. */
static int run_all(struct run *run, struct diag *reterr)
{
    struct results *results = run->checks->results;
    bool mine = results_begin(results, run->files_key, true, &run->of_files) == RESULT_MINE;

    if (mine)
        add_file_jobs(run);
    run_jobs(run);
    int r = collect(run, reterr);
    if (mine)
        results_finish(results, run->files_key, r < 0 ? NULL : &run->of_files, RESULT_FOREVER);
    return r;
}

/* The same when there are commands among the jobs, here or in the thread that checks the same tree
 * and is waited for. The thread may be one of those that serve the mount, which commands look at.
 */
static int run_and_wait(struct run *run, struct diag *reterr)
{
    struct checks *c = run->checks;
    int r = 0;

    if (atomic_fetch_add(&c->waiting, 1) >= CHECK_WAITING) {
        r = diag_fail(reterr, -EBUSY, "%d checks are running already; try again", CHECK_WAITING);
    } else {
        pool_wait_begin();
        r = run_all(run, reterr);
        pool_wait_end();
    }
    atomic_fetch_sub(&c->waiting, 1);
    return r;
}

static int run_checks(struct run *run, unsigned flags, struct diag *reterr)
{
    _cleanup_(declaration_unrefp) struct declaration *old = NULL, *new = NULL;
    int r = check_declaration(run, &old, &new, reterr);

    if (r == 0)
        r = changed_files_find(run->checks->config.repo, run->input, &run->files);
    if (r < 0)
        return diag_prefix(reterr, r, "cannot look at what has changed");
    choose(run, old, new);
    bool waits = is_waiting(run);
    if (waits && flags & CHECK_NO_WAIT)
        return -EINPROGRESS;
    return waits ? run_and_wait(run, reterr) : run_all(run, reterr);
}

static void run_done(struct run *run)
{
    vec_foreach (job, &run->jobs) {
        free(job->paths.v);
        free(job->key);
        findings_done(&job->findings);
        diag_done(&job->why);
    }
    free(run->jobs.v);
    free(run->files_key);
    changed_files_done(&run->files);
    findings_done(&run->declaration);
    findings_done(&run->of_files);
}

int checks_run(struct checks *c, const struct check_input *in, unsigned flags, struct findings *ret,
               struct diag *reterr)
{
    struct run run = {
        .checks = c,
        .input = in,
        .rules = {.repo = c->config.repo, .most_file_size = c->config.most_file_size},
        .files_key = result_key(FILES_KEY, in),
    };
    int r = oid_is_zero(&in->tree) ? 0 : run_checks(&run, flags, reterr);

    if (r == 0) {
        findings_append(ret, &run.declaration);
        findings_append(ret, &run.of_files);
        for (size_t i = 0; i < run.host_jobs; i++)
            findings_append(ret, &run.jobs.v[i].findings);
    }
    run_done(&run);
    return r;
}

int check_approvals(struct repo *repo, const struct oid *tree)
{
    _cleanup_(declaration_unrefp) struct declaration *d = NULL;
    _cleanup_(findings_done) struct findings findings = {0};

    if (oid_is_zero(tree) || declaration_load(repo, tree, &d, &findings, NULL) < 0)
        return 0;
    return d->approvals;
}

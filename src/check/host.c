#include "check/host.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/command.h"
#include "base/log.h"
#include "check/output.h"
#include "check/results.h"

#define OUTPUT_MOST (1 << 16)        /* bytes of output that are kept: the last ones */
#define KILL_AFTER  (2 * NS_PER_SEC) /* from TERM to KILL */
#define ARGS_MOST   (96 << 10)       /* bytes of paths in one run */
#define FAILED_KEEP                                                                                \
    (30 * NS_PER_SEC)  /* how long a failure is believed: what it rests on may lie
                                         outside of the tree */
#define WHOLE_TREE "." /* the path of a finding that names none */

/* A check over a tree, in one run or, when not all paths fit, in several. */
struct session {
    const struct host_check *h;
    const char *program;
    char *tree;
    struct command_strings env;
    int64_t deadline; /* mono */
    struct findings *findings;
    bool failed, cut;
};

static char *tree_path(const struct host_check *h, const struct oid *tree)
{
    char hex[OID_HEX + 1];

    return oid_is_zero(tree) ? xstrdup("") : xasprintf("%s/%s", h->trees, oid_hex(tree, hex));
}

static void make_environment(struct session *s)
{
    _cleanup_free_ char *base = tree_path(s->h, &s->h->input->base), *home = command_home();

    command_strings_clean(&s->env, home);
    *VEC_ADD(&s->env) = xasprintf("ONWARD_CHECK=%s", s->h->config->name);
    *VEC_ADD(&s->env) = xasprintf("ONWARD_TREE=%s", s->tree);
    *VEC_ADD(&s->env) = xasprintf("ONWARD_BASE=%s", base);
    VEC_ADD(&s->env);
}

/* The command with as many paths behind it as fit, from *at on. A path that looks like an option is
 * given so that it is none: what the repository names must not steer the command. */
static void make_arguments(const struct host_check *h, size_t *at, struct command_strings *ret)
{
    size_t bytes = 0;

    vec_foreach (word, &h->config->command)
        *VEC_ADD(ret) = xstrdup(*word);
    for (size_t first = *at; *at < h->npaths; ++*at) {
        const char *path = h->paths[*at];
        bytes += strlen(path) + 3 + sizeof(char *);
        if (bytes > ARGS_MOST && *at > first)
            break;
        *VEC_ADD(ret) = xasprintf("%s%s", *path == '-' ? "./" : "", path);
    }
    VEC_ADD(ret);
}

static void object(struct session *s, const char *message)
{
    s->failed = true;
    findings_add(s->findings, WHOLE_TREE, 0, 0, s->h->config->name, "%s", message);
}

/* What could not be waited for, or not be begun. Not the tree's fault, perhaps: asked again. */
static void object_cut(struct session *s, const char *message)
{
    s->cut = true;
    object(s, message);
}

static void object_failed(struct session *s, const struct command_end *end)
{
    const struct host_check *h = s->h;
    const struct output o = {h->repo, &h->input->tree, s->tree, h->config->name};
    size_t before = findings_count(s->findings);

    s->failed = true;
    output_parse(&o, buf_str(&end->output), end->output.len, s->findings);
    if (findings_count(s->findings) != before)
        return;
    _cleanup_free_ char *status = command_status(end->status);
    _cleanup_free_ char *said = output_summary(buf_str(&end->output), end->output.len);
    _cleanup_free_ char *message = xasprintf("%s%s%s", status, *said ? ": " : "", said);
    object(s, message);
}

static void object_late(struct session *s, const struct command_end *end)
{
    char limit[CLOCK_TEXT];
    _cleanup_free_ char *said = output_summary(buf_str(&end->output), end->output.len);
    _cleanup_free_ char *message =
        xasprintf("not done within %s, stopped%s%s",
                  clock_format_duration(s->h->config->timeout, limit), *said ? ": " : "", said);

    object_cut(s, message);
}

/* Runs the command once; *at moves behind the paths that it was given. */
static int run_once(struct session *s, size_t *at, struct diag *reterr)
{
    _cleanup_(command_strings_done) struct command_strings argv = {0};
    _cleanup_(diag_done) struct diag why = {0};
    struct command_end end = {0};
    int64_t left = s->deadline - clock_mono();

    make_arguments(s->h, at, &argv);
    struct command c = {
        .path = s->program,
        .argv = (const char *const *)argv.v,
        .envp = (const char *const *)s->env.v,
        .cwd = s->tree,
        .keep = OUTPUT_MOST,
        .timeout = left > 0 ? left : 0,
        .kill_after = KILL_AFTER,
        .stop_fd = s->h->stop_fd,
    };
    int r = command_run(&c, &end, &why);
    if (r < 0)
        object_cut(s, diag_text(&why, r));
    else if (end.stopped)
        r = diag_fail(reterr, -ECANCELED, "onwardfs is ending");
    else if (end.timed_out)
        object_late(s, &end);
    else if (end.status != 0)
        object_failed(s, &end);
    buf_done(&end.output);
    return r == -ECANCELED ? r : 0;
}

static int run_all(struct session *s, struct diag *reterr)
{
    size_t at = 0;
    int r;

    do
        r = run_once(s, &at, reterr);
    while (r == 0 && !s->cut && at < s->h->npaths);
    return r;
}

static void report(const struct session *s, int64_t began)
{
    char took[CLOCK_TEXT];

    log_info("checked", "check=%s tree=\"%s\" files=%zu outcome=%s took=%s", s->h->config->name,
             s->tree, s->h->npaths,
             s->cut      ? "cut-short"
             : s->failed ? "failed"
                         : "passed",
             clock_format_duration(clock_mono() - began, took));
}

int host_check_run(const struct host_check *h, struct findings *ret, int64_t *ret_until,
                   struct diag *reterr)
{
    const char *name = h->config->command.v[0];
    _cleanup_free_ char *program = command_find(name);
    int64_t began = clock_mono();
    struct session s = {
        .h = h,
        .program = program,
        .tree = tree_path(h, &h->input->tree),
        .deadline = began + h->config->timeout,
        .findings = ret,
    };
    int r = 0;

    make_environment(&s);
    if (program) {
        r = run_all(&s, reterr);
    } else {
        _cleanup_free_ char *message =
            xasprintf("cannot be started: there is no command %s in %s", name, COMMAND_PATH);
        object_cut(&s, message);
    }
    if (r == 0)
        report(&s, began);
    *ret_until = s.cut ? 0 : s.failed ? clock_mono() + FAILED_KEEP : RESULT_FOREVER;
    command_strings_done(&s.env);
    free(s.tree);
    return r;
}

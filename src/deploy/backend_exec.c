/* Runs a program as include/onward/backend.h tells its author: `COMMAND… VERB` in the site's source
 * directory at the revision, the request on its standard input and in its environment. How it ended
 * is its exit status; what it printed is the log, the last line of that the message. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/command.h"
#include "deploy/backend.h"
#include "deploy/request.h"
#include "onward/backend.h"

struct backend_exec {
    struct backend backend;
    char *home;          /* of the daemon's user */
    atomic_bool mounted; /* the mount has been seen */
};

/* ---- the request ------------------------------------------------------------------------------
 */

/* Labels as one "key=value" a line. */
static char *label_lines(const json_t *labels)
{
    struct buf out = {0};
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)labels, key, value)
        buf_addf(&out, "%s%s=%s", out.len ? "\n" : "", key, json_string_value(value));
    return buf_take(&out);
}

/* A value of the request as the text of a variable; empty for null. */
static char *variable_text(const json_t *value)
{
    if (json_is_object(value))
        return label_lines(value);
    if (json_is_integer(value))
        return xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return xstrdup(json_is_string(value) ? json_string_value(value) : "");
}

/* Every field of the request as ONWARD_<FIELD>. */
static void add_request(struct command_strings *env, json_t *request)
{
    const char *key;
    json_t *value;

    json_object_foreach (request, key, value) {
        _cleanup_free_ char *text = variable_text(value);
        char *variable = xasprintf("ONWARD_%s=%s", key, text);
        for (char *p = variable; *p != '='; p++)
            if (*p >= 'a' && *p <= 'z')
                *p -= 'a' - 'A';
        *VEC_ADD(env) = variable;
    }
}

static void make_environment(const struct backend_exec *b, json_t *request,
                             struct command_strings *ret)
{
    command_strings_clean(ret, b->home);
    add_request(ret, request);
    VEC_ADD(ret);
}

static void make_arguments(const struct backend_exec *b, const char *verb,
                           struct command_strings *ret)
{
    vec_foreach (word, &b->backend.config->command)
        *VEC_ADD(ret) = xstrdup(*word);
    *VEC_ADD(ret) = xstrdup(verb);
    VEC_ADD(ret);
}

/* ---- what came of it --------------------------------------------------------------------------
 */

static enum backend_end end_of(enum backend_verb verb, const struct command_end *end)
{
    if (end->stopped)
        return BACKEND_STOPPED;
    if (end->timed_out) /* whatever it said after that: it was not in time */
        return BACKEND_TIMEOUT;
    switch (end->status) {
    case ONWARD_EXIT_DONE:
        return BACKEND_DONE;
    case ONWARD_EXIT_LATER:
        return BACKEND_LATER;
    case ONWARD_EXIT_CONFIG:
        return BACKEND_STALLED;
    case ONWARD_EXIT_UNKNOWN_VERB: /* asking again would not teach it to apply */
        return verb == VERB_APPLY ? BACKEND_STALLED : BACKEND_UNKNOWN;
    case ONWARD_EXIT_DIFFERS:
        return verb == VERB_OBSERVE ? BACKEND_DRIFTED : BACKEND_FAILED;
    default:
        return BACKEND_FAILED;
    }
}

static void judge(const struct backend_request *request, const struct command_end *end,
                  struct backend_result *ret)
{
    _cleanup_free_ char *line = request_last_line(&end->output),
                        *status = command_status(end->status);
    const char *colon = *line ? ": " : "";
    char limit[CLOCK_TEXT];

    ret->exit = end->status;
    ret->end = end_of(request->verb, end);
    if (ret->end == BACKEND_STOPPED)
        backend_result_set(ret, ret->end, "stopped because the daemon ends");
    else if (ret->end == BACKEND_TIMEOUT)
        backend_result_set(ret, ret->end, "not done within %s, stopped%s%s",
                           clock_format_duration(request->timeout, limit), colon, line);
    else if (ret->end == BACKEND_DRIFTED)
        backend_result_set(ret, ret->end, "%s", *line ? line : "it is not as it was deployed");
    else if (ret->end != BACKEND_DONE && ret->end != BACKEND_UNKNOWN)
        backend_result_set(ret, ret->end, "%s%s%s", status, colon, line);
}

/* Whether the mount in which commands work is in its place: asked of the kernel without asking the
 * mount, that is us. */
static bool is_mounted(const char *mountpoint)
{
    struct statx st;

    return statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) ==
               0 &&
           st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

/* A command that finds its files gone, or no place to start in, says nothing of the site. */
static void doubt(struct backend_exec *b, const struct backend_request *request,
                  struct backend_result *ret)
{
    if (ret->end != BACKEND_DONE && ret->end != BACKEND_STOPPED && b->mounted &&
        !is_mounted(request->mountpoint))
        backend_result_set(ret, BACKEND_STOPPED, "the mount has ended");
}

/* ---- the vtable -------------------------------------------------------------------------------
 */

static void run(struct backend_exec *b, const struct backend_request *request, const char *program,
                struct backend_result *ret)
{
    _cleanup_(command_strings_done) struct command_strings argv = {0}, envp = {0};
    _cleanup_(buf_done) struct buf input = {0};
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *tree = request_tree(request, &request->to);
    _cleanup_free_ char *cwd = xasprintf("%s/%s", tree, request->site->source);
    json_t *j = request_json(request);
    struct command_end end;

    make_arguments(b, backend_verb_name(request->verb), &argv);
    make_environment(b, j, &envp);
    json_write(j, 0, &input);
    buf_addc(&input, '\n');
    json_decref(j);
    struct command c = {
        .path = program,
        .argv = (const char *const *)argv.v,
        .envp = (const char *const *)envp.v,
        .cwd = cwd,
        .input = input.data,
        .input_len = input.len,
        .keep = ONWARD_LOG_MOST,
        .timeout = request->timeout,
        .kill_after = request->kill_after,
        .stop_fd = request->stop_fd,
        .privileges = b->backend.config->privileges,
        .alone = true,
    };
    int r = command_run(&c, &end, &why);
    if (r < 0) {
        backend_result_set(ret, BACKEND_FAILED, "%s", diag_text(&why, r));
        return;
    }
    judge(request, &end, ret);
    ret->log = end.output;
}

static void backend_exec_call(struct backend *backend, const struct backend_request *request,
                              struct backend_result *ret)
{
    struct backend_exec *b = container_of(backend, struct backend_exec, backend);
    const char *name = backend->config->command.v[0];
    _cleanup_free_ char *program = command_find(name);

    if (is_mounted(request->mountpoint))
        b->mounted = true;
    if (program)
        run(b, request, program, ret);
    else
        backend_result_set(ret, BACKEND_FAILED, "there is no command %s in %s", name, COMMAND_PATH);
    doubt(b, request, ret);
}

static void backend_exec_free(struct backend *backend)
{
    struct backend_exec *b = container_of(backend, struct backend_exec, backend);

    free(b->home);
    free(b);
}

static const struct backend_ops ops = {.call = {[VERB_APPLY] = backend_exec_call,
                                                [VERB_HEALTH] = backend_exec_call,
                                                [VERB_OBSERVE] = backend_exec_call},
                                       .free = backend_exec_free};

int backend_exec_new(const struct backend_config *config, struct backend **ret, struct diag *reterr)
{
    const char *name = config->command.n ? config->command.v[0] : "";

    /* The working directory is a revision: a relative path would run what the repository says. */
    if (!*name || (*name != '/' && strchr(name, '/')))
        return diag_fail(reterr, -EINVAL,
                         "backend %s: exec needs an absolute path or a name without \"/\", not "
                         "\"%s\"",
                         config->name, name);
    struct backend_exec *b = NEW(struct backend_exec);
    b->backend.ops = &ops;
    b->home = command_home();
    *ret = &b->backend;
    return 0;
}

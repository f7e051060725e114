#include "deploy/backend.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "onward/backend.h"
#include "repo/object.h"

static const char *const ends[BACKEND_ENDS] = {
    [BACKEND_DONE] = "done",       [BACKEND_DRIFTED] = "drifted", [BACKEND_UNKNOWN] = "unknown",
    [BACKEND_LATER] = "later",     [BACKEND_FAILED] = "failed",   [BACKEND_TIMEOUT] = "timeout",
    [BACKEND_REFUSED] = "refused", [BACKEND_STALLED] = "stalled", [BACKEND_STOPPED] = "stopped",
};

const char *backend_verb_name(enum backend_verb verb)
{
    static const char *const names[VERBS] = {[VERB_APPLY] = ONWARD_VERB_APPLY,
                                             [VERB_HEALTH] = ONWARD_VERB_HEALTH,
                                             [VERB_OBSERVE] = ONWARD_VERB_OBSERVE};

    assert(verb > VERB_NONE && verb < VERBS);
    return names[verb];
}

const char *backend_end_name(enum backend_end end)
{
    assert(end >= 0 && end < BACKEND_ENDS);
    return ends[end];
}

void backend_result_done(struct backend_result *r)
{
    free(r->message);
    buf_done(&r->log);
    *r = (struct backend_result){0};
}

void backend_result_set(struct backend_result *r, enum backend_end end, const char *fmt, ...)
{
    _cleanup_(buf_done) struct buf text = {0};
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    free(r->message);
    r->message = buf_take(&text);
    r->end = end;
}

int backend_new(const struct backend_config *config, struct repo *repo, struct backend **ret,
                struct diag *reterr)
{
    static int (*const makers[])(const struct backend_config *config, struct backend **ret,
                                 struct diag *reterr) = {
        [BACKEND_EXEC] = backend_exec_new,
        [BACKEND_DIRECTORY] = backend_directory_new,
        [BACKEND_HTTP] = backend_http_new,
    };
    struct backend *b;
    int r = makers[config->kind](config, &b, reterr);

    if (r < 0)
        return r;
    b->config = config;
    b->repo = repo;
    *ret = b;
    return 0;
}

void backend_free(struct backend *b)
{
    if (b)
        b->ops->free(b);
}

/* Whether the source is a directory in the target. A transient failure to read is no answer:
 * failed, so that it is tried again. */
static bool source_is_there(struct backend *b, const struct backend_request *request,
                            struct backend_result *ret)
{
    const char *source = request->site->source;
    enum entry_kind kind;
    struct oid oid;
    char hex[OID_HEX + 1];
    int r =
        tree_walk_path(b->repo, &request->to_tree, strcmp(source, ".") ? source : "", &kind, &oid);

    oid_hex(&request->to, hex);
    if (r == 0 && kind == ENTRY_DIR)
        return true;
    if (r == 0 || r == -ENOENT || r == -ENOTDIR)
        backend_result_set(ret, BACKEND_STALLED, "there is no directory %s in revision %s", source,
                           hex);
    else
        backend_result_set(ret, BACKEND_FAILED, "cannot read %s in revision %s: %s", source, hex,
                           strerror(-r));
    return false;
}

bool backend_knows(const struct backend *b, enum backend_verb verb)
{
    return b->ops->call[verb];
}

void backend_call(struct backend *b, const struct backend_request *request,
                  struct backend_result *ret)
{
    *ret = (struct backend_result){.end = BACKEND_FAILED, .exit = -1};
    if (!backend_knows(b, request->verb))
        ret->end = BACKEND_UNKNOWN;
    else if (source_is_there(b, request, ret))
        b->ops->call[request->verb](b, request, ret);
}
